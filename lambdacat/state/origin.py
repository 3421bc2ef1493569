"""Where and when something that an agent knows came from."""

from __future__ import annotations

from typing import Any, Final, TypeAlias, final

from attrs import Attribute, field, frozen

from lambdacat.context import Context
from lambdacat.state.exact import is_number

Source: TypeAlias = tuple[str, tuple[str | int, ...]]
"""The name of a step and its path in normal form."""


def _is_time(_: object, attribute: Attribute[float], value: Any) -> None:
    if not (is_number(value) and abs(value) <= 1e15):
        raise ValueError(f"{attribute.name} is a time in seconds since 1970, not {value!r}")


@final
@frozen
class Origin:
    """The step that something came from, and when. Units: ``when`` in seconds since 1970 in UTC."""

    when: float = field(default=0.0, validator=_is_time)
    step: str = ""
    """The name of the step; empty when a program wrote it outside any run."""
    at: tuple[str | int, ...] = ()
    """The path of the step in its plan."""

    @property
    def source(self) -> Source:
        """The step alone."""
        return self.step, self.at


NOWHERE: Final = Origin()
"""Outside any run, at no known time."""


def origin_of(context: Context) -> Origin:
    """Where the step that asks stands, and the time of its run."""
    return Origin(context.now(), context.step, context.at)


def source_key(source: Source) -> Any:
    """What sources are sorted by: names, then paths, whose parts are words or numbers."""
    step, at = source
    return step, [(type(part) is str, part) for part in at]
