"""The research plan under chaos: ``python -m bench.chaos [--seeds N]``, with and without its guards.

Searches and steps that ask a model fail, dawdle, hang and are turned away, and the model names sources that are not
there, all by the seed and on virtual time. Exit code 1 if with guards an answer was wrong, a task was left behind or a
budget was overspent.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import anyio
from attrs import frozen
from returns.result import Success

from lambdacat import Budget, Context, Outcome, Plan, Unanswered, arun
from lambdacat.bound import Guarded, Retry, Timeout
from lambdacat.plan import Within
from lambdacat.regrow import rebuilt
from lambdacat.research import REPAIR, WIDEN, WRITE, Corpus, Inquiry, Lookup
from lambdacat.research_cost import Metered
from lambdacat.research_model import MODEL, research_with
from lambdacat.testing import ScriptedLLM, chaos, stub, virtual_asyncio_run
from lambdacat.tools.corpus import Index
from lambdacat.tools.llm import BadAnswer, Completion, Message, Model, ModelBusy, Prompt
from lambdacat.tools.llm_values import conversation, prompt_tokens, tokens_of
from lambdacat.tools.passages import Passage

QUESTION = "how are comparisons chained?"
IN_TIME = 180.0
"""An answer that comes later is none. Units: seconds."""
TOOLS = ("search topics", "search docstrings", "search the web", WIDEN, WRITE, REPAIR)

TOPICS = (
    Passage(
        "Comparisons",
        "topic:comparisons",
        "Comparisons can be chained arbitrarily, and each expression is evaluated at most once. A chain of comparisons"
        " is the conjunction of its links. Comparisons yield boolean values.",
    ),
    Passage("Operators", "topic:operator-summary", "Comparisons are chained from left to right in one expression."),
)
DOCSTRINGS = (
    Passage("operator.lt", "doc:operator.lt", "operator.lt(a, b): The same as a < b in comparisons."),
    Passage("itertools.chain", "doc:itertools.chain", "itertools.chain: Chained iterables give the elements of each."),
)

PAGES = (
    Passage(
        "Chained comparisons", "https://example.org/chained", "Comparisons that are chained read as mathematics does."
    ),
)

# --- a model that is disturbed ---------------------------------------------------------------------------------------

_SOURCE = re.compile(r"^\[(\d+)\] .*\n(.*)$", re.MULTILINE)


@frozen
class Liar:
    """What the model of one seed says: quotations that name their sources, and often something worse."""

    chances: Random

    def __call__(self, said: tuple[Message, ...]) -> str | Exception:
        """The next answer."""
        trouble = self.chances.random()
        if trouble < 0.1:
            wait = self.chances.random() * 20
            return self.chances.choice(
                [ModelBusy("it is busy", retry_after=wait), Unanswered("it", "status 500"), BadAnswer("no completion")]
            )
        if "looked up" in said[-1].content:
            return self.chances.choice(["comparisons: relational operators\nchained: linked", "as you wish", ""])
        quoted = [(number, re.split(r"(?<=[.]) ", text)[0]) for number, text in _SOURCE.findall(said[1].content)][:2]
        good = " ".join(f"{text} [{number}]" for number, text in quoted)
        if trouble < 0.6:
            return good
        invented = "They are chained by a goto."
        return self.chances.choice(
            [
                "",
                invented,
                f"{good} {invented}",
                f"{good} {invented} [9]",
                f"{invented} [0] {good}",
                good[: len(good) // 2],
            ]
        )


class Slow(Model):
    """A model that takes its time, and of which it is known from outside what was used and what is still open."""

    def __init__(self, seed: int) -> None:
        self.chances = Random(f"model {seed}")
        self.scripted = ScriptedLLM(then=Liar(self.chances), model="m")
        self.open = self.used = 0
        self.last = 0.0
        """When it was last asked anything, or said anything."""

    async def complete(self, messages: Prompt, **options: Any) -> Completion:
        """One answer."""
        self.open += 1
        try:
            await anyio.sleep(self.chances.random() * 3)
            answer = await self.scripted.complete(messages, **options)
            self.used += answer.usage.total
            return answer
        finally:
            self.open, self.last = self.open - 1, anyio.current_time()

    async def stream(self, messages: Prompt, **options: Any) -> AsyncGenerator[str | Completion, None]:
        """An answer, word by word."""
        self.open += 1
        heard = ""
        try:
            await anyio.sleep(self.chances.random() * 3)
            async with aclosing(self.scripted.stream(messages, **options)) as chunks:
                async for chunk in chunks:
                    heard += chunk if isinstance(chunk, str) else ""
                    yield chunk
                    await anyio.sleep(0.05)
        finally:
            self.used += prompt_tokens(conversation(messages)) + tokens_of(heard) if heard else 0
            self.open, self.last = self.open - 1, anyio.current_time()


# --- one seed --------------------------------------------------------------------------------------------------------


async def _topics(lookup: Lookup) -> tuple[Passage, ...]:
    await anyio.sleep(0.05)
    return TOPICS


async def _docstrings(lookup: Lookup) -> tuple[Passage, ...]:
    await anyio.sleep(0.05)
    return DOCSTRINGS


async def _web(lookup: Lookup, context: Context) -> tuple[Passage, ...]:
    await anyio.sleep(0.5)
    return PAGES


def disturbed(budget: Budget, seed: int, change: Callable[[Plan[Any, Any]], Plan[Any, Any]]) -> Plan[Any, Any]:
    """The plan of one seed: its searches answer from memory, and all its tools are disturbed."""
    answers = {
        "open the library": Index(Path("nowhere")),
        "search topics": _topics,
        "search docstrings": _docstrings,
        "search the web": _web,
    }
    return chaos(stub(change(research_with(budget)), answers), seed, steps=TOOLS)


def guarded(plan: Plan[Any, Any]) -> Plan[Any, Any]:
    """The plan as it is."""
    return plan


def unguarded(plan: Plan[Any, Any]) -> Plan[Any, Any]:
    """The plan without its budgets, timeouts, retries and breakers."""

    def bare(node: Plan[Any, Any]) -> Plan[Any, Any]:
        off = isinstance(node, Within) and isinstance(node.bound, (Budget, Timeout, Retry, Guarded))
        return node.plan if isinstance(node, Within) and off else node

    return rebuilt(plan, bare)


@frozen(kw_only=True)
class Seen:
    """What one seed came to. Units: ``seconds`` of virtual time."""

    answered: bool
    by_model: bool
    wrong: bool
    leaked: int
    overspent: bool
    seconds: float


def seen(seed: int, change: Callable[[Plan[Any, Any]], Plan[Any, Any]] = guarded) -> Seen:
    """One run of the plan."""
    chances, model = Random(f"budget {seed}"), Slow(seed)
    budget = Budget(tokens=chances.choice((1_000, 3_000, 20_000)), seconds=chances.choice((10.0, 60.0, 120.0)))
    plan = disturbed(budget, seed, change)

    async def main() -> tuple[Outcome[Inquiry], float, int]:
        context = Context(seed=seed).provide(MODEL, Metered(model))
        began = anyio.current_time()
        outcome = await arun(plan, Inquiry(QUESTION, Corpus(web="the web")), context=context)
        left = len(asyncio.all_tasks()) - 1 + model.open
        return outcome, anyio.current_time() - began, left

    outcome, seconds, left = virtual_asyncio_run(main)
    assert budget.tokens is not None
    assert budget.seconds is not None
    done = outcome.value_or(None)
    answered = done is not None
    by_model = done is not None and isinstance(done.asked.written, Success)
    wrong = done is not None and is_wrong(done)
    return Seen(
        answered=answered and seconds <= IN_TIME,
        by_model=by_model and seconds <= IN_TIME,
        wrong=wrong,
        leaked=left,
        # A request that is cut off ends in the grace of its run.
        overspent=model.used > budget.tokens or model.last > budget.seconds + 0.5,
        seconds=seconds,
    )


def is_wrong(done: Inquiry) -> bool:
    """Whether there is no answer, or a sentence of it does not stand in a source that it names."""
    if done.answer is None or not done.answer.sentences:
        return True
    texts = [" ".join(each.passage.text.split()) for each in done.answer.sources]
    match done.asked.written:
        case Success(written):
            said = [(each.text, each.sources) for each in written.sentences]
        case _:
            said = [(each.text, (each.source,)) for each in done.answer.sentences]
    return not all(
        numbers and all(1 <= number <= len(texts) and text in texts[number - 1] for number in numbers)
        for text, numbers in said
    )


# --- all of them -----------------------------------------------------------------------------------------------------


def table(rows: Sequence[tuple[str, Sequence[Seen]]]) -> str:
    """What many seeds came to, a column for each way."""
    names = ("wrong results", "leaked tasks", "overspends", "answered", "by the model", "median seconds")

    def cells(all_of: Sequence[Seen]) -> tuple[str, ...]:
        share = (sum(each.answered for each in all_of), sum(each.by_model for each in all_of))
        return (
            str(sum(each.wrong for each in all_of)),
            str(sum(each.leaked for each in all_of)),
            str(sum(each.overspent for each in all_of)),
            *(f"{100 * part / len(all_of):.1f} %" for part in share),
            f"{sorted(each.seconds for each in all_of)[len(all_of) // 2]:.1f}",
        )

    columns = [cells(all_of) for _, all_of in rows]
    head = f"{'':<16}" + "".join(f"{name:>16}" for name, _ in rows)
    lines = [f"{name:<16}" + "".join(f"{c[i]:>16}" for c in columns) for i, name in enumerate(names)]
    return "\n".join((head, *lines))


def broken(all_of: Sequence[Seen]) -> bool:
    """Whether any seed broke a promise."""
    return any(each.wrong or each.leaked or each.overspent for each in all_of)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    seeds = range(parser.parse_args(argv).seeds)
    began = time.perf_counter()
    with_guards, without = [seen(seed) for seed in seeds], [seen(seed, unguarded) for seed in seeds]
    print(f"{len(seeds)} seeds, {time.perf_counter() - began:.1f} s")
    print(table((("with guards", with_guards), ("without", without))))
    return 1 if broken(with_guards) else 0


if __name__ == "__main__":
    sys.exit(main())
