"""A store in a SQLite file: the one to take when nothing speaks for another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from os import PathLike, fspath
from pathlib import Path
from typing import final

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store.cells import Cell, after, next_version, seconds_of
from lambdacat.store.kept import Kept
from lambdacat.store.sqlite_file import clean, create, is_outside, opened, transaction
from lambdacat.store.values import Classes, Sealed, ValueStore
from lambdacat.store.watching import Polled

_LOAD = "select version, mark, digest, data from cells where key = ?"
_SAVE = """
insert into cells (key, spelling, version, mark, digest, data) values (?, ?, ?, ?, ?, ?)
on conflict (key) do update set spelling = excluded.spelling, version = excluded.version, mark = excluded.mark,
digest = excluded.digest, data = excluded.data
"""


@final
class SqliteStore(ValueStore):
    """Values in one SQLite file, for any number of threads and processes of one machine.

    Each write is flushed to disk before its call returns. Units: ``seconds`` is how long another writer is waited for.
    """

    def __init__(self, path: str | PathLike[str], *, codecs: Classes = (), seconds: float = 10.0) -> None:
        super().__init__(codecs)
        self.path = Path(fspath(path)).absolute()
        self.seconds = seconds_of(seconds)
        self._kept = Kept(self._connected, sqlite3.Connection.close)
        self._sound = False
        """Whether all keys were checked since the file was opened."""

    @property
    def name(self) -> str:
        """The whole path of its file."""
        return str(self.path)

    # Reading -------------------------------------------------------------------------------------------------------

    def _load(self, key: str) -> Cell | None:
        with self._asking() as database:
            return self._found(database, key)

    def _names(self, prefix: str) -> Iterable[str]:
        return self._versions(prefix)

    def _versions(self, prefix: str) -> Mapping[str, int]:
        with self._asking() as database:
            self._check(database)
            return dict(_listed(database, prefix.encode()))

    def _check(self, database: sqlite3.Connection) -> None:
        """All keys, once, before anything is said not to be there: damage must not look like absence."""
        if not self._sound:
            said = [row[0] for row in database.execute("pragma integrity_check(1)")]
            if said != ["ok"]:
                raise StateCorrupt(f"the database is damaged: {said[0]}", self.name)
            # A value that is damaged is noticed when it is read; it keeps nobody from the others.
            for key, spelling in database.execute("select key, spelling from cells"):
                if not isinstance(key, bytes) or spelling != _spelling(key):
                    raise StateCorrupt(f"a key is damaged: {key!r} is there", self.name)
            self._sound = True

    def _found(self, database: sqlite3.Connection, key: str) -> Cell | None:
        row = database.execute(_LOAD, (key.encode(),)).fetchone()
        if row is None:
            self._check(database)
            return None
        # A flipped bit can give a column another type.
        if tuple(map(type, row)) != (int, bytes, str, bytes):
            raise StateCorrupt("what is there is not what was written", self._where(key))
        version, mark, digest, data = row
        return Cell(version, mark.decode(errors="replace"), digest, data)

    # Writing -------------------------------------------------------------------------------------------------------

    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        with self._asking() as database, transaction(database):
            cell, floor = self._found(database, key), self._floor(database)
            if cell is not None and expected is not None:
                cell.checked(key, self._where(key))
            found = 0 if cell is None else cell.version
            raw, made = key.encode(), sealed(next_version(key, found=found, expected=expected, floor=floor))
            row = raw, _spelling(raw), made.version, made.mark.encode(), made.digest, made.data
            database.execute(_SAVE, row)
        return made.version

    def _remove(self, key: str) -> bool:
        with self._asking() as database, transaction(database):
            cell = self._found(database, key)
            if cell is None:
                return False
            database.execute("update floor set version = ?", (max(cell.version, self._floor(database)),))
            database.execute("delete from cells where key = ?", (key.encode(),))
        return True

    def _floor(self, database: sqlite3.Connection) -> int:
        """The highest version that was ever deleted."""
        row = database.execute("select version from floor").fetchone()
        if row is None or type(row[0]) is not int:
            raise StateCorrupt("the database does not say which versions were deleted", self.name)
        return row[0]

    # The file ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        """The open database; what goes wrong with it, by name."""
        with self._named(), self._kept.used() as database:
            yield database

    def _connected(self) -> sqlite3.Connection:
        self._sound = False
        if not self.path.exists():
            create(self.path)
        with suppress(OSError):  # who may not write in the folder can still use the store
            clean(self.path)
        return opened(self.path, self.seconds)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if is_outside(error):
                raise Unanswered(f"the store {self.name}", str(error)) from error
            raise StateCorrupt(f"the database is damaged: {error}", self.name) from error
        except UnicodeDecodeError as error:  # in what SQLite wanted to say of a damaged schema
            raise StateCorrupt("the database is damaged", self.name) from error
        except OSError as error:
            raise Unanswered(f"the store {self.name}", str(error)) from error

    def _signal(self) -> Polled:
        with self._asking(), self._named():
            looking = opened(self.path, self.seconds)

        def commits() -> int:
            with self._named():
                return int(looking.execute("pragma data_version").fetchone()[0])

        return Polled(commits, looking.close)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._kept.drop()


def _spelling(key: bytes) -> bytes:
    """What a key is checked by."""
    return blake2b(key, digest_size=8).digest()


def _listed(database: sqlite3.Connection, prefix: bytes) -> Iterator[tuple[str, int]]:
    """Keys with their versions."""
    if prefix:
        rows = database.execute("select key, version from cells where key >= ? and key < ?", (prefix, after(prefix)))
    else:
        rows = database.execute("select key, version from cells")
    for key, version in rows:
        yield key.decode(), version
