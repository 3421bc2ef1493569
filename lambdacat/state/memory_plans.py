"""Remembering, recalling, forgetting and compacting as plans: steps on the memory that a lens reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, final, overload

from attrs import frozen

from lambdacat.build import focus, gather, pure, when
from lambdacat.codec import Codecs
from lambdacat.context import Context
from lambdacat.leaf import task
from lambdacat.merging import own_copy
from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Plan, identity
from lambdacat.state.acts import inner, step
from lambdacat.state.agent import MEMORY, AgentState
from lambdacat.state.compaction import SUMMARY, Rows, compacted, keep_of, leaving, replaced
from lambdacat.state.every import Every, done, ticked
from lambdacat.state.memory import Memory, forgotten, kept_up, key_of, recalled, remembered, used
from lambdacat.state.origin import Origin, origin_of

A = TypeVar("A")
S = TypeVar("S")

_REQUIRED: Any = object()


def _key(key: Any) -> Any:
    return key if isinstance(key, Lens) else key_of(key)


# --- what the steps do: the plain functions, with everything by position and the origin last -------------------------


def _remember(memory: Memory, key: str, value: Any, codecs: Codecs | None, origin: Origin) -> Memory:
    return remembered(memory, key, value, origin=origin, codecs=codecs)


def _recall(memory: Memory, key: str, origin: Origin) -> Any:
    return recalled(memory, key)


def _recall_or(memory: Memory, key: str, default: Any, origin: Origin) -> Any:
    return recalled(memory, key, default)


def _use(memory: Memory, key: str, origin: Origin) -> tuple[Memory, Any]:
    return used(memory, key, origin=origin), recalled(memory, key)


def _forget(memory: Memory, key: str, origin: Origin) -> Memory:
    return forgotten(memory, key)


# --- the plans -------------------------------------------------------------------------------------------------------


@overload
def remember(
    key: str | Lens[AgentState, str], value: object, *, codecs: Codecs | None = None
) -> Plan[AgentState, AgentState]: ...
@overload
def remember(
    key: str | Lens[S, str], value: object, *, memory: Lens[S, Memory], codecs: Codecs | None = None
) -> Plan[S, S]: ...
def remember(key: Any, value: Any, *, memory: Any = MEMORY, codecs: Codecs | None = None) -> Plan[Any, Any]:
    """Remember a value under a key; each is a constant, or a lens that says where in the state it stands.

    The entry has the time of the run and the place of this step. ``codecs`` measure the value where the memory has a
    bound on bytes. Errors: ``ActionFailed`` for a value that is larger than that bound, or has no codec.
    """
    kept = value if isinstance(value, Lens) else own_copy(value)
    return step(f"remember {key!r}", _remember, memory, (_key(key), kept, codecs))


@overload
def recall(
    key: str | Lens[AgentState, str], into: Lens[AgentState, A], *, default: A = ...
) -> Plan[AgentState, AgentState]: ...
@overload
def recall(key: str | Lens[S, str], into: Lens[S, A], *, memory: Lens[S, Memory], default: A = ...) -> Plan[S, S]: ...
def recall(key: Any, into: Any, *, memory: Any = MEMORY, default: Any = _REQUIRED) -> Plan[Any, Any]:
    """Put what is remembered under a key into the place of ``into``. It only reads: branches may recall side by side.

    Errors: ``ActionFailed`` with ``NotRemembered`` when there is nothing and no ``default``.
    """
    wants = (_key(key),) if default is _REQUIRED else (_key(key), default)
    change = _recall if default is _REQUIRED else _recall_or
    return step(f"recall {key!r}", change, memory, wants, into)


@overload
def use(key: str | Lens[AgentState, str], into: Lens[AgentState, A]) -> Plan[AgentState, AgentState]: ...
@overload
def use(key: str | Lens[S, str], into: Lens[S, A], *, memory: Lens[S, Memory]) -> Plan[S, S]: ...
def use(key: Any, into: Any, *, memory: Any = MEMORY) -> Plan[Any, Any]:
    """``recall`` that counts: the memory knows how often and when a key was used, which decides what leaves.

    Law: uses in branches add up. Errors: ``ActionFailed`` with ``NotRemembered``.
    """
    return step(f"use {key!r}", _use, memory, (_key(key),), (memory, into))


@overload
def forget(key: str | Lens[AgentState, str]) -> Plan[AgentState, AgentState]: ...
@overload
def forget(key: str | Lens[S, str], *, memory: Lens[S, Memory]) -> Plan[S, S]: ...
def forget(key: Any, *, memory: Any = MEMORY) -> Plan[Any, Any]:
    """Forget what is remembered under a key, if anything is. Law: idempotent."""
    return step(f"forget {key!r}", _forget, memory, (_key(key),))


# --- compacting ------------------------------------------------------------------------------------------------------

Summary: TypeAlias = Callable[[Rows], Any] | Callable[[Rows, Context], Any] | Plan[Rows, Any]
"""What makes a summary of the entries that go: a plan, or a function as ``task`` takes it."""


@overload
def compact(
    summarise: Summary | None = None,
    *,
    keep: int,
    into: str = ...,
    every: Every | None = None,
    codecs: Codecs | None = None,
) -> Plan[AgentState, AgentState]: ...
@overload
def compact(
    summarise: Summary | None = None,
    *,
    keep: int,
    into: str = ...,
    every: Every | None = None,
    codecs: Codecs | None = None,
    memory: Lens[S, Memory],
) -> Plan[S, S]: ...
def compact(
    summarise: Any = None,
    *,
    keep: int,
    into: str = SUMMARY,
    every: Every | None = None,
    codecs: Codecs | None = None,
    memory: Any = MEMORY,
) -> Plan[Any, Any]:
    """Take out all but ``keep`` entries, those that would leave first, and remember a summary of them under ``into``.

    ``summarise`` is given the entries with their keys, an earlier summary first, and is not run when there is nothing
    to take out; without it they just go. ``every`` says how often, counted in the memory itself: put the plan where it
    is run once a run, under whatever saves the state.
    """
    if summarise is not None and not callable(summarise) and not isinstance(summarise, Plan):
        raise PlanError(f"compact wants a plan or a function that makes a summary, not {summarise!r}")
    if not isinstance(memory, Lens):
        raise PlanError(f"compact works on a part of the state, given by a lens, not on {memory!r}")
    body = _compaction(summarise, keep_of(keep), key_of(into), codecs)
    if every is not None:
        body = inner("count runs", _Tick(every)) >> when(_is_due, body >> inner("done", _done))
    made: Plan[Any, Any] = focus(memory, body).named("compact")
    return made


def _compaction(summarise: Any, keep: int, into: str, codecs: Codecs | None) -> Plan[Any, Any]:
    if summarise is None:
        return inner("drop", _Drop(keep, into))
    summary: Plan[Any, Any] = summarise if isinstance(summarise, Plan) else task(summarise)
    replace = inner("replace", _Replace(keep, into, codecs))
    return when(_Full(keep, into), gather(identity, pure(_Leaving(keep, into)) >> summary) >> replace)


@final
@frozen
class _Leaving:
    keep: int
    into: str

    def __call__(self, memory: Memory) -> Rows:
        return leaving(memory, keep=self.keep, into=self.into)


@final
@frozen
class _Full:
    keep: int
    into: str

    def __call__(self, memory: Memory) -> bool:
        return len(memory) - (self.into in memory) > self.keep


@final
@frozen
class _Drop:
    keep: int
    into: str

    def __call__(self, memory: Memory) -> Memory:
        return compacted(memory, keep=self.keep, into=self.into)


@final
@frozen
class _Replace:
    keep: int
    into: str
    codecs: Codecs | None

    def __call__(self, made: tuple[Memory, Any], ctx: Context) -> Memory:
        memory, summary = made
        rows = leaving(memory, keep=self.keep, into=self.into)
        return replaced(memory, rows, summary, into=self.into, origin=origin_of(ctx), codecs=self.codecs)


@final
@frozen
class _Tick:
    every: Every

    def __call__(self, memory: Memory, ctx: Context) -> Memory:
        return kept_up(memory, ticked(memory.upkeep, self.every, ctx.now()))


def _is_due(memory: Memory) -> bool:
    return memory.upkeep.due


def _done(memory: Memory, ctx: Context) -> Memory:
    return kept_up(memory, done(ctx.now()))
