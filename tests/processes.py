"""Processes of durable runs, from the side of the tests: started fast, ended at exact places, and judged by traces."""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import attrs
import durable_programs
import pytest
from attrs import frozen
from durable_programs import Order

from lambdacat.context import idempotency_key
from lambdacat.interpreters.journal import past_of

PATIENCE = 30.0
"""Units: seconds after which a process is taken to hang."""
CALLS = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "unlink")
"""What changes files or makes changes safe: how SQLite and the steps here write."""

WINNERS = {"race": {"left", "middle", "right"}, "mixed": {"x", "y", "z"}}
"""Who may win the races of a shape."""

WIDTH = {"parallel": 3, "race": 3, "ask": 2, "mixed": 6}
"""How many steps of a shape can be in flight at once; of the others one."""
CLOCKS = (0.0, -3_600.0, 86_400.0)
"""R-J9: an hour behind, a day ahead."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt install strace")


class Place(NamedTuple):
    """A place in the life of a process: just before a thread's n-th call of one kind."""

    call: str
    n: int
    thread: str = "main"
    """``main``, or ``any`` for whichever thread comes to its n-th call first."""

    @property
    def traced(self) -> list[str]:
        """The options of strace that look at it."""
        return [*(["-f"] if self.thread == "any" else []), "-e", f"trace={self.call}"]


class Nursery:
    """Where processes come from: one that has everything loaded, and forks."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, durable_programs.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._orders: dict[int, Order] = {}

    def begin(self, order: Order) -> int:
        """Start a process; its number."""
        process = self._told(attrs.asdict(order))
        self._orders[process] = order
        return process

    def ended(self, process: int) -> int:
        """How a process ended, once it has: its exit code, or the negative number of a signal."""
        order = self._orders[process]
        try:
            code = self._told(process)
        except TimeoutError:
            os.kill(process, signal.SIGABRT)  # it says where it stands
            code = self._told(None)
        del self._orders[process]
        assert code != -signal.SIGABRT, f"{process} hung:\n{order.said.read_text()}"
        return code

    def perform(self, order: Order) -> dict[str, Any]:
        """A whole process; its report, without its number."""
        process = self.begin(order)
        assert self.ended(process) == 0
        return report(order, process)

    def tampered(self, order: Order, place: Place, what: str, *, ever_after: bool = False) -> tuple[int, int]:
        """A process to which something happens at a place, and perhaps from there on; its number, and how it ended."""
        when = f"{place.n}+" if ever_after else str(place.n)
        return self._traced(order, [*place.traced, "-e", f"inject={place.call}:{what}:when={when}"])

    def killed(self, order: Order, place: Place) -> bool:
        """A process that is killed at a place, unless it ends before it comes there."""
        return self.tampered(order, place, "signal=KILL")[1] == -signal.SIGKILL

    def places(self, order: Order) -> list[Place]:
        """Every place of an undisturbed process."""
        with TemporaryDirectory(dir=order.folder) as folder:
            log = Path(folder, "log")
            process, code = self._traced(
                attrs.evolve(order, folder=folder), ["-f", "-e", f"trace={','.join(CALLS)}"], str(log)
            )
            assert code == 0
            found = Counter(
                (int(number), call) for number, call in re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE)
            )
        most = {"main": Counter[str](), "any": Counter[str]()}
        for (number, call), count in found.items():
            thread = "main" if number == process else "any"
            most[thread][call] = max(most[thread][call], count)
        return [
            Place(call, n, thread)
            for thread, counts in most.items()
            for call, count in counts.items()
            for n in range(1, count + 1)
        ]

    def close(self) -> None:
        """Let it end, and what a test that failed has left of it."""
        for process in self._orders:
            os.kill(process, signal.SIGKILL)
        self._parent.communicate(timeout=PATIENCE)

    def _traced(self, order: Order, options: list[str], log: str = "/dev/null") -> tuple[int, int]:
        process = self.begin(attrs.evolve(order, traced=True))
        # Only calls that are traced are tampered with.
        command = ["strace", "-qq", "-o", log, "-p", str(process), *options]
        subprocess.run(command, check=False, timeout=PATIENCE, stderr=subprocess.DEVNULL)
        return process, self.ended(process)

    def _told(self, asked: object) -> int:
        to, back = self._parent.stdin, self._parent.stdout
        assert to is not None
        assert back is not None
        if asked is not None:
            to.write(json.dumps(asked).encode() + b"\n")
            to.flush()
        if not select.select([back], [], [], PATIENCE)[0]:
            raise TimeoutError
        return int(back.readline())


@cache
def _shared() -> Nursery:
    nursery = Nursery()
    atexit.register(nursery.close)
    return nursery


@pytest.fixture(scope="session")
def nursery() -> Nursery:
    """The nursery of all tests that import it."""
    return _shared()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder, in memory where there is such: what a killed process wrote is there whatever the disk does."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def perform(order: Order) -> dict[str, Any]:
    """What an order comes to in the process of the tests, which is faster where nothing happens to the process."""
    with redirect_stdout(StringIO()):
        return durable_programs.perform(order)


@cache
def undisturbed(shape: str) -> dict[str, Any]:
    """The state that a run comes to whom nothing happens."""
    with TemporaryDirectory() as folder:
        return without_winner(shape, perform(Order(shape, folder)))


def state_of(process: int) -> str:
    """The letter that the system has for what a process does."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def until(true: Callable[[], bool]) -> None:
    """Go on when something is true of another process."""
    give_up = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < give_up, "nothing happens"
        time.sleep(0.001)


# --- what is left of a process ---------------------------------------------------------------------------------------


def reports(order: Order) -> dict[int, dict[str, Any]]:
    """What each process of an order ended with, by its number."""
    found = [json.loads(line) for line in order.reports.read_text().splitlines()]
    return {one.pop("pid"): one for one in found}


def report(order: Order, process: int) -> dict[str, Any]:
    """What one process ended with."""
    return reports(order)[process]


Step = tuple[str, int]
"""One attempt at one execution of a step: idempotency key and number."""


@frozen
class Seen:
    """A run at rest: what its journal says and what its steps have left."""

    entries: tuple[bytes, ...]
    done: frozenset[Step]
    """What the journal has the outcome of."""
    performed: Counter[Step]

    @property
    def in_flight(self) -> frozenset[Step]:
        """What was performed and is not in the journal."""
        return frozenset(self.performed) - self.done


def seen(order: Order) -> Seen:
    """The run of an order as it is now, read from a copy: opening a journal repairs it."""
    with TemporaryDirectory() as folder:
        for file in Path(order.folder).glob("runs.db*"):
            shutil.copy(file, folder)
        journal = attrs.evolve(order, folder=folder).journal
        try:
            entries, past = tuple(journal.entries()), past_of(journal)
        finally:
            journal.close()
    done = () if past is None else [step_of(past.run, d["key"]) for d in past.documents if d["kind"] == "done"]
    assert len(done) == len(set(done)), "a step stands in the journal twice"
    return Seen(entries, frozenset(done), performed(order))


def performed(order: Order) -> Counter[Step]:
    """How often each step of an order was performed."""
    lines = order.traces.read_text().splitlines() if order.traces.exists() else []
    return Counter((key, int(attempt)) for key, attempt, _, _ in map(str.split, lines))


def step_of(run: str, key: str) -> Step:
    """Which step an entry is of: its idempotency key, and the attempt at it."""
    path, _, turns = key.partition("#")
    kept = ".".join(turn for turn in turns.split(".") if not turn.startswith("a"))
    attempt = re.search(r"a(\d+)$", turns)
    return idempotency_key(run, f"{path}#{kept}" if kept else path), int(attempt[1]) if attempt else 1


def without_winner(shape: str, report: dict[str, Any]) -> dict[str, Any]:
    """The state that a run came to; who won its race may be anybody."""
    assert "success" in report, report
    work = dict(report["success"])
    if shape in WINNERS:
        assert work.pop("winner") in WINNERS[shape]
    return work


def names(order: Order) -> list[str]:
    """The steps that were performed, in order."""
    return [line.split()[3] for line in order.traces.read_text().splitlines()]


def epochs(order: Order) -> list[tuple[str, int]]:
    """Each step that was performed, with the ownership that it was performed in."""
    return [(step, int(epoch)) for _, _, epoch, step in map(str.split, order.traces.read_text().splitlines())]


def judge_kills(order: Order, kills: Sequence[Seen], after: Seen) -> None:
    """What must hold between each kill and the end of the run."""
    for killed in kills:
        assert after.entries[: len(killed.entries)] == killed.entries, "an entry was lost"
        assert len(killed.in_flight) <= WIDTH.get(order.shape, 1)
        if order.shape == "parallel":
            assert len(killed.done) in (0, 3, 4), "a tick was written in part"
        fresh = after.performed - killed.performed
        assert not fresh.keys() & killed.done, "a step that was done was performed again"
    for step, times in after.performed.items():
        assert times <= 1 + sum(step in killed.in_flight for killed in kills)
    assert after.done <= after.performed.keys()
    if order.shape not in WINNERS:
        assert after.done == after.performed.keys()


def come_together(nursery: Nursery, order: Order, crowd: int, clocks: Sequence[float] = (0.0,)) -> list[dict[str, Any]]:
    """So many processes that go for one run at once; the one that owns it lasts until the others have reported."""
    gate = Path(order.folder, "gate")
    Path(order.folder, "crowd").write_text(str(crowd))
    came = [
        nursery.begin(attrs.evolve(order, gate=str(gate), clock=clocks[number % len(clocks)]))
        for number in range(crowd)
    ]
    gate.touch()
    assert [nursery.ended(process) for process in came] == [0] * crowd
    gate.unlink()
    return [report(order, process) for process in came]


def judge_crowd(order: Order, said: Sequence[dict[str, Any]], wanted: Sequence[str]) -> None:
    """One came to the end and the others were told that it goes on; nothing was performed but what had to be."""
    ends = sorted(one.get("raised", "success") for one in said)
    assert ends == ["RunBusy"] * (len(said) - 1) + ["success"], said
    assert all("is going on in process" in one["text"] for one in said if "raised" in one)
    assert names(order) == list(wanted)
    assert seen(order).done == performed(order).keys()


def undisturbed_but_stalled() -> dict[str, Any]:
    """The state that a run comes to in which one step stands still, or ends its process."""
    return {**undisturbed("chain"), "a": 1, "b": 1, "c": 1, "d": 0, "parts": [1, 2, 3]}


def judge_takeover(nursery: Nursery, order: Order) -> None:
    """An owner that stands still is taken over; when it goes on, its append is refused by name and changes nothing."""
    stalled = nursery.begin(order)
    until(lambda: state_of(stalled) == "T")
    before = seen(order)
    said: dict[str, Any] = {"raised": "RunBusy"}
    while said.get("raised") == "RunBusy":
        said = nursery.perform(order)
    assert said["success"] == undisturbed_but_stalled()
    after = seen(order)
    os.kill(stalled, signal.SIGCONT)
    assert nursery.ended(stalled) == 0
    told = report(order, stalled)
    assert told["raised"] == "RunBusy"
    assert "taken over by another process" in told["text"]
    assert seen(order) == after
    assert after.entries[: len(before.entries)] == before.entries
    assert epochs(order) == [("one", 1), ("stalled", 1), ("stalled", 2), ("last", 2)]
