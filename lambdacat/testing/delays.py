"""Actions that take time on whatever clock their event loop has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import field, frozen

from lambdacat.bound import seconds_of
from lambdacat.plan import Plan, Task
from lambdacat.regrow import rebuilt, with_action

A = TypeVar("A")
B = TypeVar("B")


def _duration(_: object, attribute: object, value: float) -> None:
    seconds_of(value, "seconds")


@frozen
class Slow:
    """``action``, done after ``seconds`` on the clock of the event loop; on a virtual clock that takes no time.

    >>> from lambdacat import task
    >>> task(Slow(len, 3600.0)).name
    'Slow'
    """

    action: Callable[..., Any]
    seconds: float = field(validator=_duration)

    async def __call__(self, *given: Any) -> Any:
        """What the action gives, later."""
        from anyio import sleep

        await sleep(self.seconds)
        return self.action(*given)


def slow(action: Callable[..., B], *, seconds: float) -> Slow:
    """The plain function ``action`` as an async one that takes ``seconds``."""
    return Slow(action, seconds)


def awake(plan: Plan[A, B]) -> Plan[A, B]:
    """The plan with every slow action done at once, so that ``run`` can do it. Law: the same results."""

    def woken(node: Plan[Any, Any]) -> Plan[Any, Any]:
        if not isinstance(node, Task) or not isinstance(node.action, Slow):
            return node
        return with_action(node, node.action.action, node.blocking)

    return rebuilt(plan, woken)
