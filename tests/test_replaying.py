"""Replays and forks: a run again with changed steps costs what changed, and gives what a fresh run would give."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import assume, given, seed, settings
from hypothesis import strategies as st

from lambdacat import (
    MemoryJournal,
    Plan,
    PlanError,
    Success,
    arun,
    bind,
    choose,
    fork,
    lens,
    loop_while,
    replay,
    resume,
    run,
    task,
)
from lambdacat.codec import Codecs
from lambdacat.interpreters.journal import past_of
from lambdacat.interpreters.replaying import NoEntry, edited
from lambdacat.testing import Sample, blurred, plans, possible, states, virtual_asyncio_run
from lambdacat.testing.proving import rotating_seed
from lambdacat.testing.sample import Circle, Point, Square

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
CODECS = Codecs(Sample, Point, Circle, Square)


def other_total(left: int, right: int) -> int:
    return (left + 2 * right + 1) % 97


def other_bump(state: Sample) -> Sample:
    return evolve(state, left=(state.left + 7) % 97)


def other_note(notes: tuple[str, ...]) -> tuple[str, ...]:
    return (*notes, "noted otherwise")


async def other_push(state: Sample) -> Sample:
    return evolve(state, items=(*state.items, state.right)[:4])


def refused(n: int) -> int:
    raise ValueError("changed")


EDITS: dict[str, Callable[..., Any]] = {
    "total": other_total,
    "nine": lambda: 4,
    "bump_left": other_bump,
    "note": other_note,
    "push_item": other_push,
    "refuse": lambda state: state,
    "add_one": refused,
    "refuse_odd": lambda n: n + 1,
    "triple": lambda n: (n + 5) % 97,
    "double": lambda n: (n + 2) % 97,
}


def agrees_with_a_fresh_run(plan: Plan[Sample, Sample], value: Sample, name: str) -> None:
    changed = {name: EDITS[name]}
    fresh = edited(plan, changed)
    assume(fresh != plan)
    assume(len(possible(plan, value)) == 1 == len(possible(fresh, value)))
    journal = MemoryJournal(codecs=CODECS)
    run(plan, value, journal=journal)
    made = virtual_asyncio_run(partial(replay, changed=changed), plan, journal)
    assert blurred(made.outcome) == blurred(run(fresh, value))


@given(plans(), states(), st.sampled_from(sorted(EDITS)))
def test_a_replay_gives_what_a_fresh_run_of_the_changed_plan_gives(
    plan: Plan[Sample, Sample], value: Sample, name: str
) -> None:
    agrees_with_a_fresh_run(plan, value, name)


@pytest.mark.sweep
def test_replays_agree_with_fresh_runs_at_full_count(capsys: pytest.CaptureFixture[str]) -> None:
    began, tried, start = time.perf_counter(), 0, rotating_seed()

    def one(plan: Plan[Sample, Sample], value: Sample, name: str) -> None:
        nonlocal tried
        agrees_with_a_fresh_run(plan, value, name)
        tried += 1

    batches = 0
    while tried < 10_000 and time.perf_counter() - began < SWEEP_SECONDS:
        batch = given(plans(), states(), st.sampled_from(sorted(EDITS)))(one)
        settings(max_examples=100, derandomize=False)(seed(start + batches)(batch))()
        batches += 1
    with capsys.disabled():
        print(f"\nreplays: {tried} in {time.perf_counter() - began:.1f} s, seed {start}", end="")


# --- what is performed -----------------------------------------------------------------------------------------------


@frozen
class Work:
    question: str = ""
    web: str = ""
    papers: str = ""
    answer: str = ""
    checked: int = 0


QUESTION = lens(Work, lambda w: w.question)
WEB = lens(Work, lambda w: w.web)
PAPERS = lens(Work, lambda w: w.papers)
ANSWER = lens(Work, lambda w: w.answer)
CHECKED = lens(Work, lambda w: w.checked)


@task(reads=QUESTION, writes=WEB)
def search_web(question: str) -> str:
    return f"web on {question}"


@task(reads=QUESTION, writes=PAPERS)
async def search_papers(question: str) -> str:
    return f"papers on {question}"


@task(reads=(WEB, PAPERS), writes=ANSWER)
def write(web: str, papers: str) -> str:
    return f"{web} and {papers}"


@task(reads=PAPERS, writes=CHECKED)
def check_papers(papers: str) -> int:
    return len(papers)


RESEARCH = (search_web & search_papers) >> (write & check_papers)


def recorded(plan: Plan[Any, Any], value: Any) -> MemoryJournal:
    journal = MemoryJournal("first")
    virtual_asyncio_run(partial(arun, journal=journal), plan, value)
    return journal


def replayed(plan: Plan[Any, Any], journal: MemoryJournal, **options: Any) -> Any:
    return virtual_asyncio_run(partial(replay, **options), plan, journal)


def test_only_the_changed_step_and_what_reads_its_places_are_performed() -> None:
    journal = recorded(RESEARCH, Work("sheaves"))
    made = replayed(RESEARCH, journal, changed={"search_web": lambda question: "a better page"})
    assert made.performed == ("search_web", "write")
    assert sorted(made.answered) == ["check_papers", "search_papers"]
    assert made.outcome.unwrap().answer == "a better page and papers on sheaves"


def test_a_replay_says_what_it_ran_and_what_it_saved() -> None:
    made = replayed(RESEARCH, recorded(RESEARCH, Work("x")), changed={"write"})
    assert str(made).startswith(
        "ran write; the journal answered for search_papers, search_web, check_papers, which took"
    )


def test_the_old_run_stays_as_it_is() -> None:
    journal = recorded(RESEARCH, Work("x"))
    before = journal.entries()
    replayed(RESEARCH, journal, changed={"write"})
    assert journal.entries() == before


def test_a_replay_that_is_kept_is_a_run_of_its_own() -> None:
    journal, kept = recorded(RESEARCH, Work("x")), MemoryJournal("second")
    made = replayed(RESEARCH, journal, changed={"write": lambda web, papers: "new"}, into=kept)
    past = past_of(kept)
    assert past is not None
    assert (past.run, past.begin["of"], past.status) == ("second", "first", "success")
    changed = edited(RESEARCH, {"write": lambda web, papers: "not run"})
    assert virtual_asyncio_run(resume, changed, kept) == made.outcome
    with pytest.raises(ValueError, match="has a run already"):
        replayed(RESEARCH, journal, changed={"write"}, into=kept)


def test_a_name_that_no_step_has_is_refused_with_a_hint() -> None:
    with pytest.raises(PlanError, match="no step 'serch_web'; did you mean 'search_web'"):
        replayed(RESEARCH, recorded(RESEARCH, Work()), changed={"serch_web"})


def test_steps_that_a_bind_made_are_performed_again_when_one_of_them_changed() -> None:
    plan = search_papers >> bind(lambda work: search_web) >> check_papers
    made = replayed(plan, recorded(plan, Work("x")), changed={"search_web"})
    assert made.performed == ("search_web", "check_papers")


def test_a_loop_carries_a_change_into_its_later_rounds() -> None:
    @task(reads=CHECKED, writes=CHECKED)
    def count(checked: int) -> int:
        return checked + 1

    plan = search_web >> loop_while(CHECKED.where(lambda n: n < 3), search_papers >> count)
    journal = recorded(plan, Work("x"))
    assert replayed(plan, journal, changed={"search_web"}).performed == ("search_web",)
    made = replayed(plan, journal, changed={"count": lambda checked: checked + 2})
    assert made.outcome.unwrap().checked == 4
    assert made.performed == ("count", "count")


def test_a_change_late_in_a_round_reaches_the_rounds_after_it_and_what_follows_the_loop() -> None:
    @task(reads=CHECKED, writes=CHECKED)
    def count(checked: int) -> int:
        return checked + 1

    @task(reads=WEB, writes=ANSWER)
    def uses(web: str) -> str:
        return f"{web}!"

    @task(reads=ANSWER, writes=PAPERS)
    def after(text: str) -> str:
        return f"{text}?"

    # In the first round ``uses`` stands before the change; in the second behind it.
    plan = (uses >> search_web >> count).loop_while(CHECKED.where(lambda n: n < 2)) >> after
    made = replayed(plan, recorded(plan, Work("x")), changed={"search_web": lambda question: f"new on {question}"})
    assert made.outcome.unwrap().papers == "new on x!?"
    assert {"uses", "search_web", "after"} <= set(made.performed)
    assert "count" not in made.performed


def test_a_choice_whose_selector_reads_the_change_runs_its_other_branch() -> None:
    plan = search_web >> choose(WEB, {"web on x": write}, default=check_papers)
    made = replayed(plan, recorded(plan, Work("x")), changed={"search_web": lambda question: "elsewhere"})
    assert made.performed == ("search_web", "check_papers")


# --- forks -----------------------------------------------------------------------------------------------------------


def test_a_fork_goes_on_from_the_middle_of_a_run() -> None:
    calls: list[str] = []

    @task(reads=(WEB, PAPERS), writes=ANSWER)
    def write(web: str, papers: str) -> str:
        calls.append("write")
        return f"{len(calls)}"

    plan = search_web >> search_papers >> write
    journal, other = recorded(plan, Work("x")), MemoryJournal("second")
    fork(journal, at="2", into=other)
    assert virtual_asyncio_run(resume, plan, other).unwrap().answer == "2"
    assert virtual_asyncio_run(resume, plan, journal) == Success(Work("x", "web on x", "papers on x", "1"))


def test_a_fork_at_a_failed_step_tries_it_again() -> None:
    broken = True

    @task(reads=QUESTION, writes=ANSWER)
    def flaky(question: str) -> str:
        if broken:
            raise ConnectionError("down")
        return "up"

    plan = search_web >> flaky
    journal = MemoryJournal("first")
    outcome = run(plan, Work("x"), journal=journal)
    broken = False
    assert blurred(run(plan, Work("x"), journal=journal)) == blurred(outcome), "what happened has happened"
    other = MemoryJournal("second")
    fork(journal, at="1", into=other)
    assert run(plan, Work("x"), journal=other).unwrap().answer == "up"


def test_a_fork_at_no_entry_is_refused_with_those_there_are() -> None:
    with pytest.raises(NoEntry, match="has no entry '7'; it has ''"):
        fork(recorded(search_web, Work()), at="7", into=MemoryJournal())
