"""What is stored comes back the same, or is refused; what is read is trusted for nothing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attrs
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel
from returns.result import Failure, Success
from rpds import HashTrieMap, HashTrieSet

from lambdacat.codec import (
    Codec,
    Codecs,
    NotStorable,
    StateCorrupt,
)
from lambdacat.testing.storables import CODECS, Access, Colour, Draft, Money, keys, portrait, storables

PLAIN = Codecs()


def _round(value: Any, codecs: Codecs = CODECS) -> Any:
    return codecs.decode(codecs.encode(value))


def _refused(value: Any, codecs: Codecs = CODECS) -> str:
    with pytest.raises(NotStorable) as caught:
        codecs.encode(value)
    return str(caught.value)


def _corrupt(data: bytes | str, codecs: Codecs = CODECS) -> str:
    with pytest.raises(StateCorrupt) as caught:
        codecs.decode(data.encode() if isinstance(data, str) else data)
    return str(caught.value)


# --- there and back --------------------------------------------------------------------------------------------------


def _comes_back(value: Any) -> None:
    data = CODECS.encode(value)
    back = CODECS.decode(data)
    assert portrait(back) == portrait(value)
    assert CODECS.encode(back) == data
    assert CODECS.from_tree(json.loads(json.dumps(CODECS.to_tree(value)))) is not CODECS
    assert portrait(CODECS.from_tree(CODECS.to_tree(value))) == portrait(value)


@given(storables())
def test_every_value_comes_back_with_the_same_classes_at_every_level(value: Any) -> None:
    _comes_back(value)


@pytest.mark.sweep
@settings(max_examples=4_000)
@given(storables())
def test_every_value_comes_back_at_full_count(value: Any) -> None:
    _comes_back(value)


@pytest.mark.parametrize(
    "value",
    [
        {"$": "Note", "text": 1, "parts": []},
        {"$": 1},
        {"$v": 2, "of": []},
        {"a": {"$": {"$": "tuple", "of": [1]}}},
        {True: "bool", 2: "int"},
        {"1": "text", 1: "int"},
        {"\ud800": 1},
        {(): 0, ("$",): 1},
        -0.0,
        complex(-0.0, float("inf")),
        2**1024,
        -(2**70),
        10**5000,
        "\U0001f600",
        "\ud800" + "\udc00",  # halves that stand side by side stay halves
        Decimal("1.10"),
        Decimal("-0"),
        Decimal("sNaN12"),
        bytearray(b""),
        Access(0),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=timezone(timedelta(microseconds=-1), "a\ud800")),
        time(2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris")),
        Success(Failure((1,))),
        {"b": 1, "a": 2},
    ],
    ids=lambda value: ascii(value)[:40] if not isinstance(value, int) else hex(value)[:20],
)
def test_what_looks_like_something_else_comes_back_as_itself(value: Any) -> None:
    """R-F4: our own marker in a user's dict, halves of pairs, signs, numbers past every limit."""
    assert portrait(_round(value)) == portrait(value)


def test_json_data_is_stored_as_the_same_json() -> None:
    value = {"name": "é\n", "rows": [1, 2.5, None, True], "deep": {"": []}}
    assert PLAIN.to_tree(value) == value
    assert PLAIN.encode(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert PLAIN.to_tree(value) is not value


@given(st.lists(keys().filter(lambda key: key == key), max_size=5), st.randoms(use_true_random=False))
def test_equal_sets_and_maps_give_equal_bytes(members: list[Any], order: random.Random) -> None:
    unique = list({(type(key), key): key for key in members}.values())
    other = unique[:]
    order.shuffle(other)
    if set(unique) == set(other) and len(set(unique)) == len(unique):
        assert CODECS.encode(set(unique)) == CODECS.encode(set(other))
    texts = {repr(portrait(key)): 1 for key in unique}
    turned = dict(reversed(texts.items()))
    assert CODECS.encode(HashTrieMap(texts)) == CODECS.encode(HashTrieMap(turned))
    rows, turned_rows = ({(text,): 1 for text in some} for some in (texts, turned))
    assert CODECS.encode(HashTrieMap(rows)) == CODECS.encode(HashTrieMap(turned_rows))
    assert CODECS.encode(HashTrieSet(texts)) == CODECS.encode(HashTrieSet(turned))


def test_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "from rpds import HashTrieMap; from lambdacat.codec import Codecs;"
        "rows = [str(n) for n in range(50)];"
        "print(Codecs().encode((set(rows), frozenset(zip(rows, rows)), HashTrieMap({(r,): 1 for r in rows}))))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


# --- records ---------------------------------------------------------------------------------------------------------


class Hit(BaseModel):
    """A model with a name of its own for a field, things beside its fields, and something private."""

    model_config = ConfigDict(extra="allow")
    url: str = Field(alias="URL")
    rank: int = 0
    seen: tuple[datetime, ...] = ()
    _note: str = PrivateAttr(default="")


class Row(RootModel[list[int]]):
    """A model that is one value."""


@frozen
class Research:
    question: str
    hits: tuple[Any, ...] = ()
    _secret: int = 0
    words: int = attrs.field(init=False, default=0)


@dataclass(frozen=True, kw_only=True)
class Budget:
    tokens: int
    left: int = field(init=False, default=0)


@frozen
class Score:
    value: float = attrs.field(validator=attrs.validators.ge(0))


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: int = 0


RECORDS = Codecs(Hit, Row, Research, Budget, Score, Level, Point, Colour)


def test_a_model_comes_back_with_what_it_carries_beside_its_fields() -> None:
    hit = Hit(URL="a", seen=(datetime(2026, 1, 1),), more={"x": (1, 2)})  # type: ignore[call-arg]
    hit._note = "mine"
    back = _round(hit, RECORDS)
    assert back == hit
    assert back.model_extra == {"more": {"x": (1, 2)}}
    assert back._note == "mine"
    assert back.model_fields_set == hit.model_fields_set == {"url", "seen", "more"}
    assert _round(Row([1, 2]), RECORDS) == Row([1, 2])


def test_records_come_back_through_their_constructors() -> None:
    research = Research("q", (Point(1), Level.HIGH, Budget(tokens=3)), 7)
    object.__setattr__(research, "words", 5)
    back = _round(research, RECORDS)
    assert (back, back.words, back._secret) == (research, 5, 7)
    assert [type(hit) for hit in back.hits] == [Point, Level, Budget]
    said = _corrupt('{"$":"Score","value":-1}', RECORDS)
    assert said.startswith("Score refused what was stored: it raised ValueError")


def test_a_field_too_few_or_too_many_is_named_and_never_filled_in() -> None:
    said = _corrupt('[{"$":"Point","x":1}]', RECORDS)
    assert said == (
        "[0]: a Point that was stored lacks 'y', unlike its class; a class changes its shape with a version and a "
        "migration: Codec(Point, version=2, migrations={1: ...})"
    )
    said = _corrupt('{"$":"Point","x":1,"z":2,"w":3}', RECORDS)
    assert "lacks 'y' and has 'z', 'w'" in said
    assert "a Point that was stored has 'z'" in _corrupt('{"$":"Point","x":1,"y":2,"z":3}', RECORDS)


def test_an_enum_is_stored_by_name() -> None:
    assert RECORDS.to_tree((Level.HIGH, Colour.GREEN)) == {
        "$": "tuple",
        "of": [{"$": "Level", "name": "HIGH"}, {"$": "Colour", "name": "GREEN"}],
    }
    assert "Level refused what was stored: is no member of it" in _corrupt('{"$":"Level","name":"MID"}', RECORDS)


# --- versions --------------------------------------------------------------------------------------------------------


@frozen
class Old:
    name: str
    point: Point


@frozen
class New:
    first: str
    last: str
    point: Point


def _split(fields: dict[str, Any]) -> dict[str, Any]:
    first, last = fields["name"].split(" ")
    return {"first": first, "last": last, "point": fields["point"]}


def _mirrored(fields: dict[str, Any]) -> dict[str, Any]:
    # What is nested is there as a value, whatever its own version was.
    return {**fields, "point": fields["point"]._replace(y=fields["point"].x)}


STORED = Codecs(Codec(Old, name="Person"), Point)


def test_older_versions_are_brought_forward_one_step_at_a_time() -> None:
    second = Codecs(Codec(New, name="Person", version=2, migrations={1: _split}), Point)
    third = Codecs(Codec(New, name="Person", version=3, migrations={1: _split, 2: _mirrored}), Point)
    data = STORED.encode([Old("Ada L", Point(4))])
    assert second.decode(data) == [New("Ada", "L", Point(4))]
    assert third.decode(data) == third.decode(second.encode(second.decode(data))) == [New("Ada", "L", Point(4, 4))]
    assert third.decode(third.encode(New("a", "b", Point(0)))) == New("a", "b", Point(0))


def test_a_version_that_cannot_be_reached_is_refused_by_number() -> None:
    data = STORED.encode(Old("Ada L", Point(0)))
    gap = Codecs(Codec(New, name="Person", version=3, migrations={1: _split}), Point)
    assert "stored in version 2 and there is no way to version 3; declare Codec(Person, version=3" in _corrupt(
        data, gap
    )
    newer = gap.encode(New("a", "b", Point(0)))
    assert _corrupt(newer, STORED) == "a Person was stored in version 3; this program knows 1 to 1"
    assert "in version 'x'" in _corrupt('{"$":"Person","$v":"x","name":""}', STORED)


@pytest.mark.parametrize(
    ("migration", "says"),
    [
        (lambda fields: {**fields, "extra": 1}, "has 'name', 'extra'"),
        (lambda fields: {"first": "a"}, "lacks 'last', 'point'"),
        (lambda fields: fields["nobody"], "the migration of Person from version 1 raised KeyError: 'nobody'"),
        (lambda fields: 3, "lacks 'first', 'last', 'point'"),
    ],
)
def test_a_migration_that_does_not_give_the_fields_is_named(migration: Any, says: str) -> None:
    codecs = Codecs(Codec(New, name="Person", version=2, migrations={1: migration}), Point)
    assert says in _corrupt(STORED.encode(Old("Ada L", Point(0))), codecs)


def test_a_class_of_another_kind_is_stored_as_its_codec_says() -> None:
    first = Codecs(Codec(Money, encode=lambda m: m.cents, decode=Money))
    assert first.to_tree(Money((1, 2))) == {"$": "Money", "of": {"$": "tuple", "of": [1, 2]}}
    second = Codecs(
        Codec(
            Money,
            encode=lambda m: {"cents": m.cents},
            decode=lambda form: Money(form["cents"]),
            version=2,
            migrations={1: lambda cents: {"cents": cents}},
        )
    )
    assert second.decode(first.encode(Money(7))) == Money(7) == _round(Money(7), second)
    broken = Codecs(Codec(Money, encode=lambda m: m.nobody, decode=Money))
    assert "Draft.lines[0] cannot be stored: the encode of its codec raised AttributeError" in _refused(
        Draft("", [Money(1)]), broken.with_(Draft)
    )
    with pytest.raises(StateCorrupt, match="Money refused what was stored: it raised ZeroDivisionError"):
        Codecs(Codec(Money, encode=lambda m: 1, decode=lambda cents: cents / 0)).decode(b'{"$":"Money","of":1}')
