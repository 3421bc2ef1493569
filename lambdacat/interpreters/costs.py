"""What running a plan may cost, as bounds that compose: one rule for each node.

A bound has three numbers, because a run may end early: the least cost of ending with a value, the least cost of ending
with a fault (infinite where that cannot be), and the most of either. Actions may fault; the plain functions that plans
are made of (lenses, selectors, conditions, joins, scores, pure functions) are taken to be total, as they should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from lambdacat.asking import Ask, SleepUntil
from lambdacat.bound import Budget, Guarded, Limited, Retry, Timeout
from lambdacat.interpreters.measures import NEVER, NOTHING, Bound, Cost, Names, beside, row
from lambdacat.interpreters.waits import waits
from lambdacat.optics import Iso, Lens, Prism, Traversal
from lambdacat.plan import (
    Attempt,
    Choose,
    Composite,
    Focus,
    LoopWhile,
    Parallel,
    Plan,
    Pure,
    Recover,
    Task,
    Within,
    _Fail,
    _Identity,
)
from lambdacat.plan import Sequence as Steps
from lambdacat.policy import ALL, All, NBest, Quorum
from lambdacat.steps import _Each

Node = Plan[Any, Any]


def _times(n: float, value: float) -> float:
    # Nothing, for ever, is nothing.
    return 0.0 if n == 0 or value == 0 else n * value


def _unforeseen(cost: Cost, why: str) -> Cost:
    """Anything may happen, or nothing."""
    wide = Bound(0.0, 0.0, inf)
    unknown = row((cost.unknown, Names(why, depth=1)))
    return Cost(
        wide, wide, wide, wide, inf, inf, soft=False, may_run=cost.may_run, critical=cost.critical, unknown=unknown
    )


def _waited(node: Node) -> Cost:
    """A wait for the world outside: any number of seconds, nothing else, and after an answer perhaps a refusal."""
    free = Bound(0.0, 0.0, 0.0)
    return Cost(
        Bound(0.0, 0.0, inf), free, free, free, alone=inf, unknown=Names(f"how long {node.name} takes", depth=1)
    )


def _task(node: Task[Any, Any, Any]) -> Cost:
    name, estimate, mode = Names(node.name, depth=1), node.estimate, node.call.mode
    given = ((0.0, inf),) * 3 if estimate is None else (estimate.seconds, estimate.tokens, estimate.money)
    seconds, tokens, money = (Bound(low, low, high) for low, high in given)
    threaded = mode in ("thread", "abandon")
    missing = [word for word, (_, high) in zip(("seconds", "tokens", "money"), given, strict=True) if high == inf]
    words = f"{node.name} has no estimate" + (f" of {' and '.join(missing)}" if len(missing) < 3 else "")
    cost = Cost(
        seconds=seconds,
        tokens=tokens,
        money=money,
        calls=Bound(1.0, 1.0, 1.0),
        alone=seconds.most,
        inline=seconds.most if mode == "inline" else 0.0,
        threaded=seconds.most if threaded else 0.0,
        threads=int(threaded),
        soft=mode in ("await", "abandon"),
        begins=True,
        may_run=name,
        critical=name,
        unknown=Names(words, depth=1) if missing else Names(),
    )
    return cost if node.seconds is None else _cut(cost, node.seconds)


# --- one after the other ---------------------------------------------------------------------------------------------


def _then(first: Bound, second: Bound) -> Bound:
    return Bound(first.won + second.won, min(first.lost, first.won + second.lost), first.most + second.most)


def _gathered(costs: Sequence[Cost], total: Sequence[Bound]) -> Cost:
    """What of several plans adds up whatever their order."""
    seconds, tokens, money, calls = total
    return Cost(
        seconds,
        tokens,
        money,
        calls,
        alone=sum(cost.alone for cost in costs),
        inline=sum(cost.inline for cost in costs),
        threaded=sum(cost.threaded for cost in costs),
        threads=max((cost.threads for cost in costs), default=0),
        soft=all(cost.soft for cost in costs),
        may_run=row(cost.may_run for cost in costs),
        critical=row(cost.critical for cost in costs),
        unknown=row(cost.unknown for cost in costs),
    )


def in_turn(costs: Sequence[Cost]) -> Cost:
    """Each after the one before has ended with a value."""
    total = [Bound()] * 4
    for cost in costs:
        total = [_then(one, two) for one, two in zip(total, cost[:4], strict=True)]
    first = next((cost for cost in costs if not cost.instant), None)
    return _gathered(costs, total)._replace(begins=first is not None and first.begins, instant=first is None)


def one_of(costs: Sequence[Cost], perhaps_none: bool = False) -> Cost:
    """One of several, or with ``perhaps_none`` a fault at once."""
    total = [
        Bound(
            min(bound.won for bound in measure),
            0.0 if perhaps_none else min(bound.lost for bound in measure),
            max(bound.most for bound in measure),
        )
        for measure in zip(*(cost[:4] for cost in costs), strict=True)
    ]
    return _gathered(costs, total)._replace(
        alone=max(cost.alone for cost in costs),
        inline=max(cost.inline for cost in costs),
        threaded=max(cost.threaded for cost in costs),
        begins=not perhaps_none and all(cost.begins for cost in costs),
        critical=max(costs, key=lambda cost: cost.seconds.most).critical,
    )


def _either(plan: Cost, other: Cost) -> Cost:
    """A plan, and after its fault the other."""
    if plan.seconds.lost == inf:
        return plan
    total = [
        Bound(min(one.won, one.lost + two.won), one.lost + two.lost, one.most + two.most)
        for one, two in zip(plan[:4], other[:4], strict=True)
    ]
    return _gathered((plan, other), total)._replace(begins=plan.begins)


def looped(body: Cost, then: Cost | None, at_most: int | None, *, once: bool = False) -> Cost:
    """A plan repeated; with ``once`` it is known to turn at all."""
    turns, after = inf if at_most is None else at_most, then or NOTHING
    total = []
    for one, two in zip(body[:4], after[:4], strict=True):
        spent = 0.0 if then is None else two.lost
        lost = min(one.lost if turns else inf, inf if at_most is None else _times(turns, one.won) + spent)
        won = min(one.won, _times(turns, one.won) + two.won) if once else 0.0
        total.append(Bound(won, lost, _times(turns, one.most) + two.most))
    cost = _gathered((body, after), total)._replace(
        alone=_times(turns, body.alone) + after.alone,
        inline=_times(turns, body.inline) + after.inline,
        threaded=_times(turns, body.threaded) + after.threaded,
        begins=once and turns > 0 and body.begins,
    )
    endless = Names("loop_while has no at_most", depth=1)
    return cost._replace(unknown=row((cost.unknown, endless))) if at_most is None else cost


# --- side by side ----------------------------------------------------------------------------------------------------


def _least(values: Iterable[float], count: int) -> list[float]:
    found = sorted(values)
    return found[:count] if len(found) >= count else [inf]


def side_by_side(costs: Sequence[Cost], policy: Any, limit: int | None, seconds: float | None) -> Cost:
    """Branches, under a policy. Losers that had begun may cost anything up to their worst."""
    added = [_spent(measure, policy, seconds) for measure in zip(*(cost[1:4] for cost in costs), strict=True)]
    at_once = len(costs) if limit is None else min(limit, len(costs))
    took, soft = _took(costs, policy, at_once, seconds), all(cost.soft for cost in costs)
    if seconds is not None:
        took = Bound(took.won, min(took.lost, seconds), min(took.most, seconds) if soft else took.most)
    cost = _gathered(costs, (took, *added))
    if at_once > 1:
        longest = max(costs, key=lambda cost: cost.seconds.most).critical
        cost = cost._replace(may_run=beside(one.may_run for one in costs), critical=longest)
    threads = sorted((cost.threads for cost in costs), reverse=True)
    return cost._replace(threads=sum(threads[:at_once]), begins=all(cost.begins for cost in costs))


def _spent(branches: Sequence[Bound], policy: Any, seconds: float | None) -> Bound:
    """Bounds on what adds up. A join may find a conflict when all else is done."""
    every = sum(bound.least for bound in branches)
    lost = every
    match policy:
        case All():
            won, lost = sum(bound.won for bound in branches), min(bound.lost for bound in branches)
        case Quorum(k=count) | NBest(n=count):
            won = sum(_least((bound.won for bound in branches), count))
            if type(policy) is NBest and seconds is None:
                won = max(won, every)
        case _:
            won = every if seconds is None else 0.0
    # A timeout may come before the first action.
    return Bound(won, min(lost, won) if seconds is None else 0.0, sum(bound.most for bound in branches))


def _took(costs: Sequence[Cost], policy: Any, at_once: int, seconds: float | None) -> Bound:
    """Bounds on the time."""
    branches = [cost.seconds for cost in costs]
    every = _filled([bound.least for bound in branches], at_once)
    judged = every if seconds is None else min(every, seconds)
    lost = every
    match policy:
        case All():
            won = _filled([bound.won for bound in branches], at_once)
            lost = min(bound.lost for bound in branches)
        case Quorum(k=count) | NBest(n=count):
            won = _least((bound.won for bound in branches), count)[-1]
            if type(policy) is NBest:
                won = max(won, judged)
        case _:
            won = judged
    return Bound(won, min(lost, won), _last_end(costs, at_once))


def _filled(times: list[float], at_once: int) -> float:
    """No schedule is shorter than the longest job, nor than all work spread evenly."""
    return max(*times, sum(times) / at_once) if len(times) > 1 else times[0]


def _last_end(costs: Sequence[Cost], at_once: int) -> float:
    """When the last branch ends at worst, started greedily: Graham's bound for a list of jobs."""
    longest, total = max(cost.seconds.most for cost in costs), sum(cost.seconds.most for cost in costs)
    if longest == inf or at_once == 1:
        return total
    scheduled = longest if at_once >= len(costs) else total / at_once + longest * (1 - 1 / at_once)
    # Actions on the event loop hold up every branch but their own.
    held = sum(cost.inline for cost in costs) - min(cost.inline for cost in costs)
    return min(total, scheduled + held)


# --- parts -----------------------------------------------------------------------------------------------------------


def on_parts(body: Cost, count: int, limit: int | None) -> Cost:
    """A plan on so many parts, side by side."""
    if count == 0:
        return NOTHING
    many = side_by_side([body] * count, ALL, limit, None)
    return many._replace(may_run=body.may_run, critical=body.critical, unknown=body.unknown)


def _on_some(node: Focus[Any, Any], body: Cost) -> Cost:
    reads = node.reads
    if isinstance(reads, (Lens, Iso)):
        return body
    if isinstance(reads, Prism) or (isinstance(reads, Traversal) and not any(type(s) is _Each for s in reads.steps)):
        return one_of((body, NOTHING))
    slow = node.limit is not None or body.threads > 0 or body.inline > 0
    most = _times(inf, body.seconds.most) if slow else body.seconds.most
    others = [Bound(0.0, one.lost, _times(inf, one.most)) for one in body[1:4]]
    return body._replace(
        seconds=Bound(0.0, body.seconds.lost, most),
        tokens=others[0],
        money=others[1],
        calls=others[2],
        alone=_times(inf, body.alone),
        inline=_times(inf, body.inline),
        threaded=_times(inf, body.threaded),
        begins=False,
        instant=False,
        unknown=row((body.unknown, Names(f"how many parts {reads!r} has", depth=1))),
    )


# --- bounds ----------------------------------------------------------------------------------------------------------


def _cut(cost: Cost, seconds: float) -> Cost:
    """A plan under a deadline. What cannot be interrupted runs on to its end."""
    begun = 1.0 if cost.begins and seconds > 0 else 0.0
    took = cost.seconds
    return cost._replace(
        seconds=Bound(took.won, min(took.lost, seconds), min(took.most, seconds) if cost.soft else took.most),
        tokens=cost.tokens._replace(lost=0.0),
        money=cost.money._replace(lost=0.0),
        calls=cost.calls._replace(lost=min(cost.calls.lost, begun)),
        begins=cost.begins and seconds > 0,
        instant=False,
    )


def _tried(cost: Cost, bound: Retry) -> Cost:
    if cost.seconds.lost == inf:
        return cost
    retries, waited = waits(bound.schedule)
    tries = retries + 1
    seconds, tokens, money, calls = (one._replace(most=_times(tries, one.most)) for one in cost[:4])
    endless = (Names("a retry has no end", depth=1),) if retries == inf else ()
    return Cost(
        seconds._replace(most=seconds.most + waited),
        tokens,
        money,
        calls,
        alone=_times(tries, cost.alone) + waited,
        inline=_times(tries, cost.inline),
        threaded=_times(tries, cost.threaded),
        threads=cost.threads,
        soft=cost.soft,
        begins=cost.begins,
        may_run=cost.may_run,
        critical=cost.critical,
        unknown=row((cost.unknown, *endless)),
    )


def _refusable(cost: Cost) -> Cost:
    """A plan that may be refused before it begins."""
    seconds, tokens, money, calls = (one._replace(lost=0.0) for one in cost[:4])
    return cost._replace(seconds=seconds, tokens=tokens, money=money, calls=calls, instant=False, begins=False)


def _queued(cost: Cost, limiter: Any, counted: Any) -> Cost:
    """A plan after a turn of a limiter; how long it waits for that is said for the whole, where it can be known."""
    if paced(limiter):
        turn = 1.0 if counted is limiter else 0.0
        calls = Bound(*(one + turn for one in cost.calls))
        return cost._replace(calls=calls, instant=False, begins=False)
    cost = _refusable(cost)
    if shares_work(limiter):
        return cost
    waits_long = Names(f"how long {limiter.name} makes it wait", depth=1)
    return cost._replace(seconds=cost.seconds._replace(most=inf), alone=inf, unknown=row((cost.unknown, waits_long)))


def paced(limiter: Any) -> bool:
    """Whether a limiter gives a turn every so many seconds, and says so."""
    return hasattr(limiter, "interval") and hasattr(limiter, "burst")


def shares_work(limiter: Any) -> bool:
    """Whether who waits for a limiter waits for the plans that hold its turns, and for nothing else."""
    return bool(getattr(limiter, "exclusive", False))


def _budgeted(cost: Cost, budget: Budget, calls: bool) -> Cost:
    """A plan under a budget, whose steps are refused where they might not fit; ``calls`` may be turns instead."""
    if budget.seconds is not None:
        cost = _cut(cost, budget.seconds)
    caps = {name: cap for name in ("tokens", "money", "calls") if (cap := getattr(budget, name)) is not None}
    if any(getattr(cost, name).most > cap for name, cap in caps.items()):
        cost = _refusable(cost)
    if not calls:
        cost = _refusable(cost)
        caps.pop("calls", None)
    for name, cap in caps.items():
        bound: Bound = getattr(cost, name)
        won = inf if bound.won > cap else bound.won
        capped: dict[str, Any] = {name: Bound(won, min(bound.lost, cap), min(bound.most, cap))}
        cost = cost._replace(**capped)
    return cost


def _attempted(cost: Cost) -> Cost:
    seconds, tokens, money, calls = (Bound(one.least, inf, one.most) for one in cost[:4])
    return cost._replace(seconds=seconds, tokens=tokens, money=money, calls=calls, instant=False)


def cost_of(node: Node, below: Sequence[Cost], counted: Any = None) -> Cost:
    """The cost of a node from those of its children. A node that no rule knows may cost anything.

    With a limiter that is ``counted``, ``calls`` are its turns instead.
    """
    match node:
        case Task():
            return _task(node) if counted is None else _task(node)._replace(calls=Bound(0.0, 0.0, 0.0))
        case Pure() | _Identity():
            return NOTHING
        case Ask() | SleepUntil():
            return _waited(node)
        case _Fail():
            return Cost(NEVER, NEVER, NEVER, NEVER)
        case Steps():
            return in_turn(below)
        case Parallel(policy=policy, limit=limit, seconds=seconds):
            return side_by_side(below, policy, limit, seconds)
        case Choose(binary=binary, has_default=has_default):
            return one_of(below, not (binary or has_default))
        case LoopWhile(at_most=at_most):
            return looped(below[0], below[1] if len(below) > 1 else None, at_most)
        case Focus():
            return _on_some(node, below[0])
        case Recover():
            return _either(below[0], below[1] if len(below) > 1 else _unforeseen(NOTHING, f"what {node.name} gives"))
        case Attempt():
            return _attempted(below[0])
        case Within(bound=Timeout(seconds=seconds)):
            return _cut(below[0], seconds)
        case Within(bound=Retry() as bound):
            return _tried(below[0], bound)
        case Within(bound=Limited(limiter=limiter)):
            return _queued(below[0], limiter, counted)
        case Within(bound=Guarded()):
            return _refusable(below[0])
        case Within(bound=Budget() as budget):
            return _budgeted(below[0], budget, counted is None)
        case Composite():
            return below[0]
        case _:
            return _unforeseen(in_turn(below), f"what {node.name} does")
