"""Plans as trees: comparing, hashing, printing, pickling and walking, each one loop over ``parts``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lambdacat.place import PlanError
from lambdacat.plan import Choose, Composite, LoopWhile, Parallel, Plan, Recover, Sequence, Task, Within, identity

T = TypeVar("T")
Node = Plan[Any, Any]


def equal(first: Node, second: Node) -> bool:
    """Structural equality. A pair that was seen is not opened again: shared parts would cost exponential time."""
    seen: set[tuple[int, int]] = set()
    rest = [(first, second)]
    while rest:
        one, two = rest.pop()
        if one is two or (id(one), id(two)) in seen:
            continue
        if _kind(one) is not _kind(two):
            return False
        seen.add((id(one), id(two)))
        (data, children), (data2, children2) = one.parts(), two.parts()
        if len(children) != len(children2) or not data == data2:  # noqa: SIM201  a user's == may come without a !=
            return False
        rest.extend(zip(children, children2, strict=True))
    return True


def _kind(node: Node) -> type[Node]:
    """The class that a node compares by: nodes of a user's own by what they stand for."""
    return Composite if isinstance(node, Composite) else type(node)


def _hash_of_data(data: tuple[Any, ...]) -> int:
    try:
        return hash(data)
    except TypeError:
        # Equal plans must hash alike; what cannot be hashed may only weaken the hash, never break it.
        return hash(tuple(type(item) for item in data))


def hashed(plan: Node) -> int:
    """The hash of a plan, kept on every node below it."""
    return fold(plan, lambda node, below: hash((_kind(node), _hash_of_data(node.parts()[0]), *below)), kept="_hash")


def fold(plan: Node, combine: Callable[[Node, list[T]], T], kept: str = "") -> T:
    """``combine`` applied bottom-up, each distinct node once, without recursion.

    With ``kept`` the answers stay on the nodes, in that attribute.
    """
    done: dict[int, T] = {}
    rest: list[tuple[Node, bool]] = [(plan, False)]
    while rest:
        node, opened = rest.pop()
        if id(node) in done:
            continue
        if kept and not opened and hasattr(node, kept):
            done[id(node)] = getattr(node, kept)
            continue
        children = node.parts()[1]
        if opened or not children:
            answer = done[id(node)] = combine(node, [done[id(child)] for child in children])
            if kept:
                object.__setattr__(node, kept, answer)
        else:
            rest.append((node, True))
            rest.extend((child, False) for child in children)
    return done[id(plan)]


def nodes(plan: Node) -> Iterator[Node]:
    """Every node, parents first, in written order; a shared one as often as it stands there."""
    rest = [plan]
    while rest:
        node = rest.pop()
        yield node
        rest.extend(reversed(node.parts()[1]))


def expression(plan: Node, width: int = 400) -> str:
    """The plan as one expression, cut after about ``width`` characters."""
    out: list[str] = []
    length = 0
    rest: list[Node | str] = [plan]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            text = item
        else:
            text = item.name
            children = item.parts()[1]
            if children:
                shown = children[: width // 4]
                rest.append(")" if len(shown) == len(children) else f", ... {len(children)} in all)")
                for i, child in reversed(list(enumerate(shown))):
                    rest.append(child)
                    rest.append("(" if i == 0 else ", ")
        out.append(text)
        length += len(text)
        if length > width:
            return "".join(out)[:width] + "..."
    return "".join(out)


Row = tuple[type[Node], tuple[Any, ...], tuple[int, ...]]


def rows(plan: Node) -> tuple[Row, ...]:
    """The plan as flat rows, children before parents: what a pickle holds, however deep the plan.

    Errors: ``PlanError`` that names the step whose function cannot be found again by its name.
    """
    found: list[Row] = []

    def row(node: Node, below: list[int]) -> int:
        data = tuple(_portable(node, item) for item in node.parts()[0])
        found.append((type(node), data, tuple(below)))
        return len(found) - 1

    fold(plan, row)
    return tuple(found)


class Decorated:
    """The function behind a task that was decorated: its own name now means the task."""

    __slots__ = ("name", "task")

    def __init__(self, task: Node, name: str) -> None:
        self.task = task
        self.name = name

    def __reduce__(self) -> Any:
        return _action_named, (self.task.action.__module__, self.name)  # type: ignore[attr-defined]


def _action_named(module: str, name: str) -> Any:
    from importlib import import_module

    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found.action


def _portable(node: Node, item: Any) -> Any:
    """An item of a node's data as a pickle can hold it."""
    name = getattr(item, "__qualname__", "")
    if not callable(item) or not name:
        return item
    if "<" in name:
        raise PlanError(
            f"{node.name} cannot be pickled: its function {name} has no name at the top level of {item.__module__};"
            " write it there with def"
        )
    named = vars(sys.modules.get(item.__module__, object)).get(name)
    return Decorated(named, name) if type(named) is Task and named.action is item else item


def regrown(found: tuple[Row, ...]) -> Node:
    """The plan that ``rows`` took apart."""
    made: list[Node] = []
    for kind, data, below in found:
        made.append(kind.from_parts(data, tuple(made[i] for i in below)))
    return made[-1] if made else identity


def step_to(node: Node, child: int) -> tuple[str | int, ...]:
    """What the path to a child adds to the path of its node; one step, or none where a node has one place only."""
    match node:
        case Sequence() | Parallel():
            return (child,)
        case Choose():
            if child < len(node.keys):
                key = node.keys[child]
                return (key if type(key) in (str, int) else str(key),)
            return ("default",)
        case LoopWhile():
            return ("loop", "then")[child : child + 1]
        case Recover():
            return ("try", "or")[child : child + 1]
        case Within():
            return (type(node.bound).__name__.lower(),)
        case Composite():
            return (node.name,)
        case _:
            pass
    return (type(node).__name__.lower(),)


def located(plan: Node) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Every node with its path, parents first, in written order."""
    rest: list[tuple[tuple[str | int, ...], Node]] = [((), plan)]
    while rest:
        at, node = rest.pop()
        yield at, node
        children = node.parts()[1]
        rest.extend(((*at, *step_to(node, i)), children[i]) for i in reversed(range(len(children))))
