"""Every law of the algebra, of optics, merges, policies and monads, for every interpreter."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeping import PLAIN, Sweep, swept

from lambdacat import Failure, Lens, LoopLimit, Outcome, Plan, Prism, Success, run
from lambdacat.merging import concat
from lambdacat.testing import (
    SUITES,
    check_interpreter_laws,
    check_lens_laws,
    check_merge_laws,
    check_prism_laws,
    check_traversal_laws,
    lenses,
    run_suites,
    states,
)
from lambdacat.testing.proving import Draw, law_name, prove
from lambdacat.testing.sample import CIRCLE, ITEMS, LEFT, Circle, Sample, Square
from lambdacat.testing.suites import Case

OTHERS = 4
"""Of the interpreters beside ``run``, one in so many is held to a law in the plain count: another one for each law."""


def name_of(case: Case) -> str:
    return f"{case.suite}: {case.law}" + (f" ({case.interpreter})" if case.interpreter else "")


def plain(cases: Sequence[Case]) -> Iterator[Case]:
    """The cases of the plain count: every law, and under the interpreters in turn."""
    laws = list(dict.fromkeys(case.law for case in cases))
    interpreters = list(dict.fromkeys(case.interpreter for case in cases))
    for case in cases:
        turn = interpreters.index(case.interpreter)
        if case.suite != "plans" or turn == 0 or (laws.index(case.law) + turn) % OTHERS == 0:
            yield case


SUITE_CASES = [list(suite()) for suite in SUITES.values()]
CASES = [pytest.param(case, id=name_of(case)) for cases in SUITE_CASES for case in cases]
PLAIN_CASES = [pytest.param(case, id=name_of(case)) for cases in SUITE_CASES for case in plain(cases)]


@pytest.mark.parametrize("case", PLAIN_CASES)
def test_law(case: Case) -> None:
    case.prove(max_examples=PLAIN)


@pytest.fixture(scope="module")
def sweep(request: pytest.FixtureRequest) -> Iterator[Sweep]:
    yield from swept("laws", request)


@pytest.mark.sweep
@pytest.mark.parametrize("case", CASES)
def test_law_at_full_count(case: Case, sweep: Sweep) -> None:
    sweep.spend(lambda count, start: case.prove(max_examples=count, start=start))


# --- interpreters that are wrong -------------------------------------------------------------------------------------


def forgets_its_changes(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    outcome = run(plan, value)
    return Success(value) if isinstance(outcome, Success) else outcome


def never_fails(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    outcome = run(plan, value)
    return Success(value) if isinstance(outcome, Failure) else outcome


def raises_at_loop_limits(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    outcome = run(plan, value)
    if isinstance(outcome, Failure) and isinstance(outcome.failure(), LoopLimit):
        raise RuntimeError("too many turns")
    return outcome


@pytest.mark.parametrize("wrong", [forgets_its_changes, never_fails, raises_at_loop_limits])
def test_a_wrong_interpreter_is_told_which_law_it_breaks(wrong: Any) -> None:
    with pytest.raises(AssertionError, match=r"\Alaw 'agreement' does not hold: .* on Sample"):
        check_interpreter_laws(wrong, max_examples=400)


def test_a_right_interpreter_passes() -> None:
    check_interpreter_laws(run, max_examples=3)


# --- laws for values of users ----------------------------------------------------------------------------------------


def test_lens_laws_hold_for_a_lens_and_fail_for_a_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    check_lens_laws(LEFT, states(), [1, 2], max_examples=20)
    monkeypatch.setattr(Lens, "set", lambda lens, whole, part: whole)
    with pytest.raises(AssertionError, match=r"\Alaw 'put get' does not hold: Sample\.left"):
        check_lens_laws(LEFT, states(), [1, 2], max_examples=20)


def test_prism_laws_find_a_review_that_forgets() -> None:
    shapes: list[Circle | Square] = [Circle(1), Circle(2), Square(1)]
    check_prism_laws(CIRCLE, shapes, [Circle(3)], max_examples=20)
    wrong: Prism[Circle | Square, Circle] = Prism("wrong", preview=CIRCLE.preview, review=lambda circle: Circle(0))
    with pytest.raises(AssertionError, match=r"\Alaw 'preview of review' does not hold: _<wrong>"):
        check_prism_laws(wrong, shapes, [Circle(3)], max_examples=20)


def test_traversal_laws_find_changes_that_do_not_stay() -> None:
    check_traversal_laws(LEFT, states(), [abs], max_examples=20)
    lossy: Prism[int, int] = Prism("lossy", preview=lambda n: n, review=lambda n: n // 2)
    with pytest.raises(AssertionError, match=r"\Alaw 'over keeps identity' does not hold"):
        check_traversal_laws(lossy, [3, 4], [abs], max_examples=20)


def last_wins(fork: Any, left: Any, right: Any) -> Any:
    return right


def keep_longer(fork: Any, left: Any, right: Any) -> Any:
    return max(left, right, key=len)


ROWS = [((), (1,), (2,), (3,)), ((0,), (0, 1), (0, 2, 3), (0,))]


def test_merge_laws_tell_which_claim_is_wrong() -> None:
    check_merge_laws(concat, ROWS, claims=("unchanged", "associative"), max_examples=10)
    with pytest.raises(AssertionError, match=r"\Alaw 'combine is commutative' does not hold: concat"):
        check_merge_laws(concat, ROWS, max_examples=10)
    with pytest.raises(AssertionError, match=r"\Alaw 'a branch that changed nothing leaves the other'.*last_wins"):
        check_merge_laws(last_wins, ROWS, max_examples=10)
    with pytest.raises(AssertionError, match=r"\Alaw 'combine is commutative' does not hold: keep_longer"):
        check_merge_laws(keep_longer, ROWS, max_examples=10)


# --- the time of a sweep ---------------------------------------------------------------------------------------------


class Timed:
    """A clock that only cases move, each by its own seconds for one example."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def case(self, seconds: float) -> Any:
        def attempt(count: int, start: int) -> int:
            self.now += count * seconds
            return count

        return attempt


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40))
def test_a_suite_takes_its_time_whatever_its_cases_take(paces: list[float]) -> None:
    clock = Timed()
    sweep = Sweep("suite", len(paces), seconds=60, clock=clock)
    for pace in paces:
        began, tried = clock.now, sweep.examples
        sweep.spend(clock.case(pace))
        assert sweep.examples > tried
        # An even share, to within what cases before ran over by one example each; or all that a case is worth.
        assert clock.now - began >= min(60 / len(paces) - 5 * max(paces), 10_000 * pace) - 1e-6
    assert clock.now <= 60 + max(paces)
    assert str(sweep).startswith(f"suite: {sweep.examples} examples of {len(paces)} cases in {clock.now:.1f} s, seed ")


def test_a_suite_out_of_time_still_tries_every_case() -> None:
    clock = Timed()
    sweep = Sweep("suite", 3, seconds=1, clock=clock)
    for _ in range(3):
        sweep.spend(clock.case(5.0))
    assert (sweep.examples, sweep.cases) == (3, 3)


def test_a_failure_of_a_sweep_says_how_to_draw_it_again() -> None:
    seen: list[int] = []

    def attempt(count: int, start: int) -> int:
        seen.clear()
        return prove("small", small, max_examples=count, start=start)

    def small(draw: Draw) -> None:
        seen.append(draw(st.integers(0, 10_000)))
        assert seen[-1] < 9_000, "too large"

    with pytest.raises(AssertionError, match="too large") as failed:
        Sweep("suite", 1).spend(attempt)
    said = re.search(r"drawn by max_examples=(\d+), start=(\d+)$", "\n".join(failed.value.__notes__), re.MULTILINE)
    assert said is not None
    drawn, (count, start) = list(seen), map(int, said.groups())
    with pytest.raises(AssertionError, match="too large"):
        attempt(count, start)
    assert seen == drawn


# --- the registry ----------------------------------------------------------------------------------------------------


def test_suites_report_each_law() -> None:
    results = run_suites(["optics", "policies"], examples=2)
    assert {result.suite for result in results} == {"optics", "policies"}
    assert all(result.passed and result.examples >= 1 and not result.message for result in results)


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no suite 'optic'; there are plans, optics"):
        run_suites(["optic"])


def test_the_same_start_draws_the_same_examples() -> None:
    def drawn(start: int | None) -> list[Sample]:
        seen: list[Sample] = []
        prove("any", lambda draw: seen.append(draw(states())), max_examples=10, start=start)
        return seen

    assert drawn(7) == drawn(7)
    assert drawn(None) == drawn(None)
    assert drawn(7) != drawn(8)


def test_names_of_laws_are_words() -> None:
    assert law_name(last_wins) == "last wins"


def test_lenses_reach_every_field() -> None:
    reached: set[str] = set()
    prove("any", lambda draw: reached.add(repr(draw(lenses()))), max_examples=200)
    assert {repr(LEFT), repr(ITEMS)} <= reached
