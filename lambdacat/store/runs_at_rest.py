"""Journals seen from outside: which runs a file or a database has, how far each has come, and which of them may go.

Nothing here owns a run. Reading leaves a place as it is; what is removed is removed only if it still is as it was
looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias, assert_never, cast, final

from attrs import evolve, field, frozen

from lambdacat.codec import Codecs
from lambdacat.interpreters.journal import (
    JournalCorrupt,
    MemoryJournal,
    Past,
    RunBusy,
    RunSetAside,
    near,
    past_of,
)
from lambdacat.store.leases import Lease, Owner
from lambdacat.store.places import Database, Place
from lambdacat.store.rows import Removing, Row, Rows
from lambdacat.store.rows_in_file import reading_file, removing_from_file

Status: TypeAlias = Literal["running", "unfinished", "waiting", "success", "failure", "set-aside", "damaged"]
"""``waiting``: nothing can be done before somebody answers. ``unfinished``: to resume it would get it further.
``damaged``: an entry is not what was written."""


class NoRun(KeyError):
    """A place has no run of that name."""

    def __str__(self) -> str:
        # A KeyError shows the repr of its message.
        return str(self.args[0])


@final
@frozen(kw_only=True)
class RunAtRest:
    """One run of a place, as it was when somebody looked."""

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
    """Of its row."""


# --- reading ---------------------------------------------------------------------------------------------------------


@contextmanager
def _reading(place: Place, run: str = "") -> Iterator[Rows | None]:
    """What stands in a place at one moment, ``run`` being the one whose entries are wanted; None when it is empty."""
    match place:
        case Path():
            with reading_file(place, run) as in_file:
                yield in_file
        case Database():
            from lambdacat.store.rows_in_database import reading_database

            with reading_database(place) as in_database:
                yield in_database
        case _:
            assert_never(place)


def runs_in(place: Place) -> tuple[RunAtRest, ...]:
    """The runs of a place at one moment, oldest first. Errors: ``NoJournal``, ``Unanswered``."""
    with _reading(place) as rows:
        return () if rows is None else _runs(rows, rows.every())


def run_in(place: Place, run: str) -> RunAtRest:
    """One run of a place. Errors: ``NoRun`` with the nearest name there is, ``NoJournal``, ``Unanswered``."""
    with _reading(place) as rows:
        for found in () if rows is None else _runs(rows, rows.named(run)):
            return found
        known = [] if rows is None else rows.names()
    raise NoRun(f"{place} has no run {run!r}; {near(run, known)}")


def journal_at_rest(place: Place, run: str, codecs: Codecs | None = None) -> MemoryJournal:
    """The journal of one run as it stands, apart from its place. Errors: ``NoRun``, ``JournalCorrupt``, ``Unanswered``.

    Whoever reads it through ``past_of`` has it checked from the first entry to the last.
    """
    found = run_in(place, run)
    copy = MemoryJournal(run, codecs=codecs or ())
    with _reading(place, run) as rows:
        entries = [] if rows is None else rows.entries(found.number)
        if rows is not None and (lost := rows.lost(found.number, entries)):
            raise JournalCorrupt(f"run {run!r} in {place}: {lost}; restore the file from a copy")
        copy.append_all(entries)
        for key, value, _ in () if rows is None else rows.answers(found.number):
            copy.answer(key, value)
    return copy


def size_of(place: Place) -> int:
    """What a place takes on disk. Units: bytes."""
    with _reading(place) as rows:
        return 0 if rows is None else rows.size()


# --- how far a run has come ------------------------------------------------------------------------------------------


def _runs(rows: Rows, found: Sequence[Row]) -> tuple[RunAtRest, ...]:
    by = Owner.this()
    return tuple(_at_rest(rows, by, row) for row in found)


def _at_rest(rows: Rows, by: Owner, row: Row) -> RunAtRest:
    number, run, created, updated, *lease = row
    entries, answers = rows.entries(number), rows.answers(number)
    kept = (*entries, *(value for _, value, _ in answers))
    seen = RunAtRest(
        run=run,
        status="damaged",
        steps=0,
        questions=0,
        size=sum(len(each) for each in kept if isinstance(each, (bytes, str))),
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
        told = _told(seen, past_of(copy), {key for key, _, _ in answers})
        return _owned(told, Lease(*lease, here=len(entries)), by, rows)
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


def _owned(seen: RunAtRest, lease: Lease, by: Owner, rows: Rows) -> RunAtRest:
    """The run with who owns it, or why nobody does."""
    taken = lease.taken(seen.run, by, 1.0, again=False, now=rows.now(), far=rows.far)
    refusal = taken.refusal
    owner = Owner.parse(lease.owner) if lease.owner else None
    found = evolve(seen, epoch=lease.epoch, crashes=taken.crashes)
    if isinstance(refusal, RunBusy):
        found = evolve(found, status="running", busy=str(refusal))
    elif isinstance(refusal, RunSetAside) and seen.status not in ("success", "failure"):
        found = evolve(found, status="set-aside", aside=taken.aside)
    if owner is not None and (found.busy or owner.alive(far=rows.far)):
        found = evolve(found, owner=owner.number)
    return found


# --- removing --------------------------------------------------------------------------------------------------------


@final
@frozen(kw_only=True)
class Removed:
    """What was removed from a place, and what that came to."""

    runs: tuple[RunAtRest, ...]
    kept: tuple[RunAtRest, ...]
    """Runs that somebody has taken up or answered since they were looked at."""
    before: int
    """Units: bytes on disk, here and in ``after``."""
    after: int
    large: str
    """Why the place could not be made smaller; its free space is used again. Empty when it was."""


@contextmanager
def _removing(place: Place) -> Iterator[Removing]:
    match place:
        case Path():
            with removing_from_file(place) as in_file:
                yield in_file
        case Database():
            from lambdacat.store.rows_in_database import removing_from_database

            with removing_from_database(place) as in_database:
                yield in_database
        case _:
            assert_never(place)


def old_runs(place: Place, statuses: Collection[Status], seconds: float) -> tuple[RunAtRest, ...]:
    """The runs of these statuses that nothing has happened to for so long. Law: none is owned, and none waits.

    Units: ``seconds`` on the clock that dated them: of a database its server's.
    """
    with _reading(place) as rows:
        if rows is None:
            return ()
        now = rows.wall()
        found = _runs(rows, rows.every())
    return tuple(
        run for run in found
        if run.status in statuses and run.status not in ("running", "waiting") and run.owner is None
        and now - run.updated >= seconds
    )  # fmt: skip


def named_runs(place: Place, names: Collection[str]) -> tuple[RunAtRest, ...]:
    """The runs of these names. Errors: ``NoRun``."""
    return tuple(run_in(place, name) for name in dict.fromkeys(names))


def remove(place: Place, runs: Collection[RunAtRest]) -> Removed:
    """Take runs out of a place and give the space back. Law: a run that somebody took up since it was looked at stays.

    One that was owned already goes, and its owner stops at its next entry. While another run is going on a file is not
    made smaller, because its steps would have to wait for that.
    """
    before = size_of(place)
    gone: list[RunAtRest] = []
    kept: list[RunAtRest] = []
    with _removing(place) as rows:
        for run in runs:
            (gone if _removed(rows, run) else kept).append(run)
        large = _shrunk(rows) if gone else "nothing was removed"
    return Removed(runs=tuple(gone), kept=tuple(kept), before=before, after=size_of(place), large=large)


def _removed(rows: Removing, run: RunAtRest) -> bool:
    with rows.locked(run.number):
        found = _runs(rows, rows.numbered(run.number))
        if not found or (run.owner is None and found != (run,)):
            return False
        rows.delete(run.number)
    return True


def _shrunk(rows: Removing) -> str:
    """Give free space back to the file system; says why that could not be."""
    busy = [run.run for run in _runs(rows, rows.owned()) if run.status == "running"]
    return f"run {busy[0]!r} is going on" if busy else rows.shrunk()
