"""What is certain of a node from its children, and of a class from its fields: what the rules of ``check`` ask."""

from __future__ import annotations

import types
import typing
from collections import abc
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from inspect import isabstract
from pathlib import PurePath
from typing import Any

from lambdacat.bound import Retry
from lambdacat.plan import (
    Attempt,
    Choose,
    Composite,
    Parallel,
    Plan,
    Recover,
    Sequence,
    Within,
    _Fail,
    _Identity,
)
from lambdacat.policy import All, NBest, Quorum
from lambdacat.record import field_type, record_of
from lambdacat.schedule import Exponential, Fixed, Schedule, _Jittered, _Then, _Times, _UpTo


def faultless(node: Plan[Any, Any], below: list[bool]) -> bool:
    """Whether it surely ends with a value. A user's function may always raise, so few nodes are."""
    match node:
        case _Identity() | Attempt():
            return True
        case Sequence() | Composite():
            return all(below)
        case Within():
            return type(node.bound) is Retry and below[0]
        case Recover():
            return below[0] or (node.other is not None and below[1])
        case _:
            return False


def faults_surely(node: Plan[Any, Any], below: list[bool]) -> bool:
    """Whether it can only end with a fault."""
    match node:
        case _Fail():
            return True
        case Sequence():
            return any(below)
        case Parallel():
            return any(below) if type(node.policy) is All else _race_lost(node, below)
        case Choose():
            return all(below)
        case Composite() | Within():
            return below[0]
        case Recover():
            return node.other is not None and all(below)
        case _:
            return False


def _race_lost(node: Parallel[Any, Any], below: list[bool]) -> bool:
    alive = sum(not doomed for doomed in below)
    match node.policy:
        case Quorum(k=wanted) | NBest(n=wanted):
            return alive < wanted
        case _:
            return False


_FAR = 1_000_000
"""An attempt that no schedule of a user's own is asked for, unless it has no end."""


def endless(schedule: Schedule) -> bool:
    """Whether a schedule never says that it is at its end, however long it is."""
    match schedule:
        case Fixed() | Exponential():
            return True
        case _Times():
            return False
        case _UpTo(inner=inner):
            # Only delays of nothing never add up.
            return endless(inner) and inner.delay(_FAR) == 0
        case _Jittered(inner=inner):
            return endless(inner)
        case _Then(first=first, second=second):
            return endless(first) or endless(second)
        case _:
            return schedule.delay(_FAR) is not None


_BETTER = {
    list: "a tuple",
    dict: "an rpds HashTrieMap",
    set: "a frozenset",
    bytearray: "bytes",
}


def changeable(root: type) -> Iterator[str]:
    """What can be changed in place in a state of this class, each in a clause that says what to use instead."""
    record = record_of(root)
    if record is not None and not record.frozen:
        yield ", which can be changed in place, so that every branch gets a copy; make it frozen"
    for name, declared in _fields(root):
        said = next(filter(None, map(_doubt_of, _kinds(declared))), "")
        if said:
            yield f", whose field {name} {said}"


def _doubt_of(kind: Any) -> str:
    """What is doubtful about a field of this kind, in words; empty where nothing is."""
    if kind is object:
        return "may be anything, and what can be changed in place is shared by all branches; declare what it is"
    if not isinstance(kind, type) or kind is Any or issubclass(kind, _STEADY):
        return ""
    better = next((better for builtin, better in _BETTER.items() if issubclass(kind, builtin)), "")
    if better:
        return f"is a {kind.__name__}, copied for every branch and compared by value; use {better}"
    record = record_of(kind)
    if record is not None:
        copied = "which can be changed in place, so that every branch gets a copy"
        return "" if record.frozen else f"is a {kind.__name__}, {copied}; make it frozen"
    if not _changes_in_place(kind):
        return ""
    shared = "which can be changed in place and is shared by all branches: of two changes one is lost"
    return f"is a {kind.__name__}, {shared}; use a frozen class"


_STEADY = (Enum, PurePath, Fraction, BaseException, type)
"""Classes written in Python whose values nobody changes, though nothing hinders them."""


def _changes_in_place(kind: Any) -> bool:
    """Whether its values take items or attributes: as their kind of collection says, or else as their class does."""
    if issubclass(kind, (abc.Mapping, abc.Sequence, abc.Set)):
        return issubclass(kind, (abc.MutableMapping, abc.MutableSequence, abc.MutableSet))
    if kind.__setattr__ is not object.__setattr__ or isabstract(kind) or getattr(kind, "_is_protocol", False):
        return False
    return kind.__dictoffset__ != 0 or any(vars(one).get("__slots__") for one in kind.__mro__)


def _fields(root: type) -> list[tuple[str, Any]]:
    record = record_of(root)
    if record is not None:
        return [(name, field_type(root, name)) for name in record.names]
    if hasattr(root, "__total__"):
        return [(name, field_type(root, name)) for name in root.__annotations__]
    return []


def _kinds(declared: Any) -> Iterator[Any]:
    """The classes that a declared type admits at its outside."""
    rest = [declared]
    while rest:
        one = rest.pop()
        origin = typing.get_origin(one)
        if origin is typing.Annotated:
            rest.append(typing.get_args(one)[0])
        elif origin in (typing.Union, types.UnionType):
            rest.extend(typing.get_args(one))
        else:
            yield origin or one


def has_no_default(root: Any, name: str) -> bool:
    """Whether whoever makes the state must give this field, as far as its class tells."""
    if isinstance(root, type):
        for attribute in getattr(root, "__attrs_attrs__", ()):
            if attribute.name == name:
                import attrs

                return attribute.default is attrs.NOTHING and bool(attribute.init)
        if name in (fields := getattr(root, "__dataclass_fields__", {})):
            import dataclasses

            return fields[name].default is dataclasses.MISSING and fields[name].default_factory is dataclasses.MISSING
        if name in getattr(root, "_fields", ()):
            return name not in root._field_defaults  # type: ignore[attr-defined]
        if name in (models := getattr(root, "model_fields", {})):
            return bool(models[name].is_required())
    return False
