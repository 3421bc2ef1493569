"""What is well-formed and still doubtful in a plan, every finding at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, final

from attrs import field, frozen

from lambdacat.bound import Budget, Limited, Retry, Timeout
from lambdacat.condition import Condition
from lambdacat.footprints import Touch, _touch
from lambdacat.interpreters.dead_stores import never_read, read_too_early, sure_writes
from lambdacat.interpreters.doubts import changeable, endless, faultless, faults_surely
from lambdacat.interpreters.dry_run import cost_at_least
from lambdacat.optics import Traversal
from lambdacat.place import Place
from lambdacat.plan import (
    Bind,
    Choose,
    Focus,
    LoopWhile,
    Parallel,
    Plan,
    Recover,
    Sequence,
    Task,
    Within,
)
from lambdacat.policy import NBest, Quorum
from lambdacat.structure import expression, fold, step_to

Node = Plan[Any, Any]


At = tuple[str | int, ...]


def _path_of(at: At | Spot) -> At:
    return at if isinstance(at, tuple) else at.path()


@final
@frozen(repr=False)
class Finding:
    """Something doubtful in a plan: which rule, where, and one sentence."""

    __match_args__ = ("rule", "at", "message")

    rule: str
    _at: At | Spot = field(eq=_path_of)
    message: str

    @property
    def at(self) -> At:
        """Path of the node in normal form."""
        return _path_of(self._at)

    def __repr__(self) -> str:
        return f"Finding(rule={self.rule!r}, at={self.at!r}, message={self.message!r})"

    def __reduce__(self) -> Any:
        return Finding, (self.rule, self.at, self.message)


@frozen(eq=False)
class Spot:
    """A node where it stands. Its path is read when asked: the paths of a deep plan are quadratic in length."""

    node: Node
    above: Spot | None = None
    child: int = 0
    seconds: float | None = None
    """The least timeout around it. Units: seconds."""
    retry: Spot | None = None
    """The nearest retry around it."""
    first: bool = True
    """Whether nothing has run on this state before it."""
    beside: bool = False
    """Whether it stands in a branch that others run beside."""
    below: list[Spot] = field(factory=list, init=False)
    """The spots of its children."""

    def path(self) -> At:
        """What ``structure.located`` calls this place."""
        steps: list[At] = []
        spot = self
        while spot.above is not None:
            steps.append(step_to(spot.above.node, spot.child))
            spot = spot.above
        return tuple(step for row in reversed(steps) for step in row)

    def at(self, child: int) -> Spot:
        """The spot of a child."""
        return self.below[child]


def _own_timeout(node: Node) -> float | None:
    match node:
        case Within(bound=Timeout(seconds=seconds) | Budget(seconds=seconds)):
            return seconds
        case Task() | Parallel():
            return node.seconds
        case _:
            return None


def _below(spot: Spot, child: int, plan: Node) -> Spot:
    node, own = spot.node, _own_timeout(spot.node)
    least = min((one for one in (own, spot.seconds) if one is not None), default=None)
    retry = spot if type(node) is Within and type(node.bound) is Retry else spot.retry
    fresh = (type(node) is not Sequence or child == 0) and type(node) not in (LoopWhile, Focus)
    return Spot(plan, spot, child, least, retry, spot.first and fresh, spot.beside or type(node) is Parallel)


def _quoted(node: Node) -> str:
    return expression(node, 60)


@frozen
class Facts:
    """What is known of every node from the nodes below it, by identity."""

    touches: dict[int, Touch]
    faultless: dict[int, bool]
    doomed: dict[int, bool]
    sure: dict[int, frozenset[Place]]
    retried: set[Spot]
    """Retries that were reported."""
    roots: set[Any]
    """Classes of states that were looked at."""


Doubt = tuple[Spot, str]
Rule = Callable[[Spot, Facts], Iterator[Doubt]]


# --- rules -----------------------------------------------------------------------------------------------------------


def _unbounded_loop(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    # A timeout around it ends it.
    if type(spot.node) is LoopWhile and spot.node.at_most is None and spot.seconds is None:
        said = f"{_quoted(spot.node)} may turn for ever"
        yield spot, f"{said}; say how often it may with at_most=, or put a timeout around it"


def _unbounded_retry(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    match spot.node:
        # A timeout around it ends it.
        case Within(bound=Retry() as bound, plan=plan) if spot.seconds is None and endless(bound.schedule):
            if not facts.faultless[id(plan)]:
                said = f"{_quoted(spot.node)} may try for ever"
                yield spot, f"{said}; end its schedule with .times(n) or .up_to(seconds), or put a timeout around it"
        case _:
            pass


def _retry_not_idempotent(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    task, retry = spot.node, spot.retry
    if type(task) is Task and task.idempotent is False and retry is not None and retry not in facts.retried:
        facts.retried.add(retry)
        said = f"{_quoted(retry.node)} may do {task.name} twice, which says idempotent=False"
        yield retry, f"{said}; retry only what stands beside it, or make it idempotent"


def _written_never_read(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    if type(spot.node) is Sequence:
        steps = spot.node.steps
        for index, later, place in never_read(steps, facts.touches, facts.sure):
            said = f"what {_quoted(steps[index])} writes to {place} is overwritten by {_quoted(steps[later])}"
            yield spot.at(index), f"{said} before anything reads it; drop the step, or write elsewhere"


def _read_before_written(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    if type(spot.node) is Sequence and spot.first:
        steps = spot.node.steps
        for index, later, place in read_too_early(steps, facts.touches):
            said = f"{_quoted(steps[index])} reads {place}, which {_quoted(steps[later])} writes only later"
            yield spot.at(index), f"{said}; swap them, or give the field no default if the caller provides it"


def _mutable_state(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    for root in _roots(spot.node):
        if root not in facts.roots:
            facts.roots.add(root)
            for clause in changeable(root):
                yield spot, f"{_quoted(spot.node)} works on {root.__name__}{clause}"


def _roots(node: Node) -> list[type]:
    """The classes of state that the optics of a node start from."""
    optics: list[Any] = []
    match node:
        case Task():
            optics = [*(node.reads or ()), *(node.writes or ())]
        case Focus():
            optics = [node.reads, node.writes]
        case Choose():
            optics = [node.selector]
        case LoopWhile():
            optics = [node.condition]
        case _:
            pass
    found = []
    while optics:
        one = optics.pop()
        if isinstance(one, Condition):
            optics.extend(one._parts)
        elif isinstance(one, Traversal) and isinstance(one.root, type):
            found.append(one.root)
    return found


def _opaque_bind(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    if type(spot.node) is Bind:
        said = f"no analysis sees into {_quoted(spot.node)}"
        beside = ", and branches run beside it" if spot.beside else ""
        yield spot, f"{said}{beside}; use choose where the alternatives are known before the run"


def _unreachable(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    match spot.node:
        case Sequence(steps=steps):
            index = next((i for i, step in enumerate(steps[:-1]) if facts.doomed[id(step)]), None)
            if index is not None:
                said = f"{_quoted(steps[index + 1])} never runs: {_quoted(steps[index])} before it always faults"
                yield spot.at(index + 1), f"{said}; drop one of them"
        case Recover(plan=plan, other=other) if other is not None and facts.faultless[id(plan)]:
            yield spot.at(1), f"{_quoted(other)} never runs: {_quoted(plan)} cannot fault; drop the alternative"
        case LoopWhile(at_most=0, plan=plan):
            yield spot.at(0), f"{_quoted(plan)} never runs: its loop says at_most=0; drop it, or allow a turn"
        case _:
            pass


def _too_many_wanted(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    if type(spot.node) is Parallel:
        policy, total = spot.node.policy, len(spot.node.branches)
        wanted = policy.n if type(policy) is NBest else policy.k if type(policy) is Quorum else 0
        if wanted > total:
            said = f"{_quoted(spot.node)} wants {wanted} successes and has branches: {total}"
            yield spot, f"{said}, so it always faults; want fewer, or add branches"


def _over_budget(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    match spot.node:
        case Within(bound=Budget() as budget, plan=plan):
            cost = cost_at_least(plan)
            for measure in ("tokens", "money", "calls", "seconds"):
                cap, least = getattr(budget, measure), getattr(cost, measure).won
                if cap is not None and cap < least < inf:
                    said = f"{_quoted(plan)} cannot succeed within {cap:g} {measure}: it needs {least:g} {measure}"
                    yield spot, f"{said} at least; raise the cap, or do less"
        case _:
            pass


def _inside_itself(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    match spot.node:
        case Within(bound=Limited(limiter=limiter)) if getattr(limiter, "exclusive", False):
            above = spot.above
            while above is not None:
                bound = above.node.bound if type(above.node) is Within else None
                if type(bound) is Limited and bound.limiter is limiter:
                    said = f"{_quoted(spot.node)} is refused: around it {limiter.name} is held already"
                    yield spot, f"{said}, and it might wait for itself; limit one of the two"
                    return
                above = above.above
        case _:
            pass


def _timeout_longer(spot: Spot, facts: Facts) -> Iterator[Doubt]:
    own = _own_timeout(spot.node)
    if own is not None and spot.seconds is not None and own > spot.seconds:
        said = f"the timeout of {own:g} s on {_quoted(spot.node)} never comes: around it is one of {spot.seconds:g} s"
        yield spot, f"{said}; shorten it, or drop it"


RULES: tuple[tuple[str, Rule], ...] = (
    ("unbounded-loop", _unbounded_loop),
    ("unbounded-retry", _unbounded_retry),
    ("retry-not-idempotent", _retry_not_idempotent),
    ("written-never-read", _written_never_read),
    ("read-before-written", _read_before_written),
    ("mutable-state", _mutable_state),
    ("opaque-bind", _opaque_bind),
    ("unreachable", _unreachable),
    ("too-many-wanted", _too_many_wanted),
    ("timeout-longer-than-outer", _timeout_longer),
    ("over-budget", _over_budget),
    ("limited-inside-itself", _inside_itself),
)
"""Every rule by its name. A new rule is one more row."""


def check(plan: Plan[Any, Any]) -> tuple[Finding, ...]:
    """Well-formed but doubtful places: an unbounded loop, a retried non-idempotent task, a write never read, ...

    In the order of the plan. Law: a finding is certain or says that it is suspicious order; no rule runs the plan.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"check takes a plan, not {plan!r}")
    facts = _facts(plan)
    found: list[tuple[Spot, str, str]] = []
    order: dict[Spot, int] = {}
    rest = [Spot(plan)]
    while rest:
        spot = rest.pop()
        order[spot] = len(order)
        spot.below.extend(_below(spot, i, child) for i, child in enumerate(spot.node.parts()[1]))
        for name, rule in RULES:
            found.extend((where, name, message) for where, message in rule(spot, facts))
        rest.extend(reversed(spot.below))
    found.sort(key=lambda row: order[row[0]])
    return tuple(Finding(name, where, message) for where, name, message in found)


def _facts(plan: Node) -> Facts:
    touches: dict[int, Touch] = {}
    calm: dict[int, bool] = {}
    doomed: dict[int, bool] = {}
    sure: dict[int, frozenset[Place]] = {}

    def look(node: Node, below: list[None]) -> None:
        children = node.parts()[1]
        touches[id(node)] = _touch(node, [touches[id(child)] for child in children])
        calm[id(node)] = faultless(node, [calm[id(child)] for child in children])
        sure[id(node)] = sure_writes(node, [sure[id(child)] for child in children])
        doomed[id(node)] = faults_surely(node, [doomed[id(child)] for child in children])

    fold(plan, look)
    return Facts(touches, calm, doomed, sure, set(), set())


__all__ = ["RULES", "Finding", "check"]
