"""How collections are written: what JSON has as itself, the others as tagged rows.

Order is kept where a collection has one. Sets and persistent maps have none, so that theirs is the order of the written
forms: equal values give equal bytes, whatever the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from returns.result import Failure, Success
from rpds import HashTrieMap, HashTrieSet, List, Queue

from lambdacat.codec.atoms import is_clean
from lambdacat.codec.refusal import NotStorable, StateCorrupt
from lambdacat.codec.tables import (
    MARK,
    Reader,
    Readers,
    Writer,
    Writers,
    content,
    need_room,
    read,
    read_items,
    read_row,
    too_deep,
    written_row,
)
from lambdacat.codec.text import Tree, text_of
from lambdacat.place import Item


def write_list(value: list[Any], room: int, writers: Writers) -> Tree:
    """A list stands for itself."""
    return written_row(value, room, writers)


def _settled(value: Any) -> Any:
    """A persistent map or set, once it is sure that walking it ends: rpds never gets past a key that is not itself."""
    if len(list(islice(value, len(value) + 1))) > len(value):
        raise NotStorable("a key of it is not equal to itself, as NaN is not")
    return value


def _row(
    kind: Any, make: Callable[[list[Any]], Any], *, ordered: bool = True, given: Callable[[Any], Any] = iter
) -> tuple[Writer, Reader]:
    """A collection written as the row of its parts."""
    tag = kind.__name__

    def write(value: Any, room: int, writers: Writers) -> Tree:
        row = written_row(given(value), room, writers)
        return {MARK: tag, "of": row if ordered else canonical(row)}

    def read_one(tree: Any, room: int, readers: Readers) -> Any:
        row = read_row(content(tree, list), room, readers)
        made = _hashed(make, row)
        if not ordered and len(made) != len(row):
            raise StateCorrupt(f"a part of a {tag} is there twice")
        return made

    return write, read_one


def _hashed(make: Callable[[Any], Any], parts: Any) -> Any:
    try:
        return make(parts)
    except TypeError as error:
        raise StateCorrupt(f"a part has no hash: {error}") from error


def _persistent(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A maker of maps or sets that refuses what rpds cannot hold, and so never wrote."""

    def made(parts: Any) -> Any:
        classes: dict[int, type] = {}
        for key in parts:
            if key != key:
                raise StateCorrupt("a key is not equal to itself")
            if classes.setdefault(hash(key), type(key)) is not type(key):
                raise StateCorrupt("keys of two classes have one hash, and cannot be told apart")
        return make(parts)

    return made


def canonical(row: list[Tree]) -> list[Tree]:
    """The trees in an order that depends on nothing but themselves."""
    if len(row) > 1:
        kinds = set(map(type, row))
        row.sort(key=None if kinds == {str} or kinds == {int} else text_of)
    return row


# --- mappings --------------------------------------------------------------------------------------------------------


def _plain_keys(value: Mapping[Any, Any]) -> bool:
    return all(type(key) is str and is_clean(key) for key in value)


def _written_values(value: Mapping[Any, Any], keys: Iterable[str], room: int, writers: Writers) -> dict[str, Tree]:
    too_deep(room)
    room -= 1
    tree: dict[str, Tree] = {}
    key = ""
    try:
        for key in keys:
            part = value[key]
            tree[key] = writers[type(part)](part, room, writers)
    except NotStorable as error:
        error.inside(Item(key))
        raise
    return tree


def _written_pairs(value: Mapping[Any, Any], room: int, writers: Writers) -> list[list[Tree]]:
    too_deep(room)
    room -= 1
    pairs: list[list[Tree]] = []
    key: Any = None
    try:
        for key, part in value.items():
            pairs.append([writers[type(part)](part, room, writers) for part in (key, part)])
    except NotStorable as error:
        error.inside(Item(key))
        raise
    return pairs


def _write_dict(value: dict[Any, Any], room: int, writers: Writers) -> Tree:
    if MARK not in value and _plain_keys(value):
        return _written_values(value, value, room, writers)
    return {MARK: "dict", "items": _written_pairs(value, room, writers)}


def _write_map(value: Any, room: int, writers: Writers) -> Tree:
    if _plain_keys(_settled(value)):
        return {MARK: "HashTrieMap", "of": _written_values(value, sorted(value), room, writers)}
    pairs = _written_pairs(value, room, writers)
    pairs.sort(key=lambda pair: text_of(pair[0]))
    return {MARK: "HashTrieMap", "items": pairs}


def _read_pairs(tree: dict[str, Any], room: int, readers: Readers) -> dict[Any, Any]:
    need_room(room)
    made: dict[Any, Any] = {}
    try:
        for pair in content(tree, list, "items"):
            if type(pair) is not list or len(pair) != 2:
                raise StateCorrupt("an item is a pair of key and value")
            key = read(pair[0], room - 1, readers)
            _put(made, key, read(pair[1], room - 1, readers))
    except StateCorrupt as error:
        error.inside(Item(len(made)))
        raise
    return made


def _put(made: dict[Any, Any], key: Any, part: Any) -> None:
    try:
        twice = key in made
    except TypeError as error:
        raise StateCorrupt(f"a key has no hash: {error}") from error
    if twice:
        raise StateCorrupt(f"the key {key!r} is there twice")
    made[key] = part


_to_map = _persistent(HashTrieMap)


def _read_map(tree: dict[str, Any], room: int, readers: Readers) -> Any:
    if "items" in tree:
        return _to_map(_read_pairs(tree, room, readers))
    return HashTrieMap(read_items(content(tree, dict), room, readers))


# --- outcomes --------------------------------------------------------------------------------------------------------


def _outcome(kind: Any, take: Callable[[Any], Any]) -> tuple[Writer, Reader]:
    tag = kind.__name__

    def write(value: Any, room: int, writers: Writers) -> Tree:
        return {MARK: tag, "of": written_row((take(value),), room, writers)}

    def read_one(tree: Any, room: int, readers: Readers) -> Any:
        row = read_row(content(tree, list), room, readers)
        if len(row) != 1:
            raise StateCorrupt(f"a {tag} holds one value")
        return kind(row[0])

    return write, read_one


CONTAINERS: Final[dict[type, tuple[Writer, Reader]]] = {
    tuple: _row(tuple, tuple),
    set: _row(set, set, ordered=False),
    frozenset: _row(frozenset, frozenset, ordered=False),
    dict: (_write_dict, _read_pairs),
    HashTrieMap: (_write_map, _read_map),
    HashTrieSet: _row(HashTrieSet, _persistent(HashTrieSet), ordered=False, given=_settled),
    List: _row(List, List),
    Queue: _row(Queue, Queue),
    Success: _outcome(Success, lambda value: value.unwrap()),
    Failure: _outcome(Failure, lambda value: value.failure()),
}
"""How each class of collections is written and read."""
