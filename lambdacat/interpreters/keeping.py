"""A trace that stays small: of each node its first and its latest executions, and totals of them all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from lambdacat.event import Span, Status, Total, Trace
from lambdacat.fault import Fault
from lambdacat.interpreters.recording import SPAN, Recorder, Row
from lambdacat.machine.trail import Trail, step_from


class Group:
    """The executions of one node: those that are kept, and what all come to."""

    __slots__ = ("below", "count", "failed", "first", "latest", "money", "seconds", "tokens")

    def __init__(self, keep: int) -> None:
        self.below: dict[Any, Group] = {}
        """Of the nodes inside it, by the way there and the name."""
        self.first: list[Row] = []
        self.latest: deque[Row] = deque(maxlen=keep)
        self.count = self.failed = self.tokens = 0
        self.seconds = self.money = 0.0

    def begun(self, row: Row, keep: int) -> None:
        """One more, which pushes the oldest of the latest out."""
        self.count += 1
        (self.first if self.count <= keep else self.latest).append(row)

    def ended(self, row: Row) -> None:
        """One of them, kept or not, has ended."""
        self.failed += row.status == "failed"
        self.seconds += row.end - row.start
        self.tokens += row.tokens
        self.money += row.money

    def total(self) -> Total:
        """What they come to."""
        one = self.first[0]
        return Total(
            at=one.site.path(),
            name=one.name,
            count=self.count,
            failed=self.failed,
            seconds=self.seconds,
            tokens=self.tokens,
            money=self.money,
        )


class Kept(Row):
    """A row that knows its group."""

    __slots__ = ("group",)

    group: Group


class Sampler(Recorder):
    """Keeps of each node its first ``keep`` and its latest ``keep`` executions, and whatever those stand in.

    Which ones they are depends on the order in which nodes began, and on nothing else.
    """

    __slots__ = ("keep", "root")

    def __init__(self, clock: Callable[[], float], keep: int) -> None:
        super().__init__(clock)
        self.bundles = False
        self.keep = keep
        self.root = Group(keep)

    def begin(self, name: str, site: Trail, value: Any, stack: Any) -> Row:
        """A node or an action begins."""
        parent, attempt, way = _above(site)
        row = Kept(self.begun, parent, site, name, value, self.clock(), attempt)
        self.begun += 1
        groups = (self.root if parent is None else parent.group).below
        group = groups.get((way, name))
        if group is None:
            group = groups[way, name] = Group(self.keep)
        row.group = group
        group.begun(row, self.keep)
        return row

    def finish(self, row: Row, status: Status, value: Any = None, fault: Fault | None = None) -> None:
        """It ends."""
        if row.status is None:
            super().finish(row, status, value, fault)
            row.group.ended(row)  # type: ignore[attr-defined]

    def trace(self) -> Trace:
        """What was kept, with totals of everything."""
        groups = list(self._groups())
        groups.sort(key=lambda group: group.first[0].id)
        rows: dict[int, Row] = {}
        for group in groups:
            for row in (*group.first, *group.latest):
                one: Row | None = row
                while one is not None and one.id not in rows:
                    rows[one.id] = one
                    one = one.parent
        found = tuple(rows[number] for number in sorted(rows))
        return Trace.later(lambda: _spans(found), map(Group.total, groups))

    def _groups(self) -> Iterator[Group]:
        rest = [self.root]
        while rest:
            group = rest.pop()
            rest.extend(group.below.values())
            if group.count:
                yield group


def _spans(rows: tuple[Row, ...]) -> tuple[Span, ...]:
    return tuple(row.span() for row in rows)


def _above(site: Trail) -> tuple[Any, int, tuple[Any, ...]]:
    """The nearest open row, which attempt a node directly below it is in, and the way from it to the node."""
    attempt = 0
    stack, extra = site.below()
    way: list[Any] = [extra]
    while stack is not None:
        kind, node, data, stack = stack
        if kind is SPAN:
            return data, attempt or data.attempt, tuple(way)
        if kind.retried and not attempt:
            attempt = data[0]
        way.append(step_from(kind, node, data))
    return None, attempt or 1, tuple(way)
