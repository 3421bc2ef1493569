"""What stores are tried on: values of every kind, and keys that some file system, server or query stumbles over."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from returns.result import Failure, Success
from rpds import HashTrieMap, HashTrieSet, List, Queue

from lambdacat.testing.storables import Access, Colour, Draft, Money, Note, Span, texts


def _nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


_ints = st.integers(-(2**80), 2**80)
_few = st.lists(_ints | texts(), max_size=3)

VALUES: dict[str, SearchStrategy[Any]] = {
    "None": st.none(),
    "booleans": st.booleans(),
    "whole numbers": st.integers(-9, 9),
    "whole numbers beyond a machine word": st.sampled_from([2**63, -(2**63) - 1, 2**64, 2**70, 10**30]),
    "whole numbers of thousands of digits": st.integers(1, 9).map(lambda few: few << 20_000),
    "floats": st.floats(allow_nan=False),
    "NaN, infinities and the sign of zero": st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0]),
    "texts": st.text(max_size=20),
    "texts with NUL and line breaks": st.sampled_from(["\0", "a\0b", "\r\n", "\u2028", '"\\', "</script>"]),
    "halves of surrogate pairs": st.sampled_from(["\ud800", "a\udfffb", "\udc00\ud800"]),
    "the empty text": st.just(""),
    "bytes": st.binary(max_size=20),
    "bytearrays": st.binary(max_size=20).map(bytearray),
    "lists": _few,
    "tuples": _few.map(tuple),
    "dicts in their order": st.dictionaries(texts(), _ints, max_size=4),
    "dicts with other keys than texts": st.dictionaries(_ints | st.booleans() | st.none(), texts(), max_size=4),
    "dicts that hold the codec's own marker": st.sampled_from(
        [{"$": "tuple", "of": [1]}, {"$": 1}, {"$v": 2}, {"of": []}, [{"$": {"$": "int"}}]]
    ),
    "sets": st.sets(_ints | texts(), max_size=4),
    "frozensets": st.frozensets(_ints | texts(), max_size=4),
    "instants": st.datetimes() | st.datetimes(timezones=st.timezones()),
    "dates": st.dates(),
    "times of day": st.times(),
    "durations": st.timedeltas() | st.just(timedelta.max),
    "decimals": st.decimals(allow_nan=False) | st.sampled_from([Decimal("1.10"), Decimal("-0"), Decimal("sNaN")]),
    "fractions": st.fractions(),
    "complex numbers": st.complex_numbers(allow_nan=False),
    "UUIDs": st.uuids(),
    "paths": st.sampled_from([PurePosixPath("/a/../b"), PureWindowsPath("C:/a"), PurePosixPath()]),
    "enums": st.sampled_from(Colour),
    "flags": st.sampled_from([Access(0), Access.READ, Access.READ | Access.SHARE]),
    "attrs records": st.builds(Note, _few, texts()),
    "dataclasses": st.builds(Draft, texts(), _few),
    "named tuples": st.builds(Span, _ints, _ints),
    "classes with a codec": _few.map(Money),
    "persistent maps": st.dictionaries(texts(), _ints, max_size=4).map(HashTrieMap),
    "persistent sets": st.frozensets(texts(), max_size=4).map(HashTrieSet),
    "persistent lists": _few.map(List),
    "queues": _few.map(Queue),
    "results": _few.map(Success) | _few.map(Failure),
    "records inside records": st.builds(Note, st.builds(Draft, texts(), st.lists(st.builds(Span, _ints, _few)))),
    "fifty levels": st.just(_nested(50)),
    "a megabyte": st.sampled_from(["x", "é", "\0"]).map(lambda letter: letter * 2**20),
    "a thousand parts": st.just({str(number): [number] for number in range(1000)}),
}
"""Values by their kind."""

KEYS: dict[str, str] = {
    "the empty text": "",
    "a space": " ",
    "a dot": ".",
    "two dots": "..",
    "a way up": "../../up",
    "a way up at the end": "a/..",
    "a way up for Windows": "..\\..\\up",
    "an absolute path": "/etc/passwd",
    "a path": "a/b/c",
    "a slash": "/",
    "a backslash": "a\\b",
    "a colon": "a:b",
    "a drive": "C:",
    "a device": "nul",
    "a NUL": "a\0b",
    "nothing but a NUL": "\0",
    "a line break": "a\nb\r\nc",
    "a tab": "\t",
    "quotes": "'\"`",
    "a query": "'; drop table cells; --",
    "placeholders": "%s ? :key {0} $1",
    "patterns": "*?[a-z]%_",
    "a home": "~root",
    "a variable": "$HOME",
    "an option": "--help",
    "a hidden file": ".lock",
    "a temporary file": ".new",
    "an ending": "a.json",
    "a name of the server's": "lambdacat:keys",
    "a tag": "{a}{b}",
    "other scripts": "ключ 鍵 مفتاح",
    "pictures": "🐈🏳️‍🌈",
    "the last letter of all": "\U0010ffff",
    "direction marks": "\u202eabc\u200b",
    "ten thousand letters": "k" * 10_000,
    "ten thousand slashes": "/" * 10_000,
    "ten thousand wide letters": "鍵" * 10_000,
    "JSON": '{"key":"a","version":1,\n"value":1}',
}
"""Keys by what is the matter with them."""

PAIRS: dict[str, tuple[str, str]] = {
    "upper and lower case": ("Key", "kEY"),
    "two spellings of one letter": ("\u00e9", "e\u0301"),
    "letters that look alike": ("a", "\u0430"),
    "sharp s and two s": ("straße", "strasse"),
    "a space at the end": ("key", "key "),
    "a dot at the end": ("key", "key."),
    "a NUL at the end": ("key", "key\0"),
    "what follows a NUL": ("key\0a", "key\0b"),
    "slash and backslash": ("a/b", "a\\b"),
    "a path and its short form": ("a/../b", "b"),
    "two slashes and one": ("a//b", "a/b"),
    "one digit and its text": ("1", "\u0661"),
    "the ends of ten thousand letters": ("k" * 10_000 + "a", "k" * 10_000 + "b"),
    "a key and what goes on from it": ("k" * 1000, "k" * 1001),
}
"""Keys that some place takes for one."""


@cache
def key_texts() -> SearchStrategy[str]:
    """Texts that can be keys."""
    letters = st.characters(exclude_categories=["Cs"])
    return st.text(letters, max_size=6) | st.sampled_from(list(KEYS.values())[:34])
