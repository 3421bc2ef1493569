"""Schedules: what combinators promise of the delays that they give, for random schedules."""

import itertools
import random
from math import inf, isclose

from hypothesis import given
from hypothesis import strategies as st

from lambdacat import Exponential, Fixed, Schedule

SECONDS = st.floats(0, 100)
PLAIN: st.SearchStrategy[Schedule] = st.one_of(
    st.builds(Fixed, SECONDS),
    st.builds(
        lambda first, factor, cap: Exponential(first=first, factor=factor, cap=cap),
        st.floats(0.01, 100),
        st.floats(1, 10),
        st.just(inf) | st.floats(0.01, 1000),
    ),
)
SCHEDULES: st.SearchStrategy[Schedule] = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds(lambda schedule, n: schedule.times(n), inner, st.integers(0, 6)),
        st.builds(lambda schedule, total: schedule.up_to(total), inner, SECONDS),
        st.builds(lambda schedule, fraction: schedule.jittered(fraction), inner, st.floats(0, 1)),
        st.builds(lambda first, second: first.times(3).then(second), inner, inner),
    ),
    max_leaves=4,
)


@given(SCHEDULES, SECONDS, st.integers(0, 30))
def test_delays_up_to_a_total_stay_within_it_and_are_the_longest_such_row(
    schedule: Schedule, total: float, n: int
) -> None:
    every, kept = list(schedule.delays(n)), list(schedule.up_to(total).delays(n))
    assert sum(kept) <= total
    assert kept == every[: len(kept)]
    assert len(kept) == len(every) or sum(every[: len(kept) + 1]) > total


@given(SCHEDULES, st.integers(0, 9), st.integers(0, 30))
def test_a_number_of_times_cuts_delays_and_changes_none(schedule: Schedule, times: int, n: int) -> None:
    every = list(schedule.delays(n))
    assert list(schedule.times(times).delays(n)) == every[:times]


@given(SCHEDULES, st.floats(0, 1), st.integers(1, 12), st.integers())
def test_jitter_stays_within_its_fraction_and_changes_no_count(
    schedule: Schedule, fraction: float, attempt: int, seed: int
) -> None:
    plain = schedule.delay(attempt, random.Random(seed))
    varied = schedule.jittered(fraction).delay(attempt, random.Random(seed))
    if plain is None or varied is None:
        assert plain is varied
    else:
        assert plain * (1 - fraction) - 1e-9 <= varied <= plain * (1 + fraction) * (1 + 1e-9)


@given(SCHEDULES, st.integers(1, 40))
def test_after_the_last_delay_comes_none_for_ever(schedule: Schedule, attempt: int) -> None:
    found = [schedule.delay(one) for one in range(1, attempt + 1)]
    kept = list(itertools.takewhile(lambda delay: delay is not None, found))
    assert found[len(kept) :] == [None] * (attempt - len(kept))
    assert all(delay is not None and delay >= 0 for delay in kept)


@given(st.floats(0.01, 100), st.floats(1, 10), st.floats(0.01, 1000), st.integers(1, 30))
def test_exponential_delays_grow_by_their_factor_to_their_cap(
    first: float, factor: float, cap: float, attempt: int
) -> None:
    schedule = Exponential(first=first, factor=factor, cap=cap)
    before, after = schedule.delay(attempt), schedule.delay(attempt + 1)
    assert before is not None
    assert after is not None
    assert isclose(after, min(before * factor, cap), rel_tol=1e-9)
