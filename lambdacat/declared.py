"""What ``merged`` leaves in a class body: one object that attrs, dataclasses and named tuples each read their way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from inspect import CO_NEWLOCALS
from typing import Any

from attrs import field

from lambdacat.merging import Merges


class MergedField:
    """A field declaration with a merge.

    To attrs, which looks at ``__class__``, it is one of its own fields. A dataclass reads it as an attribute of the
    class, which gives it a field of its own kind. A named tuple would keep it as the default: there the real default
    takes its place while the class is made.
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

    def __set_name__(self, owner: type, name: str) -> None:
        adopt(owner)
        annotations = vars(owner).get("__annotations__")
        if type(annotations) is _Annotations:
            owner.__annotations__ = dict(annotations.items())


def adopt(cls: type) -> None:
    """Put the real defaults of a named tuple's merged fields in place, and remember their merges on the class."""
    defaults = getattr(cls, "_field_defaults", {})
    merges = _resolved(defaults)
    if not merges:
        return
    new: Any = cls.__new__
    new.__defaults__ = tuple(d.plain if type(d) is MergedField else d for d in new.__defaults__)
    made: Any = cls
    made._field_merges = {**getattr(cls, "_field_merges", {}), **merges}


def _resolved(values: dict[str, Any]) -> dict[str, Merges]:
    """The merges that are declared among ``values``, where plain defaults are put in their place."""
    declared = {name: one for name, one in values.items() if type(one) is MergedField}
    values.update({name: one.plain for name, one in declared.items()})
    return {name: Merges(one.combine) for name, one in declared.items()}


class _Annotations(dict[str, Any]):
    """The annotations of a class body with a merged field.

    Before Python 3.13 nobody tells a field that it became one of a named tuple. But ``typing.NamedTuple`` goes through
    the annotations before it takes the defaults from the body, and nothing else that makes classes does.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body["__annotations__"])
        self._body = body

    def __iter__(self) -> Iterator[str]:
        merges = _resolved(self._body)
        if merges:
            self._body["_field_merges"] = merges
        return super().__iter__()


def watch_body() -> None:
    """See to it that a named tuple in whose body this happens finds plain defaults there."""
    if sys.version_info >= (3, 13):
        return  # a named tuple calls ``__set_name__``, as other classes do
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code.co_flags & CO_NEWLOCALS:
        frame = frame.f_back  # functions, such as one that makes declarations
    body = {} if frame is None else frame.f_locals
    if "__qualname__" in body and type(body.get("__annotations__")) is dict:
        body["__annotations__"] = _Annotations(body)
