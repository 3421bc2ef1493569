"""What ``merged`` leaves in a class body: one object that attrs, dataclasses and named tuples each read their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field

from lambdacat.merging import Merges


class MergedField:
    """A field declaration with a merge.

    To attrs, which looks at ``__class__``, it is one of its own fields. A dataclass reads it as an attribute of the
    class, which gives it a field of its own kind. A named tuple keeps it as the default until ``adopt`` puts the real
    one there.
    """

    def __init__(self, combine: Callable[[Any, Any, Any], Any], default: Any) -> None:
        self.combine = combine
        self.plain = default
        self._attrs: Any = field(default=default, metadata={Merges: Merges(combine)})

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._attrs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attrs, name)

    def __get__(self, instance: object, owner: type) -> Any:
        from dataclasses import field as dataclass_field

        return dataclass_field(default=self.plain, metadata={Merges: Merges(self.combine)})


def adopt(cls: type) -> None:
    """Put the real defaults of a named tuple's merged fields in place, and remember their merges on the class."""
    defaults = getattr(cls, "_field_defaults", {})
    declared = {name: d for name, d in defaults.items() if type(d) is MergedField}
    if not declared:
        return
    for name, one in declared.items():
        defaults[name] = one.plain
    new: Any = cls.__new__
    new.__defaults__ = tuple(d.plain if type(d) is MergedField else d for d in new.__defaults__)
    made: Any = cls
    made._field_merges = {name: Merges(one.combine) for name, one in declared.items()}
