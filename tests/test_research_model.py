"""Research with a model: what it is asked, which of its answers are given, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from clocks import Runner, on_both
from hypothesis import example, given
from hypothesis import strategies as st

from bench import chaos as bench_chaos
from lambdacat import Budget, Context, Success, Unanswered, arun, check, run, value_or_raise
from lambdacat.research import Corpus, Inquiry, prefer_trusted, research
from lambdacat.research import Round as SearchRound
from lambdacat.research_citing import Brief, accepted, cited, is_ill_cited, problems, repair_prompt, widened
from lambdacat.research_cost import Cost, Metered
from lambdacat.research_model import MODEL, REPLIES, research_with
from lambdacat.research_text import Beside, document, text, warnings
from lambdacat.testing import ScriptedLLM, stub, virtual_asyncio_run
from lambdacat.tools.answer import Query, Scored, broaden, parse_question
from lambdacat.tools.corpus import Index
from lambdacat.tools.llm import BadAnswer, Completion, Model, ModelBusy, ModelRefused
from lambdacat.tools.passages import Passage

CHAINED = "how are comparisons chained?"
WORDS = "comparisons: relational operators, <script>\nchained: linked"
GOOD = "Comparisons can be chained [1]. They go from left to right [2]."
WIDE = Budget(tokens=20_000, seconds=120)
SOURCES = tuple(Scored(Passage(f"t{n}", f"topic:{n}", f"text {n}."), 0.5, 0.5) for n in range(3))


def planned(budget: Budget = WIDE) -> Any:
    """The plan over a few passages, which needs no index and no threads."""
    answers = {
        "open the library": Index(Path("nowhere")),
        "search topics": bench_chaos.TOPICS,
        "search docstrings": bench_chaos.DOCSTRINGS,
    }
    return stub(research_with(budget), answers)


def asked(llm: Model, budget: Budget = WIDE, on: Runner | None = None) -> tuple[Inquiry, Cost]:
    """What came of the question, and what it cost."""
    meter = Metered(llm)

    async def main() -> Inquiry:
        context = Context().provide(MODEL, meter)
        done: Inquiry = value_or_raise(await arun(planned(budget), Inquiry(CHAINED), context=context))
        return done

    return (on or virtual_asyncio_run)(main), meter.cost


def test_the_plan_has_no_findings() -> None:
    assert check(research_with(WIDE)) == ()


@on_both
def test_the_model_widens_the_question_and_writes_the_answer(on: Runner) -> None:
    llm = ScriptedLLM(WORDS, GOOD)
    done, cost = asked(llm, on=on)
    assert [term.kin for term in done.lookup.query.terms] == [("relational operators",), ("linked",)]
    shown = document(done, 1.0)
    assert shown["answer"] == "Comparisons can be chained. [1] They go from left to right. [2]"
    assert (warnings(done), cost.calls, cost.retries) == ((), 2, 0)
    assert "[1] Comparisons (topic:comparisons)" in llm.prompts[1][1].content


def test_a_draft_that_is_ill_cited_is_repaired_once() -> None:
    llm = ScriptedLLM("", "They are chained. So [9].", GOOD)
    done, cost = asked(llm)
    assert isinstance(done.asked.written, Success)
    assert cost.calls == 3
    said = llm.prompts[2][-1].content
    assert "no source is named by 'They are chained.'" in said
    assert "no source [9]" in said


@pytest.mark.parametrize("bad", ["", "They are chained.", "They are chained [0].", "It is so [1]. And this [1"])
def test_what_is_ill_cited_twice_is_not_given(bad: str) -> None:
    done, cost = asked(ScriptedLLM(WORDS, bad, bad))
    assert done.answer is not None
    assert document(done, 1.0)["answer"] == done.answer.text
    [line] = warnings(done, "m")
    assert line.startswith("the answer was not written by m, so it is quoted: its citations are wrong: ")
    assert cost.calls == 3


@pytest.mark.parametrize(
    ("error", "calls", "why"),
    [
        (ModelBusy("m is busy (429): slow down", retry_after=2.0), 3, "m is busy (429): slow down"),
        (Unanswered("m", "status 500: oops"), 3, "m did not answer: status 500: oops"),
        (ModelRefused("m refused (401): wrong key"), 2, "m refused (401): wrong key"),
    ],
)
def test_a_model_that_fails_costs_no_answer_and_is_not_asked_for_ever(error: Exception, calls: int, why: str) -> None:
    done, cost = asked(ScriptedLLM(then=error))
    assert done.answer is not None
    assert done.answer.sentences
    assert warnings(done, "m") == (f"the answer was not written by m, so it is quoted: {why}",)
    assert (cost.calls, cost.tokens) == (calls, 0)


def test_a_question_that_was_not_widened_is_answered_all_the_same() -> None:
    done, _ = asked(ScriptedLLM(ModelRefused("no"), GOOD))
    assert isinstance(done.asked.written, Success)
    assert warnings(done) == ("the question was not widened, so only its own words were searched: no",)


class Hanging(Model):
    """A model that never answers, and knows how many still wait."""

    waiting = 0

    async def complete(self, messages: Any, **options: Any) -> Completion:
        """Nothing, ever."""
        self.waiting += 1
        try:
            await anyio.sleep_forever()
            raise AssertionError("it never wakes")
        finally:
            self.waiting -= 1

    async def stream(self, messages: Any, **options: Any) -> AsyncGenerator[str | Completion, None]:
        """One word, and nothing more."""
        yield "Comparisons"
        yield await self.complete(messages)


@on_both
def test_a_model_that_hangs_is_left_when_the_time_is_up(on: Runner) -> None:
    llm = Hanging()

    async def main() -> tuple[Inquiry, float]:
        began = anyio.current_time()
        context = Context().provide(MODEL, llm)
        done = value_or_raise(await arun(planned(Budget(seconds=20)), Inquiry(CHAINED), context=context))
        return done, anyio.current_time() - began

    done, seconds = on(main)
    assert warnings(done) == ("the answer was not written, so it is quoted: the run was not done within 20 s",)
    assert (round(seconds), llm.waiting) == (20, 0)
    assert REPLIES[1] > 20


def test_cancelling_in_the_middle_of_an_answer_leaves_nothing_running() -> None:
    llm = Hanging()

    async def main() -> int:
        context = Context().provide(MODEL, llm)
        task = asyncio.create_task(arun(planned(), Inquiry(CHAINED), context=context))
        await asyncio.sleep(15)
        assert llm.waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert (virtual_asyncio_run(main), llm.waiting) == (1, 0)


def test_a_budget_that_is_too_small_is_said_and_nothing_is_sent() -> None:
    llm = ScriptedLLM()
    done, cost = asked(llm, Budget(tokens=100))
    [line] = warnings(done)
    assert line.startswith("the answer was not written, so it is quoted: write the answer ")
    assert "100 of 100 are left" in line
    assert (llm.prompts, cost) == ((), Cost())


def test_nothing_found_is_nothing_asked() -> None:
    llm = ScriptedLLM(WORDS)
    plan = stub(planned(), {"search topics": (), "search docstrings": ()})
    context = Context().provide(MODEL, llm)
    done = value_or_raise(virtual_asyncio_run(lambda: arun(plan, Inquiry(CHAINED), context=context)))
    assert (done.asked.written, len(llm.prompts)) == (None, 1)


def test_one_budget_is_for_all_that_the_model_is_asked() -> None:
    done, cost = asked(ScriptedLLM(WORDS, "They are chained. " * 40, GOOD), Budget(tokens=1_150))
    [line] = warnings(done)
    assert "repair the answer was not started" in line or "of 1150 are left" in line
    assert (cost.calls, cost.tokens <= 1_150) == (2, True)


def test_what_it_cost_is_what_the_budget_was_charged() -> None:
    busy = ModelBusy("wait", retry_after=0.1)
    done, cost = asked(ScriptedLLM(WORDS, busy, GOOD))
    assert isinstance(done.asked.written, Success)
    assert (cost.calls, cost.retries) == (3, 1)
    assert 100 < cost.tokens < 600
    shown = text(done, 1.0, Beside(model="m", cost=cost))
    assert f"The model cost 3 calls, {cost.tokens} tokens, 0.00 s, 1 retry." in shown
    assert "Written by m from these sources" in shown


def test_without_a_model_nothing_is_said_of_one(library: Path) -> None:
    done = value_or_raise(run(research, Inquiry(CHAINED, Corpus(cache=library))))
    shown = document(done, 1.0)
    assert not {"model", "cost", "extractive", "asked_before"} & shown.keys()
    assert "model cost" not in text(done, 1.0)


# --- citations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("It chains [1]. So `x[7]` is read once. [2, 3]", [("It chains.", (1,)), ("So `x[7]` is read once.", (2, 3))]),
        ("a < b[1][2].", [("a < b.", (1, 2))]),
        ("- one [1]\n2. two [2]", [("one", (1,)), ("two", (2,))]),
        ("See e.g. this, a op1 b ... y opN z [1]. No.", [("See e.g. this, a op1 b ... y opN z.", (1,)), ("No.", ())]),
        ("It chains [1]. [2].", [("It chains.", (1, 2))]),
        ("Use `a. b` [1].", [("Use `a. b`.", (1,))]),
        (" \n[1]\n", []),
    ],
)
def test_sentences_and_the_sources_that_they_name(said: str, found: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(each.text, each.sources) for each in cited(said)] == found


@given(st.text(alphabet="ab .[]123,`!?\n-", max_size=60))
def test_an_answer_is_given_only_with_every_sentence_cited(draft: str) -> None:
    brief = Brief("?", SOURCES, draft)
    if is_ill_cited(brief):
        assert problems(brief)
        assert repair_prompt(brief)[-1].content
        with pytest.raises(BadAnswer):
            accepted(brief)
        return
    for each in accepted(brief).sentences:
        assert each.sources
        assert set(each.sources) <= {1, 2, 3}
    again = list(cited(accepted(brief).text))
    assert all(each.sources for each in again)


@given(st.text(max_size=80))
@example("chained: linked, comparisons: x")
def test_what_a_model_says_of_a_question_loses_no_word_and_adds_no_term(said: str) -> None:
    query = broaden(parse_question(CHAINED), 2)
    more = widened(query, said)
    assert [term.word for term in more.terms] == [term.word for term in query.terms]
    assert set(query.words) <= set(more.words)


def test_trust_decides_between_equals_alone() -> None:
    best = SearchRound(Query("?"), (*SOURCES, Scored(Passage("x", "topic:x", "x"), 0.4, 0.4)), 0.5)
    preferred = prefer_trusted.action(best, (("topic:2", 1.0), ("topic:x", 9.0)))
    assert preferred is not None
    assert [each.passage.locator for each in preferred.ranked] == ["topic:2", "topic:0", "topic:1", "topic:x"]


# --- chaos -----------------------------------------------------------------------------------------------------------


def test_under_chaos_no_answer_is_wrong_nothing_is_left_and_nothing_overspent() -> None:
    seen = [bench_chaos.seen(seed) for seed in range(25)]
    assert not bench_chaos.broken(seen)
    assert sum(each.answered for each in seen) >= 23
    assert any(each.by_model for each in seen)


def test_the_bench_would_tell() -> None:
    without = [bench_chaos.seen(seed, bench_chaos.unguarded) for seed in range(12)]
    assert bench_chaos.broken(without)
    done, _ = asked(ScriptedLLM("", "They are chained by a goto [1]."))
    assert bench_chaos.is_wrong(done)
    assert bench_chaos.is_wrong(Inquiry("?"))
