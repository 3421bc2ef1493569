"""Values held against types and schemas. The libraries that do it are loaded when the first value comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import PurePath
from typing import Any, TypeAlias, final

from attrs import field, frozen

from lambdacat.place import PlanError

Problem: TypeAlias = str
"""A path and what is wrong there: ``city: expected str, got int``."""

_AT = re.compile(r"(.*?)(?: - at (`key` in )?`(\$.*)`)?", re.DOTALL)


@cache
def loaded() -> Any:
    """msgspec. Errors: ``PlanError`` that says how to install it."""
    try:
        import msgspec
        import msgspec.inspect
        import msgspec.json
    except ImportError:  # pragma: no cover  it comes with the package
        raise PlanError("tools need msgspec: pip install 'lambdacat[tools]'") from None
    return msgspec


# --- types -----------------------------------------------------------------------------------------------------------


def _from_json(kind: Any, value: Any) -> Any:
    """A value of a class that msgspec does not know."""
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    # What stands here becomes: expected `X`, got `int`.
    return value


def converted(value: Any, kind: Any, path: str) -> tuple[Any, Problem]:
    """The value as its type wants it, and what is wrong with it: a path and a reason, or nothing."""
    msgspec = loaded()
    if isinstance(kind, Instance):
        wrong = f"{path}: expected {kind.kind.__name__}, got {type(value).__name__}"
        return value, "" if isinstance(value, kind.kind) else wrong
    try:
        return msgspec.convert(value, kind, dec_hook=_from_json), ""
    except RecursionError:
        return value, f"{path}: nested too deep"
    except msgspec.ValidationError as error:
        return value, _problem(str(error), path)


def _problem(said: str, path: str) -> Problem:
    """A message of msgspec with its path in front."""
    match = _AT.fullmatch(" ".join(said.split()))
    text, key, at = (match[1], match[2], match[3]) if match else (said, None, None)
    spot = f"{path}{(at or '').removeprefix('$')}{' (a key)' if key else ''}"
    text = text.replace("`", "")
    first = text.partition(" ")[0]
    return (
        f"{spot}: {first.lower() if first in ('Expected', 'Object', 'Invalid', 'Array') else first}{text[len(first) :]}"
    )


@final
@frozen
class Instance:
    """A class that msgspec cannot take apart: its own values are right, and no others."""

    kind: type


def expected(tool: str, what: str, kind: Any) -> Any:
    """The type in the form in which values are held against it. Errors: ``PlanError`` when nothing can be."""
    msgspec = loaded()
    try:
        msgspec.convert(None, kind, dec_hook=_from_json)
    except (TypeError, NameError, NotImplementedError) as error:
        if isinstance(kind, type):
            return Instance(kind)
        said = str(error).split("\n")[0]
        raise PlanError(f"{tool}: {what} has a type that nothing can be held against: {said}") from None
    except Exception:  # noqa: BLE001  None is seldom a value of the type, and a user's class says so in its own way
        return kind
    return kind


def _as_json(kind: Any) -> Any:
    """The JSON Schema of a class that msgspec does not know."""
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise NotImplementedError


def defined(tool: str, kinds: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema of each type, and what those refer to. Errors: ``PlanError`` for a type that no JSON says."""
    msgspec, found = loaded(), list[Any]()
    for name, kind in kinds.items():
        # One by one to say which; together to share what they refer to.
        try:
            msgspec.json.schema_components([kind], schema_hook=_as_json)
        except (TypeError, NotImplementedError):
            kind = kind.kind if isinstance(kind, Instance) else kind
            said = getattr(kind, "__name__", None) or repr(kind)
            raise PlanError(
                f"{tool}: {name} is a {said}, of which a model can be told nothing; give input= a JSON Schema, or take"
                " plain values"
            ) from None
        found.append(kind)
    schemas, definitions = msgspec.json.schema_components(found, schema_hook=_as_json, ref_template="#/$defs/{name}")
    return dict(zip(kinds, schemas, strict=True)), dict(sorted(definitions.items()))


def as_json(value: Any, path: str) -> tuple[Any, Problem]:
    """The value in the types that JSON has, and what is wrong with it, or nothing."""
    try:
        json = loaded().json
        return json.decode(json.encode(value)), ""
    except RecursionError:
        return value, f"{path}: nested too deep"
    except (TypeError, ValueError, OverflowError):
        return value, f"{path}: {type(value).__name__} is nothing that JSON has"


# --- JSON Schema -----------------------------------------------------------------------------------------------------

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@final
@frozen
class Schema:
    """A JSON Schema that values of a tool are held against."""

    tool: str
    given: Mapping[str, Any] = field(hash=False)

    @cached_property
    def _checker(self) -> tuple[Any, Any]:
        """What holds values against it, and the exception for what it refers to and does not hold."""
        try:
            import jsonschema  # type: ignore[import-untyped]
            from jsonschema.validators import validator_for  # type: ignore[import-untyped]
            from referencing import Registry
            from referencing.exceptions import Unresolvable
        except ImportError:
            raise PlanError(
                f"{self.tool} says what it takes as JSON Schema, which needs jsonschema: pip install"
                " 'lambdacat[schema]'"
            ) from None
        kind = validator_for(self.given, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(self.given)
        except jsonschema.SchemaError as error:
            raise PlanError(f"{self.tool}: its JSON Schema is none: {error.message}") from None
        # A registry of its own: the default one would fetch what a schema refers to from the network.
        return kind(self.given, registry=Registry()), Unresolvable

    def problems(self, value: Any, path: str = "") -> tuple[Problem, ...]:
        """What it has to say against a value that stands at a path; every problem with its own.

        Errors: ``PlanError`` for a schema that is none, or without the library.
        """
        checker, unresolvable = self._checker
        try:
            errors = list(checker.iter_errors(value))
        except unresolvable as error:
            raise PlanError(f"{self.tool}: its JSON Schema refers to what it does not hold: {error.ref}") from None
        except RecursionError:
            return (f"{path or 'arguments'}: nested too deep",)
        return tuple(sorted(_told(error, path) for error in errors))


def _told(error: Any, path: str) -> Problem:
    """An error of jsonschema as one line."""
    path += "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    said = " ".join(str(error.message).split())
    if error.validator == "type":
        wanted = error.validator_value
        got = "null" if error.instance is None else _KINDS.get(type(error.instance), type(error.instance).__name__)
        said = f"expected {wanted if isinstance(wanted, str) else ' or '.join(wanted)}, got {got}"
    return f"{path.removeprefix('.')}: {said}" if path else said
