"""A change made again, and its form at rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, assert_never

from lambdacat.codec.delta import Delta, Gone, Members, Op, Put, Splice
from lambdacat.codec.refusal import StateCorrupt
from lambdacat.codec.text import Tree, with_room
from lambdacat.merging import without
from lambdacat.place import Attr, Item, Place
from lambdacat.record import record_of
from lambdacat.steps import put_item

_Rows: TypeAlias = list[tuple[Place, Op]]

_NONE: Final[Any] = object()


def applied(before: Any, delta: Delta) -> Any:
    """``before`` with the changes made in it, which it keeps nothing of. Law: an empty delta gives ``before`` itself.

    Errors: ``StateCorrupt`` when the changes were found in another value.
    """
    try:
        return with_room(_after, before, list(delta))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise StateCorrupt(f"a change does not fit the value that it is made in: {error}") from error


def _after(value: Any, rows: _Rows) -> Any:
    inside: dict[Attr | Item, _Rows] = {}
    for place, op in rows:
        if place:
            inside.setdefault(place[0], []).append((place[1:], op))
        else:
            # What was changed inside comes before what is now done to the whole.
            value = _changed(_refilled(value, inside), op)
            inside = {}
    return _refilled(value, inside)


def _changed(value: Any, op: Op) -> Any:
    match op:
        case Put(new):
            return new
        case Gone():
            return _NONE
        case Splice(start, stop, parts):
            if not 0 <= start <= stop <= len(value):
                raise IndexError(f"there are no items {start} to {stop} among {len(value)}")
            return type(value)((*value[:start], *parts, *value[stop:]))
        case Members(removed, added):
            lost = set(removed)
            return type(value)([*(part for part in value if part not in lost), *added])
        case _:
            assert_never(op)


def _refilled(value: Any, inside: dict[Attr | Item, _Rows]) -> Any:
    """The value with changes made in its parts; it is built once, whatever the number of them."""
    if not inside:
        return value
    if (record := record_of(type(value))) is not None:
        row = list(record.read(value))
        for step, rows in inside.items():
            at = record.names.index(step.name) if isinstance(step, Attr) else -1
            if at < 0:
                raise LookupError(f"a record has fields and no item {step}")
            row[at] = _after(row[at], rows)
        return record.build(value, row)
    parts = [(step.key, rows) for step, rows in inside.items() if isinstance(step, Item)]
    if len(parts) < len(inside):
        raise LookupError(f"a {type(value).__name__} has no such fields")
    return _with_items(value, parts) if isinstance(value, Mapping) else _with_places(value, parts)


def _with_items(value: Mapping[Any, Any], parts: list[tuple[Any, _Rows]]) -> Any:
    made: Any = value.copy() if isinstance(value, dict) else value
    for key, rows in parts:
        part = _after(made.get(key, _NONE), rows)
        if part is _NONE:
            made = without(made, key)
        elif isinstance(made, dict):
            made[key] = part
        else:
            made = put_item(made, key, part)
    return made


def _with_places(value: Any, parts: list[tuple[Any, _Rows]]) -> Any:
    if type(value) is not tuple and type(value) is not list:
        raise TypeError(f"a {type(value).__name__} has no items")
    row = list(value)
    for at, rows in parts:
        row[at] = _after(row[at], rows)
    return type(value)(row)


# --- at rest ---------------------------------------------------------------------------------------------------------

_ToTree: TypeAlias = Callable[[Any], Tree]
_FromTree: TypeAlias = Callable[[Tree], Any]


def delta_tree(delta: Delta, to_tree: _ToTree) -> Tree:
    """The changes as JSON data: a row for each, with its place and what becomes of it."""
    return [[[_step_tree(step, to_tree) for step in place], *_op_tree(op, to_tree)] for place, op in delta]


def _step_tree(step: Attr | Item, to_tree: _ToTree) -> Tree:
    # A field is its name; an item stands in a row of its own.
    return step.name if isinstance(step, Attr) else [to_tree(step.key)]


def _op_tree(op: Op, to_tree: _ToTree) -> list[Tree]:
    match op:
        case Put(value):
            return ["put", to_tree(value)]
        case Gone():
            return ["gone"]
        case Splice(start, stop, parts):
            return ["splice", start, stop, list(map(to_tree, parts))]
        case Members(removed, added):
            return ["members", list(map(to_tree, removed)), list(map(to_tree, added))]
        case _:
            assert_never(op)


def delta_of(tree: Tree, from_tree: _FromTree) -> Delta:
    """The changes that a tree says. Errors: ``StateCorrupt``."""
    if type(tree) is not list:
        raise StateCorrupt(f"changes are a list, not {tree!r}")
    return tuple(_row_of(row, from_tree) for row in tree)


def _row_of(row: Tree, from_tree: _FromTree) -> tuple[Place, Op]:
    match row:
        case [[*place], "put", value]:
            op: Op = Put(from_tree(value))
        case [[*place], "gone"]:
            op = Gone()
        case [[*place], "splice", int(start), int(stop), [*parts]]:
            op = Splice(start, stop, tuple(map(from_tree, parts)))
        case [[*place], "members", [*removed], [*added]]:
            op = Members(tuple(map(from_tree, removed)), tuple(map(from_tree, added)))
        case _:
            raise StateCorrupt(f"it is no change as one is written here: {row!r}")
    return tuple(_step_of(step, from_tree) for step in place), op


def _step_of(step: Tree, from_tree: _FromTree) -> Attr | Item:
    match step:
        case str(name):
            return Attr(name)
        case [key]:
            return Item(from_tree(key))
        case _:
            raise StateCorrupt(f"it is no step of a place: {step!r}")
