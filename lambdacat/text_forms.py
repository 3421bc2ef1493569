"""Values that JSON has no form for, and the text or number that stands for each on a command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, Final
from uuid import UUID

from attrs import frozen


@frozen
class TextForm:
    """How a class is read from JSON and written as it. Law: ``read(write(value)) == value``."""

    read: Callable[[Any], Any]
    """Errors: ``ValueError``, ``TypeError`` or ``ArithmeticError`` for what it cannot read."""
    write: Callable[[Any], Any]
    example: str
    """The JSON of one, as a person would type it."""
    given: tuple[type, ...] = (str,)
    """The classes of JSON that it is read from."""


def _bytes(text: str) -> bytes:
    from base64 import b64decode

    return b64decode(text, validate=True)


def _base64(value: bytes) -> str:
    from base64 import b64encode

    return b64encode(value).decode("ascii")


def _seconds(given: float) -> timedelta:
    return timedelta(seconds=given)


def _decimal(given: str | int | float) -> Decimal:
    # A float stands for the number that was typed, not for its binary neighbour.
    return Decimal(str(given))


FORMS: Final[Mapping[type, TextForm]] = {
    datetime: TextForm(datetime.fromisoformat, datetime.isoformat, '"2026-01-31T09:30:00+01:00"'),
    date: TextForm(date.fromisoformat, date.isoformat, '"2026-01-31"'),
    time: TextForm(time.fromisoformat, time.isoformat, '"09:30:00"'),
    timedelta: TextForm(_seconds, timedelta.total_seconds, "90.5 (seconds)", (int, float)),
    UUID: TextForm(UUID, str, '"12345678-1234-5678-1234-567812345678"'),
    Decimal: TextForm(_decimal, str, '"12.50"', (str, int, float)),
    Fraction: TextForm(Fraction, str, '"1/3"', (str, int)),
    complex: TextForm(complex, str, '"1+2j"', (str, int, float)),
    bytes: TextForm(_bytes, _base64, '"aGVsbG8=" (base64)'),
    Path: TextForm(Path, str, '"notes/today.md"'),
    PurePath: TextForm(PurePath, str, '"notes/today.md"'),
}
"""By class; a subclass is written as its nearest one."""


def written(value: Any) -> Any:
    """What stands for a value in JSON. Errors: ``TypeError`` when nothing does."""
    for kind in type(value).__mro__:
        form = FORMS.get(kind)
        if form is not None:
            return form.write(value)
    raise TypeError(f"JSON has no form for {type(value).__name__}")
