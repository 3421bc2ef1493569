"""Which classes may be stored, under which names, and which ones a type speaks of."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar, cast

import attrs
import pytest
from attrs import frozen
from pydantic import BaseModel

from lambdacat.codec import (
    Codec,
    Codecs,
    NotStorable,
    classes_in,
)
from lambdacat.testing.storables import Access, Colour, Draft, Note

PLAIN = Codecs()
T = TypeVar("T")


class Point(NamedTuple):
    x: int
    y: int = 0


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@frozen
class Score:
    value: float


class Hit(BaseModel):
    level: list[Level] = []


# --- the registry ----------------------------------------------------------------------------------------------------


def test_two_classes_under_one_tag_are_refused_by_name() -> None:
    def local() -> type:
        class Point(NamedTuple):
            x: int

        Point.__qualname__ = "Point"
        return Point

    with pytest.raises(
        ValueError, match=r"test_codec_classes.Point and .*test_codec_classes.Point would both be stored as 'Point'"
    ):
        Codecs(Point, local())
    with pytest.raises(ValueError, match="give one of them another name"):
        Codecs(Point).with_(local())
    with pytest.raises(ValueError, match=r"rpds.List and .* would both be stored as 'List'"):
        Codecs(Codec(Point, name="List"))
    assert len(Codecs(Point, Codec(local(), name="Other")).codecs) == 2


def test_a_registry_is_a_value_and_grows_into_a_new_one() -> None:
    grown = PLAIN.with_(Point, Level)
    assert Codecs() == PLAIN
    assert grown == Codecs(Point, Level)
    assert hash(grown) == hash(Codecs(Point, Level))
    assert grown != PLAIN
    assert repr(grown) == "Codecs(Point, Level)"
    with pytest.raises(NotStorable, match="Point is not declared"):
        PLAIN.encode(Point(1))


def test_a_class_given_again_keeps_the_codec_that_was_given_for_it() -> None:
    own = Codec(Point, name="P", version=2)
    assert Codecs(own).with_(Point, own).codecs == (own,)
    assert Codecs(Point).with_(own).codecs == (own,)
    with pytest.raises(ValueError, match="Point is declared by two codecs"):
        Codecs(own, Codec(Point, name="Q"))


class _Plain:
    pass


@dataclass
class _NeedsMore:
    x: int
    extra: InitVar[int]


@attrs.define(init=False)
class _OwnConstructor:
    x: int

    def __init__(self, y: int) -> None:
        self.x = y


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: Codecs(_Plain), "_Plain is no record .* declare it with Codec"),
        (lambda: Codecs(cast("type", 3)), "a codec is for a class, not for 3"),
        (lambda: Codecs(cast("type", list[int])), "a codec is for a class, not for list"),
        (lambda: Codecs(datetime), "datetime needs no codec"),
        (lambda: Codecs(_NeedsMore), "wants extra, which it has no field for"),
        (lambda: Codecs(_OwnConstructor), "wants y, which it has no field for"),
        (lambda: Codec(Point, name=""), "is a text, not ''"),
        (lambda: Codec(Point, version=0), "versions of Point count from 1"),
        (lambda: Codec(Point, version=2, migrations={2: dict}), r"no migration can start from \[2\]"),
        (lambda: Codec(Point, version=2, migrations=cast(Any, {1: 3})), r"are functions, not 3"),
        (lambda: Codec(_Plain, encode=str), "has one of encode and decode"),
    ],
)
def test_what_cannot_be_declared_is_refused_at_once(declare: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        declare()


# --- which classes a type speaks of ----------------------------------------------------------------------------------


@frozen
class Box(Generic[T]):
    inside: T
    next: Box[T] | None = None


class Options(typing.TypedDict):
    level: Level


Bound = TypeVar("Bound", bound=Score)
Named = NewType("Named", Point)


@frozen
class Everything:
    box: Box[Point]
    found: dict[str, list[Annotated[Colour, Score]]]
    either: Literal["a", Access.READ] | None
    options: Options
    call: Callable[[Draft], Note]
    hidden: OnlyForCheckers  # type: ignore[name-defined]  # noqa: F821


def test_classes_are_found_through_every_annotation_that_can_be_resolved() -> None:
    assert classes_in(Everything) == {Everything, Box, Point, Colour, Access, Level, Draft, Note}
    assert classes_in(tuple[Named, ...] | None) == {Point}
    assert classes_in(Bound) == {Score}
    assert classes_in(Hit) == {Hit, Level}
    assert classes_in(int | str | None | Any | Enum) == frozenset()
    assert classes_in("Everything") == classes_in(3) == frozenset()
    boxes, codecs = Box(Point(1), Box(Point(2))), Codecs(*classes_in(Box[Point]))
    assert codecs.decode(codecs.encode(boxes)) == boxes
