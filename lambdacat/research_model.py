"""The research plan with a language model: it widens the question, and writes an answer that names its sources.

Whatever the model does, there is an answer: without it, or when it fails, passages are quoted. Everything that bounds
it is part of the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from attrs import evolve
from returns.result import Failure

from lambdacat.bound import Budget, Estimate
from lambdacat.build import pure, when
from lambdacat.context import Key
from lambdacat.fault import ActionFailed, Fault, Outcome, Stopped, TimedOut, Unavailable
from lambdacat.guard import Breaker, Retries
from lambdacat.leaf import task
from lambdacat.path import lens
from lambdacat.plan import Plan
from lambdacat.research import (
    ANSWER,
    QUERY,
    QUESTION,
    REPAIR,
    WIDEN,
    WRITE,
    Inquiry,
    find,
    prepare,
    quote,
    research,
)
from lambdacat.research_citing import (
    Brief,
    Written,
    accepted,
    answer_prompt,
    is_ill_cited,
    repair_prompt,
    widened,
    widening_prompt,
)
from lambdacat.schedule import Exponential
from lambdacat.tools.answer import Answer, Query
from lambdacat.tools.llm import LLM, ModelRefused, ask_model

A = TypeVar("A")
B = TypeVar("B")

MODEL: Key[LLM] = Key("model")
"""The model that a run asks."""

WORDS_WITHIN: Final = 10.0
"""How long more words are waited for in all; the search begins without them then. Units: seconds."""
REPLIES: Final = 4.0, 45.0
"""How long one reply is waited for: more words, an answer. Units: seconds."""
AGAIN: Final = Exponential(first=0.5, cap=8).jittered(0.3).times(2)
"""When a reply that did not come is asked for again."""
LONGEST: Final = 600
"""Units: tokens of an answer."""
LONGEST_WORDS: Final = 200
"""Units: tokens."""

WORDS = lens(Inquiry, lambda s: s.asked.words)
BRIEF = lens(Inquiry, lambda s: s.asked.brief)
WRITTEN = lens(Inquiry, lambda s: s.asked.written)
DRAFT = lens(Brief, lambda s: s.draft)

_INSTANT = Estimate(seconds=(0, 0.1), tokens=(0, 0), money=(0, 0))

# --- steps -----------------------------------------------------------------------------------------------------------

ask_for_words = ask_model(MODEL, widening_prompt, name=WIDEN, max_tokens=LONGEST_WORDS)
write_draft = ask_model(MODEL, answer_prompt, into=DRAFT, name=WRITE, max_tokens=LONGEST, emits=True)
repair_draft = ask_model(MODEL, repair_prompt, into=DRAFT, name=REPAIR, max_tokens=LONGEST, emits=True)


@task(reads=(QUERY, WORDS), writes=QUERY, name="add words", blocking="inline", estimate=_INSTANT)
def add_words(query: Query, words: Outcome[str] | None) -> Query:
    """The query with what the model gave; as it was when that failed."""
    return query if words is None else words.map(lambda said: widened(query, said)).value_or(query)


@task(reads=(QUESTION, ANSWER), writes=BRIEF, name="brief", blocking="inline", estimate=_INSTANT)
def make_brief(question: str, answer: Answer | None) -> Brief:
    """What the model is to write from."""
    return Brief(question, () if answer is None else answer.sources)


@task(name="check citations", blocking="inline", estimate=_INSTANT)
def check_citations(brief: Brief) -> Written:
    """The draft as an answer. Errors: ``BadAnswer`` unless every sentence names a source that there is."""
    return accepted(brief)


# --- the plan --------------------------------------------------------------------------------------------------------


def may_pass(fault: Fault) -> bool:
    """Whether asking again may help: not after a refusal, nor when the budget is spent."""
    match fault:
        case ActionFailed(error=ModelRefused()):
            return False
        case ActionFailed() | TimedOut() | Unavailable():
            return True
        case _:
            return False


def has_sources(brief: Brief) -> bool:
    """Whether there is anything to write from."""
    return brief.sources != ()


def given_up(budget: Budget) -> Callable[[Inquiry], Inquiry]:
    """What notes that the model did not write the answer in its time."""
    within = "its budget" if budget.seconds is None else f"{budget.seconds:g} s"
    why = Stopped(reason=f"the run was not done within {within}")

    def note(inquiry: Inquiry) -> Inquiry:
        return evolve(inquiry, asked=evolve(inquiry.asked, written=Failure(why)))

    return note


def research_with(budget: Budget) -> Plan[Inquiry, Inquiry]:
    """The research plan with the model that the context provides as ``MODEL``, and no more than a budget for it.

    Law: its answer is the model's, with every sentence cited, or that of ``research``. Errors: those of ``research``.
    """
    unaided = pure(given_up(budget)) >> research
    breaker = Breaker(failures=3, seconds=10, name="the breaker of the model")
    retries = Retries(ratio=0.5, burst=4)

    def patient(step: Plan[A, B], seconds: float) -> Plan[A, B]:
        return step.timeout(seconds).guarded(breaker).retry(AGAIN, on=may_pass, budget=retries)

    soon, later = REPLIES
    widen = patient(ask_for_words, soon).timeout(WORDS_WITHIN)
    write = patient(write_draft, later) >> when(is_ill_cited, patient(repair_draft, later)) >> check_citations

    thinking = (
        (prepare & widen.attempt().between(QUESTION, WORDS))
        >> add_words
        >> find
        >> quote
        >> make_brief
        >> when(BRIEF.where(has_sources), write.attempt().between(BRIEF, WRITTEN))
    )
    return thinking.within(budget) | unaided
