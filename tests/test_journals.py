"""Journals: every one keeps the laws of journals, and the laws find those that do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lambdacat import JournalCorrupt, MemoryJournal, RunBusy, SqliteJournal, run, task
from lambdacat.interpreters.journal import Grouped, Leased, past_of, sealed
from lambdacat.testing.journal_laws import Law, check_journal_laws, journal_laws
from lambdacat.testing.proving import law_name, prove


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A file for the runs of all laws, in memory where there is such."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder, "runs.db")


@pytest.mark.parametrize("law", journal_laws(SqliteJournal("runs.db", run_id="a run")), ids=law_name)
def test_the_sqlite_journal_keeps_the_laws(law: Law, place: Path) -> None:
    prove(law_name(law), partial(law, lambda name: SqliteJournal(place, run_id=name)), max_examples=4)


@pytest.mark.sweep
@pytest.mark.parametrize("law", journal_laws(SqliteJournal("runs.db", run_id="a run")), ids=law_name)
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_the_sqlite_journal_keeps_the_laws_many_times(law: Law, durability: Any, place: Path) -> None:
    file = place.with_name(f"{durability}.db")
    opens = partial(SqliteJournal, file, durability=durability)
    prove(law_name(law), partial(law, lambda name: opens(run_id=name)), max_examples=50)


def test_the_journal_in_memory_keeps_the_laws() -> None:
    check_journal_laws(cache(MemoryJournal), max_examples=10)


# --- journals that break a law ---------------------------------------------------------------------------------------


class Table:
    """A journal with owners on plain lists, as it should be; those below it each do one thing wrong."""

    def __init__(self, runs: dict[str, dict[str, Any]], name: str) -> None:
        self.runs = runs
        self.name = self.found(name)
        self.mine = 0

    @property
    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {"entries": [], "answers": {}, "epoch": 0, "owned": False}
        return self.runs.setdefault(self.name, row)

    def found(self, name: str) -> str:
        return name

    def entries(self) -> Sequence[bytes]:
        return tuple(self.row["entries"])

    def append(self, entry: bytes) -> None:
        self.append_all([entry])

    def append_all(self, entries: Sequence[bytes]) -> None:
        self.check()
        self.row["entries"].extend(entries)

    def check(self) -> None:
        if not self.mine or self.mine != self.row["epoch"]:
            raise RunBusy("it is not owned by this one")

    def acquire(self, *, again: bool = False) -> int:
        if self.row["owned"]:
            raise RunBusy("it is owned by another one")
        self.row["owned"] = True
        self.row["epoch"] += 1
        self.mine = self.row["epoch"]
        return self.mine

    def release(self) -> None:
        if self.mine == self.row["epoch"]:
            self.row["owned"] = False
        self.mine = 0

    def answer(self, key: str, value: bytes) -> bool:
        if key in self.row["answers"]:
            return False
        self.row["answers"][key] = value
        return True

    def answers(self) -> Mapping[str, bytes]:
        return dict(self.row["answers"])


class Shuffled(Table):
    def entries(self) -> Sequence[bytes]:
        return tuple(sorted(self.row["entries"]))


class Forgetful(Table):
    def entries(self) -> Sequence[bytes]:
        return tuple(self.row["entries"])[-3:]


class Buffering(Table):
    """What is appended is seen by others when the run is released."""

    kept: tuple[bytes, ...] = ()

    def append_all(self, entries: Sequence[bytes]) -> None:
        self.check()
        self.kept += tuple(entries)

    def entries(self) -> Sequence[bytes]:
        return (*self.row["entries"], *self.kept)

    def release(self) -> None:
        self.row["entries"] += self.kept
        self.kept = ()
        super().release()


class Short(Table):
    def append_all(self, entries: Sequence[bytes]) -> None:
        super().append_all([entry[:65_536] for entry in entries])


class Folding(Table):
    def found(self, name: str) -> str:
        return name.lower()


class Mixed(Table):
    def entries(self) -> Sequence[bytes]:
        return tuple(entry for row in self.runs.values() for entry in row["entries"])


class InPart(Table):
    """A group is refused after its beginning was kept."""

    def append_all(self, entries: Sequence[bytes]) -> None:
        self.row["entries"].extend(entries[:1] if self.row["owned"] else ())
        self.check()
        self.row["entries"].extend(entries[1:])


class Open(Table):
    def acquire(self, *, again: bool = False) -> int:
        self.row["owned"] = False
        return super().acquire()


class Unfenced(Table):
    def check(self) -> None:
        if not self.row["owned"]:
            raise RunBusy("nobody owns it")


class Uncounted(Table):
    def acquire(self, *, again: bool = False) -> int:
        super().acquire()
        self.mine = self.row["epoch"] = 1
        return 1


class Snatching(Table):
    def release(self) -> None:
        self.row["owned"] = False
        self.mine = 0


class LastWins(Table):
    def answer(self, key: str, value: bytes) -> bool:
        super().answer(key, value)
        self.row["answers"][key] = value
        return True


class Jealous(Table):
    def answer(self, key: str, value: bytes) -> bool:
        return not self.row["owned"] and super().answer(key, value)


class Early(Table):
    """Answers to runs that have not begun are everybody's."""

    def answers(self) -> Mapping[str, bytes]:
        begun = [row for row in self.runs.values() if not row["entries"]]
        return {key: value for row in [*begun, self.row] for key, value in row["answers"].items()}


def test_a_journal_on_plain_lists_keeps_the_laws() -> None:
    check_journal_laws(partial(Table, {}), max_examples=10)


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Shuffled, "entries come back as they were and in order"),
        (Forgetful, "entries come back as they were and in order"),
        (Buffering, "an entry is there for others when append returns"),
        (Short, "an entry may be large"),
        (Folding, "a run may have any name"),
        (Mixed, "runs in one place are apart"),
        (InPart, "a group of a replaced owner is refused whole"),
        (Open, "a run has one owner at a time"),
        (Unfenced, "nothing is appended by who does not own"),
        (Uncounted, "the number of an ownership only grows"),
        (Snatching, "a second release takes nothing from the next owner"),
        (LastWins, "the first answer stays"),
        (Jealous, "answers need no owner and disturb none"),
        (Early, "answers of runs are apart"),
    ],
)
def test_a_journal_that_breaks_a_law_is_told_which(kind: type[Table], broken: str) -> None:
    law = next(law for law in journal_laws(Table({}, "a run")) if law_name(law) == broken)
    with pytest.raises(AssertionError, match=f"^law '{broken}' does not hold"):
        prove(broken, partial(law, partial(kind, {})), max_examples=10)


# --- what a journal is made with -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_id": ""},
        {"run_id": "  "},
        {"run_id": 7},
        {"run_id": "a\0b"},
        {"run_id": "\ud800"},
        {"run_id": "a", "durability": "sometimes"},
        {"run_id": "a", "lease_seconds": 0},
        {"run_id": "a", "lease_seconds": float("nan")},
        {"run_id": "a", "lease_seconds": float("inf")},
    ],
)
def test_what_no_journal_can_be_made_with_is_refused_in_one_line(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{list(wrong)[-1]} is ") as refused:
        SqliteJournal(tmp_path / "runs.db", **wrong)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_an_entry_whose_number_is_not_its_own_is_damage() -> None:
    """An entry that was left out of a chain that somebody sealed anew."""
    journal = MemoryJournal()

    @task
    def step(n: int) -> int:
        return n

    run(step >> step.named("again"), 0, journal=journal)
    past = past_of(journal)
    assert past is not None
    forged, before = MemoryJournal(), b""
    for document in (past.documents[0], *past.documents[2:]):
        before, entry = sealed(before, dict(document))
        forged.append(entry)
    with pytest.raises(JournalCorrupt, match="entry 1 is not what was written"):
        past_of(forged)


def test_a_journal_with_entries_and_append_alone_is_one() -> None:
    """Neither groups nor owners nor answers are asked of a log."""

    class Plain:
        def __init__(self) -> None:
            self.kept: list[bytes] = []

        def entries(self) -> Sequence[bytes]:
            return self.kept

        def append(self, entry: bytes) -> None:
            self.kept.append(entry)

    calls = []

    @task
    def once(number: int) -> int:
        calls.append(number)
        return number + 1

    journal = Plain()
    assert not isinstance(journal, (Grouped, Leased))
    assert [run(once >> once, 0, journal=journal).unwrap() for _ in range(2)] == [2, 2]
    assert calls == [0, 1]
