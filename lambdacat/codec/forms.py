"""How values of a user's class come apart into fields and are made of them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, Flag
from functools import cache
from inspect import Parameter, signature
from typing import Any, NamedTuple

from lambdacat.codec.tables import MARK
from lambdacat.record import Record, declared_fields, record_of

_set = object.__setattr__


class Form(NamedTuple):
    """The names of what is stored of a value, how it is taken, and how a value is made of it."""

    names: tuple[str, ...]
    take: Callable[[Any], Sequence[Any]]
    make: Callable[[Sequence[Any]], Any]


@cache
def form_of(cls: Any) -> Form:
    """The form of a class of records or an enum.

    Errors: ``ValueError`` for any other class, and for records whose constructor does not take their fields.
    """
    if issubclass(cls, Enum):
        return _enum(cls)
    record = record_of(cls)
    if record is None:
        raise ValueError(
            f"{cls.__qualname__} is no record (attrs, dataclass, named tuple, pydantic) and no enum; declare it with "
            f"Codec({cls.__qualname__}, encode=..., decode=...)"
        )
    if strange := [name for name in record.names if name.startswith(MARK)]:
        raise _own_codec(cls, f"has fields whose names begin with {MARK!r}: {strange}")
    if hasattr(cls, "model_validate") and hasattr(cls, "model_fields"):
        return _model(cls, record)
    return Form(record.names, record.read, _maker(cls, record))


def _own_codec(cls: Any, why: str) -> ValueError:
    name = cls.__qualname__
    return ValueError(f"{name} {why}; say how it is stored: Codec({name}, encode=..., decode=...)")


def _enum(cls: Any) -> Form:
    if issubclass(cls, Flag):
        # A combination of flags has no name of its own.
        return Form(("value",), lambda value: (value.value,), lambda row: cls(row[0]))
    return Form(("name",), lambda value: (value.name,), lambda row: cls[row[0]])


def _maker(cls: Any, record: Record) -> Callable[[Sequence[Any]], Any]:
    """The constructor as a function of the fields in order. Law: validators and converters run."""
    if record.positional:
        return lambda row: cls(*row)
    declared = declared_fields(cls)
    aliases = record.names if declared is None else declared[1]
    _check_constructor(cls, set(aliases) - {""})
    given = [(place, alias) for place, alias in enumerate(aliases) if alias]
    later = [(place, name) for place, name in enumerate(record.names) if not aliases[place]]

    def make(row: Sequence[Any]) -> Any:
        made = cls(**{alias: row[place] for place, alias in given})
        for place, name in later:  # fields that no constructor takes
            _set(made, name, row[place])
        return made

    return make


def _check_constructor(cls: Any, aliases: set[str]) -> None:
    try:
        parameters = signature(cls).parameters.values()
    except (TypeError, ValueError):
        raise _own_codec(cls, "has a constructor that cannot be looked at") from None
    wants = {p.name for p in parameters if p.default is Parameter.empty and p.kind not in _OPEN}
    if missing := sorted(wants - aliases):
        raise _own_codec(cls, f"has a constructor that wants {', '.join(missing)}, which it has no field for")
    if Parameter.VAR_KEYWORD not in {p.kind for p in parameters}:
        takes = {p.name for p in parameters if p.kind is not Parameter.POSITIONAL_ONLY}
        if left := sorted(aliases - takes):
            raise _own_codec(cls, f"has a constructor that does not take its fields {', '.join(left)}")


_OPEN = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)


def _model(cls: Any, record: Record) -> Form:
    """A pydantic model: its fields, what else its values carry, and which fields were given to it."""
    plain = tuple(name for name in record.names if name in cls.model_fields)
    hidden = record.names[len(plain) :]
    root = getattr(cls, "__pydantic_root_model__", False)

    def take(value: Any) -> tuple[Any, ...]:
        return (*record.read(value), sorted(value.model_fields_set))

    def make(row: Sequence[Any]) -> Any:
        *parts, given = row
        beside = dict(zip(hidden, parts[len(plain) :], strict=True))
        fields = {**dict(zip(plain, parts, strict=False)), **(beside.get("__pydantic_extra__") or {})}
        made = cls(fields["root"]) if root else cls.model_validate(fields, by_alias=False, by_name=True)
        if "__pydantic_private__" in beside:
            _set(made, "__pydantic_private__", beside["__pydantic_private__"])
        _set(made, "__pydantic_fields_set__", set(given))
        return made

    return Form((*record.names, "__pydantic_fields_set__"), take, make)
