"""SQL: what is declared can be read, nothing else is seen or changed, and what comes back is bounded and says so."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import frozen
from clocks import really_on_asyncio
from hypothesis import given
from hypothesis import strategies as st
from services import Postgres, postgres_server

from lambdacat import ActionFailed, Denied, Refused, Unavailable, arun, run, task
from lambdacat.fault import Unanswered
from lambdacat.tools import PostgresDatabase, QueryFailed, Rows, SqliteDatabase
from lambdacat.tools.sql import Database

__all__ = ["postgres_server"]

TABLES = """
create table books (id integer primary key, title text unique, year int);
insert into books values (1, 'tides', 1990), (2, 'moons', 2001);
create table secret (word text);
insert into secret values ('swordfish');
create view peep as select word from secret;
create view titles as select title from books;
"""


@frozen
class Made:
    """A database with the tables above, to be asked with other declarations, and looked at behind its back."""

    ask: Callable[..., Database]
    mark: str
    """How a statement says its first parameter."""
    look: Callable[[str], list[tuple[Any, ...]]]
    prepare: Callable[[str], None]


# Each statement has a connection of its own, which a server takes its time for; one test says the same in short.
@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.sweep)])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """For tests that leave everything as it was."""
    return created(request, tmp_path_factory.mktemp("shared"))


@pytest.fixture(params=["sqlite", "postgres"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """One of a test's own."""
    return created(request, tmp_path)


def created(request: pytest.FixtureRequest, folder: Path) -> Made:
    return sqlite_made(folder / "a b?.db") if request.param == "sqlite" else postgres_made(request)


def sqlite_made(path: Path) -> Made:
    def look(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as database:
            return database.execute(sql).fetchall()

    def prepare(sql: str) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(sql)

    prepare("pragma journal_mode = off; pragma synchronous = off;" + TABLES)
    return Made(lambda **given: SqliteDatabase(path, **{"tables": ("books",), **given}), "?", look, prepare)


def postgres_made(request: pytest.FixtureRequest) -> Made:
    server: Postgres = request.getfixturevalue("postgres_server")
    dsn = server.fresh()

    def prepare(sql: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.encode())
            ((schema,),) = connection.execute("select current_schema()").fetchall()
            for what in ("schema", "all tables in schema", "all sequences in schema"):
                connection.execute(f"grant all on {what} {schema} to plain".encode())

    def look(sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    if not look("select 1 from pg_roles where rolname = 'plain'"):
        prepare("create role plain login; " + TABLES)
    else:
        prepare(TABLES)
    plain = dsn.replace("user=postgres", "user=plain")
    return Made(lambda **given: PostgresDatabase(plain, **{"tables": ("books",), **given}), "$1", look, prepare)


STATE = "select count(*), sum(year), min(title) from books"
BEFORE = [(2, 3991, "moons")]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_what_a_query_gives_has_names_and_types(shared: Made) -> None:
    sql = f"select id, title, null as empty from books where year > {shared.mark} and title like '%o%'"
    assert shared.ask().query(sql, (1995,)) == Rows(("id", "title", "empty"), ((2, "moons", None),))


def test_a_query_is_a_step(shared: Made) -> None:
    step = task(shared.ask().query)
    for outcome in (run(step, "select 1 as one"), really_on_asyncio(lambda: arun(step, "select 1 as one"))):
        assert outcome.unwrap() == Rows(("one",), ((1,),))
    assert isinstance(run(step, "select * from secret").failure(), Refused)
    assert isinstance(run(step, "select * from nowhere").failure(), ActionFailed)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from secret",
        "select count(*) from secret",
        "select 1 from secret",
        "select * from secret where 1 = 0",
        "select * from peep",
        "select * from books, secret",
        "select (select word from secret) from books",
        "select title from books union select word from secret",
        "with books as (select * from secret) select * from books",
        "with peep as (select * from secret) select * from peep",
        "select * from books where exists (select 1 from secret)",
        "select * from books order by (select word from secret)",
        'select * from "secret"',
        "/* select * from books */ select * from secret -- books",
    ],
)
def test_no_other_table_is_read(shared: Made, sql: str) -> None:
    with pytest.raises(Denied, match="secret"):
        shared.ask().query(sql)


def test_a_view_wants_its_tables_declared_as_well(shared: Made) -> None:
    assert shared.ask(tables=("books", "titles")).query("select title from titles order by 1").rows[0] == ("moons",)
    with pytest.raises(Denied):
        shared.ask(tables=("titles",)).query("select * from titles")
    with pytest.raises(Denied):
        shared.ask(tables=("peep", "books")).query("select * from peep")


def test_names_that_a_statement_makes_up_are_its_own(shared: Made) -> None:
    for sql in ("with q as (select 7) select count(*) from q", "select count(*) from (select id from books) as q"):
        assert shared.ask().query(sql).rows[0][0] in (1, 2)


CHANGES = [
    "insert into books values (3, 'x', 1)",
    "update books set year = 0",
    "delete from books",
    "drop table books",
    "create table more (x int)",
    "create temp table more (x int)",
    "alter table books add column more int",
    "with x as (select 1) insert into books select 3, 'x', 1",
    "vacuum",
    "analyze",
    "begin",
    "commit",
    "rollback",
    "savepoint one",
    "explain analyze delete from books",
]


@pytest.mark.parametrize("sql", CHANGES)
def test_nothing_is_changed_that_is_not_declared(shared: Made, sql: str) -> None:
    with pytest.raises((Denied, QueryFailed)):
        shared.ask().query(sql)
    assert shared.look(STATE) == BEFORE


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; select 2",
        "select 1; drop table books",
        "update books set year = 0; delete from books",
        "; drop table books",
    ],
)
@pytest.mark.parametrize("writes", [(), ("books",)])
def test_statements_come_one_by_one(shared: Made, sql: str, writes: tuple[str, ...]) -> None:
    with pytest.raises((Denied, QueryFailed)):
        shared.ask(writes=writes).query(sql)
    assert shared.look(STATE) == BEFORE


def test_one_semicolon_at_the_end_is_no_second_statement(shared: Made) -> None:
    assert shared.ask().query("select 1;").rows == ((1,),)


# --- parameters ------------------------------------------------------------------------------------------------------

HOSTILE = ["'; drop table books; --", "' or '1'='1", '" or ""="', "\\'; select 1", "%", "_", "$1", "?", ":a", "%s"]
HOSTILE += ["__proto__", "__class__", "../../etc/passwd", "books", "\r\n", "\x1b[31m", "ü\u202e", "/*", "*/", ";"]


def test_parameters_are_values_whatever_they_say(made: Made) -> None:
    database = made.ask(writes=("books",))
    for number, text in enumerate(HOSTILE, start=3):
        database.query(f"insert into books values ({', '.join(marks(made, 3))})", (number, text, 0))
        assert database.query(f"select id from books where title = {made.mark}", (text,)).rows == ((number,),)
    assert made.look("select count(*) from books") == [(2 + len(HOSTILE),)]


def marks(made: Made, count: int) -> list[str]:
    """The first so many parameters."""
    return ["?"] * count if made.mark == "?" else [f"${n}" for n in range(1, count + 1)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabase:
    made = sqlite_made(tmp_path_factory.mktemp("kept") / "books.db")
    database = made.ask()
    assert isinstance(database, SqliteDatabase)
    return database


@given(text=st.text(st.characters(codec="utf-8"), max_size=30), number=st.integers(-(2**62), 2**62))
def test_values_come_back_as_they_were(kept: SqliteDatabase, text: str, number: int) -> None:
    raw = text.encode()
    assert kept.query("select ?, ?, ?", (text, number, raw)).rows == ((text, number, raw),)


def test_a_nul_is_kept_or_refused_by_name(shared: Made) -> None:
    if shared.mark == "?":
        assert shared.ask().query("select ?", ("a\0b",)).rows == (("a\0b",),)
    else:
        with pytest.raises(QueryFailed, match="NUL"):
            shared.ask().query("select $1::text", ("a\0b",))
    with pytest.raises(QueryFailed, match="NUL"):
        shared.ask().query("select 1\0; drop table books")


@pytest.mark.parametrize("text", ["\ud800", "select '\udfff'"])
def test_half_a_surrogate_pair_is_refused(shared: Made, text: str) -> None:
    for sql, values in ((text, ()), (f"select {shared.mark}", (text,))):
        with pytest.raises(QueryFailed, match="surrogate"):
            shared.ask().query(sql, values)


@pytest.mark.parametrize("parameters", ["text", b"bytes", {"a": 1}, 7, [object()], [[1]], [{"a": 1}]])
def test_parameters_are_plain_values_in_a_row(shared: Made, parameters: Any) -> None:
    with pytest.raises(TypeError):
        shared.ask().query(f"select {shared.mark}", parameters)


def test_missing_parameters_are_said(shared: Made) -> None:
    with pytest.raises(QueryFailed, match=r"0 (parameters|supplied)"):
        shared.ask().query(f"select title from books where title = {shared.mark}")


@pytest.mark.parametrize("tables", ["books", [""], [7], ["a\0"], [None]])
def test_tables_are_names(shared: Made, tables: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        shared.ask(tables=tables)


# --- caps ------------------------------------------------------------------------------------------------------------

COUNTING = "with recursive n(x) as (select 1 union all select x + 1 from n where x < {}) select x from n"


@pytest.mark.parametrize(
    ("rows", "there", "truncated"), [(10, 9, False), (10, 10, False), (10, 11, True), (60, 500, True)]
)
def test_rows_are_counted(shared: Made, rows: int, there: int, truncated: bool) -> None:
    found = shared.ask(rows=rows).query(COUNTING.format(there))
    assert (len(found.rows), found.truncated) == (min(rows, there), truncated)
    assert found.rows == tuple((n,) for n in range(1, len(found.rows) + 1))


def test_bytes_are_counted(shared: Made) -> None:
    sql = "with recursive n(x) as (select 1 union all select x + 1 from n where x < 9) select 'üüüü' from n"
    assert len(shared.ask(size=80).query(sql).rows) == 9
    found = shared.ask(size=20).query(sql)
    assert (found.rows, found.truncated) == ((("üüüü",),) * 2, True)


def test_time_is_counted(shared: Made) -> None:
    began = time.monotonic()
    with pytest.raises(QueryFailed, match=r"it took longer than 0\.2 s"):
        shared.ask(seconds=0.2).query(f"select count(*) from ({COUNTING.format(10**9)}) as n")
    assert time.monotonic() - began < 0.2 + 1


@pytest.mark.parametrize("caps", [{"rows": 0}, {"size": -1}, {"seconds": 0}, {"rows": True}, {"seconds": float("nan")}])
def test_caps_are_above_zero(shared: Made, caps: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is a number above 0"):
        shared.ask(**caps)


# --- changing --------------------------------------------------------------------------------------------------------


def test_a_declared_table_is_changed_and_the_change_is_kept(made: Made) -> None:
    database = made.ask(writes=("books",))
    given = database.query("insert into books values (3, 'rain', 0) returning id, title")
    assert given == Rows(("id", "title"), ((3, "rain"),), changed=1)
    assert database.query("update books set year = year + 1").changed == 3
    assert database.query("delete from books where id = 3").changed == 1
    assert database.query("select count(*) from books").rows == ((2,),)
    assert made.look(STATE) == [(2, 3993, "moons")]


@pytest.mark.parametrize(
    "sql",
    [
        "insert into secret values ('x')",
        "delete from secret",
        "update secret set word = 'x'",
        "update books set title = (select word from secret) where id = 1",
        "insert into books select 3, word, 0 from secret",
        "drop table books",
        "with x as (select 1) delete from secret",
    ],
)
def test_no_other_table_is_changed_or_read_meanwhile(shared: Made, sql: str) -> None:
    with pytest.raises((Denied, QueryFailed)):
        shared.ask(writes=("books",)).query(sql)
    assert shared.look(STATE) == BEFORE
    assert shared.look("select word from secret") == [("swordfish",)]


def test_a_change_that_fails_is_no_change(shared: Made) -> None:
    with pytest.raises(QueryFailed):
        shared.ask(writes=("books",)).query("insert into books values (3, 'new', 0), (1, 'there', 0)")
    sql = f"update books set year = (select count(*) from ({COUNTING.format(10**9)}) as n)"
    with pytest.raises(QueryFailed, match="took longer"):
        shared.ask(writes=("books",), seconds=0.2).query(sql)
    assert shared.look(STATE) == BEFORE


# --- one of the two --------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "books.db"
    sqlite_made(path)
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "attach database ':memory:' as other",
        "attach 'books.db' as other",
        "detach main",
        "pragma query_only = off",
        "pragma table_list",
        "pragma writable_schema = on",
        "select * from pragma_table_info('books')",
        "select count(*) from pragma_table_list",
        "select load_extension('x')",
        "select randomblob(9)",
        "select sqlite_version()",
        "select * from sqlite_master",
        "select count(*) from sqlite_schema",
        "select * from temp.sqlite_master",
        "select * from dbstat",
        "select * from json_each('[1]')",
        "explain select * from secret",
        "create trigger t after insert on books begin delete from secret; end",
        "reindex",
    ],
)
@pytest.mark.parametrize("writes", [(), ("books",)])
def test_sqlite_does_nothing_but_read_and_change_rows(kept: SqliteDatabase, sql: str, writes: Sequence[str]) -> None:
    with pytest.raises(Denied):
        SqliteDatabase(kept.path, tables=("books",), writes=writes).query(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select zeroblob(1000000000)",
        "select replace(hex(zeroblob(400000)), '0', 'xxxx')",
        "select 'x' like ?",
        "vacuum into 'x.db'",
    ],
)
def test_sqlite_makes_no_giants(kept: SqliteDatabase, sql: str) -> None:
    began = time.monotonic()
    with pytest.raises(QueryFailed):
        kept.query(sql, ("%_" * 1000,) if "?" in sql else ())
    assert time.monotonic() - began < 1


def test_triggers_of_sqlite_change_declared_tables_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.executescript("create trigger t after insert on books begin delete from secret; end")
    with pytest.raises(Denied, match="the table secret is not one of those that may be changed: books"):
        SqliteDatabase(file, tables=(), writes=("books",)).query("insert into books values (3, 'x', 0)")
    changed = SqliteDatabase(file, tables=(), writes=("books", "secret")).query("insert into books values (3, 'x', 0)")
    assert changed.changed == 2


def test_a_table_for_searching_text_is_one_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("create virtual table notes using fts5 (text); insert into notes values ('moon, sea')")
    database = SqliteDatabase(file, tables=("notes",))
    sql = "select text, snippet(notes, 0, '[', ']', '', 3) from notes where notes match ? order by bm25(notes)"
    assert database.query(sql, ("sea",)).rows == (("moon, sea", "moon, [sea]"),)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for writes in ((), ("books",)):
        with pytest.raises(Unanswered, match="unable to open"):
            SqliteDatabase(tmp_path / "none.db", tables=(), writes=writes).query("select 1")
    assert list(tmp_path.iterdir()) == []


def test_a_busy_file_is_waited_for_and_then_unanswered(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin exclusive")
        outcome = run(task(SqliteDatabase(file, tables=("books",), seconds=0.1).query), "select * from books")
    assert isinstance(outcome.failure(), Unavailable)


def test_threads_share_a_database(file: Path) -> None:
    database = SqliteDatabase(file, tables=(), writes=("books",))
    threads = [
        threading.Thread(target=database.query, args=("insert into books values (?, ?, 0)", (n, f"{n}")))
        for n in range(10, 18)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.query("select count(*) from books where id >= 10").rows == ((8,),)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Made:
    made = postgres_made(request)
    made.prepare(MORE)
    return made


MORE = """
create function told() returns text language plpgsql as 'begin return (select word from secret); end';
create function constant() returns text language sql immutable as 'select word from secret';
create function noted() returns trigger language plpgsql as 'begin delete from secret; return new; end';
create table log (line text);
create trigger now after insert on log for each row execute function noted();
create table later (line text);
create constraint trigger later after insert on later deferrable initially deferred
    for each row execute function noted();
"""


def test_postgres_in_short(server: Made) -> None:
    reading, changing = server.ask(), server.ask(writes=("books", "later"))
    assert reading.query("select title from books where id = $1", (1,)) == Rows(("title",), (("tides",),))
    assert reading.query("select * from generate_series(1, 9999)").truncated
    for sql in ("select * from secret", "select told()", "select * from pg_class", "select 1; drop table books"):
        with pytest.raises(Denied):
            reading.query(sql)
    with pytest.raises(Denied):
        # Nothing of it has run, so that no error tells of what is in there.
        reading.query("select 1 / (length(word) - 9) from secret")
    with pytest.raises(Denied, match="more than one"):
        changing.query("update books set year = 0; drop table books")
    for sql in ("delete from secret", "insert into later values ('x')", "update books set title = told() where id = 1"):
        with pytest.raises(Denied, match="would touch secret"):
            changing.query(sql)
    for sql in ("delete from books", "with x as (delete from books returning 1) select * from x", "commit"):
        with pytest.raises(QueryFailed):
            reading.query(sql)
    with pytest.raises(QueryFailed, match="took longer"):
        server.ask(seconds=0.1).query("select pg_sleep(9)")
    assert server.look(STATE) == BEFORE


@pytest.mark.sweep
@pytest.mark.parametrize(
    "sql",
    [
        "select told()",
        "select constant()",
        "select query_to_xml('select * from secret', true, true, '')",
        "select * from pg_class",
        "select * from information_schema.tables",
        "select * from pg_stat_activity",
        "select pg_read_file('/etc/passwd')",
        "select * from books for update",
        "table secret",
    ],
)
def test_postgres_says_what_functions_touch(server: Made, sql: str) -> None:
    for writes in ((), ("books",)):
        with pytest.raises(Denied):
            server.ask(writes=writes).query(sql)


@pytest.mark.sweep
@pytest.mark.parametrize("sql", ["insert into log values ('x')", "insert into later values ('x')"])
def test_triggers_of_postgres_change_declared_tables_alone(server: Made, sql: str) -> None:
    with pytest.raises(Denied, match="would touch secret"):
        server.ask(writes=("log", "later")).query(sql)
    assert server.look("select count(*) from secret") == [(1,)]


@pytest.mark.sweep
def test_a_trigger_of_postgres_may_change_what_is_declared(request: pytest.FixtureRequest) -> None:
    server = postgres_made(request)
    server.prepare(MORE)
    assert server.ask(writes=("log", "later", "secret")).query("insert into later values ('x')").changed == 1
    assert server.look("select count(*) from secret") == [(0,)]


@pytest.mark.sweep
@pytest.mark.parametrize(
    "sql",
    [
        "/* /* */ with */ drop table books",
        "-- with\ndrop table books",
        "copy books to stdout",
        "do 'begin delete from books; end'",
        "set transaction read write",
        "select set_config('transaction_read_only', 'off', false)",
        "with x as (select 1 as y) select y into more from x",
        "truncate books",
        "lock table books",
        "create table more as select 1",
        "select nextval('books_id_seq')",
    ],
)
@pytest.mark.parametrize("writes", [(), ("books",)])
def test_postgres_does_nothing_but_read_and_change_rows(server: Made, sql: str, writes: Sequence[str]) -> None:
    with pytest.raises((Denied, QueryFailed)):
        server.ask(writes=writes).query(sql)
    assert server.look(STATE) == BEFORE


def test_what_a_read_leaves_behind_is_taken_back(server: Made) -> None:
    server.ask().query("select lo_create(0)")
    assert server.look("select count(*) from pg_largeobject_metadata") == [(0,)]


def test_partitions_belong_to_their_table(server: Made) -> None:
    server.prepare(
        "create table parts (n int, t text) partition by range (n);"
        "create table part_1 partition of parts for values from (0) to (9);"
        "insert into parts select 1, string_agg(md5(n::text), '') from generate_series(1, 1000) as n"
    )
    assert server.ask(tables=("parts",)).query("select n, length(t) from parts").rows == ((1, 32_000),)
    with pytest.raises(Denied):
        server.ask(tables=("part_1",)).query("select n from parts")


def test_numbers_that_a_table_gives_itself_are_part_of_it(server: Made) -> None:
    server.prepare("create table lines (id serial primary key, book int references books (id), text text)")
    database = server.ask(tables=("books",), writes=("lines",))
    assert database.query("insert into lines (book) values (1) returning id").rows == ((1,),)
    long = "insert into lines (text) select string_agg(md5(n::text), '') from generate_series(1, 1000) as n"
    assert database.query(long).changed == 1
    with pytest.raises(QueryFailed, match="violates foreign key"):
        database.query("insert into lines (book) values (9)")


def test_whoever_may_do_everything_is_not_asked_through(postgres_server: Postgres) -> None:
    with pytest.raises(Denied, match="connect as a plain one"):
        PostgresDatabase(postgres_server.dsn, tables=()).query("select 1")


def test_a_declared_table_that_is_not_there_is_said(server: Made) -> None:
    with pytest.raises(QueryFailed, match="there is no table nowhere"):
        server.ask(tables=("books", "nowhere")).query("select 1")


def test_a_server_that_is_away_is_unanswered() -> None:
    with pytest.raises(Unanswered, match="connection failed"):
        PostgresDatabase("host=127.0.0.1 port=1 dbname=away user=x", tables=(), seconds=1).query("select 1")


def test_sequences_of_names_are_taken_as_they_are(file: Path) -> None:
    names: Iterable[str] = iter(["BOOKS"])
    assert SqliteDatabase(file, tables=names).query("select count(*) from books").rows == ((2,),)
