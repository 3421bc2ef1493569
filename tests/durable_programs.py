"""Processes for durable runs: each performs one order and reports what it came to.

As a program of its own it forks a process for each order that it reads, with everything loaded already.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import resource as limits_of_process
import signal
import sys
import time
import traceback
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import frozen
from durable_plans import SHAPES, TRACES, Traces, Work, Works

from lambdacat import (
    Context,
    Failure,
    Journal,
    JournalCorrupt,
    Limits,
    Outcome,
    RunBusy,
    RunSetAside,
    SqliteJournal,
    Success,
    Unanswered,
    Waiting,
    answer,
    arun,
    questions,
    resume,
    run,
)

if TYPE_CHECKING:
    from lambdacat.store.postgres_journal import PostgresJournal

RUN = "the run"

DIRECT = frozenset({"chain", "loop", "retry", "swelling", "stalling", "dying", "crowded"})
"""The shapes that are run in the process's own thread; the others on an event loop."""

ANSWERS = {"which word?": "sheaf", "go on?": "yes"}


# --- one process -----------------------------------------------------------------------------------------------------


@frozen
class Order:
    """What one process is to do."""

    shape: str
    folder: str
    """Where the journal is."""
    run: str = RUN
    aside: str = ""
    """Where the traces and the reports go; by default the same folder."""
    answers: bool = True
    """Whether it answers what the run asks."""
    again: bool = False
    lease_seconds: float = 30.0
    traced: bool = False
    """Whether it waits until somebody traces it."""
    gate: str = ""
    """A file that it waits for."""
    dsn: str = ""
    """The PostgreSQL database that the journal is in, instead of a file."""
    durability: Literal["full", "normal"] = "full"
    user: int | None = None
    """Who it runs as."""
    file_size: int | None = None
    """Units: bytes that a file may have."""
    clock: float = 0.0
    """How far the wall clock of the process is off. Units: seconds."""

    @property
    def path(self) -> Path:
        """The journal file."""
        return Path(self.folder, "runs.db")

    @property
    def journal(self) -> SqliteJournal | PostgresJournal:
        """A handle on the run."""
        terms: Any = {"run_id": self.run, "durability": self.durability, "lease_seconds": self.lease_seconds}
        if self.dsn:
            from lambdacat.store.postgres_journal import PostgresJournal

            return PostgresJournal(self.dsn, **terms)
        return SqliteJournal(self.path, **terms)

    @property
    def traces(self) -> Path:
        """The side file of the steps."""
        return Path(self.aside or self.folder, "traces")

    @property
    def said(self) -> Path:
        """Where its standard output goes."""
        return Path(self.aside or self.folder, "said")

    @property
    def reports(self) -> Path:
        """What each process ended with, one JSON document a line."""
        return Path(self.aside or self.folder, "reports")


def perform(order: Order) -> dict[str, Any]:
    """Run the order's plan to its end, or as far as it comes: a report of that."""
    plan = SHAPES[order.shape]()
    context = Context(wall=lambda: time.time()).provide(TRACES, Traces(order.traces))
    try:
        journal = order.journal
        while True:
            outcome = _once(order, plan, journal, context)
            if not (order.answers and _answered(journal, outcome)):
                return reported(outcome)
    except (RunBusy, RunSetAside, JournalCorrupt, Unanswered) as error:
        return {"raised": type(error).__name__, "text": str(error)}


def _once(order: Order, plan: Works, journal: Journal, context: Context) -> Outcome[Work]:
    if order.shape in DIRECT and not order.again:
        return run(plan, Work(), journal=journal, context=context)
    return asyncio.run(_on_loop(order, plan, journal, context))


async def _on_loop(order: Order, plan: Works, journal: Journal, context: Context) -> Outcome[Work]:
    stop, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert stop is not None
    cancel = stop.cancel

    def told(_number: int, _frame: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the run was over before
            loop.call_soon_threadsafe(cancel)

    # Of itself an event loop makes a cancellation of Ctrl-C alone; and a handler of its own would end before it does.
    signal.signal(signal.SIGTERM, told)
    limits = Limits(grace=0.5)
    if order.again:
        return await resume(plan, journal, context=context, limits=limits, again=True)
    return await arun(plan, Work(), journal=journal, context=context, limits=limits)


def _answered(journal: Journal, outcome: Outcome[Work]) -> bool:
    match outcome:
        case Failure(Waiting()):
            asked = questions(journal)
            told = [answer(journal, key, ANSWERS[asked[key]["text"]]) for key in asked]
            return any(told)
        case _:
            return False


def reported(outcome: Outcome[Work]) -> dict[str, Any]:
    """An outcome as a document."""
    match outcome:
        case Success(work):
            return {"success": json.loads(json.dumps(attrs.asdict(work)))}
        case Failure(fault):
            return {"failure": type(fault).__name__, "text": str(fault)}
    raise AssertionError(f"{outcome!r} is no outcome")


# --- many processes --------------------------------------------------------------------------------------------------


def serve() -> None:
    """Fork a process for each order on the standard input and say its number; wait for one when asked, and say how."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        for shape in ("chain", "ask"):
            perform(Order(shape, folder, run=shape))  # so that everything is loaded
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
        else:
            print(_forked(Order(**asked)), flush=True)


def _forked(order: Order) -> int:
    _ = order.journal  # so that its client is loaded
    number = os.fork()
    if number:
        return number
    report: dict[str, Any] = {}
    try:
        _become(order)
        report = perform(order)
        # A run that is over is not interrupted any more; until here an interrupt is what the run came to.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException as error:  # noqa: BLE001  it is reported, and the process ends
        report = report or {"raised": type(error).__name__, "text": "".join(traceback.format_exception(error))}
    finally:
        _append(order.reports, json.dumps({"pid": os.getpid(), **report}) + "\n")
        os._exit(0)


def _become(order: Order) -> None:
    """What an order says of its process."""
    os.dup2(os.open(order.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), 1)
    faulthandler.enable(1)
    if order.clock:
        off, real = order.clock, time.time
        time.time = lambda: real() + off
    if order.file_size is not None:
        limits_of_process.setrlimit(limits_of_process.RLIMIT_FSIZE, (order.file_size, order.file_size))
    if order.user is not None:
        os.setgroups([])
        os.setgid(order.user)
        os.setuid(order.user)
    while order.gate and not Path(order.gate).exists():
        time.sleep(0.0005)
    while order.traced and "TracerPid:\t0" in Path("/proc/self/status").read_text():
        time.sleep(0.0005)


def _append(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    os.write(file, line.encode())
    os.close(file)


if __name__ == "__main__":
    serve()
