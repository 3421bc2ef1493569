"""What happens in a run, as values: events while it goes on, spans and a trace of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final

from attrs import evolve, field, frozen

from lambdacat.fault import At, Fault, Outcome, _AtNode

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)

Status: TypeAlias = Literal["succeeded", "failed", "cancelled", "skipped", "waiting"]
"""How one execution of a node ended; ``waiting`` is for an answer to ``ask``."""


@final
@frozen(kw_only=True)
class Span(_AtNode):
    """One execution of one node, within ``parent``. Units: ``start`` and ``end`` in seconds on the run's clock."""

    id: int
    parent: int | None
    start: float
    end: float
    attempt: int
    status: Status
    fault: Fault | None
    input: object
    output: object
    tokens: int = 0
    money: float = 0.0
    """What the action said it spent. Units: tokens; money in the caller's currency."""


@final
@frozen(kw_only=True)
class Total:
    """What all executions of one node come to. Units: ``seconds`` as a sum, also of executions side by side."""

    at: At
    name: str
    count: int
    failed: int = 0
    seconds: float = 0.0
    tokens: int = 0
    money: float = 0.0
    """What the actions said they spent. Units: tokens; money in the caller's currency."""

    def __add__(self, other: Total) -> Total:
        if not isinstance(other, Total) or (other.at, other.name) != (self.at, self.name):
            return NotImplemented
        return evolve(
            self,
            count=self.count + other.count,
            failed=self.failed + other.failed,
            seconds=self.seconds + other.seconds,
            tokens=self.tokens + other.tokens,
            money=self.money + other.money,
        )


def _summed(totals: Iterable[Total]) -> tuple[Total, ...]:
    """One total a node, in the order in which the nodes came first."""
    found: dict[tuple[At, str], Total] = {}
    for total in totals:
        key = (total.at, total.name)
        found[key] = found[key] + total if key in found else total
    return tuple(found.values())


def _total(span: Span) -> Total:
    return Total(
        at=span.at,
        name=span.name,
        count=1,
        failed=int(span.status == "failed"),
        seconds=span.end - span.start,
        tokens=span.tokens,
        money=span.money,
    )


@final
class Trace:
    """Spans in the order they began, and what all executions of each node come to. Law: a monoid under ``+``.

    A trace that was not kept whole says so in ``left_out``, and its ``totals`` are those of the whole.

    Law: the trace of ``p >> q`` is the sum of both traces up to re-rooting ``at`` and one clock origin.
    """

    __slots__ = ("_make", "_spans", "_totals")

    def __init__(self, spans: Iterable[Span] = (), totals: Iterable[Total] | None = None) -> None:
        """``totals``: of everything that happened, where ``spans`` are only some of it."""
        self._spans: tuple[Span, ...] | None = tuple(spans)
        self._totals: tuple[Total, ...] | None = None if totals is None else tuple(totals)
        self._make: Callable[[], tuple[Span, ...]] | None = None

    @classmethod
    def later(cls, make: Callable[[], tuple[Span, ...]], totals: Iterable[Total] | None = None) -> Trace:
        """A trace whose spans are made when somebody first looks: recording must stay cheap."""
        made = cls((), totals)
        made._spans, made._make = None, make
        return made

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans that were kept."""
        if self._spans is None:
            assert self._make is not None
            self._spans, self._make = self._make(), None
        return self._spans

    @property
    def totals(self) -> tuple[Total, ...]:
        """Of every node, its executions counted and added up, kept or not; in the order in which the nodes began."""
        return _summed(map(_total, self.spans)) if self._totals is None else self._totals

    @property
    def left_out(self) -> int:
        """How many spans there were besides those that were kept."""
        return 0 if self._totals is None else sum(total.count for total in self._totals) - len(self.spans)

    def __add__(self, other: Trace) -> Trace:
        if not isinstance(other, Trace):
            return NotImplemented
        whole = self._totals is None and other._totals is None
        return Trace((*self.spans, *other.spans), None if whole else _summed((*self.totals, *other.totals)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and self.spans == other.spans and self._totals == other._totals

    def __reduce__(self) -> Any:
        return Trace, (self.spans, self._totals)

    def __hash__(self) -> int:
        return hash(tuple((span.id, span.at, span.start) for span in self.spans))

    def __repr__(self) -> str:
        shown = len(self.spans)
        return f"Trace({shown} of {shown + self.left_out} spans)" if self.left_out else f"Trace({shown} spans)"

    def __str__(self) -> str:
        from lambdacat.drawing import render

        drawn: Any = self
        text: str = render(drawn)
        return text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from lambdacat.drawing import render

        drawn: Any = self
        return {"text/plain": render(drawn), "text/vnd.mermaid": render(drawn, "mermaid")}


@frozen(kw_only=True)
class _Happened(_AtNode):
    id: int
    """Of one execution of a node, the same in all its events and in its span."""
    parent: int | None
    time: float
    """Units: seconds on the run's clock."""


@final
@frozen(kw_only=True)
class Started(_Happened):
    """A node began."""

    attempt: int


@final
@frozen(kw_only=True)
class Retrying(_Happened):
    """A node faulted and will be tried again. Units: ``delay`` in seconds."""

    attempt: int
    """The one that comes: 2 after the first fault."""
    delay: float
    fault: Fault


@final
@frozen(kw_only=True)
class Emitted(_Happened):
    """A running task sent a chunk of output."""

    chunk: object


@final
@frozen(kw_only=True)
class Finished(_Happened):
    """A node ended; ``fault`` is None unless it failed, ``value`` is None unless it succeeded."""

    status: Status
    value: object
    fault: Fault | None


@final
@frozen
class Ended(Generic[B_co]):
    """The last event of a run."""

    result: Outcome[B_co] = field()


Event: TypeAlias = Started | Retrying | Emitted | Finished | Ended[B]
"""What ``stream`` and observers see. The union grows: keep a ``case _`` in every ``match``."""
