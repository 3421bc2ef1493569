"""Where journals lie: in a file, or in tables of a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, assert_never, final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import field, frozen

from lambdacat.codec import Codec, Codecs
from lambdacat.store.journals import SqliteJournal

if TYPE_CHECKING:
    from lambdacat.store.postgres_journal import PostgresJournal

SCHEMES = ("postgresql://", "postgres://")
"""What the address of a database begins with."""


@final
@frozen(str=False)
class Database:
    """The tables of a PostgreSQL database that hold runs. Its text is the address, without a password."""

    dsn: str = field(repr=False)
    table: str = "lambdacat_runs"

    @classmethod
    def parse(cls, address: str) -> Database:
        """The database of an address; what follows a ``#`` names the table, where it is not the usual one."""
        dsn, _, table = address.partition("#")
        return cls(dsn, table) if table else cls(dsn)

    def __str__(self) -> str:
        parts = urlsplit(self.dsn)
        user, at, server = parts.netloc.rpartition("@")
        query = [(key, value) for key, value in parse_qsl(parts.query) if "password" not in key]
        table = "" if self.table == Database(self.dsn).table else self.table
        netloc = f"{user.partition(':')[0]}{at}{server}"
        return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query), table))


Place: TypeAlias = Path | Database
KeptJournal: TypeAlias = "SqliteJournal | PostgresJournal"
"""The journal of a run in a place."""


def journal_in(place: Place, run_id: str, codecs: Codecs | Sequence[type | Codec] = ()) -> KeptJournal:
    """The journal of a run in a place; nothing is made before it is used."""
    match place:
        case Path():
            return SqliteJournal(place, run_id=run_id, codecs=codecs)
        case Database():
            from lambdacat.store.postgres_journal import PostgresJournal

            return PostgresJournal(place.dsn, run_id=run_id, codecs=codecs, table=place.table)
        case _:
            assert_never(place)
