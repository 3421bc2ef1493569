"""Stand-ins for actions: ones that remember their calls, and ones that fail at first."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, final

from attrs import frozen

from lambdacat.leaf import task
from lambdacat.plan import Plan


def _first(*given: Any) -> Any:
    return given[0] if given else None


@final
@frozen
class Called:
    """One call: the name of the task, and what it was given."""

    name: str
    given: tuple[Any, ...]


@final
class Recorder:
    """Makes tasks that remember their calls, in the order in which they were called.

    >>> from lambdacat import run
    >>> recorder = Recorder()
    >>> plan = recorder.task("search") >> recorder.task("judge", len)
    >>> run(plan, "sheaf")
    <Success: 5>
    >>> recorder.names
    ('search', 'judge')
    """

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        """A recorder that has seen no call."""
        self._calls: list[Called] = []

    @property
    def calls(self) -> tuple[Called, ...]:
        """Every call so far, earliest first."""
        return tuple(self._calls)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tasks called so far, earliest first."""
        return tuple(call.name for call in self._calls)

    def task(self, name: str, action: Callable[..., Any] = _first, **options: Any) -> Plan[Any, Any]:
        """A task that is remembered, then does ``action``: by default it gives back what it was given.

        ``options`` are those of ``task``, such as ``reads`` and ``writes``; an async ``action`` stays one.
        """

        def recorded(*given: Any) -> Any:
            self._calls.append(Called(name, given))
            return action(*given)

        made: Plan[Any, Any] = task(name=name, **options)(recorded)
        return made


def fails(times: int, error: Exception, then: Callable[..., Any] = _first) -> Callable[..., Any]:
    """An action that raises ``error`` the first ``times`` calls, then does ``then``.

    >>> flaky = fails(1, ValueError("busy"))
    >>> flaky("a")
    Traceback (most recent call last):
        ...
    ValueError: busy
    >>> flaky("a")
    'a'
    """
    lock, left = Lock(), times

    def failing(*given: Any) -> Any:
        nonlocal left
        with lock:
            now, left = left, left - 1
        if now > 0:
            raise error.with_traceback(None)
        return then(*given)

    return failing
