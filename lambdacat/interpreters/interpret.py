"""The meaning of a plan under any monad."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lambdacat.bound import Limits
from lambdacat.context import Context, context_of
from lambdacat.effects.monad import Lifted, Monad
from lambdacat.interpreters.run import check_plan, outcome_of
from lambdacat.machine.environment import Environment
from lambdacat.plan import Plan

A = TypeVar("A")
M = TypeVar("M")


def interpret(
    plan: Plan[A, Any], monad: Monad[M], *, context: Context | Mapping[str, Any] | None = None
) -> Callable[[A], M]:
    """The arrow ``A -> M[Outcome[B]]`` under any monad. Only ``A`` and ``M`` are checked: Python lacks ``M[B]``.

    Branches run left to right unless the monad gathers; timeouts and delays have no meaning without a clock, so they
    let everything pass.
    """
    check_plan("interpret", plan)
    if not isinstance(monad, Monad):
        raise TypeError(f"interpret takes a plan, then a Monad record, not {monad!r}")
    given = context_of(context)

    def arrow(value: A) -> M:
        lifted = Lifted(monad, Environment(given, given.clock, Limits()))
        ended = lifted.begin(plan, value)
        return monad.bind(ended, lambda end: monad.unit(outcome_of(end)))

    return arrow
