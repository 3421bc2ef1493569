"""What a store is: values under keys, each with a version, so that two writers never lose one another's work."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self, final

from attrs import frozen


@final
@frozen
class Versioned:
    """A value that was read, and which write it comes from."""

    value: Any
    version: int
    mark: str = ""
    """What its writer gave to know it again."""


@final
@frozen
class Change:
    """A key that was written or deleted, and the version that is there now: 0 when it is gone."""

    key: str
    version: int


class VersionConflict(Exception):
    """Another value stands there than the one that a swap was to replace; nothing was written. 0 is no value."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        super().__init__(key, expected, found)
        self.key = key
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        there = f"version {self.found} is there" if self.found else "nothing is there"
        wanted = f"version {self.expected}" if self.expected else "nothing"
        return f"{self.key!r} was written by another: {wanted} was to be replaced and {there}; read it again"


class Watch(Protocol):
    """Sees what changes under a prefix from the moment it was made. For one thread at a time."""

    def changes(self, seconds: float) -> tuple[Change, ...]:
        """What has changed since the last call, by key, each key once; waits until there is something.

        Law: applied to the versions that were there when the watch was made, the changes told so far give those of
        now: what is put and deleted between two calls is nothing. Units: ``seconds`` to wait at most; 0 only looks.
        """

    def close(self) -> None:
        """See no more."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    """Values under keys. Every method may be called from any thread; each call is all or nothing.

    A key is any text, a value whatever the store's codecs know. A version is a number above 0 that grows with every
    write of its key and never comes back, not after a delete either. A store that was closed opens again when used.

    Errors: ``NotStorable`` for a value, ``StateCorrupt`` for what is not as it was written, ``Unanswered`` for a store
    that cannot be reached or written; a write that ended so may have happened.
    """

    @property
    def name(self) -> str:
        """What messages call it; two stores on one place have one name."""

    def get(self, key: str) -> Any:
        """The value, or None where there is none."""

    def put(self, key: str, value: object) -> None:
        """Write the value, whatever is there. Law: ``put(k, v); get(k) == v``."""

    def read(self, key: str) -> Versioned | None:
        """The value with its version, or None where there is none."""

    def swap(self, key: str, value: object, version: int, *, mark: str = "") -> int:
        """Write the value if ``version`` is still there, 0 being nothing; the new version.

        ``mark`` is kept beside the value, for a writer that ended before it learnt how its swap went.
        Errors: ``VersionConflict``, and nothing is written.
        """

    def keys(self, prefix: str = "") -> tuple[str, ...]:
        """The keys that begin with ``prefix``, sorted."""

    def delete(self, key: str) -> bool:
        """Remove the value; whether there was one."""

    def watch(self, prefix: str = "") -> Watch:
        """A watch on the keys that begin with ``prefix``, from now on."""

    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
