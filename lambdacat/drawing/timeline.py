"""A trace over time: a Mermaid Gantt chart, or bars of text."""

from __future__ import annotations

from collections.abc import Sequence
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


class TraceLike(Protocol):
    """Anything with spans."""

    @property
    def spans(self) -> Sequence[SpanLike]:
        """In the order they began."""


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


def _label(span: SpanLike) -> str:
    said = [f"attempt {span.attempt}"] if span.attempt > 1 else []
    if span.status != "succeeded":
        said.append(span.status)
    return plain(span.name) + (f" ({', '.join(said)})" if said else "")


def gantt(trace: TraceLike) -> str:
    """One row for each span. Units: said in the title; the axis counts them from the start of the first span."""
    start, total = _origin(trace.spans)
    # Four digits at least: the axis counts whole units.
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS[1:] if total >= least)
    lines = ["gantt", f"  title {len(trace.spans)} spans, in {unit}", "  dateFormat x", "  axisFormat %Q"]
    for row, span in enumerate(trace.spans):
        began, ended = round((span.start - start) * scale), round((span.end - start) * scale)
        point = "milestone, " if began == ended else ""
        lines.append(f"  {_row_name(span)} :{_TAGS.get(span.status, '')}{point}s{row}, {began}, {ended}")
    return "\n".join(lines) + "\n"


def _row_name(span: SpanLike) -> str:
    """The label with its first letter as a code, so that no name reads as a keyword of the chart."""
    label = _label(span)
    return f"#{ord(label[0])};{escaped(label[1:])}" if label else "#45;"


def bars(trace: TraceLike) -> str:
    """One line for each span: a bar over the time of the whole trace, then its name, indented below its parent."""
    spans = trace.spans
    start, total = _origin(spans)
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS if total >= least)
    level: dict[int, int] = {}
    lines = [f"{len(spans)} spans in {total * scale:.4g} {unit}"]
    for span in spans:
        depth = level[span.id] = 0 if span.parent is None else level.get(span.parent, -1) + 1
        took = f"{(span.end - span.start) * scale:.4g} {unit}"
        indent = "  " * min(depth, _DEEPEST)
        lines.append(f"|{_bar(span, start, total)}| {took:>10}  {indent}{_label(span)}")
    return "\n".join(lines) + "\n"


def _bar(span: SpanLike, start: float, total: float) -> str:
    per = _WIDTH / total if total > 0 else 0.0
    first = min(int((span.start - start) * per), _WIDTH - 1)
    # Never empty: what happened in an instant still happened.
    last = max(first + 1, min(_WIDTH, round((span.end - start) * per)))
    return " " * first + ("#" if span.status == "succeeded" else "x") * (last - first) + " " * (_WIDTH - last)
