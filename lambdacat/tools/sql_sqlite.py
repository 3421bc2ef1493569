"""Statements on a SQLite file, each looked at by SQLite itself before it runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from os import PathLike, fspath
from pathlib import Path
from time import monotonic
from typing import final

from lambdacat.fault import Denied, Unanswered
from lambdacat.store.sqlite_file import is_outside
from lambdacat.tools.sql import MB, Caps, QueryFailed, Rows, Value, checked, names_of

_PURE = (
    "abs avg bm25 ceil ceiling char coalesce concat concat_ws count cume_dist current_date current_time"
    " current_timestamp date datetime dense_rank exp first_value floor format glob group_concat hex highlight ifnull"
    " iif instr json json_array json_array_length json_extract json_group_array json_group_object json_insert"
    " json_object json_patch json_quote json_remove json_replace json_set json_type json_valid julianday lag"
    " last_value lead length like likelihood likely ln log log10 log2 lower ltrim match max min mod nth_value ntile"
    " nullif octet_length percent_rank pi pow power printf quote random rank replace round row_number rtrim sign"
    " snippet soundex sqrt strftime string_agg substr substring sum time timediff total trim trunc typeof unhex"
    " unicode unixepoch unlikely upper zeroblob -> ->>"
)
FUNCTIONS = frozenset(_PURE.split())
"""What may be called: they calculate, and see nothing but what they are given."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1_000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    # A pattern can take time that grows with its length as an exponent, and nothing interrupts that.
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_CHANGES = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
_STEPS = 1_000
"""Steps of SQLite's machine between two looks at the clock: a fraction of a millisecond."""


@final
class SqliteDatabase:
    """Declared tables of one SQLite file, to be asked in SQL by any number of threads.

    Nothing but ``writes`` can be changed, and by default there is none. Units: ``rows``; ``size`` of their values in
    bytes; ``seconds`` for a whole statement. Shape: parameters stand in a statement as ``?``.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        tables: Iterable[str],
        writes: Iterable[str] = (),
        rows: int = 1_000,
        size: int = MB,
        seconds: float = 5.0,
    ) -> None:
        self.path = Path(fspath(path)).absolute()
        self.writes = names_of(writes, "writes")
        self.tables = tuple(dict.fromkeys((*names_of(tables, "tables"), *self.writes)))
        """What can be read: all that can be changed, too."""
        self.caps = Caps(rows, size, seconds)

    @property
    def name(self) -> str:
        """What refusals call it."""
        return f"the database {self.path.name}"

    def query(self, sql: str, parameters: Sequence[Value] = ()) -> Rows:
        """What one statement gives; a change is kept when it returns.

        Errors: ``Denied``, ``QueryFailed``; ``Unanswered`` when the file is not there or is busy all the while.
        """
        values = checked(sql, parameters)
        end = monotonic() + self.caps.seconds
        guard = _Guard(self)
        with self._named(guard, end), closing(self._opened(guard)) as database:
            database.set_authorizer(guard)
            database.set_progress_handler(lambda: monotonic() > end, _STEPS)
            before = database.total_changes
            cursor = database.execute(sql, values)
            columns = tuple(str(column[0]) for column in cursor.description or ())
            rows, truncated = self.caps.within(cursor)
            cursor.close()
            database.set_progress_handler(None, 0)
            database.set_authorizer(None)
            changed = database.total_changes - before
            database.execute("commit")
        return Rows(columns, rows, truncated, changed)

    def _opened(self, guard: _Guard) -> sqlite3.Connection:
        """A connection in a transaction, so that what the guard knows of the file stays true."""
        mode = "rw" if self.writes else "ro"
        database = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=self.caps.seconds, isolation_level=None
        )
        try:
            database.text_factory = lambda raw: raw.decode(errors="replace")
            for limit, most in {**_LIMITS, sqlite3.SQLITE_LIMIT_LENGTH: max(self.caps.size, 100_000)}.items():
                database.setlimit(limit, most)
            database.execute("pragma trusted_schema=off")
            if not self.writes:
                database.execute("pragma query_only=on")
            database.execute("begin immediate" if self.writes else "begin")
            guard.look(database)
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def _named(self, guard: _Guard, end: float) -> Iterator[None]:
        """What goes wrong, by name."""
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            if guard.reason:
                raise Denied(self.name, guard.reason) from None
            if "one statement at a time" in str(error):
                raise Denied(self.name, "there is more than one statement") from None
            code = getattr(error, "sqlite_errorcode", 0)
            if code == sqlite3.SQLITE_INTERRUPT and monotonic() > end:
                raise self.caps.too_long() from None
            if isinstance(error, sqlite3.Error) and code and is_outside(error):
                raise Unanswered(self.name, str(error)) from error
            raise QueryFailed(str(error)) from error
        except OverflowError:
            raise QueryFailed("a number is too large for the database") from None


@final
class _Guard:
    """What SQLite asks about everything that a statement would do, before any of it is done."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._tables = {name.lower() for name in database.tables}
        self._writes = {name.lower() for name in database.writes}
        self._known: set[str] = set()
        self.reason = ""
        """Why something was refused, the first time."""

    def look(self, database: sqlite3.Connection) -> None:
        """Learn what is there: whatever has another name is of the statement's own making."""
        found = database.execute("select schema, lower(name), type from pragma_table_list").fetchall()
        modules = database.execute("select lower(name) from pragma_module_list").fetchall()
        self._known = {name for _, name, _ in found} | {name for (name,) in modules}
        # A table for searching text keeps its contents in others, and reads those in its turn.
        for tables in (self._tables, self._writes):
            shadows = {name for schema, name, kind in found if (schema, kind) == ("main", "shadow")}
            tables |= {name for name in shadows if name.rpartition("_")[0] in tables}

    def __call__(self, action: int, first: str | None, second: str | None, schema: str | None, _: str | None) -> int:
        # The last is no proof that a view was asked for: a name that a statement makes up stands there as well.
        name = (first or "").lower()
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            return self._judged(
                self._may_read(name, second, schema), lambda: _told(name, "read", self._database.tables)
            )
        if action in _CHANGES:
            may = name in self._writes and schema == "main"
            return self._judged(may, lambda: _told(name, "changed", self._database.writes))
        if action == sqlite3.SQLITE_FUNCTION:
            may = (second or "").lower() in FUNCTIONS
            return self._judged(may, lambda: f"the function {second} is not one of those that may be called")
        if action == sqlite3.SQLITE_PRAGMA and (name, second) == ("data_version", None):
            return sqlite3.SQLITE_OK  # what searching text asks
        return self._judged(False, lambda: f"it is no statement that reads{' or changes' * bool(self._writes)} rows")

    def _may_read(self, name: str, column: str | None, schema: str | None) -> bool:
        if name in self._tables:
            return True
        # Where no column is wanted SQLite says the name alone, be it that of a table or of a part of the statement.
        return not column and schema is None and name not in self._known and not name.startswith(("sqlite_", "pragma_"))

    def _judged(self, may: bool, reason: Callable[[], str]) -> int:
        if may:
            return sqlite3.SQLITE_OK
        self.reason = self.reason or reason()
        return sqlite3.SQLITE_DENY


def _told(name: str, what: str, allowed: tuple[str, ...]) -> str:
    return f"the table {name} is not one of those that may be {what}: {', '.join(allowed) or 'none'}"
