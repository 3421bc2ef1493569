"""Which classes a type speaks of."""

from __future__ import annotations

import typing
from enum import Enum
from typing import Any, Final
from weakref import WeakKeyDictionary

from lambdacat.record import field_type, record_of


def classes_in(*hints: Any) -> frozenset[type]:
    """Every class of records and every enum that can be reached from types or annotations.

    Through fields, items of typed dicts, type arguments, unions, ``Annotated``, aliases and bounds of type variables.
    What cannot be resolved is left out: a class that only type checkers see cannot be found.
    """
    found: set[type] = set()
    rest = [*hints]
    seen: set[int] = set()
    kept: list[Any] = []  # an annotation made on the fly must live as long as its id is remembered
    while rest:
        one = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        kept.append(one)
        if isinstance(one, type) and typing.get_origin(one) is None:
            if issubclass(one, Enum) and one.__module__ != "enum":
                found.add(one)
                continue
            if record_of(one) is not None:
                found.add(one)
            rest.extend(_fields(one))
        rest.extend(_inside(one))
    return frozenset(found)


_KNOWN: Final[WeakKeyDictionary[type, list[Any]]] = WeakKeyDictionary()


def _fields(cls: type) -> list[Any]:
    """The annotations of the fields of a class that has some."""
    if cls in _KNOWN:
        return _KNOWN[cls]
    found = _annotations(cls)
    if None not in found:
        _KNOWN[cls] = found  # what cannot be resolved now may be later, when its module has gone on
    return found


def _annotations(cls: Any) -> list[Any]:
    models = getattr(cls, "model_fields", None)
    if isinstance(models, dict):
        return [found.annotation for found in models.values()]
    record = record_of(cls)
    names = record.names if record is not None else cls.__annotations__ if typing.is_typeddict(cls) else ()
    return [field_type(cls, name) for name in names]


def _inside(hint: Any) -> list[Any]:
    """What an annotation is made of."""
    if typing.get_origin(hint) is typing.Literal:
        return [type(value) for value in typing.get_args(hint)]
    if typing.get_origin(hint) is typing.Annotated:
        return [typing.get_args(hint)[0]]
    parts: list[Any] = [typing.get_origin(hint), getattr(hint, "__supertype__", None)]
    for part in typing.get_args(hint):
        parts.extend(part if isinstance(part, (list, tuple)) else [part])
    if isinstance(hint, typing.TypeVar):
        parts.extend((hint.__bound__, *hint.__constraints__))
    if hasattr(hint, "__value__") and not isinstance(hint, type):  # type X = ... of Python 3.12
        parts.append(hint.__value__)
    return parts
