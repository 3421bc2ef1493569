"""How far each run of a journal file had come, said beside it: so that a file that lost its end is noticed.

SQLite takes a write-ahead log whose end is missing for one that was never longer. The heads are written after each
commit and never flushed: they may lag behind the journal, and what they say was there once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import final
from zlib import crc32

from attrs import frozen

_SLOT = Struct("<Q32s16sL4x")
_BARE = Struct("<Q32s16s")
_START = 32
"""How much of an entry tells it from others: its digest."""


@final
@frozen
class Head:
    """How far a run had come, for certain."""

    count: int
    start: bytes
    """Of the last entry."""
    run: bytes
    """A digest of the name of the run."""

    def lost(self, entries: Sequence[bytes]) -> str:
        """What was acknowledged and is not among the entries; empty when nothing is missing."""
        if self.count > len(entries):
            first, last = len(entries), self.count - 1
            which = f"entry {last} was" if first == last else f"entries {first} to {last} were"
            return f"{which} acknowledged, and {'is' if first == last else 'are'} gone"
        if _start(entries[self.count - 1]) != self.start:
            return f"entry {self.count - 1} was acknowledged, and another stands there"
        return ""


def _start(entry: bytes) -> bytes:
    # What rots may become another class, too.
    if type(entry) is not bytes:
        return b""
    return entry[:_START].ljust(_START, b"\0")


def _head(slot: bytes) -> Head | None:
    if len(slot) < _SLOT.size:
        return None
    *body, check = _SLOT.unpack(slot)
    # A slot that was being written when the power went says nothing.
    return Head(*body) if body[0] and crc32(_BARE.pack(*body)) == check else None


@final
class Heads:
    """The heads of the runs of one file, each in a slot of its own, for one who works on the run of a name."""

    def __init__(self, journal: Path, run: str = "") -> None:
        self.path = journal.with_name(journal.name + "-heads")
        self._run = blake2b(run.encode(errors="surrogatepass"), digest_size=16).digest()
        self._file: int | None = None

    def advance(self, number: int, count: int, entry: bytes) -> None:
        """The run has ``count`` entries, the last of them ``entry``."""
        body = _BARE.pack(count, _start(entry), self._run)
        slot = _SLOT.pack(count, _start(entry), self._run, crc32(body))
        # A disk that is full leaves the head where it was, which is still true.
        with suppress(OSError):
            if self._file is None:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.pwrite(self._file, slot, number * _SLOT.size)

    def forget(self, number: int) -> None:
        """The run is no more; its slot may be another's."""
        with suppress(OSError):
            file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.pwrite(file, bytes(_SLOT.size), number * _SLOT.size)
            finally:
                os.close(file)

    def read(self, number: int) -> Head | None:
        """How far the run of a number had come, if that is known."""
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(number * _SLOT.size)
            return _head(file.read(_SLOT.size))
        return None

    def missed(self) -> Head | None:
        """How far the run of this name had come, whatever its number: for a journal that does not know the name."""
        with suppress(OSError):
            slots = self.path.read_bytes()
            at = slots.find(self._run)
            while at >= 0:
                start = at - at % _SLOT.size
                head = _head(slots[start : start + _SLOT.size])
                if head is not None and head.run == self._run:
                    return head
                at = slots.find(self._run, at + 1)
        return None

    def strange(self, number: int) -> bool:
        """Whether the slot is that of another run: one that the journal has lost, for it has given its number away."""
        head = self.read(number)
        return head is not None and head.run != self._run

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
