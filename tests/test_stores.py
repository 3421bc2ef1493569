"""Stores: one suite for all of them, and what each says for itself; plans that are loaded and saved."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import store_programs
from services import Postgres, postgres_server, redis_server
from store_programs import CODECS, JOURNEY, KINDS

from lambdacat.store import MemoryStore
from lambdacat.store.store import Store
from lambdacat.testing.store_laws import STORE_CODECS, StoreCase, check_store_laws, store_cases

__all__ = ["postgres_server", "redis_server"]

Address = Callable[[str], str]

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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", EVERY)
def test_every_store_keeps_the_laws(kind: str, case: StoreCase, handles: Handles) -> None:
    """R-J10, A43, R-F4."""
    case.check(*handles(kind), max_examples=1)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", EVERY)
def test_every_store_keeps_the_laws_on_many_values(kind: str, handles: Handles) -> None:
    handle = handles(kind)
    for case in CASES:
        case.check(*handle, max_examples=60)
    print(f"\n{kind}: {len(CASES)} cases")


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
        check_store_laws(lambda: store, max_examples=20)


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
