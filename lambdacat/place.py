"""Where something is inside a value: a path of attributes and items, as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, final

from attrs import frozen


class PlanError(ValueError):
    """A plan, or a value that goes into one, was built wrongly: a bug, raised at once."""


@final
@frozen
class Attr:
    """One step of a place: an attribute. ``Attr("a") != Item("a")``."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@final
@frozen
class Item:
    """One step of a place: a key or an index. A negative index may be any index."""

    key: object

    def __str__(self) -> str:
        # Double quotes, as the docs write keys; repr alone would choose single ones.
        plain = type(self.key) is str and '"' not in self.key and self.key.isprintable()
        return f'["{self.key}"]' if plain else f"[{self.key!r}]"


Place: TypeAlias = tuple[Attr | Item, ...]
"""Where in a value, from the whole to the part; the empty place is the whole."""


def place_text(place: Iterable[Any]) -> str:
    """The steps as Python writes them: ``.hits['web']``."""
    return "".join(map(str, place))


def settled(place: Place) -> Place:
    """The longest part of ``place`` that names one spot only: a negative index may be any index of its sequence."""
    for length, step in enumerate(place):
        if isinstance(step, Item) and type(step.key) is int and step.key < 0:
            return place[:length]
    return place


def is_prefix(first: Place, second: Place) -> bool:
    """Whether ``second`` lies inside ``first``, or is it."""
    return second[: len(first)] == first


def overlaps(first: Place, second: Place) -> bool:
    """Whether a change at one place can be seen at the other. Law: symmetric; a place overlaps itself."""
    one, two = settled(first), settled(second)
    return is_prefix(one, two) or is_prefix(two, one)
