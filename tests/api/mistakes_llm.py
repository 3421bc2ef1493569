"""Mistakes with language models: every marked line must be an error, and no other line."""

from attrs import frozen

from lambdacat import Context, Estimate, Key, Plan, lens, task
from lambdacat.testing import ScriptedLLM
from lambdacat.tools.llm import LLM, Completion, Message, OpenAIClient, Price, ToolCall, Usage, ask_model


@frozen
class Verdict:
    score: int


@frozen
class Talk:
    question: str = ""
    count: int = 0
    answer: str = ""
    verdict: Verdict = Verdict(0)


QUESTION = lens(Talk, lambda t: t.question)
COUNT = lens(Talk, lambda t: t.count)
ANSWER = lens(Talk, lambda t: t.answer)
VERDICT = lens(Talk, lambda t: t.verdict)
MODEL: Key[LLM] = Key("model")
NAME: Key[str] = Key("name")
llm = ScriptedLLM("a")


def briefly(question: str) -> str:
    return question


def of_number(number: int) -> int:
    return number


ask_model("gpt", briefly)  # MISTAKE: a name is no model
ask_model(NAME, briefly)  # MISTAKE: a key for something else
ask_model(llm, "what?")  # MISTAKE: the prompt is a function
ask_model(llm, of_number)  # MISTAKE: a number is no prompt
ask_model(llm, briefly, reads=COUNT, into=ANSWER)  # MISTAKE: the prompt wants text, and a number is read
ask_model(llm, briefly, reads=(QUESTION, ANSWER), into=ANSWER)  # MISTAKE: the prompt takes one, and two are read
ask_model(llm, briefly, reads=QUESTION, into=VERDICT)  # MISTAKE: text where a verdict belongs
ask_model(llm, briefly, reads=QUESTION, into=ANSWER, gives=Verdict)  # MISTAKE: a verdict where text belongs
ask_model(llm, briefly, reads=QUESTION)  # MISTAKE: what is read of a state goes back into it
ask_model(llm, briefly, temprature=0.5)  # MISTAKE: a misspelt option
ask_model(llm, briefly, max_tokens="many")  # MISTAKE: a number of tokens
wrong: Plan[str, int] = ask_model(llm, briefly)  # MISTAKE: it gives text
Message("robot", "hello")  # MISTAKE: no such role
Message("user", "hello").content = "bye"  # MISTAKE: values are frozen
Completion(7)  # MISTAKE: the text is text
Usage("many")  # MISTAKE: tokens are counted
ToolCall("1", "f", {"a": 1})  # MISTAKE: arguments are JSON text
Price(0.25, 2.0)  # MISTAKE: which is which is said
OpenAIClient("m", prices={"m": 3})  # MISTAKE: a price has two sides
OpenAIClient("m", retries=3)  # MISTAKE: retries are the plan's
ScriptedLLM(7)  # MISTAKE: no answer


@task(estimate=Estimate(reserves=True))
async def answer(question: str, context: Context) -> str:
    text: str = await llm.complete(question, context=context)  # MISTAKE: a completion has a text
    await llm.complete(question, contxt=context)  # MISTAKE: a misspelt option
    await llm.structured(question, Verdict).score  # MISTAKE: awaited too late
    return text
