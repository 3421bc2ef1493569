"""Making a failing plan smaller, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lambdacat.place import PlanError
from lambdacat.plan import Choose, Parallel, Plan, Sequence, identity
from lambdacat.regrow import swapped
from lambdacat.structure import fold

A = TypeVar("A")
Node = Plan[Any, Any]


def shrink(plan: Plan[A, Any], value: A, fails: Callable[[Plan[Any, Any], A], bool]) -> Plan[Any, Any]:
    """A plan that still ``fails(plan, value)``, and of which no single piece can be left out.

    Pieces are tried from the largest down: a node for one of its descendants, runs of steps or branches, a node for
    ``identity``. Each step makes the plan smaller, so it ends. ``fails`` should recognise the failure that is sought: a
    piece may fail in a way of its own. Errors: ``ValueError`` when ``plan`` does not fail.
    """
    if not fails(plan, value):
        raise ValueError(f"shrink wants a plan that fails, and {plan!r} does not")
    found: Node | None = plan
    while found is not None:
        plan, found = found, next((less for less in _smaller(found) if fails(less, value)), None)
    return plan


def _size(plan: Node) -> int:
    """How much there is of a plan: every place counts, and an ``identity`` less than all else."""
    return fold(plan, lambda node, below: sum(below, start=1 if node is identity else 2))


def _distinct_nodes(plan: Node) -> list[Node]:
    """Every node once, children before parents."""
    found: list[Node] = []
    fold(plan, lambda node, below: found.append(node))
    return found


def _smaller(plan: Node) -> Iterator[Node]:
    """Plans with something left out, boldest first."""
    size, row = _size(plan), _distinct_nodes(plan)
    for node, new in _replacements(row):
        if node is plan:
            less: Node = new
        else:
            try:
                less = swapped(plan, node, new)
            except PlanError:
                continue
        if _size(less) < size:
            yield less


def _replacements(row: list[Node]) -> Iterator[tuple[Node, Node]]:
    whole, below = row[-1], row[:-1]
    stride = len(below)
    while stride > 1:
        # Far down first: a long nest is halved, not peeled.
        yield whole, below[len(below) - stride]
        stride //= 2
    for node in reversed(row):
        yield node, identity
        children = node.parts()[1]
        for child in children:
            yield node, child
        if isinstance(node, (Sequence, Parallel, Choose)):
            yield from ((node, less) for less in _with_fewer(node, children))


def _with_fewer(node: Node, children: tuple[Node, ...]) -> Iterator[Node]:
    run = len(children) // 2
    while run >= 1:
        for start in range(0, len(children), run):
            kept = range(start), range(start + run, len(children))
            try:
                yield _of_these(node, [i for some in kept for i in some if i < len(children)])
            except PlanError:
                continue
        run //= 2


def _of_these(node: Node, kept: list[int]) -> Node:
    data, children = node.parts()
    if isinstance(node, Choose):
        if node.binary:
            raise PlanError("a condition has two branches")
        keys = tuple(node.keys[i] for i in kept if i < len(node.keys))
        has_default = node.has_default and len(children) - 1 in kept
        if not kept:
            raise PlanError("a choice of nothing")
        data = (node.selector, keys, has_default, node.binary)
    return type(node).from_parts(data, tuple(children[i] for i in kept))
