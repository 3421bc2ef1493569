"""The shape of a plan, as a journal keeps it: what may not change under a run, and how two shapes differ.

Names, lenses, policies and the order of steps are the shape. What functions do is not, nor are the numbers of bounds:
a timeout or a count of retries may be tuned while a run lies still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from lambdacat.asking import Ask, SleepUntil
from lambdacat.fault import PlanChanged
from lambdacat.footprints import footprint
from lambdacat.machine.trail import step_text
from lambdacat.plan import Choose, Focus, LoopWhile, Parallel, Plan, Recover, Task, Within
from lambdacat.plan import Sequence as Steps
from lambdacat.structure import fold, nodes, step_to

Node = Plan[Any, Any]
At = tuple[str | int, ...]
Row = list[Any]
"""A label, then the numbers of the children's rows."""


def lenses_text(node: Task[Any, Any, Any]) -> str:
    """What a task reads and writes, as text."""
    if node.reads is None:
        return ""
    reads, writes = (", ".join(map(repr, row or ())) for row in (node.reads, node.writes))
    return f"{reads} -> {writes}"


def label(node: Node) -> str:
    """What of a node itself belongs to the shape."""
    match node:
        case Task():
            lenses = lenses_text(node)
            return f"{node.name} [{lenses}]" if lenses else node.name
        case Steps() | LoopWhile():
            return type(node).__name__.lower()
        case Choose():
            return f"{node.name} of {', '.join(map(repr, node.keys))}" if not node.binary else "when"
        case Recover():
            return "or" if node.handler is None else "recover"
        case Within():
            return type(node.bound).__name__.lower()
        case Ask():
            return "approve" if node.into is None else f"ask [-> {node.into!r}]"
        case SleepUntil():
            return "sleep until"
        case Parallel() | Focus():
            return node.name
        case _:
            return node.name


def shape(plan: Node) -> list[Row]:
    """The plan as rows, children before parents; equal parts that are one value stand there once."""
    found: list[Row] = []

    def row(node: Node, below: list[int]) -> int:
        found.append([label(node), *below])
        return len(found) - 1

    fold(plan, row)
    return found


class Change(NamedTuple):
    """The first difference between a recorded plan and another."""

    at: At
    recorded: str
    found: str

    def fault(self) -> PlanChanged:
        """As a run ends with it."""
        return PlanChanged(recorded=self.recorded, found=self.found, at=self.at, name="the plan")


class Moved(NamedTuple):
    """Where steps that commute have gone: prefixes of keys, as recorded and as they are now.

    A journal speaks in the keys of the plan that it began with, whatever the plans that go on with it: so whoever is in
    the middle of something (a question, a service that was sent a key) is still spoken to about the same thing.
    """

    prefixes: tuple[tuple[str, str], ...]

    def recorded(self, now: str) -> str:
        """The key under which the journal knows what has this key now."""
        return _renamed(now, [(new, old) for old, new in self.prefixes])

    def now(self, recorded: str) -> str:
        """The key that an entry would have now."""
        return _renamed(recorded, self.prefixes)

    def verdict_recorded(self, document: dict[str, Any]) -> dict[str, Any]:
        """A verdict under a key of now, and with the branches of now, as the journal speaks of it."""
        return self._verdict(document, self.recorded)

    def verdict_now(self, document: dict[str, Any]) -> dict[str, Any]:
        """A verdict of the journal with the branches of now."""
        return self._verdict(document, self.now)

    def entry_now(self, document: dict[str, Any]) -> dict[str, Any]:
        """An entry as a run of the plan of now would have written it."""
        if "key" not in document:
            return document
        return (
            self.verdict_now(document)
            if document["kind"] == "verdict"
            else {**document, "key": self.now(document["key"])}
        )

    def _verdict(self, document: dict[str, Any], renamed: Callable[[str], str]) -> dict[str, Any]:
        path = document["key"].partition("#")[0]

        def branch(index: int) -> int:
            return int(renamed(_under(path, (index,))).rpartition("/")[2])

        rows = {row: [[branch(i), won] for i, won in document[row]] for row in ("entries", "missing")}
        return {**document, **rows, "key": renamed(document["key"])}


def _renamed(key: str, prefixes: Sequence[tuple[str, str]]) -> str:
    path, mark, turns = key.partition("#")
    best = max((row for row in prefixes if _inside(path, row[0])), key=lambda row: len(row[0]), default=None)
    return key if best is None else best[1] + path[len(best[0]) :] + mark + turns


NOWHERE = Moved(())


def _inside(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _digests(rows: Sequence[Row]) -> list[bytes]:
    """For each row a digest of the whole part of the plan that it is the root of."""
    made: list[bytes] = []
    for text, *below in rows:
        made.append(blake2b(repr((text, [made[i] for i in below])).encode(), digest_size=16).digest())
    return made


def compared(recorded: Sequence[Row], plan: Node) -> Change | Moved:
    """Whether a run of the recorded plan can go on under ``plan``, and where its steps are now."""
    rows = shape(plan)
    if list(recorded) == rows:
        return NOWHERE
    return _Comparison(recorded, rows).walk(plan)


class _Comparison:
    def __init__(self, old: Sequence[Row], new: Sequence[Row]) -> None:
        self.old, self.new = old, new
        self.marks = _digests(old), _digests(new)
        self.prefixes: list[tuple[str, str]] = []

    def walk(self, plan: Node) -> Change | Moved:
        """Both plans from the root down, without recursion."""
        rest: list[tuple[int, int, Node, str, At]] = [(len(self.old) - 1, len(self.new) - 1, plan, "", ())]
        while rest:
            i, j, node, old_path, at = rest.pop()
            if self.marks[0][i] == self.marks[1][j]:
                continue
            (old_label, *below), (new_label, *below_new) = self.old[i], self.new[j]
            if old_label != new_label:
                return Change(at, old_label, new_label)
            order = self.order(below, below_new, node)
            if order is None:
                return self.first_difference(below, below_new, node, at)
            children = node.parts()[1]
            new_path = "/".join(map(step_text, at))
            inside: list[tuple[int, int, Node, str, At]] = []
            for was, now in enumerate(order):
                steps = step_to(node, now)
                # Only steps of a sequence and branches of an & ever move, and there the step is the index.
                before = _under(old_path, (was,) if was != now else steps)
                after = _under(new_path, steps)
                if before != after:
                    self.prefixes.append((before, after))
                inside.append((below[was], below_new[now], children[now], before, (*at, *steps)))
            # The first is looked at first, so that of several differences the first is named.
            rest.extend(reversed(inside))
        return Moved(tuple(self.prefixes))

    def order(self, below: list[int], below_new: list[int], node: Node) -> list[int] | None:
        """Where each recorded child stands now: in its place, or moved past steps that it commutes with."""
        if len(below) != len(below_new):
            return None
        old, new = ([marks[i] for i in rows] for marks, rows in zip(self.marks, (below, below_new), strict=True))
        if not (type(node) is Steps or (type(node) is Parallel and node.plain)) or sorted(old) != sorted(new):
            return list(range(len(old)))
        places: dict[bytes, list[int]] = {}
        for index in reversed(range(len(new))):
            places.setdefault(new[index], []).append(index)
        order = [places[mark].pop() for mark in old]
        children = node.parts()[1]
        return order if _commutes(order, children, one_by_one=type(node) is Steps) else None

    def first_difference(self, below: list[int], below_new: list[int], node: Node, at: At) -> Change:
        """Which step is the first that is not what was recorded."""
        for index, (i, j) in enumerate(zip(below, below_new, strict=False)):
            if self.marks[0][i] != self.marks[1][j]:
                return Change((*at, *step_to(node, index)), self.old[i][0], self.new[j][0])
        index = min(len(below), len(below_new))
        missing = "nothing there"
        recorded = self.old[below[index]][0] if index < len(below) else missing
        found = self.new[below_new[index]][0] if index < len(below_new) else missing
        return Change((*at, index), recorded, found)


def _under(path: str, steps: At) -> str:
    below = "/".join(map(step_text, steps))
    return f"{path}/{below}" if path and below else path or below


def _commutes(order: Sequence[int], steps: Sequence[Node], *, one_by_one: bool) -> bool:
    """Whether every two steps that changed places are disjoint. ``steps`` are in their new order.

    What stands after a question or a wait stands there for a reason that no footprint shows.
    """
    touched = [footprint(step) for step in steps]
    stops = [one_by_one and any(isinstance(one, (Ask, SleepUntil)) for one in nodes(step)) for step in steps]
    return all(
        now < later or (touched[now].disjoint_from(touched[later]) and not (stops[now] or stops[later]))
        for place, now in enumerate(order)
        for later in order[place + 1 :]
    )
