"""Fewer entries in a memory: those that would leave first go at once, and may leave a summary behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lambdacat.codec import Codecs
from lambdacat.state.memory import Entry, Memory, forgotten, remembered
from lambdacat.state.origin import NOWHERE, Origin

Rows: TypeAlias = tuple[tuple[str, Entry], ...]
"""Entries with their keys."""

SUMMARY = "summary"
"""The key of a summary, where no other is given."""


def keep_of(keep: object) -> int:
    """``keep`` if it is a number of entries. Errors: ``ValueError``."""
    if type(keep) is not int or keep < 0:
        raise ValueError(f"keep is a whole number of entries, not {keep!r}")
    return keep


def leaving(memory: Memory, *, keep: int, into: str = SUMMARY) -> Rows:
    """The entries that a compaction to ``keep`` entries takes out, first to leave first; none when there are no more.

    An earlier summary, under ``into``, is not counted, and is the first of them.
    """
    turn, entries = memory.capacity.leaves.turn, memory.entries
    rows = sorted((turn(entry), key, entry) for key, entry in entries.items() if key != into)
    first = [(key, entry) for _, key, entry in rows[: max(0, len(rows) - keep_of(keep))]]
    earlier: Entry | None = entries.get(into)
    return (*([] if earlier is None or not first else [(into, earlier)]), *first)


def replaced(
    memory: Memory, rows: Rows, summary: Any, *, into: str, origin: Origin = NOWHERE, codecs: Codecs | None = None
) -> Memory:
    """The memory with ``summary`` in place of these entries."""
    return remembered(forgotten(memory, *(key for key, _ in rows)), into, summary, origin=origin, codecs=codecs)


def compacted(
    memory: Memory,
    summarise: Callable[[Rows], Any] | None = None,
    *,
    keep: int,
    into: str = SUMMARY,
    origin: Origin = NOWHERE,
    codecs: Codecs | None = None,
) -> Memory:
    """The memory with at most ``keep`` entries, and a summary of those that went, if there were any.

    Law: compacting twice is compacting once. Without ``summarise`` nothing stands for what went, and an earlier summary
    stays.
    """
    rows = leaving(memory, keep=keep, into=into)
    if not rows:
        return memory
    if summarise is None:
        return forgotten(memory, *(key for key, _ in rows if key != into))
    return replaced(memory, rows, summarise(rows), into=into, origin=origin, codecs=codecs)
