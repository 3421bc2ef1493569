"""The laws of merges: of a user's own ``combine``, and of the three-way merge that joins branches."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar

from attrs import evolve
from hypothesis.strategies import SearchStrategy

from lambdacat.merging import Conflict, concat, merge
from lambdacat.testing import actions as act
from lambdacat.testing.proving import Draw, examples_from, law_name, prove
from lambdacat.testing.sample import Sample
from lambdacat.testing.strategies import states

A = TypeVar("A")
Combine = Callable[[Any, Any, Any], Any]
Claimed = Literal["unchanged", "commutative", "associative"]


def a_branch_that_changed_nothing_leaves_the_other(combine: Combine, fork: Any, a: Any, b: Any, c: Any) -> None:
    """``combine(f, f, a) == a == combine(f, a, f)``."""
    left, right = combine(fork, fork, a), combine(fork, a, fork)
    assert left == a == right, f"{_name(combine)} of {fork!r} unchanged and {a!r} gave {left!r} and {right!r}"


def combine_is_commutative(combine: Combine, fork: Any, a: Any, b: Any, c: Any) -> None:
    """``combine(f, a, b) == combine(f, b, a)``."""
    one, two = combine(fork, a, b), combine(fork, b, a)
    assert one == two, f"{_name(combine)} from {fork!r} of {a!r} and {b!r} gave {one!r}, the other way {two!r}"


def combine_is_associative(combine: Combine, fork: Any, a: Any, b: Any, c: Any) -> None:
    """``combine(f, combine(f, a, b), c) == combine(f, a, combine(f, b, c))``."""
    one, two = combine(fork, combine(fork, a, b), c), combine(fork, a, combine(fork, b, c))
    assert one == two, f"{_name(combine)} from {fork!r} of {a!r}, {b!r}, {c!r} gave {one!r} and {two!r}"


COMBINE_LAWS: dict[Claimed, Callable[[Combine, Any, Any, Any, Any], None]] = {
    "unchanged": a_branch_that_changed_nothing_leaves_the_other,
    "commutative": combine_is_commutative,
    "associative": combine_is_associative,
}


def _name(combine: Combine) -> str:
    return getattr(combine, "__name__", None) or repr(combine)


def check_merge_laws(
    combine: Callable[[A, A, A], A],
    values: SearchStrategy[tuple[A, A, A, A]] | Collection[tuple[A, A, A, A]],
    *,
    claims: Collection[Claimed] = ("unchanged", "commutative", "associative"),
    max_examples: int = 100,
) -> None:
    """Check a declared merge. ``values`` are rows of the fork and what three branches made of it.

    Without ``commutative`` the order of branches matters to ``&``; it is then a merge like ``concat``, whose claims are
    the other two. Errors: ``AssertionError`` whose first line names the broken law and shows the merge.
    """
    rows = examples_from(values)
    for claimed in claims:
        law = COMBINE_LAWS[claimed]

        def claim(draw: Draw, law: Any = law) -> None:
            law(combine, *draw(rows))

        prove(law_name(law), claim, max_examples=max_examples)


# --- the merge of the library ----------------------------------------------------------------------------------------


def _changed(draw: Draw, fork: Sample, *names: str) -> Sample:
    other = draw(states())
    return evolve(fork, **{name: getattr(other, name) for name in names})


def merge_leaves_what_nobody_changed(draw: Draw) -> None:
    """``merge(f, (f, f)) is f`` and ``merge(f, (f, a)) == a``."""
    fork = draw(states())
    tip = _changed(draw, fork, "left", "items")
    assert merge(fork, (fork, fork)) is fork, f"merge of two unchanged {fork!r}"
    assert merge(fork, (fork, tip)) == tip == merge(fork, (tip, fork)), f"merge of {fork!r} unchanged and {tip!r}"


def merge_is_commutative_on_disjoint_changes(draw: Draw) -> None:
    """``merge(f, (a, b)) == merge(f, (b, a))`` where a and b changed different places."""
    fork = draw(states())
    a, b = _changed(draw, fork, "left", "shape"), _changed(draw, fork, "right", "table")
    assert merge(fork, (a, b)) == merge(fork, (b, a)), f"merge from {fork!r} of {a!r} and {b!r}"


def merge_is_associative_on_disjoint_changes(draw: Draw) -> None:
    """All at once, or two of them first."""
    fork = draw(states())
    a, b = _changed(draw, fork, "left"), _changed(draw, fork, "right", "items")
    c = _changed(draw, fork, "shape")
    at_once = merge(fork, (a, b, c))
    assert at_once == merge(fork, (merge(fork, (a, b)), c)) == merge(fork, (a, merge(fork, (b, c)))), f"{at_once!r}"


def merge_keeps_every_change(draw: Draw) -> None:
    """Each branch's own fields are in the result, inside records too."""
    fork = draw(states())
    a = evolve(fork, point=evolve(fork.point, x=fork.point.x + 1))
    b = evolve(fork, point=evolve(fork.point, y=fork.point.y + 1))
    wanted = evolve(fork.point, x=fork.point.x + 1, y=fork.point.y + 1)
    assert merge(fork, (a, b)).point == wanted, f"merge from {fork!r} of {a!r} and {b!r}"


def merge_refuses_two_changes_of_one_place(draw: Draw) -> None:
    """There is no "last wins"."""
    fork = draw(states())
    a, b = evolve(fork, left=fork.left + 1000), evolve(fork, left=fork.left + 2000)
    try:
        made = merge(fork, (a, b))
    except Conflict:
        return
    raise AssertionError(f"merge from {fork!r} of {a!r} and {b!r} gave {made!r}")


def a_declared_merge_combines_in_written_order(draw: Draw) -> None:
    """The field with ``concat`` has the fork's notes, then each branch's."""
    fork = draw(states())
    a, b = evolve(fork, notes=act.note(fork.notes)), evolve(fork, notes=act.other_note(fork.notes))
    made = merge(fork, (a, b))
    assert made.notes == (*fork.notes, "noted", "also noted"), f"merge from {fork!r} of {a!r} and {b!r} gave {made!r}"


def concat_keeps_its_claims(draw: Draw) -> None:
    """``concat`` leaves the unchanged alone and is associative; it is not commutative, on purpose."""
    fork = draw(states()).items
    tips = [fork + draw(states()).items for _ in range(3)]
    a_branch_that_changed_nothing_leaves_the_other(concat, fork, *tips)
    combine_is_associative(concat, fork, *tips)


MERGE_LAWS: tuple[Callable[[Draw], None], ...] = (
    merge_leaves_what_nobody_changed,
    merge_is_commutative_on_disjoint_changes,
    merge_is_associative_on_disjoint_changes,
    merge_keeps_every_change,
    merge_refuses_two_changes_of_one_place,
    a_declared_merge_combines_in_written_order,
    concat_keeps_its_claims,
)
