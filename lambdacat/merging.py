"""Joins: how the results of branches become one value. The default is a three-way merge of what each branch changed.

Parts are compared by identity, so the cost is the number of fields and never the size of an unchanged one. Mutable
builtins (list, dict, set) are copied for each branch and compared by value, so a branch that mutates in place harms
no other and loses nothing.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cache
from operator import is_not
from typing import Any, TypeVar, final

from attrs import field, frozen

from lambdacat.callables import check_plain
from lambdacat.place import Attr, Item, Place, PlanError, place_text
from lambdacat.record import field_type, record_of

A = TypeVar("A")
S = TypeVar("S")

Combine = Callable[[Any, Any, Any], Any]
_GONE: Any = object()


class Conflict(Exception):
    """Branches changed one place and no merge is declared for it; inside a run it becomes ``MergeConflict``."""

    def __init__(self, place: Place, branches: tuple[int, ...]) -> None:
        super().__init__(f"branches {branches} all changed {place_text(place) or 'the whole value'}")
        self.place = place
        self.branches = branches


# --- declared merges -------------------------------------------------------------------------------------------------


def _plain(_: object, attribute: object, combine: Any) -> None:
    if not callable(combine):
        raise PlanError(f"a merge is a function of fork, left and right, not {combine!r}")
    check_plain("a merge", combine)


@final
@frozen
class Merges:
    """Declares a merge in an annotation, for any class: ``hits: Annotated[tuple[Hit, ...], Merges(concat)]``."""

    combine: Combine = field(validator=_plain)


def merged(combine: Callable[[A, A, A], A], *, default: A) -> A:
    """A state field whose concurrent changes combine as ``combine(fork, left, right)`` instead of conflicting.

    For attrs classes, dataclasses and named tuples; every class takes the annotation ``Merges``.

    Law: to keep ``&`` commutative, so must ``combine`` be; ``lambdacat.testing`` checks it.
    """
    from lambdacat.declared import MergedField, watch_body

    watch_body()
    declared: Any = MergedField(combine, default)
    made: A = declared
    return made


def concat(fork: tuple[A, ...], left: tuple[A, ...], right: tuple[A, ...]) -> tuple[A, ...]:
    """A merge for append-only tuples: the fork, then what left added, then what right added.

    Errors: ``ValueError`` when a branch did not keep the fork as its beginning.
    """
    n = len(fork)
    if left[:n] != fork or right[:n] != fork:
        raise ValueError("concat merges branches that append; one of them changed or removed what was there")
    return left + right[n:]


def _merges_of(cls: type) -> Mapping[str, Combine]:
    from lambdacat.declared import adopt

    found: dict[str, Combine] = {}
    record = record_of(cls)
    if record is None:
        return found
    adopt(cls)  # what is found is kept: a class that was made without a body has not been looked at yet
    attributes = {a.name: a.metadata for a in getattr(cls, "__attrs_attrs__", ())}
    fields = {name: f.metadata for name, f in getattr(cls, "__dataclass_fields__", {}).items()}
    named = getattr(cls, "_field_merges", {})
    for name in record.names:
        declared = {**attributes, **fields}.get(name, {}).get(Merges) or named.get(name)
        if declared is None and typing.get_origin(hint := field_type(cls, name)) is typing.Annotated:
            declared = next((m for m in hint.__metadata__ if isinstance(m, Merges)), None)
        if declared is not None:
            found[name] = declared.combine
    return found


merges_of: Callable[[type], Mapping[str, Combine]] = cache(_merges_of)
"""The declared merges of a class, by field."""


def is_merged(root: Any, place: Place) -> bool:
    """Whether a field at ``place`` or above it declares a merge, or its class, as far as the declared types tell."""
    kind = root
    for step in place:
        cls = _class_of(kind)
        if cls is None:
            return False
        if hasattr(cls, "__merge__"):
            return True
        if isinstance(step, Attr):
            if step.name in merges_of(cls):
                return True
            kind = field_type(cls, step.name)
        else:
            kind = (typing.get_args(kind) or (None,))[-1 if issubclass(cls, Mapping) else 0]
    return hasattr(_class_of(kind), "__merge__")


def _class_of(kind: Any) -> type | None:
    """The class that a declared type means, if it means one."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    cls = typing.get_origin(kind) or kind
    return cls if isinstance(cls, type) else None


# --- the three-way merge ---------------------------------------------------------------------------------------------


def merge(fork: S, results: tuple[S, ...]) -> S:
    """The default join: each branch's change against the fork, applied in written order.

    Errors: ``FootprintConflict`` when composed, if two declared writes meet; ``MergeConflict`` when run.
    """
    if len(results) == 1:
        return results[0]
    made: S = _merged((), fork, [(i, tip) for i, tip in enumerate(results) if tip is not fork], None)
    return made


def collect(fork: object, results: tuple[A, ...]) -> tuple[A, ...]:
    """The join that keeps the results as they are, in the policy's order."""
    return results


def _merged(place: Place, base: Any, tips: list[tuple[int, Any]], combine: Combine | None) -> Any:
    """What ``tips``, none of which is ``base``, make of it."""
    kind = type(base)
    if combine is not None or kind in _MUTABLE:
        tips = [tip for tip in tips if not unchanged(base, tip[1])]
    if not tips:
        return base
    if combine is not None:
        made = tips[0][1]
        for _, tip in tips[1:]:
            made = combine(base, made, tip)
        return made
    if any(type(tip) is not kind for _, tip in tips):
        return _only(place, base, tips)
    if hasattr(kind, "__merge__"):
        # The class says how: what its values are made of need not combine part by part.
        return base.__merge__(place, tips) if len(tips) > 1 else tips[0][1]
    if (record := record_of(kind)) is not None:
        return _merged_fields(place, base, tips, record)
    if isinstance(base, Mapping):
        return _merged_items(place, base, tips) if len(tips) > 1 else tips[0][1]
    if kind in (tuple, list) and len(tips) > 1 and all(len(tip) == len(base) for _, tip in tips):
        row = list(base)
        for key, changes in _changes(range(len(base)), base, [(i, tip) for i, tip in tips]).items():
            row[key] = _merged((*place, Item(key)), base[key], changes, None)
        return kind(row)
    return _only(place, base, tips)


def _only(place: Place, base: Any, tips: list[tuple[int, Any]]) -> Any:
    """The one change there is. Errors: ``Conflict`` when there are more."""
    if len(tips) > 1:
        # What looks changed may be the copy that a branch was given and left alone, or an equal number or text.
        tips = [tip for tip in tips if not unchanged(base, tip[1])]
    if len(tips) > 1:
        raise Conflict(place, tuple(index for index, _ in tips))
    return tips[0][1] if tips else base


def _changes(keys: Sequence[Any], base: Any, rows: list[tuple[int, Any]]) -> dict[Any, list[tuple[int, Any]]]:
    """For each key that some row changed, who changed it to what."""
    found: dict[Any, list[tuple[int, Any]]] = {}
    for index, row in rows:
        # Most rows change a field or none, so the scan for any change stays in C.
        for key, changed in zip(keys, map(is_not, row, base), strict=True):
            if changed:
                found.setdefault(key, []).append((index, row[key]))
    return found


def _merged_fields(place: Place, base: Any, tips: list[tuple[int, Any]], record: Any) -> Any:
    names, read = record.names, record.read
    row = list(read(base))
    changes = _changes(range(len(names)), tuple(row), [(index, read(tip)) for index, tip in tips])
    if len(tips) == 1 and not any(type(row[key]) in _MUTABLE for key in changes):
        return tips[0][1]
    merges = merges_of(type(base))
    touched = False
    for key, who in changes.items():
        made = _merged((*place, Attr(names[key])), row[key], who, merges.get(names[key]))
        touched = touched or made is not row[key]
        row[key] = made
    return record.build(base, row) if touched else base


def _merged_items(place: Place, base: Mapping[Any, Any], tips: list[tuple[int, Any]]) -> Any:
    from lambdacat.steps import put_item

    changes: dict[Any, list[tuple[int, Any]]] = {}
    for index, tip in tips:
        for key in _candidates(base, tip):
            value = tip.get(key, _GONE)
            if base.get(key, _GONE) is not value:
                changes.setdefault(key, []).append((index, value))
    # A persistent map costs nothing to take over, so there the first branch has its own changes already.
    made, first = (copy(base), None) if isinstance(base, dict) else (tips[0][1], tips[0][0])
    for key, who in changes.items():
        if len(who) == 1 and who[0][0] == first:
            continue
        old = base.get(key, _GONE)
        value = who[0][1] if len(who) == 1 else _merged((*place, Item(key)), old, who, None)
        if value is _GONE:
            made = without(made, key) if key in made else made
        elif isinstance(made, dict):
            made[key] = value
        else:
            made = put_item(made, key, value)
    return made


def _candidates(base: Mapping[Any, Any], tip: Any) -> Iterable[Any]:
    """The keys that may differ: those that a map's own log names, or all."""
    logged = tip.changed_since(base) if hasattr(tip, "changed_since") else None
    return dict.fromkeys((*tip, *base)) if logged is None else logged


def without(whole: Any, key: Any) -> Any:
    """A mapping without one of its keys; a dict is changed in place."""
    if isinstance(whole, dict):
        del whole[key]
        return whole
    for method in ("remove", "delete", "discard"):  # rpds, immutables, pyrsistent
        if hasattr(whole, method):
            return getattr(whole, method)(key)
    raise TypeError(f"{type(whole).__name__} has no way to leave a key out")


# --- one private copy of what is mutable for each branch -------------------------------------------------------------

_MUTABLE = frozenset({list, dict, set, bytearray})
_ATOMS = frozenset({int, float, bool, str, bytes, complex, type(None), type, range, frozenset})


def _is_mutable(kind: type) -> bool:
    return kind in _MUTABLE or issubclass(kind, (list, dict, set, bytearray))


def mutable_parts(value: Any) -> bool:
    """Whether something that can be changed in place is reachable through records, tuples and builtins."""
    rest = [value]
    seen: set[int] = set()
    while rest:
        one = rest.pop()
        kind = type(one)
        if kind in _ATOMS or id(one) in seen:
            continue
        if _is_mutable(kind):
            return True
        seen.add(id(one))
        record = record_of(kind)
        if record is not None:
            if not record.frozen:
                return True
            rest.extend(record.read(one))
        elif kind is tuple:
            rest.extend(part for part in one if type(part) not in _ATOMS)
    return False


def own_copy(value: Any, copies: dict[int, Any] | None = None) -> Any:
    """The value with everything in it that can be changed in place copied, and the rest shared."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    copies = {} if copies is None else copies
    if id(value) in copies:
        return copies[id(value)]
    if _is_mutable(kind):
        made = copies[id(value)] = copy(value)
        if isinstance(made, dict):
            for key, part in value.items():
                made[key] = own_copy(part, copies)
        elif isinstance(made, list):
            made[:] = [own_copy(part, copies) for part in value]
        return made
    record = record_of(kind)
    if record is not None and not record.frozen:
        made = copies[id(value)] = copy(value)
        for name, part in zip(record.names, record.read(value), strict=True):
            object.__setattr__(made, name, own_copy(part, copies))
        return made
    if record is None and kind is not tuple:
        return value
    old: Any = value if record is None else record.read(value)
    parts = [own_copy(part, copies) for part in old]
    if any(map(is_not, parts, old)):
        value = tuple(parts) if record is None else record.twin(value, parts)
    copies[id(value)] = value
    return value


def unchanged(base: Any, tip: Any) -> bool:
    """Whether ``tip`` is ``base``, or a copy of it that nobody changed.

    Atoms and collections of builtin classes are compared by value, so that what Python happens to keep one object of
    (small numbers, short texts) makes no difference; everything else by identity, so that no user's ``==`` is called.
    """
    if base is tip:
        return True
    kind = type(base)
    if type(tip) is not kind:
        return False
    if kind in _ATOMS:
        return _same_atom(base, tip)
    if isinstance(base, dict):
        return len(base) == len(tip) and all(key in tip and unchanged(value, tip[key]) for key, value in base.items())
    if isinstance(base, (set, bytearray)):
        return bool(base == tip)
    if kind is tuple or isinstance(base, list):
        return len(base) == len(tip) and all(map(unchanged, base, tip))
    record = record_of(kind)
    return record is not None and all(map(unchanged, record.read(base), record.read(tip)))


def _same_atom(base: Any, tip: Any) -> bool:
    """Whether two atoms of one class are one value: 0.0 and -0.0 are two, and NaN is nobody's equal."""
    return bool(base == tip) and (type(base) not in (float, complex) or repr(base) == repr(tip))
