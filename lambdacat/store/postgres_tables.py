"""The tables of the PostgreSQL journal, and what goes wrong with them, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from math import ceil

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lambdacat.fault import Unanswered
from lambdacat.interpreters.journal import JournalCorrupt
from lambdacat.store.patient import Patient

VERSION = "lambdacat journal 1"

TABLES = """
create table {runs} (
    number bigint generated always as identity primary key,
    id bytea not null unique,
    run text not null,
    created timestamptz not null default clock_timestamp(),
    updated timestamptz not null default clock_timestamp(),
    epoch bigint not null default 0,
    owner text not null default '',
    deadline double precision not null default 0,
    crashes bigint not null default 0,
    reached bigint not null default 0,
    aside text not null default ''
);
create table {entries} (
    run bigint not null references {runs} on delete cascade,
    seq bigint not null,
    entry bytea not null,
    primary key (run, seq)
);
create table {answers} (
    run bigint not null references {runs} on delete cascade,
    id bytea not null,
    key bytea not null,
    value bytea not null,
    at timestamptz not null default clock_timestamp(),
    primary key (run, id)
);
comment on table {runs} is {version};
"""
# Asked of the catalog itself: to_regclass remembers that there was no table until the transaction ends.
_SAID = """
select obj_description(oid, 'pg_class') from pg_class where relname = %s and pg_table_is_visible(oid)
"""


def identifiers(table: str) -> dict[str, sql.Composable]:
    """What stands for the names of tables in a query."""
    return {
        "runs": sql.Identifier(table),
        "entries": sql.Identifier(f"{table}_entries"),
        "answers": sql.Identifier(f"{table}_answers"),
        "version": sql.Literal(VERSION),
    }


def called(dsn: str, table: str) -> str:
    """Server, database and table, as messages say them: without a password."""
    parts = conninfo_to_dict(dsn)
    server = f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"
    return f"postgresql://{server}/{parts.get('dbname') or parts.get('user') or ''} {table}"


def version(connection: Patient, table: str, name: str, refusal: type[JournalCorrupt] = JournalCorrupt) -> str | None:
    """What the tables say that they are; None when there are none. Errors: ``refusal`` for others."""
    found = connection.execute(_SAID, (table,)).fetchall()
    if not found:
        return None
    [(said,)] = found
    if said != VERSION:
        raise refusal(f"{name} is {said or 'a table of something else'}, and this program wants {VERSION}")
    return VERSION


def patient(dsn: str, seconds: float) -> str:
    """How to connect, waiting no longer than so many seconds unless it says how long itself."""
    return make_conninfo(dsn, **{"connect_timeout": ceil(seconds), **conninfo_to_dict(dsn)})


@contextmanager
def plainly(name: str) -> Iterator[None]:
    """What goes wrong with a server, by name. Errors: ``JournalCorrupt``, ``Unanswered``."""
    try:
        yield
    except (errors.DataCorrupted, errors.IndexCorrupted, errors.UndefinedColumn) as error:
        raise JournalCorrupt(f"{name} is no journal, or not whole any more: {error}") from error
    except psycopg.Error as error:
        raise Unanswered(f"the journal {name}", str(error).strip() or type(error).__name__) from error


def digest(text: str) -> bytes:
    """What a row is found by: names may be longer than an index can hold."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=32).digest()


def text(key: bytes) -> str:
    """A key as it was before it was stored."""
    return key.decode(errors="surrogatepass")
