"""Changes between two values: right, small, and of another value refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naming import named_by
from rpds import HashTrieMap

from lambdacat.codec import StateCorrupt, applied, changes, json_bytes, json_tree
from lambdacat.codec.delta import Delta, Members, Put, Splice
from lambdacat.place import Attr, Item
from lambdacat.testing.storables import CODECS, Money, Note, Span, portrait, storables

_NAN = float("nan")


def _delta(before: Any, after: Any) -> Delta:
    """The changes, shown to be right here and after a process that stored both."""
    delta = changes(before, after)
    assert delta is not None
    face = portrait(before)
    assert portrait(applied(before, delta)) == portrait(after)
    assert portrait(before) == face
    stored = CODECS.from_delta_tree(json_tree(json_bytes(CODECS.delta_tree(delta))))
    assert portrait(applied(CODECS.decode(CODECS.encode(before)), stored)) == portrait(after)
    return delta


def _edited(value: Any, draw: Any) -> Any:
    """The value with something changed somewhere, most of it shared."""
    kind = type(value)
    if kind in (tuple, list) and value:
        row, at = list(value), draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del row[at]
            case 1:
                row.insert(at, draw(storables()))
            case 2:
                row = [*row[at:], draw(storables())]
            case 3:
                row.append(row[at])
            case _:
                row[at] = _edited(row[at], draw)
        return kind(row)
    if kind in (dict, HashTrieMap) and value:
        items = dict(value)
        key = draw(st.sampled_from(list(items)))
        match draw(st.integers(0, 2)):
            case 0:
                del items[key]
            case 1:
                items[key] = items.pop(key)
            case _:
                items[key] = _edited(items[key], draw)
        return kind(items)
    if kind is Note:
        return attrs.evolve(value, parts=_edited(value.parts, draw))
    return draw(storables())


@given(st.data(), storables())
def test_changes_made_again_give_what_was_changed(data: st.DataObject, before: Any) -> None:
    after = _edited(before, data.draw)
    if type(after) is type(before):
        _delta(before, after)
    else:
        assert changes(before, after) is None
    _delta(Note((before, [before, 1])), Note((after, [before, 1])))
    _delta({"a": before, 1: (before,)}, {1: (after, before), "b": before})
    assert changes(before, before) == ()


@pytest.mark.sweep
@settings(max_examples=3_000)
@given(st.data(), storables(), storables())
def test_changes_between_any_two_values_at_full_count(data: st.DataObject, before: Any, other: Any) -> None:
    row = [before, other, {"x": before}]
    _delta(row, _edited(_edited(row, data.draw), data.draw))
    _delta((before, other), (other,))
    _delta({"a": before, "b": other}, {"b": before, "c": other})


@given(storables())
def test_what_was_stored_and_read_has_not_changed(value: Any) -> None:
    face = repr(portrait(value)).lower()
    if "nan" not in face and "money" not in face:  # no NaN is another one's equal; a class of its own is put whole
        assert changes(value, CODECS.decode(CODECS.encode(value))) == ()


@pytest.mark.parametrize(
    ("before", "after", "delta"),
    [
        ((1, 2), (1, 2, 3), (((), Splice(2, 2, (3,))),)),
        ((1, 2, 3), (1, 2), (((), Splice(2, 3, ())),)),
        ((1, 2, 3), (2, 3, 4), (((), Splice(0, 1, ())), ((), Splice(2, 2, (4,))))),
        ((1, 2, 3), (2, 3), (((), Splice(0, 1, ())),)),
        ((1, 2), (0, 1, 2), (((), Splice(0, 0, (0,))),)),
        ([1, 2, 3], [1, 9, 3], (((), Splice(1, 2, (9,))),)),
        (((1,), [2], 3), ((1,), [2, 4], 3), (((Item(1),), Splice(1, 1, (4,))),)),
        (Note("a", (1,)), Note("b", (1, 2)), (((Attr("text"),), Put("b")), ((Attr("parts"),), Splice(1, 1, (2,))))),
        ({"a": 1, "b": [1]}, {"a": 1, "b": [1, 2]}, (((Item("b"),), Splice(1, 1, (2,))),)),
        ((0.0, 1), (-0.0, 1), (((), Splice(0, 1, (-0.0,))),)),
        ((1, 2, 3), (True, 2, 3), (((), Splice(0, 1, (True,))),)),
        (Decimal("1.0"), Decimal("1.00"), (((), Put(Decimal("1.00"))),)),
        ({1: "a", 2: "b"}, {True: "a", 2: "b"}, (((), Put({True: "a", 2: "b"})),)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, (((), Put({"b": 2, "a": 1})),)),
        ((1, 2), (3, 4), (((), Put((3, 4))),)),
        ((1, 2, 3, 4), (3, 9), (((), Put((3, 9))),)),
        ({1, 2}, {True, 2}, (((), Members((1,), (True,))),)),
        ({_NAN, 1}, {1}, (((), Put({1})),)),
        ({_NAN: 1, "a": 0}, {_NAN: 2, "a": 0}, (((), Put({_NAN: 2, "a": 0})),)),
        (Decimal("sNaN"), Decimal("sNaN1"), (((), Put(Decimal("sNaN1"))),)),
    ],
    ids=named_by,
)
def test_a_change_is_said_in_the_fewest_words(before: Any, after: Any, delta: Delta) -> None:
    assert repr(_delta(before, after)) == repr(delta)


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_change_is_as_large_as_itself_and_not_as_the_value(size: int) -> None:
    """Appending, sliding, one key, one field of one item: some bytes, whatever there is beside them."""
    row = tuple(Note(n) for n in range(size))
    table = HashTrieMap({str(n): Note(n) for n in range(size)})
    pairs: list[tuple[Any, Any]] = [
        (row, (*row, Note("new"))),
        (row, (*row[1:], Note("new"))),
        (row, (*row[:3], Note("new"), *row[4:])),
        (row, (*row[:3], *row[4:])),
        (table, table.insert("7", Note("new"))),
        (table, table.insert("new", Note("new"))),
        (table, table.remove("7")),
        (dict(table), dict(table) | {"7": Note("new")}),
        (list(row), [*map(attrs.evolve, row), Note("new")]),  # a copy, as a branch is given one
        (frozenset(map(str, range(size))), frozenset(map(str, range(1, size + 1)))),
    ]
    for before, after in pairs:
        small = changes(Note(before), Note(after))
        assert small is not None
        assert len(json_bytes(CODECS.delta_tree(small))) < 130
        assert applied(Note(before), small) == Note(after)


def test_each_pair_of_parts_is_compared_once_whatever_its_depth() -> None:
    """Rows of other lengths at every level: a comparison that began again at each would never end."""

    def tower(leaf: object, height: int) -> Any:
        value: Any = leaf
        for _ in range(height):
            value = (0, [value], 1)
        return value

    def grown(value: Any) -> Any:
        return (*value[:1], [*map(grown, value[1])], *value[2:], 2) if type(value) is tuple else value + 1

    assert len(_delta(tower(1, 90), tower(2, 90))) == 1
    assert len(_delta(tower(1, 90), grown(tower(1, 90)))) == 91


def test_rows_that_differ_at_both_ends_are_compared_once_too() -> None:
    def tower(leaf: object, height: int) -> Any:
        value: Any = ()
        for _ in range(height):
            value = (leaf, [value])
        return value

    assert len(_delta(tower(1, 90), tower(2, 90))) == 90


def test_changes_are_made_in_their_order() -> None:
    delta: Delta = (((Item(2),), Put(9)), ((), Splice(0, 1, ())), ((Item(0),), Put(7)))
    assert applied((1, 2, 3), delta) == (7, 9)


def test_what_is_nested_deeper_than_values_are_is_put_whole() -> None:
    def tower(leaf: object) -> Any:
        value: Any = leaf
        for _ in range(5_000):
            value = (value, 0)
        return value

    delta = changes(tower(1), tower(2))
    assert delta is not None
    assert [(len(place), type(op)) for place, op in delta] == [(199, Splice)]


def test_a_change_does_not_fit_another_value() -> None:
    delta = _delta(Note("a", (1, 2)), Note("a", (1, 2, 3)))
    for other in (Note("a", ()), Note("a", 5), Span(1, 2), {"parts": (1, 2)}, (1, 2), 3, Money(1)):
        with pytest.raises(StateCorrupt, match="a change does not fit the value that it is made in"):
            applied(other, delta)
    gone = _delta({"a": 1, "b": 2}, {"b": 2})
    with pytest.raises(StateCorrupt, match="does not fit"):
        applied({"b": 2}, gone)


@pytest.mark.parametrize(
    "tree",
    [None, {}, [1], [[1]], [[[], "put"]], [[[], "nobody", 1]], [[[1], "gone"]], [[[[1, 2]], "gone"]],
     [[[], "splice", "a", 1, []]], [[[], "members", [], 1]], [["a", "put", 1]]],
    ids=named_by,
)  # fmt: skip
def test_a_tree_that_says_no_changes_is_corrupt(tree: Any) -> None:
    with pytest.raises(StateCorrupt):
        CODECS.from_delta_tree(tree)
