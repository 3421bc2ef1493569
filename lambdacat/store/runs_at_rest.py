"""A journal file seen from outside: which runs are in it, how far each has come, and which of them may go.

Nothing here owns a run. Reading leaves the file as it is; what is removed is removed only if it still is as it was
looked at.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, final
from urllib.parse import quote

from attrs import evolve, field, frozen

from lambdacat.codec import Codecs
from lambdacat.fault import Unanswered
from lambdacat.interpreters.journal import JournalCorrupt, MemoryJournal, Past, RunBusy, RunSetAside, near, past_of
from lambdacat.store.heads import Heads
from lambdacat.store.journals import _check_tables, _named, opened
from lambdacat.store.leases import Lease, Owner

Status: TypeAlias = Literal["running", "unfinished", "waiting", "success", "failure", "set-aside", "damaged"]
"""``waiting``: nothing can be done before somebody answers. ``unfinished``: to resume it would get it further.
``damaged``: an entry is not what was written."""


class NoJournal(JournalCorrupt):
    """A file that no journal has written."""


class NoRun(KeyError):
    """A journal file has no run of that name."""

    def __str__(self) -> str:
        # A KeyError shows the repr of its message.
        return str(self.args[0])


@final
@frozen(kw_only=True)
class RunAtRest:
    """One run of a file, as it was when somebody looked."""

    run: str
    status: Status
    steps: int
    """How many actions have their outcome in the journal."""
    questions: int
    """How many are open."""
    size: int
    """Units: bytes of entries and answers."""
    created: float
    """Units: seconds since 1970 in UTC, here and in ``updated``."""
    updated: float
    owner: int | None
    """The number of the process that the run belongs to and that is alive, also when it has said nothing for long."""
    busy: str
    """What somebody who wants to resume it is told; empty when nobody owns it."""
    crashes: int
    """How often in a row its process ended without getting it any further."""
    aside: str
    """Why it was set aside."""
    entries: int
    epoch: int
    number: int = field(repr=False)
    """Of its row in the file."""


# --- reading ---------------------------------------------------------------------------------------------------------


def runs_in(path: Path) -> tuple[RunAtRest, ...]:
    """The runs of a file at one moment, oldest first. Errors: ``NoJournal``, ``Unanswered``."""
    with _reading(path) as database:
        return () if database is None else _runs(database)


def run_in(path: Path, run: str) -> RunAtRest:
    """One run of a file. Errors: ``NoRun`` with the nearest name there is, ``NoJournal``, ``Unanswered``."""
    known: list[str] = []
    with _reading(path) as database:
        if database is not None:
            for found in _runs(database, "where run=?", (run,)):
                return found
            known = [row[0] for row in database.execute("select run from runs order by number desc")]
    raise NoRun(f"{path} has no run {run!r}; {near(run, known)}")


def journal_at_rest(path: Path, run: str, codecs: Codecs | None = None) -> MemoryJournal:
    """The journal of one run as it stands, apart from the file. Errors: ``NoRun``, ``JournalCorrupt``, ``Unanswered``.

    Whoever reads it through ``past_of`` has it checked from the first entry to the last.
    """
    found = run_in(path, run)
    # What was said to be safe is read first: an owner may write more meanwhile.
    head = Heads(path).read(found.number)
    entries = [row[0] for row in _rows(path, "select entry from entries where run=? order by seq", found.number)]
    if head is not None and (lost := head.lost(entries)):
        raise JournalCorrupt(f"run {run!r} in {path}: {lost}; restore the file from a copy")
    copy = MemoryJournal(run, codecs=codecs or ())
    copy.append_all(entries)
    for key, value in _rows(path, "select key, value from answers where run=?", found.number):
        copy.answer(key, value)
    return copy


def _rows(path: Path, query: str, number: int) -> list[Any]:
    with _reading(path) as database:
        return [] if database is None else database.execute(query, (number,)).fetchall()


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The file at one moment; None when a journal has been opened there and nothing was written yet."""
    with _named(path), closing(_opened_to_read(path)) as database:
        database.execute("begin")
        tables = {row[0] for row in database.execute("select name from sqlite_master where type='table'")}
        if tables and not {"runs", "entries", "answers"} <= tables:
            raise NoJournal(f"{path} is no journal, it is another database")
        _check_tables(database, path)
        yield database if tables else None


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


# --- how far a run has come ------------------------------------------------------------------------------------------

_ROWS = "select number, run, created, updated, epoch, owner, deadline, crashes, reached, aside from runs"


def _runs(database: sqlite3.Connection, where: str = "", given: tuple[Any, ...] = ()) -> tuple[RunAtRest, ...]:
    by = Owner.this()
    rows = database.execute(f"{_ROWS} {where} order by number", given).fetchall()
    return tuple(_at_rest(database, by, *row) for row in rows)


def _at_rest(
    database: sqlite3.Connection, by: Owner, number: int, run: str, created: object, updated: object, *lease: Any
) -> RunAtRest:
    entries = [row[0] for row in database.execute("select entry from entries where run=? order by seq", (number,))]
    answers = database.execute("select key, length(value), at from answers where run=?", (number,)).fetchall()
    seen = RunAtRest(
        run=run,
        status="damaged",
        steps=0,
        questions=0,
        size=sum(map(len, entries)) + sum(size for _, size, _ in answers),
        created=_instant(created),
        updated=max(map(_instant, (updated, *(at for _, _, at in answers)))),
        owner=None,
        busy="",
        crashes=0,
        aside="",
        entries=len(entries),
        epoch=0,
        number=number,
    )
    copy = MemoryJournal(run)
    copy.append_all(entries)
    try:
        past = past_of(copy)
        return _owned(_told(seen, past, {key for key, _, _ in answers}), Lease(*lease, here=len(entries)), by)
    except JournalCorrupt:
        return seen


def _instant(value: object) -> float:
    """Units: seconds since 1970 in UTC; 0 for what is no instant of these centuries."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < _LATEST else 0.0


_LATEST = 2.0**35


def _told(seen: RunAtRest, past: Past | None, given: set[str]) -> RunAtRest:
    """The run with what its entries say, and the answers that were given."""
    if past is None:
        return evolve(seen, status="unfinished")
    asked = {d["key"] for d in past.documents if d["kind"] == "asked"}
    taken_up = {d["key"] for d in past.documents if d["kind"] == "answer"}
    last = past.documents[-1]
    if last["kind"] == "end":
        # A race that was won has withdrawn its questions.
        asked &= set(last["questions"])
    fresh = past.status == "waiting" and bool((given & asked) - taken_up)
    return evolve(
        seen,
        status="unfinished" if fresh else cast("Status", past.status),
        steps=sum(d["kind"] == "done" for d in past.documents),
        questions=len(asked - taken_up - given),
    )


def _owned(seen: RunAtRest, lease: Lease, by: Owner) -> RunAtRest:
    """The run with who owns it, or why nobody does."""
    refusal = (taken := lease.taken(seen.run, by, 1.0, again=False)).refusal
    owner = Owner.parse(lease.owner) if lease.owner else None
    found = evolve(seen, epoch=lease.epoch, crashes=taken.crashes)
    if isinstance(refusal, RunBusy):
        found = evolve(found, status="running", busy=str(refusal))
    elif isinstance(refusal, RunSetAside) and seen.status not in ("success", "failure"):
        found = evolve(found, status="set-aside", aside=taken.aside)
    if owner is not None and (found.busy or owner.alive()):
        found = evolve(found, owner=owner.number)
    return found


# --- removing --------------------------------------------------------------------------------------------------------


@final
@frozen(kw_only=True)
class Removed:
    """What was removed from a file, and what that came to."""

    runs: tuple[RunAtRest, ...]
    kept: tuple[RunAtRest, ...]
    """Runs that somebody has taken up or answered since they were looked at."""
    before: int
    """Units: bytes of the file, here and in ``after``."""
    after: int
    large: str
    """Why the file could not be made smaller; its free space is used again. Empty when it was."""


def old_runs(path: Path, statuses: Collection[Status], seconds: float) -> tuple[RunAtRest, ...]:
    """The runs of these statuses that nothing has happened to for so long. Law: none is owned, and none waits."""
    now = time.time()
    return tuple(
        run for run in runs_in(path)
        if run.status in statuses and run.status not in ("running", "waiting") and run.owner is None
        and now - run.updated >= seconds
    )  # fmt: skip


def named_runs(path: Path, names: Collection[str]) -> tuple[RunAtRest, ...]:
    """The runs of these names. Errors: ``NoRun``."""
    return tuple(run_in(path, name) for name in dict.fromkeys(names))


def remove(path: Path, runs: Collection[RunAtRest]) -> Removed:
    """Take runs out of a file and give the space back. Law: a run that somebody took up since it was looked at stays.

    One that was owned already goes, and its owner stops at its next entry. While another run is going on the file is
    not made smaller, because its steps would have to wait for that.
    """
    before = file_size(path)
    gone: list[RunAtRest] = []
    kept: list[RunAtRest] = []
    with _named(path), closing(opened(path, create=False)) as database:
        for run in runs:
            (gone if _removed(database, path, run) else kept).append(run)
        large = _shrunk(database) if gone else "nothing was removed"
    return Removed(runs=tuple(gone), kept=tuple(kept), before=before, after=file_size(path), large=large)


def file_size(path: Path) -> int:
    """What a journal takes on disk, with what belongs to it. Units: bytes."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-heads"))
    return sum(file.stat().st_size for file in files if file.exists())


def _removed(database: sqlite3.Connection, path: Path, run: RunAtRest) -> bool:
    with database:
        database.execute("begin immediate")
        found = _runs(database, "where number=?", (run.number,))
        if not found or (run.owner is None and found != (run,)):
            return False
        for table, column in (("entries", "run"), ("answers", "run"), ("runs", "number")):
            database.execute(f"delete from {table} where {column}=?", (run.number,))
        # Before the commit: a head that is missing says nothing, and one without a run would say something wrong.
        Heads(path).forget(run.number)
    return True


def _shrunk(database: sqlite3.Connection) -> str:
    """Give free space back to the file system; says why that could not be."""
    busy = [run.run for run in _runs(database, "where owner<>''") if run.status == "running"]
    if busy:
        return f"run {busy[0]!r} is going on"
    try:
        database.execute("vacuum")
        database.execute("pragma wal_checkpoint(truncate)")
    except sqlite3.OperationalError as error:
        return str(error)
    return ""
