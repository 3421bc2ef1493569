"""The interfaces of ``returns`` that Writer and State stand on, so that its law suite tests them.

Type checkers see a plain class: without a plugin they cannot follow the kinds that those interfaces are written in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class Lawful:
        """A value that is a container of ``returns``."""

        __slots__ = ("_inner_value",)
        _inner_value: Any

        def __init__(self, inner_value: object) -> None:
            self._inner_value = inner_value

else:
    from returns.interfaces.container import Container2
    from returns.primitives.container import BaseContainer
    from returns.primitives.hkt import SupportsKind2

    class Lawful(BaseContainer, SupportsKind2, Container2):
        """A value that is a container of ``returns``."""

        __slots__ = ()
