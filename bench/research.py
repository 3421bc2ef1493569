"""How often a question finds its topic: the share with an expected locator among the first three sources.

Run ``python -m bench.research``; ``--cache FOLDER`` keeps the index elsewhere than in the user's cache. The exit code
is 1 when fewer than 80 % of the questions hit.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from lambdacat import arun, value_or_raise
from lambdacat.research import Corpus, Inquiry, research

QUESTIONS = Path(__file__).with_name("questions.json")

REQUIRED = 0.8
"""The share of questions that must hit."""


@frozen
class Question:
    """A learner's question and the locators of which any one answers it.

    The held-out ones were written with the others but are not to be tuned for.
    """

    text: str
    expected: frozenset[str]
    held_out: bool


def questions(path: Path = QUESTIONS) -> tuple[Question, ...]:
    """The questions of a file."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Question(row["question"], frozenset(row["expected"]), row.get("held_out", False)) for row in rows)


async def sources(question: str, cache: Path | None) -> list[str]:
    """The locators of the sources of the answer, best first."""
    done = value_or_raise(await arun(research, Inquiry(question, Corpus(cache=cache))))
    return [each.passage.locator for each in done.answer.sources] if done.answer else []


async def missed(asked: Sequence[Question], cache: Path | None) -> tuple[Question, ...]:
    """The questions for which none of the first three sources is an expected one."""
    return tuple([each for each in asked if not each.expected & set((await sources(each.text, cache))[:3])])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the hit rate of the tuned, of the held-out and of all questions, and what was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    cache = parser.parse_args(argv).cache
    asked = questions()
    misses = asyncio.run(missed(asked, cache))
    groups = (
        ("tuned", [each for each in asked if not each.held_out]),
        ("held out", [each for each in asked if each.held_out]),
        ("all", asked),
    )
    for name, group in groups:
        hits = sum(each not in misses for each in group)
        print(f"{name:<9}hit@3 {hits}/{len(group)} = {hits / len(group):.0%}")
    for each in misses:
        print(f"  missed: {each.text}")
    return 0 if 1 - len(misses) / len(asked) >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
