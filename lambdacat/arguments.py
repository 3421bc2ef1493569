"""Kinds of arguments: from what stands on a command line to a value, or to one line that says what is wanted."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdacat.store.places import Place

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def path(text: str) -> Path:
    """A path."""
    if "\0" in text or not text:
        raise ArgumentTypeError(f"{text!r} cannot be a path")
    return Path(text)


def place(text: str) -> Place:
    """Where journals lie: a path, or the address of a database."""
    from lambdacat.store.places import SCHEMES, Database

    if not text.startswith(SCHEMES):
        return path(text)
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise ArgumentTypeError("an address wants a client: pip install 'lambdacat[postgres]'") from None
    found = Database.parse(text)
    try:
        conninfo_to_dict(found.dsn)
        str(found)
    except (ProgrammingError, ValueError) as error:
        raise ArgumentTypeError(f"that is no address of a database: {' '.join(str(error).split())}") from None
    return found


def count(text: str) -> int:
    """How many of something, at least one."""
    if not text.isdecimal() or not 0 < int(text) < 1_000_000:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def amount(text: str) -> float:
    """How much of something, above 0."""
    if not re.fullmatch(r"[0-9]{0,12}\.?[0-9]{1,12}|[0-9]{1,12}\.", text) or float(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def price(text: str) -> float:
    """Money for a million tokens; some cost nothing."""
    return 0.0 if re.fullmatch(r"0+(\.0*)?", text) else amount(text)


def age(text: str) -> float:
    """How long ago. Units: seconds.

    >>> age("1.5h")
    5400.0
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no age; write 30d, 12h, 45m or 90s")
    return float(found[1]) * _UNITS[found[2]]
