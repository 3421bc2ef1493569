"""What a durable run costs: a step over one insert and commit by hand, its bytes, and going on with a long journal.

``python -m bench durable [--folder F]`` prints these rows alone. The floor writes the same bytes to a database with the
same settings in the same folder.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import field, frozen
from rpds import HashTrieMap

from bench.pairs import Question, Row, compared, seconds
from lambdacat import Plan, SqliteJournal, arun, lens, parallel, run, sequence, task
from lambdacat.interpreters.journal import MemoryJournal

STEPS = 200
"""Steps in one measurement."""
BRANCHES = 16
TICKS = 50
LONG = 10_000
"""Entries of a long journal."""


@frozen
class Counter:
    """A small state."""

    number: int = 0
    words: str = "some words that no step here changes"


@frozen
class Table:
    """A state that can be large."""

    rows: HashTrieMap[str, int] = field(factory=HashTrieMap)
    number: int = 0


NUMBER = lens(Counter, lambda c: c.number)


@task(reads=NUMBER, writes=NUMBER, blocking="inline")
def more(number: int) -> int:
    """A step that costs nothing itself."""
    return number + 1


@task(reads=NUMBER, writes=())
async def seen(number: int) -> None:
    """A branch that costs nothing itself."""


@task
def changed(table: Table) -> Table:
    """A step on the whole state that changes one row."""
    return Table(table.rows.insert("row 5", table.number), table.number + 1)


CHAIN: Plan[Counter, Counter] = sequence(*[more] * STEPS)
FAN: Plan[Counter, Counter] = sequence(*[parallel(*[seen] * BRANCHES, join=lambda fork, results: fork)] * TICKS)


# --- by hand ---------------------------------------------------------------------------------------------------------


def by_hand(folder: Path, entry: bytes, times: int) -> None:
    """So many inserts, each committed, with the settings of a journal that flushes; the file is opened and closed."""
    with closing(_opened(folder)) as database:
        _insert(database, entry, times)


def _opened(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "by hand.db", isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table if not exists entries (seq integer primary key, entry blob)")
    return database


def _insert(database: sqlite3.Connection, entry: bytes, times: int) -> None:
    for _ in range(times):
        database.execute("insert into entries (entry) values (?)", (entry,))


def _typical(plan: Plan[Counter, Counter]) -> bytes:
    """One entry of a plan."""
    journal = MemoryJournal()
    asyncio.run(arun(plan, Counter(), journal=journal))
    return list(journal.entries())[5]


# --- questions -------------------------------------------------------------------------------------------------------


def stepping(pairs: int) -> Row:
    """A durable step; what a run costs besides its steps is in it, and the file is opened and closed on both sides."""
    with TemporaryDirectory() as name:
        folder, entry = Path(name), _typical(CHAIN)
        floor = partial(by_hand, folder, entry, STEPS)
        return compared("a durable step vs an insert and commit", _chains(folder), floor, 1.5, pairs, STEPS)


def stepping_in_a_file_kept_open(pairs: int) -> Row:
    """The same over inserts into a file that stays open, whose log does not grow any more: no run has that."""
    with TemporaryDirectory() as name, closing(_opened(Path(name))) as database:
        floor = partial(_insert, database, _typical(CHAIN), STEPS)
        return compared("the same vs one in a file kept open", _chains(Path(name)), floor, None, pairs, STEPS)


def _chains(folder: Path) -> Callable[[], object]:
    """The chain as a run of its own, each time."""
    runs = count()
    return lambda: run(CHAIN, Counter(), journal=SqliteJournal(folder / "runs.db", run_id=f"run {next(runs)}"))


def ticking(pairs: int) -> Row:
    """Branches that end in one tick of the event loop, whose entries go into one transaction."""
    with TemporaryDirectory() as name, asyncio.Runner() as runner:
        folder, entry, runs = Path(name), _typical(FAN), count()

        def ours() -> None:
            journal = SqliteJournal(folder / "runs.db", run_id=f"run {next(runs)}")
            runner.run(arun(FAN, Counter(), journal=journal))

        floor = partial(by_hand, folder, entry, BRANCHES * TICKS)
        return compared(f"a tick of {BRANCHES} branches vs as many commits", ours, floor, 0.3, pairs, TICKS)


def _bytes_a_step(entries: int) -> float:
    """How much a step adds to the journal of a state with so many entries."""
    journal = MemoryJournal()
    table = Table(HashTrieMap({f"row {i}": i for i in range(entries)}))
    run(sequence(*[changed] * 10), table, journal=journal)
    steps = [entry for entry in journal.entries() if b'"kind":"done"' in entry]
    return median(map(len, steps))


def sizing(pairs: int) -> Row:
    """Bytes of a step on the whole state when that has 100,000 entries, against one with 10."""
    large, small = _bytes_a_step(100_000), _bytes_a_step(10)
    return Row("bytes a step, 100,000 entries vs 10", "B ", large, small, large / small, 1.05, 1)


def resuming(pairs: int) -> Row:
    """What going on with a long journal costs an entry, beyond reading its rows; the floor is one microsecond.

    In time of the processor: nothing here waits for the disk.
    """
    plan = more.loop_while(NUMBER.where(lambda number: number < LONG))
    with TemporaryDirectory() as name:
        path, beyond = Path(name, "runs.db"), list[float]()
        run(plan, Counter(), journal=SqliteJournal(path, run_id="long", durability="normal"))
        gc.collect()
        gc.disable()
        try:
            for _ in range(pairs):
                reading = seconds(lambda: len(list(SqliteJournal(path, run_id="long").entries())), time.process_time)
                again = SqliteJournal(path, run_id="long")
                going_on = seconds(partial(run, plan, Counter(), journal=again), time.process_time)
                beyond.append((going_on - reading) / LONG * 1e6)
        finally:
            gc.enable()
    us = median(beyond)
    return Row(f"resume of {LONG:,} entries, us an entry beyond rows", "us", us, 1.0, us, 5, pairs)


QUESTIONS: tuple[Question, ...] = (stepping, stepping_in_a_file_kept_open, ticking, sizing, resuming)
