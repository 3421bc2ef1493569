"""Programs that ask models, which must type-check exactly as written, as in ``good.py``. Checked, never run."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from attrs import frozen

from typing_extensions import assert_type

from lambdacat import Budget, Context, Estimate, Failure, Key, Plan, Success, TimedOut, Unavailable, lens, run, task
from lambdacat.guard import Rate
from lambdacat.testing import ScriptedLLM
from lambdacat.tools.llm import (
    LLM,
    BadAnswer,
    Completion,
    Message,
    Model,
    ModelBusy,
    ModelRefused,
    OpenAIClient,
    Price,
    Prompt,
    ToolCall,
    Usage,
    ask_model,
)


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
    said: Completion = Completion()


QUESTION = lens(Talk, lambda t: t.question)
FACTS = lens(Talk, lambda t: t.facts)
ANSWER = lens(Talk, lambda t: t.answer)
VERDICT = lens(Talk, lambda t: t.verdict)
SAID = lens(Talk, lambda t: t.said)

llm: LLM = OpenAIClient(
    "m", base_url="http://127.0.0.1:8000/v1", prices={"m": Price(input=0.25, output=2)}, timeout=None, max_tokens=500
)
scripted: LLM = ScriptedLLM("a", ToolCall("1", "f"), ModelBusy("later", retry_after=2.0), then=lambda said: said[-1].content)
MODEL: Key[LLM] = Key("model")


def briefly(question: str) -> Prompt:
    return [Message("system", "Be brief."), Message("user", question)]


def with_facts(question: str, facts: tuple[str, ...]) -> str:
    return f"{question} {facts}"


def of_talk(talk: Talk) -> Message:
    return Message("user", talk.question)


assert_type(ask_model(llm, briefly), Plan[str, str])
assert_type(ask_model(MODEL, briefly, max_tokens=100, temperature=0.0, emits=True), Plan[str, str])
assert_type(ask_model(llm, briefly, gives=Verdict), Plan[str, Verdict])
assert_type(ask_model(llm, briefly, gives=Completion, tools=[{"type": "function"}]), Plan[str, Completion])
assert_type(ask_model(llm, of_talk, into=ANSWER), Plan[Talk, Talk])
assert_type(ask_model(llm, lambda talk: talk.question, into=ANSWER), Plan[Talk, Talk])
assert_type(ask_model(llm, briefly, reads=QUESTION, into=ANSWER, name="answer", idempotent=True), Plan[Talk, Talk])
assert_type(ask_model(llm, lambda question: f"so {question}?", reads=QUESTION, into=ANSWER), Plan[Talk, Talk])
assert_type(ask_model(llm, with_facts, reads=(QUESTION, FACTS), into=ANSWER), Plan[Talk, Talk])
assert_type(ask_model(llm, briefly, reads=QUESTION, into=VERDICT, gives=Verdict), Plan[Talk, Talk])
assert_type(ask_model(llm, briefly, reads=QUESTION, into=SAID, gives=Completion), Plan[Talk, Talk])
assert_type(ask_model(llm, with_facts, reads=(QUESTION, FACTS), into=VERDICT, gives=Verdict), Plan[Talk, Talk])

careful = (
    ask_model(llm, briefly, reads=QUESTION, into=ANSWER)
    .limited(Rate(10))
    .timeout(20)
    .retry(2, on=(ModelBusy, BadAnswer, Unavailable, TimedOut))
    .within(Budget(tokens=2_000, money=0.1))
)
assert_type(careful, Plan[Talk, Talk])


@task(estimate=Estimate(reserves=True))
async def answer(question: str, context: Context) -> str:
    return (await llm.complete([Message("user", question)], context=context)).text


assert_type(run(answer, "what?").unwrap(), str)


async def by_hand(model: LLM) -> tuple[str, Usage, int]:
    verdict = await model.structured("right?", Verdict, max_tokens=20)
    assert_type(verdict, Verdict)
    done = await model.batch(["one", briefly("two")], limit=2)
    for one in done:
        match one:
            case Success(completion):
                assert_type(completion, Completion)
            case Failure(ModelRefused(status=status)):
                assert_type(status, int | None)
            case Failure(error):
                assert_type(error, Exception)
    said = ""
    async with aclosing(model.stream("what?")) as chunks:
        async for chunk in chunks:
            match chunk:
                case str():
                    said += chunk
                case Completion(usage=usage):
                    return said, usage, verdict.score
    return said, Usage(), 0


def in_a_thread(model: OpenAIClient) -> tuple[str, int]:
    return model.complete_sync("what?", max_tokens=5).text, model.structured_sync("how many?", int)


class Parrot(Model):
    """Users may bring their own model."""

    async def complete(
        self,
        messages: Prompt,
        *,
        tools: Sequence[object] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> Completion:
        return Completion(str(messages))

    async def stream(
        self,
        messages: Prompt,
        *,
        tools: Sequence[object] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        yield await self.complete(messages)


parrot: LLM = Parrot()
