"""What an agent remembers: entries by key, each with where and when it came from, within bounds that always hold."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from attrs import evolve, field, frozen
from attrs.validators import instance_of

from lambdacat.codec import Codecs
from lambdacat.merging import own_copy
from lambdacat.state.capacity import Capacity, Line, line_of, made_room, tidied
from lambdacat.state.every import Upkeep
from lambdacat.state.forgets import Forgets
from lambdacat.state.logged import LoggedMap
from lambdacat.state.origin import NOWHERE, Origin

if TYPE_CHECKING:
    from lambdacat.place import Place

_set: Final = object.__setattr__
_REQUIRED: Final[Any] = object()


class NotRemembered(KeyError):
    """Nothing is remembered under a key."""

    def __str__(self) -> str:
        # A KeyError shows the repr of its message.
        return str(self.args[0])


@final
@frozen
class Entry:
    """One thing that is remembered. Units: ``size`` in bytes of the encoded value; 0 where no bound asks for it."""

    _value: Any
    origin: Origin
    stamp: int
    """When it was remembered, in nanoseconds since 1970, later than all that the memory knew: what order goes by."""
    used: int
    """When it was used last, on the same scale; when it was remembered, if never."""
    uses: int = 0
    """How often it was used, by ``use``; the count of a key outlives a new value under it."""
    size: int = 0

    @property
    def value(self) -> Any:
        """What was remembered. Lists, dicts, sets and records that are not frozen are copies: change them freely."""
        return own_copy(self._value)


@final
@frozen
class Refuse:
    """Two branches that remember one key are a conflict."""


@final
@frozen
class Newest:
    """Of what branches remember under one key, what was remembered last. What came at one instant is a conflict."""


Clash: TypeAlias = Refuse | Newest
"""What becomes of one key that several branches remember."""


class _Kept:
    """Room for what can be computed again, outside the fields and outside ``==``."""

    __slots__ = ("_line",)
    _line: Line


@final
@frozen
class Memory(_Kept):
    """Entries by key. Never over its capacity, however it came to be: by remembering, by a merge, by a new bound.

    Law: branches that change different keys merge, whatever their order. Two that remember one key, or of which one
    forgets it, are a conflict unless ``clash`` or the field says otherwise; uses add up.
    """

    entries: LoggedMap[str, Entry] = field(factory=LoggedMap, validator=instance_of(LoggedMap))
    capacity: Capacity = field(factory=Capacity, validator=instance_of(Capacity))
    clash: Clash = field(factory=Refuse, validator=instance_of((Refuse, Newest)))
    latest: int = 0
    """The latest stamp that was given."""
    forgets: Forgets = field(factory=Forgets)
    upkeep: Upkeep = field(factory=Upkeep)

    def __attrs_post_init__(self) -> None:
        sizes = [entry.size for entry in self.entries.values()] if self.capacity.bytes is not None else []
        if 0 in sizes or self.capacity.exceeded(len(self.entries), sum(sizes)):
            what = "entries that were never measured" if 0 in sizes else f"{len(self)} entries of {sum(sizes)} bytes"
            raise ValueError(f"{self.capacity} does not hold {what}; use bounded(memory, capacity)")

    def __getitem__(self, key: str) -> Entry:
        """The entry of a key. Errors: ``NotRemembered``."""
        entry: Entry | None = self.entries.get(key)
        if entry is None:
            raise NotRemembered(_missing(self, key))
        return entry

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        """The keys, oldest first."""
        entries = self.entries
        return iter(sorted(entries, key=lambda key: (entries[key].stamp, key)))

    def __merge__(self, place: Place, tips: list[tuple[int, Memory]]) -> Memory:
        """What branches made of this memory. Errors: ``Conflict`` for one key that they do not agree on."""
        from lambdacat.state.memory_merge import merged_memories

        return merged_memories(self, tips, place)

    @property
    def line(self) -> Line:
        """The order in which entries leave."""
        try:
            return self._line
        except AttributeError:
            line = line_of(self.entries, self.capacity.leaves)
            _set(self, "_line", line)
            return line


def fitting(
    memory: Memory,
    entries: LoggedMap[str, Entry],
    latest: int,
    line: Line | None = None,
    *,
    forgets: Forgets | None = None,
    upkeep: Upkeep | None = None,
) -> Memory:
    """The memory with other entries, known to fit. The constructor would look at every entry to see that."""
    made = object.__new__(Memory)
    _set(made, "entries", entries)
    _set(made, "capacity", memory.capacity)
    _set(made, "clash", memory.clash)
    _set(made, "latest", latest)
    _set(made, "forgets", forgets or memory.forgets)
    _set(made, "upkeep", upkeep or memory.upkeep)
    if line is not None:
        _set(made, "_line", line)
    return made


def _missing(memory: Memory, key: str) -> str:
    close = get_close_matches(str(key), memory.entries, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {len(memory)} other keys"
    return f"nothing is remembered under {key!r}; {hint}"


def key_of(key: object) -> str:
    """``key`` if it is one. Errors: ``TypeError``."""
    if not isinstance(key, str):
        raise TypeError(f"a memory has keys of text, not {key!r}")
    return key


# --- changing it -----------------------------------------------------------------------------------------------------


@cache
def _plain_codecs() -> Codecs:
    return Codecs()


def measured(capacity: Capacity, key: str, value: Any, codecs: Codecs | None) -> int:
    """The bytes that count against the bound. Errors: ``ValueError`` for more than the bound, ``NotStorable``."""
    if capacity.bytes is None:
        return 0
    size = len((codecs or _plain_codecs()).encode(value))
    if size > capacity.bytes:
        raise ValueError(f"{key!r} takes {size} bytes and the whole memory {capacity.bytes}; raise bytes= or cut it")
    return size


def remembered(
    memory: Memory, key: str, value: Any, *, origin: Origin = NOWHERE, codecs: Codecs | None = None
) -> Memory:
    """The memory with ``value`` under ``key``. What can be changed in place is copied, so that nobody changes it here.

    A bounded memory makes room first, so what was remembered just now is there. ``codecs`` measure the value where
    there is a bound on bytes. Errors: ``ValueError`` for a value over that bound, ``NotStorable`` for one that the
    codecs do not know.
    """
    old: Entry | None = memory.entries.get(key_of(key))
    stamp = max(int(origin.when * 1e9), memory.latest + 1)
    uses = 0 if old is None else old.uses
    entry = Entry(own_copy(value), origin, stamp, stamp, uses, measured(memory.capacity, key, value, codecs))
    return put(memory, key, entry, stamp)


def put(memory: Memory, key: str, entry: Entry, latest: int) -> Memory:
    """The memory with an entry under a key, room made for it."""
    entries, capacity, leaves = memory.entries, memory.capacity, memory.capacity.leaves
    if not capacity.bounded:
        return fitting(memory, entries.insert(key, entry), latest)
    line, old = memory.line, entries.get(key)
    entries = entries.insert(key, entry)
    if old is not None and leaves.turn(old) == leaves.turn(entry):
        return fitting(memory, entries, latest, line)
    # It counts already and does not stand in the line yet: others leave for it, and it does not leave itself.
    line = line.growing(entry.size - (0 if old is None else old.size))
    entries, line = made_room(entries, line, capacity)
    line = tidied(line.joined(key, entry, leaves), entries, leaves)
    return fitting(memory, entries, latest, line)


def used(memory: Memory, key: str, *, origin: Origin = NOWHERE) -> Memory:
    """The memory after one more use of ``key``. Errors: ``NotRemembered``."""
    old = memory[key_of(key)]
    stamp = max(int(origin.when * 1e9), memory.latest + 1)
    return put(memory, key, Entry(old._value, old.origin, old.stamp, stamp, old.uses + 1, old.size), stamp)


def forgotten(memory: Memory, *keys: str) -> Memory:
    """The memory without these keys. Law: idempotent; forgetting what is not there changes nothing."""
    entries, line = memory.entries, memory.line if memory.capacity.bounded else None
    gone: list[str] = []
    for key in keys:
        old: Entry | None = entries.get(key_of(key))
        if old is not None:
            gone.append(key)
            entries = entries.remove(key)
            line = None if line is None else line.growing(-old.size)
    forgets = memory.forgets.more(gone, len(gone))
    return fitting(memory, entries, memory.latest, line, forgets=forgets) if gone else memory


def kept_up(memory: Memory, upkeep: Upkeep) -> Memory:
    """The memory with another upkeep."""
    line = memory.line if memory.capacity.bounded else None
    return fitting(memory, memory.entries, memory.latest, line, upkeep=upkeep)


def bounded(memory: Memory, capacity: Capacity, *, codecs: Codecs | None = None) -> Memory:
    """The memory under another capacity, after what does not fit has left.

    Errors: ``ValueError`` for one value that is larger than the bound on bytes, ``NotStorable``.
    """
    entries = memory.entries
    if capacity.bytes is not None:
        sizes = {key: measured(capacity, key, entry._value, codecs) for key, entry in entries.items()}
        entries = entries.update({key: evolve(entries[key], size=size) for key, size in sizes.items()})
    entries, _ = made_room(entries, line_of(entries, capacity.leaves), capacity)
    return evolve(memory, entries=entries, capacity=capacity)


# --- reading it ------------------------------------------------------------------------------------------------------


def recalled(memory: Memory, key: str, default: Any = _REQUIRED) -> Any:
    """The value under ``key``: a copy where it could be changed. Errors: ``NotRemembered`` without a default."""
    entry: Entry | None = memory.entries.get(key_of(key))
    if entry is not None:
        return entry.value
    if default is _REQUIRED:
        raise NotRemembered(_missing(memory, key))
    return default
