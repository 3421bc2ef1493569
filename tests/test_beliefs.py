"""What an agent believes: exact sums of evidence, fading, branches, reasons, and what beliefs say."""

import math
import random
import sys
from fractions import Fraction
from functools import reduce
from itertools import permutations
from operator import add
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    ActionFailed,
    Attr,
    Context,
    Item,
    MemoryJournal,
    MergeConflict,
    Plan,
    PlanError,
    arun,
    footprint,
    identity,
    lens,
    merge,
    run,
    task,
    when,
)
from lambdacat.merging import Conflict
from lambdacat.state import (
    BELIEFS,
    STATE_CODECS,
    AgentState,
    Beliefs,
    Origin,
    bayes,
    believes,
    decay,
    decayed,
    decayed_until,
    entropy,
    inferred,
    log_odds,
    log_ratio,
    observe,
    observed,
    origin_of,
    probability,
    read_entropy,
    read_probability,
    read_strongest,
    refresh,
    refreshed,
    strongest,
    undecided,
    why,
)
from lambdacat.state.beliefs import STEPS
from lambdacat.state.exact import exact
from lambdacat.testing import VirtualClock, slow, virtual_run
from lambdacat.testing.state_laws import Evidence, believed, check_belief_laws

DAY = 1_700_000_000.0
EMPTY = AgentState()
KINDS = (Beliefs(), Beliefs(half_life=3600.0), Beliefs(at_most=2), Beliefs(half_life=60.0, at_most=3))


def value_of(plan: Plan[Any, Any], state: Any = EMPTY, **options: Any) -> Any:
    return run(plan, state, **options).unwrap()


def moved(*amounts: float, claim: str = "rain", beliefs: Beliefs | None = None) -> Beliefs:
    """Beliefs after these pieces of evidence for one claim."""
    return believed(beliefs or Beliefs(), [Evidence(claim, amount, Origin()) for amount in amounts])


# --- evidence --------------------------------------------------------------------------------------------------------


def test_evidence_for_and_against_adds_up() -> None:
    """A42."""
    done = value_of(observe("rain", 0.2) >> observe("rain", -0.1))
    assert log_odds(done.beliefs, "rain") == 0.1
    assert moved(0.2, -0.1) == moved(-0.1, 0.2)


def test_what_was_never_heard_of_is_even() -> None:
    assert (log_odds(Beliefs(), "x"), probability(Beliefs(), "x"), entropy(Beliefs(), "x")) == (0.0, 0.5, 1.0)
    assert why(Beliefs(), "x") == ()
    assert strongest(Beliefs(half_life=1.0)) == ()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), max_size=20))
def test_an_exact_sum_is_the_sum(parts: list[float]) -> None:
    total = exact(parts)
    assert sum(map(Fraction, total)) == sum(map(Fraction, parts))
    assert total == exact(reversed(parts)) == exact([*total])
    assert 0.0 not in total
    if total:
        assert total[0] == float(sum(map(Fraction, parts)))


def test_shuffled_evidence_is_bit_equal_where_a_sum_of_floats_is_not() -> None:
    """R-B2."""
    source, floats_differ = random.Random(7), 0
    for _ in range(200):
        amounts = [source.gauss(0, 1) * 10 ** source.randint(-6, 2) for _ in range(20)]
        shuffled = source.sample(amounts, len(amounts))
        assert moved(*amounts) == moved(*shuffled)
        assert log_odds(moved(*amounts), "rain") == float(sum(map(Fraction, amounts)))
        floats_differ += reduce(add, amounts) != reduce(add, shuffled)  # newer Pythons correct what sum() loses
    assert floats_differ > 100


@given(st.floats(0.01, 0.99), st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), max_size=6))
def test_bayes_is_the_rule_of_bayes(prior: float, likelihoods: list[tuple[float, float]]) -> None:
    beliefs = moved(math.log(prior / (1 - prior)))
    share = prior
    for if_true, if_false in likelihoods:
        beliefs = inferred(beliefs, "rain", if_true=if_true, if_false=if_false)
        share = share * if_true / (share * if_true + (1 - share) * if_false)
    assert probability(beliefs, "rain") == pytest.approx(share, abs=1e-9)


def test_a_likelihood_of_zero_is_refused_and_one_is_not() -> None:
    assert log_ratio(1, 1) == 0.0
    assert math.isfinite(log_ratio(5e-324, 1.0))
    for if_true, if_false in ((0, 0.5), (0.5, 0.0), (1.5, 0.5), (-0.1, 0.5), (math.nan, 0.5), (True, 0.5)):
        with pytest.raises(ValueError, match="a probability above 0 and at most 1"):
            log_ratio(if_true, if_false)
        with pytest.raises(ValueError, match="a probability above 0"):
            bayes("rain", if_true=if_true, if_false=if_false)
    with pytest.raises(ValueError, match="give a small number, such as 1e-6"):
        bayes("rain", if_true=0, if_false=0.5)


@pytest.mark.parametrize("amount", [math.inf, -math.inf, math.nan, 1e308, -1e308, 1000.1, True, "1", None])
def test_evidence_that_would_leave_no_finite_belief_is_refused(amount: Any) -> None:
    """R-B1."""
    with pytest.raises(ValueError, match="evidence is a number from -1000 to 1000"):
        observed(Beliefs(), "rain", amount)
    with pytest.raises(ValueError, match="evidence is a number"):
        observe("rain", amount)


def test_probabilities_never_overflow() -> None:
    """A42, R-B1."""
    for odds in (1000.0, 800.0, 40.0, 0.0, -40.0, -800.0, -1000.0):
        share = probability(moved(odds), "rain")
        assert 0 <= share <= 1
        assert share == pytest.approx(1 / (1 + math.exp(-odds)) if odds > -700 else 0.0, abs=1e-15)
    far = moved(*[1000.0] * 50)
    assert (log_odds(far, "rain"), probability(far, "rain"), entropy(far, "rain")) == (50_000.0, 1.0, 0.0)


def many_updates(count: int) -> None:
    beliefs = Beliefs()
    for n in range(count):
        beliefs = observed(beliefs, "rain", 0.1 if n % 2 else 1000.0 - n / count)
    wanted = sum(Fraction(0.1 if n % 2 else 1000.0 - n / count) for n in range(count))
    assert log_odds(beliefs, "rain") == float(wanted)
    assert sys.getsizeof(beliefs.claims["rain"].reasons[0][1][0][1]) < 200


def test_thousands_of_updates_are_exact_and_take_no_room() -> None:
    many_updates(3000)


@pytest.mark.sweep
def test_a_million_updates_are_exact_and_take_no_room() -> None:
    """R-B1."""
    many_updates(1_000_000)


# --- fading ----------------------------------------------------------------------------------------------------------


def test_decaying_twice_is_decaying_once_for_as_long() -> None:
    """A42, R-B1."""
    beliefs = moved(3.7, -1.1)
    twice = decayed(decayed(beliefs, 7, seconds=5), 7, seconds=5)
    assert log_odds(twice, "rain") == pytest.approx(log_odds(decayed(beliefs, 7, seconds=10), "rain"), rel=0, abs=1e-12)
    assert log_odds(decayed(beliefs, 5, seconds=5), "rain") == log_odds(beliefs, "rain") / 2
    assert decayed(beliefs, 5, seconds=0) is beliefs
    assert log_odds(decayed(beliefs, 1, seconds=1e9), "rain") == 0.0


def test_a_strong_doubt_survives_a_decay() -> None:
    """A42."""
    assert log_odds(decayed(moved(-50.0), 10, seconds=1), "rain") < -40


@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, math.inf, True, "5"])
def test_nothing_decays_backwards(seconds: Any) -> None:
    """R-B1."""
    with pytest.raises(ValueError, match="beliefs do not decay by"):
        decayed(moved(1.0), 10, seconds=seconds)
    with pytest.raises(ValueError, match="beliefs do not decay by"):
        decay(10, seconds=seconds)
    for half_life in (0, -1, math.nan, math.inf, 1e-9):
        with pytest.raises(ValueError, match="a half-life is a number of seconds"):
            decay(half_life)
        with pytest.raises(ValueError, match="a half-life is a number of seconds"):
            Beliefs(half_life=half_life)


def test_a_decay_goes_by_the_time_that_passed_since_the_last_one() -> None:
    clock = VirtualClock()
    context = Context(clock=clock, wall=lambda: DAY + clock())

    @task
    def wait(state: AgentState) -> AgentState:
        clock.sleep(100)
        return state

    state = value_of(observe("old", 8.0) >> wait >> decay(100) >> wait >> observe("new", 8.0), context=context)
    assert (log_odds(state.beliefs, "old"), log_odds(state.beliefs, "new")) == pytest.approx((4.0, 8.0))
    # Also in another run: the old claim has 200 seconds since its decay, the new one 100 since it was heard of.
    clock.sleep(100)
    later = value_of(decay(100), state, context=context)
    assert (log_odds(later.beliefs, "old"), log_odds(later.beliefs, "new")) == pytest.approx((1.0, 4.0))
    back = run(decay(100), later, context=Context(clock=clock, wall=lambda: DAY)).failure()
    assert isinstance(back, ActionFailed)
    assert "beliefs do not decay by -300" in str(back)


def test_evidence_with_a_half_life_ages_by_its_own_age() -> None:
    beliefs = Beliefs(half_life=100.0)
    beliefs = observed(beliefs, "rain", 8.0, origin=Origin(DAY))
    beliefs = observed(beliefs, "rain", 1.0, origin=Origin(DAY + 200))
    assert log_odds(beliefs, "rain") == pytest.approx(8 / 4 + 1, rel=1e-12)
    assert log_odds(beliefs, "rain", now=DAY + 300) == pytest.approx(8 / 8 + 1 / 2, rel=1e-12)
    assert log_odds(beliefs, "rain", now=DAY) == log_odds(beliefs, "rain"), "never before what is known"
    assert log_odds(refreshed(beliefs, DAY + 300), "rain") == log_odds(beliefs, "rain", now=DAY + 300)
    assert refreshed(beliefs, DAY) is beliefs
    assert log_odds(beliefs, "rain", now=DAY + 1e9) == 0.0
    shares = [probability(beliefs, "rain", now=DAY + n) for n in range(200, 2000, 100)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] > 0.5


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 10_000)), min_size=1, max_size=8), st.randoms())
def test_aged_evidence_is_what_the_formula_says(rows: list[tuple[float, int]], source: random.Random) -> None:
    evidence = [Evidence("rain", amount, Origin(float(when))) for amount, when in rows]
    shuffled = source.sample(evidence, len(evidence))
    made = believed(Beliefs(half_life=700.0), evidence)
    assert made == believed(Beliefs(half_life=700.0), shuffled)
    wanted = sum(amount * 2.0 ** -((10_000 - when) / 700) for amount, when in rows)
    assert log_odds(made, "rain", now=10_000.0) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_evidence_of_many_half_lives_takes_no_room() -> None:
    beliefs = Beliefs(half_life=1.0)
    for n in range(2000):
        beliefs = observed(beliefs, "rain", 1.0, origin=Origin(float(n)))
    assert log_odds(beliefs, "rain") == pytest.approx(2.0)
    ((_, tally),) = beliefs.claims["rain"].reasons
    assert len(tally) <= 65
    late = observed(beliefs, "rain", 1000.0, origin=Origin(0.0))
    assert log_odds(late, "rain") == log_odds(beliefs, "rain"), "what comes so late counts nothing"


def test_beliefs_fade_in_one_of_two_ways() -> None:
    with pytest.raises(ValueError, match="ages by itself"):
        decayed(Beliefs(half_life=5.0), 5, seconds=1)
    with pytest.raises(ValueError, match="do not age by themselves"):
        refreshed(Beliefs(), 5.0)
    assert isinstance(run(refresh(), EMPTY).failure(), ActionFailed)


# --- branches --------------------------------------------------------------------------------------------------------


def search(name: str, seconds: float, *evidence: tuple[str, float]) -> Plan[AgentState, AgentState]:
    """A step that takes a while and then adds evidence."""

    @task(reads=BELIEFS, writes=BELIEFS, name=name)
    async def found(beliefs: Beliefs, ctx: Context) -> Beliefs:
        for claim, amount in evidence:
            beliefs = observed(beliefs, claim, amount, origin=Origin(0.0, ctx.step))
        return beliefs

    late: Plan[AgentState, AgentState] = task(slow(lambda state: state, seconds=seconds))
    return late >> found


def test_parallel_searches_give_one_verdict_whatever_their_order() -> None:
    rows = ([("rain", 0.1), ("snow", -2.0)], [("rain", 0.2)], [("rain", -0.3), ("hail", 1e-9)])
    found: list[Beliefs] = []
    for delays in permutations((1.0, 2.0, 3.0)):
        a, b, c = (search(f"search {n}", delays[n], *rows[n]) for n in range(3))
        plans = (a & b & c, c & (a & b), a >> (c & b), c >> b >> a)
        found.extend(virtual_run(arun, plan, EMPTY).unwrap().beliefs for plan in plans)
    assert all(beliefs == found[0] for beliefs in found)
    assert log_odds(found[0], "rain") == float(Fraction(0.1) + Fraction(0.2) - Fraction(0.3)) != 0.1 + 0.2 - 0.3


def test_steps_that_observe_one_claim_may_stand_side_by_side() -> None:
    plan = observe("rain", 1.0) & bayes("rain", if_true=0.5, if_false=0.25) & observe("rain", -1.0)
    done = value_of(plan).beliefs
    assert log_odds(done, "rain") == pytest.approx(math.log(2))
    assert {(reason.step, reason.at) for reason in why(done, "rain")} == {
        ("observe 'rain'", (0,)),
        ("bayes 'rain'", (1,)),
        ("observe 'rain'", (2,)),
    }
    assert footprint(plan).writes == {(Attr("beliefs"),)}


def test_a_decay_beside_an_observation_of_one_claim_is_a_conflict() -> None:
    state = value_of(observe("rain", 1.0) >> observe("snow", 1.0))
    faults: list[Any] = [run(plan, state).failure() for plan in (
        decay(10, seconds=5) & observe("snow", 1.0),
        observe("snow", 1.0) & (observe("hail", 1.0) >> decay(10, seconds=5)),
        (decay(10, seconds=5) >> observe("snow", 1.0)) & (observe("hail", 1.0) & observe("snow", 1.0)),
        decay(10, seconds=5) & decay(20, seconds=5),
    )]  # fmt: skip
    assert all(isinstance(fault, MergeConflict) for fault in faults)
    assert faults[0].path == (Attr("beliefs"), Item("snow"))
    done = value_of(decay(10, seconds=10) & observe("hail", 1.0), state).beliefs
    assert [log_odds(done, claim) for claim in ("rain", "snow", "hail")] == [0.5, 0.5, 1.0]


def test_evidence_that_ages_by_itself_never_conflicts() -> None:
    clock = VirtualClock()
    context = Context(clock=clock, wall=lambda: DAY + clock())

    @task(blocking="inline")
    def wait(state: AgentState) -> AgentState:
        clock.sleep(50)
        return state

    state = AgentState(beliefs=Beliefs(half_life=50.0))
    plan = (observe("rain", 4.0) >> wait >> refresh()) & (wait >> wait >> observe("rain", 1.0)) & refresh()
    done = value_of(plan, state, context=context).beliefs
    # Branches run one after the other here: the first observes at 0, the second at 150.
    assert log_odds(done, "rain") == pytest.approx(4.0 / 8 + 1.0)


def test_beliefs_of_two_half_lives_do_not_mix() -> None:
    fork = Beliefs(half_life=10.0)
    with pytest.raises(Conflict, match="half_life"):
        merge(fork, (Beliefs(half_life=20.0), observed(fork, "rain", 1.0)))


@pytest.mark.parametrize("beliefs", KINDS, ids=repr)
def test_beliefs_obey_their_laws(beliefs: Beliefs) -> None:
    check_belief_laws(beliefs, max_examples=5)


@pytest.mark.sweep
@pytest.mark.parametrize("beliefs", KINDS, ids=repr)
def test_beliefs_obey_their_laws_many_times(beliefs: Beliefs) -> None:
    check_belief_laws(beliefs, max_examples=300)


@pytest.mark.sweep
def test_the_law_check_finds_sums_that_were_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambdacat.state.exact.exact", lambda parts: (sum(parts),))
    with pytest.raises(AssertionError, match=r"law 'the (order|grouping) of evidence cannot be seen' does not"):
        check_belief_laws(Beliefs(), max_examples=100)


# --- bounds and reasons ----------------------------------------------------------------------------------------------


def test_past_the_bound_what_is_nearest_to_even_goes() -> None:
    beliefs = Beliefs(at_most=2)
    for claim, amount in (("a", 3.0), ("b", -0.5), ("c", -4.0), ("d", 0.1)):
        beliefs = observed(beliefs, claim, amount)
    assert sorted(beliefs.claims) == ["a", "c"]
    tips = (observed(beliefs, "e", 9.0), observed(beliefs, "a", 2.0), observed(beliefs, "f", -9.0))
    made = merge(beliefs, tips)
    assert sorted(made.claims) == ["e", "f"]
    left = observed(beliefs, "e", 3.5)
    assert "a" not in left
    assert log_odds(merge(beliefs, (left, observed(beliefs, "a", 2.0))), "a") == 5.0, "what it left is kept elsewhere"
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="a whole number of claims"):
            Beliefs(at_most=wrong)  # type: ignore[arg-type]


def test_a_belief_says_which_steps_moved_it_and_by_how_much() -> None:
    plan = observe("rain", 0.5) >> (observe("rain", -2.0) & (observe("rain", 1.0) >> observe("rain", 0.25)))
    beliefs = value_of(plan).beliefs
    assert [(reason.at, reason.amount) for reason in why(beliefs, "rain")] == [
        ((1, 0), -2.0),
        ((1, 1, 0), 1.0),
        ((0,), 0.5),
        ((1, 1, 1), 0.25),
    ]
    half = decayed(beliefs, 10, seconds=10)
    assert [reason.amount for reason in why(half, "rain")] == [-1.0, 0.5, 0.25, 0.125]


def test_reasons_are_bounded_and_their_order_cannot_be_seen() -> None:
    rows = [Evidence("rain", 0.1 * n, Origin(0.0, f"step {n:03}", (n, "loop"))) for n in range(2 * STEPS)]
    source = random.Random(3)
    shuffled = source.sample(rows, len(rows))
    one, two = believed(Beliefs(), [*rows, *rows]), believed(Beliefs(), [*shuffled, *rows])
    assert one == two
    reasons = why(one, "rain")
    assert len(reasons) == STEPS + 1
    assert (reasons[-1].step, reasons[-1].at) == ("...", ())
    assert math.fsum(reason.amount for reason in reasons) == pytest.approx(log_odds(one, "rain"), rel=1e-12)
    fork = believed(Beliefs(), rows[::3])
    tips = (believed(fork, rows[1::3]), believed(fork, rows[2::3]), believed(fork, rows))
    assert merge(fork, tips) == believed(fork, [*rows[1::3], *rows[2::3], *rows])


# --- what beliefs say ------------------------------------------------------------------------------------------------


def test_the_strongest_are_furthest_from_even_and_ties_go_by_name() -> None:
    beliefs = Beliefs()
    for claim, amount in (("c", 1.0), ("b", -1.0), ("a", 0.1), ("d", 3.0)):
        beliefs = observed(beliefs, claim, amount)
    assert [held.claim for held in strongest(beliefs, 3)] == ["d", "b", "c"]
    assert [held.claim for held in strongest(beliefs)] == ["d", "b", "c", "a"]
    assert strongest(beliefs, 2)[1] == ("b", -1.0, probability(beliefs, "b"))
    with pytest.raises(ValueError, match="a number of claims"):
        strongest(beliefs, -1)


@given(st.floats(-1000, 1000))
def test_entropy_is_in_bits_and_falls_with_certainty(odds: float) -> None:
    share = probability(moved(odds), "rain")
    bits = entropy(moved(odds), "rain")
    assert 0 <= bits <= 1
    if 1e-9 < share < 1 - 1e-9:
        assert bits == pytest.approx(-share * math.log2(share) - (1 - share) * math.log2(1 - share), abs=1e-9)
    assert bits >= entropy(moved(odds, math.copysign(1e-3, odds)), "rain")


def test_entropy_of_all_claims_is_the_sum() -> None:
    beliefs = observed(moved(0.0), "snow", 700.0)
    assert entropy(beliefs) == pytest.approx(1.0)
    assert entropy(beliefs, "snow") > 0, "from the odds, where the probability is rounded to 1"


def test_conditions_on_beliefs_steer_plans_and_say_what_they_read() -> None:
    look = observe("rain", 0.75)
    done = value_of(look.loop_while(undecided("rain", until=0.95), at_most=20))
    assert log_odds(done.beliefs, "rain") == 3.0
    umbrella = when(believes("rain", at_least=0.9), observe("take umbrella", 5.0), identity)
    assert "take umbrella" in value_of(umbrella, done).beliefs
    assert "take umbrella" not in value_of(umbrella).beliefs
    own = BELIEFS.where(lambda beliefs: len(beliefs) == 1) & ~believes("snow", at_least=0.6)
    assert own(done)
    assert footprint(umbrella).reads == {(Attr("beliefs"),)}
    assert believes("rain", at_least=0.9) == believes("rain", at_least=0.9) != believes("rain", at_least=0.8)
    assert repr(undecided("rain", until=0.95)) == "AgentState.beliefs.where(rain undecided until 0.95)"
    with pytest.raises(ValueError, match="at_least is a probability"):
        believes("rain", at_least=1.5)
    with pytest.raises(ValueError, match="until is a probability above"):
        undecided("rain", until=0.5)


@frozen
class Case:
    """A state of the user's own."""

    suspect: str = "butler"
    weight: float = 0.5
    share: float = 0.8
    views: Beliefs = field(factory=Beliefs)


def test_claims_and_evidence_are_constants_or_come_from_a_state_of_one_s_own() -> None:
    suspect, weight = lens(Case, lambda c: c.suspect), lens(Case, lambda c: c.weight)
    share, views = lens(Case, lambda c: c.share), lens(Case, lambda c: c.views)
    plan = (
        observe(suspect, weight, beliefs=views)
        >> observe("gardener", weight, beliefs=views)
        >> bayes(suspect, if_true=share, if_false=weight, beliefs=views)
        >> decay(10, seconds=10, beliefs=views)
    )
    done = value_of(plan, Case())
    assert log_odds(done.views, "butler") == pytest.approx((0.5 + math.log(0.8 / 0.5)) / 2)
    assert log_odds(done.views, "gardener") == 0.25
    assert believes("butler", at_least=0.6, beliefs=views)(done)
    fault = run(plan, Case(weight=math.nan)).failure()
    assert isinstance(fault, ActionFailed)
    assert "evidence is a number" in str(fault)


def test_plans_that_say_the_same_are_the_same() -> None:
    assert observe("rain", 1) == observe("rain", 1.0)
    assert observe("rain", 1) != observe("rain", 2) != observe("snow", 2)
    assert bayes("rain", if_true=0.5, if_false=0.25) == bayes("rain", if_true=0.5, if_false=0.25)
    assert bayes("rain", if_true=0.5, if_false=0.25) == bayes("rain", 0.5, 0.25)
    assert inferred(Beliefs(), "rain", if_true=0.5, if_false=0.25) == inferred(Beliefs(), "rain", 0.5, 0.25)
    assert decay(5) == decay(5.0) != decay(5, seconds=1)
    assert hash(decay(5)) == hash(decay(5.0))


def test_a_plan_does_what_the_plain_function_does() -> None:
    context = Context(clock=VirtualClock(), wall=lambda: DAY)
    beliefs = value_of(observe("rain", 2.0), context=context).beliefs
    assert beliefs == observed(Beliefs(), "rain", 2.0, origin=Origin(DAY, "observe 'rain'"))
    state = AgentState(beliefs=beliefs)
    assert value_of(decay(9, seconds=3), state).beliefs == decayed(beliefs, 9, seconds=3)
    later = Context(clock=VirtualClock(), wall=lambda: DAY + 9)
    assert value_of(decay(9), state, context=later).beliefs == decayed_until(beliefs, 9, DAY + 9)
    inferring = value_of(bayes("rain", if_true=0.5, if_false=0.1), state, context=context).beliefs
    here = Origin(DAY, "bayes 'rain'")
    assert inferring == inferred(beliefs, "rain", if_true=0.5, if_false=0.1, origin=here)
    aged = evolve(state, beliefs=Beliefs(half_life=5.0))
    assert value_of(refresh(), aged, context=later).beliefs == refreshed(aged.beliefs, DAY + 9)


def test_a_claim_is_a_text_and_a_step_outside_a_run_has_no_name() -> None:
    with pytest.raises(TypeError, match="a claim is a text, not 5"):
        observe(5, 1.0)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a claim is a text"):
        observed(Beliefs(), None, 1.0)  # type: ignore[arg-type]
    assert origin_of(Context(wall=lambda: 5.0)) == Origin(5.0, "", ())


# --- figures as plans ------------------------------------------------------------------------------------------------

CHANCE = lens(AgentState, lambda state: state.data["chance"])
OPEN = lens(AgentState, lambda state: state.data["open"])
TOP = lens(AgentState, lambda state: state.data["top"])
WHICH = lens(AgentState, lambda state: state.data["which"])


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(-30, 30)), max_size=8), st.sampled_from(KINDS))
def test_each_figure_is_a_plan_of_its_function(rows: list[tuple[str, float]], kind: Beliefs) -> None:
    beliefs = believed(kind, [Evidence(claim, amount, Origin(DAY)) for claim, amount in rows])
    state = AgentState(data={"which": "a"}, beliefs=beliefs)
    for claim, name in (("a", "a"), ("never heard of", "never heard of"), (WHICH, "a")):
        assert CHANCE.get(value_of(read_probability(claim, into=CHANCE), state)) == probability(beliefs, name)
        assert OPEN.get(value_of(read_entropy(claim, into=OPEN), state)) == entropy(beliefs, name)
    assert OPEN.get(value_of(read_entropy(into=OPEN), state)) == entropy(beliefs)
    for n in (None, 0, 2):
        assert TOP.get(value_of(read_strongest(n, into=TOP), state)) == strongest(beliefs, n)


def test_reading_touches_no_belief_and_goes_on_side_by_side() -> None:
    plan = read_probability("rain", into=CHANCE) & read_entropy(into=OPEN) & read_strongest(1, into=TOP)
    assert footprint(plan).reads == {(Attr("beliefs"),)}
    assert footprint(plan).writes == {(Attr("data"), Item(name)) for name in ("chance", "open", "top")}
    before = value_of(observe("rain", 2.0))
    after = value_of(plan, before)
    assert after.data["top"] == strongest(before.beliefs, 1)
    assert after.beliefs == before.beliefs


def test_what_ages_is_read_after_a_refresh() -> None:
    context = Context(clock=VirtualClock(), wall=lambda: DAY + 3600.0)
    state = AgentState(beliefs=believed(Beliefs(half_life=3600.0), [Evidence("rain", 4.0, Origin(DAY))]))
    plan = read_probability("rain", into=CHANCE) >> refresh() >> read_probability("rain", into=WHICH)
    data = value_of(plan, state, context=context).data
    assert (data["chance"], data["which"]) == (probability(moved(4.0), "rain"), probability(moved(2.0), "rain"))


def test_a_figure_is_kept_by_a_journal() -> None:
    journal = MemoryJournal(codecs=STATE_CODECS)
    plan = observe("rain", 2.0) >> read_strongest(into=TOP)
    first = run(plan, EMPTY, journal=journal).unwrap()
    torn = MemoryJournal(codecs=STATE_CODECS)
    torn.append_all(list(journal.entries())[:-1])
    assert run(plan, EMPTY, journal=torn).unwrap() == first


def test_figures_of_a_state_of_one_s_own() -> None:
    @frozen
    class Mind:
        held: Beliefs = field(factory=Beliefs)
        chance: float = 0.0

    held, chance = lens(Mind, lambda mind: mind.held), lens(Mind, lambda mind: mind.chance)
    mind = value_of(observe("rain", 2.0, beliefs=held) >> read_probability("rain", into=chance, beliefs=held), Mind())
    assert mind.chance == probability(mind.held, "rain")


def test_figures_that_are_asked_for_wrongly_are_refused_at_once() -> None:
    wrong: Any = "chance"
    with pytest.raises(PlanError, match="goes into a place of the state, given by a lens, not into 'chance'"):
        read_probability("rain", into=wrong)
    with pytest.raises(ValueError, match="wants a number of claims, not -1"):
        read_strongest(-1, into=TOP)
    with pytest.raises(TypeError, match="5"):
        read_entropy(5, into=OPEN)  # type: ignore[call-overload]
