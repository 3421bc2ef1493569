"""Steps in flight: what a run was in the middle of can be named, with its key, before anything is performed again."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from runs_shell import FILE, Say, Spec, begin, data, processes, say, spec

from lambdacat import (
    Context,
    Fixed,
    MemoryJournal,
    Plan,
    arun,
    ask,
    fork,
    in_flight,
    lens,
    run,
    task,
)
from lambdacat.codec import Codecs
from lambdacat.interpreters.in_flight import sent_key
from lambdacat.interpreters.journal import past_of
from lambdacat.testing import Sample, VirtualClock, plans, states, virtual_asyncio_run
from lambdacat.testing.sample import Circle, Point, Square

__all__ = ["begin", "processes", "say", "spec"]
CODECS = Codecs(Sample, Point, Circle, Square)


@frozen
class State:
    a: int = 0
    b: int = 0
    c: int = 0


A, B, C = lens(State, lambda s: s.a), lens(State, lambda s: s.b), lens(State, lambda s: s.c)


class Calls:
    """What steps sent along, in order; the process dies at one of the calls."""

    def __init__(self, dies_at: int) -> None:
        self.sent: list[tuple[str, str]] = []
        self.dies_at = dies_at

    def __call__(self, n: int, ctx: Context) -> int:
        self.sent.append((ctx.step, ctx.idempotency_key))
        if len(self.sent) == self.dies_at:
            raise KeyboardInterrupt
        return n + 1


def steps(calls: Calls) -> Plan[State, State]:
    one = task(reads=A, writes=A, name="one")(calls)
    two = task(reads=B, writes=B, name="two")(calls)
    return two >> (one & two) >> one.loop_while(A.where(lambda n: n < 5)) >> two.timeout(9)


@pytest.mark.parametrize("dies_at", range(1, 9))
def test_the_step_that_a_process_died_in_is_named_with_the_key_that_it_sent(dies_at: int) -> None:
    calls, journal = Calls(dies_at), MemoryJournal("monday")
    plan = steps(calls)
    with pytest.raises(KeyboardInterrupt):
        run(plan, State(), journal=journal)
    found = [(each.name, each.idempotency_key) for each in in_flight(plan, journal)]
    assert calls.sent[-1] in found
    assert len(found) == (2 if dies_at == 2 else 1)
    assert len(calls.sent) == dies_at, "to look performs nothing"
    assert [(d["name"], key) for d, key in zip(done(journal), sent(journal), strict=True)] == calls.sent[:-1]


def done(journal: Any) -> list[dict[str, Any]]:
    past = past_of(journal)
    return [] if past is None else [d for d in past.documents if d["kind"] == "done"]


def sent(journal: Any) -> list[str | None]:
    past = past_of(journal)
    return [] if past is None else [sent_key(past, d) for d in done(journal)]


@given(plans(), states(), st.integers(0, 12))
def test_what_a_resume_performs_first_was_in_flight(plan: Plan[Sample, Sample], value: Sample, last: int) -> None:
    whole = MemoryJournal("monday", codecs=CODECS)
    run(plan, value, journal=whole)
    for runner in (run, partial(virtual_asyncio_run, arun)):
        torn = MemoryJournal("monday", codecs=CODECS)
        torn.append_all(list(whole.entries())[: last + 1])
        before = len(done(torn))
        keys = [each.key for each in in_flight(plan, torn)]
        if runner is run:
            run(plan, value, journal=torn)
        else:
            virtual_asyncio_run(partial(arun, journal=torn), plan, value)
        fresh = [d["key"] for d in done(torn)[before:]]
        assert not fresh or fresh[0] in keys


def test_what_waits_is_not_in_flight_and_holds_nothing_beside_it_back() -> None:
    calls = Calls(0)

    @task(reads=B, writes=B)
    def down(b: int) -> int:
        raise ConnectionError("down")

    one = task(reads=A, writes=A, name="one")(calls).timeout(0.001)
    plan = ask("how many?", into=C) & down.retry(Fixed(3600).times(3)) & one
    whole = MemoryJournal("monday")
    run(plan, State(), journal=whole, context=Context(clock=VirtualClock()))
    kinds = [json.loads(entry[33:])["kind"] for entry in whole.entries()]
    assert kinds[:5] == ["begin", "asked", "done", "wait", "woke"]
    named, keys = [], set(sent(whole)[:2])
    for length in range(1, 6):
        torn = MemoryJournal("monday")
        torn.append_all(list(whole.entries())[:length])
        found = in_flight(plan, torn)
        named.append([each.name for each in found])
        keys |= {each.idempotency_key for each in found if each.name == "down"}
    assert named == [["down", "one"], ["down", "one"], ["one"], ["one"], ["down", "one"]]
    assert len(keys) == 1, "every attempt sends the same key"


def test_a_run_made_from_another_has_keys_of_its_own_for_what_it_performs() -> None:
    calls, journal, branch = Calls(0), MemoryJournal("monday"), MemoryJournal("tuesday")
    plan = steps(calls)
    run(plan, State(), journal=journal)
    fork(journal, at="2/loop#2", into=branch)
    [step] = in_flight(plan, branch)
    before = len(calls.sent)
    run(plan, State(), journal=branch)
    assert calls.sent[before] == (step.name, step.idempotency_key)
    assert sent(branch) == [None] * 4 + [key for _, key in calls.sent[before:]]


def test_a_run_that_has_ended_or_goes_another_way_has_nothing_in_flight() -> None:
    calls, journal = Calls(0), MemoryJournal("monday")
    plan = steps(calls)
    assert in_flight(plan, journal) == ()
    run(plan, State(), journal=journal)
    assert in_flight(plan, journal) == ()


# --- on a command line -----------------------------------------------------------------------------------------------


def test_show_names_the_step_that_a_killed_process_was_in(say: Say, spec: Spec, processes: Any) -> None:
    """Its effect may have happened; the key is what to ask the service for."""
    process = processes("run", spec("keyed"), "--journal", FILE, "--run-id", "a")
    process.until("asleep").told(signal.SIGKILL).ended()
    sent = Path("done").read_text().split()
    shown = say("runs", "show", FILE, "a", "--plan", spec("keyed"))[1]
    assert f"in flight\nstep  key  idempotency key\ncall  1    {sent[-1]}\n" in shown
    told = data(say("runs", "show", FILE, "a", "--plan", spec("keyed"), "--json"))
    assert told["in_flight"] == [{"key": "1", "name": "call", "idempotency_key": sent[-1]}]
    assert [each.get("idempotency_key") for each in told["entries"]] == [None, sent[0]]
    assert "the same with --plan PLAN" in say("runs", "show", FILE, "a")[1]
    assert Path("done").read_text().split() == sent
