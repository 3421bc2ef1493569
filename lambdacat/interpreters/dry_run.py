"""What a run may do and cost, read from the plan: nothing is performed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from collections.abc import Sequence as Row
from math import inf
from typing import Any, NamedTuple, TypeVar, final

from attrs import frozen

from lambdacat.bound import Limited, Limits
from lambdacat.footprints import Touch, _touch, read_by
from lambdacat.interpreters.costs import cost_of, looped, on_parts, paced, shares_work
from lambdacat.interpreters.measures import NOTHING, Cost, Names
from lambdacat.optics import Iso, Lens, Traversal
from lambdacat.place import Place, overlaps
from lambdacat.plan import (
    Attempt,
    Choose,
    Composite,
    Focus,
    LoopWhile,
    Parallel,
    Plan,
    Recover,
    Sequence,
    Within,
    _Identity,
)
from lambdacat.structure import fold

A = TypeVar("A")
Node = Plan[Any, Any]


@final
@frozen(kw_only=True)
class Forecast:
    """Bounds on a run, as (best, worst). Units: seconds, tokens, money, calls. Law: every real run lies inside.

    Any action may fault and end the run, so the best case is the cheapest such end, not the cheapest success. Limiters
    are counted as if nobody else used them. An estimate holds for a call that succeeds or faults; one that is cut off
    may have cost less. ``seconds`` are those of a concurrent run; ``run``, which takes one branch after the other,
    needs up to ``speed_up`` times the worst.
    """

    seconds: tuple[float, float]
    tokens: tuple[float, float]
    money: tuple[float, float]
    calls: tuple[float, float]
    """How many actions run; the worst case of an unbounded loop is infinite."""
    may_run: tuple[str, ...]
    """Names of tasks in the order of the plan."""
    critical_path: tuple[str, ...]
    """Names on the way that takes longest at worst; an unknown estimate counts as the longest."""
    waves: tuple[tuple[str, ...], ...]
    """Names that may overlap, by depth."""
    speed_up: float | None
    """Worst-case seconds one by one, over worst-case seconds of this plan; None where an estimate is missing."""
    unknown: tuple[str, ...] = ()
    """What makes a worst case infinite, each in a few words."""

    def __str__(self) -> str:
        """A small table."""
        rows = [f"{'':8}{'best':>12}{'worst':>12}"]
        for name in ("seconds", "tokens", "money", "calls"):
            best, worst = getattr(self, name)
            rows.append(f"{name:8}{_number(best):>12}{_number(worst):>12}")
        rows.append(f"critical path: {' > '.join(self.critical_path) or 'nothing'}")
        if self.speed_up is not None:
            rows.append(f"speed-up: {self.speed_up:.2f}")
        if self.unknown:
            rows.append(f"unknown: {'; '.join(self.unknown)}")
        return "\n".join(rows)


def _number(value: float) -> str:
    return "unknown" if value == inf else f"{value:g}"


def dry_run(plan: Plan[A, object], value: A | None = None) -> Forecast:
    """What a run may do and cost, from the tree alone; a value narrows it. Nothing is performed.

    With a value, selectors, conditions and lenses are asked, as long as nothing before them writes what they read; one
    that raises narrows nothing.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"dry_run takes a plan, not {plan!r}")
    known: Any = _UNKNOWN if value is None else value
    return _forecast(_looked(plan, known), [(one, _looked(plan, known, one)) for one in _limiters(plan)])


def cost_at_least(plan: Node) -> Cost:
    """What a plan costs, whatever it is given."""
    return _looked(plan, _UNKNOWN)


_UNKNOWN: Any = object()


def _looked(plan: Node, value: Any, counted: Any = None) -> Cost:
    """The cost of a plan; with ``counted`` its calls are turns of that limiter."""
    costs: dict[int, Cost] = {}
    touches: dict[int, Touch] = {}

    def rule(node: Node, below: Row[Cost]) -> Cost:
        return cost_of(node, below, counted)

    def look(node: Node, below: list[None]) -> None:
        children = node.parts()[1]
        costs[id(node)] = rule(node, [costs[id(child)] for child in children])
        if value is not _UNKNOWN:
            touches[id(node)] = _touch(node, [touches[id(child)] for child in children])

    fold(plan, look)
    return costs[id(plan)] if value is _UNKNOWN else _narrowed(plan, value, costs, touches, rule)


def _limiters(plan: Node) -> list[Any]:
    """Every limiter of a plan, once."""
    found: dict[int, Any] = {}

    def look(node: Node, below: list[None]) -> None:
        if type(node) is Within and type(node.bound) is Limited:
            found[id(node.bound.limiter)] = node.bound.limiter

    fold(plan, look)
    return list(found.values())


# --- with a value ----------------------------------------------------------------------------------------------------


class _Known(NamedTuple):
    """A value that was there before, and the places that may have been written since."""

    value: Any
    written: frozenset[Place] = frozenset()

    def shows(self, places: frozenset[Place]) -> bool:
        """Whether these places are as they were."""
        return not any(overlaps(one, place) for one in self.written for place in places)


_Rule = Callable[[Node, "Row[Cost]"], Cost]
_Narrowing = Generator[tuple[Node, _Known | None], Cost, Cost]


def _narrowed(plan: Node, value: object, costs: dict[int, Cost], touches: dict[int, Touch], rule: _Rule) -> Cost:
    """The cost with the value known; a generator for each node yields the children that it needs, in a loop."""
    answer: Any = None
    stack = [_narrow(plan, _Known(value), touches, rule)]
    while stack:
        try:
            node, known = stack[-1].send(answer)
        except StopIteration as done:
            stack.pop()
            answer = done.value
            continue
        if known is None:
            answer = costs[id(node)]
        else:
            stack.append(_narrow(node, known, touches, rule))
            answer = None
    cost: Cost = answer
    return cost


_NO_ANSWER = object()


def _asked(known: _Known, test: Any) -> Any:
    """What a selector or condition says of the value, or ``_NO_ANSWER``."""
    if not known.shows(read_by(test)):
        return _NO_ANSWER
    try:
        return test(known.value)
    except Exception:  # noqa: BLE001  a question that raises narrows nothing; the run will say so as a fault
        return _NO_ANSWER


def _narrow(node: Node, known: _Known, touches: dict[int, Touch], rule: _Rule) -> _Narrowing:
    children = node.parts()[1]
    match node:
        case Sequence(steps=steps):
            return (yield from _along(node, steps, known, touches, rule))
        case Choose():
            index = _chosen(node, _asked(known, node.selector))
            if index is not None:
                return (yield node.plans[index], known)
        case LoopWhile():
            return (yield from _turning(node, known, touches))
        case Focus():
            return (yield from _inside(node, known, rule))
        case Recover() | Attempt() | Within() | Parallel() | Composite() | _Identity():
            pass
        case _:
            # What runs first inside a node that is not known here is not known either.
            return (yield from _each(node, children, None, rule))
    return (yield from _each(node, children, known, rule))


def _each(node: Node, children: tuple[Node, ...], known: _Known | None, rule: _Rule) -> _Narrowing:
    costs = []
    for child in children:
        costs.append((yield child, known))  # noqa: PERF401  a comprehension cannot yield
    return rule(node, costs)


def _along(node: Node, steps: tuple[Node, ...], known: _Known, touches: dict[int, Touch], rule: _Rule) -> _Narrowing:
    costs, still = [], known
    seeing = True
    for step in steps:
        costs.append((yield step, still if seeing else None))
        touch = touches[id(step)]
        seeing = seeing and not touch.opaque
        still = _Known(known.value, still.written | {place for place, _ in touch.declared})
    return rule(node, costs)


def _chosen(node: Choose[Any, Any], key: object) -> int | None:
    """The index of the branch for a key; None when that is not sure."""
    if key is _NO_ANSWER:
        return None
    try:
        if node.binary:
            return 0 if key else 1
        return node.keys.index(key) if key in node.known else len(node.plans) - 1 if node.has_default else None
    except Exception:  # noqa: BLE001  a key that cannot be compared narrows nothing
        return None


def _turning(node: LoopWhile[Any, Any], known: _Known, touches: dict[int, Touch]) -> _Narrowing:
    answer = _asked(known, node.condition)
    if answer is not _NO_ANSWER and not answer:
        return NOTHING._replace(instant=False)
    then = None if node.then is None else (yield node.then, None)
    return looped((yield node.plan, None), then, node.at_most, once=answer is not _NO_ANSWER)


def _inside(node: Focus[Any, Any], known: _Known, rule: _Rule) -> _Narrowing:
    reads = node.reads
    place: Place = reads.place if isinstance(reads, Traversal) else ()
    if known.shows(frozenset({place})):
        try:
            if isinstance(reads, (Lens, Iso)):
                part = reads.get(known.value)
                return rule(node, [(yield node.plan, _Known(part))])
            count = len(reads.get_all(known.value) if isinstance(reads, Traversal) else reads.parts(known.value))
        except Exception:  # noqa: BLE001  a lens that raises narrows nothing
            return rule(node, [(yield node.plan, None)])
        return on_parts((yield node.plan, None), count, node.limit)
    return rule(node, [(yield node.plan, None)])


# --- the forecast ----------------------------------------------------------------------------------------------------


def _words(names: Names) -> Iterator[tuple[int, str]]:
    """Every name with its wave, in the order of the plan."""
    rest = [(0, names)]
    while rest:
        wave, one = rest.pop()
        if one.word:
            yield wave, one.word
        below = []
        for part in one.parts:
            below.append((wave, part))
            if not one.beside:
                wave += part.depth
        rest.extend(reversed(below))


def _forecast(cost: Cost, turns: Row[tuple[Any, Cost]]) -> Forecast:
    waves: dict[int, list[str]] = {}
    for wave, word in _words(cost.may_run):
        waves.setdefault(wave, []).append(word)
    worst, threads = cost.seconds.most, Limits().threads
    if cost.threads > threads:
        # Work waits for a thread only while all of them work.
        worst = min(cost.alone, worst + cost.threaded / threads)
    least, alone = cost.seconds.least, cost.alone
    if any(shares_work(limiter) for limiter, _ in turns):
        worst = max(worst, alone)  # who waits for others is never kept longer than all of them take in turn
    for limiter, (_, _, _, taken, *_) in turns:
        if paced(limiter):
            least = max(least, (taken.least - limiter.burst) * limiter.interval)
            # While anybody waits, it gives a turn each interval.
            waited = taken.most * limiter.interval if taken.most else 0.0
            worst, alone = worst + waited, alone + waited
    tokens, money, calls = ((one.least, one.most) for one in cost[1:4])
    return Forecast(
        seconds=(least, worst),
        tokens=tokens,
        money=money,
        calls=calls,
        may_run=tuple(word for _, word in _words(cost.may_run)),
        critical_path=tuple(word for _, word in _words(cost.critical)),
        waves=tuple(tuple(waves[wave]) for wave in sorted(waves)),
        speed_up=alone / worst if 0 < worst < inf and alone < inf else None,
        unknown=tuple(dict.fromkeys(word for _, word in _words(cost.unknown))),
    )
