"""A focus over several parts: faults, events and pictures say in which part something happened."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest
from clocks import Runner, on_asyncio, on_both
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    Failure,
    Finished,
    Plan,
    Started,
    Trace,
    arun,
    atraced,
    each,
    focus,
    gather,
    lens,
    run,
    task,
    traced,
)
from lambdacat.drawing import render


@task
async def fetch(url: str) -> str:
    await anyio.sleep(1 if url != "b" else 0.5)
    if url == "b":
        raise OSError(f"no {url}")
    return url


@task
def refuse(n: int) -> int:
    if n < 0:
        raise ValueError(n)
    return n


@on_both
def test_a_fault_says_which_part_it_happened_in(on: Runner) -> None:
    for inside in (fetch, fetch >> fetch, fetch.retry(1)):
        fault = on(lambda plan=inside: arun(focus(each, plan), ("a", "b", "c"))).failure()
        assert fault.parts == ((1, 3),)
        assert fault.at[0] == "focus"
        assert "part [1] of 3: " in str(fault)


@given(st.lists(st.lists(st.integers(0, 1).map(lambda n: -n), max_size=3), max_size=3))
def test_the_parts_of_a_fault_lead_to_the_item_that_was_refused(rows: list[list[int]]) -> None:
    value: Any = tuple(map(tuple, rows))
    plan: Plan[Any, Any] = focus(each, focus(each, refuse))
    outcome = run(plan, value)
    if isinstance(outcome, Failure):
        (row, of), (item, count) = outcome.failure().parts
        assert (of, count) == (len(rows), len(rows[row]))
        assert rows[row][item] == outcome.failure().input == -1
    else:
        assert all(item == 0 for row in rows for item in row)


def test_events_and_spans_say_which_part_and_others_say_none() -> None:
    seen: list[Any] = []
    first = lens(tuple[int, int], lambda row: row[0])
    both: Any = gather(focus(each, refuse), focus(first, refuse))
    run(both, (5, 6), observers=[seen.append])
    told = [(event.name, event.parts) for event in seen if isinstance(event, Started) and event.name == "refuse"]
    assert told == [("refuse", ((0, 2),)), ("refuse", ((1, 2),)), ("refuse", ())]
    assert [event.parts for event in seen if isinstance(event, Finished) and event.name == "refuse"] == [
        ((0, 2),),
        ((1, 2),),
        (),
    ]
    spans = traced(focus(each, refuse))((5, 6)).log.spans
    assert [span.parts for span in spans] == [(), ((0, 2),), ((1, 2),)]


def test_what_was_never_started_is_told_apart_as_well() -> None:
    spans = traced(focus(each, refuse))((5, -6, 7)).log.spans
    assert [(span.parts, span.status) for span in spans[1:]] == [
        (((0, 3),), "succeeded"),
        (((1, 3),), "failed"),
        (((2, 3),), "skipped"),
    ]


# --- pictures of what happened ---------------------------------------------------------------------------------------

LINE = re.compile(r"\|.{40}\| +(\S+) +(\S+) \S+  ( *)(.*)")


def rows_of(trace: Trace) -> list[tuple[int, str]]:
    """The level and the words of each line of a picture."""
    found = [LINE.fullmatch(line) for line in render(trace).splitlines()[1:]]
    return [(len(row[3]) // 2, row[4]) for row in found if row is not None]


@pytest.mark.parametrize("count", [1, 2])
def test_every_line_stands_below_its_parent_even_in_a_sum_of_traces(count: int) -> None:
    async def main() -> Trace:
        plan: Any = gather(focus(each, fetch >> fetch), focus(each, fetch))
        made = [(await atraced(plan)(("a", "c", "d"))).log for _ in range(count)]
        return sum(made[1:], made[0])

    trace = on_asyncio(main)
    levels = [level for level, _ in rows_of(trace)]
    assert len(levels) == len(trace.spans)
    assert levels == count * [0, 1, 2, 3, 3, 2, 3, 3, 2, 3, 3, 1, 2, 2, 2]
    names = [words for _, words in rows_of(trace)]
    assert names[2] == "sequence (part [0] of 3)"
    assert names[12:15] == [f"fetch (part [{i}] of 3)" for i in range(3)]
