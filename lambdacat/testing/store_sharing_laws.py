"""The laws of stores that several use at once: handles, threads, and those who watch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st

from lambdacat.store.store import Change, Store, VersionConflict
from lambdacat.testing.proving import Draw
from lambdacat.testing.store_samples import key_texts
from lambdacat.testing.store_trial import Law, fresh_key, refused, version_of

_PATIENCE = 30.0
"""Units: seconds after which a watch is taken not to see a change."""

# --- handles ---------------------------------------------------------------------------------------------------------


def a_closed_store_opens_again(store: Store, other: Store, draw: Draw) -> None:
    """With everything in it; closing twice is closing once."""
    key = fresh_key()
    store.put(key, 1)
    store.close()
    store.close()
    assert store.get(key) == 1
    store.close()
    store.put(key, 2)
    assert store.get(key) == 2


def handles_on_one_place_have_one_name(store: Store, other: Store, draw: Draw) -> None:
    """By which messages and footprints call it."""
    assert store.name == other.name
    assert store.name, "a store has no name"


def _together(crowd: int, work: Callable[[int], object]) -> list[Any]:
    with ThreadPoolExecutor(crowd) as pool:
        return list(pool.map(work, range(crowd)))


def incremented(store: Store, key: str) -> None:
    """One is added to the number under a key, however many do so at once."""
    while True:
        found = store.read(key)
        value, version = (0, 0) if found is None else (found.value, found.version)
        try:
            store.swap(key, value + 1, version)
        except VersionConflict:
            continue
        return


def no_increment_is_lost(store: Store, other: Store, draw: Draw) -> None:
    """Threads that read, add one and swap, through two handles."""
    crowd, rounds = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    key = fresh_key()

    def count(number: int) -> None:
        for _ in range(rounds):
            incremented((store, other)[number % 2], key)

    _together(crowd, count)
    assert store.get(key) == crowd * rounds, f"{crowd} x {rounds} increments made {store.get(key)!r}"


def of_those_who_make_a_key_together_one_does(store: Store, other: Store, draw: Draw) -> None:
    """The others are told its version."""
    crowd = draw(st.integers(2, 5))
    key = fresh_key()

    def make(number: int) -> int:
        try:
            return (store, other)[number % 2].swap(key, number, 0)
        except VersionConflict as error:
            return -error.found

    told = _together(crowd, make)
    version = version_of(store, key)
    assert sorted(told) == [-version] * (crowd - 1) + [version], f"{version} is there and the makers got {told}"
    assert told[store.get(key)] == version, "one was told that its value stays, and another's did"


def puts_that_come_together_are_whole(store: Store, other: Store, draw: Draw) -> None:
    """What is there at any time is what one of them put."""
    crowd, size = draw(st.integers(2, 4)), draw(st.sampled_from([1, 1000, 20_000]))
    key = fresh_key()

    def write(number: int) -> None:
        handle = (store, other)[number % 2]
        handle.put(key, [number] * size)
        found = handle.get(key)
        assert found == [found[0]] * size, f"a value is made of {set(found)!r}"

    _together(crowd, write)


# --- watching --------------------------------------------------------------------------------------------------------


def a_watch_tells_what_changed_since(store: Store, other: Store, draw: Draw) -> None:
    """By key, each once with the version of now, through whichever handle it was written."""
    writes = draw(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=6))
    start = fresh_key()
    store.put(f"{start}a", 0)
    with store.watch(start) as watch:
        before = {key: version_of(store, key) for key in store.keys(start)}
        for name, one, putting in writes:
            handle = (store, other)[one]
            handle.put(start + name, 1) if putting else handle.delete(start + name)
        now = {key: version_of(store, key) for key in store.keys(start)}
        wanted = [Change(key, now.get(key, 0)) for key in sorted(before | now) if before.get(key) != now.get(key)]
        assert list(watch.changes(0)) == wanted, f"the changes of {writes!r}"
        assert watch.changes(0) == (), "a change is told twice"


def a_watch_wakes_up(store: Store, other: Store, draw: Draw) -> None:
    """While it waits, a put, a swap and a delete are seen as they come."""
    key = fresh_key()
    with store.watch(key) as watch:
        acts = (
            partial(other.put, key, 1),
            lambda: other.swap(key, 2, version_of(other, key)),
            lambda: other.delete(key),
        )
        for act in acts:
            thread = Thread(target=act)
            thread.start()
            changes = watch.changes(_PATIENCE)
            thread.join()
            assert changes == (Change(key, version_of(store, key)),), f"the watch told {changes!r}"


def a_watch_sees_nothing_else(store: Store, other: Store, draw: Draw) -> None:
    """Neither what was written before, nor what has another beginning."""
    prefix = draw(key_texts())
    start = fresh_key()
    store.put(f"{start}{prefix}before", 1)
    with store.watch(f"{start}{prefix}") as watch, store.watch(f"{start}{prefix}other") as elsewhere:
        store.put(f"{uuid4().hex} {prefix}", 1)
        assert watch.changes(0) == ()
        store.put(f"{start}{prefix}after", 1)
        assert [change.key for change in watch.changes(0)] == [f"{start}{prefix}after"]
        assert elsewhere.changes(0) == ()


def a_watch_waits_for_a_time(store: Store, other: Store, draw: Draw) -> None:
    """Which is not negative, and no NaN."""
    key = fresh_key()
    with store.watch(key) as watch:
        for seconds in (-1.0, float("nan")):
            refused(ValueError, partial(watch.changes, seconds))
        assert watch.changes(0.001) == ()


SHARING_LAWS: tuple[Law, ...] = (
    a_closed_store_opens_again,
    handles_on_one_place_have_one_name,
    no_increment_is_lost,
    of_those_who_make_a_key_together_one_does,
    puts_that_come_together_are_whole,
    a_watch_tells_what_changed_since,
    a_watch_wakes_up,
    a_watch_sees_nothing_else,
    a_watch_waits_for_a_time,
)
