"""A small state that random plans work on, with a place of every kind: fields, a record, rows, keys, alternatives."""

from __future__ import annotations

from attrs import field, frozen
from rpds import HashTrieMap

from lambdacat.merging import concat, merged
from lambdacat.optics import Iso, Lens, Prism, Traversal, variant
from lambdacat.path import lens
from lambdacat.steps import at, each


@frozen
class Point:
    """A record inside the state."""

    x: int = 0
    y: int = 0


@frozen
class Circle:
    """One alternative of a shape."""

    radius: int = 1


@frozen
class Square:
    """The other alternative."""

    side: int = 1


@frozen
class Sample:
    """The state of random plans. Concurrent additions to ``notes`` are merged; all else conflicts."""

    left: int = 0
    right: int = 0
    point: Point = field(factory=Point)
    items: tuple[int, ...] = ()
    table: HashTrieMap[str, int] = field(factory=HashTrieMap)
    shape: Circle | Square = field(factory=Circle)
    notes: tuple[str, ...] = merged(concat, default=())


LEFT: Lens[Sample, int] = lens(Sample, lambda s: s.left)
RIGHT: Lens[Sample, int] = lens(Sample, lambda s: s.right)
POINT: Lens[Sample, Point] = lens(Sample, lambda s: s.point)
X: Lens[Point, int] = lens(Point, lambda p: p.x)
Y: Lens[Point, int] = lens(Point, lambda p: p.y)
ITEMS: Lens[Sample, tuple[int, ...]] = lens(Sample, lambda s: s.items)
TABLE: Lens[Sample, HashTrieMap[str, int]] = lens(Sample, lambda s: s.table)
SHAPE: Lens[Sample, Circle | Square] = lens(Sample, lambda s: s.shape)
NOTES: Lens[Sample, tuple[str, ...]] = lens(Sample, lambda s: s.notes)

CIRCLE: Prism[Circle | Square, Circle] = variant(Circle)
RADIUS: Lens[Circle, int] = lens(Circle, lambda c: c.radius)


def negated(n: int) -> int:
    """``-n``."""
    return -n


NEGATIVE: Iso[int, int] = Iso("negative", to=negated, back=negated)

NUMBERS: tuple[Lens[Sample, int], ...] = (LEFT, RIGHT, POINT >> X, POINT >> Y, LEFT >> NEGATIVE)
"""Lenses onto one number each."""

REACHES: tuple[Traversal[Sample, int], ...] = (
    ITEMS >> each,
    ITEMS >> at(0),
    TABLE >> each,
    TABLE >> at("a"),
    SHAPE >> CIRCLE >> RADIUS,
)
"""Optics that may reach no number, or several."""
