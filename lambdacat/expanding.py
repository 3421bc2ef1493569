"""What nodes of a user's own stand for: expanded once, down to nodes that there are, or refused where it never ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from lambdacat.place import PlanError
from lambdacat.plan import Composite, Named, Plan

_DEEPEST = 1_000
"""How many expansions may make new nodes inside one another before they count as endless."""

_depth: ContextVar[int] = ContextVar("depth of expansions", default=0)


def depth_now() -> int:
    """How many expansions inside one another make the node that is being made."""
    return _depth.get()


def expanded(node: Composite[Any, Any]) -> Plan[Any, Any]:
    """What ``node`` stands for, with every composite in it expanded as well, without recursion.

    Errors: ``PlanError`` when a node stands for itself, or makes new ones of its kind without end.
    """
    first = _expanded_once(node)
    path = {id(node)}
    rest = [(node, _composites(first))]
    while rest:
        above, inside = rest[-1]
        inner = next(inside, None)
        if inner is None:
            rest.pop()
            path.discard(id(above))
            if above is not node:
                above.memo("ends", lambda _: True)
        elif id(inner) in path:
            raise PlanError(f"{inner.name} expands to itself; use bind or loop_while")
        elif inner.depth > _DEEPEST:
            raise PlanError(f"{inner.name} expands to itself, {_DEEPEST} times and more; use bind or loop_while")
        elif not inner.knows("ends"):
            path.add(id(inner))
            rest.append((inner, _composites(inner.memo("expansion", _expanded_once))))
    return first


def _expanded_once(node: Any) -> Plan[Any, Any]:
    token = _depth.set(node.depth + 1)
    try:
        plan = node.expand()
    finally:
        _depth.reset(token)
    if not isinstance(plan, Plan):
        raise PlanError(f"{type(node).__name__}.expand gave {plan!r}, which is no plan")
    return plan


def _composites(plan: Plan[Any, Any]) -> Iterator[Any]:
    """The composites in a plan, each once, but not those inside them."""
    seen: set[int] = set()
    rest = [plan]
    while rest:
        node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Named):
            rest.append(node.plan)
        elif isinstance(node, Composite):
            yield node
        else:
            rest.extend(node.parts()[1])
