"""Plans that are loaded at their entry and saved at their exit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    ActionFailed,
    Failure,
    MemoryJournal,
    Outcome,
    Plan,
    Refused,
    Success,
    arun,
    check,
    dry_run,
    each,
    fail,
    focus,
    footprint,
    lens,
    render,
    resume,
    run,
    stateful,
    task,
    traced,
)
from lambdacat.bound import Resource
from lambdacat.codec import NotStorable, StateCorrupt
from lambdacat.store import FileStore, MemoryStore, SqliteStore, VersionConflict, Versioned, persisted
from lambdacat.store.store import Store
from lambdacat.testing import number_plans


@task
def add(number: int) -> int:
    return number + 1


@frozen
class Ledger:
    total: int = 0
    notes: tuple[str, ...] = ()


TOTAL = lens(Ledger, lambda ledger: ledger.total)


@task(reads=TOTAL, writes=TOTAL)
def earn(total: int) -> int:
    return total + 1


# --- loading and saving ----------------------------------------------------------------------------------------------


def test_each_run_goes_on_from_the_last() -> None:
    store = MemoryStore()
    plan = persisted(add, store, "n")
    assert [run(plan, 10).unwrap() for _ in range(3)] == [11, 12, 13]
    assert store.get("n") == 13


@pytest.mark.parametrize("make", [lambda path: FileStore(path / "f"), lambda path: SqliteStore(path / "s.db")])
def test_a_state_goes_on_in_another_store_object(make: Any, tmp_path: Path) -> None:
    for total in (1, 2, 3):
        with make(tmp_path) as store:
            store = type(store)(store.folder if isinstance(store, FileStore) else store.path, codecs=[Ledger])
            assert run(persisted(earn, store, "../hostile: key\0"), Ledger(notes=("begun",))).unwrap() == Ledger(
                total, ("begun",)
            )
            store.close()


@given(number_plans(), st.integers(-9, 9), st.integers(-9, 9) | st.none())
def test_it_is_the_plan_between_a_load_and_a_save(plan: Plan[int, int], given: int, stored: int | None) -> None:
    """Whatever the plan: its outcome on what is stored; that is saved, and a fault saves nothing."""
    store = MemoryStore()
    if stored is not None:
        store.put("n", stored)
    before = store.read("n")
    wanted = run(plan, given if stored is None else stored)
    found = run(persisted(plan, store, "n"), given)
    match wanted, found:
        case Success(value), Success(got):
            assert got == value == store.get("n")
        case Failure(fault), Failure(other):
            assert type(other) is type(fault)
            assert store.read("n") == before
        case _:
            raise AssertionError(f"{plan!r} gave {wanted!r}, and persisted {found!r}")


def test_every_way_to_run_it_loads_and_saves() -> None:
    store = MemoryStore()
    plan = persisted(add, store, "n")

    async def concurrently() -> Outcome[int]:
        return await arun(plan, 0)

    assert run(plan, 0) == Success(1)
    assert traced(plan)(0).value == Success(2)
    assert stateful(plan).run(0) == (Success(3), 3)
    assert asyncio.run(concurrently()) == Success(4)
    assert trio.run(concurrently) == Success(5)
    assert store.get("n") == 5


def test_nothing_that_is_stored_is_not_the_value_given() -> None:
    store = MemoryStore()
    store.put("n", None)
    seen: list[object] = []

    @task
    def look(value: object) -> object:
        seen.append(value)
        return value

    plan: Plan[object, object] = persisted(look, store, "n")
    run(plan, "given")
    assert seen == [None]


# --- what may not be lost --------------------------------------------------------------------------------------------


def test_a_plan_that_faults_saves_nothing() -> None:
    store = MemoryStore()
    store.put("n", 1)
    refused: Plan[int, int] = add >> fail(Refused(by="a guard", reason="no"))
    assert isinstance(run(persisted(refused, store, "n"), 0).failure(), Refused)
    assert store.read("n") == Versioned(1, 1)


def test_of_two_savers_the_second_is_told() -> None:
    store = MemoryStore()
    store.put("n", 1)

    @task
    def overtaken(number: int) -> int:
        store.put("n", 100)
        return number + 1

    fault = run(persisted(overtaken, store, "n"), 0).failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, VersionConflict)
    assert (fault.error.key, fault.error.expected, fault.error.found) == ("n", 1, 2)
    assert "version 1 was to be replaced and version 2 is there; read it again" in str(fault)
    assert fault.name == "save 'n'"
    assert store.get("n") == 100


def test_of_two_who_begin_with_nothing_one_is_told() -> None:
    store = MemoryStore()

    @task
    def overtaken(number: int) -> int:
        store.put("n", 100)
        return number + 1

    assert isinstance(run(persisted(overtaken, store, "n"), 0), Failure)
    assert store.get("n") == 100


@pytest.mark.parametrize("crowd", [16])
def test_a_retry_loads_again_so_that_a_crowd_loses_nothing(crowd: int, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        plan = persisted(add, store, "n").retry(crowd)

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(arun(plan, 0) for _ in range(crowd)))

        outcomes = asyncio.run(all_at_once())
        assert sorted(outcome.unwrap() for outcome in outcomes) == list(range(1, crowd + 1))
        assert store.get("n") == crowd


def test_what_cannot_be_stored_or_read_is_a_fault_of_the_save_or_the_load(tmp_path: Path) -> None:
    store = FileStore(tmp_path)

    @task
    def strange(value: object) -> object:
        return object()

    plan: Plan[object, object] = persisted(strange, store, "n")
    fault = run(plan, 0).failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, NotStorable)
    run(persisted(add, store, "n"), 0)
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(b"")
    fault = run(persisted(add, store, "n"), 0).failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, StateCorrupt)
    assert path.read_bytes() == b""


# --- durable runs ----------------------------------------------------------------------------------------------------


class _Gone(BaseException):
    """A process ends here."""


@frozen
class Dying:
    """A store whose process ends just before, or just after, its swap is written."""

    store: MemoryStore
    after: bool

    def read(self, key: str) -> Any:
        return self.store.read(key)

    def swap(self, key: str, value: object, version: int, *, mark: str = "") -> int:
        if self.after:
            self.store.swap(key, value, version, mark=mark)
        raise _Gone

    @property
    def name(self) -> str:
        return self.store.name


@pytest.mark.parametrize("after", [False, True])
def test_a_save_is_done_once_though_its_process_ended_in_it(after: bool) -> None:
    """A resumed run knows its own save again, and does not take it for another's."""
    store, journal = MemoryStore(), MemoryJournal("a run")
    store.put("n", 5)
    dying: Any = Dying(store, after)
    with pytest.raises(_Gone):
        run(persisted(add, dying, "n"), 0, journal=journal)
    resumed = asyncio.run(_resumed(persisted(add, store, "n"), journal))
    assert (resumed, store.get("n")) == (Success(6), 6)
    found = store.read("n")
    assert found is not None
    assert found.version == 2


async def _resumed(plan: Plan[int, int], journal: MemoryJournal) -> Outcome[int]:
    return await resume(plan, journal)


def test_a_save_that_another_has_followed_is_not_done_again() -> None:
    store, journal = MemoryStore(), MemoryJournal("a run")
    dying: Any = Dying(store, after=False)
    with pytest.raises(_Gone):
        run(persisted(add, dying, "n"), 0, journal=journal)
    store.put("n", 100)
    resumed = asyncio.run(_resumed(persisted(add, store, "n"), journal))
    assert isinstance(resumed, Failure)
    assert store.get("n") == 100


# --- being a plan ----------------------------------------------------------------------------------------------------


def test_analyses_see_through_it() -> None:
    store = MemoryStore()
    plan = persisted(earn, store, "a ledger")
    place = f"'a ledger' in {store.name}"
    assert footprint(plan).resources == {Resource(place), Resource(place, writes=True)}
    drawn = render(plan)
    assert [name for name in ("load 'a ledger'", "earn", "save 'a ledger'") if name not in drawn] == []
    assert check(plan) == ()
    forecast = dry_run(plan)
    assert forecast.critical_path == ("load 'a ledger'", "earn", "save 'a ledger'")
    assert plan == persisted(earn, store, "a ledger") != persisted(earn, MemoryStore(), "a ledger")
    assert hash(plan) == hash(persisted(earn, store, "a ledger"))


def test_parts_of_a_state_may_each_have_a_key() -> None:
    store = MemoryStore()
    counted = focus(TOTAL, persisted(add, store, "total"))
    assert run(counted, Ledger(5)).unwrap() == Ledger(6)
    assert run(counted, Ledger(0)).unwrap() == Ledger(7)
    assert store.keys() == ("total",)
    several = focus(each, persisted(add, store, "each"))
    assert run(several, (0, 0)).unwrap() == (1, 2)


@pytest.mark.parametrize(("key", "error"), [(1, TypeError), (None, TypeError), ("\ud800", ValueError)])
def test_a_key_that_cannot_be_is_refused_when_the_plan_is_built(key: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="a key is"):
        persisted(add, MemoryStore(), key)


def test_every_store_is_a_store(tmp_path: Path) -> None:
    stores: list[Store] = [MemoryStore(), FileStore(tmp_path), SqliteStore(tmp_path / "store.db")]
    assert all(isinstance(run(persisted(add, store, "n"), 0), Success) for store in stores)
    stores[2].close()
