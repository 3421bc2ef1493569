"""What a command has to say: text, an exit code, and values as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lambdacat.text_forms import written

FAILED = 1
"""Exit code of a fault, of findings and of a broken law."""

WAITING = 3
"""Exit code of a run that waits for an answer."""


class UsageError(Exception):
    """What a user asked for cannot be done; the message is one line."""


class Interrupted(BaseException):
    """A signal ended a command; everything it had started has stopped."""

    @property
    def code(self) -> int:
        """The exit code, as shells count: 128 and the number of the signal."""
        return 128 + int(self.args[0])


@frozen
class Shown:
    """What a command has to say: text for stdout, an aside for stderr, the exit code."""

    text: str
    code: int = 0
    aside: str = ""
    error: BaseException | None = None
    """What ``--debug`` shows in full."""


def fields_of(kind: Any) -> Mapping[str, tuple[str, bool]] | None:
    """The fields of a class of records by the name its constructor takes: own name, whether required."""
    import attrs

    if not isinstance(kind, type):
        return None
    if issubclass(kind, tuple) and (names := getattr(kind, "_fields", None)) is not None:
        return {name: (name, name not in kind._field_defaults) for name in names}  # type: ignore[attr-defined]
    if isinstance(models := getattr(kind, "model_fields", None), Mapping):
        return {f.alias or name: (name, f.is_required()) for name, f in models.items()}
    if attrs.has(kind):
        return {a.alias or a.name: (a.name, a.default is attrs.NOTHING) for a in attrs.fields(kind) if a.init}
    if not hasattr(kind, "__dataclass_fields__"):
        return None
    from dataclasses import MISSING, fields

    return {f.name: (f.name, f.default is MISSING and f.default_factory is MISSING) for f in fields(kind) if f.init}


def as_json(value: Any) -> str:
    """The value as JSON, records as objects; its repr where JSON has no form for it.

    NaN and infinities are written as Python's own ``json`` has them, which ``--input`` reads.
    """
    import json

    try:
        return json.dumps(value, default=_jsonable, indent=2)
    except (TypeError, ValueError, RecursionError):
        return _represented(value)


def _represented(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  a value whose repr raises must not turn a result into a traceback
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def _jsonable(value: Any) -> Any:
    from enum import Enum

    from returns.result import Failure, Success

    if (declared := fields_of(type(value))) is not None:
        more = getattr(value, "__pydantic_extra__", None) or {}
        return {key: getattr(value, name) for key, (name, _) in declared.items()} | more
    match value:
        case Success(inner):
            return {"success": inner}
        case Failure(fault):
            return {"failure": str(fault)}
        case Enum():
            return value.name
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value, key=repr)
        case _:
            return written(value)
