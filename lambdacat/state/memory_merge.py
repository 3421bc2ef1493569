"""What branches make of one memory: their changes key by key, from the logs, and what to do where two meet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial, reduce
from typing import Any, Generic, TypeAlias, TypeVar, final

from attrs import evolve, field, frozen

from lambdacat.codec import Codecs
from lambdacat.merging import Conflict
from lambdacat.place import Item, Place, place_text
from lambdacat.state.agreement import only_change
from lambdacat.state.capacity import Capacity, lined_up, made_room, tidied
from lambdacat.state.every import latest_of
from lambdacat.state.forgets import met
from lambdacat.state.logged import Change, LoggedMap, changes
from lambdacat.state.memory import Entry, Memory, Newest, bounded, fitting, kept_up, measured
from lambdacat.state.origin import source_key

V = TypeVar("V")

Settle: TypeAlias = Callable[[str, Entry | None, list[Entry]], "Entry | None"]
"""The one entry of a key that several new ones become, given the fork's and theirs; None when they do not agree."""


def merged_memories(base: Memory, tips: list[tuple[int, Memory]], place: Place, settle: Settle | None = None) -> Memory:
    """The memory with the changes of every branch. Errors: ``Conflict`` for one key that they do not agree on."""
    settle = settle or (newest if isinstance(base.clash, Newest) else refused)
    forgot = {index: tip.forgets.since(base.forgets) for index, tip in tips}
    rows: dict[str, list[tuple[int, Change]]] = {}
    for index, tip in tips:
        for change in changes(base.entries, tip.entries):
            rows.setdefault(change.key, []).append((index, change))
    # The first branch has its own changes already; the others' come on top.
    first, entries = tips[0][0], tips[0][1].entries
    fresh: dict[str, Entry] = {}
    for key, row in rows.items():
        if len(row) == 1 and row[0][0] == first:
            continue
        entry = row[0][1].new if len(row) == 1 else _agreed(key, row, forgot, place, settle)
        if entry is not None:
            fresh[key] = entry
        elif key in entries:
            entries = entries.remove(key)
    return _with_room(base, tips, place, entries.update(fresh), rows)


def _with_room(
    base: Memory, tips: list[tuple[int, Memory]], place: Place, entries: LoggedMap[str, Entry], keys: Iterable[str]
) -> Memory:
    """The memory with merged entries, within its bounds."""
    capacity, leaves = base.capacity, base.capacity.leaves
    line = base.line if capacity.bounded else None
    if line is not None:
        joining: list[tuple[str, Entry]] = []
        for key in keys:
            old, new = base.entries.get(key), entries.get(key)
            line = line.growing((new.size if new else 0) - (old.size if old else 0))
            if new is not None and (old is None or leaves.turn(old) != leaves.turn(new)):
                joining.append((key, new))
        entries, line = made_room(entries, lined_up(line, joining, leaves), capacity)
        line = tidied(line, entries, leaves)
    forgets = met(base.forgets, [tip.forgets for _, tip in tips])
    made = fitting(base, entries, max([tip.latest for _, tip in tips]), line, forgets=forgets)
    return _configured(base, tips, place, made)


def _configured(base: Memory, tips: list[tuple[int, Memory]], place: Place, made: Memory) -> Memory:
    """The merged memory with what branches changed beside the entries."""
    upkeep = latest_of([tip.upkeep for _, tip in tips])
    if upkeep != base.upkeep:
        made = kept_up(made, upkeep)
    capacity, clash = only_change(place, "capacity", base, tips), only_change(place, "clash", base, tips)
    if capacity != base.capacity:
        # What the other branches remembered was measured for the old bound, or not at all.
        made = bounded(made, capacity)
    return made if clash == base.clash else evolve(made, clash=clash)


def _agreed(
    key: str, row: list[tuple[int, Change]], forgot: Mapping[int, Collection[str] | None], place: Place, settle: Settle
) -> Entry | None:
    """What becomes of a key that several branches changed. Errors: ``Conflict`` unless their changes go together."""
    fork: Entry | None = row[0][1].old
    new = [(i, one.new) for i, one in row if one.new is not None and (fork is None or one.new.stamp != fork.stamp)]
    # What is gone and was not forgotten left for lack of room.
    away = [i for i, one in row if one.new is None and ((keys := forgot[i]) is None or key in keys)]
    if away and not new:
        return None
    there = [one.new for _, one in row if one.new is not None]
    chosen = fork if there else None
    if new:
        chosen = None if away else settle(key, fork, [entry for _, entry in new])
        if chosen is None:
            raise Conflict((*place, Item(key)), tuple(sorted([*(i for i, _ in new), *away])))
    if chosen is None:
        return None
    before = 0 if fork is None else fork.uses
    uses = max(0, before + sum(entry.uses - before for entry in there))
    return evolve(chosen, uses=uses, used=max(chosen.used, *(entry.used for entry in there)))


# --- what to do where two branches remember one key ------------------------------------------------------------------


def refused(key: str, fork: Entry | None, entries: list[Entry]) -> Entry | None:
    """The only one there is, or none."""
    return entries[0] if len(entries) == 1 else None


def newest(key: str, fork: Entry | None, entries: list[Entry]) -> Entry | None:
    """The one that was remembered last; of two at one instant, that of the later step; none when they are alike."""

    def order(entry: Entry) -> Any:
        return entry.stamp, source_key(entry.origin.source)

    last = max(entries, key=order)
    return last if sum(order(entry) == order(last) for entry in entries) == 1 else None


def newest_wins(fork: Memory, left: Memory, right: Memory) -> Memory:
    """A merge for a field: ``memory: Annotated[Memory, Merges(newest_wins)]``. Law: commutative, associative.

    Errors: ``ValueError`` where one branch forgot the key, or both remembered it at one instant in one step.
    """
    return _both(fork, left, right, newest)


def _both(fork: Memory, left: Memory, right: Memory, settle: Settle) -> Memory:
    try:
        return merged_memories(fork, [(0, left), (1, right)], (), settle)
    except Conflict as conflict:
        # A merge of two knows neither the place of the memory nor which branches it stands for.
        what = place_text(conflict.place)
        raise ValueError(f"a branch changed {what} and another forgot it, or changed it at the same instant") from None


@final
@frozen
class ByKey(Generic[V]):
    """A merge for a field that combines what branches remember under one key, as ``combine(fork, left, right)``.

    ``missing`` stands for the fork's value where the fork has none. Law: commutative and associative if ``combine`` is.
    Errors: ``ValueError`` where one branch forgot the key; whatever ``combine`` raises.
    """

    combine: Callable[[V, V, V], V]
    missing: V = field(kw_only=True)
    codecs: Codecs | None = field(default=None, kw_only=True)
    """What measures a combined value where the memory has a bound on bytes."""

    def __call__(self, fork: Memory, left: Memory, right: Memory) -> Memory:
        return _both(fork, left, right, partial(self._settled, fork.capacity))

    def _settled(self, capacity: Capacity, key: str, fork: Entry | None, entries: list[Entry]) -> Entry:
        """The value of all; where and when it came from is that of the newest."""
        before = self.missing if fork is None else fork.value
        value = reduce(lambda made, entry: self.combine(before, made, entry.value), entries[1:], entries[0].value)
        last = max(entries, key=lambda entry: (entry.stamp, source_key(entry.origin.source)))
        return Entry(value, last.origin, last.stamp, last.used, 0, measured(capacity, key, value, self.codecs))
