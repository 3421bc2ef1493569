"""What is certain of a node from its children, and of a class from its fields: what the rules of ``check`` ask."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
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
from lambdacat.policy import All, Settled
from lambdacat.record import field_type, record_of


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
    if type(node.policy) is Settled:
        return False
    wanted: int = getattr(node.policy, "n", None) or node.policy.k
    return sum(not doomed for doomed in below) < wanted


_BETTER = {
    list: "a tuple",
    dict: "an rpds HashTrieMap",
    set: "a frozenset",
    bytearray: "bytes",
}


def mutable_fields(root: type) -> Iterator[tuple[str, str, str]]:
    """The fields that hold a mutable builtin: name, kind, and what to use instead."""
    for name, declared in _fields(root):
        kind = next((kind for kind in _kinds(declared) if kind in _BETTER), None)
        if kind is not None:
            yield name, kind.__name__, _BETTER[kind]


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
