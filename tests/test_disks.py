"""Disks: one that is full, fails or may not be written stops a run by name, before anything more is performed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from durable_programs import Order
from processes import Nursery, Place, Seen, folder, needs_strace, nursery, report, seen, undisturbed, without_winner

from lambdacat import SqliteJournal, Unanswered
from lambdacat.store.journals import opened
from lambdacat.testing.proving import rotating_seed

__all__ = ["folder", "nursery"]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 10
"""How often a disk fails in a sweep at least, whatever its time."""


# --- a disk that is full or fails ------------------------------------------------------------------------------------

ERRORS = [
    ("pwrite64", "error=ENOSPC"),
    ("pwrite64", "error=EIO"),
    ("fdatasync", "error=EIO"),
    ("fdatasync", "error=ENOSPC"),
]


def stopped(order: Order, said: dict[str, Any]) -> Seen:
    """A run whose disk failed, as it is left: it has said so, before anything more was performed."""
    left = seen(order)
    if "raised" in said:
        assert said["raised"] == "Unanswered", said
        assert str(order.path) in said["text"]
        assert len(left.in_flight) <= 1, "a step was performed after the journal had failed"
    return left


def gone_on(nursery: Nursery, order: Order, left: Seen) -> None:
    """The same run on a sound disk comes to its result, and repeats nothing that was acknowledged."""
    assert without_winner(order.shape, nursery.perform(order)) == undisturbed(order.shape)
    after = seen(order)
    assert after.entries[: len(left.entries)] == left.entries
    assert not (after.performed - left.performed).keys() & left.done


def fails_at(nursery: Nursery, folder: Path, shape: str, place: Place, what: str, *, ever_after: bool = True) -> str:
    """A run on a disk that fails at a place, then one on a sound disk."""
    folder.mkdir()
    order = Order(shape, str(folder))
    process, code = nursery.tampered(order, place, what, ever_after=ever_after)
    assert code == 0
    said = report(order, process)
    gone_on(nursery, order, stopped(order, said))
    return str(said.get("raised", "equal"))


@needs_strace
def test_a_disk_that_fails_stops_a_run_before_its_next_step(nursery: Nursery, tmp_path: Path) -> None:
    """R-J4."""
    rows = [("chain", "pwrite64", 38, "ENOSPC"), ("loop", "fdatasync", 9, "EIO"), ("retry", "pwrite64", 4, "EIO")]
    ends = [fails_at(nursery, tmp_path / s, s, Place(call, n), f"error={error}") for s, call, n, error in rows]
    assert ends == ["Unanswered"] * 3


@needs_strace
@pytest.mark.sweep
@pytest.mark.parametrize("shape", ["chain", "loop", "retry"])
def test_a_disk_may_fail_at_every_write_and_sync(
    nursery: Nursery, shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-J4: once and for good, from a seed that is printed."""
    began, start, ends = time.perf_counter(), rotating_seed(), Counter[str]()
    (tmp_path / "counted").mkdir()
    places = nursery.places(Order(shape, str(tmp_path / "counted"), aside=str(tmp_path / "counted")))
    rows = [(p, error, ever) for p in places for call, error in ERRORS if call == p.call for ever in (True, False)]
    random.Random(start).shuffle(rows)
    for n, (place, error, ever_after) in enumerate(rows):
        ends[fails_at(nursery, tmp_path / str(n), shape, place, error, ever_after=ever_after)] += 1
        shutil.rmtree(tmp_path / str(n))
        if ends["Unanswered"] >= LEAST and time.perf_counter() - began > SWEEP_SECONDS:
            break
    assert ends["Unanswered"] >= LEAST
    with capsys.disabled():
        said = f"{ends.total()} of {len(rows)} failures: {dict(ends)}"
        print(f"\n{shape}: {said} in {time.perf_counter() - began:.1f} s, seed {start}", end="")


def test_a_file_that_may_grow_no_more_stops_a_run_and_with_room_it_goes_on(nursery: Nursery, folder: Path) -> None:
    """R-J4."""
    (folder / "aside").mkdir()
    order = Order("swelling", str(folder), aside=str(folder / "aside"), file_size=150_000)
    said = nursery.perform(order)
    assert said.get("raised") == "Unanswered", said
    left = stopped(order, said)
    assert len(left.done) > 1
    gone_on(nursery, attrs.evolve(order, file_size=None), left)


@pytest.mark.sweep
def test_a_full_disk_stops_a_run_and_with_room_it_goes_on(nursery: Nursery, tmp_path: Path) -> None:
    """R-J4."""
    disk, aside = tmp_path / "disk", tmp_path / "aside"
    disk.mkdir()
    aside.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("only root may mount a small disk here")
    try:
        order = Order("swelling", str(disk), aside=str(aside))
        said = nursery.perform(order)
        assert said.get("raised") == "Unanswered", said
        left = stopped(order, said)
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        gone_on(nursery, order, left)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_place_without_a_log_that_can_be_flushed_is_refused() -> None:
    """SQLite itself goes on with another kind of log, and says so only to those who ask."""
    with pytest.raises(Unanswered, match="does not support write-ahead logging"):
        SqliteJournal(":memory:", run_id="a").acquire()


@pytest.mark.parametrize(("durability", "flushes"), [("full", 2), ("normal", 1)])
def test_the_log_is_flushed_as_it_was_asked_to_be(durability: Any, flushes: int, tmp_path: Path) -> None:
    database = opened(tmp_path / "runs.db", durability)
    assert database.execute("pragma journal_mode").fetchone() == ("wal",)
    assert database.execute("pragma synchronous").fetchone() == (flushes,)
    database.close()


def test_a_log_grows_ahead_and_not_with_each_commit(tmp_path: Path) -> None:
    """A flush of a file that has just grown takes twice as long."""
    journal = SqliteJournal(tmp_path / "runs.db", run_id="a")
    journal.acquire()
    log, sizes = tmp_path / "runs.db-wal", list[int]()
    for n in range(200):
        journal.append(b"%d " % n + b"x" * 150)
        sizes.append(log.stat().st_size)
    grown = [n for n, (one, other) in enumerate(pairwise(sizes)) if one != other]
    journal.release()
    assert len(grown) < 25, grown
    entries = list(SqliteJournal(tmp_path / "runs.db", run_id="a").entries())
    assert [int(entry.split()[0]) for entry in entries] == list(range(200))
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database:
        assert database.execute("select distinct run from entries").fetchall() == [(1,)]
        assert database.execute("pragma freelist_count").fetchone() == (0,), "what was taken back left pages"


def test_a_log_without_room_to_grow_ahead_is_no_error(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "runs.db", run_id="a")
    journal.acquire()
    assert journal._database is not None
    journal._database.execute("pragma max_page_count=20")  # room for the entries alone
    for n in range(100):
        journal.append(b"%d" % n)
    assert (tmp_path / "runs.db-wal").stat().st_size > 100 * 4096
    assert journal._database.execute("pragma cache_size").fetchone() == (-2000,)
    journal.release()
    assert len(list(SqliteJournal(tmp_path / "runs.db", run_id="a").entries())) == 100


# --- places where no journal can be ----------------------------------------------------------------------------------


def read_only_folder(folder: Path) -> None:
    folder.chmod(0o555)


def read_only_file(folder: Path) -> None:
    SqliteJournal(folder / "runs.db", run_id="another").answers()
    for file in folder.glob("runs.db*"):
        file.chmod(0o444)
    folder.chmod(0o555)


def no_permission(folder: Path) -> None:
    (folder / "runs.db").touch()
    (folder / "runs.db").chmod(0)
    folder.chmod(0o777)


def missing_folder(folder: Path) -> None:
    folder.rmdir()


def folder_of_that_name(folder: Path) -> None:
    (folder / "runs.db").mkdir()
    folder.chmod(0o777)


def another_file(folder: Path) -> None:
    (folder / "runs.db").write_text("notes of mine, which are no journal\n" * 100)
    (folder / "runs.db").chmod(0o666)
    folder.chmod(0o777)


@pytest.mark.parametrize("shape", ["chain", "parallel"])
@pytest.mark.parametrize(
    "made", [read_only_folder, read_only_file, no_permission, missing_folder, folder_of_that_name, another_file]
)
def test_a_journal_that_cannot_be_written_is_refused_before_anything_is_performed(
    nursery: Nursery, made: Callable[[Path], None], shape: str, folder: Path
) -> None:
    """R-J5, as a user who is not root."""
    aside, place = folder / "aside", folder / "place"
    folder.chmod(0o755)
    aside.mkdir()
    aside.chmod(0o777)
    place.mkdir()
    made(place)
    there = sorted(place.rglob("*"))
    said = nursery.perform(Order(shape, str(place), aside=str(aside), user=None if os.geteuid() else 65534))
    assert said["raised"] == ("JournalCorrupt" if made is another_file else "Unanswered")
    assert str(place) in said["text"]
    assert "\n" not in said["text"]
    assert not (aside / "traces").exists(), "a step was performed"
    assert sorted(place.rglob("*")) == there, "something was left behind"
