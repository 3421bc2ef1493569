"""What all stores share: codecs, digests, keys that are checked. A backend only moves bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias

from lambdacat.codec import Codec, Codecs, StateCorrupt
from lambdacat.store.cells import Cell, cell, key_bytes, text_bytes
from lambdacat.store.store import Versioned, Watch
from lambdacat.store.watching import Signal, Watching

Classes: TypeAlias = Codecs | Sequence[type | Codec]
"""What a store may hold beside what Python brings: a registry, or the classes themselves."""

Sealed: TypeAlias = Callable[[int], Cell]
"""The cell that a write makes, once its version is known."""


class ValueStore(ABC):
    """A store over a backend of bytes; what is abstract here is all that a backend says.

    Law: every operation of a backend is all or nothing, in any thread and any process.
    """

    def __init__(self, codecs: Classes) -> None:
        self.codecs = codecs if isinstance(codecs, Codecs) else Codecs(*codecs)

    # What a backend says -------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it; two stores on one place have one name."""

    @abstractmethod
    def _load(self, key: str) -> Cell | None:
        """What is under the key."""

    @abstractmethod
    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        """Write a cell, if ``expected`` is the version there, or whatever is there for None; its version.

        Law: versions of a key grow, and none comes back. Errors: ``VersionConflict``.
        """

    @abstractmethod
    def _remove(self, key: str) -> bool:
        """Remove what is under the key; whether there was something."""

    @abstractmethod
    def _names(self, prefix: str) -> Iterable[str]:
        """The keys that begin with the prefix, in any order."""

    @abstractmethod
    def _versions(self, prefix: str) -> Mapping[str, int]:
        """The same keys with their versions."""

    @abstractmethod
    def _signal(self) -> Signal:
        """What says that something was written."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections; the next use opens them again."""

    def _where(self, key: str) -> str:
        """What messages call the place of a key."""
        return f"{key!r} in {self.name}"

    # What a store is -----------------------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """The value, or None where there is none."""
        found = self.read(key)
        return None if found is None else found.value

    def read(self, key: str) -> Versioned | None:
        """The value with its version, or None where there is none."""
        key_bytes(key)
        found = self._load(key)
        return None if found is None else self._opened(key, found, self._where(key))

    def _opened(self, key: str, found: Cell, where: str) -> Versioned:
        data = found.checked(key, where)
        try:
            return Versioned(self.codecs.decode(data), found.version, found.mark)
        except StateCorrupt as error:
            error.where = error.where or where
            raise

    def put(self, key: str, value: object) -> None:
        """Write the value, whatever is there."""
        key_bytes(key)
        self._save(key, partial(cell, key, self.codecs.encode(value), ""), None)

    def swap(self, key: str, value: object, version: int, *, mark: str = "") -> int:
        """Write the value if ``version`` is still there, 0 being nothing; the new version."""
        key_bytes(key)
        if type(version) is not int or version < 0:
            raise ValueError(f"a version is a whole number that read() or swap() gave, or 0 for none, not {version!r}")
        text_bytes(mark, "a mark")
        return self._save(key, partial(cell, key, self.codecs.encode(value), mark), version)

    def keys(self, prefix: str = "") -> tuple[str, ...]:
        """The keys that begin with ``prefix``, sorted."""
        key_bytes(prefix)
        return tuple(sorted(self._names(prefix)))

    def delete(self, key: str) -> bool:
        """Remove the value; whether there was one."""
        key_bytes(key)
        return self._remove(key)

    def watch(self, prefix: str = "") -> Watch:
        """A watch on the keys that begin with ``prefix``, from now on."""
        key_bytes(prefix)
        signal = self._signal()
        try:
            return Watching(partial(self._versions, prefix), signal)
        except BaseException:
            signal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
