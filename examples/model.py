"""Draft an answer, have it judged, and draft again until it is good, for so many tokens and no more.

Output:

    asked: What is a sheaf?
    asked: What is a sheaf? (It says nothing of gluing.)
    Answer(question='What is a sheaf?', draft='Data that glues.', verdict=Verdict(score=9, why='Clear.'))
    BudgetExceeded: judge was not started: it may need 186 tokens, and 122 of 250 are left
"""

from attrs import frozen

from lambdacat import Budget, Plan, identity, lens, run, value_or_raise
from lambdacat.testing import ScriptedLLM
from lambdacat.tools.llm import LLM, ask_model


@frozen
class Verdict:
    """What a judge thinks of a draft. Units: from 0 to 10."""

    score: int = 0
    why: str = ""


@frozen
class Answer:
    """A question, and how far it has come."""

    question: str
    draft: str = ""
    verdict: Verdict = Verdict()


DRAFT, VERDICT = lens(Answer, lambda a: a.draft), lens(Answer, lambda a: a.verdict)
SCORE = lens(Answer, lambda a: a.verdict.score)


def wanted(answer: Answer) -> str:
    """What the writer is asked."""
    return f"{answer.question} ({answer.verdict.why})" if answer.verdict.why else answer.question


def judged(draft: str) -> str:
    """What the judge is asked."""
    return f"How good is this answer, from 0 to 10, and why? {draft}"


def plan(llm: LLM) -> Plan[Answer, Answer]:
    """Drafts and judges, three times at the most; each request says before it is sent what it may cost."""
    write = ask_model(llm, wanted, into=DRAFT, max_tokens=100, name="write")
    judge = ask_model(llm, judged, reads=DRAFT, into=VERDICT, gives=Verdict, max_tokens=100, name="judge")
    return (write >> judge).loop_while(SCORE.where(lambda score: score < 8), at_most=3, then=identity)


def model() -> ScriptedLLM:
    """In real life: ``OpenAIClient("gpt-5-mini")``."""
    return ScriptedLLM(
        "Something in mathematics.",
        '{"score": 2, "why": "It says nothing of gluing."}',
        "Data that glues.",
        '{"score": 9, "why": "Clear."}',
    )


def main() -> None:
    """Run it with enough to spend, and with too little."""
    llm, question = model(), Answer("What is a sheaf?")
    done = value_or_raise(run(plan(llm).within(Budget(tokens=1_000)), question))
    for prompt in llm.prompts[::2]:
        print("asked:", prompt[0].content)
    print(done)
    print(str(run(plan(model()).within(Budget(tokens=250)), question).failure()).splitlines()[0])


if __name__ == "__main__":
    main()
