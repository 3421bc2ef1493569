"""Actions: a plain callable, looked at once, as a leaf of the algebra."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from inspect import CO_ASYNC_GENERATOR, CO_ITERABLE_COROUTINE
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from lambdacat.bound import Estimate, Resource, seconds_of
from lambdacat.callables import code_flags, function_of, is_async, name_of
from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Call, Plan, Pure, Task, _check_name
from lambdacat.wiring import wired


class TaskOptions(TypedDict, total=False):
    """The keyword options of ``task``; spelt out so that a misspelt one is an error."""

    name: str
    """Words for faults and traces; the function's own name by default."""
    timeout: float
    """Seconds, as ``Plan.timeout``, kept on the task so that ``.action`` stays at hand."""
    resources: Collection[Resource]
    """What the action touches outside the state."""
    idempotent: bool
    """Whether doing it twice equals doing it once; a retry of a task that says no is a finding of ``check``."""
    estimate: Estimate
    """Expected cost of one call, read by ``dry_run``."""
    blocking: Literal["thread", "abandon", "inline"]
    """How a non-async action runs under ``arun``: in a worker thread and waited for (the default); in a thread that is
    abandoned at a timeout, its late result dropped; or in place, on the event loop."""


if TYPE_CHECKING:
    from lambdacat.signatures import task as task
else:
    # Its thirty overloads are read by checkers alone: at run time they would cost more than the rest of the import.
    def task(action=None, /, **options):
        """One action as a plan: ``@task`` on ``A -> B`` or ``(A, Context) -> B``, or with lenses on plain values.

        ``reads`` is one lens or 2-5, passed in order, then an optional ``Context``; ``writes`` one or 2-3, filled from
        the result; ``()`` is none. Sync or async is looked at once, here. An async generator emits what it yields,
        and its result is the tuple of that. Errors: ``PlanError`` on a bad arity.
        """
        if action is not None:
            if options:
                said, name = ", ".join(f"{key}={value!r}" for key, value in options.items()), name_of(action)
                raise PlanError(f"task takes an action or options, not both: write task({said})({name})")
            return _task(action, None, None, {})
        reads, writes = options.pop("reads", None), options.pop("writes", None)
        unknown = sorted(options.keys() - TaskOptions.__annotations__.keys())
        if unknown:
            raise PlanError(f"task has no option {unknown[0]!r}{_close(unknown[0])}")
        if reads is None and writes is None:
            return lambda action: _task(action, None, None, options)
        # Without writes= a result would be lost: None tells it from writes=(), which says that it may be.
        reads, writes = _lenses("reads", reads), None if writes is None else _lenses("writes", writes)
        return lambda action: _task(action, reads, writes, options)


def _close(name: str) -> str:
    from difflib import get_close_matches

    known = ["reads", "writes", *TaskOptions.__annotations__]
    if name.startswith("ret"):
        return "; for retries, write task(...)(action).retry(n)"
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}"


def _lenses(what: str, given: Any) -> tuple[Lens[Any, Any], ...]:
    if given is None:
        return ()
    row = given if isinstance(given, tuple) else (given,)
    for one in row:
        if not isinstance(one, Lens):
            raise PlanError(f"{what} is a lens or a tuple of lenses, not {one!r}; make one with lens(...)")
    if any(one.root != row[0].root for one in row):
        raise PlanError(f"{what} has lenses of different states: {', '.join(map(repr, row))}")
    return row


def _task(action: Any, reads: Any, writes: Any, options: dict[str, Any]) -> Plan[Any, Any]:
    if isinstance(action, Plan):
        raise PlanError(f"{action.name} is a plan already; compose it, or give task its .action")
    if not callable(action):
        raise PlanError(f"task wants a callable, not {action!r}")
    if reads and writes and reads[0].root != writes[0].root:
        raise PlanError(f"a task reads and writes one state, not {reads[0]!r} and {writes[0]!r}")
    if writes is not None:
        doubled = [(a, b) for i, a in enumerate(writes) for b in writes[i + 1 :] if not a.disjoint_from(b)]
        if doubled:
            raise PlanError(f"{doubled[0][0]!r} and {doubled[0][1]!r} are both written, and one lies inside the other")
    name, blocking, seconds = options.get("name"), options.get("blocking"), options.get("timeout")
    if name is None:
        name = name_of(action)
    _check_name(name)
    _check_options(blocking, options.get("idempotent"), options.get("estimate"))
    return Task(
        action,
        name,
        reads,
        writes,
        None if seconds is None else seconds_of(seconds),
        _resources(options.get("resources", ())),
        options.get("idempotent"),
        options.get("estimate"),
        blocking,
        compiled(action, reads, writes, blocking, name),
    )


def _check_options(blocking: object, idempotent: object, estimate: object) -> None:
    if blocking not in (None, "thread", "abandon", "inline"):
        raise PlanError(f"blocking is 'thread', 'abandon' or 'inline', not {blocking!r}")
    if idempotent is not None and type(idempotent) is not bool:
        raise PlanError(f"idempotent is True or False, not {idempotent!r}")
    if estimate is not None and not isinstance(estimate, Estimate):
        raise PlanError(f"estimate is an Estimate, such as Estimate(seconds=(1, 3)), not {estimate!r}")


def _resources(given: Any) -> tuple[Resource, ...]:
    is_row = isinstance(given, Collection) and not isinstance(given, str)
    if not is_row or not all(isinstance(one, Resource) for one in given):
        raise PlanError(f"resources is a row of Resource values, such as (Resource('mail'),), not {given!r}")
    return tuple(given)


def pure_leaf(f: Callable[[Any], Any]) -> Plan[Any, Any]:
    """``f`` as a leaf that never suspends."""
    if not callable(f) or isinstance(f, Plan):
        raise PlanError(f"pure wants a function of one value, not {f!r}")
    if is_async(f):
        raise PlanError(f"{name_of(f)} is async, so it is no pure function; make it a task")
    return Pure(f, getattr(f, "getter", f))


# --- looking at a callable -------------------------------------------------------------------------------------------


@cache
def _opcodes() -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Opcodes that call, that return what lies on the stack, and that make a new value which is no awaitable."""
    from opcode import opmap

    def named(*starts: str) -> frozenset[int]:
        return frozenset(number for name, number in opmap.items() if name.startswith(starts))

    makes = ("BINARY_OP", "BUILD_", "COMPARE_OP", "IS_OP", "CONTAINS_OP", "UNARY_", "LOAD_CONST", "DICT_", "LIST_TO_")
    return named("CALL"), named("RETURN_VALUE"), named(*makes)


def _builds_its_result(ops: bytes) -> bool:
    """Whether a body calls nothing and only returns values that it makes itself: those are never awaitables."""
    calls, returns, makes = _opcodes()
    row = [op for op in ops if op]  # 0 is a cache entry of the instruction before
    return calls.isdisjoint(row) and all(last in makes for last, op in pairwise(row) if op in returns)


_PLAIN_TYPES = (str, int, float, bool, bytes, tuple, list, dict, set, frozenset, type(None))
"""Classes that are never awaitable, and whose names in an annotation are trusted."""
_PLAIN = ("None", *(kind.__name__ for kind in _PLAIN_TYPES))


def may_await(action: Any) -> bool:
    """Whether a call of a plain function may give an awaitable; a wrong yes only costs the look at its result."""
    function = function_of(action)
    if isinstance(function, type):
        return hasattr(function, "__await__")
    if hasattr(function, "__wrapped__"):
        # A decorator's wrapper wears the annotations of what it wraps.
        return True
    returns = getattr(function, "__annotations__", {}).get("return", ...)
    if isinstance(returns, str):
        if returns.split("[")[0].strip() in _PLAIN:
            return False
    elif returns is None or returns in _PLAIN_TYPES or getattr(returns, "__origin__", None) in _PLAIN_TYPES:
        return False
    code = getattr(function, "__code__", None)
    if code is None:
        return True
    return not _builds_its_result(code.co_code[::2])


def _wants_context(action: Any, count: int, name: str) -> bool:
    """Whether a context follows the ``count`` values. Errors: ``PlanError`` when the parameters cannot be filled."""
    from inspect import Parameter, signature

    try:
        parameters = list(signature(action).parameters.values())
    except (TypeError, ValueError):
        # Some builtins have no signature; they take values and know no context.
        return False
    missing = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.default is Parameter.empty]
    if missing:
        raise PlanError(f"{name} has a keyword-only parameter without a default, {missing[0]!r}; nothing can fill it")
    row = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is Parameter.empty for p in row)
    spread = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
    follows = len(row) > count and (required > count or row[count].name == "ctx")
    if required > count + 1 or (len(row) < count and not spread):
        values, wanted = f"{count} value{'' if count == 1 else 's'}", ", ".join(p.name for p in row) or "none"
        raise PlanError(f"{name} is given {values} and may take a context after; it wants {wanted}")
    return follows


def compiled(action: Any, reads: Any, writes: Any, blocking: str | None, name: str = "") -> Call:
    """How ``action`` is called: its lenses fused in, its kind decided once."""
    name = name or name_of(action)
    wants = _wants_context(action, 1 if reads is None else len(reads), name)
    flags = code_flags(action)
    if flags & CO_ASYNC_GENERATOR:
        action, wants = _emitting(action, wants), True
    elif flags & CO_ITERABLE_COROUTINE:
        action = _awaited(action)
    waits = is_async(action)
    if waits and blocking in ("thread", "abandon"):
        raise PlanError(f"{name} is async: it never blocks a thread, so blocking={blocking!r} cannot hold")
    probe = not waits and may_await(action)
    fn = action if reads is None else wired(action, reads, writes, waits, wants, probe)
    return Call(fn, "await" if waits else blocking or "thread", wants, probe)


def _awaited(action: Any) -> Any:
    """A generator-based coroutine function as an async one: what it gives has no ``__await__`` of its own."""

    async def awaited(*given: Any) -> Any:
        return await action(*given)

    return awaited


def _emitting(action: Any, wants: bool) -> Any:
    """An async generator as an action that emits what it yields and returns all of it."""

    async def emitted(*given: Any) -> tuple[Any, ...]:
        context = given[-1]
        source = action(*given) if wants else action(*given[:-1])
        chunks = []
        try:
            async for chunk in source:
                context.emit(chunk)
                chunks.append(chunk)
        finally:
            # Its clean-up runs here, in the task that started it, not whenever it is collected.
            await source.aclose()
        return tuple(chunks)

    return emitted
