"""The SQLite journal: what durable runs use by default."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from threading import RLock
from typing import Any, Literal, final

from lambdacat.codec import Codec, Codecs
from lambdacat.fault import Unanswered
from lambdacat.interpreters.journal import JournalCorrupt, RunBusy, near
from lambdacat.store.heads import Head, Heads
from lambdacat.store.leases import Heartbeat, Lease, Owner, check_terms
from lambdacat.store.sqlite_file import transaction

_TABLES = (
    """CREATE TABLE runs (
    number integer primary key autoincrement,
    run text not null unique,
    created real not null,
    updated real not null,
    epoch integer not null default 0,
    owner text not null default '',
    deadline real not null default 0,
    crashes integer not null default 0,
    reached integer not null default 0,
    aside text not null default ''
)""",
    """CREATE TABLE entries (
    run integer not null, seq integer not null, entry blob not null, primary key (run, seq)
) without rowid""",
    """CREATE TABLE answers (
    run integer not null, key text not null, value blob not null, at real not null, primary key (run, key)
) without rowid""",
)
_VERSION = 1
_PAGE = 4096
_FEW, _ROOM, _LOG = 12, 64, 1000
"""Units: pages of a log. How many are not worth the care; how many are made at once; after how many SQLite begins the
log anew, in the room that it has."""
_A_COMMIT, _SPLITS = 1.4, 3
"""Pages that a commit takes at least, and for each full page of entries: pages in the middle are split. As counted."""
_PATIENCE = 10.0
"""Units: seconds to wait for other processes at the file."""


@final
class SqliteJournal:
    """The journal of one run in a SQLite file, which may hold many runs.

    One process owns a run at a time; each append checks in its own transaction that it still does. Every commit is
    flushed to disk (``durability="full"``), or left to the system (``"normal"``: a power cut may cost the last steps,
    a crash of the process costs none). Beside the file lies a second one that says how far each run had come, so that
    a journal that lost its end is noticed.

    Units: ``lease_seconds`` is how long an owner that says nothing is believed. Errors: ``JournalCorrupt`` for a file
    that is no journal, ``Unanswered`` for one that cannot be opened or written.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        run_id: str,
        codecs: Codecs | Sequence[type | Codec] = (),
        durability: Literal["full", "normal"] = "full",
        lease_seconds: float = 30.0,
    ) -> None:
        check_terms(run_id, durability, lease_seconds)
        self.path = Path(fspath(path))
        self.run_id = run_id
        self.codecs = codecs if isinstance(codecs, Codecs) else Codecs(*codecs)
        self.durability = durability
        self.lease_seconds = lease_seconds
        self._lock = RLock()
        self._database: sqlite3.Connection | None = None
        self._number = 0
        self._next = 0
        self._epoch = 0
        self._used = 0.0
        self._room = float(_FEW)
        self._heartbeat: Heartbeat | None = None
        self._heads = Heads(self.path, run_id) if durability == "full" else None

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def __repr__(self) -> str:
        return f"SqliteJournal({str(self.path)!r}, run_id={self.run_id!r})"

    # Reading -------------------------------------------------------------------------------------------------------

    def entries(self) -> Iterable[bytes]:
        """Every entry so far. Errors: ``JournalCorrupt`` when the end of what was acknowledged is missing."""
        found, head = self._read() if self.path.exists() else ([], self._missed())
        if head is not None and (lost := head.lost(found)):
            raise JournalCorrupt(f"run {self.run_id!r} in {self.path}: {lost}; restore the file from a copy")
        return found

    def _read(self) -> tuple[list[bytes], Head | None]:
        with self._asking() as database:
            # The head first: it may lag behind the journal, and must not be ahead of what is read.
            missed = None if self._heads is None or self._run_number(database) else self._heads.missed()
            number = self._run_number(database)
            head = self._heads.read(number) if self._heads is not None and number else missed
            rows = database.execute("select entry from entries where run=? order by seq", (number,))
            return [row[0] for row in rows], head

    def answers(self) -> Mapping[str, bytes]:
        """Every answer."""
        if not self.path.exists():
            return {}
        with self._asking() as database:
            number = self._run_number(database)
            return dict(database.execute("select key, value from answers where run=?", (number,)).fetchall())

    def missing(self) -> str:
        """Why there is no such run; empty when there is one, also when it was lost: reading it says how."""
        if self._missed() is not None:
            return ""
        if not self.path.exists():
            return f"there is no file {self.path}"
        with self._asking() as database:
            if self._run_number(database):
                return ""
            known = [row[0] for row in database.execute("select run from runs order by number desc limit 1000")]
        return f"{self.path} has no run {self.run_id!r}; {near(self.run_id, known)}"

    def _missed(self) -> Head | None:
        return None if self._heads is None else self._heads.missed()

    # Writing -------------------------------------------------------------------------------------------------------

    def append(self, entry: bytes) -> None:
        """Keep one more entry. Errors: ``RunBusy`` when another process has taken the run over."""
        with self._lock:
            database = self._owned()
            try:
                done = database.execute(_APPEND, (self._number, self._next, entry, self._number, self._epoch)).rowcount
            except sqlite3.Error as error:
                raise _in_words(self.path, error) from error
            self._kept(database, done, (entry,))

    def append_all(self, entries: Sequence[bytes]) -> None:
        """Keep several in one transaction."""
        number, epoch = self._number, self._epoch
        rows = [(number, place, entry, number, epoch) for place, entry in enumerate(entries, self._next)]
        with self._lock:
            database = self._owned()
            try:
                with transaction(database):
                    done = database.executemany(_APPEND, rows).rowcount
            except sqlite3.Error as error:
                raise _in_words(self.path, error) from error
            self._kept(database, done, entries)

    def _owned(self) -> sqlite3.Connection:
        if not self._epoch:
            raise RunBusy(f"run {self.run_id!r} is not owned: acquire() it before appending")
        database = self._database
        if database is None:
            with _named(self.path):
                database = self._database = opened(self.path, self.durability)
        return database

    def _kept(self, database: sqlite3.Connection, done: int, entries: Sequence[bytes]) -> None:
        if done != len(entries):
            raise self._fenced()
        self._next += done
        if self._heads is not None:
            self._heads.advance(self._number, self._next, entries[-1])
            self._used += _A_COMMIT + _SPLITS * sum(map(len, entries)) / _PAGE
            if self._room < self._used < _LOG:
                _lengthened(database)
                self._room = self._used + _ROOM

    def _fenced(self) -> RunBusy:
        return RunBusy(
            f"run {self.run_id!r} was taken over by another process while this one said nothing for longer than"
            f" {self.lease_seconds:g} s; this one stops"
        )

    def answer(self, key: str, value: bytes) -> bool:
        """Keep an answer, if it is the first."""
        with self._asking() as database, transaction(database):
            number = self._row(database)[0]
            done = database.execute(
                "insert or ignore into answers (run, key, value, at) values (?, ?, ?, ?)",
                (number, key, value, time.time()),
            )
            return done.rowcount == 1

    # Owning --------------------------------------------------------------------------------------------------------

    def acquire(self, *, again: bool = False) -> int:
        """Own the run. Errors: ``RunBusy``, ``RunSetAside``."""
        with self._asking() as database:
            with transaction(database):
                row = self._row(database)
                lease = Lease(*row[1:7], here=row[7])
                taken = lease.taken(self.run_id, Owner.this(), self.lease_seconds, again=again)
                database.execute(
                    "update runs set epoch=?, owner=?, deadline=?, crashes=?, reached=?, aside=?, updated=?"
                    " where number=?",
                    (*taken.row(), time.time(), row[0]),
                )
            if taken.refusal is not None:
                raise taken.refusal
            self._number, self._epoch, self._next = row[0], taken.epoch, row[7]
            self._used, self._room = 0.0, float(_FEW)
        self._heartbeat = Heartbeat(self._renew, self.lease_seconds / 3)
        return self._epoch

    def _row(self, database: sqlite3.Connection) -> tuple[Any, ...]:
        """The run's row, made if there is none, and how many entries it has. Errors: ``JournalCorrupt``."""
        now = time.time()
        made = database.execute(
            "insert or ignore into runs (run, created, updated) values (?, ?, ?)", (self.run_id, now, now)
        )
        row: tuple[Any, ...] = database.execute(
            "select number, epoch, owner, deadline, crashes, reached, aside,"
            " (select coalesce(max(seq) + 1, 0) from entries where run=number) from runs where run=?", (self.run_id,)
        ).fetchone()  # fmt: skip
        heads = self._heads
        if heads is not None and made.rowcount == 1 and (heads.missed() is not None or heads.strange(row[0])):
            raise JournalCorrupt(
                f"{self.path} has lost a run that {heads.path.name} beside it knows; restore the file from a copy, or"
                " remove both to begin anew"
            )
        return row

    def _renew(self) -> None:
        with self._asking() as database:
            database.execute(
                "update runs set deadline=?, updated=? where number=? and epoch=?",
                (Owner.now() + self.lease_seconds, time.time(), self._number, self._epoch),
            )

    def release(self) -> None:
        """Own it no longer."""
        heartbeat, self._heartbeat = self._heartbeat, None
        epoch, self._epoch = self._epoch, 0
        if heartbeat is not None:
            heartbeat.stop()
        # A disk that is full must not hide why the run stopped; the lease then ends by itself.
        with suppress(Unanswered), self._asking() as database:
            database.execute(
                "update runs set owner='', deadline=0, crashes=0, updated=? where number=? and epoch=?",
                (time.time(), self._number, epoch),
            )
        self.close()

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()
            if self._heads is not None:
                self._heads.close()

    # The file ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        """The open database; what goes wrong with it, by name."""
        with self._lock, _named(self.path):
            if self._database is None:
                self._database = opened(self.path, self.durability)
            try:
                yield self._database
            finally:
                # A handle that owns nothing holds nothing: nobody would close it.
                if not self._epoch:
                    self.close()

    def _run_number(self, database: sqlite3.Connection) -> int:
        row = database.execute("select number from runs where run=?", (self.run_id,)).fetchone()
        return 0 if row is None else int(row[0])


_APPEND = "insert into entries select ?, ?, ? where (select epoch from runs where number=?) = ?"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnicodeDecodeError, sqlite3.DatabaseError) as error:
        raise _in_words(path, error) from error


def _in_words(path: Path, error: Exception) -> JournalCorrupt | Unanswered:
    """What goes wrong with a file, by name."""
    if isinstance(error, UnicodeDecodeError):
        return JournalCorrupt(f"{path} is not whole any more: a text in it is none")
    text = str(error)
    if not isinstance(error, sqlite3.OperationalError) or "malformed" in text or "not a database" in text:
        return JournalCorrupt(f"{path} is no journal, or not whole any more: {text}")
    return Unanswered(f"the journal {path}", text)


def opened(path: Path, durability: str = "full", *, create: bool = True) -> sqlite3.Connection:
    """The database of a journal file, its settings read back. Errors: ``Unanswered``, ``JournalCorrupt``."""
    if not create and not path.exists():
        raise Unanswered(f"the journal {path}", "there is no such file")
    if create and not path.parent.is_dir():
        raise Unanswered(f"the journal {path}", f"there is no folder {path.parent}")
    database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _prepare(database, path, durability)
    except BaseException:
        database.close()
        raise
    return database


def _lengthened(database: sqlite3.Connection) -> None:
    """Give the log room for the next commits.

    A flush of a file that has grown takes about twice as long as one of a file that has the room already, and the log
    begins anew with each run. Nothing is written: pages of a transaction that is taken back stay as room.
    """
    # Where there is no room the log grows as it would have; an error worth telling comes with the next entry.
    with suppress(sqlite3.OperationalError):
        database.execute("begin immediate")
        database.execute("pragma cache_size=8")  # so that the pages go into the log now
        database.execute("insert into entries values (-1, 0, zeroblob(?))", (_ROOM * _PAGE,))
    with suppress(sqlite3.OperationalError):
        if database.in_transaction:
            database.execute("rollback")
        database.execute("pragma cache_size=-2000")


def _prepare(database: sqlite3.Connection, path: Path, durability: str) -> None:
    _check_tables(database, path)
    mode = _write_ahead(database)
    if mode != "wal":
        raise Unanswered(f"the journal {path}", f"its folder does not support write-ahead logging (it gave {mode})")
    wanted = 2 if durability == "full" else 1
    database.execute(f"pragma synchronous={wanted}")
    if database.execute("pragma synchronous").fetchone()[0] != wanted:
        raise Unanswered(f"the journal {path}", "it does not flush as it was asked to")
    if not _tables(database):
        with transaction(database):
            # Another process may have made them since; the lock is held now.
            if not _tables(database):
                for statement in _TABLES:
                    database.execute(statement)
                database.execute(f"pragma user_version={_VERSION}")
    _check_tables(database, path)


def _write_ahead(database: sqlite3.Connection) -> str:
    """The kind of log, once it is the wanted one: to switch, SQLite wants a file alone and does not wait for others."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            return str(database.execute("pragma journal_mode=wal").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)


def _tables(database: sqlite3.Connection) -> set[str]:
    """The statements that made the tables of a file."""
    made = database.execute("select sql from sqlite_master where type='table' and name not like 'sqlite!_%' escape '!'")
    return {row[0] for row in made}


def _check_tables(database: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no journal, and one whose tables are not as they were made: a rotten column keeps other values."""
    found = _tables(database)
    if not found:
        return
    version = database.execute("pragma user_version").fetchone()[0]
    if version != _VERSION:
        raise JournalCorrupt(f"{path} is no journal of version {_VERSION}; give the journal a file of its own")
    if found != set(_TABLES):
        raise JournalCorrupt(f"{path} is no journal, or not whole any more: its tables are not what was made")
