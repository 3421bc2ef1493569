"""Answers questions with the research plan of the library: offline, from what every Python has on disk.

Run ``python examples/research.py``, or with a question of your own. The first run builds an index in the user's cache
folder.

``answer`` is the same plan from text to text:

    lambdacat run examples/research.py:answer --input '"What does ** do?"'

Output:

    ? how are comparisons chained?
    Comparisons can be chained arbitrarily, e.g., ... [1]...
    [1] topic:comparisons
    ...
    confidence 0... in round ...
    ? How does `with` work?
    The "with" statement is used to wrap the execution of a block with methods defined by a context manager ... [1]...
    [1] topic:with
    ...
    confidence 0... in round ...
"""

import asyncio
import sys

from lambdacat import Failure, Plan, Success, arun, pure
from lambdacat.research import Inquiry, research

QUESTIONS = ("how are comparisons chained?", "How does `with` work?")


def as_text(done: Inquiry) -> str:
    """The answer, its sources and how sure it is."""
    if done.answer is None:
        return "no answer"
    sources = [f"[{number}] {each.passage.locator}" for number, each in enumerate(done.answer.sources, 1)]
    sure = f"confidence {done.answer.confidence:.2f} in round {done.lookup.query.round + 1}"
    return "\n".join((done.answer.text, *sources, sure))


answer: Plan[str, str] = pure(Inquiry) >> research >> pure(as_text)


async def main(*questions: str) -> int:
    """Answer the questions one after the other."""
    for question in questions or QUESTIONS:
        print(f"? {question}")
        match await arun(answer, question):
            case Success(text):
                print(text)
            case Failure(fault):
                print(fault, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
