"""A change, made again; and its form at rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lambdacat.codec.delta import Delta, Gone, Members, Op, Put, Splice
from lambdacat.codec.refusal import StateCorrupt
from lambdacat.codec.text import Tree, on_fresh_stack
from lambdacat.place import Attr, Item, Place
from lambdacat.record import record_of

_NONE: Final[Any] = object()


def applied(before: Any, delta: Delta) -> Any:
    """``before`` with the changes made in it. Errors: ``StateCorrupt`` when they were found in another value."""
    try:
        return _after(before, list(delta))
    except RecursionError:
        return on_fresh_stack(lambda: _after(before, list(delta)))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise StateCorrupt(f"a change does not fit the value that it is made in: {error}") from error


def _after(value: Any, rows: list[tuple[Place, Op]]) -> Any:
    inside: dict[Attr | Item, list[tuple[Place, Op]]] = {}
    for place, op in rows:
        if place:
            inside.setdefault(place[0], []).append((place[1:], op))
        else:
            value = _made(_refilled(value, inside), op)
            inside = {}
    return _refilled(value, inside)


def _made(value: Any, op: Op) -> Any:
    match op:
        case Put(new):
            return new
        case Gone():
            return _NONE
        case Splice(start, stop, parts):
            if not 0 <= start <= stop <= len(value):
                raise IndexError(f"items {start} to {stop} of {len(value)}")
            return type(value)((*value[:start], *parts, *value[stop:]))
        case Members(removed, added):
            lost = set(removed)
            return type(value)([*(part for part in value if part not in lost), *added])


def _refilled(value: Any, inside: dict[Attr | Item, list[tuple[Place, Op]]]) -> Any:
    """The value with each of these parts changed."""
    if not inside:
        return value
    if (record := record_of(type(value))) is not None:
        row = list(record.read(value))
        for step, rows in inside.items():
            at = record.names.index(step.name if isinstance(step, Attr) else "")
            row[at] = _after(row[at], rows)
        return record.build(value, row)
    if isinstance(value, (tuple, list)):
        parts = list(value)
        for step, rows in inside.items():
            match step:
                case Item(int(at)) if 0 <= at < len(parts):
                    parts[at] = _after(parts[at], rows)
                case _:
                    raise IndexError(f"a row of {len(parts)} has no {step}")
        return type(value)(parts)
    return _with_items(value, inside)


def _with_items(value: Any, inside: dict[Attr | Item, list[tuple[Place, Op]]]) -> Any:
    made = dict(value) if isinstance(value, dict) else value
    for step, rows in inside.items():
        if not isinstance(step, Item):
            raise TypeError(f"{type(value).__name__} has no field {step}")
        part = _after(made.get(step.key, _NONE), rows)
        if part is _NONE:
            made = _without(made, step.key)
        elif isinstance(made, dict):
            made[step.key] = part
        else:
            made = made.insert(step.key, part)
    return made


def _without(made: Any, key: Any) -> Any:
    if isinstance(made, dict):
        del made[key]
        return made
    return made.remove(key)


# --- at rest ---------------------------------------------------------------------------------------------------------


def delta_tree(delta: Delta, to_tree: Callable[[Any], Tree]) -> Tree:
    """The changes as plain JSON data: a row for each, with its place and what becomes of it."""
    return [[[_step_tree(step, to_tree) for step in place], *_op_tree(op, to_tree)] for place, op in delta]


def _step_tree(step: Attr | Item, to_tree: Callable[[Any], Tree]) -> Tree:
    # A field is its name; an item stands in a row of its own.
    return step.name if isinstance(step, Attr) else [to_tree(step.key)]


def _op_tree(op: Op, to_tree: Callable[[Any], Tree]) -> list[Tree]:
    match op:
        case Put(value):
            return ["put", to_tree(value)]
        case Gone():
            return ["gone"]
        case Splice(start, stop, parts):
            return ["splice", start, stop, [to_tree(part) for part in parts]]
        case Members(removed, added):
            return ["members", [to_tree(part) for part in removed], [to_tree(part) for part in added]]


def delta_of(tree: Tree, from_tree: Callable[[Tree], Any]) -> Delta:
    """The changes again. Errors: ``StateCorrupt``."""
    try:
        return tuple((tuple(_step_of(step, from_tree) for step in row[0]), _op_of(row[1:], from_tree)) for row in tree)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise StateCorrupt(f"this is no list of changes: {error}") from error


def _step_of(tree: Tree, from_tree: Callable[[Tree], Any]) -> Attr | Item:
    if isinstance(tree, str):
        return Attr(tree)
    (key,) = tree
    return Item(from_tree(key))


def _op_of(row: list[Tree], from_tree: Callable[[Tree], Any]) -> Op:
    match row:
        case ["put", value]:
            return Put(from_tree(value))
        case ["gone"]:
            return Gone()
        case ["splice", int(start), int(stop), list(parts)]:
            return Splice(start, stop, tuple(map(from_tree, parts)))
        case ["members", list(removed), list(added)]:
            return Members(tuple(map(from_tree, removed)), tuple(map(from_tree, added)))
        case _:
            raise ValueError(f"no change is written as {row!r}")
