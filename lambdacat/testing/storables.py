"""Random values of everything that can be stored, and what makes two of them the same at every level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from returns.result import Failure, Success
from rpds import HashTrieMap, HashTrieSet, List, Queue

from lambdacat.codec import Codec, Codecs
from lambdacat.record import record_of


class Colour(Enum):
    """An enum; its values are no matter."""

    RED = 1
    GREEN = object()


class Access(Flag):
    """Flags, whose combinations have no names."""

    READ = 1
    WRITE = 2
    SHARE = 4


@frozen
class Note:
    """A record of attrs."""

    text: Any
    parts: Any = ()


@dataclass
class Draft:
    """A record of the standard library that can be changed in place."""

    title: Any
    lines: Any = field(default_factory=list)


class Span(NamedTuple):
    """A named tuple."""

    start: Any
    stop: Any


class Money:
    """A class that is no record."""

    def __init__(self, cents: Any) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and bool(self.cents == other.cents)

    def __hash__(self) -> int:
        return hash((Money, self.cents))

    def __repr__(self) -> str:
        return f"Money({portrait(self.cents)})"


CODECS = Codecs(Colour, Access, Note, Draft, Span, Codec(Money, encode=lambda m: m.cents, decode=Money))
"""A registry for all that ``storables`` draws."""


@cache
def texts() -> SearchStrategy[str]:
    """Any text that Python has, halves of surrogate pairs too."""
    return st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
        ["$", "$v", "of", "\0", "\ud800"]
    )


@cache
def _zones() -> SearchStrategy[Any]:
    offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23))
    return st.one_of(
        st.none(),
        st.sampled_from([ZoneInfo("Europe/Paris"), ZoneInfo("UTC"), UTC]),
        offsets.map(timezone),
        st.builds(timezone, offsets, texts()),
    )


@cache
def _moments() -> SearchStrategy[Any]:
    fold, zone = st.integers(0, 1), _zones()
    return st.one_of(
        st.builds(lambda at, fold, zone: at.replace(fold=fold, tzinfo=zone), st.datetimes(), fold, zone),
        st.builds(lambda at, fold, zone: at.replace(fold=fold, tzinfo=zone), st.times(), fold, zone),
        st.dates(),
        st.timedeltas(),
    )


@cache
def _paths() -> SearchStrategy[Any]:
    def windows(text: str) -> PureWindowsPath:
        path = PureWindowsPath(text)
        return path if PureWindowsPath(str(path)) == path else PureWindowsPath("C:/a")

    return st.one_of(texts().map(Path), texts().map(PurePosixPath), texts().map(windows))


@cache
def keys() -> SearchStrategy[Any]:
    """Single values, all with a hash."""
    return st.one_of(
        texts(),
        st.integers(),
        st.floats(),
        st.booleans() | st.none(),
        st.binary(max_size=8),
        st.sampled_from([*Colour, Access.READ, Access.READ | Access.SHARE, Access(0)]),
        st.integers(-9, 9).map(lambda few: few << 20_000),  # past what Python says in decimal digits
        st.decimals().filter(lambda number: not number.is_snan()),  # which has no hash
        st.fractions(),
        st.complex_numbers(),
        st.uuids(),
        _moments(),
        _paths(),
    )


@cache
def _hashable() -> SearchStrategy[Any]:
    def grown(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return st.one_of(
            st.lists(inner, max_size=2).map(tuple),
            st.frozensets(inner, max_size=2),
            st.builds(Note, inner, inner),
            st.builds(Span, inner, inner),
            inner.map(Money),
        )

    return st.recursive(keys(), grown, max_leaves=3)


def _of_one_class() -> SearchStrategy[SearchStrategy[Any]]:
    """Keys that persistent maps can hold: not two classes whose hashes may meet, as 1 and 1.0, and no NaN."""
    rows = st.lists(st.integers(), max_size=2).map(tuple)
    return st.sampled_from(
        [texts(), texts(), st.integers(), st.floats(allow_nan=False), st.uuids(), rows, st.sampled_from(Colour)]
    )


def storables() -> SearchStrategy[Any]:
    """Values of every class that ``CODECS`` knows, nested in each other."""
    return _storables()


@cache
def _storables() -> SearchStrategy[Any]:
    unhashable = st.binary(max_size=4).map(bytearray) | st.just(Decimal("-sNaN7"))
    return st.recursive(_hashable() | unhashable, _grown, max_leaves=6)


def _grown(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    row, key = st.lists(inner, max_size=3), _hashable()
    return st.one_of(
        row,
        row.map(tuple),
        row.map(List),
        row.map(Queue),
        st.dictionaries(texts(), inner, max_size=3),
        st.dictionaries(key, inner, max_size=3),
        _of_one_class().flatmap(lambda keys: st.dictionaries(keys, inner, max_size=3)).map(HashTrieMap),
        st.sets(key, max_size=3),
        _of_one_class().flatmap(lambda keys: st.frozensets(keys, max_size=3)).map(HashTrieSet),
        st.builds(Note, inner, inner),
        st.builds(Draft, inner, row),
        inner.map(Success) | inner.map(Failure),
    )


def portrait(value: Any) -> Any:
    """What tells a value from every other one: classes at every level, signs of zero, order where there is one.

    Law: two values have equal portraits only if no program could tell them apart; every NaN has the same.
    """
    kind: Any = type(value)
    if isinstance(value, (Success, Failure)):
        return kind, portrait(value.unwrap() if isinstance(value, Success) else value.failure())
    if kind in (set, frozenset, HashTrieSet):
        return kind, sorted(repr(portrait(part)) for part in value)
    if isinstance(value, Mapping):
        pairs = [(portrait(key), portrait(part)) for key, part in value.items()]
        return kind, pairs if kind is dict else sorted(pairs, key=repr)
    if kind in (list, tuple, List, Queue):
        return kind, [portrait(part) for part in value]
    if (record := record_of(kind)) is not None:
        return kind, [portrait(part) for part in record.read(value)]
    if kind is Money:
        return kind, portrait(value.cents)
    return kind, _face(value)


def _face(value: Any) -> str:
    if type(value) is int:
        return hex(value)
    if isinstance(value, Fraction):
        return f"{value.numerator:x}/{value.denominator:x}"
    if isinstance(value, (datetime, time)) and type(value.tzinfo) is timezone:
        return repr((value, value.tzinfo, str(value.tzinfo)))
    return repr(value)
