"""How much a memory holds, and which entry leaves when there is no room: policies as values, and the line they keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, final

from attrs import Attribute, field, frozen
from rpds import Queue

if TYPE_CHECKING:
    from lambdacat.state.logged import LoggedMap
    from lambdacat.state.memory import Entry


@final
@frozen
class Oldest:
    """The entry that was remembered first leaves first."""

    def turn(self, entry: Entry) -> tuple[int, int]:
        """The rank of an entry, and its place among those of one rank; the least leaves first."""
        return 0, entry.stamp


@final
@frozen
class LeastUsed:
    """The entry that was used least often leaves first; of several, the one that has stood there longest."""

    def turn(self, entry: Entry) -> tuple[int, int]:
        """The rank of an entry, and its place among those of one rank; the least leaves first."""
        return entry.uses, entry.used


@final
@frozen
class LeastRecent:
    """The entry that was used or remembered longest ago leaves first."""

    def turn(self, entry: Entry) -> tuple[int, int]:
        """The rank of an entry, and its place among those of one rank; the least leaves first."""
        return 0, entry.used


Leaves: TypeAlias = Oldest | LeastUsed | LeastRecent
"""Which entry leaves when there is no room."""


def _count(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{attribute.name} is a whole number of at least 1, or None for no bound, not {value!r}")


def _policy(_: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, (Oldest, LeastUsed, LeastRecent)):
        raise ValueError(f"{attribute.name} is Oldest(), LeastUsed() or LeastRecent(), not {value!r}")


@final
@frozen(kw_only=True)
class Capacity:
    """The bounds of a memory, and which entry leaves when one is reached. None is no bound.

    Units: ``bytes`` of the values in their encoded form, keys not counted.
    """

    entries: int | None = field(default=None, validator=_count)
    bytes: int | None = field(default=None, validator=_count)
    leaves: Leaves = field(factory=Oldest, validator=_policy)

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return self.entries is not None or self.bytes is not None

    def exceeded(self, entries: int, size: int) -> bool:
        """Whether so many entries of so many bytes in all are too much."""
        return (self.entries is not None and entries > self.entries) or (self.bytes is not None and size > self.bytes)


# --- the line in which entries wait to leave -------------------------------------------------------------------------


@final
@frozen(eq=False)
class Line:
    """The entries of a bounded memory in the order in which they leave, and the bytes that they take.

    A queue for each rank. An entry that is used or replaced joins again further back, and its old place in the line is
    passed over later: so joining and leaving cost no more in a large memory than in a small one, on average over time.
    """

    rows: Mapping[int, Any]
    """By rank, a queue of places and keys. Any: the types of rpds call properties what are methods of a queue."""
    waiting: int
    """Places in all rows, those that are passed over included."""
    bytes: int

    def joined(self, key: str, entry: Entry, leaves: Leaves) -> Line:
        """The line with an entry at the end of its rank."""
        rank, place = leaves.turn(entry)
        row = self.rows.get(rank)
        row = Queue([(place, key)]) if row is None else row.enqueue((place, key))
        return Line({**self.rows, rank: row}, self.waiting + 1, self.bytes)

    def growing(self, size: int) -> Line:
        """The same line with so many more bytes: entries came or left, whose old places are passed over."""
        return Line(self.rows, self.waiting, self.bytes + size) if size else self

    def called(self, entries: LoggedMap[str, Entry], leaves: Leaves) -> tuple[Line, str | None]:
        """The key at the first place that still counts, and the line behind it; None when nobody waits."""
        rows, waiting = dict(self.rows), self.waiting
        for rank in sorted(rows):
            row = rows.pop(rank)
            while not row.is_empty():
                place, key = row.peek()
                row, waiting = row.dequeue(), waiting - 1
                entry = entries.get(key)
                if entry is not None and leaves.turn(entry) == (rank, place):
                    return Line({**rows, rank: row}, waiting, self.bytes), key
        return Line(rows, waiting, self.bytes), None


def line_of(entries: LoggedMap[str, Entry], leaves: Leaves) -> Line:
    """The line of all entries. Law: the same order as when they join one by one, in the order of time."""
    rows: dict[int, list[Any]] = {}
    for (rank, place), key in sorted((leaves.turn(entry), key) for key, entry in entries.items()):
        rows.setdefault(rank, [None]).append((place, key))
    # To take off the first turns a queue round: done once, here, and not by everyone who goes on from this memory.
    queues: dict[int, Any] = {rank: Queue(row) for rank, row in rows.items()}
    size = sum(entry.size for entry in entries.values())
    return Line({rank: queue.dequeue() for rank, queue in queues.items()}, len(entries), size)


def lined_up(line: Line, fresh: Iterable[tuple[str, Entry]], leaves: Leaves) -> Line:
    """The line after entries that are newer than all in it joined, in an order that only they decide."""
    for _, key, entry in sorted((leaves.turn(entry), key, entry) for key, entry in fresh):
        line = line.joined(key, entry, leaves)
    return line


def made_room(entries: LoggedMap[str, Entry], line: Line, capacity: Capacity) -> tuple[LoggedMap[str, Entry], Line]:
    """The entries that fit, after the first in the line have left."""
    while capacity.exceeded(len(entries), line.bytes):
        line, key = line.called(entries, capacity.leaves)
        if key is None:
            break
        line = line.growing(-entries[key].size)
        entries = entries.remove(key)
    return entries, line


def tidied(line: Line, entries: LoggedMap[str, Entry], leaves: Leaves) -> Line:
    """The same line; a new one when most places are passed over, which costs what was saved until then."""
    return line if line.waiting <= 2 * len(entries) + 32 else line_of(entries, leaves)
