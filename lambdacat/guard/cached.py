"""Results that are kept: ``p.cached(store)``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from math import inf
from typing import Any, ClassVar, Final, Protocol, TypeVar, final
from weakref import WeakValueDictionary

from attrs import field, frozen

from lambdacat.asking import Ask, SleepUntil
from lambdacat.bound import Estimate, Limited, seconds_of
from lambdacat.build import pure, when
from lambdacat.callables import check_plain
from lambdacat.codec import Codec, Codecs, StateCorrupt
from lambdacat.context import Context
from lambdacat.guard.flight import Flight
from lambdacat.guard.keyed import Keyed
from lambdacat.leaf import task
from lambdacat.path import lens
from lambdacat.place import PlanError
from lambdacat.plan import Bind, Named, Plan, Recover, Task, Within
from lambdacat.structure import fold

A = TypeVar("A")
B = TypeVar("B")

_SKEW: Final = 1.0
"""Units: seconds by which clocks may differ; what comes from further ahead is not trusted."""
INSTANT: Final = Estimate(tokens=(0.0, 0.0), money=(0.0, 0.0))


class Shelf(Protocol):
    """The least that a place must do to keep results: bytes under keys. Every store of ``lambdacat.store`` is one."""

    def get(self, key: str) -> Any:
        """The bytes, or None where there are none."""

    def put(self, key: str, value: bytes) -> Any:
        """Keep them."""


Store = Shelf
"""What the package calls it at its door."""


@final
@frozen
class _Spot:
    """Where a result is kept: the key of an input, for one plan."""

    plan: Plan[Any, Any]
    key: Callable[[Any], Any] | None
    codecs: Codecs

    def __call__(self, value: Any) -> str:
        asked = value if self.key is None else self.key(value)
        return f"cached/{self._of_plan()}/{_digest(self.codecs.encode(asked))}"

    def _of_plan(self) -> str:
        digest: str = self.plan.memo("cached as", _plan_digest)
        return digest


def _plan_digest(plan: Plan[Any, Any]) -> str:
    from lambdacat.interpreters.shape import shape

    return _digest(repr(shape(plan)).encode(errors="backslashreplace"))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


# The value between the steps is (what the plan is given, its key, what is kept or what came of it, whether that is so).
_GIVEN: Any = lens(tuple, lambda t: t[0])
_RESULT: Any = lens(tuple, lambda t: t[2])


def _is_kept(seen: tuple[Any, ...]) -> bool:
    """Whether there was a result that is still good."""
    return bool(seen[3])


@final
@frozen
class _Look:
    """Looks whether a result is kept that is still good; what cannot be read is as if it were not there."""

    shelf: Any
    spot: _Spot
    seconds: float

    def __call__(self, value: Any, context: Context) -> tuple[Any, str, Any, bool]:
        key = self.spot(value)
        data = self.shelf.get(key)
        if isinstance(data, bytes):
            try:
                at, result = self.spot.codecs.decode(data)
            except (StateCorrupt, TypeError, ValueError):
                return value, key, None, False
            if -_SKEW <= context.now() - at < self.seconds:
                return value, key, result, True
        return value, key, None, False


@final
@frozen
class _Keep:
    """Keeps a result, with when it came."""

    shelf: Any
    codecs: Codecs

    def __call__(self, seen: tuple[Any, ...], context: Context) -> Any:
        self.shelf.put(seen[1], self.codecs.encode((context.now(), seen[2])))
        return seen[2]


_FLIGHTS: WeakValueDictionary[int, Keyed[str]] = WeakValueDictionary()
"""Who calls what at the moment, for each place that keeps results."""


@final
@frozen
class _OneAtATime:
    """The limiter that lets one of several equal calls through."""

    shelf: Any
    spot: _Spot
    flights: Keyed[str] = field(eq=False, repr=False)
    name: ClassVar[str] = "equal calls"
    exclusive: ClassVar[bool] = True

    def limiter_for(self, value: Any) -> Any:
        """That of the calls that are equal to one on this value."""
        return self.flights.limiter_for(self.spot(value))


def _flights(shelf: object) -> Keyed[str]:
    found = _FLIGHTS.get(id(shelf))
    if found is None:
        found = _FLIGHTS[id(shelf)] = Keyed(str, lambda key: Flight())
    return found


def cached(
    plan: Plan[A, B],
    store: Shelf,
    key: Callable[[A], Hashable] | None,
    seconds: float | None,
    codecs: Codecs | Sequence[type | Codec],
) -> Plan[A, B]:
    """The node of ``p.cached(store)``: one equal call at a time; the kept result, or the plan and its result kept."""
    if not (callable(getattr(store, "get", None)) and callable(getattr(store, "put", None))):
        raise PlanError(f"cached wants a store, with get and put, such as SqliteStore(path), not {store!r}")
    if key is not None:
        check_plain("key= of cached", key)
    whole = inf if seconds is None else seconds_of(seconds, "seconds of cached")
    _check_repeatable(plan)
    known = codecs if isinstance(codecs, Codecs) else Codecs(*codecs)
    spot = _Spot(plan, key, known)
    look: Plan[Any, Any] = _step("look up", _Look(store, spot, whole))
    fresh: Plan[Any, Any] = plan.between(_GIVEN, _RESULT) >> _step("keep", _Keep(store, known))
    found: Plan[Any, Any] = when(_is_kept, pure(_result), fresh)
    name = "cached" if seconds is None else f"cached for {seconds:g} s"
    return Named(name, Within(Limited(_OneAtATime(store, spot, _flights(store))), look >> found))


def _result(seen: tuple[Any, ...]) -> Any:
    return seen[2]


def _step(name: str, action: Any) -> Any:
    return task(name=name, estimate=INSTANT, idempotent=True)(action)


def _check_repeatable(plan: Plan[Any, Any]) -> None:
    """Refuse what must not be left out, or is not known. Errors: ``PlanError`` that names the step."""

    def look(node: Plan[Any, Any], below: list[None]) -> None:
        if isinstance(node, Task) and node.idempotent is not True:
            raise PlanError(
                f"cached leaves steps out that were done before, and {node.name} does not say that this is the same:"
                " give its task idempotent=True, or cache the others"
            )
        if isinstance(node, (Ask, SleepUntil)):
            raise PlanError(f"cached cannot leave out {node.name}: put it beside what is cached")
        if isinstance(node, Bind) or (isinstance(node, Recover) and node.handler is not None):
            raise PlanError(f"nobody knows before the run what {node.name} does, so it cannot be cached")

    fold(plan, look)
