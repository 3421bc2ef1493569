"""A connection for as long as it is good for something."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Generic, TypeVar, final

C = TypeVar("C")


@final
class Kept(Generic[C]):
    """One connection for all threads of a process, one thread at a time; made when it is wanted.

    A forked child makes one of its own: neither files nor sockets of a database may be used by two processes.
    """

    def __init__(self, connect: Callable[[], C], close: Callable[[C], object]) -> None:
        self._connect = connect
        self._close = close
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = RLock()
        self._connection: C | None = None
        self._parents: list[C | None] = []

    @contextmanager
    def used(self) -> Iterator[C]:
        """The connection, and nobody else has it meanwhile."""
        if self._process != os.getpid():
            # The parent still uses it, so that nothing here may close it, the collector of garbage included.
            inherited = [*self._parents, self._connection]
            self._begin()
            self._parents = inherited
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection

    def drop(self) -> None:
        """Close the connection; the next use makes another."""
        if self._process == os.getpid():
            with self._lock:
                connection, self._connection = self._connection, None
                if connection is not None:
                    self._close(connection)
