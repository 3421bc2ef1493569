"""What stands in a journal file or a database of journals, as rows at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from lambdacat.interpreters.journal import JournalCorrupt

Row: TypeAlias = tuple[Any, ...]
"""number, run, created, updated, epoch, owner, deadline, crashes, reached, aside."""


class NoJournal(JournalCorrupt):
    """A file or a database that no journal has written."""


class Rows(Protocol):
    """Runs, entries and answers of one place, as they were when it was opened."""

    far: bool
    """Whether owners may be on other machines."""

    def now(self) -> float:
        """The clock of its leases. Units: seconds."""

    def wall(self) -> float:
        """The time of day by which it dates what happens. Units: seconds since 1970 in UTC."""

    def size(self) -> int:
        """What it takes on disk. Units: bytes."""

    def every(self) -> Sequence[Row]:
        """Every run, oldest first."""

    def owned(self) -> Sequence[Row]:
        """Every run that has an owner."""

    def named(self, run: str) -> Sequence[Row]:
        """The run of a name."""

    def numbered(self, number: int) -> Sequence[Row]:
        """The run of a number."""

    def names(self) -> list[str]:
        """What runs are called, latest first."""

    def entries(self, number: int) -> list[bytes]:
        """What a run has done, in order. Errors: ``JournalCorrupt`` when the end of it is missing."""

    def answers(self, number: int) -> list[tuple[str, bytes, object]]:
        """What was answered: key, answer, instant."""

    def lost(self, number: int, entries: Sequence[bytes]) -> str:
        """What was acknowledged and is not among the entries of a run; empty when nothing is missing."""


class Removing(Rows, Protocol):
    """Rows that can be taken out."""

    def locked(self, number: int) -> AbstractContextManager[object]:
        """A transaction in which nobody else changes a run."""

    def delete(self, number: int) -> None:
        """Take a run out."""

    def shrunk(self) -> str:
        """Give free space back; why that could not be, or empty."""
