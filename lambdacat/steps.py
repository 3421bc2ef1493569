"""The steps that optics are made of: how one part, or each of several, is taken out of a whole and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import reduce
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

from lambdacat.place import Attr, Item
from lambdacat.record import Record, record_of

K = TypeVar("K")


Setter: TypeAlias = Callable[[Any, Any], Any]


def _spliced(cls: type, record: Record, name: str, otherwise: Setter | None = None) -> Setter:
    """A function that copies a ``cls`` with another value for one field.

    ``otherwise`` copies wholes of other classes, where there may be some; then ``cls`` is built by position.
    """
    names, read, build = record.names, record.read, record.build
    at_ = names.index(name)

    def put(whole: Any, part: Any) -> Any:
        row = list(read(whole))
        row[at_] = part
        return build(whole, row)

    if not record.positional:
        return put
    # Written out, as classes write their own constructors: a call with a row of values takes a quarter longer.
    values = ", ".join("part" if one == name else f"whole.{one}" for one in names)
    copied: Setter = eval(  # nothing but names of fields
        compile(
            f"lambda whole, part: make({values}) if type(whole) is make else otherwise(whole, part)",
            f"<a copy of {cls.__name__}>",
            "eval",
        ),
        {"make": cls, "otherwise": otherwise or put, "__name__": __name__},
    )
    return copied


_setters: dict[tuple[type, str], Setter] = {}


def put_field(whole: Any, name: str, part: Any) -> Any:
    """A copy of ``whole`` with another value for a field. Errors: ``AttributeError`` when it has no such field."""
    return _field_setter(whole, name)(whole, part)


def _field_setter(whole: Any, name: str) -> Setter:
    """``put_field`` for wholes of this class and one name."""
    cls = type(whole)
    setter = _setters.get((cls, name))
    if setter is None:
        record = record_of(cls)
        if record is None or name not in record.names:
            if not hasattr(whole, name):
                raise AttributeError(f"{cls.__name__} has no field {name!r}")
            setter = _copied(name)
        else:
            setter = _spliced(cls, record, name)
        _setters[cls, name] = setter
    return setter


def _copied(name: str) -> Setter:
    from copy import copy

    def put(whole: Any, part: Any) -> Any:
        made = copy(whole)
        setattr(made, name, part)
        return made

    return put


_persistent: dict[type, str] = {}


def _putter(kind: type) -> str:
    """The method with which a persistent collection gives a copy with another item; none for other collections."""
    if hasattr(kind, "insert") and not hasattr(kind, "append"):  # rpds.HashTrieMap
        return "insert"
    return "set" if hasattr(kind, "set") and not hasattr(kind, "__setitem__") else ""


def put_item(whole: Any, key: Any, part: Any) -> Any:
    """A copy of a sequence or mapping with another item. Errors: ``IndexError`` past the end of a sequence."""
    kind = type(whole)
    persistent = _persistent.get(kind)
    if persistent is None:
        persistent = _persistent[kind] = _putter(kind)
    if persistent:
        return getattr(whole, persistent)(key, part)
    if isinstance(whole, tuple):
        whole[key]  # out of range is an error, as it is for a list
        place = key + len(whole) if key < 0 else key
        row = (*whole[:place], part, *whole[place + 1 :])
        return type(whole)._make(row) if hasattr(whole, "_make") else row
    if type(whole) is dict:
        return {**whole, key: part}
    from copy import copy

    made = copy(whole)
    made[key] = part
    return made


def _in_order(whole: Any) -> Iterable[Any]:
    """The keys of a mapping or the items of another collection, in an order that is the same in each equal copy.

    Hash maps and sets have none of their own: it differs between processes, and between two maps of ``rpds``.
    """
    if not isinstance(whole, Set) and not (isinstance(whole, Mapping) and _putter(type(whole))):
        found: Iterable[Any] = whole
        return found
    kinds = {type(one) for one in whole}
    if len(kinds) == 1 and kinds <= _SORTED:
        return sorted(whole)
    return sorted(whole, key=lambda one: (type(one).__qualname__, repr(one)))


_SORTED = frozenset({str, bytes, int, float, bool})
"""Classes whose own order is total, and the one that a reader expects."""


def _refilled(whole: Any, parts: Iterable[Any]) -> Any:
    """A collection of the same kind with other items, in order."""
    if isinstance(whole, Mapping):
        row = list(zip(_in_order(whole), parts, strict=True))
        if isinstance(whole, dict):
            made = whole.copy()
            made.update(row)
            return made
        return reduce(lambda made, pair: put_item(made, *pair), row, whole)
    if hasattr(whole, "_make"):
        return type(whole)._make(parts)
    return tuple(parts) if type(whole) is tuple else type(whole)(parts)


@final
class _Each:
    """The step to every item of a sequence, or every value of a mapping."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "each"

    def __str__(self) -> str:
        return "[*]"

    def __reduce__(self) -> str:
        return "each"

    def parts(self, whole: Any) -> tuple[Any, ...]:
        """Every item, in the same order in each equal copy."""
        if isinstance(whole, (str, bytes)):
            raise TypeError(f"each goes through the items of a collection, and {type(whole).__name__} is one value")
        if type(whole) in (tuple, list):
            return tuple(whole)
        row = _in_order(whole)
        return tuple([whole[key] for key in row] if isinstance(whole, Mapping) else row)

    def put(self, whole: Any, parts: Sequence[Any]) -> Any:
        """The whole with other items."""
        return _refilled(whole, parts)


each: Final[_Each] = _Each()
"""Every item of a sequence, or every value of a mapping: ``ITEMS >> each``; alone, ``focus(each, p)`` maps a tuple.

In their own order, and by key where a mapping or a set has none.
"""


@final
class _At(Generic[K]):
    """The step to the item at one key, if it is there."""

    __slots__ = ("key",)

    def __init__(self, key: K) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _At) and type(self.key) is type(other.key) and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash((_At, self.key))

    def __repr__(self) -> str:
        return f"at({self.key!r})"

    def __str__(self) -> str:
        return f"[{self.key!r}?]"

    def parts(self, whole: Any) -> tuple[Any, ...]:
        """The item, or nothing."""
        try:
            return (whole[self.key],)
        except (KeyError, IndexError):
            return ()

    def put(self, whole: Any, parts: Sequence[Any]) -> Any:
        """The whole with another item there, or as it was."""
        return put_item(whole, self.key, parts[0]) if parts else whole


def at(key: K) -> _At[K]:
    """The item at a key or index if it is there: ``USERS >> at("ada")``; a missing one is skipped, never a fault."""
    return _At(key)


def take_step(step: Any, whole: Any) -> tuple[Any, ...]:
    """The parts that one step reaches."""
    if type(step) is Attr:
        return (getattr(whole, step.name),)
    if type(step) is Item:
        return (whole[step.key],)
    parts: tuple[Any, ...] = step.parts(whole)
    return parts


def put_step(step: Any, whole: Any, parts: Sequence[Any]) -> Any:
    """The whole with other parts at one step."""
    if type(step) is Attr:
        return put_field(whole, step.name, parts[0])
    if type(step) is Item:
        return put_item(whole, step.key, parts[0])
    return step.put(whole, parts)


# --- whole paths -----------------------------------------------------------------------------------------------------


def getter_of(steps: tuple[Any, ...]) -> Callable[[Any], Any]:
    """The function that takes the part at the end of steps that each have one."""
    if not steps:
        return lambda whole: whole
    if len(steps) < 50 and all(type(step) is Attr for step in steps):
        return attrgetter(".".join(step.name for step in steps))
    if len(steps) == 1 and type(steps[0]) is Item:
        key = steps[0].key
        return lambda whole: whole[key]

    if len(steps) == 2 and type(steps[0]) is Attr and type(steps[1]) is Item:
        outer, inner = attrgetter(steps[0].name), steps[1].key
        return lambda whole: outer(whole)[inner]

    def get(whole: Any) -> Any:
        for step in steps:
            whole = take_step(step, whole)[0]
        return whole

    return get


def setter_of(steps: tuple[Any, ...], root: Any = None) -> Setter:
    """The function that copies a whole with another part at the end of steps that each have one.

    ``root`` is the class that most wholes are of, if that is known.
    """
    if len(steps) == 1 and type(steps[0]) is Attr:
        return _setter_of_field(steps[0].name, root)
    if len(steps) == 2 and type(steps[0]) is Attr and type(steps[1]) is Item:
        outer, put, key = attrgetter(steps[0].name), _setter_of_field(steps[0].name, root), steps[1].key
        return lambda whole, part: put(whole, put_item(outer(whole), key, part))

    def put_through(whole: Any, part: Any) -> Any:
        above: list[Any] = [whole]
        for step in steps[:-1]:
            above.append(take_step(step, above[-1])[0])
        for step, holder in zip(reversed(steps), reversed(above), strict=False):
            part = put_step(step, holder, (part,))
        return part

    return put_through


def _setter_of_field(name: str, root: Any) -> Setter:
    """``put_field`` for one name, which remembers how the class that it met last is copied."""
    known: tuple[Any, Setter] = (None, lambda whole, part: whole)

    def put(whole: Any, part: Any) -> Any:
        nonlocal known
        cls, setter = known
        if type(whole) is not cls:
            setter = _field_setter(whole, name)
            known = (type(whole), setter)
        return setter(whole, part)

    record = record_of(root) if isinstance(root, type) else None
    known_well = record is not None and record.positional and name in record.names
    return _spliced(root, record, name, put) if record is not None and known_well else put
