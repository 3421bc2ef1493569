"""The classes that a plan speaks of: what its journal may write and read without further declaration."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, get_type_hints

from lambdacat.asking import Ask
from lambdacat.codec import Codec, Codecs, classes_in
from lambdacat.interpreters.journal import Journal
from lambdacat.optics import Traversal
from lambdacat.plan import Bind, Focus, Plan, Pure, Task
from lambdacat.structure import fold

Node = Plan[Any, Any]


def codecs_of(plan: Node, journal: Journal) -> Codecs:
    """The codecs that a journal declares, and the classes that the plan's lenses and annotations name."""
    given: Any = getattr(journal, "codecs", None)
    declared: Codecs = given if isinstance(given, Codecs) else Codecs()
    known = {codec.cls for codec in declared.codecs}
    names = {codec.name for codec in declared.codecs}
    hints: list[Any] = []
    fresh: list[type] = []

    def look(node: Node, below: list[None]) -> None:
        hints.extend(_hints(node))

    fold(plan, look)
    for cls in sorted(classes_in(*hints) - known, key=lambda cls: (cls.__qualname__, cls.__module__)):
        # Of two classes with one name only declared ones can be told apart, so neither is guessed.
        if _storable(cls) and cls.__qualname__ not in names:
            fresh.append(cls)
            names.add(cls.__qualname__)
    return declared.with_(*fresh) if fresh else declared


def _storable(cls: type) -> bool:
    try:
        Codec(cls)
    except (TypeError, ValueError):
        return False
    return True


def _hints(node: Node) -> Iterator[Any]:
    match node:
        case Task():
            for lens in (*(node.reads or ()), *(node.writes or ())):
                yield lens.root
            yield from _annotations(node.action)
        case Pure():
            yield from _annotations(node.f)
        case Bind():
            yield from _annotations(node.f)
        case Focus():
            for optic in (node.reads, node.writes):
                if isinstance(optic, Traversal):
                    yield optic.root
        case Ask() if node.into is not None:
            yield node.into.root


def _annotations(action: Any) -> list[Any]:
    while isinstance(action, partial):
        action = action.func
    function = action if hasattr(action, "__annotations__") else getattr(type(action), "__call__", action)  # noqa: B004
    try:
        return list(get_type_hints(function, include_extras=True).values())
    except Exception:  # noqa: BLE001  an annotation may be any expression; what it names can be declared instead
        return []
