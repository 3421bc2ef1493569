"""The reference: every outcome that a plan may have, computed the plainest way, without machine, stack or clock.

A plan means a function from a value to the set of its possible ends. Where the algebra leaves something open, which
branches a race takes or which of several faults is reported, the set has them all: an interpreter is right when its
outcome is among them. For small plans; time is not modelled, so timeouts never pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import Any

from returns.result import Failure, Success

from lambdacat.asking import Ask
from lambdacat.context import Context
from lambdacat.fault import (
    ActionFailed,
    AllFailed,
    Fault,
    LoopLimit,
    MergeConflict,
    NoBranch,
    Outcome,
    TooFew,
)
from lambdacat.merging import Conflict, merge
from lambdacat.optics import Iso, Lens, Traversal
from lambdacat.plan import (
    Attempt,
    Bind,
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
)
from lambdacat.plan import (
    Sequence as Steps,
)
from lambdacat.policy import All, NBest, Settled
from lambdacat.structure import fold
from lambdacat.testing.blur import blurred

End = Success[Any] | Failure[Fault]
Meaning = Callable[[Any], tuple[End, ...]]
MOST = 200
"""Outcomes that one node may have before the model gives up."""


class TooManyOutcomes(Exception):
    """A plan leaves so much open that listing its outcomes is no use."""


def possible(plan: Plan[Any, Any], value: Any) -> tuple[Outcome[Any], ...]:
    """Every outcome the plan may have on ``value``, without where its faults stand. Errors: ``TooManyOutcomes``."""
    return fold(plan, _meaning)(value)


def _distinct(ends: Iterable[End]) -> tuple[End, ...]:
    found: dict[Any, End] = {}
    for end in ends:
        found.setdefault(blurred(end), end)
        if len(found) > MOST:
            raise TooManyOutcomes(f"more than {MOST} outcomes")
    return tuple(found.values())


def _then(ends: Iterable[End], after: Meaning) -> tuple[End, ...]:
    return _distinct(e for end in ends for e in (after(end.unwrap()) if isinstance(end, Success) else (end,)))


def _calling(node: Plan[Any, Any], meaning: Meaning) -> Meaning:
    """``meaning``, with what it raises as a fault of ``node``."""

    def guarded(value: Any) -> tuple[End, ...]:
        try:
            return meaning(value)
        except (TooManyOutcomes, MemoryError, RecursionError):
            raise
        except Conflict as conflict:
            return (Failure(MergeConflict(path=conflict.place, branches=(), name=node.name)),)
        except Exception as error:  # noqa: BLE001  the reference has to say what becomes of a user's exception, too
            return (Failure(ActionFailed(error=error, name=node.name)),)

    return guarded


def _finished(made: Any) -> Any:
    if not hasattr(made, "__await__"):
        return made
    try:
        made.__await__().send(None)
    except StopIteration as stop:
        return stop.value
    raise TypeError("the model runs no action that suspends; see awake")


def _of_task(node: Task[Any, Any, Any]) -> Meaning:
    context = (Context(),) if node.call.wants_context else ()

    def meaning(value: Any) -> tuple[End, ...]:
        reads, writes = node.reads, node.writes
        given = (value,) if reads is None else tuple(lens.get(value) for lens in reads)
        made = _finished(node.action(*given, *context))
        if writes is None:
            return (Success(value if reads is not None else made),)
        for lens, part in zip(writes, made if len(writes) > 1 else (made,), strict=False):
            value = lens.set(value, part)
        return (Success(value),)

    return _calling(node, meaning)


def _meaning(node: Plan[Any, Any], below: list[Meaning]) -> Meaning:
    match node:
        case Task():
            return _of_task(node)
        case Pure():
            return _calling(node, lambda value: (Success(node.f(value)),))
        case _Fail():
            return lambda value: (Failure(node.fault),)
        case Steps():
            return lambda value: _in_order(below, value)
        case Parallel():
            return _of_parallel(node, below)
        case Choose():
            return _of_choose(node, below)
        case Focus():
            return _of_focus(node, below[0])
        case LoopWhile():
            return _of_loop(node, below)
        case Recover():
            return _of_recover(node, below)
        case Attempt():
            return lambda value: _distinct(Success(end) for end in below[0](value))
        case Within():
            # Actions here are deterministic: a further attempt ends as the first one did.
            return below[0]
        case Bind():
            return _calling(node, lambda value: fold(node.f(value), _meaning)(value))
        case Composite():
            return below[0]
        case Ask():
            raise TypeError(f"the model answers no questions, and the plan asks one: {node.name}")
        case _:
            # Only ``identity`` and waits for an instant are left; time is not modelled.
            return lambda value: (Success(value),)


def _in_order(steps: Sequence[Meaning], value: Any) -> tuple[End, ...]:
    ends: tuple[End, ...] = (Success(value),)
    for step in steps:
        ends = _then(ends, step)
    return ends


def _of_choose(node: Choose[Any, Any], below: list[Meaning]) -> Meaning:
    def meaning(value: Any) -> tuple[End, ...]:
        key = node.selector(value)
        if node.binary:
            return below[0 if key else 1](value)
        if key in node.keys:
            return below[node.keys.index(key)](value)
        if node.has_default:
            return below[-1](value)
        return (Failure(NoBranch(key=key, known=node.keys, name=node.name)),)

    return _calling(node, meaning)


def _of_loop(node: LoopWhile[Any, Any], below: list[Meaning]) -> Meaning:
    def spent(value: Any) -> tuple[End, ...]:
        if len(below) > 1:
            return below[1](value)
        return (Failure(LoopLimit(at_most=node.at_most or 0, value=value, name=node.name)),)

    holds = _calling(node, lambda value: (Success((value, bool(node.condition(value)))),))

    def meaning(value: Any) -> tuple[End, ...]:
        ended: list[End] = []
        values, turns = [value], 0
        while values:
            tested = [end for one in values for end in holds(one)]
            ended += [end for end in tested if isinstance(end, Failure)]
            pairs = [end.unwrap() for end in tested if isinstance(end, Success)]
            ended += [Success(one) for one, again in pairs if not again]
            going = [one for one, again in pairs if again]
            after = spent if turns == node.at_most else below[0]
            ends = _distinct(end for one in going for end in after(one))
            if after is spent:
                ended += ends
                break
            ended += [end for end in ends if isinstance(end, Failure)]
            values, turns = [end.unwrap() for end in ends if isinstance(end, Success)], turns + 1
        return _distinct(ended)

    return meaning


def _of_recover(node: Recover[Any, Any], below: list[Meaning]) -> Meaning:
    handler = node.handler

    def meaning(value: Any) -> tuple[End, ...]:
        ends: list[End] = []
        for end in below[0](value):
            if isinstance(end, Success):
                ends.append(end)
            elif handler is None:
                ends.extend(below[1](value))
            else:
                fault = end.failure()
                ends.extend(_calling(node, lambda given, f=fault: fold(handler(f), _meaning)(given))(value))  # type: ignore[misc]
        return _distinct(ends)

    return meaning


def _of_focus(node: Focus[Any, Any], inner: Meaning) -> Meaning:
    reads, writes = node.reads, node.writes

    def put(value: Any, parts: tuple[Any, ...]) -> Any:
        if writes is not None:
            return writes.set(value, parts[0] if isinstance(reads, (Lens, Iso)) else parts)
        return reads.set_all(value, parts) if isinstance(reads, Traversal) else reads.put(value, parts)

    def meaning(value: Any) -> tuple[End, ...]:
        parts = reads.get_all(value) if isinstance(reads, Traversal) else reads.parts(value)
        rows = _rows([inner(part) for part in parts])
        return _distinct(end for row in rows for end in _all(row, lambda won: put(value, won)))

    return _calling(node, meaning)


def _rows(each: list[tuple[End, ...]]) -> Iterator[tuple[End, ...]]:
    count = 1
    for ends in each:
        count *= len(ends)
    if count > MOST:
        raise TooManyOutcomes(f"{count} ways to end {len(each)} branches")
    return product(*each)


def _all(row: tuple[End, ...], join: Callable[[tuple[Any, ...]], Any]) -> list[End]:
    lost: list[End] = [end for end in row if isinstance(end, Failure)]
    return lost or [Success(join(tuple(end.unwrap() for end in row)))]


def _of_parallel(node: Parallel[Any, Any], below: list[Meaning]) -> Meaning:
    policy = node.policy

    def join(fork: Any, results: tuple[Any, ...]) -> Any:
        if node.join is not None:
            return node.join(fork, results)
        return results[0] if len(results) == 1 else merge(fork, results)

    def judged(value: Any, row: tuple[End, ...]) -> list[End]:
        won = tuple(end.unwrap() for end in row if isinstance(end, Success))
        lost = tuple(end.failure() for end in row if isinstance(end, Failure))
        if isinstance(policy, All):
            return _all(row, lambda results: join(value, results))
        if isinstance(policy, Settled):
            return [Success(join(value, row))]
        wanted: int = policy.n if isinstance(policy, NBest) else policy.k
        if not won:
            return [Failure(AllFailed(faults=lost, name=node.name))]
        if len(won) < wanted:
            return [Failure(TooFew(wanted=wanted, results=won, faults=lost, name=node.name))]
        if isinstance(policy, NBest):
            return [Success(join(value, tuple(sorted(won, key=policy.by, reverse=True)[:wanted])))]
        joined = _calling(node, lambda some: (Success(join(value, some)),))
        return [end for some in combinations(won, wanted) for end in joined(some)]

    def meaning(value: Any) -> tuple[End, ...]:
        rows = _rows([branch(value) for branch in below])
        one = _calling(node, lambda row: tuple(judged(value, row)))
        return _distinct(end for row in rows for end in one(row))

    return meaning
