"""The monads that ship as records for ``interpret``: Identity, Result, Option, Writer, State, Reader and List.

Actions are called and their results wrapped. For actions that already give a wrapped value, such as a list of
alternatives, evolve a record: ``attrs.evolve(LIST, perform=lambda action, value: action(value))``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from returns.context import RequiresContext
from returns.maybe import Maybe, Nothing, Some
from returns.result import Result, Success

from lambdacat.effects.monad import Done, Monad
from lambdacat.effects.state import State
from lambdacat.effects.writer import Writer

Step = Callable[[Any], Any]


def _looped(step: Step, state: Any) -> Any:
    while not isinstance(state := step(state), Done):
        pass
    return state.value


def _while_succeeding(step: Step, state: Any) -> Result[Any, Any]:
    while True:
        made: Result[Any, Any] = step(state)
        if not isinstance(made, Success):
            return made
        state = made.unwrap()
        if isinstance(state, Done):
            return Success(state.value)


def _while_some(step: Step, state: Any) -> Maybe[Any]:
    while isinstance(made := step(state), Some):
        state = made.unwrap()
        if isinstance(state, Done):
            return Some(state.value)
    return Nothing


def _logging(step: Step, state: Any) -> Writer[Any, Any]:
    made: Writer[Any, Any] = Writer.from_value(state)
    while not isinstance(made.value, Done):
        # Left-nested, so that a log grows at its end.
        made = made.bind(step)
    return made.map(lambda done: done.value)


def _reading(step: Step, state: Any) -> RequiresContext[Any, Any]:
    return RequiresContext(lambda given: _looped(lambda at: step(at)(given), state))


def _every(step: Step, state: Any) -> list[Any]:
    found: list[Any] = []
    rest = [state]
    while rest:
        at = rest.pop()
        if isinstance(at, Done):
            found.append(at.value)
        else:
            rest.extend(reversed(step(at)))
    return found


def _same(value: Any) -> Any:
    return value


def _applied(value: Any, arrow: Step) -> Any:
    return arrow(value)


def _bound(wrapped: Any, arrow: Step) -> Any:
    return wrapped.bind(arrow)


def _each(values: list[Any], arrow: Step) -> list[Any]:
    return [made for value in values for made in arrow(value)]


def _one(value: Any) -> list[Any]:
    return [value]


def _always(value: Any) -> RequiresContext[Any, Any]:
    return RequiresContext(lambda _: value)


IDENTITY: Final[Monad[Any]] = Monad(unit=_same, bind=_applied, iterate=_looped)
RESULT: Final[Monad[Result[Any, Any]]] = Monad(unit=Success, bind=_bound, iterate=_while_succeeding)
OPTION: Final[Monad[Maybe[Any]]] = Monad(unit=Some, bind=_bound, iterate=_while_some)
WRITER: Final[Monad[Writer[Any, Any]]] = Monad(unit=Writer.from_value, bind=_bound, iterate=_logging)
STATE: Final[Monad[State[Any, Any]]] = Monad(unit=State.from_value, bind=_bound)
READER: Final[Monad[RequiresContext[Any, Any]]] = Monad(unit=_always, bind=_bound, iterate=_reading)
LIST: Final[Monad[list[Any]]] = Monad(unit=_one, bind=_each, iterate=_every)

__all__ = ["IDENTITY", "LIST", "OPTION", "READER", "RESULT", "STATE", "WRITER", "Done"]
