"""Optics: typed, composable ways to a part of a value. A path is data: it prints, compares and says what it touches.

Every optic is a root and a row of steps; reading and writing go level by level along the row, so that neither depth
nor width recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final, overload

from lambdacat.callables import check_plain
from lambdacat.condition import Condition
from lambdacat.place import Attr, Item, Place, PlanError, overlaps, place_text
from lambdacat.steps import _At, _Each, getter_of, put_step, setter_of, take_step

A = TypeVar("A")
B = TypeVar("B")
K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")
A_co = TypeVar("A_co", covariant=True)
A_contra = TypeVar("A_contra", contravariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class _View(Generic[S_contra, A_co]):
    """The reading half of an optic, so that ``each`` and ``at`` accept any collection type."""


class _One(Protocol[S_contra, A_co]):
    """The reading half of a lens, so that ``between`` accepts a field of a narrower type than the plan takes."""

    def get(self, whole: S_contra) -> A_co: ...


class _Into(Protocol[S, A_contra]):
    """The writing half of a lens, so that ``between`` accepts a field of a wider type than the plan gives."""

    def set(self, whole: S, part: A_contra) -> S: ...


class _Many(Protocol[S_contra, A_co]):
    """Any traversal but a lens, which is one part: ``between`` must not put one result where a tuple belongs."""

    @property
    def _many(self) -> Callable[[S_contra], tuple[A_co, ...]]: ...


class Traversal(_View[S, A]):
    """Every part of type ``A`` inside an ``S``, in a fixed order. Law: ``over`` keeps identity and composition."""

    __slots__ = ("_given", "_root", "_steps")
    _given: tuple[Any, ...]
    """What it is made of: steps, and optics whose steps stand for them; flattened when first asked for."""
    _steps: tuple[Any, ...] | None

    def __init__(self, root: Any, given: tuple[Any, ...]) -> None:
        self._root = root
        self._given = given
        self._steps = None

    @property
    def steps(self) -> tuple[Any, ...]:
        """The row of steps from the whole to the parts."""
        if self._steps is None:
            flat: list[Any] = []
            rest = list(reversed(self._given))
            while rest:
                # A rope: composing stays O(1), and 100,000 nested focuses flatten once, without recursion.
                step = rest.pop()
                if isinstance(step, Traversal):
                    if step._steps is None:
                        rest.extend(reversed(step._given))
                    else:
                        flat.extend(step._steps)
                else:
                    flat.append(step)
            self._steps = tuple(flat)
        return self._steps

    @property
    def root(self) -> Any:
        """The class that the path starts from, where it was given."""
        return self._root

    @property
    def place(self) -> Place:
        """The place that holds every part: the path up to the first step that may reach several."""
        for length, step in enumerate(self.steps):
            if type(step) is _At:
                return (*self.steps[:length], Item(step.key))
            if type(step) not in (Attr, Item):
                return tuple(self.steps[:length])
        return self.steps

    def get_all(self, whole: S) -> tuple[A, ...]:
        """The parts, in order; empty when there are none."""
        level: tuple[Any, ...] = (whole,)
        for step in self.steps:
            level = tuple(part for one in level for part in take_step(step, one))
        return level

    def _many(self, whole: S) -> tuple[A, ...]:
        return self.get_all(whole)

    def set_all(self, whole: S, parts: Sequence[A]) -> S:
        """The whole with ``parts`` in place of the old ones. Errors: ``ValueError`` unless there are as many."""
        levels: list[tuple[Any, ...]] = [(whole,)]
        counts: list[list[int]] = []
        for step in self.steps:
            rows = [take_step(step, one) for one in levels[-1]]
            counts.append([len(row) for row in rows])
            levels.append(tuple(part for row in rows for part in row))
        if len(parts) != len(levels[-1]):
            raise ValueError(f"{self!r} has {len(levels[-1])} parts, not {len(parts)}")
        made: Sequence[Any] = parts
        for step, wholes, widths in zip(reversed(self.steps), reversed(levels[:-1]), reversed(counts), strict=True):
            filled = iter(made)
            made = [put_step(step, one, tuple(islice(filled, n))) for one, n in zip(wholes, widths, strict=True)]
        result: S = made[0]
        return result

    def over(self, whole: S, f: Callable[[A], A]) -> S:
        """The whole with ``f`` applied to each part; the original is untouched."""
        return self.set_all(whole, [f(part) for part in self.get_all(whole)])

    def is_prefix_of(self, other: Traversal[S, Any]) -> bool:
        """Whether every part of ``other`` lies inside a part of this optic."""
        return other.steps[: len(self.steps)] == self.steps

    def disjoint_from(self, other: Traversal[S, Any]) -> bool:
        """Whether a change through one can never be seen through the other."""
        return not overlaps(self.place, other.place)

    @overload
    def __rshift__(self: _View[T, Mapping[K, B]], other: _At[K]) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self: _View[T, Sequence[B]], other: _At[int]) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self: _View[T, Mapping[Any, B]], other: _Each) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self: _View[T, Sequence[B]], other: _Each) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self, other: Traversal[A, B]) -> Traversal[S, B]: ...
    def __rshift__(self, other: Any) -> Any:
        """Parts of the parts. Law: associative."""
        return compose(self, other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Traversal):
            return NotImplemented
        return self is other or (self._root == other._root and self.steps == other.steps)

    def __hash__(self) -> int:
        return hash((self._root, self.steps))

    def __reduce__(self) -> Any:
        return type(self), (self._root, self.steps)

    def __repr__(self) -> str:
        root = getattr(self._root, "__name__", None) or "_"
        text = root + place_text(islice(self.steps, 40))
        return text if len(text) <= 200 else text[:200] + "..."


def compose(outer: Any, inner: Any) -> Any:
    """The optic that goes through ``outer``, then ``inner``: a lens when both have exactly one part."""
    if isinstance(inner, (_Each, _At)):
        return Traversal(outer._root, (outer, inner))
    if not isinstance(inner, Traversal):
        return NotImplemented
    single = isinstance(outer, (Lens, Iso)) and isinstance(inner, (Lens, Iso))
    made: type[Traversal[Any, Any]] = Lens if single else Traversal
    return made(outer._root, (outer, inner))


@final
class Lens(Traversal[S, A]):
    """Exactly one part ``A`` of an ``S``, found by a recorded path. Made by ``lens``.

    Law: get-put, put-get, put-put. A lens is callable, so it serves as selector, condition or score and stays visible
    to footprints.
    """

    __slots__ = ("_get", "_put")
    _get: Callable[[S], A] | None
    _put: Callable[[S, A], S] | None

    def __init__(self, root: Any, given: tuple[Any, ...]) -> None:
        super().__init__(root, given)
        self._get = None
        self._put = None

    @property
    def path(self) -> Place:
        """Attribute names, keys and indices from the whole to the part."""
        return self.place

    if TYPE_CHECKING:
        _many: None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def getter(self) -> Callable[[S], A]:
        """The reading half as one plain callable, compiled once."""
        if self._get is None:
            self._get = getter_of(self.steps)
        return self._get

    @property
    def setter(self) -> Callable[[S, A], S]:
        """The writing half as one plain callable, compiled once."""
        if self._put is None:
            self._put = setter_of(self.steps, self.root)
        return self._put

    def __call__(self, whole: S) -> A:
        return self.getter(whole)

    def get(self, whole: S) -> A:
        """The part. Errors: whatever the path raises; inside a plan that is ``ActionFailed``."""
        return self.getter(whole)

    def set(self, whole: S, part: A) -> S:
        """A copy of the whole with another part."""
        return self.setter(whole, part)

    def where(self, test: Callable[[A], bool]) -> Condition[S]:
        """The condition that the part passes ``test``; its footprint is this lens alone."""
        if not callable(test):
            raise PlanError(f"where wants a test of the part, not {test!r}")
        check_plain("where", test)
        return Condition("where", (self, test))

    @overload
    def __rshift__(self: _View[T, Mapping[K, B]], other: _At[K]) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self: _View[T, Sequence[B]], other: _At[int]) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self: _View[T, Mapping[Any, B]], other: _Each) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self: _View[T, Sequence[B]], other: _Each) -> Traversal[T, B]: ...
    @overload
    def __rshift__(self, other: Lens[A, B] | Iso[A, B]) -> Lens[S, B]: ...
    @overload
    def __rshift__(self, other: Traversal[A, B]) -> Traversal[S, B]: ...
    def __rshift__(self, other: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """This part, then a part of it."""
        return compose(self, other)


@final
class Prism(Traversal[S, A]):
    """One alternative ``A`` of an ``S``: there or not. Law: ``preview(review(a)) == a``; None means "not this one"."""

    __slots__ = ("_name", "_preview", "_review")

    def __init__(self, name: str, *, preview: Callable[[S], A | None], review: Callable[[A], S]) -> None:
        super().__init__(None, ())
        check_plain("preview=", preview)
        check_plain("review=", review)
        self._name = name
        self._preview = preview
        self._review = review
        self._steps = (_Alternative(name, preview, review),)

    @property
    def name(self) -> str:
        """What faults and drawings call this alternative."""
        return self._name

    def __reduce__(self) -> Any:
        return _prism, (self._name, self._preview, self._review)

    def preview(self, whole: S) -> A | None:
        """The part if the whole is this alternative."""
        return self._preview(whole)

    def review(self, part: A) -> S:
        """The whole built from the part."""
        return self._review(part)


@final
class Iso(Traversal[S, A]):
    """The same thing in two forms. Law: ``back(to(s)) == s`` and ``to(back(a)) == a``; composed with a lens, a lens."""

    __slots__ = ("_name",)

    def __init__(self, name: str, *, to: Callable[[S], A], back: Callable[[A], S]) -> None:
        super().__init__(None, ())
        check_plain("to=", to)
        check_plain("back=", back)
        self._name = name
        self._steps = (_Form(name, to, back),)

    @property
    def name(self) -> str:
        """What faults and drawings call this form."""
        return self._name

    def __reduce__(self) -> Any:
        return _iso, (self._name, self.steps[0].to, self.steps[0].back)

    def get(self, whole: S) -> A:
        """The other form."""
        part: A = self.steps[0].to(whole)
        return part

    def set(self, whole: S, part: A) -> S:
        """The whole that has ``part`` as its other form."""
        made: S = self.steps[0].back(part)
        return made

    def reverse(self) -> Iso[A, S]:
        """The same two forms, the other way round."""
        step = self.steps[0]
        return Iso(self._name, to=step.back, back=step.to)


class _Named:
    """A step made of two functions; compares by them."""

    __slots__ = ("_two", "name")

    def __init__(self, name: str, there: Callable[[Any], Any], back: Callable[[Any], Any]) -> None:
        self.name = name
        self._two = (there, back)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, _Named) and self._two == other._two

    def __hash__(self) -> int:
        return hash(self._two)

    def __str__(self) -> str:
        return f"<{self.name}>"


class _Alternative(_Named):
    def parts(self, whole: Any) -> tuple[Any, ...]:
        part = self._two[0](whole)
        return () if part is None else (part,)

    def put(self, whole: Any, parts: Sequence[Any]) -> Any:
        return self._two[1](parts[0]) if parts else whole


class _Form(_Named):
    @property
    def to(self) -> Callable[[Any], Any]:
        return self._two[0]

    @property
    def back(self) -> Callable[[Any], Any]:
        return self._two[1]

    def parts(self, whole: Any) -> tuple[Any, ...]:
        return (self.to(whole),)

    def put(self, whole: Any, parts: Sequence[Any]) -> Any:
        return self.back(parts[0])


def _prism(name: str, preview: Any, review: Any) -> Prism[Any, Any]:
    return Prism(name, preview=preview, review=review)


def _iso(name: str, to: Any, back: Any) -> Iso[Any, Any]:
    return Iso(name, to=to, back=back)


class _OneOf:
    """The two halves of ``variant(kind)``, equal for equal classes."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __call__(self, whole: Any) -> Any:
        return whole if isinstance(whole, self.kind) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OneOf) and self.kind is other.kind

    def __hash__(self) -> int:
        return hash((_OneOf, self.kind))


def _same(part: Any) -> Any:
    return part


def variant(kind: type[A]) -> Prism[Any, A]:
    """The prism onto the values of one class of a union; give the union by annotation: ``Prism[Shape, Circle]``."""
    if not isinstance(kind, type):
        raise PlanError(f"variant wants a class, not {kind!r}")
    return Prism(kind.__name__, preview=_OneOf(kind), review=_same)
