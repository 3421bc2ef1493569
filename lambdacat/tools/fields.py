"""The fields of a tool: what each may be. An illegal tool cannot be built."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import Attribute

from lambdacat.bound import Estimate, Resource, seconds_of
from lambdacat.merging import own_copy
from lambdacat.place import PlanError

_PART: Final = "[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*"
_NAME: Final = re.compile(rf"{_PART}(?:\.{_PART})+")
_LONGEST: Final = 64
"""Characters of a name, as models take them."""


def model_name(name: str) -> str:
    """A tool's name as models take it, which refuse dots. Law: ``name_of_model(model_name(name)) == name``."""
    return name.replace(".", "__")


def name_of_model(said: str) -> str:
    """The tool's name that a model said."""
    return said.replace("__", ".")


def is_name(_: object, attribute: Attribute[str], value: Any) -> None:
    """Errors: ``PlanError`` for what is not ``category.name``, or too long for a model."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise PlanError(
            f"a tool is named category.name, such as 'weather.get', not {value!r}: letters, digits, and single _ or -"
            " between them"
        )
    if len(model_name(value)) > _LONGEST:
        raise PlanError(f"models take names of at most {_LONGEST} characters, and {value!r} has more")


def is_text(_: object, attribute: Attribute[str], value: Any) -> None:
    """Errors: ``PlanError`` for what is no text."""
    if not isinstance(value, str):
        raise PlanError(f"{attribute.name} is text, not {value!r}")


def row(value: Any) -> tuple[str, ...] | None:
    """Names of resources in their order, each once, from one or several. Errors: ``PlanError``."""
    if value is None:
        return None
    if not isinstance(value, Iterable):
        raise PlanError(f"resources are named: reads='users', or reads=('users', 'mail'), not {value!r}")
    return tuple(sorted({Resource(one).name for one in ((value,) if isinstance(value, str) else value)}))


def own(value: Any) -> Any:
    """A copy of a mapping, which nobody else can change. Errors: ``PlanError``."""
    if value is not None and not isinstance(value, Mapping):
        raise PlanError(f"input=, output= and metadata= are mappings, not {value!r}")
    return None if value is None else own_copy(dict(value))


def positive(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Errors: ``PlanError`` for what is no duration above 0."""
    if value is not None and not seconds_of(value, attribute.name) > 0:
        raise PlanError(f"{attribute.name} is a number of seconds above 0, not {value!r}")


def is_limit(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Errors: ``PlanError`` for what is no number of calls."""
    if value is not None and (type(value) is not int or value < 1):
        raise PlanError(f"limit is a whole number of calls, at least 1, not {value!r}")


def one_of(*known: Any) -> Callable[[object, Attribute[Any], Any], None]:
    """The check that a field is one of these, or None where that is the last of them."""

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if not any(value is one or (type(value) is str and value == one) for one in known):
            raise PlanError(f"{attribute.name} is {', '.join(map(repr, known[:-1]))} or nothing, not {value!r}")

    return check


def is_schema(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Errors: ``PlanError`` for arguments that are no object."""
    if attribute.name == "input" and value is not None and value.get("type") != "object":
        raise PlanError("input= is the JSON Schema of an object, {'type': 'object', 'properties': ...}")


def is_estimate(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Errors: ``PlanError`` for what is no estimate."""
    if value is not None and not isinstance(value, Estimate):
        raise PlanError(f"estimate is an Estimate, such as Estimate(seconds=(1, 3)), not {value!r}")
