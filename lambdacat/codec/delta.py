"""What changed between two values of one class, as small data.

Records are compared field by field, mappings key by key, sequences by what they have in common; parts that are one
object are never looked into. Where a part cannot be followed it is put whole: a change may be larger than it must be,
and is never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress, count
from operator import is_not
from typing import Any, Final, TypeAlias, final

from attrs import frozen
from returns.result import Failure, Success
from rpds import HashTrieSet, List, Queue

from lambdacat.codec.tables import DEEPEST
from lambdacat.codec.text import with_room
from lambdacat.place import Attr, Item, Place
from lambdacat.record import record_of


@final
@frozen
class Put:
    """Another value there."""

    value: Any


@final
@frozen
class Gone:
    """The item is no longer there."""


@final
@frozen
class Splice:
    """A sequence whose items from ``start`` up to ``stop`` were replaced by ``parts``."""

    start: int
    stop: int
    parts: tuple[Any, ...]


@final
@frozen
class Members:
    """A set that lost members and got others."""

    removed: tuple[Any, ...]
    added: tuple[Any, ...]


Op: TypeAlias = Put | Gone | Splice | Members

Delta: TypeAlias = tuple[tuple[Place, Op], ...]
"""Changes in the order in which they are made, each with its place; the empty one is no change."""

_Found: TypeAlias = list[tuple[Place, Op]]


def changes(before: Any, after: Any) -> Delta | None:
    """What to change in ``before`` to have ``after``; None when they are of different classes.

    Law: ``applied(before, changes(before, after)) == after``, with the same classes at every level.
    """
    if type(before) is not type(after):
        return None
    return tuple(with_room(_found, (), before, after, DEEPEST))


def _found(place: Place, before: Any, after: Any, room: int) -> _Found:
    if before is after:
        return []
    kind = type(before)
    if type(after) is not kind or room <= 0:
        return [(place, Put(after))]
    if kind in _EXACT:
        return [] if before == after else [(place, Put(after))]
    if (record := record_of(kind)) is not None:
        return _in_fields(place, record.names, record.read(before), record.read(after), room - 1)
    if kind is tuple or kind is list:
        return _in_row(place, before, after, room - 1)
    if kind in _SETS:
        return _in_set(place, before, after, room - 1)
    if isinstance(before, Mapping):
        return _in_items(place, before, after, room - 1)
    if kind in _WRAPPED:
        parts = _WRAPPED[kind]
        return [(place, Put(after))] if _found((), parts(before), parts(after), room - 1) else []
    # Equal is not the same: 0.0 and -0.0, two times of one instant, two spellings of a decimal.
    return [] if _equal(before, after) and repr(before) == repr(after) else [(place, Put(after))]


def _equal(before: Any, after: Any) -> bool:
    try:
        return bool(before == after)
    except Exception:  # noqa: BLE001  a class may refuse to compare; then its value counts as another one
        return False


_EXACT: Final = frozenset({bool, int, str, bytes, bytearray, type(None)})
"""Classes whose equal values are the same."""

_SETS: Final = frozenset({set, frozenset, HashTrieSet})

_WRAPPED: Final[dict[type, Callable[[Any], tuple[Any, ...]]]] = {
    Success: lambda value: (value.unwrap(),),
    Failure: lambda value: (value.failure(),),
    List: tuple,
    Queue: tuple,
}
"""Classes whose parts no place leads to: they are compared by part, and put whole."""


def _in_fields(place: Place, names: tuple[str, ...], before: Any, after: Any, room: int) -> _Found:
    found: _Found = []
    for at in compress(count(), map(is_not, before, after)):
        found += _found((*place, Attr(names[at])), before[at], after[at], room)
    return found


# --- by key ----------------------------------------------------------------------------------------------------------

_NONE: Final[Any] = object()


def _in_items(place: Place, before: Mapping[Any, Any], after: Mapping[Any, Any], room: int) -> _Found:
    logged = after.changed_since(before) if hasattr(after, "changed_since") else None
    if logged is not None and all(type(key) is str for key in logged):
        return _in_keys(place, before, after, logged, room)
    whole: _Found = [(place, Put(after))]
    if not _same_keys(before, after, room):
        return whole
    found: _Found = []
    kept = 0
    for key, part in after.items():
        old = before.get(key, _NONE)
        kept += old is not _NONE
        if old is not part:
            spot = (*place, Item(key))
            found += [(spot, Put(part))] if old is _NONE else _found(spot, old, part, room)
    if kept < len(before):
        gone = [((*place, Item(key)), Gone()) for key in before if key not in after]
        found = [*gone, *found]
    if not kept or not all(_is_steady(step.key) for step in _steps(found, len(place))):
        return whole if found else []
    return found if type(before) is not dict or _keeps_order(before, after) else whole


def _keeps_order(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> bool:
    """Whether new keys stand after the old ones, as they do when they are put."""
    return [*(key for key in before if key in after), *(key for key in after if key not in before)] == list(after)


def _in_keys(
    place: Place, before: Mapping[Any, Any], after: Mapping[Any, Any], keys: Iterable[str], room: int
) -> _Found:
    """What changed under keys that a map's own log names; the others are the same."""
    gone: _Found = []
    found: _Found = []
    for key in sorted(keys):
        old, part = before.get(key, _NONE), after.get(key, _NONE)
        spot = (*place, Item(key))
        if part is _NONE:
            gone += [(spot, Gone())] if old is not _NONE else []
        elif old is not part:
            found += [(spot, Put(part))] if old is _NONE else _found(spot, old, part, room)
    return [*gone, *found]


def _steps(found: _Found, depth: int) -> Iterator[Any]:
    return (place[depth] for place, _ in found)


def _same_keys(before: Mapping[Any, Any], after: Mapping[Any, Any], room: int) -> bool:
    """Whether equal keys are the same: 1 and True are equal, and a mapping keeps the one it had."""
    if set(map(type, before)) | set(map(type, after)) <= {str}:
        return True
    own = {key: key for key in before}
    return all(not _found((), own.get(key, key), key, room) for key in after)


def _is_steady(key: Any) -> bool:
    """Whether the key would find itself after it was stored and read: NaN is found by identity alone."""
    kind = type(key)
    if kind in _EXACT:
        return True
    if kind is tuple or kind is frozenset:
        return all(map(_is_steady, key))
    record = record_of(kind)
    return _equal(key, key) if record is None else all(map(_is_steady, record.read(key)))


def _in_set(place: Place, before: Any, after: Any, room: int) -> _Found:
    own = {part: part for part in before}
    # A member that is equal to another one and not the same goes out first, or it would stay.
    added = tuple(part for part in after if (old := own.get(part, _NONE)) is _NONE or _found((), old, part, room))
    other = set(added)
    removed = tuple(part for part in before if part in other or part not in after)
    if not removed and not added:
        return []
    if len(added) == len(after) or not all(map(_is_steady, (*removed, *added))):
        return [(place, Put(after))]
    return [(place, Members(removed, added))]


# --- by order --------------------------------------------------------------------------------------------------------


def _in_row(place: Place, before: Any, after: Any, room: int) -> _Found:
    dropped = _slid(before, after)
    if dropped:
        kept = len(before) - dropped
        grown: _Found = [(place, Splice(kept, kept, (*after[kept:],)))] if len(after) > kept else []
        return [(place, Splice(0, dropped, ())), *grown]
    start, known = _common(place, before, after, room)
    end = _common_end(place, before, after, known, start, room)
    old, new = len(before) - start - end, len(after) - start - end
    pairs = min(old, new)
    found: _Found = []
    for at in range(start, start + pairs):
        if at in known:
            found += known[at]
        elif before[at] is not after[at]:
            found += _found((*place, Item(at)), before[at], after[at], room)
    parts = (*after[start : start + new],)
    if pairs and len(found) >= pairs and all(len(spot) == len(place) + 1 and type(op) is Put for spot, op in found):
        whole = new == len(after) and old == len(before)
        return [(place, Put(after) if whole else Splice(start, start + old, parts))]
    if old != new:
        found.append((place, Splice(start + pairs, start + old, parts[pairs:])))
    return found


# Two items are compared once at each level: again at each would be exponential in the depth.
_Known: TypeAlias = dict[int, _Found]


def _common(place: Place, before: Any, after: Any, room: int) -> tuple[int, _Known]:
    """How many items the beginnings share, and what changed in the first that they do not."""
    for at in compress(count(), map(is_not, before, after)):
        if first := _found((*place, Item(at)), before[at], after[at], room):
            return at, {at: first}
    return min(len(before), len(after)), {}


def _common_end(place: Place, before: Any, after: Any, known: _Known, start: int, room: int) -> int:
    """How many items the ends share that are past ``start`` in both."""
    most = min(len(before), len(after)) - start
    for end in compress(count(), map(is_not, reversed(before), reversed(after))):
        at = len(before) - 1 - end
        if end >= most or (at in known and len(before) == len(after)):
            return min(end, most)
        if last := _found((*place, Item(at)), before[at], after[-1 - end], room):
            known.update({at: last} if len(before) == len(after) else {})
            return end
    return most


def _slid(before: Any, after: Any) -> int:
    """How many items were dropped in front of a row that otherwise only grew at its end; 0 for any other change."""
    if len(before) < 2 or not after or _alike(before[0], after[0]):
        return 0
    dropped = next((at for at, part in enumerate(before) if _alike(part, after[0])), 0)
    kept = len(before) - dropped
    if not dropped or kept > len(after) or not all(map(_alike, before[dropped:], after)):
        return 0
    return dropped


def _alike(before: Any, after: Any) -> bool:
    return before is after or (type(before) in _EXACT and type(before) is type(after) and bool(before == after))
