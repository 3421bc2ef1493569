"""What a task may ask of its run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final, overload

if TYPE_CHECKING:
    from lambdacat.bound import Left

T = TypeVar("T")


@final
class Key(Generic[T]):
    """A typed name for something that tasks need from outside: ``LLM: Key[Client] = Key("llm")``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a key has a name, not {name!r}")
        self._name = name

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self._name == other._name

    def __hash__(self) -> int:
        return hash((Key, self._name))

    def __repr__(self) -> str:
        return f"Key({self._name!r})"


class NotProvided(KeyError):
    """A task asked its context for something that the run was not given."""

    def __str__(self) -> str:
        # A KeyError shows the repr of its message.
        return str(self.args[0])


class Call(Protocol):
    """One call of one action, as its run sees it: the seam between a context and whoever interprets the plan."""

    @property
    def attempt(self) -> int: ...
    @property
    def key(self) -> tuple[str, str]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> str: ...
    @property
    def at(self) -> tuple[str | int, ...]: ...
    def now(self) -> float: ...
    def spend(self, tokens: int, money: float) -> None: ...
    def reserve(self, tokens: int, money: float) -> None: ...
    def left(self) -> Left: ...
    def emit(self, chunk: object) -> None: ...


@final
class Context:
    """What a task may ask of its run: provided things, the attempt it is in, a place for spending and output."""

    __slots__ = ("_call", "_clock", "_seed", "_things", "_wall")

    def __init__(
        self, *, seed: int = 0, clock: Callable[[], float] | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        """A context with nothing provided. Units: ``clock`` in seconds; ``seed`` feeds all that is random in a run.

        ``wall`` is read once a run, for the time of day at which it begins; from there on the clock counts.

        Without a clock, ``run`` reads ``time.monotonic`` and ``arun`` the clock of its event loop. Where ``run`` must
        wait, it calls the clock's own ``sleep`` method if there is one.
        """
        if type(seed) is not int:
            raise ValueError(f"a seed is a whole number, not {seed!r}")
        self._seed = seed
        self._clock = clock
        self._wall = wall
        self._things: Mapping[str, Any] = {}
        self._call: Call | None = None

    @property
    def seed(self) -> int:
        """What feeds all that is random in a run."""
        return self._seed

    @property
    def clock(self) -> Callable[[], float]:
        """The run's clock. Units: seconds."""
        return self._clock or time.monotonic

    @property
    def has_clock(self) -> bool:
        """Whether a clock was given."""
        return self._clock is not None

    @property
    def wall(self) -> Callable[[], float]:
        """What says the time of day. Units: seconds since 1970 in UTC."""
        return self._wall

    def _with(self, **changes: Any) -> Context:
        made = object.__new__(Context)
        for name in Context.__slots__:
            setattr(made, name, changes.get(name, getattr(self, name)))
        return made

    def provide(self, key: Key[T], value: T) -> Context:
        """A context that also has ``value`` under ``key``."""
        if not isinstance(key, Key):
            raise TypeError(f"provide wants a Key, not {key!r}; a mapping of names can be given as context= instead")
        return self._with(_things={**self._things, key.name: value})

    def calling(self, call: Call) -> Context:
        """The context of one call of one action."""
        made = object.__new__(Context)
        made._seed, made._clock, made._wall, made._things = self._seed, self._clock, self._wall, self._things
        made._call = call
        return made

    @overload
    def __getitem__(self, key: Key[T]) -> T: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: Any) -> Any:
        """The value provided for ``key``, or under that name. Errors: ``KeyError`` with the key's name."""
        name = key.name if isinstance(key, Key) else key
        try:
            return self._things[name]
        except KeyError:
            known = ", ".join(sorted(map(repr, self._things))) or "nothing"
            raise NotProvided(f"nothing is provided for {name!r}; this run's context has {known}") from None

    @overload
    def get(self, key: Key[T], default: T) -> T: ...
    @overload
    def get(self, key: str, default: object = None) -> Any: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """The value provided for ``key``, or under that name; ``default`` when there is none."""
        return self._things.get(key.name if isinstance(key, Key) else key, default)

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return 1 if self._call is None else self._call.attempt

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step in this run, also after a resume."""
        return idempotency_key(*(("", "") if self._call is None else self._call.key))

    @property
    def epoch(self) -> int:
        """Which ownership of a durable run the step is in: a service that has seen a later one can refuse this one."""
        return 0 if self._call is None else self._call.epoch

    @property
    def step(self) -> str:
        """The name of the task that asks."""
        return "" if self._call is None else self._call.step

    @property
    def at(self) -> tuple[str | int, ...]:
        """The path of the task that asks, in normal form."""
        return () if self._call is None else self._call.at

    def now(self) -> float:
        """What time it is. Units: seconds since 1970 in UTC, moved on by the run's clock from where the run began."""
        return self._wall() if self._call is None else self._call.now()

    def spend(self, *, tokens: int = 0, money: float = 0.0) -> None:
        """Enter real cost: in the trace, and in the enclosing budgets, where it comes out of what is reserved.

        What is not reserved is charged all the same; if it does not fit, nothing more starts under that budget.
        """
        self._check_amounts("spending", tokens, money)
        if self._call is not None:
            self._call.spend(tokens, money)

    def reserve(self, *, tokens: int = 0, money: float = 0.0) -> None:
        """See to it, before a request is sent, that so much may still be spent; what is not is free after this step.

        Errors: ``OverBudget``, which ends the step as ``BudgetExceeded``.
        """
        self._check_amounts("a reservation", tokens, money)
        if self._call is not None:
            self._call.reserve(tokens, money)

    @property
    def left(self) -> Left:
        """What the enclosing budgets have left beyond what steps have reserved, this one too; the least of each."""
        from lambdacat.bound import Left

        return Left() if self._call is None else self._call.left()

    @staticmethod
    def _check_amounts(what: str, tokens: object, money: object) -> None:
        whole = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0
        number = isinstance(money, (int, float)) and not isinstance(money, bool) and 0 <= money < inf
        if not (whole and number):
            raise ValueError(f"{what} is finite and not negative: tokens={tokens!r}, money={money!r}")

    def emit(self, chunk: object) -> None:
        """Send ``chunk`` to ``stream`` as an ``Emitted`` event."""
        if self._call is not None:
            self._call.emit(chunk)


def idempotency_key(run: str, key: str) -> str:
    """What tells one execution of one step of one run from all others, the same in every attempt at it."""
    from hashlib import blake2b

    return blake2b(f"{run}\n{key}".encode(errors="backslashreplace"), digest_size=16).hexdigest()


def context_of(given: Context | Mapping[str, Any] | None) -> Context:
    """The context that a runner was given, from a ``Context`` or a mapping of names to things."""
    if isinstance(given, Context):
        return given
    if given is None:
        return Context()
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"context is a Context or a mapping with names, not {given!r}; keys go through provide")
    return Context()._with(_things=dict(given))
