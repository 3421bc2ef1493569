"""The rows of journals in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import LiteralString, final

from psycopg import sql

from lambdacat.store.patient import Patient
from lambdacat.store.places import Database
from lambdacat.store.postgres_tables import digest, identifiers, patient, plainly, text, version
from lambdacat.store.rows import NoJournal, Row

_SECONDS = 10.0
"""Units: seconds that each answer of the server may take."""
_ROWS: LiteralString = """
select number, run, extract(epoch from created)::float8, extract(epoch from updated)::float8, epoch, owner, deadline,
    crashes, reached, aside
from {runs}
"""
_SIZE: LiteralString = """
select sum(pg_total_relation_size(oid))::bigint from pg_class
where oid in ({runs_name}::regclass, {entries_name}::regclass, {answers_name}::regclass)
"""


@final
class DatabaseRows:
    """Runs, entries and answers of a database; every clock is the server's, so that the one here may be set."""

    far = True

    def __init__(self, database: Database, connection: Patient) -> None:
        self._connection = connection
        self._names = identifiers(database.table)
        for name in ("runs", "entries", "answers"):
            self._names[f"{name}_name"] = sql.Literal(self._names[name].as_string(connection))

    def now(self) -> float:
        return self.wall()

    def wall(self) -> float:
        return float(self._asked("select extract(epoch from clock_timestamp())::float8")[0][0])

    def size(self) -> int:
        return int(self._asked(_SIZE)[0][0])

    def every(self) -> Sequence[Row]:
        return self._asked(f"{_ROWS} order by number")

    def owned(self) -> Sequence[Row]:
        return self._asked(f"{_ROWS} where owner <> '' order by number")

    def named(self, run: str) -> Sequence[Row]:
        return self._asked(f"{_ROWS} where id = %s", digest(run))

    def numbered(self, number: int) -> Sequence[Row]:
        return self._asked(f"{_ROWS} where number = %s", number)

    def names(self) -> list[str]:
        return [row[0] for row in self._asked("select run from {runs} order by number desc limit 1000")]

    def entries(self, number: int) -> list[bytes]:
        return [row[0] for row in self._asked("select entry from {entries} where run = %s order by seq", number)]

    def answers(self, number: int) -> list[tuple[str, bytes, object]]:
        rows = self._asked("select key, value, extract(epoch from at)::float8 from {answers} where run = %s", number)
        return [(text(key), value, at) for key, value, at in rows]

    def lost(self, number: int, entries: Sequence[bytes]) -> str:
        # A server that flushes what it commits has nothing beside it to be held against.
        return ""

    def _asked(self, query: LiteralString, *given: object) -> list[Row]:
        return self._connection.execute(sql.SQL(query).format(**self._names), given or None).fetchall()

    # Removing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self, number: int) -> Iterator[None]:
        with self._connection.transaction():
            self._asked("select number from {runs} where number = %s for update", number)
            yield

    def delete(self, number: int) -> None:
        # Entries and answers go with it.
        self._asked("delete from {runs} where number = %s returning number", number)

    def shrunk(self) -> str:
        return "the server gives the space back when it vacuums"


@contextmanager
def reading_database(database: Database) -> Iterator[DatabaseRows | None]:
    """The tables at one moment; None when there are none. Errors: ``NoJournal``, ``Unanswered``."""
    with _connected(database) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        there = version(connection, database.table, str(database), NoJournal) is not None
        yield DatabaseRows(database, connection) if there else None


@contextmanager
def removing_from_database(database: Database) -> Iterator[DatabaseRows]:
    """The tables to take runs out of. Errors: ``NoJournal``, ``Unanswered``."""
    with _connected(database) as connection:
        yield DatabaseRows(database, connection)


@contextmanager
def _connected(database: Database) -> Iterator[Patient]:
    with (
        plainly(str(database)),
        closing(Patient.to(patient(database.dsn, _SECONDS), _SECONDS, lambda _: None)) as connection,
    ):
        yield connection
