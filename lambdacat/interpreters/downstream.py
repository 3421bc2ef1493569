"""Which steps of a plan lie downstream of changed ones, by what they read and write.

Places that may hold another value than before flow through the plan: a step that reads one is downstream, and what it
writes flows on; a step that is not overwrites such a place with what it always wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any, final

from attrs import frozen

from lambdacat.asking import Ask
from lambdacat.footprints import footprint, read_by
from lambdacat.machine.trail import step_text
from lambdacat.merging import merge
from lambdacat.optics import Lens
from lambdacat.place import Place, is_prefix, overlaps, settled
from lambdacat.plan import Attempt, Bind, Choose, Focus, LoopWhile, Parallel, Plan, Pure, Recover, Sequence, Task
from lambdacat.structure import step_to

Node = Plan[Any, Any]
Dirty = frozenset[Place]
Flow = Generator[tuple[Node, str, Dirty], Dirty, Dirty]
EVERYTHING: Dirty = frozenset({()})


@final
@frozen
class Downstream:
    """The paths of the steps to perform again, and of nodes in which every step is."""

    steps: frozenset[str]
    whole: frozenset[str]

    def has(self, key: str) -> bool:
        """Whether the step of a key is performed again."""
        path = key.partition("#")[0]
        if path in self.steps:
            return True
        return bool(self.whole) and any(one in self.whole for one in _ancestors(path))

    def below(self, key: str) -> bool:
        """Whether a step inside the node of a key is performed again."""
        path = key.partition("#")[0]
        return self.has(key) or any(not path or one.startswith(path + "/") for one in (*self.steps, *self.whole))


def _ancestors(path: str) -> list[str]:
    steps = path.split("/")
    return ["/".join(steps[: i + 1]) for i in range(len(steps))]


def downstream(plan: Node, changed: Collection[str], recorded: Collection[tuple[str, str]]) -> Downstream:
    """The steps that must run again when the steps named ``changed`` are other than they were.

    ``recorded`` are the key and name of every entry: what a ``bind`` made is seen there alone.
    """
    walk = _Walk(changed, recorded)
    flows = [walk.node(plan, "", frozenset())]
    sent: Dirty | None = None
    while flows:
        try:
            node, path, dirty = flows[-1].send(sent)  # type: ignore[arg-type]
        except StopIteration as done:
            flows.pop()
            sent = done.value
        else:
            flows.append(walk.node(node, path, dirty))
            sent = None
    return Downstream(frozenset(walk.steps), frozenset(walk.whole))


def _meets(places: Collection[Place], dirty: Dirty) -> bool:
    return any(overlaps(place, spot) for place in places for spot in dirty)


def _writes(node: Node) -> Dirty:
    return frozenset(footprint(node).writes)


class _Walk:
    def __init__(self, changed: Collection[str], recorded: Collection[tuple[str, str]]) -> None:
        self.changed = changed
        self.recorded = recorded
        self.steps: set[str] = set()
        self.whole: set[str] = set()

    def marks(self) -> int:
        return len(self.steps) + len(self.whole)

    def node(self, node: Node, path: str, dirty: Dirty) -> Flow:
        before = self.marks()
        after = yield from self.inside(node, path, dirty)
        touched = self.marks() > before
        match node:
            case Parallel() if touched and node.join not in (None, merge):
                return EVERYTHING
            case Parallel() if touched and not node.plain:
                return after | _writes(node)  # another branch may win now
            case Recover() if touched:
                return after | _writes(node)  # what faulted may succeed now
            case Attempt() if touched or dirty:
                return EVERYTHING
            case _:
                return after

    def inside(self, node: Node, path: str, dirty: Dirty) -> Flow:
        match node:
            case Task():
                return self.task(node, path, dirty)
            case Ask():
                return self.ask(node, path, dirty)
            case Pure():
                return EVERYTHING if dirty or node.name in self.changed else dirty
            case Bind():
                return self.bind(node, path, dirty)
            case Choose():
                return (yield from self.choose(node, path, dirty))
            case LoopWhile():
                return (yield from self.loop(node, path, dirty))
            case Focus():
                return (yield from self.focus(node, path, dirty))
            case Sequence():
                for index, step in enumerate(node.steps):
                    dirty = yield step, _under(path, node, index), dirty
                return dirty
            case _:
                return (yield from self.each(node, path, dirty))

    def each(self, node: Node, path: str, dirty: Dirty) -> Flow:
        """Children that all begin with the same value."""
        after = dirty
        for index, child in enumerate(node.parts()[1]):
            after |= yield child, _under(path, node, index), dirty
        if isinstance(node, Recover) and node.handler is not None and dirty:
            self.whole.add(f"{path}/recover" if path else "recover")
        return after

    def task(self, node: Task[Any, Any, Any], path: str, dirty: Dirty) -> Dirty:
        reads = [()] if node.reads is None else [lens.place for lens in node.reads]
        writes = EVERYTHING if node.reads is None else frozenset(lens.place for lens in node.writes or ())
        if node.name in self.changed or _meets(reads, dirty):
            self.steps.add(path)
            return dirty | writes
        if node.reads is None:
            return dirty
        fresh = [place for place in writes if settled(place) == place]
        return frozenset(spot for spot in dirty if not any(is_prefix(place, spot) for place in fresh))

    def ask(self, node: Ask[Any, Any], path: str, dirty: Dirty) -> Dirty:
        # Who approved saw what was there before, whatever the words.
        if node.name in self.changed or (dirty and (node.into is None or not isinstance(node.question, str))):
            self.steps.add(path)
            return dirty | _writes(node)
        return dirty

    def bind(self, node: Bind[Any, Any], path: str, dirty: Dirty) -> Dirty:
        made = f"{path}/bind" if path else "bind"
        inside = (name for key, name in self.recorded if key.startswith(made))
        if dirty or node.name in self.changed or any(name in self.changed for name in inside):
            self.whole.add(made)
            return EVERYTHING
        return dirty

    def choose(self, node: Choose[Any, Any], path: str, dirty: Dirty) -> Flow:
        after = yield from self.each(node, path, dirty)
        return after | _writes(node) if _meets(read_by(node.selector), dirty) else after

    def loop(self, node: LoopWhile[Any, Any], path: str, dirty: Dirty) -> Flow:
        while True:
            after = dirty | (yield node.plan, _under(path, node, 0), dirty)
            if _meets(read_by(node.condition), after):
                after |= _writes(node)  # there may be more rounds, or fewer
            if after == dirty:
                break
            dirty = after
        return dirty if node.then is None else dirty | (yield node.then, _under(path, node, 1), dirty)

    def focus(self, node: Focus[Any, Any], path: str, dirty: Dirty) -> Flow:
        place: Place = getattr(node.reads, "place", ())
        inner: Dirty = frozenset()
        if _meets([place], dirty):
            below = isinstance(node.reads, Lens) and all(spot[: len(place)] == place for spot in dirty)
            inner = frozenset(spot[len(place) :] for spot in dirty) if below else EVERYTHING
        before = self.marks()
        after = yield node.plan, _under(path, node, 0), inner
        if self.marks() == before and after == inner:
            return dirty
        if node.writes is not None or not isinstance(node.reads, Lens):
            return dirty | _writes(node)
        return dirty | frozenset((*place, *spot) for spot in after)


def _under(path: str, node: Node, index: int) -> str:
    below = "/".join(map(step_text, step_to(node, index)))
    return f"{path}/{below}" if path and below else path or below
