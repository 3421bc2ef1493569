"""Faults and traces that go to another process: they say there what they said here."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import given

from lambdacat import Failure, Plan, Stopped, TimedOut, Trace, fail, focus, gather, run, traced, when
from lambdacat.fault import headline
from lambdacat.steps import each
from lambdacat.testing import Sample, plans, states


def sent(value: Any) -> Any:
    """The value after a journey to another process."""
    return pickle.loads(pickle.dumps(value))


def without_origin(text: str) -> list[str]:
    """A message without the line of code, which only a traceback knows, and the order of keys, which is anybody's."""
    lines = text.splitlines()
    return [re.sub(r"\{[^}]*\}|\.\.\.[^}]*\}", "{}", line) for line in lines if not line.startswith("  raised ")]


@given(plans(), states())
def test_a_fault_says_the_same_in_another_process(plan: Plan[Sample, Sample], state: Sample) -> None:
    outcome = run(plan, state)
    if isinstance(outcome, Failure):
        fault = outcome.failure()
        there = sent(fault)
        assert (there.at, there.parts, there.last, there.input) == (fault.at, fault.parts, fault.last, fault.input)
        assert headline(there) == headline(fault)
        assert without_origin(str(there)) == without_origin(str(fault))


@given(plans(), states())
def test_a_trace_is_drawn_the_same_in_another_process(plan: Plan[Sample, Sample], state: Sample) -> None:
    trace = traced(plan)(state).log
    there = sent(trace)
    assert type(there) is Trace
    values = [value for span in trace.spans for value in (span.input, span.output)]
    if all(len(value.table) < 2 for value in values if isinstance(value, Sample)):
        assert str(there) == str(trace)
    # A persistent map of several keys is shown in an order that is anybody's.
    assert [line.split("  ")[0] for line in str(there).splitlines()] == [
        line.split("  ")[0] for line in str(trace).splitlines()
    ]
    for one, two in zip(there.spans, trace.spans, strict=True):
        assert (one.at, one.parts) == (two.at, two.parts)
        # An exception that was sent is another one, and equal to no other.
        assert one.output == two.output or isinstance(two.output, Failure)


def test_a_fault_goes_where_its_plan_cannot() -> None:
    plan: Any = when(lambda n: n, focus(each, gather(fail(Stopped(reason="full")))), fail(Stopped(reason="empty")))
    with pytest.raises(Exception, match="lambda"):
        pickle.dumps(plan)
    fault = run(plan, (1, 2)).failure()
    there = sent(sent(fault))
    assert there == fault
    assert str(there) == str(fault)
    assert "part [0] of 2" in str(there)


@pytest.mark.parametrize("fault", [Stopped(reason="no"), TimedOut(seconds=1.0)], ids=lambda f: type(f).__name__)
def test_what_was_never_given_is_not_shown(fault: Any) -> None:
    assert (sent(fault), sent(fault).last, str(sent(fault))) == (fault, None, str(fault))
    assert "last" not in str(sent(fault))


def test_the_pickle_of_a_deep_fault_grows_with_its_path_alone() -> None:
    def deep(n: int) -> int:
        plan: Any = fail(Stopped(reason="x"))
        for _ in range(n):
            plan = when(bool, plan, fail(Stopped(reason="y")))
        return len(pickle.dumps(run(plan, 1).failure()))

    assert deep(2000) < 2.2 * deep(1000)
