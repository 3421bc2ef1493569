"""A trace over time: a Mermaid Gantt chart, or bars of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeGuard

from lambdacat.drawing.mermaid import escaped
from lambdacat.drawing.words import plain


class SpanLike(Protocol):
    """What a timeline reads of a span. Units: ``start`` and ``end`` in seconds on one clock."""

    @property
    def id(self) -> int:
        """Which span it is."""

    @property
    def parent(self) -> int | None:
        """The span it is within."""

    @property
    def name(self) -> str:
        """The words of its node."""

    @property
    def start(self) -> float:
        """When it began."""

    @property
    def end(self) -> float:
        """When it ended."""

    @property
    def attempt(self) -> int:
        """1 for the first try."""

    @property
    def status(self) -> str:
        """How it ended, in one word."""

    @property
    def parts(self) -> Sequence[tuple[int, int]]:
        """Which part of each focus over several it was in, outermost first, as an index and of how many."""


class TotalLike(Protocol):
    """What a timeline reads of the executions of one node, drawn or not. Units: ``seconds``."""

    @property
    def name(self) -> str:
        """The words of the node."""

    @property
    def count(self) -> int:
        """How many there were."""

    @property
    def seconds(self) -> float:
        """What they add up to."""


class TraceLike(Protocol):
    """Anything with spans."""

    @property
    def spans(self) -> Sequence[SpanLike]:
        """In the order they began."""

    @property
    def left_out(self) -> int:
        """How many there were besides."""

    @property
    def totals(self) -> Sequence[TotalLike]:
        """Of each node, with what was left out."""


_UNITS = ((10.0, 1.0, "s"), (0.01, 1e3, "ms"), (0.00001, 1e6, "us"), (0.0, 1e9, "ns"))
_TAGS = {"succeeded": "done, ", "failed": "crit, ", "cancelled": "active, "}
_WIDTH = 40
_DEEPEST = 20


def is_trace(value: Any) -> TypeGuard[TraceLike]:
    """Whether it has spans."""
    return hasattr(value, "spans")


def _origin(spans: Sequence[SpanLike]) -> tuple[float, float]:
    """When the first span began, and how long it is from there to the last end."""
    start = min((span.start for span in spans), default=0.0)
    return start, max((span.end for span in spans), default=0.0) - start


def _counted(trace: TraceLike) -> str:
    """How many spans are drawn, and of how many: a picture of some says that it is one."""
    drawn = len(trace.spans)
    return f"{drawn} of {drawn + trace.left_out} spans" if trace.left_out else f"{drawn} spans"


def _label(span: SpanLike, above: SpanLike | None) -> str:
    """The words of its node, and what tells this execution of it from others."""
    said = []
    if len(span.parts) > len(above.parts if above is not None else ()):
        index, total = span.parts[-1]
        said.append(f"part [{index}] of {total}")
    if span.attempt > 1:
        said.append(f"attempt {span.attempt}")
    if span.status != "succeeded":
        said.append(span.status)
    return plain(span.name) + (f" ({', '.join(said)})" if said else "")


def _tree(spans: Sequence[SpanLike]) -> Iterator[tuple[SpanLike, SpanLike | None, int]]:
    """Every span below its parent, with that and its level; neighbours in the order they began."""
    # By their places and not their numbers: a sum of traces may have a number twice. Parents begin before children.
    latest: dict[int, int] = {}
    below: list[list[int]] = [[] for _ in spans]
    roots: list[int] = []
    for place, span in enumerate(spans):
        parent = None if span.parent is None else latest.get(span.parent)
        (roots if parent is None else below[parent]).append(place)
        latest[span.id] = place
    rest: list[tuple[int, SpanLike | None, int]] = [(place, None, 0) for place in reversed(roots)]
    while rest:
        place, above, level = rest.pop()
        yield spans[place], above, level
        rest.extend((child, spans[place], level + 1) for child in reversed(below[place]))


def gantt(trace: TraceLike) -> str:
    """One row for each span. Units: said in the title; the axis counts them from the start of the first span."""
    start, total = _origin(trace.spans)
    # Four digits at least: the axis counts whole units.
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS[1:] if total >= least)
    lines = ["gantt", f"  title {_counted(trace)}, in {unit}", "  dateFormat x", "  axisFormat %Q"]
    for row, (span, above, _) in enumerate(_tree(trace.spans)):
        began, ended = round((span.start - start) * scale), round((span.end - start) * scale)
        point = "milestone, " if began == ended else ""
        lines.append(f"  {_row_name(_label(span, above))} :{_TAGS.get(span.status, '')}{point}s{row}, {began}, {ended}")
    return "\n".join(lines) + "\n"


def _row_name(label: str) -> str:
    """The label with its first letter as a code, so that no name reads as a keyword of the chart."""
    return f"#{ord(label[0])};{escaped(label[1:])}" if label else "#45;"


def bars(trace: TraceLike) -> str:
    """One line for each span: a bar over the time of the whole trace, when it began, how long it took, and its name.

    Spans stand below their parents, and neighbours in the order they began.
    """
    spans = trace.spans
    start, total = _origin(spans)
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS if total >= least)
    lines = [f"{_counted(trace)} in {total * scale:.4g} {unit}: when each began, how long it took"]
    for span, above, level in _tree(spans):
        began, took = f"{(span.start - start) * scale:.4g}", f"{(span.end - span.start) * scale:.4g} {unit}"
        indent = "  " * min(level, _DEEPEST)
        lines.append(f"|{_bar(span, start, total)}| {began:>8} {took:>12}  {indent}{_label(span, above)}")
    if trace.left_out:
        lines.append(f"{trace.left_out} spans are not drawn; with them there were")
        lines.extend(f"{one.count:>12} of {plain(one.name)}, {_seconds(one.seconds)} in all" for one in trace.totals)
    return "\n".join(lines) + "\n"


def _seconds(seconds: float) -> str:
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS if seconds >= least)
    return f"{seconds * scale:.4g} {unit}"


def _bar(span: SpanLike, start: float, total: float) -> str:
    per = _WIDTH / total if total > 0 else 0.0
    first = min(int((span.start - start) * per), _WIDTH - 1)
    # Never empty: what happened in an instant still happened.
    last = max(first + 1, min(_WIDTH, round((span.end - start) * per)))
    return " " * first + ("#" if span.status == "succeeded" else "x") * (last - first) + " " * (_WIDTH - last)
