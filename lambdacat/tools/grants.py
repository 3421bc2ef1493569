"""Strict mode: what the tool that runs has declared, and what asks it for permission.

What reaches outside (a client of HTTP or of a model, a store, a table) calls ``require``, ``reading`` or ``writing``
before it does. Outside tools, and in tools of a toolbox that is not strict, everything is permitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NoReturn, final

from attrs import field, frozen

from lambdacat.context import Context
from lambdacat.fault import Denied
from lambdacat.tools.capability import Capability, capability

GUARD: Final = "strict mode"
"""Who refuses, in faults."""


@final
@frozen
class Grant:
    """What one tool declared."""

    tool: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    capabilities: tuple[Capability, ...] = ()

    def has(self, asked: Capability) -> bool:
        """Whether a capability was declared that covers what is asked."""
        return any(one.covers(asked) for one in self.capabilities)

    def hands_out(self, name: str) -> bool:
        """Whether what a context provides under a name is for this tool: a resource, or a kind of capability."""
        return name in self.reads or name in self.writes or any(one.kind == name for one in self.capabilities)


@final
@frozen(eq=False)
class _Granted:
    """One call of a tool: its grant, the grants of the calls that it stands in, and what was refused to it."""

    grant: Grant
    outer: _Granted | None
    refused: list[Denied] = field(factory=list)

    def deny(self, what: str, declare: str) -> NoReturn:
        """Refuse, and remember it: a tool that swallows the exception has tried all the same. Errors: ``Denied``."""
        denied = Denied(GUARD, f"{self.grant.tool} does not declare {what} ({declare})")
        self.refused.append(denied)
        raise denied


_now: ContextVar[_Granted | None] = ContextVar("what the tool that runs has declared", default=None)


def _every() -> Iterator[_Granted]:
    """The calls of strict tools that this code stands in, the innermost first."""
    call = _now.get()
    while call is not None:
        yield call
        call = call.outer


def allowed(asked: str | Capability) -> bool:
    """Whether ``require`` would let it pass."""
    wanted = capability(asked)
    return all(call.grant.has(wanted) for call in _every())


def require(asked: str | Capability) -> None:
    """Go on only if every strict tool that this stands in has declared the capability.

    Errors: ``Denied``, which becomes the fault ``Refused`` and names tool and capability.
    """
    wanted = capability(asked)
    for call in _every():
        if not call.grant.has(wanted):
            call.deny(f"the capability {wanted}", f"capabilities={str(wanted)!r}")


def reading(resource: str) -> None:
    """Go on only if the resource was declared as read or written. Errors: ``Denied``."""
    for call in _every():
        if resource not in call.grant.reads and resource not in call.grant.writes:
            call.deny(f"the resource {resource!r}", f"reads={resource!r}")


def writing(resource: str) -> None:
    """Go on only if the resource was declared as written. Errors: ``Denied``."""
    for call in _every():
        if resource not in call.grant.writes:
            change = "changes to " if resource in call.grant.reads else ""
            call.deny(f"{change}the resource {resource!r}", f"writes={resource!r}")


@contextmanager
def confined(grant: Grant) -> Iterator[_Granted]:
    """The block has what is granted and no more, also of what stands around it.

    Errors: ``Denied`` for whatever was refused inside, even if the block went on, or raised something else.
    """
    call = _Granted(grant, _now.get())
    token = _now.set(call)
    try:
        yield call
    except Exception as error:
        if call.refused and error is not call.refused[0]:
            raise call.refused[0] from error
        raise
    finally:
        _now.reset(token)
    if call.refused:
        raise call.refused[0]


# --- what a context hands out ----------------------------------------------------------------------------------------


@final
class _Only(Mapping[str, Any]):
    """The provided things that were declared. Bound to the call, so that threads of the tool's own change nothing."""

    __slots__ = ("_call", "_things")

    def __init__(self, things: Mapping[str, Any], call: _Granted) -> None:
        self._things = things
        self._call = call

    def __getitem__(self, name: str) -> Any:
        if not self._call.grant.hands_out(name):
            self._call.deny(f"the resource {name!r}", f"reads={name!r} or writes={name!r}")
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._things if self._call.grant.hands_out(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def confined_context(context: Context, call: _Granted) -> Context:
    """The context of a call, with only the things that the tool declared."""
    return context._with(_things=_Only(context._things, call))


@final
class Held:
    """A thing that stands for a resource: looking up items asks ``reading``, and so do names that only read.

    All else asks ``writing``. Provide it in a context in the place of the thing; who has the thing by another way is
    not kept out.
    """

    __slots__ = ("_reads", "_resource", "_thing")

    def __init__(self, resource: str, thing: Any, *, reads: tuple[str, ...] = ()) -> None:
        """``reads`` are the names of attributes and methods that change nothing."""
        self._resource = resource
        self._thing = thing
        self._reads = frozenset(reads)

    def __repr__(self) -> str:
        return f"Held({self._resource!r})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        (reading if name in self._reads else writing)(self._resource)
        return getattr(self._thing, name)

    def __getitem__(self, key: Any) -> Any:
        reading(self._resource)
        return self._thing[key]

    def __contains__(self, key: object) -> bool:
        reading(self._resource)
        return key in self._thing

    def __iter__(self) -> Iterator[Any]:
        reading(self._resource)
        return iter(self._thing)

    def __len__(self) -> int:
        reading(self._resource)
        return len(self._thing)

    def __setitem__(self, key: Any, value: Any) -> None:
        writing(self._resource)
        self._thing[key] = value

    def __delitem__(self, key: Any) -> None:
        writing(self._resource)
        del self._thing[key]
