"""Plans with some of their nodes exchanged, without recursion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambdacat.leaf import compiled
from lambdacat.plan import Plan, Task
from lambdacat.structure import fold

Node = Plan[Any, Any]


def rebuilt(plan: Node, change: Callable[[Node], Node]) -> Node:
    """The plan with ``change`` applied to every node, children first; what does not change is shared.

    Errors: ``PlanError`` when a changed child no longer fits its node.
    """

    def grown(node: Node, below: list[Node]) -> Node:
        data, children = node.parts()
        if any(new is not old for new, old in zip(below, children, strict=True)):
            node = type(node).from_parts(data, tuple(below))
        return change(node)

    return fold(plan, grown)


def swapped(plan: Node, old: Node, new: Node) -> Node:
    """The plan with ``new`` wherever it has the very node ``old``. Errors: ``PlanError`` when it does not fit."""

    def grown(node: Node, below: list[Node]) -> Node:
        if node is old:
            return new
        data, children = node.parts()
        if all(one is other for one, other in zip(below, children, strict=True)):
            return node
        return type(node).from_parts(data, tuple(below))

    return fold(plan, grown)


def with_action(node: Task[Any, Any, Any], action: Any, blocking: str | None) -> Node:
    """The task with another action behind the same lenses, name and bounds. Errors: ``PlanError`` on a bad arity."""
    _, name, reads, writes, seconds, resources, idempotent, estimate, _ = node.parts()[0]
    call = compiled(action, reads, writes, blocking, name)
    return Task(action, name, reads, writes, seconds, resources, idempotent, estimate, blocking, call)
