"""Where something happened in a plan, read from the machine's stack when asked.

Nothing is counted or copied while a plan runs: the stack is the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from attrs import frozen

from lambdacat.plan import Plan
from lambdacat.structure import step_to

At = tuple[str | int, ...]
# A frame is (kind, node, data, below); the stack is a cons list of frames, None at the bottom.
Stack = Any


class Kind:
    """One kind of frame: how it is left by a value and by a fault, and what it says of where it is."""

    __slots__ = ("bottom", "child", "fail", "leave", "part", "retried", "turn", "whole")

    def __init__(
        self,
        leave: Any,
        fail: Any = None,
        child: Any = 0,
        whole: Any = None,
        turn: Any = None,
        *,
        part: Any = None,
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
        self.part = part
        """Which part of several it is, and of how many; None where it is not."""
        self.retried = retried
        """Whether those are attempts at the same thing."""
        self.bottom = bottom
        """Whether a task of its own begins here."""


def step_from(kind: Kind, node: Plan[Any, Any], data: Any) -> At:
    """The step from the node of a frame to whatever stands above it."""
    child = kind.child(node, data) if callable(kind.child) else kind.child
    if child is None:
        return ()
    return step_to(node, child) if type(child) is int else (child,)


def frames(stack: Stack) -> Iterator[tuple[Kind, Any, Any]]:
    """The frames, innermost first."""
    while stack is not None:
        kind, node, data, stack = stack
        yield kind, node, data


Part = tuple[int, int]
"""An index, and of how many."""


class Level(NamedTuple):
    """One level on the way to a site: the node, the step from it to the next, and which of several parts that is."""

    node: Plan[Any, Any]
    step: At
    part: Part | None


class Trail:
    """A site in a plan: the stack below it, and where in the node on top. Compares by its path."""

    __slots__ = ("_extra", "_node", "_settled", "_stack", "_value")

    def __init__(self, stack: Stack, extra: At = (), value: object = None, node: Plan[Any, Any] | None = None) -> None:
        self._stack = stack
        self._extra = extra
        self._value = value
        self._node = node
        self._settled: Settled | None = None

    @property
    def name(self) -> str:
        """The name of the node."""
        return "" if self._node is None else self._node.name

    def below(self) -> tuple[Stack, At]:
        """The stack that it stands on, and the steps from there."""
        return self._stack, self._extra

    def path(self) -> At:
        """The path of the node."""
        steps = [step_from(kind, node, data) for kind, node, data in frames(self._stack)]
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

    def _levels(self) -> tuple[Level, ...]:
        rows = [
            Level(node, step_from(kind, node, data), None if kind.part is None else kind.part(data))
            for kind, node, data in frames(self._stack)
            if node is not None
        ]
        return tuple(reversed(rows))

    def parts(self) -> tuple[Part, ...]:
        """Which part of each focus over several it stands in, outermost first."""
        found = [kind.part(data) for kind, _, data in frames(self._stack) if kind.part is not None]
        return tuple(part for part in reversed(found) if part is not None)

    def drawing(self) -> tuple[str, ...]:
        """The way to the node, one line a level, with what stands beside it."""
        return _drawing(self._levels(), self._extra, self._node)

    def settled(self) -> Settled:
        """The same site without the values of the run, but for the last whole one."""
        if self._settled is None:
            # Once: every level that a fault passes asks for it.
            self._settled = Settled(self._levels(), self._extra, self._node, self.last())
        return self._settled

    def __reduce__(self) -> Any:
        return self.settled().__reduce__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SITES) and self.path() == other.path()

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
        return _key_at(self.path, self.turns, extra)


def _key_at(path: str, turns: str, extra: At) -> str:
    if extra:
        below = str(extra[0]) if len(extra) == 1 and type(extra[0]) is int else "/".join(map(step_text, extra))
        path = f"{path}/{below}" if path else below
    return f"{path}#{turns}" if turns else path


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


class Keys:
    """The keys of actions as a run comes by them: most stand on the last one's stack, or in a later round of a loop."""

    __slots__ = ("_frame", "_inside", "_path", "_stack", "_turns", "_under")

    def __init__(self) -> None:
        self._stack: Stack = None
        self._path = self._turns = ""
        """At that stack."""
        self._under: tuple[Stack, KeyBelow] = (None, KeyBelow("", ""))
        """The stack without its topmost frame, and the key there."""
        self._frame: tuple[Any, Any, Stack] = (None, None, None)
        self._inside = ("", "")
        """Path and turns inside a topmost frame of this kind, node and stack below, before its own turn."""

    def of(self, stack: Stack, extra: At) -> str:
        """``key_of(stack).at(extra)``."""
        if stack is not self._stack:
            self._path, self._turns = ("", "") if stack is None else self._above(*stack)
            self._stack = stack
        if extra:
            return _key_at(self._path, self._turns, extra)
        return f"{self._path}#{self._turns}" if self._turns else self._path

    def _above(self, kind: Kind, node: Any, data: Any, below: Stack) -> tuple[str, str]:
        known = self._frame
        if below is not known[2] or node is not known[1] or kind is not known[0]:
            self._enter(kind, node, data, below)
        path, turns = self._inside
        turn = None if kind.turn is None else kind.turn(data)
        if turn is None:
            return path, turns
        text = f"a{turn}" if kind.retried else str(turn)
        return path, f"{turns}.{text}" if turns else text

    def _enter(self, kind: Kind, node: Any, data: Any, below: Stack) -> None:
        if self._under[0] is not below:
            self._under = (below, key_of(below))
        path, turns = self._under[1]
        step = _step_of(kind, node, data)
        self._inside = (f"{path}/{step}" if path and step else path or step, turns)
        # Which child it is may depend on the data; then it is asked each time.
        self._frame = (None, None, None) if callable(kind.child) else (kind, node, below)


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

    __slots__ = ("_extra", "_last", "_levels", "_node")

    def __init__(self, levels: tuple[Level, ...], extra: At, node: Plan[Any, Any] | None, last: object) -> None:
        self._levels = levels
        self._extra = extra
        self._node = node
        self._last = last

    def path(self) -> At:
        """The path of the node."""
        return tuple(step for level in self._levels for step in level.step) + self._extra

    def parts(self) -> tuple[Part, ...]:
        """Which part of each focus over several it stands in, outermost first."""
        return tuple(level.part for level in self._levels if level.part is not None)

    def last(self) -> object:
        """The last whole value that the run had reached."""
        return self._last

    def drawing(self) -> tuple[str, ...]:
        """The way to the node, one line a level, with what stands beside it."""
        return _drawing(self._levels, self._extra, self._node)

    def settled(self) -> Settled:
        """Itself."""
        return self

    def __reduce__(self) -> Any:
        return Told, (self.path(), self.parts(), self.drawing(), self._last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SITES) and self.path() == other.path()

    def __hash__(self) -> int:
        return hash(self.path())

    def __repr__(self) -> str:
        return repr(self.path())


@frozen(eq=False, repr=False)
class Told:
    """A site in words, as it comes out of another process: what pickles hold, which need not find the plan again."""

    _path: At
    _parts: tuple[Part, ...]
    _drawing: tuple[str, ...]
    _last: object

    def path(self) -> At:
        """The path of the node."""
        return self._path

    def parts(self) -> tuple[Part, ...]:
        """Which part of each focus over several it stands in, outermost first."""
        return self._parts

    def last(self) -> object:
        """The last whole value that the run had reached."""
        return self._last

    def drawing(self) -> tuple[str, ...]:
        """The way to the node, one line a level, with what stands beside it."""
        return self._drawing

    def settled(self) -> Told:
        """Itself."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SITES) and self.path() == other.path()

    def __hash__(self) -> int:
        return hash(self._path)

    def __repr__(self) -> str:
        return repr(self._path)


_SITES = (Trail, Settled, Told)
_DEEPEST = 12


def part_text(part: Part) -> str:
    """Which part of several."""
    return f"part [{part[0]}] of {part[1]}"


def _drawing(levels: tuple[Level, ...], extra: At, last: Plan[Any, Any] | None) -> tuple[str, ...]:
    """Ancestors from the whole plan down; of a long way, its two ends."""
    lines = [_line(level.node) for level in levels]
    lines.append((last.name if last is not None else "") + "   <- here")
    for index, level in enumerate(levels):
        step = level.step + extra if index == len(levels) - 1 else level.step
        lines[index + 1] = _label(step, level.part) + lines[index + 1]
    if len(lines) > _DEEPEST:
        half = _DEEPEST // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} levels ...", *lines[-half:]]
    return tuple("  " * depth + line for depth, line in enumerate(lines))


def _line(node: Plan[Any, Any]) -> str:
    children = node.parts()[1]
    several = type(node).__name__ in ("Sequence", "Parallel") and len(children) > 1
    return f"{node.name} of {len(children)}" if several else node.name


def _label(step: At, part: Part | None) -> str:
    """What stands before a node: which part it is in, or which of its neighbours it is."""
    if part is not None:
        return f"{part_text(part)}: "
    return "".join(f"{one}: " for one in step) if step and type(step[0]) is int else ""
