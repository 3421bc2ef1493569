"""Writes and reads along a row of steps: what is overwritten unread, and what is read before it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lambdacat.bound import Budget, Guarded, Limited, Retry, Timeout
from lambdacat.footprints import EVERYTHING, Touch
from lambdacat.interpreters.doubts import has_no_default
from lambdacat.optics import Lens
from lambdacat.place import Attr, Item, Place, is_prefix, overlaps, place_text, settled
from lambdacat.plan import Composite, Parallel, Plan, Sequence, Task, Within
from lambdacat.policy import All

Row = tuple[Plan[Any, Any], ...]
Touches = dict[int, Touch]
Trouble = tuple[int, int, str]
"""The step, the later step, and the place in words."""


class _Places:
    """Entries by place, in buckets by first step: a look-up meets only what may overlap."""

    def __init__(self) -> None:
        self._buckets: dict[Any, dict[Place, tuple[int, Lens[Any, Any] | None]]] = {}

    def add(self, place: Place, index: int, lens: Lens[Any, Any] | None = None) -> None:
        """One more entry, unless the place has one."""
        self._buckets.setdefault(place[0], {}).setdefault(place, (index, lens))

    def overlapping(self, place: Place) -> list[tuple[Place, int, Lens[Any, Any] | None]]:
        """The entries that a change at ``place`` can be seen at."""
        found = self._buckets.get(place[0], {})
        return [(one, index, lens) for one, (index, lens) in found.items() if overlaps(one, place)]

    def drop(self, place: Place) -> None:
        """The entry of this very place, gone."""
        self._buckets.get(place[0], {}).pop(place, None)

    def clear(self) -> None:
        """No entry left."""
        self._buckets.clear()


def _exact(lens: Lens[Any, Any]) -> bool:
    """Whether the lens is its place and no less: one spot, and no other form of it."""
    return (
        bool(lens.steps)
        and all(type(step) in (Attr, Item) for step in lens.steps)
        and settled(lens.place) == lens.place
    )


def sure_writes(node: Plan[Any, Any], below: list[frozenset[Place]]) -> frozenset[Place]:
    """Places that a plan has surely written whenever it succeeds."""
    match node:
        case Task(writes=writes):
            return frozenset(one.place for one in writes or () if _exact(one))
        case Sequence() | Composite() | Parallel(policy=All(), join=None):
            return frozenset[Place]().union(*below)
        case Within(bound=Timeout() | Retry() | Limited() | Guarded() | Budget()):
            return frozenset[Place]().union(*below)
        case _:
            return frozenset()


def _named(lens: Lens[Any, Any] | None, place: Place) -> str:
    return repr(lens) if lens is not None else place_text(place)


def never_read(row: Row, touches: Touches, sure: dict[int, frozenset[Place]]) -> Iterator[Trouble]:
    """Writes that a later step surely overwrites before anything reads them.

    The end of a plan reads everything, so a last write is never among them. A write to a part of a place reads the rest
    of it.
    """
    pending = _Places()
    for index, step in enumerate(row):
        touch = touches[id(step)]
        if touch.opaque or EVERYTHING in touch.reads:
            pending.clear()
            continue
        for place in touch.reads:
            for one, _, _ in pending.overlapping(place):
                pending.drop(one)
        for place, _ in touch.declared:
            for one, begun, lens in pending.overlapping(place) if place else ():
                if any(one[:length] in sure[id(step)] for length in range(1, len(one) + 1)):
                    yield begun, index, _named(lens, one)
                pending.drop(one)
        if type(step) is Task:
            for lens in step.writes or ():
                if _exact(lens):
                    pending.add(lens.place, index, lens)


def read_too_early(row: Row, touches: Touches) -> Iterator[Trouble]:
    """Reads of a place that only a later step writes, where the state's own class gives it a default.

    A field without a default is the caller's to give, and a writer that reads it too builds on what was there.
    """
    waiting, written = _Places(), _Places()
    for index, step in enumerate(row):
        touch = touches[id(step)]
        if touch.opaque or EVERYTHING in touch.reads or any(not place for place, _ in touch.declared):
            return
        own = [place for place, _ in touch.declared]
        for place in own:
            for one, begun, lens in waiting.overlapping(place):
                waiting.drop(one)
                if is_prefix(place, one) and not any(overlaps(one, read) for read in touch.reads):
                    yield begun, index, _named(lens, one)
            written.add(place, index)
        for place, lens in _declared_reads(step, touch):
            if not written.overlapping(place):
                waiting.add(place, index, lens)


def _declared_reads(step: Plan[Any, Any], touch: Touch) -> list[tuple[Place, Lens[Any, Any] | None]]:
    """What tasks in a step say they read: those of the task, or of the branches side by side."""
    found: list[tuple[Place, Lens[Any, Any] | None]] = []
    rest = [step]
    while rest:
        node = rest.pop()
        match node:
            case Task(reads=reads):
                found.extend((one.place, one) for one in reads or () if one.place and not _given(one))
            case Parallel():
                rest.extend(node.branches)
            case Composite() | Within():
                rest.append(node.parts()[1][0])
            case _:
                pass
    return found


def _given(lens: Lens[Any, Any]) -> bool:
    first = lens.place[0]
    return type(first) is Attr and has_no_default(lens.root, first.name)
