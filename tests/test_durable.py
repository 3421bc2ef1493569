"""Durable runs: whatever a crash leaves behind, the run goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from lambdacat import Outcome, Plan, arun, run
from lambdacat.codec import Codecs
from lambdacat.interpreters.journal import MemoryJournal, past_of
from lambdacat.testing import (
    Sample,
    awake,
    blurred,
    plans,
    possible,
    states,
    suspending_plans,
    virtual_asyncio_run,
    virtual_trio_run,
)
from lambdacat.testing.plan_laws import assert_possible
from lambdacat.testing.proving import rotating_seed
from lambdacat.testing.sample import Circle, Point, Square

States = Plan[Sample, Sample]
Runner = Callable[[States, Sample, MemoryJournal], Outcome[Sample]]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 100
"""How many crash points a sweep survives at least, whatever its time."""


class Killed(KeyboardInterrupt):
    """Stands for the end of the process: nothing of a run catches it."""


class Mortal:
    """A journal in memory whose process dies when the entry of number ``last`` is safe."""

    codecs = Codecs(Sample, Point, Circle, Square)

    def __init__(self, entries: Iterable[bytes] = (), last: int | None = None) -> None:
        self.kept = list(entries)
        self.last = last

    def entries(self) -> Sequence[bytes]:
        return tuple(self.kept)

    def append(self, entry: bytes) -> None:
        if self.dead:
            raise Killed
        self.kept.append(entry)
        if self.dead:
            raise Killed

    @property
    def dead(self) -> bool:
        return self.last is not None and len(self.kept) > self.last


def in_thread(plan: States, value: Sample, journal: Any) -> Outcome[Sample]:
    return run(plan, value, journal=journal)


def on_asyncio(plan: States, value: Sample, journal: Any) -> Outcome[Sample]:
    return virtual_asyncio_run(partial(arun, journal=journal), plan, value)


def on_trio(plan: States, value: Sample, journal: Any) -> Outcome[Sample]:
    """On trio's own clock: the virtual one jumps over the long timeouts while a worker thread is busy."""
    outcome: Outcome[Sample] = trio.run(partial(arun, journal=journal), plan, value)
    return outcome


def on_virtual_trio(plan: States, value: Sample, journal: Any) -> Outcome[Sample]:
    return virtual_trio_run(partial(arun, journal=journal), plan, value)


RUNNERS = {"run": in_thread, "arun on asyncio": on_asyncio, "arun on trio": on_trio}


def survive(first: Runner, second: Runner, plan: States, value: Sample, last: int) -> int:
    """A crash after entry ``last`` under one interpreter, the rest of the run under another. How many entries."""
    mortal: Any = Mortal(last=last)
    with suppress(Killed):
        first(plan, value, mortal)
    before = mortal.kept
    again: Any = Mortal(before)
    outcome = second(plan, value, again)
    assert again.kept[: len(before)] == before
    model = awake(plan)
    assert_possible(model, value, outcome)
    if len(possible(model, value)) == 1:
        assert blurred(outcome) == blurred(run(model, value))
    past = past_of(again)
    assert past is not None
    keys = Counter((d["kind"], d["key"]) for d in past.documents if "key" in d)
    assert keys.most_common(1)[0][1] == 1 if keys else True, "something was done twice"
    length = len(again.kept)
    assert blurred(second(plan, value, again)) == blurred(outcome)
    assert len(again.kept) == length, "a run that is over does nothing"
    return length


@pytest.mark.parametrize("name", RUNNERS)
@given(plan=plans(), value=states(), last=st.integers(0, 12))
def test_a_run_survives_a_crash_after_any_entry(name: str, plan: States, value: Sample, last: int) -> None:
    survive(RUNNERS[name], RUNNERS[name], plan, value, last)


@given(plans(), states(), st.integers(0, 12))
def test_a_run_goes_on_under_another_interpreter(plan: States, value: Sample, last: int) -> None:
    survive(on_asyncio, in_thread, plan, value, last)
    survive(in_thread, on_trio, plan, value, last)


@pytest.mark.parametrize("runner", [on_asyncio, on_virtual_trio])
@given(plan=suspending_plans(), value=states(), last=st.integers(0, 12))
def test_a_run_that_waits_survives_a_crash(runner: Runner, plan: States, value: Sample, last: int) -> None:
    survive(runner, runner, plan, value, last)


async def cancelled_after(ticks: int, plan: States, value: Sample, journal: Any) -> bool:
    """Whether the run was still going on after so many turns of the event loop, and was cancelled there."""
    work = asyncio.ensure_future(arun(plan, value, journal=journal))
    for _ in range(ticks):
        if work.done():
            break
        await asyncio.sleep(0)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return work.cancelled()


@given(suspending_plans(), states(), st.integers(0, 40))
def test_a_run_goes_on_after_it_was_cancelled_anywhere(plan: States, value: Sample, ticks: int) -> None:
    journal = MemoryJournal(codecs=Mortal.codecs)
    virtual_asyncio_run(cancelled_after, ticks, plan, value, journal)
    before = list(journal.entries())
    outcome = on_asyncio(plan, value, journal)
    assert list(journal.entries())[: len(before)] == before
    assert_possible(awake(plan), value, outcome)
    assert blurred(on_asyncio(plan, value, journal)) == blurred(outcome)


@pytest.mark.sweep
@pytest.mark.parametrize("name", RUNNERS)
def test_a_run_survives_a_crash_after_every_entry(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    began, survived, start = time.perf_counter(), 0, rotating_seed()

    def every(plan: States, value: Sample) -> None:
        nonlocal survived
        last, length = 0, 1
        while last < length:
            length = survive(RUNNERS[name], RUNNERS[name], plan, value, last)
            last, survived = last + 1, survived + 1

    while survived < LEAST or (survived < 10_000 and time.perf_counter() - began < SWEEP_SECONDS):
        batch = given(plans(), states())(every)
        settings(max_examples=50, derandomize=False)(seed(start + survived)(batch))()
    with capsys.disabled():
        print(
            f"\n{name}: {survived} crash points survived in {time.perf_counter() - began:.1f} s, seed {start}", end=""
        )
