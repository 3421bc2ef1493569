"""What may go wrong with a run or its journal, as one line and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from lambdacat.codec import NotStorable, StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.interpreters.answers import NoQuestion
from lambdacat.interpreters.journal import JournalCorrupt, RunBusy, RunSetAside
from lambdacat.interpreters.replaying import NoEntry
from lambdacat.place import PlanError
from lambdacat.shown import FAILED, Shown, UsageError
from lambdacat.store.places import Database, Place
from lambdacat.store.rows import NoJournal
from lambdacat.store.runs_at_rest import NoRun, RunAtRest, run_in

P = ParamSpec("P")

BUSY = 4
"""Exit code when another process owns the run."""


def plainly(command: Callable[P, Shown]) -> Callable[P, Shown]:
    """The command, with what it may raise as one line and an exit code."""

    @wraps(command)
    def obeyed(*args: P.args, **kwargs: P.kwargs) -> Shown:
        try:
            return command(*args, **kwargs)
        except (NoJournal, NoRun, NoQuestion, NoEntry, PlanError) as error:
            raise UsageError(_line(error)) from error
        except RunBusy as error:
            return Shown("", BUSY, f"lambdacat: {_line(error)}", error)
        except (JournalCorrupt, RunSetAside, StateCorrupt, NotStorable, Unanswered) as error:
            return Shown("", FAILED, f"lambdacat: {_line(error)}", error)

    return obeyed


def _line(error: Exception) -> str:
    """The message with its notes, on one line."""
    return " ".join("; ".join((str(error), *getattr(error, "__notes__", ()))).split())


def found_in(place: Place, run: str) -> RunAtRest:
    """One run of a place that is there. Errors: ``UsageError``, and those of ``run_in``."""
    check_place(place)
    return run_in(place, run)


def check_place(place: Place) -> None:
    """Errors: ``UsageError`` when there is no such file."""
    if isinstance(place, Database) or place.is_file():
        return
    if place.exists():
        raise UsageError(f"{place} is no file")
    from lambdacat.commands import close

    here = [each.name for each in place.parent.glob("*") if each.is_file()]
    raise UsageError(f"no such file: {place}{close(place.name, here)}")
