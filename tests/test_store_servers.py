"""Stores on servers: that go away and come back, that stop answering, that hold what somebody else wrote."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest
import redis
from services import Postgres, free_port, postgres_server, redis_server, running_postgres, running_redis

from lambdacat import Failure, Unavailable, run, task
from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store import Change, PostgresStore, RedisStore, persisted
from lambdacat.store.values import ValueStore

__all__ = ["postgres_server", "redis_server"]

SOON = 0.25
"""Units: seconds that a server which has stopped is waited for."""


@pytest.fixture
def rows(postgres_server: Postgres) -> str:
    """Tables of one's own."""
    return postgres_server.fresh()


def process_of(url: str) -> int:
    """The number of a Redis server's process."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def check_goes_away(store: ValueStore) -> None:
    """Its server was killed, and is gone as soon as the system has ended it."""
    give_up = time.monotonic() + 30
    with suppress(Unanswered):
        while time.monotonic() < give_up:
            store.get("a key")
        raise AssertionError(f"{store!r} answers though its server was killed")


# --- servers that go away --------------------------------------------------------------------------------------------


def test_a_redis_that_was_killed_is_unanswered_and_loses_nothing_that_it_said_it_had(tmp_path: Path) -> None:
    port = free_port()
    with RedisStore(f"redis://127.0.0.1:{port}/0") as store:
        with pytest.raises(Unanswered, match=f"127.0.0.1:{port}/0 lambdacat did not answer: "):
            store.get("a key")
        with running_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always", port=port) as url:
            store.put("a key", "a value")
            os.kill(process_of(url), signal.SIGKILL)
            check_goes_away(store)
        with running_redis(tmp_path, "--appendonly", "yes", port=port):
            assert store.get("a key") == "a value"
            assert store.swap("a key", "the next", 1) == 2


@pytest.mark.sweep
def test_a_postgres_that_was_killed_is_unanswered_and_loses_nothing_that_it_said_it_had() -> None:
    port = free_port()
    with TemporaryDirectory() as folder:
        store = PostgresStore(f"host=127.0.0.1 port={port} user=postgres dbname=postgres")
        with pytest.raises(Unanswered, match=f"127.0.0.1:{port}/postgres lambdacat_store did not answer: "):
            store.get("a key")
        with running_postgres(Path(folder), port=port):
            store.put("a key", "a value")
            os.kill(int(Path(folder, "data", "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            check_goes_away(store)
        Path(folder, "data", "postmaster.pid").unlink()
        with running_postgres(Path(folder), port=port), store:
            assert store.get("a key") == "a value"
            assert store.swap("a key", "the next", 1) > 1


def cut(other: psycopg.Connection[Any]) -> None:
    """End the connections of all stores whose table has this name."""
    other.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        " and query like '%to_be_cut%'"
    )


def test_a_connection_that_is_cut_is_made_again(rows: str) -> None:
    with PostgresStore(rows, table="to_be_cut") as store, psycopg.connect(rows, autocommit=True) as other:
        store.put("a key", "a value")
        cut(other)
        with pytest.raises(Unanswered, match="to_be_cut did not answer: "):
            store.get("a key")
        assert store.get("a key") == "a value"


def test_a_watch_goes_on_when_its_redis_has_come_back(tmp_path: Path) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    port = free_port()
    with RedisStore(f"redis://127.0.0.1:{port}/0") as store, ExitStack() as until_then:
        until_then.enter_context(running_redis(tmp_path, *options, port=port))
        watch = until_then.enter_context(store.watch())
        store.put("a key", 1)
        assert watch.changes(30) == (Change("a key", 1),)
        with redis.Redis.from_url(f"redis://127.0.0.1:{port}/0") as client, suppress(redis.ConnectionError):
            client.shutdown()
        for _ in range(2):
            with pytest.raises(Unanswered):
                watch.changes(30)
        with running_redis(tmp_path, *options, port=port):
            store.put("a key", 2)
            assert watch.changes(30) == (Change("a key", 2),)
            thread = Thread(target=store.put, args=("a key", 3))
            thread.start()
            assert watch.changes(30) == (Change("a key", 3),)
            thread.join()


def test_a_watch_goes_on_when_its_connections_were_cut(rows: str) -> None:
    with (
        PostgresStore(rows, table="to_be_cut") as store,
        store.watch() as watch,
        psycopg.connect(rows, autocommit=True) as other,
    ):
        store.put("a key", 1)
        first = store.read("a key")
        assert first is not None
        assert watch.changes(30) == (Change("a key", first.version),)
        cut(other)
        for _ in range(2):  # the store's connection, and then the watch's
            with pytest.raises(Unanswered):
                watch.changes(30)
        thread = Thread(target=store.delete, args=("a key",))
        thread.start()
        assert watch.changes(30) == (Change("a key", 0),)
        thread.join()


# --- servers that stop answering -------------------------------------------------------------------------------------


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """A process that stands still as long as a block lasts."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_redis_that_has_stopped_is_not_waited_for_forever(tmp_path: Path) -> None:
    with running_redis(tmp_path) as url, RedisStore(url, seconds=SOON) as store:
        store.put("a key", 1)
        with stopped(process_of(url)), pytest.raises(Unanswered, match="Timeout"):
            store.get("a key")
        assert store.get("a key") == 1


def test_a_postgres_that_has_stopped_is_not_waited_for_forever(rows: str) -> None:
    with PostgresStore(rows, seconds=SOON) as store:
        store.put("a key", 1)
        with store._asking() as connection:
            process = connection.info.backend_pid
        with stopped(process), pytest.raises(Unanswered, match="it has stopped answering"):
            store.get("a key")
        assert store.get("a key") == 1


def test_a_row_that_another_has_locked_is_not_waited_for_forever(rows: str) -> None:
    with PostgresStore(rows, seconds=SOON) as store, psycopg.connect(rows) as other:
        store.put("a key", 1)
        other.execute("select 1 from lambdacat_store for update")
        with pytest.raises(Unanswered, match=r"timeout|stopped answering"):
            store.put("a key", 2)
        other.rollback()
        assert store.get("a key") == 1


@task
def add(number: int) -> int:
    return number + 1


def test_a_plan_whose_store_is_away_is_unavailable() -> None:
    store = RedisStore(f"redis://127.0.0.1:{free_port()}/0")
    match run(persisted(add, store, "n"), 0):
        case Failure(Unavailable(what=what, reason=reason)):
            assert what == f"the store {store.name}"
            assert "refused" in reason
        case other:
            raise AssertionError(other)


# --- what messages say -----------------------------------------------------------------------------------------------

SECRET = "s3cret"


@pytest.mark.parametrize(
    "store",
    [
        RedisStore(f"redis://someone:{SECRET}@127.0.0.1:1/3?password={SECRET}"),
        RedisStore(f"unix://someone:{SECRET}@/nowhere/redis.sock?password={SECRET}"),
        PostgresStore(f"postgresql://someone:{SECRET}@127.0.0.1:1/db?connect_timeout=1"),
        PostgresStore(f"host=127.0.0.1 port=1 password='{SECRET}' dbname=db connect_timeout=1"),
    ],
    ids=["redis", "redis socket", "postgres", "postgres words"],
)
def test_no_message_has_a_password(store: ValueStore) -> None:
    with pytest.raises(Unanswered) as refusal:
        store.get("a key")
    assert SECRET not in f"{store!r} {store.name} {refusal.value} {refusal.value.__cause__!r}"


def test_a_store_without_its_client_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['redis'] = sys.modules['psycopg'] = None\n"
        "import lambdacat.store as stores\n"
        "assert stores.SqliteStore\n"
        "for name in ('RedisStore', 'PostgresStore'):\n"
        "    try:\n"
        "        getattr(stores, name)\n"
        "    except ImportError as error:\n"
        "        print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "RedisStore needs a client: pip install 'lambdacat[redis]'",
        "PostgresStore needs a client: pip install 'lambdacat[postgres]'",
    ]


# --- what somebody else did ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", b'"other"'),
        ("data", b""),
        ("version", b"7"),
        ("version", b"x"),
        ("mark", b"\xff"),
        ("digest", b"0" * 32),
    ],
)
def test_what_was_changed_on_a_redis_is_no_value(field: str, value: bytes, redis_server: str) -> None:
    with RedisStore(redis_server, space="damage") as store, redis.Redis.from_url(redis_server) as client:
        store.put("a key", "a value")
        client.hset("damage:cell:a key", field, value)
        with pytest.raises(StateCorrupt, match=r"^'a key' in redis://"):
            store.get("a key")
        store.delete("a key")
        assert store.get("a key") is None


def test_what_a_redis_has_dropped_seems_not_to_have_never_been(redis_server: str) -> None:
    with RedisStore(redis_server, space="dropped") as store, redis.Redis.from_url(redis_server) as client:
        store.put("a key", "a value")
        client.delete("dropped:cell:a key")
        with pytest.raises(StateCorrupt, match="the server has dropped a part of it"):
            store.get("a key")
        client.set("dropped:cell:another", "something else")
        with pytest.raises(StateCorrupt, match="something else has its names on this server; use another space"):
            store.get("another")
        client.delete("dropped:cell:another")


def test_a_redis_that_drops_values_when_it_is_full_is_refused(tmp_path: Path) -> None:
    options = ("--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
    with running_redis(tmp_path, *options) as url, RedisStore(url) as store:
        with pytest.raises(Unanswered, match=r"maxmemory-policy allkeys-lru\); set it to noeviction"):
            store.put("a key", 1)
        with redis.Redis.from_url(url) as client:
            client.config_set("maxmemory-policy", "noeviction")
        store.put("a key", 1)
        with pytest.raises(Unanswered, match="maxmemory"):
            store.put("another", "x" * 5_000_000)
        assert (store.get("a key"), store.get("another")) == (1, None)


def check_grows(store: ValueStore, set_back: Callable[[], object]) -> None:
    """Whatever the counter says, the next put and the next swap have higher versions."""
    with store:
        for value in range(5):
            store.put("a key", value)
        for putting in (True, False):
            before = store.read("a key")
            assert before is not None
            set_back()
            store.put("a key", "next") if putting else store.swap("a key", "next", before.version)
            after = store.read("a key")
            assert after is not None
            assert after.value == "next"
            assert after.version > before.version


def test_versions_grow_though_their_counter_was_set_back(redis_server: str, rows: str) -> None:
    """A put may also have drawn its number before another one that wrote first."""
    with redis.Redis.from_url(redis_server) as client:
        check_grows(RedisStore(redis_server, space="counted"), lambda: client.set("counted:version", 0))
    with psycopg.connect(rows, autocommit=True) as other:
        set_back = "select setval('lambdacat_store_versions', 1)"
        check_grows(PostgresStore(rows), lambda: other.execute(set_back))


def test_a_command_is_sent_once() -> None:
    """A swap that is sent again, because its answer was lost, would conflict with itself."""
    called: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def hang_up() -> None:
            with suppress(TimeoutError):
                while True:
                    server.accept()[0].close()
                    called.append(1)

        thread = Thread(target=hang_up)
        thread.start()
        with RedisStore(f"redis://127.0.0.1:{server.getsockname()[1]}") as store, pytest.raises(Unanswered):
            store.get("a key")
        thread.join()
    assert called == [1]


def test_spaces_and_tables_are_stores_of_their_own(redis_server: str, rows: str) -> None:
    pairs: list[tuple[ValueStore, ValueStore]] = [
        (RedisStore(redis_server, space="one"), RedisStore(redis_server, space="two")),
        (PostgresStore(rows), PostgresStore(rows, table='Other "table"; --')),
    ]
    for one, two in pairs:
        with one, two:
            one.put("a key", 1)
            assert (two.get("a key"), two.keys(), one.name == two.name) == (None, (), False)


@pytest.mark.parametrize(
    ("column", "value"), [("data", b'"other"'), ("version", 7), ("mark", b"\xff"), ("digest", "0" * 32)]
)
def test_what_was_changed_in_a_table_is_no_value(column: str, value: Any, rows: str) -> None:
    with PostgresStore(rows) as store, psycopg.connect(rows, autocommit=True) as other:
        store.put("a key", "a value")
        other.execute(f"update lambdacat_store set {column} = %s".encode(), (value,))
        with pytest.raises(StateCorrupt, match=r"^'a key' in postgresql://"):
            store.get("a key")
        store.put("a key", "again")
        assert store.get("a key") == "again"


def test_a_table_is_made_once_however_many_come_at_once(rows: str) -> None:
    for table in ("one", "two", "three"):
        together = Barrier(8)

        def put(number: int, table: str = table, together: Barrier = together) -> None:
            with PostgresStore(rows, table=table) as store:
                together.wait()
                store.put(f"{number}", number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(8)))
        with PostgresStore(rows, table=table) as store:
            assert store.keys() == tuple("01234567")


def test_a_table_may_be_used_by_who_may_not_make_one(rows: str) -> None:
    with PostgresStore(rows) as store:
        store.put("a key", "a value")
    with closing(psycopg.connect(rows, autocommit=True)) as owner:
        schema = owner.execute("select current_schema()").fetchall()[0][0]
        owner.execute("create role guest login")
        for grant in ("usage on schema {}", "all on all tables in schema {}", "all on all sequences in schema {}"):
            owner.execute(f"grant {grant.format(schema)} to guest".encode())
    guest = rows.replace("user=postgres", "user=guest")
    with PostgresStore(guest) as store:
        assert store.get("a key") == "a value"
        store.put("a key", "the next")
        assert store.delete("a key")
    with PostgresStore(guest, table="other") as store, pytest.raises(Unanswered, match="permission denied"):
        store.get("a key")
    with closing(psycopg.connect(rows, autocommit=True)) as owner:
        owner.execute("drop owned by guest")
        owner.execute("drop role guest")


@pytest.mark.parametrize("table", ["", "x" * 51, "a\0b", None])
def test_a_table_has_a_name(table: Any) -> None:
    with pytest.raises(ValueError, match="table is the name of a table"):
        PostgresStore("host=127.0.0.1", table=table)
