"""What drawings call things: one line of plain words for a node, and for the way from it to a child."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from itertools import islice
from typing import Any

from lambdacat.asking import Ask
from lambdacat.bound import Guarded, Limited, Retry, Timeout
from lambdacat.build import condition_text
from lambdacat.merging import merge
from lambdacat.place import place_text
from lambdacat.plan import (
    Attempt,
    Choose,
    Focus,
    LoopWhile,
    Parallel,
    Plan,
    Recover,
    Sequence,
    Task,
    Within,
    _Fail,
)
from lambdacat.policy import FIRST_COMPLETED, NBest, Quorum, Settled
from lambdacat.redaction import redacted
from lambdacat.schedule import Schedule

Node = Plan[Any, Any]

# Where a thing lies in memory differs from run to run, and says nothing to a reader.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def plain(text: str) -> str:
    """``text`` on one line without addresses; what does not print is spelt out, so that no name can fake a line."""
    text = redacted(_ADDRESS.sub("", text))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def key_text(key: object) -> str:
    """The key of a branch; the items of a set are sorted, since their own order changes between processes."""
    if isinstance(key, Enum):
        return plain(str(key))
    if isinstance(key, (set, frozenset)):
        return plain("{" + ", ".join(sorted(map(repr, key))) + "}")
    return plain(repr(key))


def function_text(f: object) -> str:
    """A selector, condition, join or score."""
    return plain(condition_text(f))


def _places(lenses: Iterable[Any]) -> str:
    return ", ".join(plain(place_text(one.steps) or "the whole value") for one in lenses)


def task_details(node: Task[Any, Any, Any]) -> tuple[str, ...]:
    """What a task reads and writes, and its own bound."""
    found = []
    if node.reads:
        found.append(f"reads {_places(node.reads)}")
    if node.writes:
        found.append(f"writes {_places(node.writes)}")
    found.extend(plain(f"{'changes' if one.writes else 'uses'} {one.name}") for one in node.resources)
    if node.seconds is not None:
        found.append(f"timeout {node.seconds:g} s")
    return tuple(found)


def policy_text(node: Parallel[Any, Any]) -> str:
    """Who counts among the branches, how many run at once, and how long."""
    policy, total = node.policy, len(node.branches)
    match policy:
        case Quorum(k=1):
            words = f"first success of {total}"
        case Quorum(k=k):
            words = f"first {k} successes of {total}"
        case NBest(n=n, by=by):
            words = f"best {n} of {total} by {function_text(by)}"
        case Settled():
            words = f"all {total}, whatever their outcome"
        case _:
            words = f"all {total}"
    if node.limit is not None:
        words += f", {node.limit} at once"
    return words if node.seconds is None else f"{words}, timeout {node.seconds:g} s"


def join_text(node: Parallel[Any, Any]) -> str:
    """What makes one value of the results."""
    if node.join is not None:
        return function_text(node.join)
    alone = node.policy == FIRST_COMPLETED or (isinstance(node.policy, NBest) and node.policy.n == 1)
    return "its result" if alone else merge.__name__


def schedule_text(schedule: Schedule) -> str:
    """How often, and how long between: the first few delays, before jitter."""
    most, shown = 20, 4
    delays = list(islice(schedule.delays(most + 1), most + 1))
    often = f"more than {most} times" if len(delays) > most else "once" if len(delays) == 1 else f"{len(delays)} times"
    if not any(delays):
        return often
    if len(set(delays)) == 1:
        return f"{often}, after {delays[0]:g} s"
    after = ", ".join(f"{delay:g}" for delay in delays[:shown])
    return f"{often}, after {after}{', ...' if len(delays) > shown else ''} s"


def _kinds_text(on: Any) -> str:
    return ", ".join(function_text(one) for one in (on if isinstance(on, tuple) else (on,)))


def bound_text(bound: Any) -> str:
    """A bound with its numbers."""
    match bound:
        case Timeout(seconds=seconds):
            return f"timeout {seconds:g} s"
        case Retry(schedule=schedule, on=on):
            return f"retry {schedule_text(schedule)}" + ("" if on is None else f", on {_kinds_text(on)}")
        case Limited(limiter=one) | Guarded(guard=one):
            return f"{'limited' if isinstance(bound, Limited) else 'guarded'} by {plain(one.name)}"
        case _:
            return plain(str(bound))


def focus_text(node: Focus[Any, Any]) -> str:
    """The word and the optics, and how many parts at once."""
    return plain(node.name) + ("" if node.limit is None else f", {node.limit} at once")


def fault_text(node: _Fail) -> str:
    """The fault that a plan ends with."""
    fault = node.fault
    reason = getattr(fault, "reason", "")
    return plain(f"fail {type(fault).__name__}" + (f": {reason}" if reason else ""))


def loop_text(node: LoopWhile[Any, Any]) -> str:
    """The condition, and how often at most."""
    return function_text(node.condition) + ("" if node.at_most is None else f", at most {node.at_most}")


def line(node: Node) -> str:
    """A node on one line."""
    match node:
        case Task():
            return "   ".join((plain(node.name), *(f"[{one}]" for one in task_details(node))))
        case Ask() if node.into is not None:
            return f"{plain(node.name)}   [writes {plain(repr(node.into))}]"
        case _Fail():
            return fault_text(node)
        case Sequence():
            return f"sequence of {len(node.steps)}"
        case Parallel():
            return f"parallel: {policy_text(node)}, joined by {join_text(node)}"
        case Choose():
            return f"{node.name} {function_text(node.selector)}"
        case LoopWhile():
            return f"loop_while {loop_text(node)}"
        case Focus():
            return focus_text(node)
        case Within():
            return bound_text(node.bound)
        case Attempt():
            return "attempt: the outcome is the result"
        case _:
            return plain(node.name)


def role(node: Node, child: int) -> str:
    """What a child is to its node, where that is not plain from its place."""
    match node:
        case Choose(binary=True):
            return ("yes", "no")[child]
        case Choose():
            return key_text(node.keys[child]) if child < len(node.keys) else "default"
        case LoopWhile() if node.then is not None:
            return ("each turn", f"after {node.at_most}")[child]
        case Recover() if node.other is not None:
            return ("try", "on a fault")[child]
    return ""
