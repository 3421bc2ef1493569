"""Time or turns used up in the middle of a plan: a fault that names its node, and the trace up to there, as it was."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from attrs import frozen
from hypothesis import strategies as st

from lambdacat import (
    Context,
    Failure,
    LoopLimit,
    Outcome,
    Plan,
    Span,
    Success,
    TimedOut,
    atraced,
    identity,
    loop_while,
    sequence,
    task,
    traced,
)
from lambdacat.bound import Timeout
from lambdacat.plan import Parallel, Within
from lambdacat.structure import located, nodes
from lambdacat.testing import Sample, Slow, VirtualClock, blurred, plans, states, virtual_run
from lambdacat.testing import actions as act
from lambdacat.testing.proving import Claim, Draw, law_name, prove, rotating_seed
from lambdacat.testing.sample import LEFT, RIGHT
from lambdacat.testing.strategies import LEAVES

States = Plan[Sample, Sample]
Leaves = tuple[States, ...]

NEVER = 5e6
"""Units: seconds of a timeout that never passes."""


@frozen
class Story:
    """What a watched run ended with, and what is written down of it."""

    outcome: Outcome[Any]
    spans: tuple[Span, ...]


# --- three ways to keep a trace on virtual time ----------------------------------------------------------------------


def _naps(seconds: float) -> Leaves:
    """Async actions that take so long."""
    return (
        task(name=f"nap {seconds:g}")(Slow(act.bump_left, seconds)),
        task(reads=LEFT, writes=RIGHT, name=f"nap {seconds:g} and double")(Slow(act.double, seconds)),
        task(reads=RIGHT, writes=LEFT, name=f"nap {seconds:g} and refuse odd")(Slow(act.refuse_odd, seconds)),
    )


def _moves(seconds: float) -> Leaves:
    """Plain actions that take so long, on the clock of a run in one thread."""

    def moving(action: Callable[[Any], Any]) -> Callable[[Any, Context], Any]:
        def move(value: Any, ctx: Context) -> Any:
            clock: Any = ctx.clock
            clock.sleep(seconds)
            return action(value)

        return move

    return (
        task(name=f"move {seconds:g}", blocking="inline")(moving(act.bump_left)),
        task(reads=LEFT, writes=RIGHT, name=f"move {seconds:g} and double", blocking="inline")(moving(act.double)),
        task(reads=RIGHT, writes=LEFT, name=f"move {seconds:g} and refuse", blocking="inline")(moving(act.refuse_odd)),
    )


def _traced(plan: States, value: Sample) -> Story:
    made = traced(plan, context=Context(clock=VirtualClock()))(value)
    return Story(made.value, made.log.spans)


def _atraced(backend: Any) -> Callable[[States, Sample], Story]:
    def way(plan: States, value: Sample) -> Story:
        made = virtual_run(atraced(plan), value, backend=backend)
        return Story(made.value, made.log.spans)

    return way


@frozen
class Way:
    """An interpreter that keeps a trace, and actions that take time under it."""

    tell: Callable[[States, Sample], Story]
    leaves: Leaves
    overlaps: bool = True
    """Whether branches run side by side, and an action is cut off in its middle."""
    shuffles: bool = False
    """Whether what is ready in one tick runs in any order, so that plans with forks differ from run to run."""

    def plans(self) -> st.SearchStrategy[States]:
        """Plans of such actions, most of which take time."""
        drawn = plans(leaves=self.leaves)
        return drawn.filter(lambda plan: not forks(plan)) if self.shuffles else drawn


def forks(plan: States) -> bool:
    """Whether several branches or parts may run side by side."""
    return any(isinstance(node, Parallel) or "[*]" in node.name or "each" in node.name for node in nodes(plan))


NAPS = tuple(nap for seconds in (1.0, 2.0, 0.0) for nap in _naps(seconds))
MOVES = tuple(move for seconds in (1.0, 2.0, 0.0) for move in _moves(seconds))
WAYS = {
    "traced": Way(_traced, (*MOVES, *LEAVES[:4]), overlaps=False),
    "atraced on asyncio": Way(_atraced("asyncio"), (*NAPS, *LEAVES[:4])),
    "atraced on trio": Way(_atraced("trio"), (*NAPS, *LEAVES[:4]), shuffles=True),
}
ways = pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))


def is_action(span: Span) -> bool:
    return span.status != "skipped" and span.name.startswith(("nap", "move", "nine", "bump_left", "mirror"))


def begun(span: Span) -> Any:
    """What is known of a span when it begins; which exception object a fault in its input holds is left out."""
    return span.at, span.start, span.attempt, blurred(span.input)


def whole(span: Span) -> Any:
    """All of a span but its words, in which a timeout has its seconds."""
    fault = span.fault
    return *begun(span), span.end, span.status, blurred(span.output), fault and (blurred(fault), fault.at)


SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "20"))
"""For each law and interpreter."""


def prove_fully(name: str, claim: Claim) -> None:
    """On 2,000 examples, or as many as there is time for, from a seed that is printed."""
    began, tried, start = time.perf_counter(), 0, rotating_seed()
    while tried < 2_000 and time.perf_counter() - began < SWEEP_SECONDS:
        tried += prove(name, claim, max_examples=100, start=start + tried)
    print(f"{name}: {tried} in {time.perf_counter() - began:.1f} s, seed {start}")


# --- time ------------------------------------------------------------------------------------------------------------


@frozen
class Cut:
    """A run with a timeout in its middle, and the same run without it."""

    at: tuple[str | int, ...]
    """Where the timeout stands."""
    owner: States
    seconds: float
    cut: Story
    full: Story


def cut_in(draw: Draw, way: Way) -> Cut:
    """No action ends between two whole seconds, so nothing but the timeout happens at its instant."""
    leaf, timed, plan = st.sampled_from(way.leaves), st.sampled_from(way.leaves[:6]), way.plans()
    before, work, after = draw(leaf), draw(timed) >> draw(plan) if draw(st.booleans()) else draw(plan), draw(leaf)
    value, seconds = draw(states()), draw(st.integers(0, 2)) + 0.5
    owner = work.timeout(seconds)
    assert isinstance(owner, Within)
    assert owner.bound == Timeout(seconds)
    cut, full = before >> owner >> after, before >> work.timeout(NEVER) >> after
    return Cut(place_of(owner, cut), owner, seconds, way.tell(cut, value), way.tell(full, value))


def place_of(wanted: States, plan: States) -> tuple[str | int, ...]:
    """The path of a node that stands in a plan once."""
    (at,) = (at for at, node in located(plan) if node is wanted)
    return at


def a_timeout_names_its_node_and_keeps_what_was_before(way: Way, draw: Draw) -> None:
    """Until the timeout passes it changes nothing; then the run ends with it."""
    one = cut_in(draw, way)
    fault = one.cut.outcome.failure() if isinstance(one.cut.outcome, Failure) else None
    opened = next((span for span in one.cut.spans if span.at == one.at), None)
    if not isinstance(fault, TimedOut):
        # In one thread an action that fails too late has still failed.
        in_time = opened is None or opened.end < opened.start + one.seconds
        assert in_time or (opened is not None and opened.status == "failed" and not way.overlaps)
        assert list(map(whole, one.cut.spans)) == list(map(whole, one.full.spans))
        return
    assert (fault.at, fault.name, fault.seconds) == (one.at, one.owner.name, one.seconds)
    assert opened is not None
    assert (opened.status, opened.fault) == ("failed", fault)
    instant = opened.start + one.seconds
    assert fault.late == opened.end - instant
    assert fault.late == 0 or not way.overlaps
    the_actions_are_the_same_up_to(instant, way, one)
    if way.overlaps:
        the_nodes_say_how_they_ended(instant, opened, one)


def the_actions_are_the_same_up_to(instant: float, way: Way, one: Cut) -> None:
    """At the same times on the same values; in one thread the last one goes on to its end."""
    early = [span for span in one.cut.spans if is_action(span)]
    those = [span for span in one.full.spans if is_action(span) and span.start < instant]
    assert list(map(begun, early)) == list(map(begun, those))
    for ours, theirs in zip(early, those, strict=True):
        if way.overlaps and theirs.end > instant:
            assert (ours.status, ours.end, ours.output) == ("cancelled", instant, None)
        else:
            assert whole(ours) == whole(theirs)


def the_nodes_say_how_they_ended(instant: float, opened: Span, one: Cut) -> None:
    """Inside the timeout what is open is cancelled at its instant; outside, the fault passes."""
    full = {(begun(span), span.id): span for span in one.full.spans}
    for span in one.cut.spans:
        theirs = full[begun(span), span.id]
        if opened.at[: len(span.at)] == span.at:
            assert (span.status, span.end) == ("failed", instant)
            assert isinstance(span.fault, TimedOut)
        elif theirs.end < instant:
            assert whole(span) == whole(theirs)
        else:
            assert (span.status, span.end, span.output) == ("cancelled", instant, None)


@ways
def test_a_run_that_time_cuts_off_names_the_node_and_is_the_whole_run_up_to_there(way: Way) -> None:
    """CASES A24."""
    claim = partial(a_timeout_names_its_node_and_keeps_what_was_before, way)
    prove(law_name(a_timeout_names_its_node_and_keeps_what_was_before), claim, max_examples=12)


@pytest.mark.sweep
@ways
def test_a_run_that_time_cuts_off_at_full_count(way: Way) -> None:
    """CASES A24."""
    claim = partial(a_timeout_names_its_node_and_keeps_what_was_before, way)
    prove_fully(law_name(a_timeout_names_its_node_and_keeps_what_was_before), claim)


@pytest.mark.parametrize("inside", [1, 2])
def test_the_nodes_around_a_timeout_in_one_thread_end_as_they_end(inside: int) -> None:
    """CASES A24: outside it nothing is cancelled; inside it what is open ends when it is cut off."""
    move = _moves(1.0)[0]
    plan = identity.named("before") >> (sequence(*[move] * inside).timeout(0.5) | identity.named("after"))
    story = _traced(plan, Sample())
    assert isinstance(story.outcome, Success)
    assert [(span.at, span.status, span.end) for span in story.spans if not is_action(span)] == [
        ((), "succeeded", 1.0),
        ((0,), "succeeded", 0.0),
        ((1,), "succeeded", 1.0),
        ((1, "try"), "failed", 1.0),
        *[((1, "try", "timeout"), "cancelled", 1.0)] * (inside - 1),
        ((1, "or"), "succeeded", 1.0),
    ]


# --- turns -----------------------------------------------------------------------------------------------------------


def always(_: Sample) -> bool:
    """True."""
    return True


def a_spent_loop_names_itself_and_keeps_its_turns(way: Way, draw: Draw) -> None:
    """Up to its last turn it is the loop that takes the value as it is."""
    leaf, body, turns, value = st.sampled_from(way.leaves), draw(way.plans()), draw(st.integers(0, 3)), draw(states())
    before, after = draw(leaf), draw(leaf)
    loops = [loop_while(always, body, at_most=turns, then=then) for then in (None, identity)]
    spent, going = (before >> loop >> after for loop in loops)
    ours, theirs = way.tell(spent, value), way.tell(going, value)
    at = place_of(loops[0], spent)
    loop = next((span for span in theirs.spans if span.at == at), None)
    if loop is None or loop.status != "succeeded":
        assert list(map(whole, ours.spans)) == list(map(whole, theirs.spans))
        return
    assert isinstance(ours.outcome, Failure)
    fault = ours.outcome.failure()
    assert isinstance(fault, LoopLimit)
    assert (fault.at, fault.name, fault.at_most, fault.value) == (at, loop.name, turns, loop.output)
    if body is not identity:
        assert sum(span.at == (*at, "loop") for span in ours.spans) == turns
    after_it = [span for span in theirs.spans if len(at) and span.at[:1] > at[:1]]
    assert len(ours.spans) == len(theirs.spans) - len(after_it)
    for one, same in zip(ours.spans, theirs.spans, strict=False):
        assert begun(one) == begun(same)
        if at[: len(one.at)] == one.at:
            assert (one.status, one.end, one.fault) == ("failed", loop.end, fault)
        else:
            assert whole(one) == whole(same)


@ways
def test_a_loop_that_is_spent_names_itself_and_its_turns_are_in_the_trace(way: Way) -> None:
    """CASES A24."""
    claim = partial(a_spent_loop_names_itself_and_keeps_its_turns, way)
    prove(law_name(a_spent_loop_names_itself_and_keeps_its_turns), claim, max_examples=8)


@pytest.mark.sweep
@ways
def test_a_loop_that_is_spent_at_full_count(way: Way) -> None:
    """CASES A24."""
    claim = partial(a_spent_loop_names_itself_and_keeps_its_turns, way)
    prove_fully(law_name(a_spent_loop_names_itself_and_keeps_its_turns), claim)
