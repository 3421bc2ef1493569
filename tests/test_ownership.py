"""Ownership: one process at a time goes on with a run, whatever happens to the others and to the clocks."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from durable_programs import Order
from hypothesis import given
from hypothesis import strategies as st
from processes import (
    CLOCKS,
    Nursery,
    come_together,
    folder,
    judge_crowd,
    judge_takeover,
    names,
    nursery,
    undisturbed_but_stalled,
    until,
)

from lambdacat import JournalCorrupt, RunBusy, RunSetAside, SqliteJournal
from lambdacat.store.leases import Lease, Owner
from lambdacat.testing.proving import rotating_seed

__all__ = ["folder", "nursery"]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 10
"""How many rounds a sweep has at least, whatever its time."""


# --- several at once -------------------------------------------------------------------------------------------------


MOST_CRASHES = 5
"""How often a run may end its process before it is set aside."""


def test_of_processes_that_come_together_one_proceeds(nursery: Nursery, folder: Path) -> None:
    """R-J6."""
    order = Order("crowded", str(folder))
    judge_crowd(order, come_together(nursery, order, 4, CLOCKS), ["one", "crowded", "last"])


def test_of_processes_that_resume_a_killed_run_one_proceeds(nursery: Nursery, folder: Path) -> None:
    """R-J6."""
    order = Order("crowded", str(folder))
    killed_in_the_crowd(nursery, order)
    judge_crowd(order, come_together(nursery, order, 3, CLOCKS), ["one", "crowded", "crowded", "last"])


def killed_in_the_crowd(nursery: Nursery, order: Order) -> None:
    """A run whose process was killed while it waited for others."""
    Path(order.folder, "crowd").write_text("2")
    process = nursery.begin(order)
    until(lambda: order.traces.exists() and "crowded" in names(order))
    os.kill(process, signal.SIGKILL)
    assert nursery.ended(process) == -signal.SIGKILL


@pytest.mark.sweep
def test_of_processes_that_come_together_one_proceeds_every_time(
    nursery: Nursery, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-J6: two to eight processes, 200 rounds."""
    began, rounds, source = time.perf_counter(), 0, random.Random(start := rotating_seed())
    while rounds < LEAST or (rounds < 200 and time.perf_counter() - began < SWEEP_SECONDS):
        order = Order("crowded", str(folder / str(rounds)))
        os.mkdir(order.folder)
        if again := source.random() < 0.5:
            killed_in_the_crowd(nursery, order)
        said = come_together(nursery, order, source.randint(2, 8), CLOCKS)
        judge_crowd(order, said, ["one", "crowded", *["crowded"] * again, "last"])
        shutil.rmtree(order.folder)
        rounds += 1
    with capsys.disabled():
        print(f"\n{rounds} rounds of resumers in {time.perf_counter() - began:.1f} s, seed {start}", end="")


# --- an owner that stands still --------------------------------------------------------------------------------------


def test_an_owner_that_stood_still_is_fenced_out(nursery: Nursery, folder: Path) -> None:
    """R-J7: its append is refused by name, and its effect carries the number of an ownership that is over."""
    judge_takeover(nursery, Order("stalling", str(folder), lease_seconds=0.2))


def test_an_owner_that_lives_renews_its_lease_and_one_that_let_go_does_not(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = SqliteJournal(path, run_id="a run", lease_seconds=0.03)

    def deadline() -> float:
        with closing(sqlite3.connect(path)) as database:
            return float(database.execute("select deadline from runs").fetchone()[0])

    journal.acquire()
    for _ in range(2):
        first = deadline()
        until(lambda first=first: deadline() > first)  # type: ignore[misc]
    journal.release()
    assert deadline() == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "lambdacat lease"]


# --- a step that ends its process ------------------------------------------------------------------------------------


def test_a_run_that_ends_its_process_again_and_again_is_set_aside(nursery: Nursery, folder: Path) -> None:
    """R-J11."""
    order = Order("dying", str(folder))
    assert [nursery.ended(nursery.begin(order)) for _ in range(MOST_CRASHES)] == [-signal.SIGKILL] * MOST_CRASHES
    for _ in range(2):
        said = nursery.perform(order)
        assert said["raised"] == "RunSetAside"
        assert f"ended {MOST_CRASHES} times in a row" in said["text"]
        assert "again=True" in said["text"]
    assert names(order) == ["one"] + ["deadly"] * MOST_CRASHES
    assert nursery.ended(nursery.begin(attrs.evolve(order, again=True))) == -signal.SIGKILL
    folder.joinpath("spared").touch()
    assert nursery.perform(order)["success"] == undisturbed_but_stalled()
    assert names(order) == ["one"] + ["deadly"] * (MOST_CRASHES + 2) + ["last"]


# --- leases as values ------------------------------------------------------------------------------------------------

ME = Owner.this()
ENDED = attrs.evolve(ME, began="0")
"""A process that had the number of this one before it."""
ELSEWHERE = attrs.evolve(ME, space="another")
OTHER_BOOT = attrs.evolve(ME, boot="another")


def lease(owner: Owner | str = "", **changes: Any) -> Lease:
    row = {"epoch": 1, "deadline": 100.0, "crashes": 0, "reached": 3, "aside": "", "here": 3, **changes}
    return Lease(owner=str(owner), **row)


def test_an_owner_is_told_apart_from_a_later_process_with_its_number() -> None:
    assert Owner.parse(str(ME)) == ME
    assert ME.alive()
    assert ENDED.alive() is False


@pytest.mark.parametrize(
    ("owner", "far", "taken_at_once"),
    [
        ("", False, True),
        (ME, False, False),
        (ENDED, False, True),
        (ENDED, True, True),
        (ELSEWHERE, False, False),
        (ELSEWHERE, True, False),
        (OTHER_BOOT, False, True),
        (OTHER_BOOT, True, False),
    ],
)
def test_an_owner_that_may_still_live_is_believed_until_its_deadline(
    owner: Owner | str, far: bool, taken_at_once: bool
) -> None:
    early, late = (lease(owner).taken("a run", ME, 30, again=False, now=now, far=far) for now in (50.0, 150.0))
    if taken_at_once:
        assert (early.refusal, early.owner, early.epoch, early.deadline) == (None, str(ME), 2, 80.0)
    else:
        assert isinstance(early.refusal, RunBusy)
        assert "can be taken over in 50 s" in str(early.refusal)
        assert early.row() == lease(owner).row()
    assert (late.refusal, late.owner, late.epoch, late.deadline) == (None, str(ME), 2, 180.0)


@given(st.lists(st.sampled_from(["crash", "crash further", "let go", "stall", "again"]), max_size=30))
def test_only_processes_that_end_in_a_row_at_one_entry_set_a_run_aside(events: list[str]) -> None:
    here, crashes, now = 0, 0, 0.0
    found = lease(epoch=0, deadline=0.0, reached=0, here=0)
    for event in events:
        epoch, now = found.epoch, now + 100.0
        found = found.taken("a run", ME, 30, again=event == "again", now=now)
        aside = crashes >= MOST_CRASHES and event != "again"
        assert isinstance(found.refusal, RunSetAside) is aside
        if aside:
            assert found.epoch == epoch
            return
        assert found.epoch == epoch + 1
        here += event == "crash further"
        crashes = {"crash": crashes + 1, "crash further": 1, "again": 0, "let go": 0, "stall": crashes}[event]
        owner, left = {"let go": ("", 0), "stall": (ME, crashes)}.get(event, (ENDED, found.crashes))
        found = attrs.evolve(found, owner=str(owner), crashes=left, here=here)


@given(
    st.sampled_from(["epoch", "owner", "deadline", "crashes", "reached", "aside"]),
    st.one_of(st.none(), st.binary(), st.floats(), st.integers(max_value=-1), st.just("a|b|c|d"), st.just("a|b|-1|d")),
)
def test_what_no_owner_ever_wrote_is_named(column: str, value: Any) -> None:
    if type(value) in {"deadline": (int, float), "aside": (str,)}.get(column, ()):
        return
    with pytest.raises(JournalCorrupt, match=f"who owns run 'a run' is not what was written .{column} is "):
        attrs.evolve(lease(), **{column: value}).taken("a run", ME, 30, again=False)
