"""Clocks that are set: a jump of the time of day in the middle of a run, a lease or a wait harms nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import Context, Fixed, Plan, RunBusy, SqliteJournal, run, sleep_until, task
from lambdacat.interpreters.journal import MemoryJournal, past_of

START = 1_800_000_000.0
JUMPS = (-3_600.0, 0.0, 86_400.0)
WAIT = 60.0


class Killed(KeyboardInterrupt):
    """Stands for the end of the process."""


class Clock:
    """A clock that moves when somebody waits, remembers the waits, and in one of which the process may end."""

    def __init__(self, last: int | None = None) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.last = last

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == self.last:
            raise Killed
        self.now += seconds


def trying(calls: list[int], fails: int) -> Plan[int, int]:
    """A step that fails so often, with a wait before each other attempt."""

    @task
    def flaky(number: int, ctx: Context) -> int:
        calls.append(ctx.attempt)
        if ctx.attempt <= fails:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return number + 1

    return flaky.retry(Fixed(WAIT).times(fails))


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(1, 3), st.sampled_from(JUMPS), st.floats(0, 100)), max_size=4))
def test_a_retry_fires_once_and_waits_no_longer_on_any_clock(
    fails: int, processes: list[tuple[int | None, float, float]]
) -> None:
    """R-J9: each process ends in one of its waits and leaves a clock that is off; the next comes a little later."""
    journal, calls, wall, until = MemoryJournal(), list[int](), START, None
    for last, jump, between in [*processes, (None, 0.0, 0.0)]:
        clock = Clock(last)
        rest = 0.0 if until is None else min(WAIT, max(0.0, until - wall))
        begun = len(calls)
        try:
            context = Context(clock=clock, wall=partial(float, wall))
            assert run(trying(calls, fails), 1, context=context, journal=journal).unwrap() == 2
        except Killed:
            if len(calls) > begun:
                until = wall + clock.now + WAIT
        else:
            until = None
        wall += clock.now + jump + between
        failed = sum(attempt <= fails for attempt in calls[begun:])
        assert clock.waits == pytest.approx([rest] * (rest > 0) + [WAIT] * failed)
    assert calls == list(range(1, fails + 2)), "an attempt was made twice, or not at all"


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_in_the_middle_of_a_run_changes_no_wait_and_no_order(jump: float) -> None:
    """R-J9."""
    journal, clock, now = MemoryJournal(), Clock(), [START]
    later = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)

    @task
    def jumping(number: int) -> int:
        now[0] += jump
        return number

    plan = trying([], 2) >> jumping >> sleep_until(lambda _: later) >> jumping >> trying([], 1)
    run(plan, 1, context=Context(clock=clock, wall=lambda: now[0]), journal=journal)
    assert clock.waits == pytest.approx([WAIT, WAIT, 3_600 - 2 * WAIT, WAIT])
    past = past_of(journal)
    assert past is not None
    assert [document["n"] for document in past.documents] == list(range(len(past.documents)))


@pytest.mark.parametrize("jump", JUMPS)
def test_a_lease_is_on_a_clock_that_nobody_sets(jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-J9: neither is an owner refused, nor another let in, when the wall clock jumps in the middle of a lease."""
    first, second = (SqliteJournal(tmp_path / "runs.db", run_id="a run") for _ in range(2))
    first.acquire()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    first.append(b"an entry")
    with pytest.raises(RunBusy, match=r"can be taken over in (30|29) s"):
        second.acquire()
    first.release()
    assert second.acquire() == 2
    second.release()
