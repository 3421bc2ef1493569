"""Stores: one suite for all of them, and what each says for itself; plans that are loaded and saved."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import store_programs
from hypothesis import given
from hypothesis import strategies as st
from services import Postgres, postgres_server, redis_server
from store_programs import CODECS, JOURNEY, KINDS

from lambdacat.fault import Unanswered
from lambdacat.store import (
    FileStore,
    MemoryStore,
    PostgresStore,
    RedisStore,
    SqliteStore,
    Store,
    VersionConflict,
    Versioned,
)
from lambdacat.store.pages import stem_of
from lambdacat.testing.proving import rotating_seed
from lambdacat.testing.store_laws import STORE_CODECS, StoreCase, check_store_laws, store_cases
from lambdacat.testing.store_samples import key_texts

__all__ = ["postgres_server", "redis_server"]

Address = Callable[[str], str]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where laws are tried that are not about disks: they would mostly wait for one."""


@pytest.fixture(scope="session")
def address(request: pytest.FixtureRequest) -> Iterator[Address]:
    """A place for the tests of each kind of store; servers are started when they are asked for."""
    with TemporaryDirectory(dir=QUICK) as folder:

        def place(kind: str) -> str:
            if kind == "redis":
                return str(request.getfixturevalue("redis_server"))
            if kind == "postgres":
                server: Postgres = request.getfixturevalue("postgres_server")
                return server.dsn
            return str(Path(folder, kind))

        yield place


@pytest.fixture(scope="session")
def handles(address: Address) -> Iterator[Callable[[str], tuple[Store, Store]]]:
    """Two handles on a place of each kind of store."""
    made: dict[str, tuple[Store, Store]] = {}
    with ExitStack() as stack:

        def pair(kind: str) -> tuple[Store, Store]:
            if kind not in made:
                make = (
                    partial(KINDS[kind], address(kind), STORE_CODECS)
                    if kind in KINDS
                    else partial(MemoryStore, codecs=STORE_CODECS)
                )
                one = stack.enter_context(make())
                made[kind] = one, one if kind == "memory" else stack.enter_context(make())
            return made[kind]

        yield pair


Handles = Callable[[str], tuple[Store, Store]]
EVERY = ("memory", *KINDS)
CASES = store_cases()
PLAIN = 4
"""Examples in the plain count: the first of a property is nearly always an empty one."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", EVERY)
def test_every_store_keeps_the_laws(kind: str, case: StoreCase, handles: Handles) -> None:
    """R-J10, A43, R-F4."""
    case.check(*handles(kind), max_examples=PLAIN if kind in ("memory", "sqlite") else 2)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", EVERY)
def test_every_store_keeps_the_laws_on_many_values(kind: str, handles: Handles) -> None:
    began, start, rounds = time.perf_counter(), rotating_seed(), 0
    while rounds < 25 and (rounds == 0 or time.perf_counter() - began < SWEEP_SECONDS):
        for case in CASES:
            case.check(*handles(kind), max_examples=4, start=start + rounds)
        rounds += 1
    print(f"\n{kind}: {rounds} x 4 examples of {len(CASES)} cases from seed {start}")


def test_the_suite_has_no_case_twice() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 80


def test_a_store_that_keeps_a_law_by_halves_is_caught() -> None:
    class Hasty(MemoryStore):  # type: ignore[misc]
        """Swaps whatever is there."""

        def swap(self, key: str, value: object, version: int, *, mark: str = "") -> int:
            self.put(key, value)
            return self._cells[key].version

    store = Hasty(codecs=STORE_CODECS)
    with pytest.raises(AssertionError, match="law 'a store does what a dict does' does not hold"):
        check_store_laws(lambda: store, max_examples=8)


def test_a_store_that_loses_the_end_of_rows_is_caught_at_the_plain_count() -> None:
    class Forgetful(MemoryStore):  # type: ignore[misc]
        """Keeps the first of each list."""

        def put(self, key: str, value: object) -> None:
            super().put(key, value[:1] if isinstance(value, list) else value)

    store = Forgetful(codecs=STORE_CODECS)
    with pytest.raises(AssertionError, match="does not hold"):
        check_store_laws(lambda: store, max_examples=PLAIN)


# --- processes -------------------------------------------------------------------------------------------------------


def performed(kind: str, place: str, *, crowd: int, rounds: int) -> list[str]:
    """What another process says of a journey that is saved here, and of its children's increments."""
    key = f"{crowd} x {rounds}"
    with KINDS[kind](place, CODECS) as store:
        store.put("a journey", JOURNEY)
        store.delete(key)
    command = [sys.executable, store_programs.__file__, kind, place, "a journey", key, str(crowd), str(rounds)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_processes_find_what_was_saved_and_lose_nothing(kind: str, address: Address) -> None:
    """A43, R-F3: also where a store is open when a process is forked."""
    assert performed(kind, address(kind), crowd=3, rounds=5) == ["True", "[0, 0, 0] 15"]


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
def test_eight_processes_lose_no_increment(kind: str, address: Address, tmp_path: Path) -> None:
    """R-F3: 8 x 200, on a real disk."""
    place = address(kind) if kind in ("redis", "postgres") else str(tmp_path / "place")
    began = time.perf_counter()
    said = performed(kind, place, crowd=8, rounds=200)
    print(f"\n{kind}: 8 x 200 increments in {time.perf_counter() - began:.1f} s: {said[1]}")
    assert said == ["True", f"{[0] * 8} 1600"]


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in which nothing has to reach a disk."""
    with TemporaryDirectory(dir=QUICK) as folder:
        yield Path(folder)


def test_a_value_is_a_json_file_that_people_can_read(quick: Path) -> None:
    store = FileStore(quick / "made" / "on the way", codecs=CODECS)
    store.put("Notes: 1", {"title": "é", "tags": ["a"]})
    (path,) = store.folder.glob("*.json")
    assert re.fullmatch(r"notes-1\.[0-9a-f]{32}\.json", path.name)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["key"], document["version"]) == ("Notes: 1", 1)
    assert document["value"] == {"title": "é", "tags": ["a"]}


@given(st.lists(key_texts(), min_size=2, max_size=6, unique=True))
def test_names_of_files_are_safe_and_apart(keys: list[str]) -> None:
    """Also where a file system does not tell upper from lower case."""
    names = [stem_of(key) for key in keys]
    assert len({name.casefold() for name in names}) == len(keys)
    assert all(re.fullmatch(r"([a-z0-9-]{1,40}\.)?[0-9a-f]{32}", name) for name in names)


@given(st.data())
def test_the_value_before_is_the_one_before(data: st.DataObject) -> None:
    before: Versioned | None = None
    with TemporaryDirectory(dir=QUICK) as folder:
        store = FileStore(folder)
        for value in data.draw(st.lists(st.none() | st.integers(0, 9), max_size=5)):
            if value is None:
                store.delete("a key")
                before = None
            else:
                before = store.read("a key")
                store.put("a key", value)
            assert store.previous("a key") == before


def test_a_file_system_without_links_keeps_the_value_before(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    store = FileStore(quick)
    for value in (1, 2, 3):
        store.put("a key", value)
    assert store.get("a key") == 3
    assert store.previous("a key") == Versioned(2, 2)
    with SqliteStore(quick / "store.db") as other:
        other.put("a key", 1)
        assert other.get("a key") == 1


def test_a_file_in_the_place_of_a_folder_is_said(quick: Path) -> None:
    (quick / "taken").write_text("")
    for store in (FileStore(quick / "taken"), SqliteStore(quick / "taken" / "store.db")):
        with pytest.raises(Unanswered, match="taken"):
            store.put("a key", 1)
    with pytest.raises(Unanswered, match=f"there is no folder {quick / 'missing'}"):
        SqliteStore(quick / "missing" / "store.db").get("a key")
    assert [one.name for one in quick.iterdir()] == ["taken"]


def test_a_store_stays_where_it_was_made(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (quick / "elsewhere").mkdir()
    monkeypatch.chdir(quick)
    stores = FileStore("values"), SqliteStore("store.db")
    monkeypatch.chdir(quick / "elsewhere")
    for store in stores:
        with store:
            store.put("a key", 1)
    assert {one.name for one in quick.iterdir()} == {"elsewhere", "values", "store.db"}


@contextmanager
def only_allowed(folder: Path, mode: int) -> Iterator[None]:
    """As somebody who may do only this there."""
    folder.chmod(mode)
    nobody = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    if nobody is not None:
        os.seteuid(nobody)
    try:
        yield
    finally:
        if nobody is not None:
            os.seteuid(0)
        folder.chmod(0o755)


def test_who_may_only_read_reads_and_is_refused_to_write(quick: Path) -> None:
    quick.chmod(0o755)
    folder = quick / "values"
    store = FileStore(folder)
    store.put("a key", 1)
    (folder / ".new").write_text("left over by somebody who was killed")
    before = sorted(folder.iterdir())
    with only_allowed(folder, 0o555):
        reader = FileStore(folder)
        assert (reader.get("a key"), reader.keys(), reader.get("another")) == (1, ("a key",), None)
        for write in (lambda: reader.put("a key", 2), lambda: reader.delete("a key")):
            with pytest.raises(Unanswered, match="Permission denied"):
                write()
    assert sorted(folder.iterdir()) == before
    with only_allowed(folder, 0o000):
        for read in (store.keys, lambda: store.get("a key"), lambda: store.watch().changes(0)):
            with pytest.raises(Unanswered, match="Permission denied"):
                read()
    assert FileStore(folder).get("a key") == 1
    assert not (folder / ".new").exists()


# --- writers that wait for each other --------------------------------------------------------------------------------


def test_a_writer_that_never_ends_is_not_waited_for_forever(quick: Path) -> None:
    files, database = FileStore(quick / "f", seconds=0.05), SqliteStore(quick / "s.db", seconds=0.05)
    files.put("a key", 1)
    with database:
        database.put("a key", 1)
        with (quick / "f" / ".lock").open("rb") as lock, closing(sqlite3.connect(quick / "s.db")) as other:
            fcntl.flock(lock, fcntl.LOCK_EX)
            other.execute("begin immediate")
            for store in (files, database):
                with pytest.raises(Unanswered, match="lock"):
                    store.put("a key", 2)
                assert store.get("a key") == 1
        for store in (files, database):
            store.put("a key", 3)
            assert store.get("a key") == 3


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "1", None])
def test_one_waits_for_a_number_of_seconds(seconds: Any) -> None:
    makes: tuple[Callable[[], object], ...] = (
        lambda: FileStore("nowhere", seconds=seconds),
        lambda: SqliteStore("nowhere", seconds=seconds),
        lambda: RedisStore("redis://127.0.0.1", seconds=seconds),
        lambda: PostgresStore("host=127.0.0.1", seconds=seconds),
    )
    for make in makes:
        with pytest.raises(ValueError, match="seconds is how long an answer is waited for"):
            make()


# --- SQLite ----------------------------------------------------------------------------------------------------------


def test_what_was_put_into_sqlite_is_on_disk_when_put_returns(quick: Path) -> None:
    with SqliteStore(quick / "store.db") as store:
        store.put("a key", 1)
        with store._asking() as database:
            settings = [database.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]
        assert {one.name for one in quick.iterdir()} == {"store.db", "store.db-wal", "store.db-shm"}
    assert {one.name for one in quick.iterdir()} == {"store.db"}


def test_a_database_is_made_once_however_many_come_at_once(quick: Path) -> None:
    def put(number: int) -> None:
        with SqliteStore(quick / "store.db") as store:
            store.put(f"{number}", number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(8)))
    with SqliteStore(quick / "store.db") as store:
        assert store.keys() == tuple("01234567")
    assert {one.name for one in quick.iterdir()} == {"store.db"}


def test_stores_say_what_they_are(quick: Path) -> None:
    assert repr(SqliteStore(quick / "store.db")) == f"SqliteStore('{quick}/store.db')"
    assert repr(FileStore(quick)) == f"FileStore('{quick}')"
    said = str(VersionConflict("a", 1, 0))
    assert said == "'a' was written by another: version 1 was to be replaced and nothing is there; read it again"
