"""The laws of the algebra, each one a function of an interpreter: build both sides, run both, compare.

Left out on purpose: nothing here equates retry counts, spend or the cost of a race, and which of several faults an
``ALL`` reports is only compared up to the set of those it may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from returns.result import Failure, Success

from lambdacat.bound import Budget, Estimate, Limiter
from lambdacat.build import bind, choose, fail, focus, gather, loop_while, parallel, pure, recover, when
from lambdacat.fault import Fault, Outcome, Stopped
from lambdacat.footprints import FootprintConflict, footprint
from lambdacat.guard import Breaker, Concurrency, Rate
from lambdacat.optics import Iso, Lens
from lambdacat.place import Attr, overlaps
from lambdacat.plan import Plan, identity
from lambdacat.policy import FIRST_COMPLETED
from lambdacat.record import record_of
from lambdacat.steps import each
from lambdacat.structure import regrown, rows
from lambdacat.testing import actions as act
from lambdacat.testing.blur import blurred
from lambdacat.testing.model import TooManyOutcomes, possible
from lambdacat.testing.proving import Draw
from lambdacat.testing.sample import (
    CIRCLE,
    ITEMS,
    LEFT,
    NEGATIVE,
    NUMBERS,
    POINT,
    RADIUS,
    REACHES,
    RIGHT,
    SHAPE,
    TABLE,
    Sample,
    X,
    Y,
)
from lambdacat.testing.strategies import LEAVES, LONG, number_plans, plans, side_by_side, stages, states

Interpreter = Callable[[Plan[Any, Any], Any], Outcome[Any]]
"""A user's way to run a plan on a value."""
PlanLaw = Callable[[Interpreter, Draw], None]

STOP: Fault = Stopped(reason="stop")
COMPOSED: tuple[tuple[Any, Any], ...] = (
    (POINT, X),
    (POINT, Y),
    (POINT >> X, NEGATIVE),
    (ITEMS, each),
    (TABLE, each),
    (ITEMS >> each, NEGATIVE),
    (SHAPE, CIRCLE >> RADIUS),
    (SHAPE >> CIRCLE, RADIUS),
)
"""Pairs of optics that go through each other."""
FUNCTIONS = (act.add_one, act.double, act.refuse_odd)


# --- comparing -------------------------------------------------------------------------------------------------------


def outcome_from(run_plan: Interpreter, plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    """What the interpreter gives. Errors: ``AssertionError`` when it raises instead, or gives something else."""
    try:
        outcome = run_plan(plan, value)
    except Exception as error:
        raise AssertionError(f"{plan!r} on {value!r} raised {error!r}, where an outcome is due") from error
    if not isinstance(outcome, (Success, Failure)):
        raise AssertionError(f"{plan!r} on {value!r} gave {outcome!r}, which is no outcome")
    return outcome


def _allowed(plan: Plan[Any, Any], value: Any) -> set[Any]:
    try:
        return {blurred(end) for end in possible(plan, value)}
    except TooManyOutcomes:
        assume(False)
        raise


def assert_possible(plan: Plan[Any, Any], value: Any, outcome: Outcome[Any]) -> None:
    """Refuse an outcome that the plan cannot have. Errors: ``AssertionError``."""
    allowed = _allowed(plan, value)
    if blurred(outcome) not in allowed:
        raise AssertionError(f"{plan!r} on {value!r} gave {outcome!r}; it may give {sorted(map(repr, allowed))}")


def _same(run_plan: Interpreter, left: Plan[Any, Any], right: Plan[Any, Any], value: Any) -> None:
    """Both plans end alike, or each in a way the other might have ended, too."""
    one, two = outcome_from(run_plan, left, value), outcome_from(run_plan, right, value)
    if blurred(one) == blurred(two):
        return
    if blurred(one) not in _allowed(right, value) or blurred(two) not in _allowed(left, value):
        raise AssertionError(f"{left!r} gave {one!r} and {right!r} gave {two!r} on {value!r}")


def _equal(left: Plan[Any, Any], right: Plan[Any, Any]) -> None:
    if not (left == right and hash(left) == hash(right)):
        raise AssertionError(f"{left!r} == {right!r}")


# --- agreement -------------------------------------------------------------------------------------------------------


def agreement(run_plan: Interpreter, draw: Draw) -> None:
    """Every outcome is one that the reference allows; for most plans there is exactly one."""
    p, value = draw(plans()), draw(states())
    assert_possible(p, value, outcome_from(run_plan, p, value))


# --- sequences -------------------------------------------------------------------------------------------------------


def identity_is_the_unit_of_then(run_plan: Interpreter, draw: Draw) -> None:
    """``identity >> p == p == p >> identity``."""
    p, value = draw(plans()), draw(states())
    _equal(identity >> p, p)
    _equal(p >> identity, p)
    assert outcome_from(run_plan, identity, value) == Success(value), f"{identity!r} changed {value!r}"


def then_is_associative(run_plan: Interpreter, draw: Draw) -> None:
    """``(p >> q) >> r == p >> (q >> r)``."""
    p, q, r, value = draw(plans()), draw(plans()), draw(plans()), draw(states())
    _equal((p >> q) >> r, p >> (q >> r))
    _same(run_plan, (p >> q) >> r, p >> (q >> r), value)


def then_feeds_one_result_to_the_next(run_plan: Interpreter, draw: Draw) -> None:
    """``p >> q`` gives what ``q`` gives on the result of ``p``."""
    p, q, value = draw(plans()), draw(plans()), draw(states())
    outcome = outcome_from(run_plan, p >> q, value)
    allowed: set[Any] = set()
    for end in possible(p, value):
        allowed |= _allowed(q, end.unwrap()) if isinstance(end, Success) else {blurred(end)}
    assert blurred(outcome) in allowed, f"{p >> q!r} on {value!r} gave {outcome!r}"


def fail_is_a_left_zero_of_then(run_plan: Interpreter, draw: Draw) -> None:
    """``fail(f) >> p`` is ``fail(f)``."""
    p, value = draw(plans()), draw(states())
    _same(run_plan, fail(STOP) >> p, fail(STOP), value)


def pure_composes(run_plan: Interpreter, draw: Draw) -> None:
    """``pure(f) >> pure(g)`` is ``pure(g . f)``."""
    f, g = draw(st.sampled_from(FUNCTIONS)), draw(st.sampled_from(FUNCTIONS))
    _same(run_plan, pure(f) >> pure(g), pure(lambda n: g(f(n))), draw(st.integers(0, 30)))


# --- branches --------------------------------------------------------------------------------------------------------


def one_branch_is_the_branch(run_plan: Interpreter, draw: Draw) -> None:
    """``parallel(p)`` is ``p``, under the default join."""
    p, value = draw(plans()), draw(states())
    _equal(parallel(p), p)
    _same(run_plan, parallel(p, policy=FIRST_COMPLETED).recover(act.pass_on) | p, p | p, value)


def _apart(draw: Draw) -> tuple[Plan[Any, Any], ...]:
    """Plans on different parts."""
    optics = draw(st.permutations([LEFT, RIGHT, POINT >> X, POINT >> Y, REACHES[0], REACHES[4]]))
    return tuple(focus(optic, draw(number_plans())) for optic in optics[:3])


def and_is_associative(run_plan: Interpreter, draw: Draw) -> None:
    """``(p & q) & r == p & (q & r)``."""
    p, q, r = _apart(draw)
    _equal((p & q) & r, p & (q & r))
    _same(run_plan, (p & q) & r, p & (q & r), draw(states()))


def and_is_commutative_when_its_join_is(run_plan: Interpreter, draw: Draw) -> None:
    """``p & q`` is ``q & p`` where no declared merge looks at the order."""
    p, q, _ = _apart(draw)
    _same(run_plan, p & q, q & p, draw(states()))


def and_is_associative_on_any_plans(run_plan: Interpreter, draw: Draw) -> None:
    """The law again for plans that may conflict or add to one place."""
    p, q, r, value = draw(plans()), draw(plans()), draw(plans()), draw(states())
    try:
        left, right = (p & q) & r, p & (q & r)
    except FootprintConflict:
        left = right = side_by_side([p, q, r])
    _equal(left, right)
    _same(run_plan, left, right, value)


def gather_is_a_product(run_plan: Interpreter, draw: Draw) -> None:
    """Each projection of ``gather(p, q)`` is its branch, once both succeed."""
    p, q, value = draw(plans()), draw(plans()), draw(states())
    both, one, two = (outcome_from(run_plan, plan, value) for plan in (gather(p, q), p, q))
    if isinstance(both, Success):
        first, second = both.unwrap()
        assert_possible(p, value, Success(first))
        assert_possible(q, value, Success(second))
    else:
        assert_possible(gather(p, q), value, both)
        both_won = isinstance(one, Success) and isinstance(two, Success)
        open_ended = len(_allowed(p, value)) + len(_allowed(q, value)) > 2
        assert open_ended or not both_won, f"gather({p!r}, {q!r}) on {value!r} gave {both!r}"


def a_stage_sees_what_every_branch_before_it_wrote(run_plan: Interpreter, draw: Draw) -> None:
    """``(p & q) >> (r & s)``: ``r`` sees neither less than ``p`` and ``q`` left, nor anything of ``s``."""
    p, value = draw(stages()), draw(states())
    assert_possible(p, value, outcome_from(run_plan, p, value))


def disjoint_footprints_commute(run_plan: Interpreter, draw: Draw) -> None:
    """Where neither writes what the other touches, ``p & q`` is ``p >> q`` and ``q >> p``, up to which fault."""
    p, q, _ = _apart(draw)
    value = draw(states())
    assert footprint(p).disjoint_from(footprint(q)), f"{p!r} and {q!r} have disjoint footprints"
    ends = [outcome_from(run_plan, plan, value) for plan in (p & q, p >> q, q >> p)]
    won = [end for end in ends if isinstance(end, Success)]
    assert not won or ends[0] == ends[1] == ends[2], f"{p & q!r} on {value!r} gave {ends!r}"


def a_race_gives_one_of_its_branches(run_plan: Interpreter, draw: Draw) -> None:
    """Up to the set of outcomes, the order of the branches of a race does not matter."""
    p, q, value = draw(plans()), draw(plans()), draw(states())
    outcome = outcome_from(run_plan, parallel(p, q, policy=FIRST_COMPLETED), value)
    if isinstance(outcome, Success):
        assert_possible(parallel(q, p, policy=FIRST_COMPLETED), value, outcome)
    else:
        assert_possible(parallel(p, q, policy=FIRST_COMPLETED), value, outcome)


# --- choices ---------------------------------------------------------------------------------------------------------


def _always_one(_: object) -> int:
    return 1


def a_constant_selector_is_its_branch(run_plan: Interpreter, draw: Draw) -> None:
    """``choose(lambda _: k, {k: p, ...})`` is ``p``."""
    p, q, value = draw(plans()), draw(plans()), draw(states())
    _same(run_plan, choose(_always_one, {0: q, 1: p}), p, value)


def choose_distributes_over_what_follows(run_plan: Interpreter, draw: Draw) -> None:
    """``choose(k, {a: p, b: q}) >> r`` is ``choose(k, {a: p >> r, b: q >> r})``."""
    p, q, r, value = draw(plans()), draw(plans()), draw(plans()), draw(states())
    left = choose(act.remainder, {0: p}, default=q) >> r
    _same(run_plan, left, choose(act.remainder, {0: p >> r}, default=q >> r), value)


def a_step_may_move_before_a_choose_that_does_not_read_it(run_plan: Interpreter, draw: Draw) -> None:
    """Only with that condition: ``choose(k, {a: s >> p}) `` is ``s >> choose(k, {a: p})``."""
    p, q, value = draw(plans()), draw(plans()), draw(states())
    step = focus(RIGHT, draw(number_plans()))
    left = choose(LEFT, {0: step >> p}, default=step >> q)
    _same(run_plan, left, step >> choose(LEFT, {0: p}, default=q), value)


# --- parts -----------------------------------------------------------------------------------------------------------


def focus_preserves_identity(run_plan: Interpreter, draw: Draw) -> None:
    """``focus(optic, identity) == identity``."""
    optic = draw(st.sampled_from((*NUMBERS, *REACHES)))
    _equal(focus(optic, identity), identity)


def focus_preserves_then(run_plan: Interpreter, draw: Draw) -> None:
    """``focus(lens, p >> q)`` is ``focus(lens, p) >> focus(lens, q)``."""
    lens, p, q = draw(st.sampled_from(NUMBERS)), draw(number_plans()), draw(number_plans())
    _same(run_plan, focus(lens, p >> q), focus(lens, p) >> focus(lens, q), draw(states()))


def focus_preserves_and(run_plan: Interpreter, draw: Draw) -> None:
    """``focus(lens, p & q)`` is ``focus(lens, p) & focus(lens, q)``."""
    p, q = focus(X, draw(number_plans())), focus(Y, draw(number_plans()))
    _same(run_plan, focus(POINT, p & q), focus(POINT, p) & focus(POINT, q), draw(states()))


def focus_composes(run_plan: Interpreter, draw: Draw) -> None:
    """``focus(l >> m, p) == focus(l, focus(m, p))``, for optics onto one part and onto several."""
    p, (outer, inner) = draw(number_plans()), draw(st.sampled_from(COMPOSED))
    both, limit = outer >> inner, draw(st.integers(1, 2))
    _equal(focus(both, p), focus(outer, focus(inner, p)))
    _same(run_plan, focus(both, p), focus(outer, focus(inner, p)), draw(states()))
    _equal(focus(ITEMS >> each >> NEGATIVE, p), focus(ITEMS, focus(each, focus(NEGATIVE, p))))
    if not isinstance(outer, Lens):
        _equal(focus(both, p, limit=limit), focus(outer, focus(inner, p), limit=limit))
    elif not isinstance(inner, (Lens, Iso)):
        _equal(focus(both, p, limit=limit), focus(outer, focus(inner, p, limit=limit)))


def focus_preserves_between(run_plan: Interpreter, draw: Draw) -> None:
    """``focus(l, p.between(m, n)) == p.between(l >> m, l >> n)``."""
    p, m, n = draw(number_plans()), draw(st.sampled_from([X, Y])), draw(st.sampled_from([X, Y]))
    left, right = focus(POINT, p.between(m, n)), p.between(POINT >> m, POINT >> n)
    _equal(left, right)
    _same(run_plan, left, right, draw(states()))


def focus_changes_its_part_alone(run_plan: Interpreter, draw: Draw) -> None:
    """``focus(lens, p)`` gives ``lens.set(s, t)`` for the ``t`` that ``p`` gives on ``lens.get(s)``."""
    lens, p, value = draw(st.sampled_from(NUMBERS)), draw(number_plans()), draw(states())
    outcome, part = outcome_from(run_plan, focus(lens, p), value), outcome_from(run_plan, p, lens.get(value))
    expected = Success(lens.set(value, part.unwrap())) if isinstance(part, Success) else part
    assert blurred(outcome) == blurred(expected), f"{focus(lens, p)!r} on {value!r} gave {outcome!r}, not {expected!r}"


def footprint_is_an_upper_bound(run_plan: Interpreter, draw: Draw) -> None:
    """No run changes a field that the footprint does not have."""
    p, value = draw(st.sampled_from(LEAVES) | plans()), draw(states())
    outcome, writes = outcome_from(run_plan, p, value), footprint(p).writes
    record = record_of(Sample)
    assert record is not None
    for name in record.names if isinstance(outcome, Success) else ():
        same = getattr(outcome.unwrap(), name) == getattr(value, name)
        covered = any(overlaps((Attr(name),), place) for place in writes)
        assert same or covered, f"{p!r} on {value!r} wrote {name}, outside its footprint"


# --- loops and recovery ----------------------------------------------------------------------------------------------


def a_loop_unrolls(run_plan: Interpreter, draw: Draw) -> None:
    """``loop_while(c, p, at_most=n + 1)`` is ``when(c, p >> loop_while(c, p, at_most=n))``, up to the count told."""
    p, then, n, value = draw(plans()), draw(plans()), draw(st.integers(0, 2)), draw(states())
    test = act.left_is_small
    left = loop_while(test, p, at_most=n + 1, then=then)
    _same(run_plan, left, when(test, p >> loop_while(test, p, at_most=n, then=then)), value)


def a_loop_whose_condition_fails_is_identity(run_plan: Interpreter, draw: Draw) -> None:
    """``loop_while(lambda _: False, p)`` is ``identity``."""
    _same(run_plan, loop_while(lambda _: False, draw(plans())), identity, draw(states()))


def or_is_associative(run_plan: Interpreter, draw: Draw) -> None:
    """``(p | q) | r`` is ``p | (q | r)``."""
    p, q, r, value = draw(plans()), draw(plans()), draw(plans()), draw(states())
    stop = draw(st.sampled_from([identity, fail(STOP)]))
    _same(run_plan, (p >> stop | q >> stop) | r, p >> stop | (q >> stop | r), value)


def fail_is_the_unit_of_or(run_plan: Interpreter, draw: Draw) -> None:
    """``fail(f) | p`` is ``p``; on the right it only renames the fault."""
    p, value = draw(plans()), draw(states())
    _equal(fail(STOP) | p, p)
    right = outcome_from(run_plan, p | fail(STOP), value)
    assert_possible(p, value, right) if isinstance(right, Success) else assert_possible(p | fail(STOP), value, right)


def recover_leaves_success_alone(run_plan: Interpreter, draw: Draw) -> None:
    """Where ``p`` succeeds, ``recover(p, h)`` and ``p | q`` are ``p``."""
    p, q, value = draw(plans()), draw(plans()), draw(states())
    if all(isinstance(end, Success) for end in possible(p, value)):
        _same(run_plan, recover(p, act.instead), p, value)
        _same(run_plan, p | q, p, value)
    else:
        _same(run_plan, recover(p, lambda fault: q), p | q, value)


def attempt_never_faults(run_plan: Interpreter, draw: Draw) -> None:
    """``p.attempt()`` gives the outcome of ``p`` as its value."""
    p, value = draw(plans()), draw(states())
    outcome = outcome_from(run_plan, p.attempt(), value)
    assert isinstance(outcome, Success), f"{p.attempt()!r} on {value!r} gave {outcome!r}"
    assert_possible(p, value, outcome.unwrap())


# --- bounds, names, binds --------------------------------------------------------------------------------------------


def nested_timeouts_are_the_smaller(run_plan: Interpreter, draw: Draw) -> None:
    """``p.timeout(a).timeout(b) == p.timeout(min(a, b))``."""
    p, value = draw(plans()), draw(states())
    a, b = draw(st.floats(LONG, 2 * LONG)), draw(st.floats(LONG, 2 * LONG))
    _equal(p.timeout(a).timeout(b), p.timeout(min(a, b)))
    _same(run_plan, p.timeout(a), p, value)


def retry_0_is_the_plan(run_plan: Interpreter, draw: Draw) -> None:
    """``p.retry(0) == p``."""
    p = draw(plans())
    _equal(p.retry(0), p)


def retry_of_what_never_changes_is_the_plan(run_plan: Interpreter, draw: Draw) -> None:
    """``p.retry(n)`` is ``p`` for actions that do the same every time."""
    p, n, value = draw(plans()), draw(st.integers(1, 3)), draw(states())
    _same(run_plan, p.retry(n), p, value)


def a_limiter_never_changes_a_result(run_plan: Interpreter, draw: Draw) -> None:
    """A plan under a limiter gives what it gives without."""
    p, value = draw(plans()), draw(states())
    limiter: Limiter = draw(st.sampled_from((Concurrency, Rate)))(draw(st.integers(1, 3)))
    _same(run_plan, p.limited(limiter), p, value)


def a_closed_breaker_never_changes_a_result(run_plan: Interpreter, draw: Draw) -> None:
    """A plan under a guard that says yes gives what it gives without."""
    p, value = draw(plans()), draw(states())
    _same(run_plan, p.guarded(Breaker(10**6)), p, value)


def a_budget_that_is_not_used_up_never_changes_a_result(run_plan: Interpreter, draw: Draw) -> None:
    """A plan within a budget that it does not use up gives what it gives without; nested ones too."""
    p, value = draw(plans()), draw(states())
    wide = Budget(calls=10**9, tokens=10**9, unknown=Estimate(tokens=(0, 0)))
    _same(run_plan, p.within(wide), p, value)
    _same(run_plan, p.within(wide).within(Budget(money=1e9, unknown=Estimate(money=(0, 0)))), p, value)


def names_never_change_a_result(run_plan: Interpreter, draw: Draw) -> None:
    """``p.named(x)`` is ``p``."""
    p, value = draw(plans()), draw(states())
    _same(run_plan, p.named("another name"), p, value)


def a_plan_taken_apart_is_the_plan(run_plan: Interpreter, draw: Draw) -> None:
    """``regrown(rows(p)) == p``, which is how a plan is pickled and read again."""
    p, value = draw(plans()), draw(states())
    again = regrown(rows(p))
    _equal(again, p)
    _same(run_plan, again, p, value)


def bind_has_a_left_unit(run_plan: Interpreter, draw: Draw) -> None:
    """``pure(lambda _: s) >> bind(f)`` is ``f(s)`` on ``s``."""
    value, other = draw(states()), draw(states())
    f = draw(st.sampled_from([act.by_size, act.by_parity]))
    allowed = outcome_from(run_plan, f(other), other)
    made = outcome_from(run_plan, pure(lambda _: other) >> bind(f), value)
    assert blurred(made) == blurred(allowed), f"bind {f.__name__} on {other!r} gave {made!r}, not {allowed!r}"


def bind_has_a_right_unit(run_plan: Interpreter, draw: Draw) -> None:
    """``p >> bind(lambda s: pure(lambda _: s))`` is ``p``, and ``bind(lambda _: p)`` is ``p``."""
    p, value = draw(plans()), draw(states())
    _same(run_plan, p >> bind(lambda s: pure(lambda _: s)), p, value)
    _same(run_plan, bind(lambda _: p), p, value)


def bind_is_associative(run_plan: Interpreter, draw: Draw) -> None:
    """``bind(f) >> bind(g)`` is ``bind(lambda s: f(s) >> bind(g))``."""
    kinds = st.sampled_from([act.by_size, act.by_parity, act.refuse_plan])
    f, g, value = draw(kinds), draw(kinds), draw(states())
    _same(run_plan, bind(f) >> bind(g), bind(lambda s: f(s) >> bind(g)), value)


PLAN_LAWS: tuple[PlanLaw, ...] = (
    agreement,
    identity_is_the_unit_of_then,
    then_is_associative,
    then_feeds_one_result_to_the_next,
    fail_is_a_left_zero_of_then,
    pure_composes,
    one_branch_is_the_branch,
    and_is_associative,
    and_is_associative_on_any_plans,
    and_is_commutative_when_its_join_is,
    gather_is_a_product,
    a_stage_sees_what_every_branch_before_it_wrote,
    disjoint_footprints_commute,
    a_race_gives_one_of_its_branches,
    a_constant_selector_is_its_branch,
    choose_distributes_over_what_follows,
    a_step_may_move_before_a_choose_that_does_not_read_it,
    focus_preserves_identity,
    focus_preserves_then,
    focus_preserves_and,
    focus_composes,
    focus_preserves_between,
    focus_changes_its_part_alone,
    footprint_is_an_upper_bound,
    a_loop_unrolls,
    a_loop_whose_condition_fails_is_identity,
    or_is_associative,
    fail_is_the_unit_of_or,
    recover_leaves_success_alone,
    attempt_never_faults,
    nested_timeouts_are_the_smaller,
    retry_0_is_the_plan,
    retry_of_what_never_changes_is_the_plan,
    a_limiter_never_changes_a_result,
    a_closed_breaker_never_changes_a_result,
    a_budget_that_is_not_used_up_never_changes_a_result,
    names_never_change_a_result,
    a_plan_taken_apart_is_the_plan,
    bind_has_a_left_unit,
    bind_has_a_right_unit,
    bind_is_associative,
)
