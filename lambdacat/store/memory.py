"""A store in memory: for tests, and for what need not outlive the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Condition
from typing import final

from lambdacat.store.cells import Cell, next_version
from lambdacat.store.values import Classes, Sealed, ValueStore


@final
class MemoryStore(ValueStore):
    """Values in this process, encoded like anywhere else: what is read is never the object that was put."""

    def __init__(self, *, codecs: Classes = ()) -> None:
        super().__init__(codecs)
        self._cells: dict[str, Cell] = {}
        self._floor = 0
        self._changed = Condition()
        self._writes = 0

    @property
    def name(self) -> str:
        """What messages call it: no other store is in its place."""
        return f"memory at {id(self):#x}"

    def _load(self, key: str) -> Cell | None:
        return self._cells.get(key)

    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        with self._changed:
            there = self._cells.get(key)
            found = 0 if there is None else there.version
            made = sealed(next_version(key, found=found, expected=expected, floor=self._floor))
            self._cells[key] = made
            self._tell()
        return made.version

    def _remove(self, key: str) -> bool:
        with self._changed:
            gone = self._cells.pop(key, None)
            if gone is None:
                return False
            self._floor = max(self._floor, gone.version)
            self._tell()
        return True

    def _tell(self) -> None:
        self._writes += 1
        self._changed.notify_all()

    def _names(self, prefix: str) -> Iterable[str]:
        return self._versions(prefix)

    def _versions(self, prefix: str) -> Mapping[str, int]:
        with self._changed:
            return {key: cell.version for key, cell in self._cells.items() if key.startswith(prefix)}

    def _signal(self) -> _Called:
        return _Called(self)

    def close(self) -> None:
        """Nothing to let go of: the values stay as long as the store."""


@final
class _Called:
    """The signal of a store in memory: its writers call."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._seen = store._writes

    def wait(self, seconds: float) -> None:
        store = self._store
        with store._changed:
            store._changed.wait_for(lambda: store._writes != self._seen, seconds)
            self._seen = store._writes

    def close(self) -> None:
        """Nothing to let go of."""
