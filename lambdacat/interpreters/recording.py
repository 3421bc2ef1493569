"""Watching a run: the machine's table with a request around every node, and who writes down what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lambdacat.event import Emitted, Finished, Retrying, Span, Started, Status, Trace
from lambdacat.fault import Fault, Waiting, settled
from lambdacat.machine.fork import EDGE, Fork, Turn
from lambdacat.machine.meaning import APART, TRIES, Sleep, Table, raised
from lambdacat.machine.ops import FAIL, LEAVE, Halt, State
from lambdacat.machine.segment import Leaf, Request, Segment
from lambdacat.machine.trail import Kind, Trail
from lambdacat.plan import Composite, Pure, Task, _Identity


class Row:
    """One execution of one node, while it is written down."""

    __slots__ = (
        "attempt", "end", "fault", "id", "input", "money", "name", "output", "parent", "site", "start", "status",
        "tokens",
    )  # fmt: skip

    def __init__(
        self, id_: int, parent: Row | None, site: Trail, name: str, value: Any, start: float, attempt: int
    ) -> None:
        self.id = id_
        self.parent = parent
        self.site = site
        self.name = name
        self.input = value
        self.start = start
        self.attempt = attempt
        self.end = start
        self.status: Status | None = None
        self.fault: Fault | None = None
        self.output: Any = None
        self.tokens = 0
        self.money = 0.0

    def span(self) -> Span:
        """The row as a value."""
        return Span(
            id=self.id,
            parent=None if self.parent is None else self.parent.id,
            at=self.site,
            name=self.name,
            start=self.start,
            end=self.end,
            attempt=self.attempt,
            status=self.status or "cancelled",
            fault=self.fault,
            input=self.input,
            output=self.output,
            tokens=self.tokens,
            money=self.money,
        )


class Bundle:
    """A straight run of actions without observers: its clock and values in one list, made into rows when looked at."""

    __slots__ = ("attempt", "fault", "marks", "parent", "segment", "stack")

    def __init__(self, segment: Segment, stack: Any, value: Any, start: float) -> None:
        self.segment = segment
        self.stack = stack
        self.parent, self.attempt = _above(stack)
        self.marks: list[Any] = [start, value]
        """Time and value before the first action and after each."""
        self.fault: Fault | None = None

    def rows(self) -> Iterator[Row]:
        """One row an action."""
        marks = self.marks
        ran = len(marks) // 2 - 1
        for index, leaf in enumerate(self.segment.leaves[: ran if self.fault is None else ran + 1]):
            start, value = marks[2 * index : 2 * index + 2]
            site = Trail(self.stack, leaf.at, value, leaf.node)
            row = Row(0, self.parent, site, leaf.node.name, value, start, self.attempt)
            if index < ran:
                row.end, row.output, row.status = marks[2 * index + 2], marks[2 * index + 3], "succeeded"
            else:
                row.end, row.fault, row.status = marks[-1] if len(marks) % 2 else start, self.fault, "failed"
            yield row


def _spans(found: Iterable[Row | Bundle]) -> tuple[Span, ...]:
    rows = [row for one in found for row in (one.rows() if isinstance(one, Bundle) else (one,))]
    for number, row in enumerate(rows):
        row.id = number
    return tuple(row.span() for row in rows)


class Recorder:
    """Writes down what happens in one run; with observers it tells them at once instead, and keeps nothing."""

    __slots__ = ("begun", "bundles", "clock", "halt", "keeps", "observers", "rows")

    def __init__(self, clock: Callable[[], float], observers: Iterable[Callable[[Any], object]] = ()) -> None:
        self.clock = clock
        self.observers = tuple(observers)
        self.keeps = self.bundles = not self.observers
        self.begun = 0
        """How many rows there were: the next one's id."""
        self.halt: Halt | None = None
        """What an observer raised where nobody could be told."""
        self.rows: list[Row | Bundle] = []

    def begin(self, name: str, site: Trail, value: Any, stack: Any) -> Row:
        """A node or an action begins."""
        parent, attempt = _above(stack)
        row = Row(self.begun, parent, site, name, value, self.clock(), attempt)
        self.begun += 1
        if self.keeps:
            self.rows.append(row)
        else:
            self._tell(Started, row, row.start, attempt=attempt)
        return row

    def finish(self, row: Row, status: Status, value: Any = None, fault: Fault | None = None) -> None:
        """It ends."""
        if row.status is not None:
            return
        row.end, row.status, row.output, row.fault = self.clock(), status, value, fault
        if self.observers:
            self._tell(Finished, row, row.end, status=status, value=value, fault=fault)

    def cancelled(self, stack: Any, until: Any) -> None:
        """Everything that is open from ``stack`` down to ``until``, in this task, is cut off."""
        while stack is not None and stack is not until:
            kind, _, data, stack = stack
            if kind is SPAN:
                self.finish(data, "cancelled")
            elif kind.bottom:
                return

    def skipped(self, fork: Fork, started: int, stack: Any) -> None:
        """Branches that a decided race never started."""
        for index in range(started, fork.total):
            site = Trail((EDGE, fork.node, Turn(fork, fork.race(), index), stack), (), fork.value)
            self.finish(self.begin(fork.plan(index).name, site, None, stack), "skipped")

    def retrying(self, request: Sleep, seconds: float, stack: Any) -> None:
        """A plan waits for its next attempt."""
        if self.observers:
            row, _ = _above(stack)
            if row is not None:
                fault = settled(request.fault)
                self._tell(Retrying, row, self.clock(), attempt=request.attempt + 1, delay=seconds, fault=fault)

    def emitted(self, row: Row | None, chunk: object) -> None:
        """An action sends output."""
        if self.observers and row is not None:
            self._tell(Emitted, row, self.clock(), chunk=chunk)

    def posted(self, row: Row | None, chunk: object) -> None:
        """An action in another thread sent output: an observer that raises is heard of when the action is over."""
        try:
            self.emitted(row, chunk)
        except Halt as halt:
            self.halt = halt

    def checked(self) -> None:
        """Errors: ``Halt`` when an observer raised at something that was posted."""
        if self.halt is not None:
            raise self.halt

    def _tell(self, kind: Any, row: Row, time: float, **rest: Any) -> None:
        parent = None if row.parent is None else row.parent.id
        self.tell(kind(id=row.id, parent=parent, at=row.site, name=row.name, time=time, **rest))

    def tell(self, event: Any) -> None:
        """Hand an event to every observer. Errors: ``Halt`` with what an observer raised; it is told no more."""
        raised: Exception | None = None
        for observer in self.observers:
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001  it must pass the plan's own handlers, and still reach the caller
                self.observers = tuple(one for one in self.observers if one is not observer)
                raised = raised or error
        if raised is not None:
            raise Halt(raised)

    def trace(self) -> Trace:
        """What was written down so far."""
        found = tuple(self.rows)
        return Trace.later(lambda: _spans(found))


def _above(stack: Any) -> tuple[Row | None, int]:
    """The nearest open row, and which attempt a node directly below it is in."""
    attempt = 0
    while stack is not None:
        kind, _, data, stack = stack
        if kind is TRIES and not attempt:
            attempt = data[0]
        elif kind is SPAN:
            return data, attempt or data.attempt
    return None, attempt or 1


# --- the watched table -----------------------------------------------------------------------------------------------


class Begin(Request):
    """A node is about to be entered."""

    __slots__ = ("node",)

    def __init__(self, node: Any) -> None:
        self.node = node


class Finish(Request):
    """A node was left, by its value or its fault."""

    __slots__ = ("row", "won")

    def __init__(self, row: Row, won: bool) -> None:
        self.row = row
        self.won = won


SPAN = Kind(
    lambda value, node, row, below: (Finish(row, True), value, below),
    lambda fault, node, row, below: (Finish(row, False), fault, below),
    child=lambda node, row: None,
)


def _watched(node: Any, value: Any, stack: Any) -> State:
    return Begin(node), value, stack


def watched_table() -> Table:
    """The meaning of every node, with its beginning asked for first."""
    from lambdacat.plan import Plan

    plain = (Task, Pure, _Identity)
    return {kind: enter if not issubclass(kind, Plan) or kind in plain else _watched for kind, enter in APART.items()}


def begun(recorder: Recorder, request: Begin, value: Any, stack: Any) -> State:
    """The node, entered under a span of its own."""
    node = request.node
    row = recorder.begin(node.name, Trail(stack, (), value, node), value, stack)
    below = (SPAN, None, row, stack)
    enter = APART.get(type(node)) or APART[Composite]
    try:
        return enter(node, value, below)
    except Exception as error:  # noqa: BLE001  a selector, lens or condition of the user's raised
        _, fault, _ = raised(error, node, value, stack)
        return FAIL, fault, below


def finished(recorder: Recorder, request: Finish, value: Any, stack: Any) -> State:
    """The node, left."""
    if request.won:
        recorder.finish(request.row, "succeeded", value)
        return LEAVE, value, stack
    recorder.finish(request.row, "waiting" if isinstance(value, Waiting) else "failed", fault=settled(value))
    return FAIL, value, stack


def leaf_row(recorder: Recorder, segment: Segment, leaf: Leaf, value: Any, stack: Any) -> Row:
    """An action begins."""
    return recorder.begin(leaf.node.name, Trail(stack, leaf.at, value, leaf.node), value, stack)
