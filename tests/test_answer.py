"""Questions as terms, rankings and quoted answers."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdacat.tools.answer import (
    EXTRACTIVE,
    ROUNDS,
    Answer,
    Query,
    broaden,
    compose,
    confidence,
    parse_question,
    rank,
)
from lambdacat.tools.passages import Passage

CHAINS = Passage(
    "Comparisons",
    "topic:comparisons",
    "Comparisons yield boolean values.\n\nComparisons can be chained arbitrarily, e.g., a < b < c means what\n"
    "it means in mathematics.\n\n   comparison ::= or_expr (comp_operator or_expr)*\n",
    names=("comparisons", "is", "=="),
)
WITH = Passage(
    "The with statement",
    "topic:with",
    'The "with" statement wraps the execution of a block with methods of a context manager.',
    names=("with", "as"),
)
CHAIN = Passage("itertools.chain", "doc:itertools.chain", "itertools.chain(*iterables): Make one iterator of many.")
TABLE = Passage("Operator precedence", "topic:operator-summary", '| ":="   | Assignment expression |\n+-----+')
CORPUS = ((CHAINS, WITH, TABLE), (CHAIN,))

words = st.sampled_from(["comparisons", "chained", "with", "`with`", "is", "==", "how", "iterator", "zebra", "c++"])
questions = st.lists(words, max_size=6).map(" ".join) | st.text(max_size=60)


def terms(question: str) -> list[str]:
    return [term.word for term in parse_question(question).terms]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("how are comparisons chained?", ["comparisons", "chained"]),
        ("How does `with` work?", ["with"]),
        ("how does with work", ["with"]),
        ("what is the with statement", ["with", "statement"]),
        ("what is the difference between is and ==?", ["is", "=="]),
        ("What does ** do?", ["**"]),
        ("what is := for", [":="]),
        ("what is @?", ["@"]),
        ("how do I work with files in a loop?", ["files", "loop"]),
        ("when is os.path.join() right", ["os.path.join", "right"]),
        ("what is __slots__", ["__slots__"]),
        ("c++", ["c++"]),
        ('"unbalanced', ["unbalanced"]),
    ],
)
def test_terms_are_what_the_question_is_about(question: str, expected: list[str]) -> None:
    assert terms(question) == expected


@pytest.mark.parametrize("question", ["", "   ", "?!", "\0", "\N{PILE OF POO}", "\ud800", "what is the?"])
def test_question_without_a_subject_has_no_terms(question: str) -> None:
    assert terms(question) == []


@given(st.text())
def test_any_text_is_a_question(text: str) -> None:
    query = parse_question(text)
    answer = compose(query, rank(query, CORPUS))
    assert isinstance(answer.text, str)


def test_long_question_keeps_few_terms() -> None:
    assert len(terms(" ".join(f"word{n}" for n in range(2000)))) == 32
    assert len(parse_question("x" * 10_000).terms) == 1


@given(questions, st.integers(0, ROUNDS + 2))
def test_broadening_keeps_every_word_and_ends(question: str, round: int) -> None:
    query = parse_question(question)
    broad = broaden(query, round)
    assert set(query.words) <= set(broad.words)
    assert broaden(broad, ROUNDS).words == broaden(broaden(broad, ROUNDS), ROUNDS + 1).words


def test_broadening_reaches_other_forms_of_a_word() -> None:
    query = parse_question("folders sorting")
    assert "directory" in broaden(query, 1).words
    assert "sort*" in broaden(query, 2).words


@given(questions)
def test_ranking_does_not_depend_on_the_order_of_sources(question: str) -> None:
    query = parse_question(question)
    orders = [rank(query, order) for order in permutations(CORPUS)]
    assert orders[0] == orders[1]


@given(questions)
def test_ranking_is_ordered_and_bounded(question: str) -> None:
    query = parse_question(question)
    ranked = rank(query, CORPUS)
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= each.score <= 1 and 0 < each.coverage <= 1 for each in ranked)
    assert 0 <= confidence(query, ranked) <= 1


def test_passages_of_one_locator_are_one_source() -> None:
    query = parse_question("comparisons chained")
    more = Passage("Comparisons", "topic:comparisons", "Identity comparisons test for the same object.")
    ranked = rank(query, [(CHAINS, more)])
    assert [each.passage.locator for each in ranked] == ["topic:comparisons"]
    assert "chained" in ranked[0].passage.text
    assert "Identity" in ranked[0].passage.text


def test_full_match_is_more_certain_than_part_of_it() -> None:
    sure, unsure = parse_question("comparisons chained"), parse_question("comparisons of zebras")
    assert confidence(sure, rank(sure, CORPUS)) > 0.6 > 0.5 > confidence(unsure, rank(unsure, CORPUS))


def test_nothing_found_gives_an_answer_that_says_so() -> None:
    query = parse_question("zebra")
    assert compose(query, rank(query, CORPUS)) == Answer((), (), 0.0)
    assert compose(Query(""), ()).text == "No passage of the corpus answers this."


@given(questions)
def test_every_sentence_stands_in_its_source(question: str) -> None:
    query = parse_question(question)
    answer = compose(query, rank(query, CORPUS))
    for sentence in answer.sentences:
        passage = answer.sources[sentence.source - 1].passage.text
        assert sentence.text in " ".join(passage.replace("|", " ").split())


def test_answer_quotes_what_the_question_asks_and_no_grammar() -> None:
    query = parse_question("how are comparisons chained?")
    text = compose(query, rank(query, CORPUS)).text
    assert "Comparisons can be chained arbitrarily, e.g., a < b < c means what it means in mathematics. [1]" in text
    assert "::=" not in text
    assert "quoted" in EXTRACTIVE


def test_row_of_a_table_answers_when_no_sentence_does() -> None:
    query = parse_question("what does the walrus operator do?")
    assert compose(query, rank(query, CORPUS)).sentences[0].text == '":=" Assignment expression'
