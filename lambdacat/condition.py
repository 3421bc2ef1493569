"""Tests on a state that say what they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

if TYPE_CHECKING:
    from lambdacat.place import Place

S_contra = TypeVar("S_contra", contravariant=True)


@final
class Condition(Generic[S_contra]):
    """A test on the state that says what it reads. Any ``S -> bool`` may stand in its place, and reads all.

    Law: a Boolean algebra under ``&``, ``|`` and ``~``, up to which tests are evaluated.
    """

    __slots__ = ("_kind", "_parts", "_test")

    def __init__(self, kind: str, parts: tuple[Any, ...]) -> None:
        self._kind = kind
        self._parts = parts
        self._test: Callable[[Any], Any] | None = None

    @property
    def test(self) -> Callable[[Any], Any]:
        """The condition as one plain callable, compiled once."""
        if self._test is None:
            self._test = _compiled(self._kind, self._parts)
        return self._test

    @property
    def places(self) -> frozenset[Place]:
        """What the condition reads."""
        found: set[Place] = set()
        rest: list[Condition[Any]] = [self]
        while rest:
            one = rest.pop()
            if one._kind == "where":
                found.add(one._parts[0].place)
            else:
                rest.extend(one._parts)
        return frozenset(found)

    def __call__(self, whole: S_contra) -> bool:
        return bool(self.test(whole))

    def __and__(self, other: Condition[S_contra]) -> Condition[S_contra]:
        made: Condition[S_contra] = _joined("and", self, other)
        return made

    def __or__(self, other: Condition[S_contra]) -> Condition[S_contra]:
        made: Condition[S_contra] = _joined("or", self, other)
        return made

    def __invert__(self) -> Condition[S_contra]:
        if self._kind == "not":
            inner: Condition[S_contra] = self._parts[0]
            return inner
        return Condition("not", (self,))

    def __reduce__(self) -> Any:
        return Condition, (self._kind, self._parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self._kind == other._kind and self._parts == other._parts

    def __hash__(self) -> int:
        return hash((self._kind, self._parts))

    def __repr__(self) -> str:
        if self._kind == "where":
            optic, test = self._parts
            return f"{optic!r}.where({getattr(test, '__name__', None) or repr(test)})"
        if self._kind == "not":
            return f"~{self._parts[0]!r}"
        return "(" + (" & " if self._kind == "and" else " | ").join(map(repr, self._parts)) + ")"


def _joined(kind: str, left: Any, right: Any) -> Any:
    if not isinstance(right, Condition):
        return NotImplemented
    # Flat where it is associative, so that a condition folded from thousands does not nest.
    parts = (*(left._parts if left._kind == kind else (left,)), *(right._parts if right._kind == kind else (right,)))
    return Condition(kind, parts)


def _compiled(kind: str, parts: tuple[Any, ...]) -> Callable[[Any], Any]:
    if kind == "where":
        get, accept = parts[0].getter, parts[1]
        return lambda whole: accept(get(whole))
    tests = tuple(part.test for part in parts)
    if kind == "not":
        negated = tests[0]
        return lambda whole: not negated(whole)
    if kind == "and":
        return lambda whole: all(test(whole) for test in tests)
    return lambda whole: any(test(whole) for test in tests)
