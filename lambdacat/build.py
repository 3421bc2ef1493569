"""Constructors: every way to make a plan from plans, kept in normal form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from attrs import frozen

from lambdacat.bound import seconds_of
from lambdacat.callables import check_plain
from lambdacat.condition import Condition
from lambdacat.leaf import pure_leaf
from lambdacat.merging import collect, merge
from lambdacat.optics import Iso, Lens, Traversal, compose
from lambdacat.place import PlanError
from lambdacat.plan import (
    Bind,
    Choose,
    Focus,
    LoopWhile,
    Parallel,
    Plan,
    Recover,
    Sequence,
    _Fail,
    _Identity,
    identity,
)
from lambdacat.policy import ALL, FIRST_COMPLETED, All, NBest, Policy, Quorum, Settled
from lambdacat.steps import _Each

if TYPE_CHECKING:
    from lambdacat.fault import Fault, Outcome

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
G = TypeVar("G")
H = TypeVar("H")
K = TypeVar("K")
S = TypeVar("S")


def _plan(what: str, value: object) -> Plan[Any, Any]:
    if isinstance(value, Plan):
        return value
    hint = "; wrap a plain function in task or pure" if callable(value) else ""
    if isinstance(value, (list, tuple)):
        hint = "; give the plans as arguments, with * in front of a list"
    raise PlanError(f"{what} wants plans, not {value!r}{hint}")


def _function(what: str, value: object) -> Any:
    if not callable(value) or isinstance(value, Plan):
        raise PlanError(f"{what} wants a function, not {value!r}")
    check_plain(what, value)
    return value


def _limit(value: int | None, optic: Any = None) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise PlanError(f"limit is a whole number of at least 1, not {value!r}")
    if value is not None and isinstance(optic, (Lens, Iso)):
        raise PlanError(f"limit caps how many parts run at once, and {optic!r} is one part: leave limit= out")
    return value


def pure(f: Callable[[A], B]) -> Plan[A, B]:
    """A total, instant function as a plan; never suspends, never journalled. Law: ``pure(f) >> pure(g)`` fuses."""
    return pure_leaf(f)


def fail(fault: Fault) -> _Fail:
    """Stop here with ``fault``. Law: left zero of ``>>``, unit of ``|``."""
    from lambdacat.fault import _Faulted

    if not isinstance(fault, _Faulted):
        raise PlanError(f"fail wants a fault, not {fault!r}; for a reason in words use Stopped(reason=...)")
    return _Fail(fault)


def bind(f: Callable[[A], Plan[A, B]]) -> Plan[A, B]:
    """The plan that ``f`` computes from the input, run on that input; opaque to footprint, forecast and rewriting.

    Law: the monad laws. Prefer ``choose`` when the alternatives are known before the run.
    """
    return Bind(_function("bind", f))


@overload
def sequence() -> _Identity: ...
@overload
def sequence(first: Plan[A, B], /) -> Plan[A, B]: ...
@overload
def sequence(first: Plan[A, B], second: Plan[B, C], /) -> Plan[A, C]: ...
@overload
def sequence(first: Plan[A, B], second: Plan[B, C], third: Plan[C, D], /) -> Plan[A, D]: ...
@overload
def sequence(first: Plan[A, B], second: Plan[B, C], third: Plan[C, D], fourth: Plan[D, E], /) -> Plan[A, E]: ...
@overload
def sequence(*plans: Plan[S, S]) -> Plan[S, S]: ...
def sequence(*plans: Any) -> Any:
    """One after the other. Law: flat by ``==``; ``sequence()`` is ``identity``."""
    row = tuple(plan for plan in plans if _plan("sequence", plan) is not identity)
    if not row:
        return identity
    return row[0] if len(row) == 1 else Sequence(row)


@overload
def parallel(
    *plans: Plan[S, S], policy: Policy[S] = ..., limit: int | None = None, timeout: float | None = None
) -> Plan[S, S]: ...
@overload
def parallel(
    *plans: Plan[A, B], policy: Quorum, limit: int | None = None, timeout: float | None = None
) -> Plan[A, B]: ...
@overload
def parallel(
    *plans: Plan[A, B],
    policy: Settled,
    join: Callable[[A, tuple[Outcome[B], ...]], C],
    limit: int | None = None,
    timeout: float | None = None,
) -> Plan[A, C]: ...
@overload
def parallel(
    *plans: Plan[A, B],
    policy: Policy[B] = ...,
    join: Callable[[A, tuple[B, ...]], C],
    limit: int | None = None,
    timeout: float | None = None,
) -> Plan[A, C]: ...
def parallel(
    *plans: Plan[Any, Any],
    policy: Any = ALL,
    join: Callable[..., Any] | None = None,
    limit: int | None = None,
    timeout: float | None = None,
) -> Plan[Any, Any]:
    """The same input to every branch; ``policy`` says who counts, ``join(input, results)`` makes one value of them.

    The default join is ``merge``; of a single result it is that result, so a race needs none. ``limit`` caps how many
    run at once; at ``timeout`` seconds the policy judges. Law: one branch is that branch under the default join.
    """
    return parallel_of(plans, policy, join, limit, timeout)


def parallel_of(plans: tuple[Any, ...], policy: Any, join: Any, limit: Any, timeout: Any) -> Plan[Any, Any]:
    """``parallel``, with everything by position."""
    for plan in plans:
        _plan("parallel", plan)
    if not isinstance(policy, (All, Quorum, NBest, Settled)):
        raise PlanError(f"policy is a value such as ALL, FIRST_COMPLETED or NBest(2, by=...), not {policy!r}")
    # Written out or left alone, the default is one and the same plan.
    join = None if join is None or join is merge else _function("join=", join)
    if isinstance(policy, Settled) and join is None:
        raise PlanError("SETTLED gives outcomes, which nothing can merge: give join=, for example collect")
    seconds = None if timeout is None else seconds_of(timeout)
    if not plans:
        if not isinstance(policy, (All, Settled)):
            raise PlanError("a race of no branches can never have a winner: give parallel at least one plan")
        if join is None:
            return identity
        return pure_leaf(_OfNothing(join))
    node: Plan[Any, Any] = Parallel(plans, policy, join, _limit(limit), seconds)
    if isinstance(policy, All) and join is None and len(plans) == 1:
        only: Plan[Any, Any] = plans[0]
        return only if seconds is None else only.timeout(seconds)
    single = policy == FIRST_COMPLETED or (isinstance(policy, NBest) and policy.n == 1)
    if join is None and not single:
        from lambdacat.footprints import check_conflicts

        check_conflicts(node)  # type: ignore[arg-type]
    return node


@frozen
class _OfNothing:
    """The join of no branches, as a function of the input."""

    join: Callable[[Any, Any], Any]

    @property
    def __name__(self) -> str:
        return "gather" if self.join is collect else "parallel"

    def __call__(self, value: Any) -> Any:
        return self.join(value, ())


@overload
def gather(a: Plan[A, B], b: Plan[A, C], /, *, limit: int | None = None) -> Plan[A, tuple[B, C]]: ...
@overload
def gather(a: Plan[A, B], b: Plan[A, C], c: Plan[A, D], /, *, limit: int | None = None) -> Plan[A, tuple[B, C, D]]: ...
@overload
def gather(
    a: Plan[A, B], b: Plan[A, C], c: Plan[A, D], d: Plan[A, E], /, *, limit: int | None = None
) -> Plan[A, tuple[B, C, D, E]]: ...
@overload
def gather(
    a: Plan[A, B], b: Plan[A, C], c: Plan[A, D], d: Plan[A, E], e: Plan[A, G], /, *, limit: int | None = None
) -> Plan[A, tuple[B, C, D, E, G]]: ...
@overload
def gather(
    a: Plan[A, B],
    b: Plan[A, C],
    c: Plan[A, D],
    d: Plan[A, E],
    e: Plan[A, G],
    f: Plan[A, H],
    /,
    *,
    limit: int | None = None,
) -> Plan[A, tuple[B, C, D, E, G, H]]: ...
@overload
def gather(*plans: Plan[A, B], limit: int | None = None) -> Plan[A, tuple[B, ...]]: ...
def gather(*plans: Any, limit: int | None = None) -> Any:
    """Every branch on the same input, results side by side in written order. Law: each projection is its branch."""
    return parallel_of(tuple(_plan("gather", plan) for plan in plans), ALL, collect, limit, None)


@overload
def choose(selector: Callable[[S], K], branches: Mapping[K, Plan[S, S]], *, default: _Identity) -> Plan[S, S]: ...
@overload
def choose(
    selector: Callable[[A], K], branches: Mapping[K, Plan[A, B]], *, default: Plan[A, B] | None = None
) -> Plan[A, B]: ...
def choose(selector: Any, branches: Any, *, default: Any = None) -> Any:
    """Run only the branch that ``selector`` names; a lens is a selector too. Errors: ``NoBranch`` without a default.

    Law: a constant selector is its branch; ``choose`` distributes over what follows.
    """
    _function("choose", selector)
    if not isinstance(branches, Mapping):
        raise PlanError(f"choose wants a mapping of keys to plans, not {branches!r}")
    if not branches and default is None:
        raise PlanError("choose has no branch and no default: nothing could ever run")
    plans = tuple(_plan("choose", plan) for plan in branches.values())
    if default is not None:
        plans = (*plans, _plan("choose", default))
    return Choose(selector, tuple(branches), default is not None, False, plans)


@overload
def when(condition: Callable[[S], bool], plan: Plan[S, S], otherwise: _Identity = ...) -> Plan[S, S]: ...
@overload
def when(condition: Callable[[A], bool], plan: Plan[A, B], otherwise: Plan[A, C]) -> Plan[A, B | C]: ...
def when(condition: Any, plan: Any, otherwise: Any = identity) -> Any:
    """``plan`` if the condition holds, else ``otherwise`` (by default: leave the value alone)."""
    _function("when", condition)
    return Choose(condition, (True, False), False, True, (_plan("when", plan), _plan("when", otherwise)))


@overload
def focus(optic: _Each, plan: Plan[A, B], *, limit: int | None = None) -> Plan[tuple[A, ...], tuple[B, ...]]: ...
@overload
def focus(optic: Traversal[S, A], plan: Plan[A, A], *, limit: int | None = None) -> Plan[S, S]: ...
def focus(optic: Any, plan: Any, *, limit: int | None = None) -> Any:
    """Run ``plan`` inside every part that ``optic`` reaches, concurrently up to ``limit``; a fault changes nothing.

    Law: keeps ``identity`` and ``>>``; ``focus(l >> m, p) == focus(l, focus(m, p))``.
    """
    if not isinstance(optic, (Traversal, _Each)):
        raise PlanError(f"focus wants an optic first, such as a lens, not {optic!r}")
    return focused(optic, None, _limit(limit, optic), _plan("focus", plan))


def put_between(plan: Plan[Any, Any], reads: Any, writes: Any, limit: int | None) -> Plan[Any, Any]:
    """``plan.between(reads, writes, limit=limit)``."""
    if not isinstance(reads, Traversal):
        raise PlanError(f"between reads through an optic, such as a lens, not {reads!r}")
    if not isinstance(writes, (Lens, Iso)):
        raise PlanError(f"between writes through one lens, not {writes!r}")
    if reads.root is not None and reads.root != writes.root:
        raise PlanError(f"between stays in one state, not {reads!r} and {writes!r}")
    return focused(reads, writes, _limit(limit, reads), plan)


def focused(reads: Any, writes: Any, limit: int | None, plan: Plan[Any, Any]) -> Plan[Any, Any]:
    """A focus in normal form: one for nested ones, none around ``identity``."""
    if plan is identity and writes is None:
        return identity
    one = isinstance(reads, (Lens, Iso))
    if type(plan) is Focus and isinstance(reads, Traversal) and writes is None:
        inner_one = isinstance(plan.reads, (Lens, Iso))
        if one:
            below = None if plan.writes is None else compose(reads, plan.writes)
            # Through ``each`` the plan inside was no focus on the whole; now it may be one.
            return focused(compose(reads, plan.reads), below, plan.limit, plan.plan)
        if plan.writes is None and (inner_one or (limit is None and plan.limit is None)):
            return focused(compose(reads, plan.reads), None, limit, plan.plan)
    return Focus(reads, writes, None if one else limit, plan)


def loop_while(
    condition: Callable[[S], bool],
    plan: Plan[S, S],
    *,
    at_most: int | None = None,
    then: _Identity | Plan[S, S] | None = None,
) -> Plan[S, S]:
    """Run ``plan`` while ``condition`` holds, tested first. Law: equals ``when(condition, plan >> loop)``.

    Once ``at_most`` turns are done and the condition still holds, it goes on with ``then``; ``then=identity`` takes the
    value as it is. Errors: without ``then``, ``LoopLimit`` with the last value.
    """
    _function("loop_while", condition)
    if at_most is not None and (type(at_most) is not int or at_most < 0):
        raise PlanError(f"at_most is a whole number of turns, not {at_most!r}")
    if at_most is None and then is not None:
        raise PlanError("then= says how to go on after at_most= turns, and there is no at_most=")
    return LoopWhile(condition, at_most, _plan("loop_while", plan), None if then is None else _plan("then=", then))


def recover(plan: Plan[A, B], handler: Callable[[Fault], Plan[A, C]]) -> Plan[A, B | C]:
    """``plan``; if it faults, the plan that ``handler`` gives for the fault, on the same input.

    Law: success is left alone. Without looking at the fault, write ``p | q``, which every analysis can see through.
    """
    return Recover(_function("recover", handler), _plan("recover", plan))


def condition_text(test: Any) -> str:
    """A selector, condition or score in the words of drawings."""
    if isinstance(test, (Condition, Lens)):
        return repr(test)
    return getattr(test, "__name__", None) or repr(test)
