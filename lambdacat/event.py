"""What happens in a run, as values: events while it goes on, spans and a trace of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final

from attrs import field, frozen

from lambdacat.fault import Fault, Outcome, _AtNode

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
class Trace:
    """Spans in the order they began. Law: a monoid under ``+``.

    Law: the trace of ``p >> q`` is the sum of both traces up to re-rooting ``at`` and one clock origin.
    """

    __slots__ = ("_make", "_spans")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: tuple[Span, ...] | None = tuple(spans)
        self._make: Callable[[], tuple[Span, ...]] | None = None

    @classmethod
    def later(cls, make: Callable[[], tuple[Span, ...]]) -> Trace:
        """A trace whose spans are made when somebody first looks: recording must stay cheap."""
        made = cls()
        made._spans, made._make = None, make
        return made

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans."""
        if self._spans is None:
            assert self._make is not None
            self._spans, self._make = self._make(), None
        return self._spans

    def __add__(self, other: Trace) -> Trace:
        if not isinstance(other, Trace):
            return NotImplemented
        return Trace((*self.spans, *other.spans))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and self.spans == other.spans

    def __reduce__(self) -> Any:
        return Trace, (self.spans,)

    def __hash__(self) -> int:
        return hash(tuple((span.id, span.at, span.start) for span in self.spans))

    def __repr__(self) -> str:
        return f"Trace({len(self.spans)} spans)"

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
