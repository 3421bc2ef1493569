"""Straight runs of leaves: compiled once for a plan, and run flat, without the machine."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from lambdacat.plan import Call, Focus, Plan, Pure, Sequence, Task
from lambdacat.telling import is_all_kernel, trimmed
from lambdacat.wiring import AWAITABLE, wired


class Request:
    """Something the machine asks of whoever runs it."""

    __slots__ = ()

    def inside(self, value: Any, stack: Any) -> Any:
        """What the machine itself makes of it, for a monad that does not answer."""
        raise TypeError(f"every interpreter answers {type(self).__name__}")


class Unread(NamedTuple):
    """A lens that could not read what it was given."""

    node: Plan[Any, Any]
    at: tuple[str | int, ...]
    reading: str
    """The lens, in its own words."""


def unread(node: Plan[Any, Any], at: tuple[str | int, ...], lenses: tuple[Any, ...], value: Any) -> Unread | None:
    """The first of a node's lenses that cannot read ``value``."""
    for lens in lenses:
        try:
            _read(lens, value)
        except Exception:  # noqa: BLE001  whatever a lens raises, it could not read
            return Unread(node, at, repr(lens))
    return None


def _read(optic: Any, value: Any) -> None:
    if hasattr(optic, "get"):
        optic.get(value)
    else:
        (optic.get_all if hasattr(optic, "get_all") else optic.parts)(value)


class Leaf:
    """One leaf of a straight run: its node, how it is called, and where it stands below the run."""

    __slots__ = ("at", "call", "fn", "focus", "mode", "node")

    def __init__(
        self, node: Plan[Any, Any], call: Call, at: tuple[str | int, ...], focus: Focus[Any, Any] | None = None
    ) -> None:
        self.node = node
        self.call = call
        self.fn = call.fn
        self.mode = call.mode
        self.at = at
        self.focus = focus
        """The focus around it, where the two are called as one."""

    def unread(self, error: Exception, value: Any) -> Unread | None:
        """Which lens cannot read ``value``, if it is that what raised: asked when the call has failed."""
        if not is_all_kernel(error.__traceback__):
            return None  # the action had begun, and may have changed what it was given
        if self.focus is not None:
            if (found := unread(self.focus, self.at[:-1], (self.focus.reads,), value)) is not None:
                return found
            value = self.focus.reads.get(value)
        return unread(self.node, self.at, getattr(self.node, "reads", None) or (), value)


class Segment(Request):
    """A straight run of leaves, asked for as a whole."""

    __slots__ = ("fns", "hops", "leaves", "modes", "plain", "probe", "quick")

    def __init__(self, leaves: tuple[Leaf, ...]) -> None:
        self.leaves = leaves
        self.fns = tuple(leaf.fn for leaf in leaves)
        self.modes = frozenset(leaf.mode for leaf in leaves)
        self.plain = not any(leaf.call.wants_context for leaf in leaves)
        """Whether every call takes the value alone."""
        self.probe = any(leaf.call.probe or leaf.mode == "await" for leaf in leaves)
        """Whether a result may have to be awaited."""
        self.quick = self.plain and not self.probe
        self.hops: Any = None


def _pure_call(node: Pure[Any, Any]) -> Call:
    return Call(node.fn, "inline")


def leaf_of(node: Plan[Any, Any], at: tuple[str | int, ...], fused: bool) -> Leaf | None:
    """The leaf that ``node`` is, or None when the machine must enter it."""
    if type(node) is Pure:
        return Leaf(node, _pure_call(node), at)
    if type(node) is Task:
        # A timeout is a bound like any other: the machine opens it.
        return Leaf(node, node.call, at) if node.seconds is None else None
    if fused and type(node) is Focus and node.limit is None and hasattr(node.reads, "getter"):
        return _fused_focus(node, at)
    return None


def _fused_focus(node: Focus[Any, Any], at: tuple[str | int, ...]) -> Leaf | None:
    """A leaf inside one part is a leaf on the whole: reading, acting and writing become one function."""
    inner = leaf_of(node.plan, (*at, "focus"), fused=False)
    if inner is None or (node.writes is not None and not hasattr(node.writes, "getter")):
        return None
    call = inner.call
    writes = (node.reads if node.writes is None else node.writes,)
    fn = wired(call.fn, (node.reads,), writes, call.mode == "await", call.wants_context, call.probe)
    return Leaf(inner.node, Call(fn, call.mode, call.wants_context, call.probe), inner.at, node)


Pieces = tuple[tuple[Any, ...], tuple[Any, ...]]


def pieces(node: Sequence[Any, Any], fused: bool) -> Pieces:
    """The steps of a sequence with its straight runs as segments, and the index of each piece that is a node."""
    found: list[Any] = []
    places: list[int | None] = []
    run: list[Leaf] = []

    def close() -> None:
        if run:
            found.append(Segment(tuple(run)))
            places.append(None)
            run.clear()

    for index, step in enumerate(node.steps):
        leaf = leaf_of(step, (index,), fused)
        if leaf is None:
            close()
            found.append(step)
            places.append(index)
        else:
            run.append(leaf)
    close()
    return tuple(found), tuple(places)


def straight(node: Plan[Any, Any], fused: bool) -> Segment | None:
    """The segment that the whole plan is, if it is one."""
    if type(node) is Sequence:
        row = node.memo("pieces" if fused else "steps apart", lambda n: pieces(n, fused))[0]
        return row[0] if len(row) == 1 and type(row[0]) is Segment else None
    leaf = leaf_of(node, (), fused)
    return None if leaf is None else Segment((leaf,))


class Fell:
    """A failed straight run: which leaf, what it was given, and the exception."""

    __slots__ = ("error", "index", "value")

    def __init__(self, index: int, error: Exception, value: Any) -> None:
        self.index = index
        self.error = trimmed(error)
        self.value = value


class Suspends(Exception):
    """An action suspended where nothing can wait for it."""


_NO_LOOP = ("running event loop", "must be called from async context")


def finish(awaitable: Any) -> Any:
    """The result of an awaitable that never suspends. Errors: ``Suspends``."""
    steps = awaitable.__await__()
    try:
        steps.send(None) if hasattr(steps, "send") else next(steps)
    except StopIteration as stop:
        return stop.value
    except RuntimeError as error:
        if any(words in str(error) for words in _NO_LOOP) or type(error).__name__ == "NoEventLoopError":
            raise Suspends from error
        raise
    with suppress(RuntimeError):  # its clean-up waits as well, and there is no loop to wait on
        getattr(steps, "close", bool)()
    raise Suspends


def flat(fns: tuple[Any, ...], value: Any) -> Any:
    """``value`` through every function, or ``Fell``. The index comes from the iterator: nothing is counted."""
    todo = iter(fns)
    try:
        for fn in todo:
            value = fn(value)
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        return fell_at(fns, todo, error, value)
    return value


def flat_probing(fns: tuple[Any, ...], value: Any) -> Any:
    """``flat`` for functions whose results may be awaitables that never suspend."""
    todo = iter(fns)
    try:
        for fn in todo:
            made = fn(value)
            value = finish(made) if AWAITABLE[type(made)] else made
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        return fell_at(fns, todo, error, value)
    return value


def fell_at(fns: tuple[Any, ...], todo: Any, error: Exception, value: Any) -> Fell:
    """The failure of the function that ``todo``, an iterator over ``fns``, gave last."""
    return Fell(len(fns) - 1 - todo.__length_hint__(), error, value)
