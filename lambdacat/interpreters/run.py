"""Running a plan in this thread: no event loop, branches left to right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from returns.result import Failure, Success

from lambdacat.bound import Limits
from lambdacat.context import Context, context_of
from lambdacat.effects.direct import Direct
from lambdacat.fault import Outcome, settled
from lambdacat.machine.environment import Environment
from lambdacat.plan import Plan

if TYPE_CHECKING:
    from lambdacat.interpreters.journal import Journal

A = TypeVar("A")
B = TypeVar("B")

_LIMITS = Limits()


def outcome_of(ended: tuple[bool, Any]) -> Outcome[Any]:
    """The public form of the end of a run."""
    won, value = ended
    return Success(value) if won else Failure(settled(value))


def run(
    plan: Plan[A, B],
    value: A,
    *,
    context: Context | Mapping[str, Any] | None = None,
    journal: Journal | None = None,
    observers: Collection[Callable[[Any], object]] = (),
) -> Outcome[B]:
    """The result, computed in this thread with branches left to right. Errors: ``WouldBlock`` if an action suspends.

    Here and in every other runner, ``context`` is a ``Context`` or a mapping of names to what tasks may ask for. With a
    journal the run survives its process: the same call goes on where it stopped.
    """
    check_plan("run", plan)
    if journal is not None:
        from lambdacat.interpreters.journal import check_journal
        from lambdacat.interpreters.runs import run_durable

        check_journal(journal)
        return run_durable(plan, value, journal, context_of(context), observers)
    if observers:
        from lambdacat.interpreters.traced import run_watched

        return run_watched(plan, value, context_of(context), observers)
    given = context_of(context)
    direct = Direct(Environment(given, given.clock, _LIMITS))
    # What actions set stays inside the run.
    return outcome_of(copy_context().run(direct.iterate, (plan, value, None)))


def check_plan(what: str, plan: object) -> None:
    """Refuse what is no plan, in one line."""
    if not isinstance(plan, Plan):
        raise TypeError(f"{what} takes a plan, then the value; its first argument is {plan!r}")
