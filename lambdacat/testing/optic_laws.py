"""The laws of lenses, prisms, traversals and isos."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lambdacat.optics import Iso, Lens, Prism, Traversal
from lambdacat.testing import actions as act
from lambdacat.testing.proving import Draw, examples_from, law_name, prove
from lambdacat.testing.sample import CIRCLE, NEGATIVE, NUMBERS, POINT, REACHES, Circle, Square, X, Y
from lambdacat.testing.strategies import lenses, states

A = TypeVar("A")
S = TypeVar("S")
Values = SearchStrategy[A] | Collection[A]
OpticLaw = Callable[[Draw], None]


def _equal(optic: Traversal[Any, Any], got: object, wanted: object, what: str) -> None:
    if not got == wanted:  # two empty maps of rpds are equal, and also unequal
        raise AssertionError(f"{optic!r}: {what} gave {got!r}, not {wanted!r}")


# --- lenses ----------------------------------------------------------------------------------------------------------


def get_put(lens: Lens[S, A], whole: S, part: A, other: A) -> None:
    """Putting back what is there changes nothing: ``set(s, get(s)) == s``."""
    _equal(lens, lens.set(whole, lens.get(whole)), whole, f"putting back the part of {whole!r}")


def put_get(lens: Lens[S, A], whole: S, part: A, other: A) -> None:
    """What was put is there: ``get(set(s, a)) == a``."""
    _equal(lens, lens.get(lens.set(whole, part)), part, f"reading after writing {part!r} into {whole!r}")


def put_put(lens: Lens[S, A], whole: S, part: A, other: A) -> None:
    """The later put counts: ``set(set(s, a), b) == set(s, b)``."""
    twice = lens.set(lens.set(whole, part), other)
    _equal(lens, twice, lens.set(whole, other), f"writing {part!r}, then {other!r} into {whole!r}")


def a_lens_is_a_traversal_of_one_part(lens: Lens[S, A], whole: S, part: A, other: A) -> None:
    """``get_all`` and ``set_all`` say what ``get`` and ``set`` say."""
    _equal(lens, lens.get_all(whole), (lens.get(whole),), f"all parts of {whole!r}")
    _equal(lens, lens.set_all(whole, [part]), lens.set(whole, part), f"writing all of {part!r} into {whole!r}")


LENS_LAWS: tuple[Callable[[Lens[Any, Any], Any, Any, Any], None], ...] = (
    get_put,
    put_get,
    put_put,
    a_lens_is_a_traversal_of_one_part,
)


def check_lens_laws(lens: Lens[S, A], wholes: Values[S], parts: Values[A], *, max_examples: int = 100) -> None:
    """Check a lens on wholes and parts, each a Hypothesis strategy or a collection of values.

    Errors: ``AssertionError`` whose first line names the broken law and shows the lens.
    """
    whole, part = examples_from(wholes), examples_from(parts)
    for law in LENS_LAWS:

        def claim(draw: Draw, law: Any = law) -> None:
            law(lens, draw(whole), draw(part), draw(part))

        prove(law_name(law), claim, max_examples=max_examples)


# --- prisms, isos, traversals ----------------------------------------------------------------------------------------


def preview_of_review(prism: Prism[S, A], whole: S, part: A) -> None:
    """What was built is there: ``preview(review(a)) == a``."""
    _equal(prism, prism.preview(prism.review(part)), part, f"the preview of the review of {part!r}")


def review_of_preview(prism: Prism[S, A], whole: S, part: A) -> None:
    """What is there builds the whole: ``review(preview(s)) == s``, unless s is another alternative."""
    found = prism.preview(whole)
    if found is not None:
        _equal(prism, prism.review(found), whole, f"the review of the preview of {whole!r}")


PRISM_LAWS: tuple[Callable[[Prism[Any, Any], Any, Any], None], ...] = (preview_of_review, review_of_preview)


def check_prism_laws(prism: Prism[S, A], wholes: Values[S], parts: Values[A], *, max_examples: int = 100) -> None:
    """Check a prism on wholes and parts. Errors: ``AssertionError`` that names the law and shows the prism."""
    whole, part = examples_from(wholes), examples_from(parts)
    for law in PRISM_LAWS:

        def claim(draw: Draw, law: Any = law) -> None:
            law(prism, draw(whole), draw(part))

        prove(law_name(law), claim, max_examples=max_examples)


def over_keeps_identity(optic: Traversal[S, A], whole: S, f: Callable[[A], A], g: Callable[[A], A]) -> None:
    """``over(s, lambda a: a) == s``."""
    _equal(optic, optic.over(whole, lambda part: part), whole, f"changing nothing in {whole!r}")


def over_keeps_composition(optic: Traversal[S, A], whole: S, f: Callable[[A], A], g: Callable[[A], A]) -> None:
    """``over(over(s, f), g) == over(s, g . f)``."""
    apart, at_once = optic.over(optic.over(whole, f), g), optic.over(whole, lambda part: g(f(part)))
    _equal(optic, apart, at_once, f"two changes of {whole!r}")


def over_reaches_every_part(optic: Traversal[S, A], whole: S, f: Callable[[A], A], g: Callable[[A], A]) -> None:
    """``get_all(over(s, f))`` is ``f`` of each of ``get_all(s)``, and setting all parts is ``over``."""
    parts = optic.get_all(whole)
    changed = tuple(f(part) for part in parts)
    _equal(optic, optic.get_all(optic.over(whole, f)), changed, f"the parts of the changed {whole!r}")
    _equal(optic, optic.set_all(whole, changed), optic.over(whole, f), f"setting all parts of {whole!r}")


TRAVERSAL_LAWS: tuple[Callable[[Traversal[Any, Any], Any, Any, Any], None], ...] = (
    over_keeps_identity,
    over_keeps_composition,
    over_reaches_every_part,
)


def check_traversal_laws(
    optic: Traversal[S, A], wholes: Values[S], changes: Collection[Callable[[A], A]], *, max_examples: int = 100
) -> None:
    """Check a traversal with changes of one part. Errors: ``AssertionError`` that names the law and shows it."""
    whole, change = examples_from(wholes), examples_from(changes)
    for law in TRAVERSAL_LAWS:

        def claim(draw: Draw, law: Any = law) -> None:
            law(optic, draw(whole), draw(change), draw(change))

        prove(law_name(law), claim, max_examples=max_examples)


# --- the optics of the library ---------------------------------------------------------------------------------------


def _for_lens(law: Callable[[Lens[Any, Any], Any, Any, Any], None]) -> OpticLaw:
    def claim(draw: Draw) -> None:
        lens, whole = draw(lenses()), draw(states())
        law(lens, whole, lens.get(draw(states())), lens.get(draw(states())))

    claim.__name__ = law.__name__
    return claim


def _for_prism(law: Callable[[Prism[Any, Any], Any, Any], None]) -> OpticLaw:
    def claim(draw: Draw) -> None:
        numbers = st.integers(0, 9)
        law(CIRCLE, draw(st.builds(Circle, numbers) | st.builds(Square, numbers)), draw(st.builds(Circle, numbers)))

    claim.__name__ = law.__name__
    return claim


def _for_traversal(law: Callable[[Traversal[Any, Any], Any, Any, Any], None]) -> OpticLaw:
    def claim(draw: Draw) -> None:
        change = st.sampled_from([act.add_one, act.double, abs])
        law(draw(st.sampled_from((*NUMBERS, *REACHES))), draw(states()), draw(change), draw(change))

    claim.__name__ = law.__name__
    return claim


def composition_is_associative(draw: Draw) -> None:
    """``(l >> m) >> n == l >> (m >> n)``."""
    inner = draw(st.sampled_from([X, Y]))
    left, right = (POINT >> inner) >> NEGATIVE, POINT >> (inner >> NEGATIVE)
    whole = draw(states())
    if left != right:
        raise AssertionError(f"{left!r} == {right!r}")
    _equal(left, left.get(whole), right.get(whole), f"reading {whole!r}")


def forms_go_there_and_back(draw: Draw) -> None:
    """``back(to(s)) == s`` and ``to(back(a)) == a``."""
    iso: Iso[int, int] = NEGATIVE
    n = draw(st.integers(-9, 9))
    _equal(iso, iso.set(n, iso.get(n)), n, f"there and back from {n}")
    _equal(iso, iso.reverse().get(iso.get(n)), n, f"there and back from {n}, reversed")


OPTIC_LAWS: tuple[OpticLaw, ...] = (
    *(_for_lens(law) for law in LENS_LAWS),
    *(_for_prism(law) for law in PRISM_LAWS),
    *(_for_traversal(law) for law in TRAVERSAL_LAWS),
    composition_is_associative,
    forms_go_there_and_back,
)
