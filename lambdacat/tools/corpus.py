"""A searchable corpus: Python's language topics, the docstrings of its standard library, and folders of notes.

Each index is one SQLite FTS5 file in a cache folder. A file is never changed in place: a whole new one is written
beside it and then takes its name. So a reader needs no lock, two writers cannot mix, and a kill at any moment leaves
the old index or the new one.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from attrs import frozen

from lambdacat.tools.passages import MARKS, Checkpoint, Passage, docstrings, notes, stdlib_folder, topics
from lambdacat.tools.vocabulary import is_code

FORMAT = 2
"""Version of the index layout; an index of another version is built again."""

LARGEST = 1024 * 1024
"""Bytes above which a file of a folder is skipped."""

PER_PLACE = 3
"""Passages of one locator that a search returns at most."""

ABANDONED = 3600.0
"""Seconds after which a half-written index is taken for the remains of a killed process."""


class CorpusError(Exception):
    """The corpus cannot be read or its index cannot be kept; the message is one line."""


class Source(Enum):
    """Where a passage comes from; the value names its table in an index."""

    TOPICS = "topics"
    DOCSTRINGS = "docstrings"
    FOLDER = "folder"


class Skip(Enum):
    """Why a file of a folder is not in its index."""

    UNREADABLE = "unreadable"
    BINARY = "binary"
    TOO_LARGE = "too large"
    OTHER_KIND = "of another kind"


@frozen
class Index:
    """A whole index on disk, and how many files of its folder were skipped, by reason."""

    path: Path
    skipped: tuple[tuple[Skip, int], ...] = ()


def default_cache() -> Path:
    """The folder for indexes: in ``$XDG_CACHE_HOME``, else in the platform's cache folder.

    Errors: ``CorpusError`` when there is no home folder.
    """
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():
        return chosen / "lambdacat"
    try:
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "lambdacat"
    except RuntimeError as error:
        raise CorpusError("no home folder to keep the index in; set XDG_CACHE_HOME") from error


def open_stdlib(cache: Path | None = None, *, checkpoint: Checkpoint = bool) -> Index:
    """The index of topics and docstrings of this Python, built at first use.

    Errors: ``CorpusError`` when the cache folder cannot be written or SQLite has no FTS5.
    """
    folder = stdlib_folder()
    path = (cache or default_cache()) / f"python-{_digest(sys.version, str(folder))}.sqlite"

    def fill(database: sqlite3.Connection) -> None:
        for source, passages in ((Source.TOPICS, topics()), (Source.DOCSTRINGS, docstrings(folder, checkpoint))):
            _create(database, source)
            _insert(database, source, passages)

    if not _whole(path):
        _replace(path, fill)
    return Index(path)


def open_folder(folder: Path, cache: Path | None = None, *, checkpoint: Checkpoint = bool) -> Index:
    """The index of a folder's text, Markdown, reStructuredText and Python files, as they are now.

    Only files that changed since the last time are read again. Hidden files and folders of installed code are not
    entered.

    Errors: ``CorpusError`` when ``folder`` is no folder, or the cache folder cannot be written.
    """
    if not folder.is_dir():
        raise CorpusError(f"not a folder: {str(folder)!r}")
    path = (cache or default_cache()) / f"folder-{_digest(str(folder.resolve()))}.sqlite"
    files, skipped = _listing(folder.resolve(), checkpoint)
    before = _recorded(path)
    gone = [name for name in before or () if name not in files]
    fresh = [file for name, file in files.items() if before is None or before.get(name, ("", ""))[0] != file.stamp]

    def fill(database: sqlite3.Connection) -> None:
        if before is None:
            _create(database, Source.FOLDER)
            database.execute(
                "CREATE TABLE files (name TEXT PRIMARY KEY, stamp TEXT, reason TEXT, first INTEGER, last INTEGER)"
            )
        for name in (*gone, *(file.name for file in fresh)):
            _forget(database, name)
        for file in fresh:
            checkpoint()
            _remember(database, file)

    if before is None or gone or fresh:
        _replace(path, fill, base=path if before is not None else None)
    reasons = Counter(Skip(reason) for _, reason in (_recorded(path) or {}).values() if reason)
    return Index(path, tuple((why, count) for why in Skip if (count := skipped[why] + reasons[why])))


def search(index: Index, terms: Sequence[str], *, source: Source, limit: int = 24) -> tuple[Passage, ...]:
    """The passages of one source that match any of ``terms``, best first.

    A term is a word, a phrase, an operator such as ``:=``, or a prefix such as ``compar*``. It is always quoted: no
    text can break the query. Safe in any thread.

    Errors: ``CorpusError`` when the index is damaged or gone.
    """
    wanted = " OR ".join(filter(None, map(_expression, terms[:64])))
    if not wanted:
        return ()
    # A match in the title or in a name says more than one in the text.
    statement = f"""
        SELECT title, locator, body, names, -bm25({source.value}, 5.0, 1.0, 8.0, 2.0) AS score
        FROM {source.value} WHERE {source.value} MATCH ? ORDER BY score DESC, rowid LIMIT ?
    """
    try:
        with closing(_reader(index.path)) as database:
            rows = database.execute(statement, (wanted, 4 * limit)).fetchall()
    except sqlite3.Error as error:
        raise CorpusError(f"the index {str(index.path)!r} is damaged ({error}); delete it") from error
    found: list[Passage] = []
    places: Counter[str] = Counter()
    for title, locator, body, names, score in rows:
        places[locator] += 1
        # A long topic must not crowd out the others.
        if places[locator] <= PER_PLACE:
            found.append(Passage(title, locator, body, score, tuple(names.split())))
    return tuple(found[:limit])


def _digest(*parts: str) -> str:
    text = "\0".join((str(FORMAT), *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


_SYMBOL = re.compile(r"(?<=[\"`])[^\w\s\"`]+(?=[\"`])|(?<=[\"`])[A-Za-z]+(?=[\"`])|__\w+__")


def _symbol(text: str) -> str:
    """An operator as a word that the tokenizer keeps whole."""
    return "op" + text.encode("utf-8", "replace").hex()


def _symbols(text: str) -> str:
    """The operators and keywords that a text quotes, and its special names."""
    found = {name for name in _SYMBOL.findall(text) if is_code(name)}
    return " ".join(map(_symbol, sorted(found)))


def _expression(term: str) -> str:
    """One term of a query in the syntax of FTS5; empty when nothing in it can match."""
    text = "".join(letter if letter.isprintable() else " " for letter in term).strip().replace('"', '""')
    if is_code(text):
        # In plain text a keyword is a common word; in a title, a name or quotes it is the keyword.
        named = f' OR {{title keys}}: "{text}" OR "{text}"' if any(map(str.isalnum, text)) else ""
        return f'"{_symbol(term.strip())}"{named}' if text else ""
    return f'"{text[:-1]}"*' if text.endswith("*") else f'"{text}"'


def _create(database: sqlite3.Connection, source: Source) -> None:
    columns = 'title, body, keys, symbols, names UNINDEXED, locator UNINDEXED, tokenize = "porter unicode61"'
    database.execute(f"CREATE VIRTUAL TABLE {source.value} USING fts5({columns})")


def _insert(database: sqlite3.Connection, source: Source, passages: Iterable[Passage]) -> int:
    """Insert passages after those that are there; returns the last row."""
    statement = f"INSERT INTO {source.value}(rowid, title, body, keys, symbols, names, locator) VALUES (?,?,?,?,?,?,?)"
    newest = database.execute(f"SELECT rowid FROM {source.value} ORDER BY rowid DESC LIMIT 1").fetchone()
    row = int(newest[0]) if newest else 0
    for each in passages:
        row += 1
        keys = " ".join(name if any(map(str.isalnum, name)) else _symbol(name) for name in each.names)
        values = (row, each.title, each.text, keys, _symbols(each.text), " ".join(each.names), each.locator)
        database.execute(statement, values)
    return row


@frozen
class _File:
    """A file of a folder that can be indexed; its stamp differs when its content may differ."""

    name: str
    path: Path
    stamp: str


_INSTALLED = frozenset({"__pycache__", "node_modules", "site-packages"})


def _listing(folder: Path, checkpoint: Checkpoint) -> tuple[dict[str, _File], Counter[Skip]]:
    """The files of a folder that can be indexed, by name, and a count of the others."""
    files: dict[str, _File] = {}
    skipped: Counter[Skip] = Counter()
    for where, folders, names in os.walk(folder, onerror=lambda _: skipped.update([Skip.UNREADABLE])):
        checkpoint()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _INSTALLED)
        for name in sorted(name for name in names if not name.startswith(".")):
            file = _file(folder, Path(where, name))
            if isinstance(file, Skip):
                skipped[file] += 1
            else:
                files[file.name] = file
    return files, skipped


def _file(folder: Path, path: Path) -> _File | Skip:
    if path.suffix.lower() not in MARKS:
        return Skip.OTHER_KIND
    try:
        status = path.stat()
    except OSError:
        return Skip.UNREADABLE
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe would wait for a writer.
        return Skip.UNREADABLE
    if status.st_size > LARGEST:
        return Skip.TOO_LARGE
    # A file name need not be valid text.
    name = path.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode()
    # Permissions change the last of the three, and a file can become readable.
    return _File(name, path, f"{status.st_mtime_ns} {status.st_size} {status.st_ctime_ns}")


def _text(path: Path) -> str | Skip:
    try:
        content = path.read_bytes()
    except OSError:
        return Skip.UNREADABLE
    try:
        return Skip.BINARY if b"\0" in content else content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Older notes are in Latin-1, where every byte is a letter; control characters give binary files away.
        return Skip.BINARY if re.search(rb"[\x01-\x08\x0e-\x1a\x7f-\x9f]", content) else content.decode("latin-1")


def _remember(database: sqlite3.Connection, file: _File) -> None:
    text = _text(file.path)
    passages = () if isinstance(text, Skip) else tuple(notes(text, file.name))
    last = _insert(database, Source.FOLDER, passages)
    reason = text.value if isinstance(text, Skip) else ""
    row = (file.name, file.stamp, reason, last - len(passages) + 1, last)
    database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", row)


def _forget(database: sqlite3.Connection, name: str) -> None:
    rows = "rowid BETWEEN (SELECT first FROM files WHERE name = ?) AND (SELECT last FROM files WHERE name = ?)"
    database.execute(f"DELETE FROM folder WHERE {rows}", (name, name))
    database.execute("DELETE FROM files WHERE name = ?", (name,))


def _recorded(path: Path) -> Mapping[str, tuple[str, str]] | None:
    """The stamp and skip reason of each file in a folder's index; None without a whole index."""
    if not _whole(path):
        return None
    with closing(_reader(path)) as database:
        rows = database.execute("SELECT name, stamp, reason FROM files").fetchall()
    return {name: (stamp, reason) for name, stamp, reason in rows}


def _reader(path: Path) -> sqlite3.Connection:
    # "immutable" needs no lock and no write access: the file at this name is replaced, never changed.
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)


def _whole(path: Path) -> bool:
    """Whether there is an index that can be used; a truncated or foreign file is none."""
    try:
        with closing(_reader(path)) as database:
            version = database.execute("PRAGMA user_version").fetchone()
            return bool(version == (FORMAT,) and database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


@contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into one clear error."""
    try:
        yield
    except OSError as error:
        raise CorpusError(f"cannot keep an index in {str(folder)!r}: {error.strerror or error}") from error


def _replace(path: Path, fill: Callable[[sqlite3.Connection], None], *, base: Path | None = None) -> None:
    """Put a whole new index at ``path``, begun as a copy of ``base``, or leave what is there."""
    with _reported(path.parent):
        partial = _begun(path, base)
    try:
        # Not under _reported: what a checkpoint raises may be an OSError too.
        _write(partial, fill)
        with _reported(path.parent):
            with partial.open("rb+") as written:
                os.fsync(written.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write(partial: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as database:
            # No journal and no flush until the end: a file that is not whole is thrown away.
            for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "BEGIN"):
                database.execute(statement)
            fill(database)
            for statement in (f"PRAGMA user_version = {FORMAT}", "COMMIT"):
                database.execute(statement)
    except sqlite3.Error as error:
        raise CorpusError(f"cannot build an index in {str(partial.parent)!r}: {error}") from error


def _begun(path: Path, base: Path | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    handle, name = tempfile.mkstemp(prefix=path.stem, suffix=".partial", dir=path.parent)
    os.close(handle)
    if base is not None:
        shutil.copyfile(base, name)
    return Path(name)


def _sweep(folder: Path) -> None:
    """Delete what killed processes left behind."""
    for partial in folder.glob("*.partial"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > ABANDONED:
                partial.unlink()
