"""The rows of a journal file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from lambdacat.fault import Unanswered
from lambdacat.store.heads import Head, Heads
from lambdacat.store.journals import _check_tables, _named, opened
from lambdacat.store.leases import Owner
from lambdacat.store.rows import NoJournal, Row

_ROWS = "select number, run, created, updated, epoch, owner, deadline, crashes, reached, aside from runs"


@final
class FileRows:
    """Runs, entries and answers of a journal file."""

    far = False

    def __init__(self, path: Path, database: sqlite3.Connection, heads: Mapping[int, Head | None]) -> None:
        self.path = path
        self._database = database
        self._heads = heads

    def now(self) -> float:
        return Owner.now()

    def wall(self) -> float:
        return time.time()

    def size(self) -> int:
        return file_size(self.path)

    def every(self) -> Sequence[Row]:
        return self._asked(f"{_ROWS} order by number")

    def owned(self) -> Sequence[Row]:
        return self._asked(f"{_ROWS} where owner<>'' order by number")

    def named(self, run: str) -> Sequence[Row]:
        return self._asked(f"{_ROWS} where run=?", run)

    def numbered(self, number: int) -> Sequence[Row]:
        return self._asked(f"{_ROWS} where number=?", number)

    def names(self) -> list[str]:
        return [row[0] for row in self._asked("select run from runs order by number desc limit 1000")]

    def entries(self, number: int) -> list[bytes]:
        return [row[0] for row in self._asked("select entry from entries where run=? order by seq", number)]

    def answers(self, number: int) -> list[tuple[str, bytes, object]]:
        return self._asked("select key, value, at from answers where run=?", number)

    def lost(self, number: int, entries: Sequence[bytes]) -> str:
        head = self._heads.get(number)
        return "" if head is None else head.lost(entries)

    def _asked(self, query: str, *given: object) -> list[Any]:
        return self._database.execute(query, given).fetchall()

    # Removing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self, number: int) -> Iterator[None]:
        with self._database:
            self._database.execute("begin immediate")
            yield

    def delete(self, number: int) -> None:
        for table, column in (("entries", "run"), ("answers", "run"), ("runs", "number")):
            self._database.execute(f"delete from {table} where {column}=?", (number,))
        # Before the commit: a head that is missing says nothing, and one without a run would say something wrong.
        Heads(self.path).forget(number)

    def shrunk(self) -> str:
        try:
            self._database.execute("vacuum")
            self._database.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.OperationalError as error:
            return str(error)
        return ""


@contextmanager
def reading_file(path: Path, head_of: str = "") -> Iterator[FileRows | None]:
    """A file at one moment; None when a journal has been opened there and nothing was written yet.

    Of the run ``head_of`` it is looked first how far it had come for certain: its owner may write more meanwhile.
    """
    heads = _heads(path, head_of) if head_of else {}
    with _named(path), closing(_opened_to_read(path)) as database:
        database.execute("begin")
        tables = {row[0] for row in database.execute("select name from sqlite_master where type='table'")}
        if tables and not {"runs", "entries", "answers"} <= tables:
            raise NoJournal(f"{path} is no journal, it is another database")
        _check_tables(database, path)
        yield FileRows(path, database, heads) if tables else None


def _heads(path: Path, run: str) -> dict[int, Head | None]:
    with reading_file(path) as rows:
        numbers = [] if rows is None else [row[0] for row in rows.named(run)]
    return {number: Heads(path).read(number) for number in numbers}


@contextmanager
def removing_from_file(path: Path) -> Iterator[FileRows]:
    """A file to take runs out of. Errors: ``Unanswered`` when it is not there."""
    with _named(path), closing(opened(path, create=False)) as database:
        yield FileRows(path, database, {})


def _opened_to_read(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise Unanswered(f"the journal {path}", "there is no such file")
    with path.open("rb") as file:
        if file.read(16) not in (b"SQLite format 3\0", b""):
            raise NoJournal(f"{path} is no journal")
    # Without write access the log's index cannot be made; without a log there is nobody who could be writing.
    alone = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    mode = "mode=ro&immutable=1" if alone else "mode=ro"
    return sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=10.0, isolation_level=None)


def file_size(path: Path) -> int:
    """What a journal takes on disk, with what belongs to it. Units: bytes."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-heads"))
    return sum(file.stat().st_size for file in files if file.exists())
