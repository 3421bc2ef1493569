"""Kills: a process that ends at any write or sync of a durable run costs at most the steps that were in flight."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from durable_programs import Order
from processes import (
    Nursery,
    Place,
    Seen,
    folder,
    judge_kills,
    needs_strace,
    nursery,
    seen,
    undisturbed,
    without_winner,
)

from lambdacat.testing.proving import rotating_seed

__all__ = ["folder", "nursery"]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 20
"""How many kills a sweep survives at least, whatever its time."""

KILLED = {
    "chain": Place("pwrite64", 43),
    "parallel": Place("fdatasync", 2),
    "loop": Place("pwrite64", 52),
    "choose": Place("write", 7),
    "race": Place("fdatasync", 4),
    "retry": Place("fsync", 3),
    "ask": Place("pwrite64", 54),
    "mixed": Place("fdatasync", 20),
}
"""The shapes that are killed, and where they are in the small."""


def order_in(folder: Path, shape: str) -> Order:
    folder.mkdir(parents=True, exist_ok=True)
    return Order(shape=shape, folder=str(folder))


def survive(nursery: Nursery, order: Order, places: Sequence[Place], result: dict[str, Any]) -> int:
    """A run whose processes are killed at these places, then one that goes on; how many kills there were."""
    kills = []
    for place in places:
        if not nursery.killed(order, place):
            break
        kills.append(seen(order))
    report = nursery.perform(order)
    after = seen(order)
    assert without_winner(order.shape, report) == result
    judge_kills(order, kills, after)
    assert nursery.perform(order) == report
    assert seen(order) == after, "a run that is over does nothing"
    return len(kills)


@needs_strace
@pytest.mark.parametrize("shape", KILLED)
def test_a_run_whose_process_is_killed_goes_on_as_if_nothing_had_happened(
    nursery: Nursery, shape: str, folder: Path
) -> None:
    """R-J1."""
    result = undisturbed(shape)
    assert survive(nursery, order_in(folder / "killed", shape), [KILLED[shape]], result) == 1


@needs_strace
def test_a_run_survives_processes_that_are_killed_one_after_the_other(nursery: Nursery, folder: Path) -> None:
    result = undisturbed("mixed")
    places = [Place("fdatasync", 9), Place("pwrite64", 12), Place("pwrite64", 2), Place("write", 3)]
    assert survive(nursery, order_in(folder / "killed", "mixed"), places, result) == 4


@needs_strace
@pytest.mark.sweep
@pytest.mark.parametrize("shape", KILLED)
def test_a_run_survives_a_kill_at_every_write_and_sync(
    nursery: Nursery, shape: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-J1: each place once, then two places in a row, from a seed that is printed."""
    began, start = time.perf_counter(), rotating_seed()
    result = undisturbed(shape)
    every = nursery.places(order_in(folder / "counted", shape))
    source = random.Random(start)
    source.shuffle(every)
    rows = [[place] for place in every] + [source.sample(every, 2) for _ in every]
    survived = tried = 0
    for tried, row in enumerate(rows, 1):
        survived += survive(nursery, order_in(folder / str(tried), shape), row, result)
        shutil.rmtree(folder / str(tried))
        if survived >= LEAST and time.perf_counter() - began > SWEEP_SECONDS:
            break
    assert survived >= LEAST
    assert tried - survived <= max(2, tried // 5), "too many processes ended before they came to their place"
    said = f"{survived} kills survived, {min(tried, len(every))} of {len(every)} places"
    with capsys.disabled():
        print(f"\n{shape}: {said} in {time.perf_counter() - began:.1f} s, seed {start}", end="")


def killed_in_time(nursery: Nursery, order: Order, after: float) -> bool:
    """A process that is killed after so many seconds, unless it has ended."""
    process = nursery.begin(order)
    time.sleep(after)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return nursery.ended(process) == -signal.SIGKILL


@pytest.mark.sweep
def test_a_run_survives_kills_at_any_time(nursery: Nursery, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R-J1: as many kills as a run takes, until it is over or set aside, from a seed that is printed."""
    began, start, survived, runs = time.perf_counter(), rotating_seed(), 0, 0
    source = random.Random(start)
    while time.perf_counter() - began < SWEEP_SECONDS or survived < LEAST:
        shape = source.choice(sorted(KILLED))
        order, kills = order_in(folder / str(runs), shape), list[Seen]()
        while killed_in_time(nursery, order, source.random() * 0.06):
            kills.append(seen(order))
        report = nursery.perform(order)
        if report.get("raised") == "RunSetAside":
            report = nursery.perform(attrs.evolve(order, again=True))
        assert without_winner(shape, report) == undisturbed(shape)
        judge_kills(order, kills, seen(order))
        survived, runs = survived + len(kills), runs + 1
        shutil.rmtree(order.folder)
    with capsys.disabled():
        said = f"{survived} kills in {runs} runs survived"
        print(f"\nany time: {said} in {time.perf_counter() - began:.1f} s, seed {start}", end="")
