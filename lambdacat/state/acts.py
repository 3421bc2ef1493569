"""How a plain function on a part of the state becomes a step: what is constant, what is read, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from attrs import frozen

from lambdacat.bound import Estimate
from lambdacat.context import Context
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.state.origin import origin_of

INSTANT: Final = Estimate(seconds=(0.0, 0.0), tokens=(0.0, 0.0), money=(0.0, 0.0))
"""The cost of a step that only computes: none to speak of."""


@final
class _Given:
    """Stands for a value that a step reads from the state."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "_GIVEN"

    def __repr__(self) -> str:
        return "given"


_GIVEN: Final = _Given()


@frozen
class _Act:
    """A plain function as an action: called with a part of the state, what it wants besides, and its origin.

    Two are equal when function and constants are, so that plans which say the same are the same. How many values are
    read shows in the signature, so there is one class for each number.
    """

    change: Callable[..., Any]
    wants: tuple[Any, ...]

    def on(self, part: Any, read: tuple[Any, ...], ctx: Context) -> Any:
        """What the function makes of a part and of what was read, in the place of what stands for it."""
        values = iter(read)
        return self.change(part, *(next(values) if one is _GIVEN else one for one in self.wants), origin_of(ctx))


@final
@frozen
class _Act0(_Act):
    def __call__(self, part: Any, ctx: Context) -> Any:
        return self.on(part, (), ctx)


@final
@frozen
class _Act1(_Act):
    def __call__(self, part: Any, a: Any, ctx: Context) -> Any:
        return self.on(part, (a,), ctx)


@final
@frozen
class _Act2(_Act):
    def __call__(self, part: Any, a: Any, b: Any, ctx: Context) -> Any:
        return self.on(part, (a, b), ctx)


@final
@frozen
class _Act3(_Act):
    def __call__(self, part: Any, a: Any, b: Any, c: Any, ctx: Context) -> Any:
        return self.on(part, (a, b, c), ctx)


_ACTS: Final = (_Act0, _Act1, _Act2, _Act3)


def act(change: Callable[..., Any], *wants: Any) -> Callable[..., Any]:
    """``change(part, *wants, origin)`` as an action on the part; a lens among ``wants`` stands for what it reads."""
    kind = _ACTS[sum(isinstance(one, Lens) for one in wants)]
    return kind(change, tuple(_GIVEN if isinstance(one, Lens) else one for one in wants))


def step(
    name: str, change: Callable[..., Any], part: Any, wants: tuple[Any, ...], writes: Any = None
) -> Plan[Any, Any]:
    """A step that calls ``change`` on a part of the state and puts what it gives there, or into ``writes``."""
    if not isinstance(part, Lens):
        raise PlanError(f"{name} works on a part of the state, given by a lens, not on {part!r}")
    make: Any = task
    reads = (part, *(one for one in wants if isinstance(one, Lens)))
    made: Plan[Any, Any] = make(
        name=name, reads=reads, writes=part if writes is None else writes, blocking="inline", estimate=INSTANT
    )(act(change, *wants))
    return made


def inner(name: str, action: Callable[..., Any]) -> Plan[Any, Any]:
    """A step on a whole value that only computes."""
    make: Any = task
    made: Plan[Any, Any] = make(name=name, blocking="inline", estimate=INSTANT)(action)
    return made
