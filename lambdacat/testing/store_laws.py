"""The laws of stores: what any store must keep, whatever it is made of, for those who write one.

Each law has two handles on one place, as two processes would, which may be the same object. The place may hold values
of others, and knows the classes of ``STORE_CODECS``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, final

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lambdacat.codec import NotStorable
from lambdacat.store.store import Store, VersionConflict
from lambdacat.testing.proving import Draw, law_name, prove
from lambdacat.testing.storables import Note, storables
from lambdacat.testing.store_samples import KEYS, PAIRS, VALUES, key_texts
from lambdacat.testing.store_sharing_laws import SHARING_LAWS
from lambdacat.testing.store_trial import (
    SMALL,
    STORE_CODECS,
    Law,
    check_conflict,
    check_same,
    fresh_key,
    refused,
    version_of,
)

T = TypeVar("T")

__all__ = ["STORE_CODECS", "StoreCase", "check_store_laws", "store_cases"]

# --- reading and writing ---------------------------------------------------------------------------------------------


def what_was_never_put_is_not_there(store: Store, other: Store, draw: Draw) -> None:
    """``get`` and ``read`` give None, ``delete`` False, and none of them makes it."""
    key = fresh_key()
    for _ in range(2):
        assert (store.get(key), store.read(key), store.keys(key), store.delete(key)) == (None, None, (), False)


def what_is_put_is_got(store: Store, other: Store, draw: Draw) -> None:
    """Through another handle too, and after all of them were closed."""
    value = draw(storables())
    key = fresh_key()
    store.put(key, value)
    check_same(store.get(key), value, "get after put")
    check_same(other.get(key), value, "get through another handle")
    store.close()
    other.close()
    check_same(other.get(key), value, "get after all were closed")


def the_last_put_stays(store: Store, other: Store, draw: Draw) -> None:
    """Whatever was there before, longer or shorter."""
    key = fresh_key()
    for value in draw(st.lists(SMALL, min_size=2, max_size=4)):
        store.put(key, value)
        check_same(store.get(key), value, "get after put")


def nothing_is_a_value_too(store: Store, other: Store, draw: Draw) -> None:
    """``read`` tells None from absence."""
    key = fresh_key()
    store.put(key, None)
    found = store.read(key)
    assert found is not None, "a None that was put is not there"
    assert (found.value, store.keys(key)) == (None, (key,))


def what_is_read_is_a_copy(store: Store, other: Store, draw: Draw) -> None:
    """Changing what was put, or got, changes nothing that is stored."""
    given = {"row": [1, 2]}
    key = fresh_key()
    store.put(key, given)
    given["row"].append(3)
    store.get(key)["row"].append(4)
    check_same(store.get(key), {"row": [1, 2]}, "get after changes in place")


def keys_are_apart(store: Store, other: Store, draw: Draw) -> None:
    """Writing and deleting one leaves the others alone."""
    endings = draw(st.lists(key_texts(), min_size=2, max_size=4, unique=True))
    start = fresh_key()
    for number, ending in enumerate(endings):
        store.put(start + ending, number)
    store.delete(start + endings[0])
    found = [store.get(start + ending) for ending in endings]
    assert found == [None, *range(1, len(endings))], f"the keys {endings!r} have the values {found!r}"


def a_store_does_what_a_dict_does(store: Store, other: Store, draw: Draw) -> None:
    """Any row of operations, through two handles."""
    verbs, names = st.sampled_from(["put", "swap", "stale", "delete"]), st.sampled_from(["", "a", "ab", "b", "é"])
    model: dict[str, Any] = {}
    start = fresh_key()
    for verb, name, value, one in draw(st.lists(st.tuples(verbs, names, SMALL, st.booleans()), max_size=12)):
        handle, key = (store, other)[one], start + name
        if verb == "put":
            handle.put(key, value)
        elif verb == "swap":
            handle.swap(key, value, version_of(store, key))
        elif verb == "stale":
            refused(VersionConflict, partial(handle.swap, key, value, version_of(store, key) + 1))
            continue
        else:
            assert handle.delete(key) is (key in model), f"delete of {key!r} in {model!r}"
            model.pop(key, None)
            continue
        model[key] = value
    for handle in (store, other):
        assert handle.keys(start) == tuple(sorted(model)), f"the keys are {handle.keys(start)!r}, not {model!r}"
        check_same({key: handle.get(key) for key in model}, model, "reading everything")


# --- versions --------------------------------------------------------------------------------------------------------


def every_write_has_a_higher_version(store: Store, other: Store, draw: Draw) -> None:
    """Of puts and swaps alike, also of the same value."""
    key = fresh_key()
    seen = [0]
    for swapping in draw(st.lists(st.booleans(), min_size=1, max_size=5)):
        if swapping:
            told = store.swap(key, 1, seen[-1])
            assert told == version_of(store, key), f"swap said {told} and {version_of(store, key)} is there"
        else:
            store.put(key, 1)
        seen.append(version_of(store, key))
    assert seen == sorted(set(seen)), f"the versions were {seen}"


def no_version_comes_back_after_a_delete(store: Store, other: Store, draw: Draw) -> None:
    """Who read the first life of a key cannot write into its second."""
    key = fresh_key()
    seen = [0]
    for _ in range(draw(st.integers(2, 3))):
        for _ in range(draw(st.integers(1, 3))):
            store.put(key, 1)
            seen.append(version_of(store, key))
        store.delete(key)
        check_conflict(partial(store.swap, key, 2, seen[-1]), key, seen[-1], 0)
    assert seen == sorted(set(seen)), f"the versions were {seen}"
    assert store.get(key) is None


def reading_changes_no_version(store: Store, other: Store, draw: Draw) -> None:
    """However often, through whichever handle."""
    key = fresh_key()
    store.put(key, 1)
    assert len({version_of(store, key), version_of(other, key), version_of(store, key)}) == 1


def a_swap_of_what_is_there_writes(store: Store, other: Store, draw: Draw) -> None:
    """And gives the version that the next swap needs."""
    value = draw(SMALL)
    key = fresh_key()
    first = store.swap(key, "first", 0)
    second = store.swap(key, value, first)
    found = store.read(key)
    assert found is not None, "what was swapped is not there"
    assert (found.value, found.version) == (value, second)


def a_swap_of_something_else_writes_nothing(store: Store, other: Store, draw: Draw) -> None:
    """And says what is there."""
    key = fresh_key()
    first = store.swap(key, "first", 0)
    second = other.swap(key, "second", first)
    for version in {0, first, second + 1, 2**62, 2**70}:
        check_conflict(partial(store.swap, key, "third", version), key, version, second)
    assert store.get(key) == "second"


def a_swap_of_nothing_makes(store: Store, other: Store, draw: Draw) -> None:
    """Version 0 is that nothing is there; any other conflicts with that."""
    key = fresh_key()
    check_conflict(partial(store.swap, key, 1, 7), key, 7, 0)
    assert store.get(key) is None, "a swap that was refused has written"
    assert store.swap(key, 1, 0) > 0
    assert store.get(key) == 1


def a_mark_stays_beside_its_value(store: Store, other: Store, draw: Draw) -> None:
    """Until the next write, which may have one of its own."""
    marks = draw(st.lists(key_texts(), min_size=1, max_size=3))
    key = fresh_key()
    for mark in marks:
        store.swap(key, 1, version_of(store, key), mark=mark)
        found = store.read(key)
        assert found is not None, "what was swapped is not there"
        assert found.mark == mark, f"the mark {mark!r} came back as {found.mark!r}"
    store.put(key, 1)
    found = store.read(key)
    assert found is not None, "what was put is not there"
    assert found.mark == "", f"a put without a mark has {found.mark!r}"


# --- keys and deletes ------------------------------------------------------------------------------------------------


def what_is_deleted_is_gone(store: Store, other: Store, draw: Draw) -> None:
    """For every handle, and a second delete says so."""
    key = fresh_key()
    store.put(key, draw(SMALL))
    assert store.delete(key) is True, "delete of a value that is there gave no True"
    assert (other.get(key), other.read(key), other.keys(key), other.delete(key)) == (None, None, (), False)


def what_is_deleted_can_be_put_again(store: Store, other: Store, draw: Draw) -> None:
    """As if it had never been."""
    key = fresh_key()
    for value in draw(st.lists(SMALL, min_size=2, max_size=3)):
        store.put(key, value)
        check_same(store.get(key), value, "get after put")
        assert store.delete(key) is True


def keys_are_those_with_the_prefix_in_order(store: Store, other: Store, draw: Draw) -> None:
    """Letter by letter: nothing in a prefix is a pattern."""
    endings = draw(st.sets(key_texts(), max_size=5))
    prefix = draw(key_texts() | st.sampled_from(sorted(endings))) if endings else ""
    start = fresh_key()
    for ending in endings:
        store.put(start + ending, 1)
    wanted = tuple(sorted(start + ending for ending in endings if ending.startswith(prefix)))
    assert store.keys(start + prefix) == wanted, f"{prefix!r} of {endings!r} has {store.keys(start + prefix)!r}"
    assert set(store.keys()) >= {start + ending for ending in endings}, "keys() lacks some"
    assert list(store.keys()) == sorted(store.keys()), "keys() has no order"


# --- refusals --------------------------------------------------------------------------------------------------------


def a_key_is_a_text(store: Store, other: Store, draw: Draw) -> None:
    """Anything else is a TypeError, and half a surrogate pair a ValueError, for every operation."""
    calls: tuple[Callable[[Any], object], ...] = (
        store.get, store.read, store.delete, store.keys, store.watch,
        lambda key: store.put(key, 1), lambda key: store.swap(key, 1, 0),
    )  # fmt: skip
    for call in calls:
        for key in (1, b"key", None, ("key",)):
            refused(TypeError, partial(call, key))
        refused(ValueError, partial(call, "half \ud800"))


def a_version_is_a_whole_number(store: Store, other: Store, draw: Draw) -> None:
    """Not below 0, and no bool."""
    key = fresh_key()
    wrong: tuple[Any, ...] = (-1, True, False, 1.0, "1", None)
    for version in wrong:
        refused(ValueError, partial(store.swap, key, 1, version))
    assert store.get(key) is None, "a swap that was refused has written"


def what_cannot_be_stored_changes_nothing(store: Store, other: Store, draw: Draw) -> None:
    """Neither by put nor by swap, wherever it is inside the value."""
    key = fresh_key()
    version = store.swap(key, "old", 0)
    for value in (object(), [lambda: 0], Note({"a": (object(),)}), {"b": iter(())}):
        refused(NotStorable, partial(store.put, key, value))
        refused(NotStorable, partial(store.swap, key, value, version))
        refused(NotStorable, partial(store.put, f"{key}new", value))
    assert (store.get(key), store.keys(key)) == ("old", (key,))


# --- the suite -------------------------------------------------------------------------------------------------------


def _holds(values: SearchStrategy[Any], store: Store, other: Store, draw: Draw) -> None:
    """A value is written, read by another, replaced by itself and still the same."""
    wanted = draw(values)
    key = fresh_key()
    other.swap(key, wanted, store.swap(key, "something else", 0))
    check_same(store.get(key), wanted, "get after swap")


def _takes_key(key: str, store: Store, other: Store, draw: Draw) -> None:
    """A key is like any other."""
    store.delete(key)
    version = store.swap(key, "first", 0)
    assert other.get(key) == "first", f"{key[:50]!r} has {other.get(key)!r}"
    assert key in other.keys(key), f"{key[:50]!r} is not among the keys"
    assert other.swap(key, "second", version) > version
    assert store.get(key) == "second"
    assert store.delete(key) is True
    assert (other.get(key), other.keys(key).count(key)) == (None, 0)


def _tells_apart(one: str, two: str, store: Store, other: Store, draw: Draw) -> None:
    """Two keys that look alike are two keys."""
    start = fresh_key()
    store.put(start + one, 1)
    assert store.get(start + two) is None, f"{two[-50:]!r} is taken for {one[-50:]!r}"
    store.put(start + two, 2)
    assert (store.get(start + one), store.get(start + two)) == (1, 2)
    for prefix in (start, start + one, start + two):
        wanted = sorted(key for key in (start + one, start + two) if key.startswith(prefix))
        assert list(store.keys(prefix)) == wanted, f"{len(wanted)} keys begin with {prefix[-50:]!r}"


_LAWS: tuple[Law, ...] = (
    what_was_never_put_is_not_there,
    what_is_put_is_got,
    the_last_put_stays,
    nothing_is_a_value_too,
    what_is_read_is_a_copy,
    keys_are_apart,
    a_store_does_what_a_dict_does,
    every_write_has_a_higher_version,
    no_version_comes_back_after_a_delete,
    reading_changes_no_version,
    a_swap_of_what_is_there_writes,
    a_swap_of_something_else_writes_nothing,
    a_swap_of_nothing_makes,
    a_mark_stays_beside_its_value,
    what_is_deleted_is_gone,
    what_is_deleted_can_be_put_again,
    keys_are_those_with_the_prefix_in_order,
    a_key_is_a_text,
    a_version_is_a_whole_number,
    what_cannot_be_stored_changes_nothing,
    *SHARING_LAWS,
)


@final
@frozen
class StoreCase:
    """One thing that a store must do."""

    name: str
    law: Law
    drawn: bool = True
    """Whether it is about random values."""

    def check(self, store: Store, other: Store, *, max_examples: int, start: int = 0) -> None:
        """Hold two handles on one store to it; ``start`` seeds the draws.

        Errors: ``AssertionError`` whose first line has the name.
        """
        if self.drawn:
            prove(self.name, partial(self.law, store, other), max_examples=max_examples, start=start)
            return
        try:
            self.law(store, other, _nothing)
        except Exception as error:
            raise AssertionError(f"law '{self.name}' does not hold: {error!r}") from error


def _nothing(strategy: SearchStrategy[T], /) -> T:
    raise AssertionError(f"a case about fixed values draws {strategy!r}")


def store_cases() -> tuple[StoreCase, ...]:
    """Everything that a store must do, each with a name of its own."""
    keys = ((f"a store takes {name} as a key", partial(_takes_key, key)) for name, key in KEYS.items())
    pairs = ((f"a store tells {name} apart", partial(_tells_apart, *pair)) for name, pair in PAIRS.items())
    return (
        *(StoreCase(law_name(law), law) for law in _LAWS),
        *(StoreCase(f"a store holds {name}", partial(_holds, values)) for name, values in VALUES.items()),
        *(StoreCase(name, law, drawn=False) for name, law in (*keys, *pairs)),
    )


def check_store_laws(make: Callable[[], Store], *, max_examples: int = 10) -> int:
    """Check a store of your own: ``make()`` gives a new handle on one place; how many cases were tried.

    A case about random values is tried on ``max_examples`` of them. Errors: ``AssertionError`` whose first line names
    the case.

    >>> from lambdacat.store.memory import MemoryStore
    >>> one = MemoryStore(codecs=STORE_CODECS)
    >>> check_store_laws(lambda: one, max_examples=1) >= 80
    True
    """
    cases = store_cases()
    with make() as store, make() as other:
        for case in cases:
            case.check(store, other, max_examples=max_examples)
    return len(cases)
