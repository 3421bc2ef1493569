"""Rewriting: named rules from plans to equal plans, each with the law that makes it one.

A rule looks at one node whose children are already rewritten and gives another node, or None. ``optimise`` applies
all of them bottom-up until none applies, and says which it used and where.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, groupby
from typing import Any, TypeVar, final

from attrs import frozen

from lambdacat.bound import Retry, Timeout
from lambdacat.build import focused, parallel, sequence
from lambdacat.footprints import Footprint, footprint
from lambdacat.leaf import pure_leaf
from lambdacat.optics import Lens
from lambdacat.plan import (
    Attempt,
    Choose,
    Focus,
    Parallel,
    Plan,
    Pure,
    Recover,
    Sequence,
    Within,
    _Fail,
    identity,
)
from lambdacat.structure import step_to

A = TypeVar("A")
B = TypeVar("B")
Node = Plan[Any, Any]
Rule = Callable[[Any], "Node | None"]


@final
@frozen
class Rewrite:
    """One use of a law by ``optimise``: its name and the node it applied to."""

    law: str
    at: tuple[str | int, ...]


class Composed:
    """``g . f`` as one function, which compares by its parts and keeps their names."""

    __slots__ = ("__name__", "fs")

    def __init__(self, fs: tuple[Callable[[Any], Any], ...]) -> None:
        self.fs = fs
        self.__name__ = " then ".join(getattr(f, "__name__", None) or repr(f) for f in fs)

    def __call__(self, value: Any) -> Any:
        for f in self.fs:
            value = f(value)
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Composed) and self.fs == other.fs

    def __hash__(self) -> int:
        return hash(self.fs)


def fuse_pure(node: Sequence[Any, Any]) -> Node | None:
    """Two pure functions in a row are one."""
    fused: list[Node] = []
    for are_pure, group in groupby(node.steps, lambda step: type(step) is Pure):
        row = list(group)
        fused.extend((_fused(row),) if are_pure and len(row) > 1 else row)
    return sequence(*fused) if len(fused) < len(node.steps) else None


def _fused(row: list[Any]) -> Node:
    return pure_leaf(Composed(tuple(f for leaf in row for f in _functions(leaf))))


def _functions(leaf: Pure[Any, Any]) -> tuple[Callable[[Any], Any], ...]:
    return leaf.f.fs if isinstance(leaf.f, Composed) else (leaf.f,)


def drop_unreachable(node: Sequence[Any, Any]) -> Node | None:
    """Nothing runs after ``fail``."""
    for index, step in enumerate(node.steps[:-1]):
        if type(step) is _Fail:
            return sequence(*node.steps[: index + 1])
    return None


def merge_focuses(node: Sequence[Any, Any]) -> Node | None:
    """Two plans inside the same part, one after the other, are one sequence inside it."""
    made: list[Node] = []
    for step in node.steps:
        last = made[-1] if made else None
        if (
            type(step) is Focus
            and type(last) is Focus
            and isinstance(step.reads, Lens)
            and step.reads == last.reads
            and step.writes is None
            and last.writes is None
        ):
            made[-1] = focused(step.reads, None, None, sequence(last.plan, step.plan))
        else:
            made.append(step)
    return sequence(*made) if len(made) < len(node.steps) else None


def lift_barrier(node: Sequence[Any, Any]) -> Node | None:
    """``(a & b) >> (c & d)`` where c needs only a, and d only b, is ``(a >> c) & (b >> d)``: no branch waits.

    Where c and d do not commute they must stay side by side, in that order: one after the other, d would see what c
    wrote, and ``&`` merges in written order what both wrote.
    """
    steps = node.steps
    for index in range(len(steps) - 1):
        made = _unbarred(steps[index], steps[index + 1])
        if made is not None:
            return sequence(*steps[:index], made, *steps[index + 2 :])
    return None


def _unbarred(first: Node, second: Node) -> Node | None:
    if not (type(first) is Parallel and first.plain):
        return None
    seconds = second.branches if type(second) is Parallel and second.plain else (second,)
    if not all(map(_declared, (*first.branches, *seconds))):
        return None
    homes = _homes([footprint(branch) for branch in first.branches], [footprint(plan) for plan in seconds])
    if homes is None:
        return None
    rows = [[branch] for branch in first.branches]
    for home, plan in zip(homes, seconds, strict=True):
        rows[home].append(plan)
    made: Node = parallel(*(sequence(*row) for row in rows))
    return made


def _homes(before: list[Footprint], after: list[Footprint]) -> list[int] | None:
    """For each plan after a barrier the one branch before it that it has to follow; None where the barrier stays."""
    homes: list[int] = []
    for needs in after:
        found = [i for i, other in enumerate(before) if not needs.disjoint_from(other)]
        if len(found) > 1:
            return None
        homes.append(found[0] if found else 0)
    for i, j in combinations(range(len(after)), 2):
        if homes[i] >= homes[j] and not after[i].disjoint_from(after[j]):
            return None
    return homes


def _declared(plan: Node) -> bool:
    """Whether everything the plan touches is declared, and it cannot be told that it ran beside another."""
    found = footprint(plan)
    return () not in found.reads and () not in found.writes


def same_branches(node: Choose[Any, Any]) -> Node | None:
    """A choice between equal plans is that plan, where choosing touches nothing and cannot fault."""
    if not node.binary or node.plans[0] != node.plans[1] or not isinstance(node.selector, Lens):
        return None
    return None if node.selector.steps else node.plans[0]


def certain_success(node: Recover[Any, Any]) -> Node | None:
    """``p | q`` is ``p`` where p cannot fault."""
    return node.plan if node.other is not None and _never_faults(node.plan) else None


def _never_faults(plan: Node) -> bool:
    return type(plan) is Attempt or plan is identity


def least_timeout(node: Within[Any, Any]) -> Node | None:
    """Nested timeouts are the smaller one."""
    inner = node.plan
    if type(node.bound) is Timeout and type(inner) is Within and type(inner.bound) is Timeout:
        return inner.plan.timeout(min(node.bound.seconds, inner.bound.seconds))
    return None


def no_retry_needed(node: Within[Any, Any]) -> Node | None:
    """A retry of what cannot fault is that."""
    return node.plan if type(node.bound) is Retry and _never_faults(node.plan) else None


RULES: tuple[tuple[str, type, Rule], ...] = (
    ("pure functions fuse", Sequence, fuse_pure),
    ("fail is a left zero", Sequence, drop_unreachable),
    ("focus preserves sequence", Sequence, merge_focuses),
    ("disjoint footprints commute", Sequence, lift_barrier),
    ("a constant choice is its branch", Choose, same_branches),
    ("success is left alone", Recover, certain_success),
    ("nested timeouts are the smaller", Within, least_timeout),
    ("retry of success is success", Within, no_retry_needed),
)
"""The law, the class of nodes it is about, and the rule."""


def _rewritten(node: Node, at: tuple[str | int, ...], used: list[Rewrite]) -> Node:
    """The node with every rule applied to itself, as often as one applies."""
    again = True
    while again:
        again = False
        for law, kind, rule in RULES:
            if type(node) is kind and (made := rule(node)) is not None:
                used.append(Rewrite(law, at))
                node, again = made, True
    return node


def _pass(plan: Node, used: list[Rewrite]) -> Node:
    """Every node, children before parents, without recursion."""
    done: dict[int, Node] = {}
    rest: list[tuple[Node, bool]] = [(plan, False)]
    # Paths are only kept where something is rewritten: one of each would be quadratic in a deep plan.
    above: dict[int, tuple[Node, int]] = {}
    while rest:
        node, opened = rest.pop()
        if id(node) in done:
            continue
        data, children = node.parts()
        if children and not opened:
            rest.append((node, True))
            for i, child in enumerate(children):
                above.setdefault(id(child), (node, i))
                rest.append((child, False))
            continue
        made = tuple(done[id(child)] for child in children)
        same = all(new is old for new, old in zip(made, children, strict=True))
        fresh = node if same else type(node).from_parts(data, made)
        before = len(used)
        done[id(node)] = _rewritten(fresh, (), used)
        if len(used) > before:
            at = _path(node, plan, above)
            used[before:] = [Rewrite(one.law, at) for one in used[before:]]
    return done[id(plan)]


def _path(node: Node, root: Node, above: dict[int, tuple[Node, int]]) -> tuple[str | int, ...]:
    rows: list[tuple[str | int, ...]] = []
    while node is not root:
        parent, index = above[id(node)]
        rows.append(step_to(parent, index))
        node = parent
    return tuple(step for row in reversed(rows) for step in row)


def optimise(plan: Plan[A, B]) -> tuple[Plan[A, B], tuple[Rewrite, ...]]:
    """An equal plan with fewer barriers and nodes, and the laws that make it equal. Law: same results; idempotent.

    Where a plan faults, the optimised one faults too; which of several faults is reported may differ, as it may
    between any two runs of ``&``.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"optimise takes a plan, not {plan!r}")
    used: list[Rewrite] = []
    while True:
        before = len(used)
        plan = _pass(plan, used)
        if len(used) == before:
            return plan, tuple(used)
