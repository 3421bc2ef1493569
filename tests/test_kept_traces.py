"""Traces of which only some spans are kept: which, and what is still known of the others."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from attrs import evolve
from clocks import Runner, on_both
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    FIRST_COMPLETED,
    Plan,
    Span,
    Total,
    Trace,
    atraced,
    each,
    focus,
    gather,
    identity,
    parallel,
    pure,
    render,
    task,
    traced,
    when,
)
from lambdacat.testing import Sample, blurred, plans, states, virtual_asyncio_run


@task
def up(n: int) -> int:
    return n + 1


@task
async def nap(n: int) -> int:
    await anyio.sleep(2)
    return n + 1


@task
def fails(n: int) -> int:
    raise ValueError(n)


def twice(n: int) -> tuple[int, ...]:
    return (n, n)


def largest(row: tuple[int, ...]) -> int:
    return max(row)


# Choices, faults, retries and parts in a loop, and a race whose later branches are never started.
PAIRED: Plan[int, int] = pure(twice) >> focus(each, up >> identity) >> pure(largest)
MIXED: Plan[int, int] = when(
    lambda n: n % 3 == 0,
    (fails.retry(1) | up),
    otherwise=PAIRED,
).loop_while(lambda n: n < 40) >> parallel(up, up, policy=FIRST_COMPLETED)


def chosen(whole: tuple[Span, ...], keep: int) -> list[Span]:
    """By the definition: of each node the first and the latest, and what those stand in."""
    rows: dict[Any, list[int]] = {}
    for span in whole:
        rows.setdefault((span.at, span.name), []).append(span.id)
    wanted = {number for row in rows.values() for number in (*row[:keep], *row[-keep:])}
    for span in reversed(whole):
        if span.id in wanted and span.parent is not None:
            wanted.add(span.parent)
    return [span for span in whole if span.id in wanted]


def told(spans: Any) -> list[str]:
    """In words: two runs raise two exceptions, which are not equal."""
    return list(map(repr, spans))


def timeless(spans: Any) -> list[str]:
    """Without start and end: a straight run that is kept whole reads the clock half as often."""
    return told(evolve(span, start=0.0, end=0.0) for span in spans)


def counts(trace: Trace) -> list[Total]:
    return [evolve(total, seconds=0.0) for total in trace.totals]


def assert_kept(whole: Trace, kept: Trace, keep: int) -> None:
    assert timeless(kept.spans) == timeless(chosen(whole.spans, keep))
    assert counts(kept) == counts(whole)
    assert kept.left_out == len(whole.spans) - len(kept.spans)


@pytest.mark.parametrize("keep", [1, 2, 7, 1000])
def test_what_is_kept_is_the_whole_trace_held_to_the_first_and_the_latest_of_each_node(keep: int) -> None:
    """R-S3, A50."""
    assert_kept(traced(MIXED)(0).log, traced(MIXED, keep=keep)(0).log, keep)


@given(plan=plans(), value=states(), keep=st.integers(1, 3))
def test_a_kept_trace_of_any_plan_is_the_whole_one_with_gaps(plan: Plan[Sample, Sample], value: Any, keep: int) -> None:
    whole, kept = traced(plan)(value), traced(plan, keep=keep)(value)
    assert blurred(kept.value) == blurred(whole.value)
    assert_kept(whole.log, kept.log, keep)


@given(plan=plans(), value=states(), keep=st.integers(1, 3))
def test_so_it_is_side_by_side(plan: Plan[Sample, Sample], value: Any, keep: int) -> None:
    whole, kept = (virtual_asyncio_run(atraced(plan, keep=n), value).log for n in (None, keep))
    assert told(kept.spans) == told(chosen(whole.spans, keep))
    assert counts(kept) == counts(whole)


@on_both
def test_seconds_and_costs_of_what_was_left_out_are_in_the_totals(on: Runner) -> None:
    @task
    async def spend(n: int, ctx: Any) -> int:
        ctx.spend(tokens=3, money=0.5)
        await anyio.sleep(4)
        return n

    loop = (gather(nap, spend) >> pure(max)).loop_while(lambda n: n < 20)
    arrow: Callable[[int], Awaitable[Any]] = atraced(loop, keep=2)
    trace = on(lambda: arrow(0)).log
    totals = {total.name: (total.count, total.seconds, total.tokens, total.money) for total in trace.totals}
    assert totals["nap"] == (20, 40.0, 0, 0.0)
    assert totals["spend"] == (20, 80.0, 60, 10.0)
    assert sum(span.name == "nap" for span in trace.spans) == 4
    assert trace.left_out == 20 * 5 + 1 - len(trace.spans)


def test_a_part_that_is_open_while_others_push_it_out_is_counted_when_it_ends() -> None:
    plan: Plan[tuple[int, ...], tuple[int, ...]] = focus(each, nap)
    trace = virtual_asyncio_run(atraced(plan, keep=1), tuple(range(50))).log
    [_, total] = trace.totals
    assert (total.count, total.seconds) == (50, 100.0)
    assert [span.parts for span in trace.spans] == [(), ((0, 50),), ((49, 50),)]


def test_a_picture_says_what_is_not_on_it() -> None:
    trace = traced(up.loop_while(lambda n: n < 100), keep=2)(0).log
    drawn = str(trace)
    assert drawn.startswith("5 of 101 spans in ")
    assert "\n96 spans are not drawn; with them there were\n" in drawn
    assert "\n         100 of up, " in drawn
    assert "  title 5 of 101 spans, in " in render(trace, "mermaid")
    assert repr(trace) == "Trace(5 of 101 spans)"


def test_a_trace_that_has_everything_says_nothing_of_it() -> None:
    whole, kept = (traced(up >> up, keep=keep)(0).log for keep in (None, 1))
    assert (whole.left_out, kept.left_out) == (0, 0)
    assert "not drawn" not in str(kept)
    assert [total.count for total in whole.totals] == [1, 1, 1]


def test_traces_with_gaps_are_a_monoid_too() -> None:
    one, two, three = (traced(up.loop_while(lambda n: n < 9), keep=1)(n).log for n in (1, 2, 3))
    assert (one + two) + three == one + (two + three)
    assert counts(Trace() + one) == counts(one) == counts(one + Trace())
    assert (one + two).left_out == one.left_out + two.left_out
    [_, total] = (one + two + three).totals
    assert total.count == 8 + 7 + 6


def test_a_trace_with_gaps_survives_copying() -> None:
    trace = traced(up.loop_while(lambda n: n < 9), keep=1)(0).log
    assert pickle.loads(pickle.dumps(trace)) == trace == copy.deepcopy(trace)
    assert trace != Trace(trace.spans)


@pytest.mark.parametrize("make", [traced, atraced])
def test_nothing_can_be_kept_of_nothing(make: Any) -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        make(up, keep=0)
