"""Questions: a run stands still where it must, goes on everywhere else, and no order of answers matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from itertools import permutations
from typing import Any

import pytest
from attrs import evolve, frozen

from lambdacat import (
    FIRST_COMPLETED,
    SETTLED,
    Failure,
    Outcome,
    Plan,
    PlanError,
    Quorum,
    Refused,
    Success,
    TimedOut,
    Waiting,
    answer,
    approve,
    arun,
    ask,
    lens,
    parallel,
    questions,
    resume,
    run,
    sleep_until,
    task,
    traced,
)
from lambdacat.interpreters.journal import MemoryJournal
from lambdacat.testing import VirtualClock, virtual_asyncio_run, virtual_trio_run


@frozen
class Page:
    title: str = ""
    words: int = 0
    a: str = ""
    b: str = ""
    c: str = ""
    d: str = ""
    e: str = ""


TITLE = lens(Page, lambda p: p.title)
WORDS = lens(Page, lambda p: p.words)
FIELDS = {
    "a": lens(Page, lambda p: p.a),
    "b": lens(Page, lambda p: p.b),
    "c": lens(Page, lambda p: p.c),
    "d": lens(Page, lambda p: p.d),
    "e": lens(Page, lambda p: p.e),
}

Pages = Plan[Page, Page]


@task(reads=WORDS, writes=WORDS)
def more(words: int) -> int:
    return words + 1


def on_asyncio(plan: Pages, value: Page, journal: Any) -> Outcome[Page]:
    return virtual_asyncio_run(partial(arun, journal=journal), plan, value)


def on_trio(plan: Pages, value: Page, journal: Any) -> Outcome[Page]:
    return virtual_trio_run(partial(arun, journal=journal), plan, value)


def in_thread(plan: Pages, value: Page, journal: Any) -> Outcome[Page]:
    return run(plan, value, journal=journal)


RUNNERS = pytest.mark.parametrize("runner", [in_thread, on_asyncio, on_trio])


def open_questions(outcome: Outcome[Page]) -> list[str]:
    match outcome:
        case Failure(Waiting(questions=asked)):
            return [question.text for question in asked]
        case _:
            raise AssertionError(f"{outcome} does not wait")


def all_at_once(names: str) -> Pages:
    return reduce(lambda p, q: p & q, [ask(f"{name}?", into=FIELDS[name]) for name in names])


@RUNNERS
def test_every_order_of_answers_gives_the_same_state(runner: Any) -> None:
    plan = more >> all_at_once("abcd") >> more
    ends = set()
    for order in permutations("abcd"):
        journal = MemoryJournal()
        outcome = runner(plan, Page(), journal)
        for index, name in enumerate(order):
            assert open_questions(outcome) == [f"{other}?" for other in "abcd" if other not in order[:index]]
            key = next(key for key, asked in questions(journal).items() if asked["text"] == f"{name}?")
            assert answer(journal, key, name.upper())
            outcome = runner(plan, Page(), journal)
        ends.add(outcome.unwrap())
    assert ends == {Page(words=2, a="A", b="B", c="C", d="D")}


def resumed_in(order: Iterable[str], plan: Pages, runner: Any) -> Page:
    """The state after answers in this order, the run resumed after each."""
    journal = MemoryJournal()
    runner(plan, Page(), journal)
    keys = {asked["text"]: key for key, asked in questions(journal).items()}
    outcomes = []
    for name in order:
        assert answer(journal, keys[f"{name}?"], name.upper())
        outcomes.append(runner(plan, Page(), journal))
    assert all(isinstance(outcome, Failure) for outcome in outcomes[:-1]), "one that waits is waited for"
    page: Page = outcomes[-1].unwrap()
    return page


THREE = Page(words=1, a="A", b="B", c="C")
FIVE = Page(words=1, a="A", b="B", c="C", d="D", e="E")


@RUNNERS
def test_every_resume_order_of_three_and_some_of_five_give_the_same_state(runner: Any) -> None:
    three, five = all_at_once("abc") >> more, all_at_once("abcde") >> more
    assert {resumed_in(order, three, runner) for order in permutations("abc")} == {THREE}
    assert {resumed_in(order, five, runner) for order in ("abcde", "edcba", "cadbe", "bedac")} == {FIVE}


@pytest.mark.sweep
@RUNNERS
def test_every_resume_order_of_five_answers_gives_the_same_state(runner: Any) -> None:
    plan = all_at_once("abcde") >> more
    ends = [resumed_in(order, plan, runner) for order in permutations("abcde")]
    assert (len(ends), set(ends)) == (120, {FIVE})


@RUNNERS
def test_nothing_that_ran_before_an_answer_runs_again(runner: Any) -> None:
    calls: list[str] = []

    @task
    def noted(page: Page) -> Page:
        calls.append("noted")
        return evolve(page, words=page.words + 1)

    journal = MemoryJournal()
    plan = noted >> ask("title?", into=TITLE) >> noted
    runner(plan, Page(), journal)
    runner(plan, Page(), journal)
    assert calls == ["noted"]
    [key] = questions(journal)
    answer(journal, key, "Sheaves")
    assert runner(plan, Page(), journal) == Success(Page("Sheaves", words=2))
    assert calls == ["noted", "noted"]


@RUNNERS
def test_siblings_of_a_question_go_on(runner: Any) -> None:
    journal = MemoryJournal()
    plan = ask("title?", into=TITLE) & more
    runner(plan, Page(), journal)
    assert [d["name"] for d in documents(journal) if d["kind"] == "done"] == ["more"]


def documents(journal: MemoryJournal) -> list[dict[str, Any]]:
    from lambdacat.interpreters.journal import past_of

    past = past_of(journal)
    assert past is not None
    return list(past.documents)


@RUNNERS
@pytest.mark.parametrize(
    "around",
    [
        lambda p: p | more,
        lambda p: p.retry(3),
        lambda p: p.recover(lambda fault: more),
        lambda p: p.attempt().map(lambda outcome: outcome.unwrap()),
        lambda p: p.timeout(5),
        lambda p: parallel(p, policy=SETTLED, join=lambda fork, results: fork),
    ],
)
def test_a_question_is_offered_to_no_handler(runner: Any, around: Any) -> None:
    assert open_questions(runner(around(ask("title?", into=TITLE)), Page(), MemoryJournal())) == ["title?"]


@RUNNERS
def test_a_race_that_is_won_withdraws_its_questions(runner: Any) -> None:
    plan = parallel(ask("title?", into=TITLE), more, policy=FIRST_COMPLETED)
    assert runner(plan, Page(), MemoryJournal()) == Success(Page(words=1))


@RUNNERS
def test_a_question_that_was_withdrawn_is_open_no_more(runner: Any) -> None:
    plan = parallel(more >> ask("a?", into=FIELDS["a"]), more >> more, policy=FIRST_COMPLETED) >> ask("b?", into=TITLE)
    journal = MemoryJournal()
    runner(plan, Page(), journal)
    assert [asked["text"] for asked in questions(journal).values()] == ["b?"]


@RUNNERS
def test_a_race_that_only_an_answer_can_win_waits_for_it(runner: Any) -> None:
    plan = parallel(ask("a?", into=FIELDS["a"]), more, ask("b?", into=FIELDS["b"]), policy=Quorum(2))
    journal = MemoryJournal()
    assert open_questions(runner(plan, Page(), journal)) == ["a?", "b?"]
    [_, key] = sorted(questions(journal))
    answer(journal, key, "B")
    assert runner(plan, Page(), journal) == Success(Page(words=1, b="B"))


@RUNNERS
def test_a_fault_beside_a_question_ends_the_run(runner: Any) -> None:
    @task
    def fails(page: Page) -> Page:
        raise ValueError("no")

    assert type(runner(ask("title?", into=TITLE) & fails, Page(), MemoryJournal()).failure()).__name__ == "ActionFailed"


@RUNNERS
def test_each_round_asks_its_own_question(runner: Any) -> None:
    plan = (ask(lambda page: f"title {page.words}?", into=TITLE) >> more).loop_while(WORDS.where(lambda n: n < 3))
    journal = MemoryJournal()
    outcome = runner(plan, Page(), journal)
    for number in range(3):
        assert open_questions(outcome) == [f"title {number}?"]
        [key] = questions(journal)
        answer(journal, key, f"T{number}")
        outcome = runner(plan, Page(), journal)
    assert outcome == Success(Page("T2", words=3))


@RUNNERS
def test_the_second_answer_to_a_question_changes_nothing(runner: Any) -> None:
    journal = MemoryJournal()
    plan = ask("title?", into=TITLE)
    runner(plan, Page(), journal)
    [key] = questions(journal)
    assert answer(journal, key, "first")
    assert not answer(journal, key, "second")
    assert runner(plan, Page(), journal) == Success(Page("first"))
    assert not answer(journal, key, "third")
    assert runner(plan, Page(), journal) == Success(Page("first"))


def test_an_answer_that_no_one_asked_for_is_refused_with_what_was_asked() -> None:
    journal = MemoryJournal()
    run(more >> ask("title?", into=TITLE), Page(), journal=journal)
    with pytest.raises(KeyError, match="has not asked '7'; it has asked '1'"):
        answer(journal, "7", "x")


@pytest.mark.parametrize(("into", "given"), [(TITLE, 3), (WORDS, "many"), (WORDS, True), (WORDS, None)])
def test_an_answer_of_another_type_is_refused_where_it_is_given(into: Any, given: object) -> None:
    journal = MemoryJournal()
    run(ask("?", into=into), Page(), journal=journal)
    [key] = questions(journal)
    with pytest.raises(ValueError, match="and the answer is"):
        answer(journal, key, given)


@RUNNERS
@pytest.mark.parametrize(("given", "goes_on"), [(True, True), ("yes", True), ("No", False), (False, False)])
def test_an_approval_goes_on_or_refuses(runner: Any, given: object, goes_on: bool) -> None:
    journal = MemoryJournal()
    plan: Any = approve(lambda page: f"publish {page.words} words?") >> more
    assert open_questions(runner(plan, Page(), journal)) == ["publish 0 words?"]
    [key] = questions(journal)
    answer(journal, key, given)
    outcome = runner(plan, Page(), journal)
    if goes_on:
        assert outcome == Success(Page(words=1))
    else:
        assert isinstance(outcome.failure(), Refused)
        assert "publish 0 words?" in str(outcome.failure())


def test_a_refusal_can_be_recovered_from() -> None:
    journal = MemoryJournal()
    plan: Any = approve("publish?") | more
    run(plan, Page(), journal=journal)
    [key] = questions(journal)
    answer(journal, key, "no")
    assert run(plan, Page(), journal=journal) == Success(Page(words=1))


def test_without_a_journal_a_question_ends_the_run_with_its_text() -> None:
    outcome = run(more >> ask("title?", into=TITLE), Page())
    [question] = outcome.failure().questions  # type: ignore[union-attr]
    assert (question.text, question.at, question.into, question.key) == ("title?", (1,), TITLE.place, "1")
    assert "title?" in str(outcome.failure())


def test_a_waiting_node_has_a_status_of_its_own_in_a_trace() -> None:
    written = traced(more >> (ask("title?", into=TITLE) & more))(Page())
    assert {span.name: span.status for span in written.log.spans}["ask title?"] == "waiting"


@pytest.mark.parametrize(
    "build",
    [
        lambda: ask("title?", into="title"),  # type: ignore[arg-type]
        lambda: ask("  ", into=TITLE),
        lambda: ask(more, into=TITLE),  # type: ignore[arg-type]
        lambda: approve(3),  # type: ignore[call-overload]
        lambda: sleep_until(datetime(2030, 1, 1)),
        lambda: sleep_until(5),  # type: ignore[call-overload]
    ],
)
def test_a_question_that_is_built_wrongly_is_refused_at_once(build: Any) -> None:
    with pytest.raises(PlanError):
        build()


def test_a_question_that_is_no_text_is_a_fault_at_its_node() -> None:
    outcome = run(more >> ask(lambda page: page.words, into=TITLE), Page())  # type: ignore[arg-type,return-value]
    assert outcome.failure().at == (1,)


def test_a_sleep_until_an_instant_that_has_passed_is_none() -> None:
    clock = VirtualClock()
    from lambdacat import Context

    past = datetime(2020, 1, 1, tzinfo=UTC)
    assert run(sleep_until(past) >> more, Page(), context=Context(clock=clock)) == Success(Page(words=1))
    assert clock() == 0.0


@pytest.mark.parametrize("virtually", [virtual_asyncio_run, virtual_trio_run])
def test_a_sleep_lasts_until_its_instant_and_bounds_cut_it(virtually: Any) -> None:
    import anyio

    from lambdacat import Context

    start = datetime(2030, 1, 1, tzinfo=UTC)
    context = Context(wall=lambda: start.timestamp())

    async def timed(plan: Pages) -> tuple[Outcome[Page], float]:
        began = anyio.current_time()
        outcome = await arun(plan, Page(), context=context)
        return outcome, anyio.current_time() - began

    outcome, seconds = virtually(timed, sleep_until(lambda page: start + timedelta(hours=3)) >> more)
    assert outcome == Success(Page(words=1))
    assert seconds == pytest.approx(3 * 3600)
    outcome, seconds = virtually(timed, sleep_until(start + timedelta(hours=3)).timeout(60))
    assert isinstance(outcome.failure(), TimedOut)
    assert seconds == pytest.approx(60)


def test_a_sleep_survives_a_restart_and_ends_at_the_same_instant() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    from lambdacat import Context

    plan = more >> sleep_until(lambda page: start + timedelta(hours=page.words)) >> more
    journal = MemoryJournal()

    class Stop(KeyboardInterrupt):
        pass

    class Clock:
        def __call__(self) -> float:
            return 0.0

        def sleep(self, seconds: float) -> None:
            raise Stop

    with pytest.raises(Stop):
        run(plan, Page(), context=Context(clock=Clock(), wall=start.timestamp), journal=journal)
    later, clock = start + timedelta(minutes=40), VirtualClock()
    outcome = run(plan, Page(), context=Context(clock=clock, wall=later.timestamp), journal=journal)
    assert outcome == Success(Page(words=2))
    assert clock() == pytest.approx(20 * 60)


def test_an_answer_that_comes_while_the_run_is_going_on_is_taken_up_at_once() -> None:
    journal = MemoryJournal()

    @task(reads=WORDS, writes=WORDS)
    def answers(words: int) -> int:
        [key] = questions(journal)
        answer(journal, key, "in time")
        return words

    outcome = run(ask("title?", into=TITLE) & answers, Page(), journal=journal)
    assert outcome == Success(Page("in time"))


def test_resume_answers_for_a_run_that_waits() -> None:
    journal = MemoryJournal()
    plan = more >> ask("title?", into=TITLE)
    virtual_asyncio_run(partial(arun, journal=journal), plan, Page())
    [key] = questions(journal)
    answer(journal, key, "later")
    assert virtual_asyncio_run(resume, plan, journal) == Success(Page("later", words=1))


class AnsweredAtTheEnd:
    """A journal to which somebody gives an answer while the run writes that it waits for it."""

    def __init__(self) -> None:
        self.kept = MemoryJournal("a run")
        self.codecs, self.run_id = self.kept.codecs, "a run"
        self.answered = False

    def entries(self) -> Iterable[bytes]:
        return self.kept.entries()

    def append(self, entry: bytes) -> None:
        self.kept.append(entry)
        if b'"kind":"end"' in entry and not self.answered:
            self.answered = True
            [key] = questions(self.kept)
            assert answer(self.kept, key, "at last")

    def answer(self, key: str, value: bytes) -> bool:
        return self.kept.answer(key, value)

    def answers(self) -> Mapping[str, bytes]:
        return self.kept.answers()


@RUNNERS
def test_an_answer_that_comes_while_a_run_ends_is_taken(runner: Any) -> None:
    journal = AnsweredAtTheEnd()
    assert runner(ask("a?", into=FIELDS["a"]) >> more, Page(), journal) == Success(Page(words=1, a="at last"))
    assert journal.answered
