"""Statements on a PostgreSQL database, of which the server says afterwards what they touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from math import ceil
from time import monotonic
from typing import Any, LiteralString, final

from attrs import frozen

from lambdacat.fault import Denied, Unanswered
from lambdacat.tools.sql import MB, Caps, QueryFailed, Rows, Value, checked, names_of

try:
    import psycopg
    from psycopg import RawCursor, RawServerCursor, errors
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from lambdacat.store.patient import Patient
except ImportError as error:
    raise ImportError("PostgresDatabase needs a client: pip install 'lambdacat[postgres]'") from error

_BATCH = 50
# Nothing may stand before: only so is the first word what the server takes it for.
_MAY_CHANGE = re.compile(r"\s*(insert|update|delete|merge|with)\b", re.IGNORECASE)

_POWERS = """
select current_user, current_setting('is_superuser') = 'on' or exists (
    select 1 from pg_roles where rolname in ('pg_read_server_files', 'pg_write_server_files',
    'pg_execute_server_program', 'pg_read_all_data', 'pg_write_all_data') and pg_has_role(oid, 'member'))
"""
# A table with its partitions, what is stored beside it, and what finds its rows; sequences count for those that change.
_FAMILY = """
with recursive named as (select to_regclass(name)::oid as id, name from unnest(%s::text[]) as name),
family(id) as (
    select id from named where id is not null union select inhrelid from pg_inherits join family on inhparent = id
),
whole as (
    select id from family
    union select reltoastrelid from pg_class join family on oid = id where reltoastrelid <> 0
    union select objid from pg_depend join family on refobjid = id join pg_class on pg_class.oid = objid
    where classid = 'pg_class'::regclass and refclassid = classid and deptype in ('a', 'i') and relkind = 'S' and %s
)
select id, null from whole union all select indexrelid, null from pg_index join whole on indrelid = id
union all select null, name from named where id is null
"""
# Of its own this locks nothing; a lock is kept until the transaction ends, whoever took it.
_TOUCHED = """
select relation, mode from pg_lock_status() where locktype = 'relation' and pid = pg_backend_pid()
"""
_NAMES: LiteralString = """
select coalesce(
    string_agg(number::regclass::text, ', ' order by number) filter (where relkind not in ('i', 'I')),
    string_agg(number::regclass::text, ', ' order by number)
) from (select distinct unnest(%s::oid[]) as number) as touched left join pg_class on oid = number
"""


@frozen
class _Allowed:
    """Numbers of relations by what may be done with them."""

    read: frozenset[int]
    change: frozenset[int]

    def has(self, relation: int, mode: str) -> bool:
        """Whether a transaction that is left to itself may hold this lock."""
        match mode:
            case "AccessShareLock" | "RowShareLock":
                return relation in self.read or relation in self.change
            case "RowExclusiveLock":
                return relation in self.change
            case _:
                return False


@final
class PostgresDatabase:
    """Declared tables of a PostgreSQL database, to be asked in SQL by any number of threads.

    Nothing but ``writes`` can be changed, and by default there is none. Units: ``rows``; ``size`` of their values in
    bytes; ``seconds`` for a whole statement. Shape: parameters stand in a statement as ``$1``, ``$2``.
    """

    def __init__(
        self,
        dsn: str,
        *,
        tables: Iterable[str],
        writes: Iterable[str] = (),
        rows: int = 1_000,
        size: int = MB,
        seconds: float = 5.0,
    ) -> None:
        self.writes = names_of(writes, "writes")
        self.tables = tuple(dict.fromkeys((*names_of(tables, "tables"), *self.writes)))
        """What can be read: all that can be changed, too."""
        self.caps = Caps(rows, size, seconds)
        self._dsn = make_conninfo(dsn, **{"connect_timeout": ceil(seconds), **conninfo_to_dict(dsn)})

    @property
    def name(self) -> str:
        """What refusals call it."""
        parts = conninfo_to_dict(self._dsn)
        return f"the database {parts.get('dbname') or parts.get('user') or ''}"

    def query(self, sql: str, parameters: Sequence[Value] = ()) -> Rows:
        """What one statement gives; a change is kept when it returns.

        Errors: ``Denied``, ``QueryFailed``; ``Unanswered`` when the server does not answer.
        """
        values = checked(sql, parameters)
        # Each statement has a connection of its own: settings, locks and listeners end with it.
        with self._named(), closing(Patient.to(self._dsn, self.caps.seconds, self._judge_role)) as connection:
            # The server gives up first, and says what it was about.
            connection.seconds = self.caps.seconds + 1
            allowed = self._allowed(connection)
            if self.writes and _MAY_CHANGE.match(sql):
                with connection.transaction():
                    return self._changed(connection, allowed, sql, values)
            # A transaction that only reads can still leave large objects and messages behind.
            with connection.transaction(force_rollback=True):
                return self._read(connection, allowed, sql, values)

    # Two ways to run one -------------------------------------------------------------------------------------------

    def _read(self, connection: Patient, allowed: _Allowed, sql: str, values: Sequence[Value]) -> Rows:
        """A cursor takes one query and nothing else, by its grammar; that it reads nothing else is then checked."""
        end = monotonic() + self.caps.seconds
        connection.execute("set transaction read only")
        with RawServerCursor(connection, "asked") as cursor:
            cursor.execute(sql.encode(), values or None)
            self._check(connection, allowed)
            columns = tuple(column.name for column in cursor.description or ())
            rows, truncated = self.caps.within(self._batches(connection, cursor, end))
            # What a function reads is known when it has been called, and nothing was given out before.
            self._check(connection, allowed)
        return Rows(columns, rows, truncated)

    def _batches(self, connection: Patient, cursor: RawServerCursor[Any], end: float) -> Iterator[Sequence[Any]]:
        while True:
            left = ceil(1000 * (end - monotonic()))
            if left <= 0:
                raise self.caps.too_long()
            connection.execute("select set_config('statement_timeout', %s, true)", (str(left),))
            batch = cursor.fetchmany(_BATCH)
            yield from batch
            if len(batch) < _BATCH:
                return

    def _changed(self, connection: Patient, allowed: _Allowed, sql: str, values: Sequence[Value]) -> Rows:
        """What it did is looked at before it counts."""
        # A statement that is prepared is a single one.
        connection.prepare_threshold = 0
        with RawCursor(connection) as cursor:
            cursor.execute(sql.encode(), values, prepare=True)
            columns = tuple(column.name for column in cursor.description or ())
            rows, truncated = self.caps.within(cursor) if columns else ((), False)
            changed = 0 if (cursor.statusmessage or "").startswith("SELECT") else max(0, cursor.rowcount)
        # Triggers that wait for the end would act when nobody looks any more.
        connection.execute("set constraints all immediate")
        self._check(connection, allowed)
        return Rows(columns, rows, truncated, changed)

    # What is allowed -----------------------------------------------------------------------------------------------

    def _judge_role(self, connection: Patient) -> None:
        """Functions can do what the role may, and no table says so. Errors: ``Denied``."""
        ((role, powerful),) = connection.execute(_POWERS).fetchall()
        if powerful:
            raise Denied(self.name, f"the role {role} may do more than any list of tables says; connect as a plain one")

    def _allowed(self, connection: Patient) -> _Allowed:
        found = []
        for names, sequences in ((self.tables, False), (self.writes, True)):
            rows = connection.execute(_FAMILY, (list(names), sequences)).fetchall()
            absent = sorted(name for _, name in rows if name is not None)
            if absent:
                raise QueryFailed(f"there is no table {', '.join(absent)}")
            found.append(frozenset(number for number, _ in rows))
        return _Allowed(*found)

    def _check(self, connection: Patient, allowed: _Allowed) -> None:
        """Errors: ``Denied`` when the transaction has touched anything that is not allowed."""
        touched: list[tuple[int, str]] = connection.execute(_TOUCHED).fetchall()
        wrong = sorted(relation for relation, mode in touched if not allowed.has(relation, mode))
        if wrong:
            ((names,),) = connection.execute(_NAMES, (wrong,)).fetchall()
            may = f"read: {', '.join(self.tables) or 'none'}; changed: {', '.join(self.writes) or 'none'}"
            raise Denied(self.name, f"the statement would touch {names}; what may be {may}")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What goes wrong, by name."""
        try:
            yield
        except errors.QueryCanceled:
            raise self.caps.too_long() from None
        except errors.ReadOnlySqlTransaction:
            raise Denied(self.name, "it would change something, and may only read") from None
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error).strip() or type(error).__name__
            if "multiple commands" in said:
                raise Denied(self.name, "there is more than one statement") from None
            if isinstance(error, errors.InsufficientPrivilege):
                raise Denied(self.name, said) from error
            # A statement with too few parameters is a fault of the protocol, as the server sees it.
            if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and error.sqlstate != "08P01":
                raise Unanswered(self.name, said.partition("\n")[0]) from error
            raise QueryFailed(said) from error
