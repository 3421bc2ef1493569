"""State plans as steps of a larger State program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from returns.result import Success

from lambdacat.context import Context, context_of
from lambdacat.effects.state import State
from lambdacat.fault import Outcome
from lambdacat.interpreters.run import check_plan, run
from lambdacat.plan import Plan

S = TypeVar("S")


def stateful(plan: Plan[S, S], *, context: Context | Mapping[str, Any] | None = None) -> State[S, Outcome[S]]:
    """A state plan as a step of a larger State program; on a fault the state stays as it was."""
    check_plan("stateful", plan)
    given = context_of(context)

    def threaded(state: S) -> tuple[Outcome[S], S]:
        outcome = run(plan, state, context=given)
        return outcome, outcome.unwrap() if isinstance(outcome, Success) else state

    return State(threaded)
