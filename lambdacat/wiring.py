"""Lenses fused with an action: what an action reads, does and writes as one function on the whole state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Awaitables(dict[type, bool]):
    """Whether values of a class can be awaited, looked up once for each class."""

    def __missing__(self, kind: type) -> bool:
        found = self[kind] = hasattr(kind, "__await__")
        return found


AWAITABLE = Awaitables()


def wired(
    action: Callable[..., Any],
    reads: tuple[Any, ...],
    writes: tuple[Any, ...] | None,
    is_async: bool,
    wants: bool,
    probe: bool,
) -> Callable[..., Any]:
    """From the whole state to the whole state: read, act, write. Sync or async as the action is."""
    take, put = _taking(reads), _putting(writes)
    if is_async:
        if wants:

            async def act_with(whole: Any, context: Any) -> Any:
                return put(whole, await action(*take(whole), context))

            return act_with

        async def act(whole: Any) -> Any:
            return put(whole, await action(*take(whole)))

        return act
    if probe:

        async def later(whole: Any, result: Any) -> Any:
            return put(whole, await result)

        def probed(whole: Any, *context: Any) -> Any:
            result = action(*take(whole), *context)
            return later(whole, result) if AWAITABLE[type(result)] else put(whole, result)

        return probed
    if wants:
        return lambda whole, context: put(whole, action(*take(whole), context))
    if len(reads) == 1:
        get = reads[0].getter
        return lambda whole: put(whole, action(get(whole)))
    return lambda whole: put(whole, action(*take(whole)))


def _taking(reads: tuple[Any, ...]) -> Callable[[Any], tuple[Any, ...]]:
    getters = tuple(one.getter for one in reads)
    match getters:
        case ():
            return lambda whole: ()
        case (first,):
            return lambda whole: (first(whole),)
        case (first, second):
            return lambda whole: (first(whole), second(whole))
        case _:
            pass
    return lambda whole: tuple([get(whole) for get in getters])


def _dropped(whole: Any, result: Any) -> Any:
    """The state after an action without ``writes=``. Errors: ``TypeError`` for a result that nothing would keep."""
    if result is not None:
        kind = type(result).__name__
        raise TypeError(f"the action returned {kind}, and no writes= says where it goes; writes=() drops it")
    return whole


def _putting(writes: tuple[Any, ...] | None) -> Callable[[Any, Any], Any]:
    match writes:
        case None:
            return _dropped
        case ():
            return lambda whole, result: whole
        case (only,):
            put: Callable[[Any, Any], Any] = only.setter
            return put
        case _:
            pass

    setters = tuple(one.setter for one in writes)

    def put_each(whole: Any, result: Any) -> Any:
        if type(result) is not tuple or len(result) != len(setters):
            count = f"a tuple of {len(result)}" if type(result) is tuple else type(result).__name__
            wanted = len(setters)
            raise TypeError(f"the action must return a tuple of {wanted} for its lenses, and returned {count}")
        for put, part in zip(setters, result, strict=True):
            whole = put(whole, part)
        return whole

    return put_each
