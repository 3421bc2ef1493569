"""Models as steps of plans: what they cost, what they read and write, typed answers, and models that are scripted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from attrs import frozen
from clocks import Runner, on_both, really_on_both
from llm_server import (
    COUNTED,
    KEY,
    PRICES,
    answered,
    ask_model,
    asked,
    at,
    client,
    drip,
    events,
    nobody,
    piece,
    raw,
    refused,
)
from pytest_httpserver import HTTPServer
from untyped import arun, atraced, parallel, run
from werkzeug import Response

from lambdacat import (
    ActionFailed,
    Budget,
    BudgetExceeded,
    BudgetOverrun,
    Context,
    Estimate,
    Failure,
    Key,
    MemoryJournal,
    OverBudget,
    Refused,
    Success,
    Unanswered,
    collect,
    dry_run,
    footprint,
    lens,
    resume,
    task,
)
from lambdacat.place import PlanError
from lambdacat.store import MemoryStore
from lambdacat.testing import ScriptedLLM
from lambdacat.tools.llm import (
    LLM,
    BadAnswer,
    Completion,
    Message,
    Model,
    ModelBusy,
    ModelRefused,
    Price,
    ToolCall,
    Usage,
)

__all__ = ["at"]


@frozen
class Verdict:
    right: bool
    score: int


@frozen
class Talk:
    question: str = ""
    facts: tuple[str, ...] = ()
    answer: str = ""
    verdict: Verdict | None = None


QUESTION, FACTS = lens(Talk, lambda t: t.question), lens(Talk, lambda t: t.facts)
ANSWER, VERDICT = lens(Talk, lambda t: t.answer), lens(Talk, lambda t: t.verdict)


def same(text: str) -> str:
    return text


# --- what it costs ---------------------------------------------------------------------------------------------------


def spent(plan: Any, value: Any) -> tuple[Any, list[Any]]:
    """The outcome, and the tokens and money of each step that was asked."""
    done = asyncio.run(atraced(plan)(value))
    return done.value, [(span.tokens, span.money) for span in done.log.spans]


@pytest.mark.parametrize(
    ("answer", "tokens", "money"),
    [
        (answered(), 18, (11 * 2 + 7 * 10) / 1e6),
        (answered("x" * 40, usage=None), 2 + 10, (2 * 2 + 10 * 10) / 1e6),
        (answered("x" * 40, usage={"prompt_tokens": "many"}), 2 + 10, (2 * 2 + 10 * 10) / 1e6),
        (refused(429, "slow down"), 0, 0),
        (refused(400, "no"), 0, 0),
        (Response("{" * 40), 2 + 10, (2 * 2 + 10 * 10) / 1e6),
        (Response(events(piece("x" * 16), done=False)), 2 + 4, (2 * 2 + 4 * 10) / 1e6),
        (Response(events(piece("x" * 16), piece(finish="stop"), {"usage": COUNTED})), 18, (11 * 2 + 7 * 10) / 1e6),
        (Response(events(piece("x" * 16), piece(finish="stop"))), 2 + 4, (2 * 2 + 4 * 10) / 1e6),
    ],
    ids=["reported", "silent", "nonsense", "busy", "refused", "broken", "cut", "streamed", "streamed silently"],
)
def test_what_a_request_costs(at: Any, answer: Any, tokens: int, money: float) -> None:
    streamed = isinstance(answer, Response) and answer.is_streamed
    plan = ask_model(at(answer, prices=PRICES), same, emits=streamed)
    [found] = spent(plan, "12345678")[1]
    assert found == (tokens, pytest.approx(money))


def test_nobody_there_costs_nothing() -> None:
    assert spent(ask_model(client(nobody()), same), "what?")[1] == [(0, 0)]


@really_on_both
def test_what_came_before_a_stream_was_cancelled_is_paid(on: Runner) -> None:
    async def listen(text: str, context: Context) -> float:
        async with aclosing(client(server.url, max_tokens=20).stream(text, context=context)) as chunks:
            await anext(chunks)
        return context.left.tokens

    with raw(drip) as server:
        plan = task(estimate=Estimate(reserves=True))(listen) >> task(estimate=Estimate(reserves=True))(left)
        outcome = on(lambda: arun(plan.within(Budget(tokens=50)), "12345678"))
    # While the step lasts it holds the 22 that it reserved; of those it has spent 3, two for the prompt.
    assert outcome == Success((50 - 22, 50 - 3))


def left(before: float, context: Context) -> tuple[float, float]:
    """What is left now, beside what was left before."""
    return before, context.left.tokens


@really_on_both
def test_the_third_request_does_not_fit_and_is_not_sent(on: Runner, at: Any, httpserver: HTTPServer) -> None:
    """Side by side, in steps of their own: 2 tokens go out and 40 may come back."""
    plan = parallel(*[ask_model(at(answered("x", usage=None)), same, max_tokens=40).attempt()] * 3, join=collect)
    outcome = on(lambda: arun(plan.within(Budget(tokens=100)), "12345678"))
    faults = [one.failure() for one in outcome.unwrap() if isinstance(one, Failure)]
    assert [type(fault) for fault in faults] == [BudgetExceeded]
    assert (faults[0].needed, faults[0].left) == (42, 16)
    assert len(httpserver.log) == 2


@really_on_both
def test_requests_of_one_step_reserve_together(on: Runner, at: Any, httpserver: HTTPServer) -> None:
    llm = at(answered("x", usage=None), max_tokens=40)

    @task(estimate=Estimate(reserves=True))
    async def all_three(text: str, context: Context) -> Any:
        return await llm.batch([text] * 3, context=context)

    done = on(lambda: arun(all_three.within(Budget(tokens=100)), "12345678")).unwrap()
    assert [type(one) for one in done] == [Success, Success, Failure]
    assert isinstance(done[2].failure(), OverBudget)
    assert len(httpserver.log) == 2
    assert llm._meter._under_way == {}, "what is over is forgotten"


def test_a_request_gives_back_what_it_did_not_use(at: Any, httpserver: HTTPServer) -> None:
    """Ten in a row, each of which might need 42 of 100, and needs 3."""
    step = ask_model(at(answered("x", usage=None)), lambda _: "12345678", max_tokens=40)
    plan = step >> step >> step >> step >> step >> step >> step >> step >> step >> step
    assert asyncio.run(arun(plan.within(Budget(tokens=69)), "")) == Success("x")
    assert isinstance(asyncio.run(arun(plan.within(Budget(tokens=68)), "")).failure(), BudgetExceeded)


@pytest.mark.parametrize(
    ("budget", "options", "says"),
    [
        (Budget(tokens=100), {}, "m may answer at any length: give max_tokens="),
        (Budget(money=1.0), {"prices": PRICES}, "m may answer at any length: give max_tokens="),
        (Budget(money=1.0), {"max_tokens": 5}, "it caps money, and nobody knows what m costs: give prices="),
    ],
)
def test_what_nobody_can_reserve_is_refused(budget: Budget, options: Any, says: str) -> None:
    llm = ScriptedLLM("never", model="m", **options)
    fault = run(ask_model(llm, same).within(budget), "what?").failure()
    assert isinstance(fault, Refused)
    assert (fault.reason, llm.prompts) == (says, ())


def test_money_is_reserved_by_price() -> None:
    llm = ScriptedLLM(then="x" * 40, max_tokens=10, prices={"scripted": Price(input=1e6, output=2e6)})
    plan = ask_model(llm, same)
    assert run(plan.within(Budget(money=22.0)), "12345678") == Success("x" * 40)
    fault = run(plan.within(Budget(money=21.9)), "12345678").failure()
    assert (fault.measure, fault.needed) == ("money", 22.0)


def test_more_than_was_reserved_is_charged_and_reported() -> None:
    llm = ScriptedLLM(Completion("x", usage=Usage(5, 500)), max_tokens=10)
    with pytest.warns(BudgetOverrun, match="505 of 100 tokens are spent"):
        assert run(ask_model(llm, same).within(Budget(tokens=100)), "what?") == Success("x")


# --- as a step -------------------------------------------------------------------------------------------------------


def test_a_step_reads_and_writes_what_its_lenses_say() -> None:
    llm = ScriptedLLM(then=lambda said: said[-1].content.upper())
    one = ask_model(llm, lambda question: f"short: {question}", reads=QUESTION, into=ANSWER)
    two = ask_model(llm, lambda question, facts: f"{question} {facts[0]}", reads=(QUESTION, FACTS), into=ANSWER)
    whole = ask_model(llm, lambda talk: f"{talk.question}{talk.facts}", into=ANSWER)
    talk = Talk("why?", ("so",))
    assert [str(footprint(plan)) for plan in (one, two, whole)] == [
        "reads .question; writes .answer",
        "reads .facts, .question; writes .answer",
        "reads everything; writes .answer",
    ]
    assert [run(plan, talk).unwrap().answer for plan in (one, two, whole)] == ["SHORT: WHY?", "WHY? SO", "WHY?('SO',)"]


def test_equal_steps_are_equal() -> None:
    llm = ScriptedLLM()
    make: Callable[..., Any] = lambda **more: ask_model(llm, same, name="ask", max_tokens=5, tools=[], **more)  # noqa: E731
    assert make() == make() != make(temperature=0.5)
    assert hash(make()) == hash(make())
    assert str(make()) == "ask"


def test_a_model_may_come_from_the_context() -> None:
    key: Key[LLM] = Key("llm")
    plan = ask_model(key, same)
    context = Context().provide(key, ScriptedLLM("from the context"))
    assert run(plan, "what?", context=context) == Success("from the context")


def test_a_model_is_used_in_any_step() -> None:
    llm = ScriptedLLM("a", max_tokens=10)

    @task(estimate=Estimate(reserves=True))
    async def answer(question: str, context: Context) -> str:
        return (await llm.complete([Message("user", question)], context=context)).text

    assert run(answer.within(Budget(tokens=12)), "what?") == Success("a")


def test_an_answer_may_stand_for_a_later_one_where_the_step_says_so() -> None:
    llm = ScriptedLLM("once")
    plan = ask_model(llm, same, idempotent=True).cached(MemoryStore())
    assert [run(plan, "what?"), run(plan, "what?")] == [Success("once")] * 2
    with pytest.raises(PlanError):
        ask_model(llm, same).cached(MemoryStore())


def test_a_resumed_run_asks_no_model_again() -> None:
    def plan(llm: ScriptedLLM) -> Any:
        verdict = ask_model(llm, lambda answer: answer, reads=ANSWER, into=VERDICT, gives=Verdict)
        return ask_model(llm, lambda talk: talk.question, into=ANSWER) >> verdict

    journal = MemoryJournal("talk")
    first = asyncio.run(arun(plan(ScriptedLLM("yes", '{"right": true, "score": 1}')), Talk("why?"), journal=journal))
    assert first == Success(Talk("why?", (), "yes", Verdict(True, 1)))
    assert asyncio.run(resume(plan(ScriptedLLM()), journal)) == first


def test_a_journal_keeps_whole_completions() -> None:
    """Also where no lens says of what class they are."""

    def plan(llm: ScriptedLLM) -> Any:
        return ask_model(llm, str, gives=Completion) >> ask_model(
            llm, lambda done: done.text, gives=tuple[Verdict, ...]
        )

    journal, llm = MemoryJournal("bare"), ScriptedLLM("which?", '[{"right": true, "score": 1}]')
    first = asyncio.run(arun(plan(llm), "why?", journal=journal))
    assert first == Success((Verdict(True, 1),))
    assert asyncio.run(resume(plan(ScriptedLLM()), journal)) == first


def test_a_journal_keeps_how_long_to_wait() -> None:
    journal = MemoryJournal("busy")
    plan = ask_model(ScriptedLLM(ModelBusy("down", retry_after=7.0, status=429)), same).attempt()
    asyncio.run(arun(plan, "what?", journal=journal))
    outcome: Any = asyncio.run(resume(plan, journal)).unwrap()
    error = outcome.failure().error
    assert (type(error), error.retry_after, str(error)) == (ModelBusy, 7.0, "down")


def test_the_key_is_in_no_fault_trace_or_journal(at: Any) -> None:
    journal = MemoryJournal("secret")
    plan = ask_model(at(refused(401, f"wrong key {KEY}")), str)
    outcome = asyncio.run(arun(plan, "what?", journal=journal))
    done = asyncio.run(atraced(plan)("what?"))
    said = [str(outcome.failure()), repr(outcome), repr(plan), repr(done.log), repr(plan.action.llm)]
    kept = b"".join(journal.entries())
    assert b"wrong key [key]" in kept
    assert KEY not in "".join(said) + kept.decode()


def test_a_dry_run_counts_what_was_said_of_it() -> None:
    plan = ask_model(ScriptedLLM(), same, estimate=Estimate(seconds=(1, 20), tokens=(5, 90), reserves=True))
    assert (dry_run(plan).seconds, dry_run(plan).tokens) == ((1, 20), (5, 90))


@pytest.mark.parametrize(
    "make",
    [
        lambda llm: ask_model("gpt", same),
        lambda llm: ask_model(llm, "what?"),
        lambda llm: ask_model(llm, llm.complete),
        lambda llm: ask_model(llm, same, reads=QUESTION),
        lambda llm: ask_model(llm, same, into="answer"),
        lambda llm: ask_model(llm, same, emits=True, gives=Verdict),
        lambda llm: ask_model(llm, same, tools=[{}]),
        lambda llm: ask_model(llm, same, temprature=1),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(make: Any) -> None:
    with pytest.raises(PlanError) as caught:
        make(ScriptedLLM())
    assert "\n" not in str(caught.value)


# --- typed answers ---------------------------------------------------------------------------------------------------


def test_a_typed_answer(at: Any, httpserver: HTTPServer) -> None:
    llm = at(answered('{"right": true, "score": 3}'))
    plan = ask_model(llm, same, reads=QUESTION, into=VERDICT, gives=Verdict)
    assert asyncio.run(arun(plan, Talk("right?"))).unwrap().verdict == Verdict(True, 3)
    sent = asked(httpserver)[0]
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["right", "score"]
    assert '"score":{"type":"integer"}' in sent["messages"][-1]["content"]


@pytest.mark.parametrize("options", [{"schema_as": "words"}, {}])
def test_what_no_service_enforces_is_asked_for_in_words(at: Any, httpserver: HTTPServer, options: Any) -> None:
    kind: Any = list[int] if not options else Verdict
    llm = at(answered("[1, 2]" if not options else '{"right": true, "score": 3}'), **options)
    assert llm.structured_sync("which?", kind) == ([1, 2] if not options else Verdict(True, 3))
    assert "response_format" not in asked(httpserver)[0]


def test_an_answer_in_a_fence_is_read() -> None:
    for text in ('```json\n{"right": true, "score": 3}\n```', '```{"right": true, "score": 3}```'):
        assert ScriptedLLM(text).structured_sync("right?", Verdict) == Verdict(True, 3)


def test_a_wrong_answer_is_repaired_once_with_the_place_of_the_mistake() -> None:
    llm = ScriptedLLM('{"right": true, "score": "three"}', '{"right": true, "score": 3}')
    assert llm.structured_sync("right?", Verdict) == Verdict(True, 3)
    first, second = llm.prompts
    assert second[: len(first)] == first
    assert [(one.role, one.content) for one in second[len(first) :]] == [
        ("assistant", '{"right": true, "score": "three"}'),
        (
            "user",
            "That does not fit: Expected `int`, got `str` - at `$.score`\nAnswer again, with the whole JSON alone.",
        ),
    ]


def test_what_is_wrong_twice_is_a_clear_fault() -> None:
    llm = ScriptedLLM("no", Completion('{"right": tr', finish="length"), '{"right": true, "score": 3}')
    fault = run(ask_model(llm, same, gives=Verdict), "right?").failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, BadAnswer)
    assert str(fault.error) == (
        "the model was asked twice, and gave no Verdict: Input data was truncated;"
        " the answer was cut off at its longest"
    )
    assert fault.error.answer == '{"right": tr'
    assert len(llm.prompts) == 2


def test_both_turns_of_a_repair_are_paid() -> None:
    llm = ScriptedLLM("no", '{"right": true, "score": 3}', max_tokens=20)
    [(tokens, _)] = spent(ask_model(llm, same, gives=Verdict), "right?")[1]
    asked_for = [sum(len(one.content) for one in prompt) for prompt in llm.prompts]
    assert tokens == sum(-(-count // 4) for count in (*asked_for, 2, 27))


def test_a_type_that_refers_to_itself(at: Any, httpserver: HTTPServer) -> None:
    assert at(answered('{"below": [{"below": []}]}')).structured_sync("tree?", Tree) == Tree((Tree(),))
    schema = asked(httpserver)[0]["response_format"]["json_schema"]["schema"]
    assert (schema["type"], list(schema["$defs"])) == ("object", ["Tree"])


@frozen
class Tree:
    below: tuple[Tree, ...] = ()


# --- many, and from threads ------------------------------------------------------------------------------------------


@on_both
def test_many_are_asked_side_by_side_and_answered_in_order(on: Runner) -> None:
    running: list[int] = []

    class Slow(Model):
        """Takes the longer, the earlier it is asked."""

        left = 20
        now = 0

        async def complete(self, messages: Any, **options: Any) -> Completion:
            self.left, self.now = self.left - 1, self.now + 1
            running.append(self.now)
            await anyio.sleep(self.left)
            self.now -= 1
            if messages == "7":
                raise ModelRefused("not seven")
            return Completion(messages)

        async def stream(self, messages: Any, **options: Any) -> AsyncGenerator[str | Completion, None]:
            yield await self.complete(messages)

    done = on(lambda: Slow().batch(map(str, range(20)), limit=4))
    assert [one.unwrap().text if isinstance(one, Success) else "-" for one in done] == [
        "-" if n == 7 else str(n) for n in range(20)
    ]
    assert isinstance(done[7].failure(), ModelRefused)
    assert max(running) == 4


def test_a_bug_is_no_answer() -> None:
    llm = ScriptedLLM("fine", then=lambda _: 1 // 0)  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup) as caught:
        llm.batch_sync(["1", "2"])
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("limit", [0, -1, True, 2.0])
def test_some_are_asked_at_once(limit: Any) -> None:
    with pytest.raises(ValueError, match="limit is a whole number of at least 1"):
        ScriptedLLM().batch_sync([], limit=limit)


@pytest.mark.parametrize("where", ["no loop", "in a loop", "in a thread of a loop", "in a step"])
def test_a_thread_waits_with_or_without_a_loop(at: Any, where: str) -> None:
    llm = at(answered('"a sheaf"'))

    def ask(_: object = None) -> list[Any]:
        many = [one.unwrap().text for one in llm.batch_sync(["1", "2"])]
        return [llm.complete_sync("what?").text, llm.structured_sync("what?", str), many]

    async def loop() -> list[Any]:
        match where:
            case "in a loop":
                return ask()
            case "in a thread of a loop":
                return await anyio.to_thread.run_sync(ask)
            case _:
                outcome = await arun(task(ask), "what?")
                return list(outcome.unwrap())

    said = ask() if where == "no loop" else asyncio.run(loop())
    assert said == ['"a sheaf"', "a sheaf", ['"a sheaf"'] * 2]


def test_a_thread_reads_a_stream(at: Any) -> None:
    llm = at(Response(events(piece("a"), piece("b", "stop"), {"usage": COUNTED})))
    assert list(llm.stream_sync("what?")) == ["a", "b", Completion("ab", usage=Usage(11, 7), model="m-1")]


def test_a_stream_that_a_thread_drops_is_closed() -> None:
    with raw(drip) as server:
        chunks = client(server.url).stream_sync("what?")
        assert next(chunks) == "drip"
        chunks.close()  # type: ignore[attr-defined]
        assert server.closed.wait(5)
    assert not [one for one in threading.enumerate() if "portal" in one.name]


# --- scripted --------------------------------------------------------------------------------------------------------


def test_a_script_has_texts_calls_exceptions_and_functions() -> None:
    call = ToolCall("1", "weather", '{"city": "Turin"}')
    llm = ScriptedLLM("a", call, (call, call), Unanswered("m", "down"), lambda said: said[-1].content * 2)

    @task
    def ask(text: str) -> Completion:
        return llm.complete_sync(text)

    done = [run(ask, "12345678") for _ in range(5)]
    assert [one.unwrap() for one in (*done[:3], done[4])] == [
        Completion("a", usage=Usage(2, 1), model="scripted"),
        Completion(tool_calls=(call,), usage=Usage(2, 6), model="scripted", finish="tool_calls"),
        Completion(tool_calls=(call, call), usage=Usage(2, 12), model="scripted", finish="tool_calls"),
        Completion("12345678" * 2, usage=Usage(2, 4), model="scripted"),
    ]
    assert str(done[3].failure()).startswith("Unavailable: m did not answer ask: down")
    assert [prompt[0].content for prompt in llm.prompts] == ["12345678"] * 5


def test_a_script_that_is_over_says_so() -> None:
    fault = run(ask_model(ScriptedLLM("one"), same) >> ask_model(ScriptedLLM(), same), "what?").failure()
    assert "the script has 0 answers, and this is one more: 'one'" in str(fault)


def test_a_script_streams_word_by_word() -> None:
    chunks = list(ScriptedLLM("  a plan is\na value ").stream_sync("what?"))
    assert chunks[:-1] == ["  a", " plan", " is", "\na", " value "]
    assert chunks[-1] == Completion("  a plan is\na value ", usage=Usage(2, 5), model="scripted")


def test_what_no_model_can_say_is_refused() -> None:
    with pytest.raises(TypeError, match="an answer is a text"):
        ScriptedLLM(7)  # type: ignore[arg-type]
