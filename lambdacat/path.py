"""``lens``: the path that a function walks, recorded once and held against the fields that its classes declare."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lambdacat.callables import check_plain
from lambdacat.optics import Lens
from lambdacat.place import Attr, Item, PlanError, place_text
from lambdacat.record import field_type, record_of

A = TypeVar("A")
S = TypeVar("S")


class _Walk:
    """Stands for the value that a path function gets, and keeps the steps that it takes."""

    __slots__ = ("_steps_taken",)

    def __init__(self, steps: tuple[Attr | Item, ...]) -> None:
        object.__setattr__(self, "_steps_taken", steps)

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return _Walk
        return _Walk((*_steps(self), Attr(name)))

    def __getitem__(self, key: object) -> Any:
        if isinstance(key, (slice, _Walk)):
            raise PlanError(f"a lens goes to one item, not to [{'another path' if isinstance(key, _Walk) else key}]")
        return _Walk((*_steps(self), Item(key)))


def _steps(walk: _Walk) -> tuple[Attr | Item, ...]:
    steps: tuple[Attr | Item, ...] = object.__getattribute__(walk, "_steps_taken")
    return steps


def _refuse(name: str) -> Callable[..., Any]:
    def refused(self: _Walk, *_: object, **__: object) -> Any:
        spot = place_text(_steps(self)) or "the whole"
        raise PlanError(
            f"a lens only walks attributes and items, but its function applies {name} at {spot}; test with .where(...),"
            " compute in a step"
        )

    return refused


_OPERATORS = (
    "bool call iter len contains eq ne lt le gt ge hash add radd sub rsub mul rmul truediv floordiv mod pow and or xor"
    " neg pos abs invert int float str format index next enter exit await aiter setattr setitem delattr delitem"
)
for _name in _OPERATORS.split():
    setattr(_Walk, f"__{_name}__", _refuse(f"__{_name}__"))


def lens(root: type[S], path: Callable[[S], A]) -> Lens[S, A]:
    """The lens that ``path`` spells out: the function runs once on a recorder of attributes, keys and indices.

    Errors: ``PlanError`` when the function does anything but walk, or walks to a field that its class does not have.
    """
    if not isinstance(root, type) and typing.get_origin(root) is None:
        raise PlanError(f"lens wants the class of the state first, not {root!r}")
    if not callable(path):
        raise PlanError(f"lens wants a function that walks to the part, such as lambda s: s.{path}, not {path!r}")
    check_plain("lens", path)
    try:
        walked: Any = path(_Walk(()))  # type: ignore[arg-type]
    except PlanError:
        raise
    except Exception as error:
        raise PlanError(f"the path function of lens({_name_of(root)}, ...) raised {error!r}") from error
    if type(walked) is not _Walk:
        raise PlanError(f"the path function of lens({_name_of(root)}, ...) must return the part it walked to")
    steps = _steps(walked)
    if "_field_defaults" in vars(root) if isinstance(root, type) else False:
        from lambdacat.declared import adopt

        adopt(root)
    _check(root, steps)
    return Lens(root, steps)


def type_at(place: Lens[Any, Any]) -> Any:
    """The class declared for what a lens reaches; None when it is not known, or one of several."""
    return _one_of(_declared(place))


def admits_none(place: Lens[Any, Any]) -> bool:
    """Whether what a lens reaches may be None, as far as the declared types tell: where they tell nothing, it may."""
    return _admits_none(_declared(place))


def _declared(place: Lens[Any, Any]) -> Any:
    """The type declared for what a lens reaches, with all that it admits; None when it is not known."""
    declared: Any = place.root
    for step in place.steps:
        kind = _one_of(declared)
        if kind is None:
            return None
        declared = _field(kind, step.name)[1] if isinstance(step, Attr) else _item(kind, step.key)[1]
    return declared


def _one_of(declared: Any) -> Any:
    """The class that a declared type admits besides None; None when it is not known, or one of several."""
    kinds = _alternatives(declared)
    return kinds[0] if len(kinds) == 1 else None


def _admits_none(declared: Any) -> bool:
    while typing.get_origin(declared) is typing.Annotated:
        declared = typing.get_args(declared)[0]
    origin = typing.get_origin(declared)
    if origin in (typing.Union, types.UnionType):
        return any(map(_admits_none, typing.get_args(declared)))
    if origin is typing.Literal:
        return None in typing.get_args(declared)
    return declared in (type(None), object, Any) or not isinstance(origin or declared, type)


def lens_parent(place: Lens[Any, Any]) -> tuple[type, str] | None:
    """The class of record whose field a lens ends in, and the field; None where it ends elsewhere, or nobody knows."""
    *before, last = place.steps or (None,)
    if not isinstance(last, Attr):
        return None
    kind: Any = place.root
    for step in before:
        inner = _field(kind, step.name)[1] if isinstance(step, Attr) else _item(kind, step.key)[1]
        kinds = _alternatives(inner)
        kind = kinds[0] if len(kinds) == 1 else None
        if kind is None:
            return None
    return (kind, last.name) if isinstance(kind, type) else None


def _name_of(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def _check(root: Any, steps: tuple[Attr | Item, ...]) -> None:
    """Refuse a step to a field that is not there, as far as the declared types tell."""
    kinds: tuple[Any, ...] = (root,)
    for step in steps:
        if not kinds:
            return
        found: list[Any] = []
        problems: list[str] = []
        for kind in kinds:
            problem, inner = _field(kind, step.name) if isinstance(step, Attr) else _item(kind, step.key)
            if problem:
                problems.append(problem)
            else:
                found.extend(_alternatives(inner))
        if len(problems) == len(kinds):
            raise PlanError(problems[0])
        kinds = () if None in found else tuple(found)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The classes that a declared type admits, None among them when one is unknown."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(inner for one in typing.get_args(kind) if one is not type(None) for inner in _alternatives(one))
    known = isinstance(kind, type) or isinstance(typing.get_origin(kind), type)
    return (kind,) if known and kind is not object else (None,)


def _field(kind: Any, name: str) -> tuple[str, Any]:
    """What is wrong with the field ``name`` of ``kind``, or its declared type."""
    cls = typing.get_origin(kind) or kind
    record = record_of(cls)
    if record is None:
        if cls in (tuple, list, dict, str, int, float, bool, bytes) or hasattr(cls, "__total__"):
            return f"{_name_of(cls)} has no fields; reach an item with [...] instead of .{name}", None
        return "", field_type(cls, name)
    if name in record.names:
        return "", field_type(cls, name)
    if hasattr(cls, name):
        return f"{cls.__name__}.{name} is no field: a lens must be able to set what it reaches", None
    from difflib import get_close_matches

    close = get_close_matches(name, record.names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(record.names) or 'no fields'}"
    return f"{cls.__name__} has no field {name!r}; {hint}", None


def _item(kind: Any, key: object) -> tuple[str, Any]:
    """What is wrong with the item ``key`` of ``kind``, or its declared type."""
    cls, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if hasattr(cls, "__total__") and hasattr(cls, "__annotations__"):
        if key in cls.__annotations__:
            return "", field_type(cls, str(key))
        from difflib import get_close_matches

        close = get_close_matches(str(key), list(cls.__annotations__), n=1, cutoff=0.5)
        return f"{cls.__name__} has no key {key!r}" + (f"; did you mean {close[0]!r}?" if close else ""), None
    if issubclass(cls, (str, bytes, int, float, set, frozenset)):
        return f"{cls.__name__} has no items that a lens could set", None
    if issubclass(cls, tuple) and arguments:
        if Ellipsis in arguments:
            return "", arguments[0]
        if type(key) is int and not -len(arguments) <= key < len(arguments):
            return f"a tuple of {len(arguments)} has no item {key}", None
        return "", arguments[key] if type(key) is int else None
    if issubclass(cls, Mapping) and len(arguments) == 2:
        return "", arguments[1]
    if issubclass(cls, Sequence) and len(arguments) == 1:
        return "", arguments[0]
    return "", None
