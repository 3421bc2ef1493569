"""A store in a PostgreSQL database: for many machines, and values that must outlive all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from math import ceil
from typing import Any, LiteralString, final

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store.cells import Cell, after, seconds_of
from lambdacat.store.kept import Kept
from lambdacat.store.store import VersionConflict
from lambdacat.store.values import Classes, Sealed, ValueStore

try:
    import psycopg
    from psycopg import errors, sql
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from lambdacat.store.patient import Patient
except ImportError as error:
    raise ImportError("PostgresStore needs a client: pip install 'lambdacat[postgres]'") from error

_TABLE = """
create sequence {versions};
create table {cells} (
    id bytea primary key, key bytea not null, version bigint not null,
    mark bytea not null, digest text not null, data bytea not null
);
create index on {cells} (substring(key from 1 for 1000));
"""
# What to_regclass knows may be older than the lock.
_MADE = """
select 1 from pg_catalog.pg_class join pg_catalog.pg_namespace as space on space.oid = relnamespace
where relname = %s and nspname = current_schema()
"""
_VERSION = "select nextval({sequence})"
_LOAD = "select version, mark, digest, data from {cells} where id = %s"
_FOUND = "select version from {cells} where id = %s"
_PUT = """
insert into {cells} as there (id, key, version, mark, digest, data) values (%s, %s, %s, %s, %s, %s)
on conflict (id) do update
set version = excluded.version, mark = excluded.mark, digest = excluded.digest, data = excluded.data
where there.version < excluded.version
returning pg_notify({channel}, '')
"""
_NEW = """
insert into {cells} (id, key, version, mark, digest, data) values (%s, %s, %s, %s, %s, %s)
on conflict (id) do nothing
returning pg_notify({channel}, '')
"""
_SWAP = """
update {cells} set version = %s, mark = %s, digest = %s, data = %s where id = %s and version = %s and version < %s
returning pg_notify({channel}, '')
"""
_REMOVE = "delete from {cells} where id = %s returning pg_notify({channel}, '')"
_ALL = "select key, version from {cells}"
# Keys may be longer than an index can hold; their beginnings are in one.
_SOME = _ALL + " where substring(key from 1 for 1000) >= %s and substring(key from 1 for 1000) < %s"
_QUERIES: tuple[LiteralString, ...] = (_TABLE, _VERSION, _LOAD, _FOUND, _PUT, _NEW, _SWAP, _REMOVE, _ALL, _SOME)


@final
class PostgresStore(ValueStore):
    """Values in one table of a PostgreSQL database, which is made when it is not there.

    Units: ``seconds`` is how long an answer is waited for.
    """

    def __init__(
        self, dsn: str, *, codecs: Classes = (), table: str = "lambdacat_store", seconds: float = 10.0
    ) -> None:
        super().__init__(codecs)
        if not isinstance(table, str) or not 1 <= len(table.encode()) <= 50 or "\0" in table:
            raise ValueError(f"table is the name of a table, at most 50 bytes long, not {table!r}")
        self.table = table
        self.seconds = seconds_of(seconds)
        self._dsn = make_conninfo(dsn, **{"connect_timeout": ceil(seconds), **conninfo_to_dict(dsn)})
        names = {
            "cells": sql.Identifier(table),
            "versions": sql.Identifier(f"{table}_versions"),
            "sequence": sql.Literal(sql.Identifier(f"{table}_versions").as_string()),
            "channel": sql.Literal(table),
        }
        self._queries = {query: sql.SQL(query).format(**names) for query in _QUERIES}
        self._kept = Kept(self._connected, psycopg.Connection.close)

    @property
    def name(self) -> str:
        """Server, database and table."""
        parts = conninfo_to_dict(self._dsn)
        server = f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"
        return f"postgresql://{server}/{parts.get('dbname') or parts.get('user') or ''} {self.table}"

    # Reading -------------------------------------------------------------------------------------------------------

    def _load(self, key: str) -> Cell | None:
        rows = self._told(_LOAD, _id(key))
        return next((_cell(row, self._where(key)) for row in rows), None)

    def _names(self, prefix: str) -> Iterable[str]:
        return self._versions(prefix)

    def _versions(self, prefix: str) -> Mapping[str, int]:
        start = prefix.encode()
        first = start[:1000]
        rows = self._told(_SOME, first, after(first)) if first else self._told(_ALL)
        return {key.decode(): version for key, version in rows if key.startswith(start)}

    # Writing -------------------------------------------------------------------------------------------------------

    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        row_id, raw = _id(key), key.encode()
        while True:
            made = sealed(self._told(_VERSION)[0][0])
            cell = (made.version, made.mark.encode(), made.digest, made.data)
            if expected:
                done = self._told(_SWAP, *cell, row_id, expected, made.version)
            else:
                done = self._told(_PUT if expected is None else _NEW, row_id, raw, *cell)
            if done:
                return made.version
            if expected is not None:
                rows = self._told(_FOUND, row_id)
                found = rows[0][0] if rows else 0
                if found != expected:
                    raise VersionConflict(key, expected, found)
            # Another put was told a later version and wrote first: this one is the later of the two.

    def _remove(self, key: str) -> bool:
        return bool(self._told(_REMOVE, _id(key)))

    # The server ----------------------------------------------------------------------------------------------------

    def _told(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """What a query gives, in a transaction of its own."""
        with self._asking() as connection:
            return connection.execute(self._queries[query], values).fetchall()

    @contextmanager
    def _asking(self) -> Iterator[Patient]:
        """The connection; what goes wrong with it, by name."""
        with self._named(), self._kept.used() as connection:
            try:
                yield connection
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # Whatever it is in the middle of, it is of no more use.
                self._kept.drop()
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (errors.DataCorrupted, errors.IndexCorrupted) as error:
            raise StateCorrupt(f"the database is damaged: {error}", self.name) from error
        except psycopg.Error as error:
            raise Unanswered(f"the store {self.name}", str(error).strip() or type(error).__name__) from error

    def _connected(self) -> Patient:
        return Patient.to(self._dsn, self.seconds, self._make_table)

    def _make_table(self, connection: Patient) -> None:
        """Whoever may not make tables can use one that is there."""
        quoted = sql.Identifier(self.table).as_string()
        if connection.execute("select 1 where to_regclass(%s) is not null", (quoted,)).fetchall():
            return
        with connection.transaction():
            # Two that make one table at once would trip over each other, "if not exists" or not.
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"lambdacat {self.table}",))
            if not connection.execute(_MADE, (self.table,)).fetchall():
                connection.execute(self._queries[_TABLE])

    def _signal(self) -> _Listening:
        return _Listening(self)

    def _listening(self) -> psycopg.Connection[Any]:
        """A connection that is told of every change from here on."""
        with self._asking():  # so that the table is there
            listener = psycopg.connect(self._dsn, autocommit=True)
            try:
                listener.execute(sql.SQL("listen {}").format(sql.Identifier(self.table)))
            except BaseException:
                listener.close()
                raise
        return listener

    def close(self) -> None:
        """Let go of the connection; the next use makes another."""
        self._kept.drop()


@final
class _Listening:
    """The signal of a database: what is written notifies its channel when it is committed."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._listener: psycopg.Connection[Any] | None = store._listening()

    def wait(self, seconds: float) -> None:
        if self._listener is None:
            # Nothing was told since the connection was lost, so that it is time to look.
            self._listener = self._store._listening()
            return
        with self._store._named():
            try:
                for _ in self._listener.notifies(timeout=seconds, stop_after=1):
                    """One is as good as many."""
            except psycopg.Error:
                self.close()
                raise

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()


def _id(key: str) -> bytes:
    """What a row is found by: keys may be longer than an index can hold."""
    return blake2b(key.encode(), digest_size=32).digest()


def _cell(row: tuple[Any, ...], where: str) -> Cell:
    version, mark, digest, data = row
    try:
        return Cell(version, mark.decode(), digest, data)
    except UnicodeDecodeError as error:
        raise StateCorrupt(f"what is there is not what was written: {error}", where) from error
