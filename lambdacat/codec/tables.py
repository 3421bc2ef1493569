"""The two tables that a registry is made of: how a class is written, how a tag is read.

Writers and readers are plain functions that are handed the table they stand in, so that what is nested goes through
the same one. ``room`` is how many levels may still be nested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, Final, TypeAlias

from lambdacat.codec.refusal import NotStorable, StateCorrupt
from lambdacat.codec.text import Tree
from lambdacat.place import Item

DEEPEST: Final = 200
"""How many containers a stored value may nest."""

MARK: Final = "$"
"""The key that makes a JSON object a tagged one."""

VERSION: Final = "$v"
"""The key for the version of a tagged object; left out for version 1."""


class Writers(dict[type, "Writer"]):
    """By class: the tree of a value of it. Law: exact classes only; a subclass is another class."""

    def __missing__(self, kind: type) -> Writer:
        raise NotStorable(
            f"{kind.__module__}.{kind.__qualname__} is not declared; give it to Codecs(...): records and enums by "
            "their class, others by Codec(cls, encode=..., decode=...)"
        )


class Readers(dict[str, "Reader"]):
    """By tag: the value of a tagged object."""

    def __missing__(self, tag: str) -> Reader:
        raise StateCorrupt(f"no class is declared for the tag {tag!r}; nothing undeclared is loaded")


Writer: TypeAlias = Callable[[Any, int, Writers], Tree]
Reader: TypeAlias = Callable[[dict[str, Any], int, Readers], Any]

PLAIN: Final = frozenset({bool, type(None)})
"""Classes whose values never need a tag."""
PLAIN_TREES: Final = frozenset({str, int, bool, type(None)})
"""Classes whose trees are their values."""


def too_deep(room: int) -> None:
    """Errors: ``NotStorable`` when no room is left."""
    if room <= 0:
        raise NotStorable(f"it is nested deeper than {DEEPEST} levels, or holds itself")


def written_row(row: Iterable[Any], room: int, writers: Writers) -> list[Tree]:
    """The trees of parts that stand in a row."""
    too_deep(room)
    made: list[Tree] = []
    room -= 1
    try:
        for part in row:
            kind = type(part)
            made.append(part if kind in PLAIN else writers[kind](part, room, writers))
    except NotStorable as error:
        error.inside(Item(len(made)))
        raise
    return made


def read(tree: Tree, room: int, readers: Readers) -> Any:
    """The value of a tree. Errors: ``StateCorrupt``."""
    kind = type(tree)
    if kind in PLAIN_TREES:
        return tree
    if kind is float:
        if not isfinite(tree):
            raise StateCorrupt("a number is too large for a float")
        return tree
    if kind is list:
        return read_row(tree, room, readers)
    if kind is not dict:
        raise StateCorrupt(f"{kind.__qualname__} is nothing that JSON has")
    if MARK not in tree:
        return read_items(tree, room, readers)
    tag = tree[MARK]
    if type(tag) is not str:
        raise StateCorrupt(f"a tag is a text, not {tag!r}")
    return readers[tag](tree, room, readers)


def need_room(room: int) -> None:
    """Errors: ``StateCorrupt`` when no room is left."""
    if room <= 0:
        raise StateCorrupt(f"it is nested deeper than {DEEPEST} levels")


def read_row(row: list[Tree], room: int, readers: Readers) -> list[Any]:
    """The values of trees that stand in a row."""
    need_room(room)
    made: list[Any] = []
    room -= 1
    try:
        for part in row:
            made.append(part if type(part) in PLAIN_TREES else read(part, room, readers))  # noqa: PERF401
    except StateCorrupt as error:
        error.inside(Item(len(made)))
        raise
    return made


def read_items(tree: dict[str, Tree], room: int, readers: Readers) -> dict[str, Any]:
    """The values of a JSON object whose keys stand for themselves."""
    need_room(room)
    made: dict[str, Any] = {}
    room -= 1
    key = ""
    try:
        for key, part in tree.items():
            made[key] = part if type(part) in PLAIN_TREES else read(part, room, readers)
    except StateCorrupt as error:
        error.inside(Item(key))
        raise
    return made


def content(tree: dict[str, Tree], kind: type, name: str = "of") -> Any:
    """The one thing that a tagged object holds besides its tag. Errors: ``StateCorrupt`` for another shape."""
    if len(tree) != 2 or type(found := tree.get(name)) is not kind:
        raise StateCorrupt(f"a {tree[MARK]} is written with one {kind.__name__} under {name!r}; found {sorted(tree)}")
    return found
