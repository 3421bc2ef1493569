"""Plans of every shape for durable runs that are killed, stopped and raced for; their steps leave traces.

Each step appends a line to a side file before it gives its result, so that what was performed can be counted whatever
becomes of the process.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
from attrs import evolve, frozen

from lambdacat import (
    FIRST_COMPLETED,
    Context,
    Fixed,
    Key,
    Lens,
    Plan,
    Quorum,
    approve,
    ask,
    choose,
    each,
    identity,
    lens,
    parallel,
    task,
)


@frozen
class Work:
    """The state of every plan here."""

    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    parts: tuple[int, ...] = (1, 2, 3)
    winner: str = ""
    word: str = ""


A = lens(Work, lambda w: w.a)
B = lens(Work, lambda w: w.b)
C = lens(Work, lambda w: w.c)
D = lens(Work, lambda w: w.d)
PARTS = lens(Work, lambda w: w.parts)
WINNER = lens(Work, lambda w: w.winner)
WORD = lens(Work, lambda w: w.word)

Works = Plan[Work, Work]


@frozen
class Traces:
    """The side file that steps leave lines in."""

    path: Path

    def leave(self, ctx: Context) -> None:
        """One line, on the disk when this returns: idempotency key, attempt, epoch, name."""
        line = f"{ctx.idempotency_key} {ctx.attempt} {ctx.epoch} {ctx.step}\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.write(file, line.encode())
        os.fsync(file)
        os.close(file)
        print(ctx.step, flush=True)


TRACES: Key[Traces] = Key("traces")


# --- steps -----------------------------------------------------------------------------------------------------------


def more(name: str, into: Lens[Work, int], *, fails: int = 0) -> Works:
    """A step that adds one, on its own thread's time; its first ``fails`` attempts raise."""

    @task(name=name, reads=into, writes=into, blocking="inline")
    def added(number: int, ctx: Context) -> int:
        ctx[TRACES].leave(ctx)
        if ctx.attempt <= fails:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return number + 1

    return added


def later(name: str, into: Lens[Work, int]) -> Works:
    """A step that lets others run before and after it leaves its trace."""

    @task(name=name, reads=into, writes=into)
    async def added(number: int, ctx: Context) -> int:
        await anyio.lowlevel.checkpoint()
        ctx[TRACES].leave(ctx)
        await anyio.lowlevel.checkpoint()
        return number + 1

    return added


def threaded(name: str, into: Lens[Work, int]) -> Works:
    """A step that blocks, so that it has a thread."""

    @task(name=name, reads=into, writes=into)
    def added(number: int, ctx: Context) -> int:
        ctx[TRACES].leave(ctx)
        return number + 1

    return added


def racing(name: str) -> Works:
    """A branch of a race that nobody can foretell."""

    @task(name=name, reads=(), writes=WINNER)
    async def raced(ctx: Context) -> str:
        await anyio.sleep(random.SystemRandom().random() / 1000)
        ctx[TRACES].leave(ctx)
        return name

    return raced


@task(blocking="inline")
def whole(work: Work, ctx: Context) -> Work:
    """A step on the whole state, whose entry is what it changed."""
    ctx[TRACES].leave(ctx)
    return evolve(work, d=work.d + 10, parts=(*work.parts, work.a))


@task(blocking="inline")
def doubled(part: int, ctx: Context) -> int:
    """A step on one of several parts."""
    ctx[TRACES].leave(ctx)
    return part * 2


@task(reads=WORD, writes=WORD, blocking="inline")
def longer(word: str, ctx: Context) -> str:
    """A step whose entry is large."""
    ctx[TRACES].leave(ctx)
    return word[:8] + "x" * 20_000


@task(reads=A, writes=A, blocking="inline")
def stalled(number: int, ctx: Context) -> int:
    """A step after which the first process stands still until somebody wakes it."""
    ctx[TRACES].leave(ctx)
    if ctx.epoch == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number + 1


@task(reads=A, writes=A, blocking="inline")
def deadly(number: int, ctx: Context) -> int:
    """A step that ends its process, unless it is spared."""
    ctx[TRACES].leave(ctx)
    if not ctx[TRACES].path.with_name("spared").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return number + 1


@task(reads=A, writes=A, blocking="inline")
def crowded(number: int, ctx: Context) -> int:
    """A step that lasts until all the others who came for the run have reported."""
    ctx[TRACES].leave(ctx)
    waiting = ctx[TRACES].path.with_name("crowd")
    reports = ctx[TRACES].path.with_name("reports")
    until = time.monotonic() + 20
    while waiting.exists() and time.monotonic() < until:
        if reports.exists() and len(reports.read_text().splitlines()) >= int(waiting.read_text()) - 1:
            break
        time.sleep(0.002)
    return number + 1


def cleaning(name: str, into: Lens[Work, int]) -> Works:
    """A step that takes a moment and cleans up when it is cut off."""

    @task(name=name, reads=into, writes=into)
    async def cleaned(number: int, ctx: Context) -> int:
        ctx[TRACES].leave(ctx)
        print("+", flush=True)
        try:
            await anyio.sleep(0.01)
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.002)
            finally:
                # No shield holds off a cancellation that a signal makes of a task.
                print("-", flush=True)
        return number + 1

    return cleaned


def even_or_odd(work: Work) -> str:
    return "even" if work.a % 2 == 0 else "odd"


def _race() -> Works:
    return parallel(racing("left"), racing("middle"), racing("right"), policy=FIRST_COMPLETED)


def _mixed() -> Works:
    turn = choose(even_or_odd, {"even": later("even", A), "odd": threaded("odd", A)}) >> whole
    return (
        more("first", B)
        >> (later("left", A) & threaded("right", C) & more("flaky", D, fails=1).retry(2)).timeout(60)
        >> turn.loop_while(A.where(lambda a: a < 4), at_most=9, then=identity)
        >> parallel(racing("x"), racing("y"), racing("z"), policy=Quorum(1))
        >> doubled.focus(PARTS >> each)
        >> (more("broken", B, fails=9) | more("instead", C))
        >> (ask("which word?", into=WORD) & more("beside", B))
        >> whole
    )


SHAPES: dict[str, Callable[[], Works]] = {
    "chain": lambda: more("one", A) >> more("two", B) >> whole >> more("four", A),
    "parallel": lambda: (later("one", A) & later("two", B) & later("three", C)) >> more("four", D),
    "loop": lambda: (more("turn", A) >> more("beside", B)).loop_while(A.where(lambda a: a < 3)) >> more("last", C),
    "choose": lambda: (
        more("one", A) >> choose(even_or_odd, {"even": later("even", B), "odd": later("odd", C)}) >> more("last", D)
    ),
    "race": lambda: _race() >> more("last", D),
    "retry": lambda: more("flaky", A, fails=2).retry(Fixed(0.001).times(3)) >> more("last", B),
    "ask": lambda: (ask("which word?", into=WORD) & later("beside", A)) >> more("two", B) >> approve("go on?") >> whole,
    "mixed": _mixed,
    "swelling": lambda: (longer >> more("turn", A)).loop_while(A.where(lambda a: a < 12)) >> more("last", B),
    "stalling": lambda: more("one", B) >> stalled >> more("last", C),
    "dying": lambda: more("one", B) >> deadly >> more("last", C),
    "crowded": lambda: more("one", B) >> crowded >> more("last", C),
    "cleaning": lambda: ((cleaning("one", A) & cleaning("two", B)) >> cleaning("three", C)).loop_while(
        C.where(lambda c: c < 4)
    ),
}
"""Plans by the name of their shape."""
