"""Where something happened in a plan, read from the machine's stack when asked.

Nothing is counted or copied while a plan runs: the stack is the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from lambdacat.plan import Plan
from lambdacat.structure import step_to

At = tuple[str | int, ...]
# A frame is (kind, node, data, below); the stack is a cons list of frames, None at the bottom.
Stack = Any


class Kind:
    """One kind of frame: how it is left by a value and by a fault, and what it says of where it is."""

    __slots__ = ("bottom", "child", "fail", "leave", "retried", "turn", "whole")

    def __init__(
        self,
        leave: Any,
        fail: Any = None,
        child: Any = 0,
        whole: Any = None,
        turn: Any = None,
        *,
        retried: bool = False,
        bottom: bool = False,
    ) -> None:
        self.leave = leave
        self.fail = fail
        """None lets a fault pass."""
        self.child = child
        """Which child of the node the frame is inside of: an index, a word for one made at run time, or a function."""
        self.whole = whole
        """The value outside, for frames inside of which values are something else."""
        self.turn = turn
        """Which round, attempt or part it is in, for frames that are entered more than once; None where it is not."""
        self.retried = retried
        """Whether those are attempts at the same thing."""
        self.bottom = bottom
        """Whether a task of its own begins here."""


def _step(kind: Kind, node: Plan[Any, Any], data: Any) -> At:
    child = kind.child(node, data) if callable(kind.child) else kind.child
    if child is None:
        return ()
    return step_to(node, child) if type(child) is int else (child,)


def frames(stack: Stack) -> Iterator[tuple[Kind, Any, Any]]:
    """The frames, innermost first."""
    while stack is not None:
        kind, node, data, stack = stack
        yield kind, node, data


class Trail:
    """A site in a plan: the stack below it, and where in the node on top. Compares by its path."""

    __slots__ = ("_extra", "_node", "_stack", "_value")

    def __init__(self, stack: Stack, extra: At = (), value: object = None, node: Plan[Any, Any] | None = None) -> None:
        self._stack = stack
        self._extra = extra
        self._value = value
        self._node = node

    @property
    def name(self) -> str:
        """The name of the node."""
        return "" if self._node is None else self._node.name

    def path(self) -> At:
        """The path of the node."""
        steps = [_step(kind, node, data) for kind, node, data in frames(self._stack)]
        return tuple(step for row in reversed(steps) for step in row) + self._extra

    def turns(self, attempts: bool = True) -> tuple[int, ...]:
        """Loop rounds, parts and attempts, outermost first: which of several executions of the node it is."""
        found = [
            kind.turn(data)
            for kind, _, data in frames(self._stack)
            if kind.turn is not None and (attempts or not kind.retried)
        ]
        return tuple(turn for turn in reversed(found) if turn is not None)

    def key(self, attempts: bool = True) -> str:
        """Path and turns as one text: which node, and which execution of it."""
        return key_of(self._stack, attempts).at(self._extra)

    def last(self) -> object:
        """The last whole value that the run had reached."""
        value = self._value
        for kind, _, data in frames(self._stack):
            if kind.whole is not None:
                value = kind.whole(data)
        return value

    def _nodes(self) -> list[tuple[Plan[Any, Any], At]]:
        rows = [(node, _step(kind, node, data)) for kind, node, data in frames(self._stack) if node is not None]
        rows.reverse()
        return rows

    def drawing(self) -> tuple[str, ...]:
        """The way to the node, one line a level, with what stands beside it."""
        return _drawing(self._nodes(), self._extra, self._node)

    def settled(self) -> Settled:
        """The same site without the values of the run, but for the last whole one."""
        return Settled(self._nodes(), self._extra, self._node, self.last())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Trail, Settled)) and self.path() == other.path()

    def __hash__(self) -> int:
        return hash(self.path())

    def __repr__(self) -> str:
        return repr(self.path())


class KeyBelow(NamedTuple):
    """The key of whatever stands directly above a stack: its path so far, and its turns."""

    path: str
    turns: str

    def at(self, extra: At) -> str:
        """The key of a node at ``extra`` from there."""
        below = str(extra[0]) if len(extra) == 1 and type(extra[0]) is int else "/".join(map(step_text, extra))
        path = f"{self.path}/{below}" if self.path and below else self.path or below
        return f"{path}#{self.turns}" if self.turns else path


def step_text(step: str | int) -> str:
    """One step of a path, so that joined by slashes it can be told from every other."""
    if type(step) is int:
        return str(step)
    text = str(step).replace("%", "%25").replace("/", "%2F").replace("#", "%23")
    # A key of a choice may be the text of a number.
    return f"'{text}" if text.lstrip("-").isdigit() or text[:1] in ("'", "") else text


def key_of(stack: Stack, attempts: bool = True) -> KeyBelow:
    """The key below a stack; turns that are attempts at the same thing are marked with an ``a``."""
    steps: list[str] = []
    turns: list[str] = []
    while stack is not None:
        kind, node, data, stack = stack
        steps.append(_step_of(kind, node, data))
        turn = None if kind.turn is None else kind.turn(data)
        if turn is not None and (attempts or not kind.retried):
            turns.append(f"a{turn}" if kind.retried else str(turn))
    steps.reverse()
    turns.reverse()
    return KeyBelow("/".join(filter(None, steps)), ".".join(turns))


def key_above(below: KeyBelow, stack: Stack) -> KeyBelow:
    """``key_of(stack)``, from the key of the stack without its topmost frame."""
    kind, node, data, _ = stack
    path, turns = below
    if step := _step_of(kind, node, data):
        path = f"{path}/{step}" if path else step
    turn = None if kind.turn is None else kind.turn(data)
    if turn is not None:
        text = f"a{turn}" if kind.retried else str(turn)
        turns = f"{turns}.{text}" if turns else text
    return KeyBelow(path, turns)


def _step_of(kind: Kind, node: Any, data: Any) -> str:
    """The part of a key that one frame is."""
    child = kind.child(node, data) if callable(kind.child) else kind.child
    if child is None:
        return ""
    known: dict[Any, str] = node.memo("step texts", _no_texts)
    try:
        return known[child]
    except KeyError:
        steps = step_to(node, child) if type(child) is int else (child,)
        text = known[child] = "/".join(map(step_text, steps))
        return text


def _no_texts(_: object) -> dict[Any, str]:
    return {}


class Settled:
    """A site as a value: the nodes on the way, and the last whole value."""

    __slots__ = ("_extra", "_last", "_node", "_rows")

    def __init__(
        self, rows: list[tuple[Plan[Any, Any], At]], extra: At, node: Plan[Any, Any] | None, last: object
    ) -> None:
        self._rows = rows
        self._extra = extra
        self._node = node
        self._last = last

    def path(self) -> At:
        """The path of the node."""
        return tuple(step for _, row in self._rows for step in row) + self._extra

    def last(self) -> object:
        """The last whole value that the run had reached."""
        return self._last

    def drawing(self) -> tuple[str, ...]:
        """The way to the node, one line a level, with what stands beside it."""
        return _drawing(self._rows, self._extra, self._node)

    def settled(self) -> Settled:
        """Itself."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Trail, Settled)) and self.path() == other.path()

    def __hash__(self) -> int:
        return hash(self.path())

    def __repr__(self) -> str:
        return repr(self.path())


_DEEPEST = 12


def _drawing(rows: list[tuple[Plan[Any, Any], At]], extra: At, last: Plan[Any, Any] | None) -> tuple[str, ...]:
    """Ancestors from the whole plan down; of a long way, its two ends."""
    lines: list[str] = []
    for node, _ in rows:
        lines.append(node.name)
        children = node.parts()[1]
        if type(node).__name__ in ("Sequence", "Parallel") and len(children) > 1:
            lines[-1] += f" of {len(children)}"
    lines.append((last.name if last is not None else "") + "   <- here")
    if len(lines) > _DEEPEST:
        half = _DEEPEST // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} levels ...", *lines[-half:]]
    steps = [row for _, row in rows]
    if steps:
        steps[-1] += extra
    marked = []
    for depth, line in enumerate(lines):
        whole = 0 < depth <= len(steps) and len(lines) == len(rows) + 1
        label = "".join(f"{step}: " for step in steps[depth - 1]) if whole else ""
        marked.append("  " * depth + (label if label.split(":")[0].isdigit() else "") + line)
    return tuple(marked)
