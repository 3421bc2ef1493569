"""SQL that a model wrote, or a person: one statement, on declared tables, with caps on what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Protocol, TypeAlias, final

from attrs import field, frozen

MB = 1_000_000
Value: TypeAlias = bool | int | float | str | bytes | None
"""What can be a parameter."""


class QueryFailed(Exception):
    """The database took the statement and could not do it, or not in time; the message says why."""


@final
@frozen
class Rows:
    """What a statement gave."""

    columns: tuple[str, ...]
    """Their names, which need not differ."""
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False
    """Whether there were more than the caps let through."""
    changed: int = 0
    """How many rows were inserted, updated or deleted."""


class Database(Protocol):
    """Something that can be asked in SQL."""

    def query(self, sql: str, parameters: Sequence[Value] = ()) -> Rows:
        """What one statement gives. Errors: ``QueryFailed``; ``Denied`` for what is not allowed; ``Unanswered``."""


@frozen
class Caps:
    """How much one statement may give. Units: ``size`` in bytes of the values, ``seconds`` of the clock."""

    rows: int = 1_000
    size: int = MB
    seconds: float = field(default=5.0)

    def __attrs_post_init__(self) -> None:
        for name, kinds in (("rows", int), ("size", int), ("seconds", (int, float))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < inf:
                raise ValueError(f"{name} is a number above 0, not {value!r}")

    def within(self, rows: Iterable[Sequence[Any]]) -> tuple[tuple[tuple[Any, ...], ...], bool]:
        """As many rows as they let through, and whether that is not all. Law: one row more is read, at most."""
        taken: list[tuple[Any, ...]] = []
        room = self.size
        for row in rows:
            room -= sum(map(_weight, row))
            if len(taken) == self.rows or room < 0:
                return tuple(taken), True
            taken.append(tuple(row))
        return tuple(taken), False

    def too_long(self) -> QueryFailed:
        """What is raised when the time is up."""
        return QueryFailed(f"it took longer than {self.seconds:g} s")


def _weight(value: object) -> int:
    match value:
        case str():
            return len(value.encode(errors="surrogatepass"))
        case bytes():
            return len(value)
        case None | bool() | float():
            return 8
        case _:
            return len(str(value))


def names_of(tables: Iterable[str], what: str) -> tuple[str, ...]:
    """Declared names of tables. Errors: ``TypeError``, ``ValueError``."""
    if isinstance(tables, str):
        raise TypeError(f"{what} is the names of tables, not one text: ({tables!r},)")
    found = tuple(tables)
    for name in found:
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise ValueError(f"{what} has the names of tables, not {name!r}")
    return found


def checked(sql: str, parameters: Sequence[Value]) -> tuple[Value, ...]:
    """The parameters of a statement that can be sent. Errors: ``TypeError``, ``QueryFailed``."""
    if not isinstance(sql, str):
        raise TypeError(f"a statement is a text, not {type(sql).__name__}")
    if isinstance(parameters, (str, bytes)) or not isinstance(parameters, Sequence):
        raise TypeError(f"parameters are values in a row, not {parameters!r}")
    values = tuple(parameters)
    for text in (sql, *(value for value in values if isinstance(value, str))):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise QueryFailed(f"{text!r} holds half a surrogate pair") from None
    if "\0" in sql:
        raise QueryFailed("the statement holds a NUL")
    for value in values:
        if not isinstance(value, (type(None), int, float, str, bytes)):
            raise TypeError(f"a parameter is a number, a text, bytes or None, not {type(value).__name__}")
    return values
