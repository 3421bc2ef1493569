"""A research agent as one plan: search several sources at once, broaden the question while unsure, quote an answer.

It needs no network and no model. The sources are Python's language topics, the docstrings of its standard library and,
if given, a folder of notes. Every step below is a plain function; what happens in which order is ``research``.
"""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen
from returns.result import Failure, Success

from lambdacat.bound import Estimate
from lambdacat.build import when
from lambdacat.context import Context, Key
from lambdacat.fault import ActionFailed, Fault, Outcome, Stopped, headline
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.path import lens
from lambdacat.plan import Plan, identity
from lambdacat.tools.answer import (
    ENOUGH,
    ROUNDS,
    Answer,
    Query,
    Scored,
    broaden,
    compose,
    confidence,
    parse_question,
    rank,
)
from lambdacat.tools.corpus import CorpusError, Index, Skip, Source, open_folder, open_stdlib, search
from lambdacat.tools.passages import Checkpoint, Passage

CHECKPOINT: Key[Checkpoint] = Key("checkpoint")
"""Called between files while an index is built, so that a run that is given up can end the building by raising."""

PATIENCE = 5.0
"""Units: seconds that one search of one source may take."""

DOUBTFUL = 0.2
"""Confidence below which an answer comes with a warning."""

Found = tuple[Passage, ...]

_UNOPENED: Outcome[Index] = Failure(Stopped(reason="it was never opened"))
_NOTHING: Outcome[Found] = Success(())

# --- what the agent knows ------------------------------------------------------------------------------------------


@frozen
class Corpus:
    """Where to search: a folder of notes, if any, and where indexes are kept (None is the user's own cache)."""

    folder: Path | None = None
    cache: Path | None = None


@frozen
class Lookup:
    """What a search goes by: the question as terms, and the indexes, each opened once."""

    query: Query = Query("")
    library: Outcome[Index] = _UNOPENED
    notes: Outcome[Index] = _UNOPENED


@frozen
class Round:
    """What one query brought: passages best first, the sources that were searched, and those that failed and why.

    Units: ``confidence`` from 0 to 1.
    """

    query: Query = Query("")
    ranked: tuple[Scored, ...] = ()
    confidence: float = 0.0
    searched: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@frozen
class Inquiry:
    """A question on its way to an answer."""

    question: str
    corpus: Corpus = Corpus()
    lookup: Lookup = Lookup()
    topics: Outcome[Found] = _NOTHING
    docstrings: Outcome[Found] = _NOTHING
    notes: Outcome[Found] = _NOTHING
    best: Round = Round()
    rounds: int = 0
    answer: Answer = field(default=Answer((), (), 0.0))


QUESTION = lens(Inquiry, lambda s: s.question)
CORPUS = lens(Inquiry, lambda s: s.corpus)
FOLDER = lens(Inquiry, lambda s: s.corpus.folder)
LOOKUP = lens(Inquiry, lambda s: s.lookup)
QUERY = lens(Inquiry, lambda s: s.lookup.query)
LIBRARY_INDEX = lens(Inquiry, lambda s: s.lookup.library)
NOTES_INDEX = lens(Inquiry, lambda s: s.lookup.notes)
TOPICS = lens(Inquiry, lambda s: s.topics)
DOCSTRINGS = lens(Inquiry, lambda s: s.docstrings)
NOTES = lens(Inquiry, lambda s: s.notes)
BEST = lens(Inquiry, lambda s: s.best)
ROUND = lens(Inquiry, lambda s: s.rounds)
ANSWER = lens(Inquiry, lambda s: s.answer)

# --- the steps -----------------------------------------------------------------------------------------------------


@task(reads=QUESTION, writes=QUERY, name="read the question", blocking="inline", estimate=Estimate(seconds=(0, 0.01)))
def read_question(question: str) -> Query:
    """The question as terms."""
    return parse_question(question)


@task(name="open the library", estimate=Estimate(seconds=(0.001, 20)))
def open_library(corpus: Corpus, context: Context) -> Index:
    """The index of topics and docstrings; the first time, it is built."""
    return open_stdlib(corpus.cache, checkpoint=context.get(CHECKPOINT, bool))


@task(name="open the folder", estimate=Estimate(seconds=(0.001, 60)))
def open_notes(corpus: Corpus, context: Context) -> Index:
    """The index of the folder, with the files that changed read again."""
    return open_folder(corpus.folder or Path(), corpus.cache, checkpoint=context.get(CHECKPOINT, bool))


# A search only reads, so one that hangs on a slow disk can be left behind.
@task(name="search topics", blocking="abandon", estimate=Estimate(seconds=(0.001, 1)))
def search_topics(lookup: Lookup) -> Found:
    """Passages of the language reference."""
    return search(_index(lookup.library), lookup.query.words, source=Source.TOPICS)


@task(name="search docstrings", blocking="abandon", estimate=Estimate(seconds=(0.001, 1)))
def search_docstrings(lookup: Lookup) -> Found:
    """Passages of the standard library's docstrings."""
    return search(_index(lookup.library), lookup.query.words, source=Source.DOCSTRINGS)


@task(name="search the folder", blocking="abandon", estimate=Estimate(seconds=(0.001, 1)))
def search_notes(lookup: Lookup) -> Found:
    """Passages of the folder's files."""
    return search(_index(lookup.notes), lookup.query.words, source=Source.FOLDER)


@task(
    reads=(QUERY, (FOUND := lens(Inquiry, lambda s: s)), BEST, ROUND),
    writes=(BEST, ROUND),
)
def placeholder(*_: object) -> None: ...
