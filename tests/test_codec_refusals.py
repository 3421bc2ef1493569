"""What has no form is refused when it is written, and what was never written when it is read."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import PureWindowsPath
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from returns.result import Success
from rpds import HashTrieMap, HashTrieSet

from lambdacat import keep_secret
from lambdacat.codec import (
    Codecs,
    NotStorable,
    StateCorrupt,
)
from lambdacat.testing.storables import CODECS, Money, Note, Span, storables

PLAIN = Codecs()
T = TypeVar("T")


def _refused(value: Any, codecs: Codecs = CODECS) -> str:
    with pytest.raises(NotStorable) as caught:
        codecs.encode(value)
    return str(caught.value)


def _corrupt(data: bytes | str, codecs: Codecs = CODECS) -> str:
    with pytest.raises(StateCorrupt) as caught:
        codecs.decode(data.encode() if isinstance(data, str) else data)
    return str(caught.value)


# --- what is refused when written ------------------------------------------------------------------------------------


class _Local(tzinfo):
    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, at: datetime | None) -> timedelta | None:
        return None

    def tzname(self, at: datetime | None) -> str:
        return "local"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "object cannot be stored: builtins.object is not declared; give it to Codecs(...)"),
        ([{"k": (object(),)}], 'list[0]["k"][0] cannot be stored: builtins.object'),
        (Note(1, {2: {object()}}), "Note.parts[2][0] cannot be stored"),
        ({frozenset(): 1, (object, 3): 2}, "dict[(<class 'object'>, 3)][0] cannot be stored: builtins.type"),
        (Success(lambda: 0), "Success[0] cannot be stored: builtins.function"),
        (OrderedDict(a=1), "collections.OrderedDict is not declared"),
        (Counter("a"), "collections.Counter is not declared"),
        (deque([1]), "collections.deque is not declared"),
        (type("Name", (str,), {})("a"), "Name is not declared"),
        (datetime(2026, 1, 1, tzinfo=_Local()), "its time zone is a _Local; use zoneinfo.ZoneInfo or a fixed offset"),
        # From Python 3.12 on such a path is written so that it can be told apart.
        *((path, "has a text that another path has too") for path in [PureWindowsPath("./a:b")] if str(path) == "a:b"),
        (HashTrieMap({float("nan"): 1}), "a key of it is not equal to itself"),
        (HashTrieSet([Decimal("nan")]), "a key of it is not equal to itself"),
        (memoryview(b""), "memoryview is not declared"),
        (range(3), "range is not declared"),
        (ValueError(), "ValueError is not declared"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_what_has_no_declared_form_is_refused_with_its_place(value: Any, says: str) -> None:
    assert says in _refused(value)


WRAPS: dict[str, Callable[[Any], Any]] = {
    "list": lambda value: [value],
    "tuple": lambda value: (1, value),
    "dict": lambda value: {"a": value},
    "items": lambda value: {1: value},
    "map": lambda value: HashTrieMap({"a": value}),
    "map items": lambda value: HashTrieMap({1: value}),
    "record": lambda value: Span(value, 0),
    "own": Money,
    "outcome": Success,
    "frozenset": lambda value: frozenset([value]),
}


def _nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = wrap(value)
    return value


def _at_depth(frames: int, work: Callable[[], T]) -> T:
    return work() if frames == 0 else _at_depth(frames - 1, work)


def _height() -> int:
    frame, height = sys._getframe(), 0
    while frame.f_back is not None:
        frame, height = frame.f_back, height + 1
    return height


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_200_levels_are_stored_and_201_refused_both_ways(wrap: Callable[[Any], Any]) -> None:
    deep = _nested(200, wrap)
    data = CODECS.encode(deep)
    assert CODECS.encode(CODECS.decode(data)) == data
    # Nearly at the end of the caller's own stack it is the same.
    frames = sys.getrecursionlimit() - _height() - 60
    assert _at_depth(frames, lambda: CODECS.encode(CODECS.decode(data))) == data
    keep_secret("a secret that stands nowhere")
    assert _at_depth(frames, lambda: CODECS.encode(CODECS.decode(data))) == data
    assert "nested deeper than 200 levels, or holds itself" in _refused(wrap(deep))
    assert "nested deeper than 200 levels" in _corrupt(_one_more(data))


def _one_more(data: bytes) -> bytes:
    return b"[" + data + b"]"


def test_what_holds_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert "holds itself" in _refused(ring)
    book: dict[Any, Any] = {}
    book[1] = Note(book)
    assert "holds itself" in _refused(book)


# --- what is refused when read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is no JSON"),
        (b"[1", "it is no JSON"),
        (b"1 2", "it is no JSON: Extra data"),
        (b"[1]]", "it is no JSON: Extra data"),
        (b"NaN", "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"1e400", "a number is too large for a float"),
        (b'{"a":[0,-1e999]}', '["a"][1]: a number is too large for a float'),
        (b'{"a":1,"a":1}', "the key 'a' is there twice"),
        (b'"\\ud800"', "a text holds half a surrogate pair"),
        (b'{"\\uDFFF":1}', "a text holds half a surrogate pair"),
        (b"\xff", "it is no UTF-8 text: byte 0 is 0xff"),
        (b"\xed\xa0\x80", "it is no UTF-8 text"),
        (b"9" * 5000, "a number is out of range"),
        (b"[" * 100_000, "it is nested deeper than any value that is stored"),
        (b'{"a":' * 100_000, "it is nested deeper than any value that is stored"),
        (b'{"$":"os.system","of":"ls"}', "no class is declared for the tag 'os.system'"),
        (b'{"$":"builtins.object"}', "nothing undeclared is loaded"),
        (b'{"$":["Note"]}', "a tag is a text, not ['Note']"),
        (b'{"$":null}', "a tag is a text, not None"),
        (b'{"$":"tuple","of":{}}', "a tuple is written with one list under 'of'"),
        (b'{"$":"tuple","of":[],"x":1}', "a tuple is written with one list under 'of'"),
        (b'{"$":"set","of":[1,1]}', "a part of a set is there twice"),
        (b'{"$":"set","of":[[]]}', "a part has no hash"),
        (b'{"$":"dict","items":[[1,2],[true,3]]}', "[1]: the key True is there twice"),
        (b'{"$":"dict","items":[[[],2]]}', "[0]: a key has no hash"),
        (b'{"$":"dict","items":[[1]]}', "[0]: an item is a pair"),
        (b'{"$":"HashTrieMap","items":[[{"$":"float","of":"nan"},1]]}', "a key is not equal to itself"),
        (b'{"$":"HashTrieSet","of":[0,""]}', "keys of two classes have one hash"),
        (b'{"$":"Success","of":[]}', "a Success holds one value"),
        (b'{"$":"int","of":"ff"}', "an integer of that size stands for itself"),
        (b'{"$":"float","of":"1.5"}', "a finite float stands for itself"),
        (b'{"$":"str","of":[97]}', "a text that UTF-8 can say stands for itself"),
        (b'{"$":"str","of":[1114112]}', "it is no str as one is written here"),
        (b'{"$":"bytes","of":"YQ"}', "it is no bytes as one is written here"),
        (b'{"$":"bytes","of":"YR=="}', "another spelling of 'YQ=='"),
        (b'{"$":"Decimal","of":" 1"}', "another spelling of '1'"),
        (b'{"$":"Decimal","of":"x"}', "it is no Decimal"),
        (b'{"$":"Fraction","of":[2,4]}', "it is no Fraction"),
        (b'{"$":"Fraction","of":[1,0]}', "it is no Fraction"),
        (b'{"$":"UUID","of":"0"}', "it is no UUID"),
        (b'{"$":"PurePosixPath","of":"a//b"}', "another spelling of 'a/b'"),
        (b'{"$":"PurePosixPath","of":"a","x":1}', "it is no PurePosixPath"),
        (b'{"$":"datetime","of":"2026-01-01 00:00:00"}', "another spelling of '2026-01-01T00:00:00'"),
        (b'{"$":"date","of":"20260101"}', "another spelling of '2026-01-01'"),
        (b'{"$":"datetime","of":"2026-01-01T00:00:00+00:00"}', "it is no datetime"),
        (b'{"$":"datetime","of":"2026-01-01T00:00:00","zone":"No/Where"}', "this machine has no time zone 'No/Where'"),
        (b'{"$":"datetime","of":"2026-01-01T00:00:00","zone":"../../etc/passwd"}', "this machine has no time zone"),
        (b'{"$":"time","of":"00:00:00","fold":2}', "it is no time"),
        (b'{"$":"timedelta","of":[0,86400,0]}', "it is no timedelta"),
        (b'{"$":"complex","of":[1,2]}', "it is no complex"),
        (b'{"$":"list","of":[]}', "no class is declared for the tag 'list'"),
    ],
    ids=lambda given: ascii(given)[:40],
)
def test_what_was_never_written_is_corrupt(data: bytes, says: str) -> None:
    assert says in _corrupt(data)


def test_white_space_around_a_document_is_fine() -> None:
    assert PLAIN.decode(b' [1, {"a": 2}]\n') == [1, {"a": 2}]


def test_escaped_pairs_of_other_writers_are_one_character() -> None:
    assert PLAIN.decode(b'["\\ud83d\\ude00","\\\\ud800"]') == ["\U0001f600", "\\ud800"]


def _only_corrupt(read: Callable[[], object]) -> None:
    with suppress(StateCorrupt):
        read()


_TAGS = st.sampled_from(["tuple", "set", "dict", "HashTrieMap", "HashTrieSet", "datetime", "time", "timedelta", "int",
                         "float", "str", "complex", "Fraction", "Decimal", "UUID", "bytes", "PurePosixPath", "Success",
                         "Note", "Colour", "Access", "Money", "nobody"])  # fmt: skip


def _trees() -> SearchStrategy[Any]:
    atoms = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["nan", "RED"])
    )

    def grown(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
        names = st.sampled_from(["of", "items", "text", "parts", "name", "value", "zone", "offset", "fold", "$v"])
        return st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.text(max_size=2) | st.just("$"), inner, max_size=2),
            st.builds(lambda tag, rest: {"$": tag, **rest}, _TAGS, st.dictionaries(names, inner, max_size=2)),
            st.builds(lambda tag, row: {"$": tag, "of": row}, _TAGS, st.lists(inner, max_size=3)),
        )

    return st.recursive(atoms, grown, max_leaves=8)


@given(_trees())
def test_no_tree_raises_anything_but_corrupt(tree: Any) -> None:
    _only_corrupt(lambda: CODECS.from_tree(tree))


@given(storables(), st.integers(0), st.integers(1, 255))
def test_no_changed_byte_raises_anything_but_corrupt(value: Any, at: int, flip: int) -> None:
    """R-F2: flipped, cut short, doubled."""
    data = bytearray(CODECS.encode(value))
    data[at % len(data)] ^= flip
    for bad in (bytes(data), bytes(data[: at % len(data)]), bytes(data) * 2):
        _only_corrupt(lambda bad=bad: CODECS.decode(bad))  # type: ignore[misc]


@pytest.mark.sweep
@settings(max_examples=4_000)
@given(_trees(), st.binary(max_size=20))
def test_no_input_raises_anything_but_corrupt_at_full_count(tree: Any, data: bytes) -> None:
    _only_corrupt(lambda: CODECS.from_tree(tree))
    _only_corrupt(lambda: CODECS.decode(data))
