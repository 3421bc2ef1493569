"""Damage: what a disk does to a journal is found and named, or is harmless; it never becomes a value."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from attrs import frozen
from durable_programs import ANSWERS, RUN, Order
from processes import Nursery, Place, Seen, needs_strace, nursery, perform, performed, seen, undisturbed, without_winner

from lambdacat import JournalCorrupt, Unanswered, answer, questions
from lambdacat.testing.proving import rotating_seed

__all__ = ["nursery"]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 100
"""How much damage a sweep does at least, whatever its time."""

SECTOR = 512
"""Units: bytes that a disk writes whole or not at all."""


@frozen
class Specimen:
    """A run that was broken off, to be damaged in copies."""

    order: Order
    seen: Seen
    result: dict[str, Any]

    def damaged(self, folder: Path, damage: Callable[[Path], object]) -> Order:
        """A copy with something done to its files."""
        order = attrs.evolve(self.order, folder=str(folder))
        shutil.copytree(self.order.folder, folder)
        damage(folder)
        return order

    def judged(self, order: Order, *, acknowledged: bool = True) -> str:
        """What the run comes to in a damaged copy: ``equal``, or the name of what was raised.

        ``acknowledged``: that everything was acknowledged is known beside the journal.
        """
        try:
            found = seen(order)
        except (JournalCorrupt, Unanswered):
            found = None
        said = perform(attrs.evolve(order, again=False))
        if "raised" in said:
            assert RUN in said["text"] or "runs.db" in said["text"], f"{said} does not say where"
            fresh = performed(order) - self.seen.performed
            assert not fresh.keys() & self.seen.done, "a step that was done was performed again"
            return str(said["raised"])
        assert without_winner(order.shape, said) == self.result
        assert found is not None, "a journal that is corrupt was gone on with"
        assert found.entries == self.seen.entries[: len(found.entries)], "entries were made up"
        fresh = seen(order).performed - self.seen.performed
        assert not fresh.keys() & found.done, "a step that was done was performed again"
        if acknowledged:
            assert len(found.entries) >= len(self.seen.entries) - 1, "what was acknowledged is gone, and nobody said so"
        return "equal"


def wal(folder: Path) -> Path:
    return folder / "runs.db-wal"


def torn(at: int, *, heads: bool = True) -> Callable[[Path], None]:
    """A power cut: the log ends early, what was in memory is gone, and what lay beside it perhaps too."""

    def damage(folder: Path) -> None:
        os.truncate(wal(folder), at)
        (folder / "runs.db-shm").unlink()
        if not heads:
            (folder / "runs.db-heads").unlink()

    return damage


def unwritten(at: int) -> Callable[[Path], None]:
    """A sector that never came to the disk, though later ones did."""

    def damage(folder: Path) -> None:
        with wal(folder).open("r+b") as file:
            file.seek(at)
            file.write(bytes(SECTOR))
        (folder / "runs.db-shm").unlink()

    return damage


def flipped(name: str, bit: int) -> Callable[[Path], None]:
    """Bit rot."""

    def damage(folder: Path) -> None:
        path = folder / name
        data = bytearray(path.read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        (folder / "runs.db-shm").unlink(missing_ok=True)

    return damage


@pytest.fixture(scope="module")
def killed(nursery: Nursery) -> Iterator[Specimen]:
    """A run whose process was killed: everything is in the write-ahead log."""
    with TemporaryDirectory() as folder:
        order = Order("chain", f"{folder}/killed")
        os.mkdir(order.folder)
        assert nursery.killed(order, Place("pwrite64", 46))
        yield Specimen(order, seen(order), undisturbed(order.shape))


@pytest.fixture(scope="module")
def closed() -> Iterator[Specimen]:
    """A run that waits for an answer, which was given: everything is in the main file."""
    with TemporaryDirectory() as folder:
        order = Order("ask", f"{folder}/closed", answers=False)
        os.mkdir(order.folder)
        said = perform(order)
        assert said["failure"] == "Waiting", said
        journal = order.journal
        [key] = questions(journal)
        answer(journal, key, ANSWERS["which word?"])
        journal.close()
        assert not wal(Path(folder, "closed")).exists()
        yield Specimen(attrs.evolve(order, answers=True), seen(order), undisturbed(order.shape))


# --- the end of the log ----------------------------------------------------------------------------------------------


def cuts(killed: Specimen, every: int) -> list[int]:
    """Where a log can end, and its whole length."""
    size = wal(Path(killed.order.folder)).stat().st_size
    return [*range(0, size, SECTOR * every), size]


def torn_at(killed: Specimen, folder: Path, at: int) -> None:
    """Cut the log at a place, with what lies beside it and without."""
    with TemporaryDirectory(dir=folder) as two:
        known = killed.judged(killed.damaged(Path(two, "known"), torn(at)))
        alone = killed.judged(killed.damaged(Path(two, "alone"), torn(at, heads=False)), acknowledged=False)
    lost = at < wal(Path(killed.order.folder)).stat().st_size
    assert (known, alone) == ("JournalCorrupt" if lost else "equal", "equal"), at


@needs_strace
def test_a_torn_log_is_a_prefix_or_says_what_is_missing(killed: Specimen, tmp_path: Path) -> None:
    """R-J2."""
    for at in cuts(killed, 40):
        torn_at(killed, tmp_path, at)


@needs_strace
@pytest.mark.sweep
def test_a_log_torn_at_every_sector_is_a_prefix_or_says_what_is_missing(
    killed: Specimen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-J2: from a seed that is printed."""
    began, start, tried = time.perf_counter(), rotating_seed(), 0
    every = cuts(killed, 1)
    random.Random(start).shuffle(every)
    for at in every:
        torn_at(killed, tmp_path, at)
        tried += 1
        if tried >= LEAST and time.perf_counter() - began > SWEEP_SECONDS:
            break
    assert tried >= LEAST
    with capsys.disabled():
        said = f"{tried} of {len(every)} places"
        print(f"\nlog torn at {said} in {time.perf_counter() - began:.1f} s, seed {start}", end="")


# --- sectors and bits ------------------------------------------------------------------------------------------------

NAMED = {"equal", "JournalCorrupt", "Unanswered", "RunBusy", "RunSetAside"}


def damages(specimen: Specimen, name: str, source: random.Random, folder: Path) -> Iterator[str]:
    """What comes of one flipped bit after the other, for ever."""
    # Most of a file is zeros that mean nothing.
    bits = [at * 8 for at, byte in enumerate(Path(specimen.order.folder, name).read_bytes()) if byte]
    while True:
        with TemporaryDirectory(dir=folder) as here:
            order = specimen.damaged(Path(here, "copy"), flipped(name, source.choice(bits) + source.randrange(8)))
            yield specimen.judged(order)


@needs_strace
def test_a_sector_that_was_never_written_is_missed(killed: Specimen, tmp_path: Path) -> None:
    ends = [killed.judged(killed.damaged(tmp_path / f"{at}", unwritten(at))) for at in cuts(killed, 40)[:-1]]
    assert set(ends) <= {"equal", "JournalCorrupt"}
    assert "JournalCorrupt" in ends


@needs_strace
@pytest.mark.parametrize("name", ["runs.db-wal", "runs.db-heads"])
def test_a_flipped_bit_beside_the_main_file_is_found_or_harmless(killed: Specimen, name: str, tmp_path: Path) -> None:
    """R-J2."""
    assert {next(damages(killed, name, random.Random(n), tmp_path)) for n in range(8)} <= NAMED


def test_a_flipped_bit_in_the_main_file_never_becomes_a_value(closed: Specimen, tmp_path: Path) -> None:
    """R-J3."""
    assert {next(damages(closed, "runs.db", random.Random(n), tmp_path)) for n in range(10)} <= NAMED


@needs_strace
@pytest.mark.sweep
@pytest.mark.parametrize(("name", "count"), [("runs.db-wal", 500), ("runs.db-heads", 100), ("runs.db", 1000)])
def test_many_flipped_bits_are_found_or_harmless(
    killed: Specimen, closed: Specimen, name: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-J2 and R-J3, from a seed that is printed."""
    began, start, ends = time.perf_counter(), rotating_seed(), Counter[str]()
    specimen = closed if name == "runs.db" else killed
    for end in damages(specimen, name, random.Random(start), tmp_path):
        ends[end] += 1
        over = time.perf_counter() - began > SWEEP_SECONDS
        if ends.total() == count or (over and ends.total() >= LEAST):
            break
    assert ends.total() >= LEAST
    assert set(ends) <= NAMED
    with capsys.disabled():
        print(
            f"\n{name}: {ends.total()} flipped bits: {dict(ends)} in {time.perf_counter() - began:.1f} s, seed {start}",
            end="",
        )
