"""A connection to PostgreSQL that gives up."""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import ceil
from time import monotonic
from typing import Any, TypeVar

import psycopg

R = TypeVar("R")


class Patient(psycopg.Connection[Any]):
    """A connection that does not wait forever for a server that has stopped.

    Units: ``seconds`` for each answer. Errors: ``psycopg.OperationalError``; the connection is of no more use then.
    """

    seconds = 10.0

    @classmethod
    def to(cls, dsn: str, seconds: float, prepare: Callable[[Patient], None]) -> Patient:
        """A connection on which each answer may take so long, and which ``prepare`` has readied."""
        connection = cls.connect(dsn, autocommit=True, prepare_threshold=None)
        try:
            connection.seconds = seconds
            connection.execute("select set_config('statement_timeout', %s, false)", (str(ceil(1000 * seconds)),))
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def wait(self, gen: Generator[Any, Any, R], interval: float = 0.1, timeout: float | None = None) -> R:
        # The client comes back here once an interval, also when nothing arrives.
        return super().wait(_until(gen, monotonic() + self.seconds), interval)


def _until(waiting: Generator[Any, Any, R], end: float) -> Generator[Any, Any, R]:
    """The same steps, as long as there is time."""
    ready: Any = None
    while True:
        try:
            wanted = waiting.send(ready)
        except StopIteration as done:
            found: R = done.value
            return found
        ready = yield wanted
        if monotonic() > end:
            raise psycopg.OperationalError("it has stopped answering")
