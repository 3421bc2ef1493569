"""What a class of records is made of: its field names, how to read all of them, how to build it again.

One place knows attrs, dataclasses, named tuples and pydantic models; optics and merging only see a ``Record``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, cast

_set = object.__setattr__


class Record(NamedTuple):
    """The fields of one class, in order, and how its values are taken apart and built."""

    names: tuple[str, ...]
    read: Callable[[Any], tuple[Any, ...]]
    build: Callable[[Any, Sequence[Any]], Any]
    """A copy of a value with these field values; ``names`` order."""
    positional: bool
    """Whether ``cls(*values)`` is that copy, so that fused steps may call the class themselves."""
    twin: Callable[[Any, Sequence[Any]], Any]
    """The same value, made of copies of its own parts: nothing of the user's checks or converts it again."""
    frozen: bool = True
    """Whether its values cannot be changed in place."""


def reader_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """The function that takes these fields of a value, as a tuple."""
    if not names:
        return lambda whole: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda whole: (one(whole),)
    return attrgetter(*names)


def _by_position(whole: Any, values: Sequence[Any]) -> Any:
    return type(whole)(*values)


def _by_keyword(aliases: tuple[str, ...]) -> Callable[[Any, Sequence[Any]], Any]:
    return lambda whole, values: type(whole)(**dict(zip(aliases, values, strict=True)))


def _remade(whole: Any, values: Sequence[Any]) -> Any:
    return whole._make(values)


def _by_copy(names: tuple[str, ...]) -> Callable[[Any, Sequence[Any]], Any]:
    """For classes that do not take all their fields: a shallow copy, fields set past any freezing."""
    from copy import copy

    def build(whole: Any, values: Sequence[Any]) -> Any:
        made = copy(whole)
        for name, value in zip(names, values, strict=True):
            _set(made, name, value)
        return made

    return build


def _pydantic(cls: Any) -> Record:
    """A model: its fields, and what else its values may carry."""
    names = tuple(cls.model_fields)
    open_ = cls.model_config.get("extra") == "allow"
    hidden = (*("__pydantic_extra__",) * open_, *("__pydantic_private__",) * bool(cls.__private_attributes__))
    every, checked = (*names, *hidden), (*names, "__pydantic_extra__")
    read, twin = reader_of(every), _by_copy(every)
    partial: dict[frozenset[str], _PartialModel] = {}

    def build(whole: Any, values: Sequence[Any]) -> Any:
        row = dict(zip(every, values, strict=True))
        changed = frozenset(name for name, old in zip(every, read(whole), strict=True) if row[name] is not old)
        # Its own, since a model changes them in place.
        row.update((name, dict(row[name])) for name in hidden if row[name] is not None)
        if changed.isdisjoint(checked):
            return twin(whole, tuple(row.values()))
        if changed not in partial:
            partial[changed] = _PartialModel(cls, changed)
        extra, private = row.get("__pydantic_extra__"), row.get("__pydantic_private__")
        made = partial[changed].copy({name: row[name] for name in names} | (extra or {}), private)
        _set(made, "__pydantic_fields_set__", whole.__pydantic_fields_set__ | changed.intersection(names))
        return made

    return Record(every, read, build, positional=False, frozen=bool(cls.model_config.get("frozen")), twin=twin)


_private: ContextVar[dict[str, Any] | None] = ContextVar("private attributes of the model that is copied", default=None)


class _PartialModel:
    """A model's own validators, but for the fields that did not change: those are taken as they are.

    So the validators of a field see what is new, once, and those of the model the whole of it; what stays is the very
    same object. A copy is not begun again: no constructor of the user's runs.
    """

    def __init__(self, cls: Any, changed: frozenset[str]) -> None:
        from pydantic_core import SchemaValidator

        schema = cls.__pydantic_core_schema__
        shared = list(schema.get("definitions", ()))
        self._cls = cls
        self._is_root: bool = cls.__pydantic_root_model__
        self._changed = changed
        self._known = {one["ref"]: one for one in shared}
        self._config = cast("Any", {"title": cls.__name__})
        whole = self._schema(schema["schema"] if shared else schema)
        checked: Any = SchemaValidator({"type": "definitions", "schema": whole, "definitions": shared}, self._config)
        self._validated = checked.validate_python

    def copy(self, fields: dict[str, Any], private: dict[str, Any] | None) -> Any:
        """A model with these fields and private attributes. Errors: pydantic's ``ValidationError``."""
        token = _private.set(private)
        try:
            return self._validated(fields["root"] if self._is_root else fields)
        finally:
            _private.reset(token)

    def _schema(self, schema: Any) -> Any:
        kind = schema["type"]
        if kind == "definition-ref":
            return self._schema(self._known[schema["schema_ref"]])
        if kind == "model":
            self._config.update(schema.get("config", {}))
            inner = schema["schema"] if self._is_root else self._schema(schema["schema"])
            return {"type": "function-after", "function": {"type": "no-info", "function": self._made}, "schema": inner}
        if kind == "model-fields":
            return {**schema, "fields": {name: self._field(name, field) for name, field in schema["fields"].items()}}
        # A reference has one meaning, and that is the model as it is.
        return {key: self._schema(one) if key == "schema" else one for key, one in schema.items() if key != "ref"}

    def _field(self, name: str, field: Any) -> Any:
        # By its own name, also where input has an alias for it.
        return {"type": "model-field", "schema": field["schema"] if name in self._changed else {"type": "any"}}

    def _made(self, validated: Any) -> Any:
        fields, extra, given = ({"root": validated}, None, {"root"}) if self._is_root else validated
        made = self._cls.__new__(self._cls)
        _set(made, "__dict__", fields)
        _set(made, "__pydantic_extra__", extra)
        _set(made, "__pydantic_fields_set__", given)
        _set(made, "__pydantic_private__", _private.get())
        return made


def _is_frozen(cls: Any) -> bool:
    params = getattr(cls, "__dataclass_params__", None)
    if params is not None and not hasattr(cls, "__attrs_attrs__"):
        return bool(params.frozen)
    return cls.__setattr__ is not object.__setattr__ and "frozen" in getattr(cls.__setattr__, "__name__", "")


def declared_fields(cls: type) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The field names of an attrs class or dataclass, and the names that its constructor has for them."""
    if attributes := getattr(cls, "__attrs_attrs__", None):
        return tuple(a.name for a in attributes), tuple(a.alias if a.init else "" for a in attributes)
    if hasattr(cls, "__attrs_attrs__"):
        return (), ()
    if fields := getattr(cls, "__dataclass_fields__", None):
        kept = [f for f in fields.values() if f._field_type.name == "_FIELD"]
        return tuple(f.name for f in kept), tuple(f.name if f.init else "" for f in kept)
    return None


def _record_of(cls: type) -> Record | None:
    if issubclass(cls, tuple):
        names = getattr(cls, "_fields", None)
        if names is None:
            return None
        # A named tuple reads itself: it already is the tuple of its values.
        return Record(tuple(names), tuple, _remade, positional=False, twin=_remade)
    if isinstance(getattr(cls, "model_fields", None), Mapping):
        return _pydantic(cls)
    declared = declared_fields(cls)
    if declared is None:
        return None
    names, aliases = declared
    read, twin = reader_of(names), _by_copy(names)
    taken, frozen = _parameters(cls), _is_frozen(cls)
    if taken is not None and "" not in aliases:
        if tuple(name for name, keyword in taken if not keyword) == aliases == tuple(name for name, _ in taken):
            return Record(names, read, _by_position, positional=True, twin=twin, frozen=frozen)
        if {name for name, _ in taken} == set(aliases):
            return Record(names, read, _by_keyword(aliases), positional=False, twin=twin, frozen=frozen)
    return Record(names, read, twin, positional=False, twin=twin, frozen=frozen)


# A checker cannot see that classes are hashable, so the cache is typed by hand.
record_of: Callable[[type], Record | None] = cache(_record_of)
"""How values of a class are taken apart, or None when it is no class of records."""


def _parameters(cls: type) -> list[tuple[str, bool]] | None:
    """The constructor's parameters with whether each is keyword-only; None where it takes any."""
    from inspect import Parameter, signature

    try:
        found = signature(cls).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL) for p in found):
        return None
    return [(p.name, p.kind is Parameter.KEYWORD_ONLY) for p in found]


def field_type(cls: type, name: str) -> Any:
    """The type declared for a field, or None when it cannot be resolved.

    One annotation at a time: a field that only type checkers understand must not hide its neighbours.
    """
    from types import SimpleNamespace
    from typing import get_type_hints

    for owner in cls.__mro__:
        declared = vars(owner).get("__annotations__", {})
        if name in declared:
            module = vars(sys.modules.get(owner.__module__, SimpleNamespace()))
            one: Any = SimpleNamespace(__annotations__={name: declared[name]})
            try:
                return get_type_hints(one, module, dict(vars(owner)), include_extras=True)[name]
            except Exception:  # noqa: BLE001  an annotation may be any expression; unknown is a fine answer
                return None
    return None
