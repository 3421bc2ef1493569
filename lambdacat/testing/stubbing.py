"""Plans whose tasks are replaced by values, so that they run without the services they call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, final

from attrs import frozen

from lambdacat.callables import is_async
from lambdacat.place import PlanError
from lambdacat.plan import Plan, Task
from lambdacat.regrow import rebuilt, with_action
from lambdacat.structure import fold

A = TypeVar("A")
B = TypeVar("B")


@final
@frozen
class Answer:
    """An action that always gives ``value``."""

    value: Any

    def __call__(self, *given: Any) -> Any:
        """The value."""
        return self.value


def stub(plan: Plan[A, B], answers: Mapping[str, Any]) -> Plan[A, B]:
    """The plan with each task of ``answers`` replaced, by name: by a value, or by a function that is called instead.

    Lenses, timeouts and names stay, so a stubbed task reads and writes what the real one does. What a ``bind`` makes
    at run time is out of reach. Errors: ``PlanError`` for a name that no task has.

    >>> from lambdacat import run, task
    >>> @task
    ... async def ask_model(text: str) -> str: ...
    >>> run(stub(ask_model, {"ask_model": "yes"}), "is it so?")
    <Success: yes>
    """
    check_names("stub", plan, answers)

    def answered(node: Plan[Any, Any]) -> Plan[Any, Any]:
        if not isinstance(node, Task) or node.name not in answers:
            return node
        answer = answers[node.name]
        return _with_action(node, answer) if callable(answer) else _with_action(node, Answer(answer))

    return rebuilt(plan, answered)


def _with_action(node: Task[Any, Any, Any], action: Any) -> Plan[Any, Any]:
    if isinstance(action, Answer):
        return with_action(node, action, "inline")
    # An async stand-in never blocks a thread, whatever the real action does.
    return with_action(node, action, None if is_async(action) else node.blocking)


def check_names(who: str, plan: Plan[Any, Any], answers: Iterable[str]) -> None:
    """Refuse a name that no task of the plan has. Errors: ``PlanError`` with the nearest."""
    names: set[str] = set()

    def gather_name(node: Plan[Any, Any], below: list[None]) -> None:
        if isinstance(node, Task):
            names.add(node.name)

    fold(plan, gather_name)
    for name in answers:
        if name not in names:
            close = get_close_matches(name, sorted(names), n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(sorted(names)) or 'no tasks'}"
            raise PlanError(f"{who}: the plan has no task {name!r}; {hint}")
