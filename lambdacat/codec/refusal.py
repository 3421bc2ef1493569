"""What a codec says when it will not write a value, or cannot trust what it reads."""

from __future__ import annotations

from lambdacat.place import Attr, Item, Place, place_text


class NotStorable(TypeError):
    """A value holds something that has no declared form at rest; nothing was written."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.root = ""
        """The class of the whole value."""
        self.place: Place = ()

    def inside(self, step: Attr | Item) -> None:
        """Say that it was found one step further in."""
        self.place = (step, *self.place)

    def __str__(self) -> str:
        return f"{self.root}{place_text(self.place)} cannot be stored: {self.what}"


class StateCorrupt(Exception):
    """What was read is not what was written, or not for this program; no value was made of it."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        """The file, row or key that was read."""
        self.place: Place = ()

    def inside(self, step: Attr | Item) -> None:
        """Say that it was found one step further in."""
        self.place = (step, *self.place)

    def __str__(self) -> str:
        spot = place_text(self.place)
        at = f"{self.where} at {spot}" if self.where and spot else self.where or spot
        return f"{at}: {self.what}" if at else self.what
