"""The nodes of the algebra: what a plan is made of. A new node starts here.

Every node says its data and its children (``parts``); comparing, hashing, copying and printing are loops over those,
written once in ``Plan``, so a plan nested 100,000 deep is a value like any other. What a node means when it runs is
said in ``machine.meaning``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Never, Self, TypeVar, assert_never, final, overload

from attrs import field, frozen

from lambdacat.bound import (
    Budget,
    Estimate,
    Guard,
    Guarded,
    KeyedLimiter,
    Kind,
    Limited,
    Limiter,
    Resource,
    Retry,
    RetryBudget,
    Timeout,
    check_on,
    seconds_of,
)
from lambdacat.merging import collect
from lambdacat.optics import Traversal, _Into, _Many, _One
from lambdacat.place import PlanError
from lambdacat.policy import ALL, All, NBest, Quorum, Settled

if TYPE_CHECKING:
    from collections.abc import Hashable
    from collections.abc import Sequence as Row

    from lambdacat.codec import Codec, Codecs
    from lambdacat.fault import Fault, Outcome
    from lambdacat.guard.cached import Shelf
    from lambdacat.schedule import Schedule

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
S = TypeVar("S")
A_contra = TypeVar("A_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)
F_co = TypeVar("F_co", covariant=True)

Parts = tuple[tuple[Any, ...], "tuple[Plan[Any, Any], ...]"]
_set = object.__setattr__


class Plan(Generic[A_contra, B_co]):
    """An immutable, hashable description of a computation from ``A`` to ``B``; nothing runs until it is interpreted.

    Law: ``>>`` is associative with unit ``identity``, by ``==``, because constructors keep plans in normal form.
    Built with the functions of this module, never by calling ``Plan``.
    """

    __slots__ = ("__weakref__", "_hash", "_memo", "_touch")
    _hash: int
    _memo: dict[str, Any]

    def parts(self) -> Parts:
        """The data of this node and its children, in order."""
        raise TypeError(f"{type(self).__name__} is no plan: build plans with task, pure, sequence, parallel and so on")

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        """The node with these parts. Law: ``type(p).from_parts(*p.parts()) == p``."""
        return cls(*data, *children)

    def memo(self, key: str, make: Callable[[Any], Any]) -> Any:
        """``make(self)``, computed once for this value; compiled forms live here, outside ``==``."""
        try:
            return self._memo[key]
        except AttributeError:
            _set(self, "_memo", {})
        except KeyError:
            pass
        made = self._memo[key] = make(self)
        return made

    def knows(self, key: str) -> bool:
        """Whether ``memo`` has an answer already."""
        try:
            return key in self._memo
        except AttributeError:
            return False

    @property
    def name(self) -> str:
        """The words used for this node in faults, traces and drawings."""
        return type(self).__name__.lower()

    # Building ------------------------------------------------------------------------------------------------------

    @overload
    def __rshift__(self, other: _Identity) -> Plan[A_contra, B_co]: ...
    @overload
    def __rshift__(self, other: Plan[B_co, C]) -> Plan[A_contra, C]: ...
    def __rshift__(self, other: Any) -> Any:
        """This plan, then ``other`` on its result."""
        if not isinstance(other, Plan):
            return _no_plan(">>", other)
        if other is identity:
            return self
        return other if self is identity else Sequence((self, other))

    def __and__(self: Plan[S, S], other: Plan[S, S]) -> Plan[S, S]:
        """Both state plans side by side on the same input, their changes merged.

        Errors: ``FootprintConflict`` at once when both *declare* a write to one place that declares no merge; tasks on
        the whole value are checked when run.
        """
        if not _is_plan(other):
            refused: Plan[S, S] = _no_plan("&", other)
            return refused
        from lambdacat.build import parallel

        return parallel(self, other)

    def __or__(self, other: Plan[A_contra, C]) -> Plan[A_contra, B_co | C]:
        """This plan, or ``other`` on the same input when this one faults. Law: associative; unit ``fail``."""
        return Recover(None, self, other) if _is_plan(other) else _no_plan("|", other)

    if not TYPE_CHECKING:
        # Checkers must go on refusing a function on the left; whoever runs one is told what to do.
        def __rrshift__(self, other: Any) -> Any:
            return _no_plan(">>", other)

        def __rand__(self, other: Any) -> Any:
            return _no_plan("&", other)

        def __ror__(self, other: Any) -> Any:
            return _no_plan("|", other)

    def map(self, f: Callable[[B_co], C]) -> Plan[A_contra, C]:
        """``self >> pure(f)``; written as a method, every checker infers the parameter of a lambda."""
        from lambdacat.build import pure

        return self >> pure(f)

    def retry(
        self,
        schedule: int | Schedule,
        *,
        on: Callable[[Fault], bool] | Kind | tuple[Kind, ...] | None = None,
        budget: RetryBudget | None = None,
    ) -> Plan[A_contra, B_co]:
        """The plan tried again after a fault that ``on`` accepts; a plain ``n`` is n retries with no delay.

        ``on`` is a test, or classes of faults or of users' exceptions; by default ``ActionFailed`` and ``TimedOut``. An
        exception with a ``retry_after`` is waited for as many seconds at least. With a ``budget``, such as
        ``lambdacat.guard.Retries``, it gives up where all who share that have retried too often.
        Law: ``p.retry(0) == p``. Cancellation and defects of the program itself are never retried.
        """
        from lambdacat.schedule import Fixed, Schedule

        if type(schedule) is int and schedule >= 0:
            chosen: Schedule = Fixed(0.0).times(schedule)
        elif isinstance(schedule, Schedule):
            chosen = schedule
        else:
            raise PlanError(f"retry wants a number of retries or a schedule, not {schedule!r}")
        check_on("retry on=", on)
        if budget is not None and not (_has(budget, "called") and _has(budget, "again")):
            raise PlanError(f"budget= of retry wants a retry budget, such as lambdacat.guard.Retries(), not {budget!r}")
        if chosen.delay(1) is None:
            return self
        return Within(Retry(chosen, on, budget), self)

    def timeout(self, seconds: float) -> Plan[A_contra, B_co]:
        """The plan, cut off after ``seconds`` with ``TimedOut``. Law: nested timeouts are the smaller one."""
        wanted = seconds_of(seconds)
        if type(self) is Within and type(self.bound) is Timeout:
            return self if self.bound.seconds <= wanted else Within(Timeout(wanted), self.plan)
        return Within(Timeout(wanted), self)

    def limited(self: Plan[A, B], limiter: Limiter | KeyedLimiter[A]) -> Plan[A, B]:
        """The plan after a turn of the limiter, which it holds until its end, however it ends.

        Law: a limiter changes when a plan runs, never what it gives. A deadline around it counts the waiting.
        """
        if not (_named(limiter) and (_has(limiter, "turn") or _has(limiter, "limiter_for"))):
            raise PlanError(
                f"limited wants a limiter, with a name and turn(), not {limiter!r}; lambdacat.guard has some, such as"
                " Rate(10, seconds=1.0)"
            )
        return Within(Limited(limiter), self)

    def guarded(self, guard: Guard) -> Plan[A_contra, B_co]:
        """The plan, if the guard lets it through, which hears how it ends; otherwise it is ``Refused``.

        Law: while the guard says yes, the plan gives what it gives without. A plan that is cut off says nothing to it.
        """
        if not (_named(guard) and _has(guard, "turn")):
            raise PlanError(
                f"guarded wants a guard, with a name and turn(), not {guard!r}; lambdacat.guard has"
                " Breaker(5, seconds=30.0)"
            )
        return Within(Guarded(guard), self)

    def within(self, budget: Budget) -> Plan[A_contra, B_co]:
        """The plan under a budget: a step that might pass a cap is not started, and the plan is ``BudgetExceeded``.

        Each run of it has a ledger of its own. Inside another budget it counts in both.
        """
        if not isinstance(budget, Budget):
            raise PlanError(f"within wants a Budget, such as Budget(tokens=8_000, seconds=60), not {budget!r}")
        return Within(budget, self)

    def cached(
        self: Plan[A, B],
        store: Shelf,
        *,
        key: Callable[[A], Hashable] | None = None,
        seconds: float | None = None,
        codecs: Codecs | Row[type | Codec] = (),
    ) -> Plan[A, B]:
        """The plan's result, kept in a store; equal calls at the same time become one, in this process.

        Calls are equal when ``key`` gives the same for what they are given, or else when they are given the same; of
        different plans they never are. A result is good for ``seconds``, for ever where nothing is said. Inputs and
        results are what a store can keep, with classes of your own declared by ``codecs``. Law: once, the plan gives
        what it gives without. Errors: ``PlanError`` unless every step says ``idempotent=True``.
        """
        from lambdacat.guard.cached import cached

        return cached(self, store, key, seconds, codecs)

    def named(self, name: str) -> Plan[A_contra, B_co]:
        """The same plan under another name. Law: names never change a result."""
        _check_name(name)
        return Named(name, self.plan if type(self) is Named else self)

    def focus(self: Plan[A, A], optic: Traversal[S, A], *, limit: int | None = None) -> Plan[S, S]:
        """``focus(optic, self)``: this plan inside a part of a larger state."""
        from lambdacat.build import focus

        return focus(optic, self, limit=limit)

    @overload
    def between(self: Plan[A, B], reads: _One[S, A], writes: _Into[S, B]) -> Plan[S, S]: ...
    @overload
    def between(
        self: Plan[A, B], reads: _Many[S, A], writes: _Into[S, tuple[B, ...]], *, limit: int | None = None
    ) -> Plan[S, S]: ...
    def between(self: Plan[A, B], reads: Any, writes: Any, *, limit: int | None = None) -> Plan[Any, Any]:
        """This plan on one field, its result put into another: two lenses.

        Over a traversal it runs on every part concurrently, up to ``limit`` at once, results in the order of the parts.
        """
        from lambdacat.build import put_between

        return put_between(self, reads, writes, limit)

    def loop_while(
        self: Plan[S, S],
        condition: Callable[[S], bool],
        *,
        at_most: int | None = None,
        then: _Identity | Plan[S, S] | None = None,
    ) -> Plan[S, S]:
        """``loop_while(condition, self)``: run while ``condition`` holds, tested before each turn."""
        from lambdacat.build import loop_while

        return loop_while(condition, self, at_most=at_most, then=then)

    def recover(self, handler: Callable[[Fault], Plan[A_contra, C]]) -> Plan[A_contra, B_co | C]:
        """``recover(self, handler)``: the handler looks at the fault and says what to do instead."""
        from lambdacat.build import recover

        return recover(self, handler)

    def attempt(self) -> Plan[A_contra, Outcome[B_co]]:
        """The plan with its outcome as the result: it never faults. Cancellation passes through as itself."""
        return Attempt(self)

    # Being a value -------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        from lambdacat.structure import equal

        return equal(self, other)

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            from lambdacat.structure import hashed

            return hashed(self)

    def __repr__(self) -> str:
        from lambdacat.structure import expression

        return expression(self)

    def __bool__(self) -> bool:
        raise PlanError("a plan has no truth value: write & for side by side, | for a fallback, >> for then")

    def __copy__(self) -> Plan[A_contra, B_co]:
        return self

    def __deepcopy__(self, memo: object) -> Plan[A_contra, B_co]:
        return self

    def __reduce__(self) -> Any:
        from lambdacat.structure import regrown, rows

        return regrown, (rows(self),)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from lambdacat.drawing import render

        return {"text/plain": render(self), "text/vnd.mermaid": render(self, "mermaid")}


def _named(value: object) -> bool:
    return isinstance(getattr(value, "name", None), str)


def _has(value: object, method: str) -> bool:
    return callable(getattr(value, method, None))


def _is_plan(value: Any) -> bool:
    return isinstance(value, Plan)


def _no_plan(operator: str, value: Any) -> Any:
    """What an operator gives for an operand that is no plan. Errors: ``PlanError`` for a plain function."""
    if callable(value):
        name = getattr(value, "__name__", None) or repr(value)
        raise PlanError(f"{operator} wants two plans, and {name} is a plain function: wrap it in task or pure")
    return NotImplemented


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise PlanError(f"a name is text that is not blank, not {name!r}")


# --- leaves ----------------------------------------------------------------------------------------------------------


@final
@frozen(eq=False, repr=False)
class Call:
    """How one action is called, found out once: what interpreters read of a task."""

    fn: Callable[..., Any]
    """From the whole value to the whole value: reads, action and write fused into one."""
    mode: str
    """``inline``, ``await``, ``thread`` or ``abandon``: where a call runs under ``arun``."""
    wants_context: bool = False
    probe: bool = False
    """Whether a call of a plain function may give an awaitable that is the real result."""


@final
@frozen(eq=False, repr=False)
class Task(Plan[A_contra, B_co], Generic[A_contra, B_co, F_co]):
    """One action as a plan: what ``task`` returns."""

    _action: F_co
    _name: str
    reads: tuple[Any, ...] | None
    """The lenses it reads; None is the whole value."""
    writes: tuple[Any, ...] | None
    """The lenses it writes; with ``reads`` given, None is that nothing was said, and () that a result is dropped."""
    seconds: float | None
    """Units: seconds until the task times out by itself."""
    resources: tuple[Resource, ...]
    idempotent: bool | None
    estimate: Estimate | None
    blocking: str | None
    call: Call

    @property
    def action(self) -> F_co:
        """The original callable with its own signature, for direct calls in unit tests."""
        return self._action

    @property
    def name(self) -> str:
        """The task's own name."""
        return self._name

    def named(self, name: str) -> Plan[A_contra, B_co]:
        """The same task under another name."""
        _check_name(name)
        from attrs import evolve

        return evolve(self, name=name)

    def parts(self) -> Parts:
        return (
            self._action,
            self._name,
            self.reads,
            self.writes,
            self.seconds,
            self.resources,
            self.idempotent,
            self.estimate,
            self.blocking,
        ), ()

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        from lambdacat.leaf import compiled

        make: Any = cls
        made: Plan[Any, Any] = make(*data, compiled(data[0], data[2], data[3], data[8]))
        return made


@final
@frozen(eq=False, repr=False)
class Pure(Plan[A_contra, B_co]):
    """A total, instant function as a plan."""

    f: Callable[[Any], Any]
    fn: Callable[[Any], Any]
    """``f`` as a plain callable."""

    @property
    def name(self) -> str:
        """The function's own name."""
        return getattr(self.f, "__name__", None) or repr(self.f)

    def parts(self) -> Parts:
        return (self.f,), ()

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        return cls(data[0], getattr(data[0], "getter", data[0]))


@final
@frozen(eq=False, repr=False)
class _Identity(Plan[Any, Any]):
    @overload
    def __rshift__(self, other: _Identity) -> _Identity: ...
    @overload
    def __rshift__(self, other: Plan[A, B]) -> Plan[A, B]: ...
    def __rshift__(self, other: Any) -> Any:
        return other if isinstance(other, Plan) else _no_plan(">>", other)

    @property
    def name(self) -> str:
        return "identity"

    def parts(self) -> Parts:
        return (), ()

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        return identity

    def __reduce__(self) -> str:
        return "identity"


identity: Final = _Identity()
"""Do nothing. Law: the unit of ``>>`` on both sides, by ``==``."""


@final
@frozen(eq=False, repr=False)
class _Fail(Plan[object, Never]):
    fault: Fault

    def __or__(self, other: Plan[A, B]) -> Plan[A, B]:
        if _is_plan(other):
            return other
        refused: Plan[A, B] = _no_plan("|", other)
        return refused

    @property
    def name(self) -> str:
        return "fail"

    def parts(self) -> Parts:
        return (self.fault,), ()


@final
@frozen(eq=False, repr=False)
class Bind(Plan[A_contra, B_co]):
    """The plan that a function computes from the value."""

    f: Callable[[Any], Plan[Any, Any]]

    @property
    def name(self) -> str:
        """The word and the function's own name."""
        return f"bind {getattr(self.f, '__name__', None) or repr(self.f)}"

    def parts(self) -> Parts:
        return (self.f,), ()


# --- composition -----------------------------------------------------------------------------------------------------


@final
@frozen(eq=False, repr=False)
class Sequence(Plan[A_contra, B_co]):
    """One plan after the other. Made of what it was given; ``steps`` is the flat row."""

    given: tuple[Plan[Any, Any], ...]

    @property
    def steps(self) -> tuple[Plan[Any, Any], ...]:
        """The flat row of steps: no sequence, no identity."""
        steps: tuple[Plan[Any, Any], ...] = self.memo("steps", _flat_steps)
        return steps

    def parts(self) -> Parts:
        return (), self.steps

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        from lambdacat.build import sequence

        return sequence(*children)


def _spliced(node: Any, inner: Callable[[Plan[Any, Any]], tuple[Plan[Any, Any], ...] | None], key: str) -> Any:
    """What ``node`` was given, with everything that ``inner`` opens spliced in; flattened ropes are reused."""
    flat: list[Plan[Any, Any]] = []
    rest = list(reversed(node.given))
    while rest:
        one = rest.pop()
        opened = inner(one)
        if opened is None:
            flat.append(one)
        else:
            try:
                flat.extend(one._memo[key])
            except (AttributeError, KeyError):
                rest.extend(reversed(opened))
    return tuple(flat)


def _flat_steps(node: Sequence[Any, Any]) -> tuple[Plan[Any, Any], ...]:
    def inner(plan: Plan[Any, Any]) -> tuple[Plan[Any, Any], ...] | None:
        if plan is identity:
            return ()
        return plan.given if type(plan) is Sequence else None

    steps: tuple[Plan[Any, Any], ...] = _spliced(node, inner, "steps")
    return steps


@final
@frozen(eq=False, repr=False)
class Parallel(Plan[A_contra, B_co]):
    """The same input to every branch, results joined."""

    given: tuple[Plan[Any, Any], ...]
    policy: All | Quorum | NBest[Any] | Settled = ALL
    join: Callable[[Any, Any], Any] | None = None
    """None is the default: ``merge``, and of a single result that result."""
    limit: int | None = None
    seconds: float | None = None
    """Units: seconds until the policy judges."""

    @property
    def plain(self) -> bool:
        """Whether it is an ``&``: every option left alone."""
        return type(self.policy) is All and self.join is None and self.limit is None and self.seconds is None

    @property
    def branches(self) -> tuple[Plan[Any, Any], ...]:
        """The flat row of branches: ``a & b & c`` is one node with three."""
        branches: tuple[Plan[Any, Any], ...] = self.memo("branches", _flat_branches)
        return branches

    @property
    def name(self) -> str:
        """The word for its policy."""
        match self.policy:
            case All():
                return "gather" if self.join is collect else "parallel"
            case Settled():
                return "settled"
            case NBest(n=n):
                return f"best {n}"
            case Quorum(k=1):
                return "first completed"
            case Quorum(k=k):
                return f"quorum of {k}"
            case unknown:
                assert_never(unknown)

    def parts(self) -> Parts:
        return (self.policy, self.join, self.limit, self.seconds), self.branches

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        from lambdacat.build import parallel_of

        return parallel_of(children, *data)


def _flat_branches(node: Parallel[Any, Any]) -> tuple[Plan[Any, Any], ...]:
    if not node.plain:
        return node.given
    branches: tuple[Plan[Any, Any], ...] = _spliced(
        node, lambda plan: plan.given if type(plan) is Parallel and plan.plain else None, "branches"
    )
    return branches


@final
@frozen(eq=False, repr=False)
class Choose(Plan[A_contra, B_co]):
    """One of several plans, picked by a selector; ``plans`` has the default last when there is one."""

    selector: Callable[[Any], Any]
    keys: tuple[Any, ...]
    has_default: bool
    binary: bool
    """Whether the selector is a condition, as ``when`` has it."""
    plans: tuple[Plan[Any, Any], ...]

    @property
    def known(self) -> Mapping[Any, Plan[Any, Any]]:
        """The branches by key."""
        known: Mapping[Any, Plan[Any, Any]] = self.memo(
            "known", lambda node: dict(zip(node.keys, node.plans, strict=False))
        )
        return known

    @property
    def name(self) -> str:
        """The word it was built with."""
        return "when" if self.binary else "choose"

    def parts(self) -> Parts:
        # With their classes: 1 and True are equal keys that draw differently.
        keys = tuple((type(key), key) for key in self.keys)
        return (self.selector, keys, self.has_default, self.binary), self.plans

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        selector, keys, has_default, binary = data
        return cls(selector, tuple(key for _, key in keys), has_default, binary, children)


@final
@frozen(eq=False, repr=False)
class Focus(Plan[A_contra, B_co]):
    """A plan inside the part or parts that ``reads`` reaches, its results put back there or into ``writes``."""

    reads: Any
    writes: Any
    limit: int | None
    plan: Plan[Any, Any]

    @property
    def name(self) -> str:
        """The word and the optics."""
        return f"focus {self.reads!r}" if self.writes is None else f"between {self.reads!r} and {self.writes!r}"

    def parts(self) -> Parts:
        return (self.reads, self.writes, self.limit), (self.plan,)

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        from lambdacat.build import focused

        return focused(*data, *children)


@final
@frozen(eq=False, repr=False)
class LoopWhile(Plan[A_contra, B_co]):
    """A plan repeated while a condition holds, the condition first."""

    condition: Callable[[Any], Any]
    at_most: int | None
    plan: Plan[Any, Any]
    then: Plan[Any, Any] | None

    @property
    def name(self) -> str:
        """The word and the bound."""
        return "loop_while" if self.at_most is None else f"loop_while, at most {self.at_most}"

    def parts(self) -> Parts:
        return (self.condition, self.at_most), (self.plan,) if self.then is None else (self.plan, self.then)

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        condition, at_most = data
        return cls(condition, at_most, children[0], children[1] if len(children) > 1 else None)


@final
@frozen(eq=False, repr=False)
class Recover(Plan[A_contra, B_co]):
    """A plan, and what to do instead when it faults: ``other``, or the plan that ``handler`` gives for the fault."""

    handler: Callable[[Fault], Plan[Any, Any]] | None
    plan: Plan[Any, Any]
    other: Plan[Any, Any] | None = None

    @property
    def name(self) -> str:
        """``or``, or the handler's own name."""
        if self.handler is None:
            return "or"
        return f"recover {getattr(self.handler, '__name__', None) or repr(self.handler)}"

    def parts(self) -> Parts:
        return (self.handler,), (self.plan,) if self.other is None else (self.plan, self.other)


@final
@frozen(eq=False, repr=False)
class Attempt(Plan[A_contra, B_co]):
    """A plan with its outcome as the result."""

    plan: Plan[Any, Any]

    def parts(self) -> Parts:
        return (), (self.plan,)


@final
@frozen(eq=False, repr=False)
class Within(Plan[A_contra, B_co]):
    """The same plan under a bound."""

    bound: Any
    plan: Plan[Any, Any]

    @property
    def name(self) -> str:
        """The bound's own words."""
        return str(self.bound)

    def parts(self) -> Parts:
        return (self.bound,), (self.plan,)


# --- words for other nodes -------------------------------------------------------------------------------------------


class Composite(Plan[A_contra, B_co]):
    """A node of your own: it means what ``expand`` gives, and keeps its name in faults, traces and drawings.

    Two are equal when their names and expansions are. Law: running it is running its expansion.
    """

    depth: int
    """How many expansions inside one another made it; 0 for one that was written down."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        from lambdacat.expanding import depth_now

        made = super().__new__(cls)
        _set(made, "depth", depth_now())
        return made

    def expand(self) -> Plan[A_contra, B_co]:
        """What the node stands for, in nodes that there are. Called once for each value.

        Errors: ``PlanError`` when that has no end, because it stands for itself again.
        """
        raise TypeError(f"{type(self).__name__} is a node without a meaning: define expand")

    @property
    def expansion(self) -> Plan[A_contra, B_co]:
        """``expand()``, computed once."""
        try:
            return self._memo["expansion"]  # type: ignore[no-any-return]
        except (AttributeError, KeyError):
            from lambdacat.expanding import expanded

            plan: Plan[A_contra, B_co] = self.memo("expansion", expanded)
            return plan

    def parts(self) -> Parts:
        return (self.name,), (self.expansion,)

    @classmethod
    def from_parts(cls, data: tuple[Any, ...], children: tuple[Plan[Any, Any], ...]) -> Plan[Any, Any]:
        return Named(data[0], children[0])


@final
@frozen(eq=False, repr=False)
class Named(Composite[A_contra, B_co]):
    """A plan under a name of its own."""

    _name: str
    plan: Plan[Any, Any] = field()

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    def expand(self) -> Plan[A_contra, B_co]:
        return self.plan

    @property
    def expansion(self) -> Plan[A_contra, B_co]:
        """The plan itself."""
        return self.plan
