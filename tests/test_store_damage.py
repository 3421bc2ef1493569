"""What becomes of stores when processes die, disks fail and bits flip."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import needed
from store_crashes import KEY, KINDS, REFUSED, TOUCHING, WRITES, Order, calls, crashing

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store import FileStore, SqliteStore
from lambdacat.store.cells import cell
from lambdacat.store.pages import Page
from lambdacat.testing.proving import rotating_seed

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 200
"""How many bits are flipped at least, whatever the time."""
QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where processes are killed: that is not about how a disk keeps what it has."""

# --- processes that die ----------------------------------------------------------------------------------------------

Perform = Callable[[Order], int]


@pytest.fixture(scope="module")
def perform() -> Iterator[Perform]:
    needed("strace", "strace")
    with crashing() as performed:
        yield performed


def prepared(kind: str, write: str, folder: str) -> Order:
    """A write to a store that has two generations of a value, or is not there."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir()
    order = Order(kind, str(Path(folder, "place")), write)
    if write != "make":
        with order.store() as store:
            store.put(KEY, "older")
            store.put(KEY, "old")
    return order


def outcome(order: Order, code: int) -> str:
    """What a write that was tampered with has left: ``old`` or ``new``, and nothing else."""
    before, after = (None if order.write == "make" else "old"), (None if order.write == "delete" else "new")
    with order.store() as store:
        found = store.get(KEY)
        assert found in (before, after), f"{found!r} is there"
        assert code in (0, REFUSED, -signal.SIGKILL), "the process ended in another way"
        if code == 0:
            assert found == after, "a write was acknowledged and is lost"
        earlier = store.previous(KEY) if isinstance(store, FileStore) else None
        assert earlier is None or earlier.value in ("older", "old"), f"{earlier!r} was never before it"
        if found == "old" and earlier is not None:
            assert earlier.value == "older", "the value before is the value itself"
        store.put(KEY, "next")
        assert store.get(KEY) == "next", "the store takes nothing more"
    check_no_remains(order)
    return "new" if found == after else "old"


def check_no_remains(order: Order) -> None:
    """Nothing is left over of writers that ended."""
    place = Path(order.place)
    if order.kind == "sqlite":
        assert {one.name for one in place.parent.iterdir()} == {place.name}
    else:
        names = {one.name for one in place.iterdir()} - {".lock", ".floor"}
        assert {Path(name).suffix for name in names} <= {".json", ".previous"}
        assert len(names) <= 2, f"there are {names}"


def places(perform: Perform, kind: str, write: str, folder: str) -> list[tuple[str, int]]:
    """Every system call of an undisturbed write."""
    order = prepared(kind, write, folder)
    log = f"{folder}/log"
    assert perform(Order(order.kind, order.place, order.write, log=log)) == 0
    return calls(Path(log))


def tampered(perform: Perform, kind: str, write: str, folder: str, call: str, what: str) -> str:
    """What came of a write to which something happened."""
    order = prepared(kind, write, folder)
    return outcome(order, perform(Order(order.kind, order.place, order.write, call, what)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_is_cut_off_is_whole_or_was_never(perform: Perform, kind: str) -> None:
    """R-F1, at a few places."""
    source = random.Random(kind)
    with TemporaryDirectory(dir=QUICK) as folder:
        every = [place for place in places(perform, kind, "replace", folder) if place[0] in TOUCHING]
        for call, number in source.sample(every, 6):
            what = source.choice(["signal=KILL", "error=ENOSPC"])
            tampered(perform, kind, "replace", folder, call, f"{what}:when={number}")


def test_a_file_is_on_disk_before_it_has_its_name(perform: Perform) -> None:
    """And its name is, before the write is acknowledged: what a power cut leaves is what a kill leaves."""
    with TemporaryDirectory(dir=QUICK) as folder:
        done = [call for call, _ in places(perform, "files", "replace", folder)]
    lasting = [call for call in done if call in ("write", "fsync", "link", "rename")]
    assert lasting == ["write", "fsync", "link", "rename", "rename", "fsync"]


@pytest.mark.sweep
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_write_survives_a_kill_and_an_error_at_every_system_call(perform: Perform, kind: str, write: str) -> None:
    """R-F1."""
    began, seen = time.perf_counter(), Counter[str]()
    with TemporaryDirectory(dir=QUICK) as folder:
        every = places(perform, kind, write, folder)
        row = [(call, f"signal=KILL:when={n}") for call, n in every]
        for error in ("ENOSPC", "EIO", "EFBIG"):
            row += [(call, f"error={error}:when={n}") for call, n in every if call in TOUCHING]
        for call, what in row:
            seen[tampered(perform, kind, write, folder, call, what)] += 1
    assert seen.total() == len(row) >= 10
    print(f"\n{kind} {write}: {seen.total()} of {len(row)} places in {time.perf_counter() - began:.1f} s: {dict(seen)}")
    assert seen.keys() == {"old", "new"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_past_the_size_that_is_allowed_leaves_the_old_value(kind: str, tmp_path: Path) -> None:
    """A43, R-F1: a real EFBIG."""
    with KINDS[kind](str(tmp_path / "place")) as store:
        store.put(KEY, "old")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(Unanswered, match="place did not answer: "):
                store.put(KEY, "x" * 1_000_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.get(KEY) == "old"
        store.put(KEY, "x" * 1_000_000)
        assert len(store.get(KEY)) == 1_000_000


# --- bits that flip --------------------------------------------------------------------------------------------------

PAGE = Page("a key", cell("a key", b'{"a":[1,2,"three"]}', "a mark", 7))


@given(st.data())
def test_a_damaged_file_is_never_a_value(data: st.DataObject) -> None:
    """R-F2: cut off, flipped, with something in between or behind."""
    text = PAGE.text()
    assert Page.parsed(text, "") == PAGE
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = data.draw(
        st.one_of(
            st.just(text[:at]),
            st.integers(0, 7).map(lambda bit: text[:at] + bytes((text[at] ^ 1 << bit,)) + text[at + 1 :]),
            st.binary(min_size=1, max_size=9).map(lambda more: text[:at] + more + text[at:]),
            st.binary(min_size=1, max_size=9).map(lambda more: text + more),
        )
    )
    if damaged != text:
        with pytest.raises(StateCorrupt):
            Page.parsed(damaged, "")


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\n",
        b"{}",
        b"null",
        b"[" * 50 + b"]" * 50,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"\xff\xfe",
        b"\0" * 4096,
        PAGE.text().replace(b'"version":7', b'"version":8'),
        PAGE.text().replace(b'"version":7', b'"version":7,"version":7'),
        PAGE.text().replace(b'"version":7', b'"version":"7"'),
        PAGE.text().replace(b'"mark":"a mark",', b""),
        PAGE.text().replace(b"three", b"four"),
        PAGE.text().replace(b"\n", b"\r\n"),
        json.dumps(json.loads(PAGE.text())).encode(),
    ],
    ids=lambda damage: repr(damage[:20]),
)
def test_the_value_before_a_damaged_file_can_be_had(damage: bytes, tmp_path: Path) -> None:
    """R-F2: the damage is said, by every way to it; the rest of the store goes on; the value before is there."""
    store = FileStore(tmp_path)
    for value in ("older", "old"):
        store.put("a key", value)
    store.put("another", 1)
    (path,) = (one for one in tmp_path.glob("a-key*.json"))
    path.write_bytes(damage)
    for read in (store.get, store.read, partial(store.swap, value="new", version=2)):
        with pytest.raises(StateCorrupt, match=f"^{path}: "):
            read("a key")
    assert (store.get("another"), store.keys()) == (1, ("a key", "another"))
    found = store.previous("a key")
    assert found is not None
    assert found.value == "older"
    store.put("a key", found.value)
    assert store.previous("a key") == found, "damage has taken the place of the value before"
    assert (store.get("a key"), store.swap("a key", "new", 3)) == ("older", 4)


def test_a_damaged_file_can_be_deleted(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a key", "only")
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(b"")
    assert store.previous("a key") is None
    with pytest.raises(StateCorrupt):
        store.keys()
    assert store.delete("a key")
    assert (store.get("a key"), store.keys()) == (None, ())
    assert store.swap("a key", "again", 0) > 1


def test_a_file_under_the_name_of_another_is_no_value(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("one", 1)
    store.put("two", 2)
    one, two = sorted(tmp_path.glob("*.json"))
    shutil.copy(one, two)
    with pytest.raises(StateCorrupt, match="it holds the key 'one', and its name is that of 'two'"):
        store.get("two")
    with pytest.raises(StateCorrupt, match="has the name of another"):
        store.keys()


VALUES = {f"key {n}": {"n": n, "text": "x" * size} for n, size in enumerate([5, 50, 3000, 20, 9000] * 4)}


@pytest.fixture(scope="module")
def database() -> bytes:
    """The file of a SQLite store with these values."""
    with TemporaryDirectory(dir=QUICK) as folder:
        path = Path(folder, "store.db")
        with SqliteStore(path) as store:
            for key, value in VALUES.items():
                store.put(key, value)
        return path.read_bytes()


def survivors(image: bytes) -> Counter[str]:
    """What a SQLite store says of its values when its file is this. A wrong value, or none, is an error."""
    said = Counter[str]()
    with TemporaryDirectory(dir=QUICK) as folder:
        path = Path(folder, "store.db")
        path.write_bytes(image)
        with SqliteStore(path) as store:
            for key, value in VALUES.items():
                try:
                    found = store.read(key)
                except StateCorrupt:
                    said["refused"] += 1
                else:
                    assert found is not None, f"{key} seems never to have been"
                    assert (found.value, found.version) == (value, 1), f"{key} has {found!r}"
                    said["right"] += 1
            try:
                assert store.keys() == tuple(sorted(VALUES)), "keys() is wrong"
            except StateCorrupt:
                said["refused"] += 1
    return said


def flipped(image: bytes, source: random.Random) -> bytes:
    at, bit = source.randrange(len(image)), source.randrange(8)
    return image[:at] + bytes((image[at] ^ 1 << bit,)) + image[at + 1 :]


def test_flipped_bits_of_a_database_are_never_values(database: bytes) -> None:
    """R-F2."""
    source = random.Random(0)
    said = sum((survivors(flipped(database, source)) for _ in range(40)), Counter[str]())
    assert said["refused"] > 0, "no bit that was flipped was ever noticed"


@pytest.mark.sweep
def test_thousands_of_flipped_bits_of_a_database_are_never_values(database: bytes) -> None:
    began, start, said, count = time.perf_counter(), rotating_seed(), Counter[str](), 0
    source = random.Random(start)
    while count < LEAST or (count < 5_000 and time.perf_counter() - began < SWEEP_SECONDS):
        said += survivors(flipped(database, source))
        count += 1
    assert said["refused"] > 0, "no bit that was flipped was ever noticed"
    print(f"\n{count} flipped bits from seed {start} in {time.perf_counter() - began:.1f} s: {dict(said)}")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_database_that_was_cut_off_is_never_a_value(database: bytes, share: float) -> None:
    """R-F2."""
    assert survivors(database[: int(share * len(database))])["refused"] > 0


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (b"", "the file is empty, and no store ever is"),
        (b"not a database, but long enough to be taken for one" * 20, "file is not a database"),
        (b"[" * 50, "file is not a database"),
    ],
)
def test_a_file_that_is_no_database_is_no_store(image: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(image)
    with SqliteStore(path) as store, pytest.raises(StateCorrupt, match=f"{path}: .*{said}"):
        store.get("a key")
    assert path.read_bytes() == image


def test_a_database_of_somebody_else_is_no_store(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("create table runs (run text)")
    with SqliteStore(path) as store, pytest.raises(StateCorrupt, match="give the store a file of its own"):
        store.put("a key", 1)
    with SqliteStore(tmp_path / "later.db") as store:
        store.put("a key", 1)
    with closing(sqlite3.connect(tmp_path / "later.db")) as later:
        later.execute("pragma user_version=2")
    with (
        SqliteStore(tmp_path / "later.db") as store,
        pytest.raises(StateCorrupt, match="of layout 2, and this program"),
    ):
        store.get("a key")
