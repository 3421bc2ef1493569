"""How single values are written: numbers, texts, bytes, times, names of files.

A form that a class would also read in another spelling is compared with what is written here, so that one value has one
form and a changed byte is seen.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from math import inf
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from lambdacat.codec.refusal import NotStorable, StateCorrupt
from lambdacat.codec.tables import DEEPEST, MARK, Reader, Readers, Writer, Writers, content, read, read_row
from lambdacat.codec.text import Tree

# Python refuses decimal digits by the thousand, as a guard against slow texts; hexadecimal ones it always reads.
_LARGEST: Final = 1 << 1024


def _as_it_is(value: Any, room: int, writers: Writers) -> Tree:
    return value


def is_clean(text: str) -> bool:
    """Whether UTF-8 can say it: no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_text(value: str, room: int = 0, writers: object = None) -> Tree:
    """The text itself, unless UTF-8 has no form for it."""
    return value if value.isascii() or is_clean(value) else {MARK: "str", "of": list(map(ord, value))}


def _read_text(tree: Any, room: int, readers: Readers) -> str:
    text = "".join(map(chr, content(tree, list)))
    if is_clean(text):
        raise ValueError("a text that UTF-8 can say stands for itself")
    return text


def _write_int(value: int, room: int, writers: Writers) -> Tree:
    return value if -_LARGEST < value < _LARGEST else {MARK: "int", "of": f"{value:x}"}


def _write_float(value: float, room: int, writers: Writers) -> Tree:
    return value if -inf < value < inf else {MARK: "float", "of": repr(value)}


def _base64(value: Any) -> str:
    return b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


# --- how a form is made of a class and two functions -----------------------------------------------------------------


def _strict(tag: str, reader: Reader) -> Reader:
    """The reader with everything that a class raises at a bad form said as ``StateCorrupt``."""

    def strictly(tree: Any, room: int, readers: Readers) -> Any:
        try:
            return reader(tree, room, readers)
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
            raise StateCorrupt(f"it is no {tag} as one is written here: {error}") from error

    return strictly


def _by_text(tag: str, form: Callable[[Any], str], make: Callable[[str], Any]) -> tuple[Writer, Reader]:
    """A value written as one text."""

    def write(value: Any, room: int, writers: Writers) -> Tree:
        return {MARK: tag, "of": form(value)}

    def read_one(tree: Any, room: int, readers: Readers) -> Any:
        text = content(tree, str)
        value = make(text)
        if form(value) != text:
            raise ValueError(f"{text!r} is another spelling of {form(value)!r}")
        return value

    return write, _strict(tag, read_one)


def _by_row(tag: str, form: Callable[[Any], tuple[Any, ...]], make: Callable[..., Any]) -> tuple[Writer, Reader]:
    """A value written as a row of numbers."""

    def write(value: Any, room: int, writers: Writers) -> Tree:
        return {MARK: tag, "of": [writers[type(part)](part, room, writers) for part in form(value)]}

    def read_one(tree: Any, room: int, readers: Readers) -> Any:
        row = read_row(content(tree, list), DEEPEST, readers)
        value = make(*row)
        for given, own in zip(row, form(value), strict=True):
            if type(given) is not type(own) or (given != own and given == given):
                raise ValueError(f"{own!r} is written there as {given!r}")
        return value

    return write, _strict(tag, read_one)


def _of_path(kind: type[PurePosixPath | PureWindowsPath | Path]) -> tuple[Writer, Reader]:
    def write(value: Any, room: int, writers: Writers) -> Tree:
        text = str(value)
        if kind(text) != value:
            raise NotStorable(f"{value!r} has a text that another path has too")
        return {MARK: kind.__name__, "of": write_text(text)}

    def read_one(tree: Any, room: int, readers: Readers) -> Any:
        text = read(tree["of"], 1, readers)
        value = kind(text)
        if str(value) != text or len(tree) != 2:
            raise ValueError(f"{text!r} is another spelling of {str(value)!r}")
        return value

    return write, _strict(kind.__name__, read_one)


# --- times -----------------------------------------------------------------------------------------------------------


def _zone_tree(zone: tzinfo | None) -> dict[str, Tree]:
    """What says the time zone of a time; units: the offset in seconds."""
    if zone is None:
        return {}
    if type(zone) is ZoneInfo and zone.key is not None:
        return {"zone": zone.key}
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return {"offset": offset.total_seconds(), **({"name": write_text(name[0])} if name else {})}
    raise NotStorable(f"its time zone is a {type(zone).__qualname__}; use zoneinfo.ZoneInfo or a fixed offset")


def _write_moment(value: Any, room: int, writers: Writers) -> Tree:
    """The tree of a ``datetime`` or ``time``."""
    text = value.replace(tzinfo=None).isoformat()
    tree = {MARK: type(value).__name__, "of": text, **_zone_tree(value.tzinfo)}
    return {**tree, "fold": 1} if value.fold else tree


def _of_moment(kind: Any) -> tuple[Writer, Reader]:
    def read_moment(tree: Any, room: int, readers: Readers) -> Any:
        fold, text = tree.get("fold", 0), tree["of"]
        local = kind.fromisoformat(text)
        if local.tzinfo is not None or local.isoformat() != text:
            raise ValueError(f"{text!r} is another spelling of {local.isoformat()!r}")
        zone = tree.keys() - {MARK, "of", "fold"}
        return local.replace(tzinfo=_zone_of({key: tree[key] for key in zone}, readers), fold=fold)

    return _write_moment, _strict(kind.__name__, read_moment)


def _zone_of(tree: dict[str, Tree], readers: Readers) -> tzinfo | None:
    if not tree:
        return None
    match tree:
        case {"zone": str(key), **rest} if not rest:
            return _zone(key)
        case {"offset": float(seconds), **rest} if rest.keys() <= {"name"}:
            return timezone(timedelta(seconds=seconds), *(read(name, 1, readers) for name in rest.values()))
    raise ValueError(f"its zone is {tree}")


def _zone(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except (ValueError, LookupError, OSError, ImportError) as error:
        raise StateCorrupt(f"this machine has no time zone {key!r}; the package tzdata has them all") from error


# --- all of them -----------------------------------------------------------------------------------------------------


def _special_float(text: str) -> float:
    value = float(text)
    if -inf < value < inf:
        raise ValueError("a finite float stands for itself")
    return value


def _special_int(text: str) -> int:
    value = int(text, 16)
    if -_LARGEST < value < _LARGEST:
        raise ValueError("an integer of that size stands for itself")
    return value


ATOMS: Final[dict[type, tuple[Writer, Reader]]] = {
    str: (write_text, _strict("str", _read_text)),
    int: (_write_int, _by_text("int", lambda value: f"{value:x}", _special_int)[1]),
    float: (_write_float, _by_text("float", repr, _special_float)[1]),
    bytes: _by_text("bytes", _base64, _bytes),
    bytearray: _by_text("bytearray", _base64, lambda text: bytearray(_bytes(text))),
    complex: _by_row("complex", lambda value: (value.real, value.imag), complex),
    Decimal: _by_text("Decimal", str, Decimal),
    Fraction: _by_row("Fraction", lambda value: (value.numerator, value.denominator), Fraction),
    UUID: _by_text("UUID", str, UUID),
    date: _by_text("date", date.isoformat, date.fromisoformat),
    time: _of_moment(time),
    datetime: _of_moment(datetime),
    timedelta: _by_row("timedelta", lambda value: (value.days, value.seconds, value.microseconds), timedelta),
    **{kind: _of_path(kind) for kind in (PurePosixPath, PureWindowsPath, type(Path()))},
}
"""How each class of single values is written and read."""

SAME: Final[dict[type, Writer]] = {bool: _as_it_is, type(None): _as_it_is}
"""The classes whose values never need a tag."""
