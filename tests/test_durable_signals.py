"""Signals: a durable run that is told to stop cleans up, gives its run back, and goes on when it is asked to."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from durable_programs import Order
from processes import PATIENCE, Nursery, folder, nursery, report, seen, undisturbed, until

from lambdacat import Limits
from lambdacat.testing.proving import rotating_seed

__all__ = ["folder", "nursery"]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
TOLD = {signal.SIGINT: "KeyboardInterrupt", signal.SIGTERM: "CancelledError"}
LEAST = 10
"""At how many points a sweep sends a signal at least, whatever its time."""
OVER_GRACE = 0.5
"""Units: seconds. What a process may take beyond the grace of its run; it is forked with everything loaded, and has
opened its journal when the signal comes, so that nothing is to be allowed for its start."""
BUSY = 0.12
"""Units: seconds in which the signals come; the run lasts about as long."""


def signalled(nursery: Nursery, order: Order, number: signal.Signals, after: float) -> float:
    """A run that is sent a signal; how long it took to end after it. Units: seconds."""
    process = nursery.begin(order)
    until(order.path.exists)
    time.sleep(after)
    os.kill(process, number)
    began = time.monotonic()
    assert nursery.ended(process) == 0
    took = time.monotonic() - began
    said = report(order, process)
    assert said.get("raised") == TOLD[number] or "success" in said, said
    words = order.said.read_text().split()
    assert words.count("+") == words.count("-"), "a step did not clean up"
    assert given_back(order), "the next process has to wait, or takes it for a crash"
    return took


def given_back(order: Order) -> bool:
    """Whether nobody owns the run, and its process is not taken to have crashed."""
    database = sqlite3.connect(order.path)
    try:
        if not database.execute("select name from sqlite_master where name='runs'").fetchall():
            return True
        return database.execute("select owner, crashes from runs").fetchall() in ([("", 0)], [])
    finally:
        database.close()


def goes_on(nursery: Nursery, order: Order) -> None:
    """The next process comes to the same result and repeats nothing that was done."""
    before = seen(order)
    assert nursery.perform(order)["success"] == undisturbed(order.shape)
    after = seen(order)
    assert after.entries[: len(before.entries)] == before.entries or before.entries[-1].count(b'"kind":"end"')
    assert not (after.performed - before.performed).keys() & before.done


@pytest.mark.parametrize("number", TOLD)
def test_a_signal_ends_a_run_that_can_go_on(nursery: Nursery, number: signal.Signals, folder: Path) -> None:
    """R-C8."""
    for after in (0.0, 0.03):
        order = Order("cleaning", str(folder / str(after)))
        os.mkdir(order.folder)
        assert signalled(nursery, order, number, after) < PATIENCE
        goes_on(nursery, order)


@pytest.mark.sweep
@pytest.mark.parametrize("number", TOLD)
def test_a_signal_may_come_at_any_point(
    nursery: Nursery, number: signal.Signals, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-C8: 100 points."""
    began, start, took = time.perf_counter(), rotating_seed(), list[float]()
    source = random.Random(start)
    while len(took) < LEAST or (len(took) < 100 and time.perf_counter() - began < SWEEP_SECONDS):
        order = Order("cleaning", str(folder / str(len(took))))
        os.mkdir(order.folder)
        took.append(signalled(nursery, order, number, source.random() ** 2 * BUSY))
        goes_on(nursery, order)
    assert max(took) <= Limits().grace + OVER_GRACE, sorted(took)[-5:]
    with capsys.disabled():
        said = f"{len(took)} points, over within {max(took):.2f} s of it"
        print(f"\n{number.name}: {said}, in {time.perf_counter() - began:.1f} s, seed {start}", end="")
