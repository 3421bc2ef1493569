"""Answers made of quotations: a question as terms, passages by relevance, the sentences that say most."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from attrs import evolve, frozen

from lambdacat.tools.passages import Passage
from lambdacat.tools.vocabulary import JARGON, KEYWORDS, OPERATORS, STOP, SYNONYMS, WEAK, is_code, stem, stems

ROUNDS = 3
"""How often a query can be broadened before nothing is left to add."""

ENOUGH = 0.6
"""Confidence from which broadening a query is not worth the time."""

EXTRACTIVE = "Every sentence is quoted from the source it names; no model wrote it."
"""What an answer is, to be shown with it."""


@frozen
class Term:
    """One thing that is asked about: a word, a phrase or an operator, and what may stand for it.

    A word of ``kin`` that ends in ``*`` is a prefix.
    """

    word: str
    kin: tuple[str, ...] = ()


@frozen
class Query:
    """A question as terms; ``round`` counts how often it was broadened."""

    text: str
    terms: tuple[Term, ...] = ()
    round: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """Everything to search for, what was asked first."""
        asked = (term.word for term in self.terms)
        return tuple(dict.fromkeys((*asked, *(word for term in self.terms for word in term.kin))))


@frozen
class Scored:
    """A passage as a source of an answer: ``score`` orders it, ``coverage`` is how much of the query it speaks of.

    Units: both from 0 to 1.
    """

    passage: Passage
    score: float
    coverage: float


@frozen
class Sentence:
    """A quoted sentence and the number of its source, from 1."""

    text: str
    source: int


@frozen
class Answer:
    """Quoted sentences and the sources they are numbered by, best first."""

    sentences: tuple[Sentence, ...]
    sources: tuple[Scored, ...]
    confidence: float

    @property
    def text(self) -> str:
        """The sentences, each with the number of its source."""
        if not self.sentences:
            return "No passage of the corpus answers this."
        return " ".join(f"{each.text} [{each.source}]" for each in self.sentences)


# Next to one of these a word such as "is" or "with" is the keyword, not English.
_AFTER = frozenset(("block", "clause", "do", "does", "keyword", "loop", "mean", "operator", "statement", "vs", "work"))
_BEFORE = frozenset(("a", "an", "between", "does", "keyword", "operator", "statement", "the", "versus", "vs"))

_TOKEN = re.compile(
    r"""
    (?P<quote>[`'"])(?P<quoted>[^`'"\s]{1,40})(?P=quote)
    | (?P<name>[^\W\d]\w*(?:[.-][^\W\d]\w*)*(?:\+\+|\#)?)
    | (?P<operator>(?<!\S)[^\w\s`'"]{1,3}?(?=[?.,!]?(?:\s|$)) | [*@]{1,2}(?=[^\W\d]))
    | (?P<number>\d[\w.]*)
    """,
    re.VERBOSE,
)
# Characters of a question and of a word, and terms: a pasted log is cut, not refused.
_LONGEST = 20_000
_WORD = 80
_MOST = 32


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Yield ``(token, whether it is marked as code)``."""
    for found in _TOKEN.finditer(text):
        match found.lastgroup, found.group():
            case "quoted", _:
                # Only what is quoted by itself is a term; a quoted sentence stays a sentence.
                yield found["quoted"], True
            case "operator", operator if operator in OPERATORS:
                yield operator, True
            case "name" | "number", word:
                yield word[:_WORD].rstrip("."), False
            case _:
                # Punctuation.
                continue


def _is_term(at: int, tokens: Sequence[tuple[str, bool]]) -> bool:
    """Whether a token is the subject of the question, not its grammar."""
    word, marked = tokens[at]
    if marked:
        return True
    if word.lower() not in STOP:
        return len(word) > 1
    if word not in KEYWORDS:
        return False
    before, after = (tokens[i][0].lower() if 0 <= i < len(tokens) else "" for i in (at - 1, at + 1))
    paired = before == "and" and at >= 3 and tokens[at - 3][0] == "between"
    trailing = not after and word in ("and", "or", "if", "as")
    return after in _AFTER or (before in _BEFORE and word != "not") or paired or trailing


def parse_question(text: str) -> Query:
    """The terms of a question: its operators, names and keywords, and the words that carry meaning.

    >>> [term.word for term in parse_question("what is the difference between `is` and ==?").terms]
    ['is', '==']
    """
    text = "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])
    tokens = list(_tokens(text))
    kept = [token for at, (token, _) in enumerate(tokens) if _is_term(at, tokens)]
    if not kept:
        # "what is with" is a question about a keyword, as it is about nothing else.
        last = len(tokens) - 1
        kept = [token for at, (token, _) in enumerate(tokens) if token in KEYWORDS and (token != "is" or at == last)]
    words = list(dict.fromkeys(kept))[:_MOST]
    return Query(" ".join(text.split()), tuple(_named(words)))


def _named(words: Sequence[str]) -> Iterator[Term]:
    """Yield the terms of the words; two words that have one meaning together are one term."""
    at = 0
    while at < len(words):
        pair = " ".join(words[at : at + 2])
        if at + 1 < len(words) and (stems(pair) in JARGON or stems(pair) in SYNONYMS):
            yield Term(pair, JARGON.get(stems(pair), ()))
            at += 2
        else:
            yield Term(words[at], JARGON.get(stems(words[at]), ()))
            at += 1


def broaden(query: Query, round: int) -> Query:
    """The query with more words to stand for each term: synonyms, then word stems, then the beginnings of words.

    Law: every word of the query is kept, and from round ``ROUNDS`` on nothing more is added.
    """
    return evolve(query, terms=tuple(_broader(term, round) for term in query.terms), round=round)


def _broader(term: Term, round: int) -> Term:
    if is_code(term.word):
        return term
    kin = list(SYNONYMS.get(stems(term.word), ())) if round >= 1 else []
    for part in re.split(r"\W+", term.word) if round >= 2 else ():
        length = len(stem(part)) if round == 2 else math.ceil(0.6 * len(part))
        if length >= 4:
            kin.append(f"{part.lower()[:length]}*")
    return evolve(term, kin=tuple(dict.fromkeys((*term.kin, *kin))))


_QUOTED = re.compile(r"[\"`]([^\"`\s]+)[\"`]")
_DUNDER = re.compile(r"__\w+__")


@frozen
class _View:
    """A passage as the words to look for in it."""

    head: frozenset[str]
    title: frozenset[str]
    names: frozenset[str]
    code: frozenset[str]
    words: tuple[str, ...]


def _view(passage: Passage) -> _View:
    # The head of "String Methods: str.join" and of "os.path.join" is "join".
    head = passage.title.rpartition(": ")[2].rpartition(".")[2]
    lowered = frozenset(name.lower() for name in passage.names)
    return _View(
        head=frozenset(stems(head)),
        title=frozenset(stems(passage.title)) | {stem(name) for name in lowered},
        names=lowered,
        code=frozenset(_QUOTED.findall(passage.text)) | frozenset(_DUNDER.findall(passage.text)),
        words=stems(passage.text),
    )


def _hit(word: str, view: _View) -> float:
    """How surely a passage speaks of a word, from 0 to 1: in its title or names, in its text, not at all."""
    if is_code(word):
        # In plain text "with" is English, and the parts of "__add__" are any addition.
        plain = 0.2 if word in KEYWORDS and stem(word) in view.words else 0.0
        return 1.0 if word.lower() in view.names else 0.8 if word in view.code else plain
    if word.endswith("*"):
        parts = [part for part in view.title.union(view.words) if part.startswith(word[:-1])]
        return max((0.9 if part in view.title else 0.6 for part in parts), default=0.0)
    sought = frozenset(stems(word))
    if not sought:
        return 0.0
    return 1.0 if sought <= view.title else 0.75 if sought <= view.title.union(view.words) else 0.0


def _speaks(term: Term, view: _View) -> float:
    """How surely a passage speaks of a term or, a little less, of its kin."""
    return max(_hit(term.word, view), 0.85 * max((_hit(word, view) for word in term.kin), default=0.0))


_NAME = re.compile(r"[A-Z_]|[a-z]\d|\w\.\w")


def _weights(query: Query, views: Sequence[_View]) -> tuple[float, ...]:
    """How much each term tells passages apart, summing to 1.

    A term that every passage has tells nothing; one that none has is what is missing.
    """
    weights = []
    for term in query.terms:
        rarity = math.log(1.5 + len(views) / (sum(_speaks(term, view) > 0 for view in views) + 1))
        # What is written as code or in capitals is a name, not a turn of phrase.
        named = is_code(term.word) or _NAME.search(term.word)
        weights.append(rarity * (0.3 if term.word in WEAK else 1.4 if named else 1.0))
    return tuple(weight / sum(weights) for weight in weights)


def _total(weights: Sequence[float], hits: Sequence[float]) -> float:
    return min(1.0, sum(weight * hit for weight, hit in zip(weights, hits, strict=True)))


def _nearness(query: Query, view: _View) -> float:
    """The share of neighbouring terms of the query that are near each other in the passage."""
    found = [{at for at, word in enumerate(view.words) if word in stems(term.word)} for term in query.terms]
    pairs = [any(abs(i - j) <= 4 for i in left for j in right) for left, right in pairwise(found)]
    return sum(pairs) / len(pairs) if pairs else 0.0


def _aboutness(query: Query, view: _View) -> float:
    """How nearly what the title ends with is the query: its whole subject, or one word of either."""
    asked = {part for word in query.words for part in stems(word)}
    return min(1.0, 2 * len(view.head & asked) / (len(view.head) + len(query.terms)))


def rank(query: Query, found: Iterable[Sequence[Passage]]) -> tuple[Scored, ...]:
    """The passages of all sources, each source's best first, as one order; one passage for each locator.

    Sources are fused by rank, since the scores of two indexes cannot be compared, and then by how much of the query
    each passage covers. Law: the order of the sources does not matter.
    """
    positions = {passage: at for passages in found for at, passage in enumerate(passages)}
    if not positions or not query.terms:
        return ()
    views = {passage: _view(passage) for passage in positions}
    weights = _weights(query, tuple(views.values()))
    hits = {passage: [_speaks(term, view) for term in query.terms] for passage, view in views.items()}
    # A topic can speak of one term in one passage and of the next term in another.
    places: dict[str, list[float]] = {}
    for passage in positions:
        before = places.get(passage.locator, hits[passage])
        places[passage.locator] = [max(pair) for pair in zip(before, hits[passage], strict=True)]
    found_at: dict[str, list[Scored]] = {}
    for passage, position in positions.items():
        # What a search matched can still be another word: "c" is not "c++".
        if not (coverage := _total(weights, hits[passage])):
            continue
        score = (
            0.47 * coverage
            + 0.15 * _total(weights, places[passage.locator])
            + 0.14 * _nearness(query, views[passage])
            + 0.16 * _aboutness(query, views[passage])
            + 0.08 / (1 + position / 4)
            - 0.04 * _remoteness(passage.locator)
        )
        each = Scored(passage, max(0.0, min(1.0, score)), coverage)
        found_at.setdefault(passage.locator, []).append(each)
    joined = map(_joined, found_at.values())
    return tuple(sorted(joined, key=lambda each: (-each.score, each.passage.locator)))


def _joined(found: Sequence[Scored]) -> Scored:
    """The passages of one locator as one, best first."""
    order = sorted(found, key=lambda each: (-each.score, each.passage.text))
    text = "\n\n[...]\n\n".join(each.passage.text for each in order)
    return evolve(order[0], passage=evolve(order[0].passage, text=text))


def _remoteness(locator: str) -> int:
    """How far a name is from what questions are about: a topic is near, ``xml.dom.minidom.Node.normalize`` is not."""
    kind, _, name = locator.partition(":")
    return name.count(".") + (not name.startswith("builtins.")) if kind == "doc" else 0


def confidence(query: Query, ranked: Sequence[Scored]) -> float:
    """How far the best passage speaks of everything that was asked; 0 without passages.

    Units: 0 to 1, not a probability.
    """
    if not ranked:
        return 0.0
    best = ranked[0]
    return round(best.coverage * (0.5 + 0.5 * best.score), 3)


SOURCES = 5
"""Sources that an answer lists at most."""

_NO_TEXT = re.compile(r"\+--|\||\*\*PEP|@\w|((async )?def|class) \w+.*:|import \w|from \S+ import ")
_PROSE = re.compile(r"[\"'(]*[A-Z*`\d]")
_DOCUMENTED = re.compile(r"[\w.]+(\(.*\))?: \w")
_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!cf\.)(?<!etc\.)[\"')\]]*\s+(?=[\"'(*`]*[A-Z])")


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs and the items of lists of a passage, each on one line; grammar, tables and code are none."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[*-] )", text):
        flat = re.sub(r"^[*-] ", "", " ".join(paragraph.split()))
        if "::=" not in flat and ">>> " not in flat and not _NO_TEXT.match(flat):
            yield flat


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a passage; what only announces something is none."""
    for flat in _paragraphs(text):
        # A docstring's first line says what a thing is, often without a full stop.
        documented = _DOCUMENTED.match(flat)
        if not documented and not _PROSE.match(flat):
            continue
        for sentence in _END.split(flat):
            if sentence.count(" ") >= 3 and (sentence[-1] in ".!?)\"'" or (documented and sentence[-1] != ":")):
                yield sentence


def _rows(text: str) -> list[str]:
    """The rows of the tables of a passage, without their frames, and its short notes, which need not be sentences."""
    rows = re.findall(r"^\s*\|(.*)\|\s*$", text, re.MULTILINE)
    notes = [flat for flat in _paragraphs(text) if 2 <= flat.count(" ") < _NOTE and flat[-1] != ":"]
    return [*(" ".join(row.replace("|", " ").split()) for row in rows), *notes]


_NOTE = 40
"""Words of a note at most; what is longer and no sentence is no answer either."""


def _values(query: Query, texts: Sequence[str]) -> list[float]:
    """How much of the query each text says."""
    views = [_view(Passage("", "", text)) for text in texts]
    weights = _weights(query, views)
    totals = [_total(weights, [_speaks(term, view) for term in query.terms]) for view in views]
    return [total + 0.2 * _nearness(query, view) for total, view in zip(totals, views, strict=True)]


def _telling(query: Query, source: Scored, most: int) -> tuple[str, ...]:
    """The sentences of a source that say most of the query, in their order; a row or note, if none says anything."""
    found = list(dict.fromkeys(_sentences(source.passage.text)))
    values = _values(query, found)
    rows = _rows(source.passage.text)
    if max(values, default=0.0) < 0.3 < max(told := _values(query, rows), default=0.0):
        return (rows[told.index(max(told))],)
    # An early sentence introduces the subject, and one after a telling one goes on about it.
    values = [value + 0.15 / (1 + at) + 0.35 * before for at, (before, value) in enumerate(pairwise((0.0, *values)))]
    order = sorted(range(len(found)), key=lambda at: (-values[at], at))[:most]
    return tuple(found[at] for at in sorted(order) if values[at] >= 0.5 * values[order[0]])


def compose(query: Query, ranked: Sequence[Scored]) -> Answer:
    """An answer of quoted sentences: up to three of the best source, and one of each of the next two that comes near.

    Law: every sentence stands in the passage of its source, apart from line breaks.
    """
    sources = tuple(ranked[:SOURCES])
    quoted: dict[frozenset[str], Sentence] = {}
    for number, source in enumerate(sources[:3], 1):
        if source.score < 0.7 * sources[0].score:
            continue
        for sentence in _telling(query, source, 3 if number == 1 else 1):
            words = frozenset(stems(sentence))
            # "str.zfill" and "bytes.zfill" say the same.
            if all(len(words & other) < 0.8 * len(words) for other in quoted):
                quoted[words] = Sentence(sentence, number)
    return Answer(tuple(quoted.values()), sources, confidence(query, ranked) if quoted else 0.0)
