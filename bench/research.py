"""How often a question finds its topic: the share with an expected locator among the first three sources.

Run ``python bench/research.py``; ``--cache FOLDER`` keeps the index elsewhere than in the user's cache.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from attrs import frozen

from lambdacat.tools.answer import ENOUGH, ROUNDS, Scored, broaden, confidence, parse_question, rank
from lambdacat.tools.corpus import Index, Source, open_stdlib, search

QUESTIONS = Path(__file__).with_name("questions.json")


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


def locators(index: Index, question: str) -> list[str]:
    """The sources of the most confident round, best first."""
    query = parse_question(question)
    best: tuple[float, tuple[Scored, ...]] = (0.0, ())
    for round in range(ROUNDS + 1):
        query = broaden(query, round) if round else query
        sources = (Source.TOPICS, Source.DOCSTRINGS)
        ranked = rank(query, [search(index, query.words, source=source) for source in sources])
        best = max(best, (confidence(query, ranked), ranked), key=lambda pair: pair[0])
        if best[0] >= ENOUGH:
            break
    return [each.passage.locator for each in best[1]]


def missed(answer: Callable[[str], Sequence[str]], asked: Sequence[Question]) -> tuple[Question, ...]:
    """The questions for which none of the first three locators is an expected one."""
    return tuple(each for each in asked if not each.expected & set(answer(each.text)[:3]))


def main() -> None:
    """Print the hit rate of the tuned and of the held-out questions, and what was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    answer = partial(locators, open_stdlib(parser.parse_args().cache))
    for name, held_out in (("tuned", False), ("held out", True)):
        asked = [each for each in questions() if each.held_out is held_out]
        misses = missed(answer, asked)
        hits = len(asked) - len(misses)
        print(f"{name:9}hit@3 {hits}/{len(asked)} = {hits / len(asked):.0%}")
        for each in misses:
            print(f"  missed: {each.text}")


if __name__ == "__main__":
    main()
