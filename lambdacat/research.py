"""A research agent as one plan: search several sources at once, broaden the question while unsure, quote an answer.

It needs no network and no model. The sources are Python's language topics, the docstrings of its standard library and,
if given, a folder of notes. Every step is a plain function; what happens in which order is said by ``research``, at the
end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen
from returns.result import Failure, Success

from lambdacat.bound import Estimate
from lambdacat.build import when
from lambdacat.context import Context, Key
from lambdacat.fault import ActionFailed, Fault, Outcome, Stopped, TimedOut, Unavailable, headline
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.path import lens
from lambdacat.plan import Plan, identity
from lambdacat.research_citing import Brief, Written
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
from lambdacat.tools.corpus import CorpusError, Index, Source, open_folder, open_stdlib, search
from lambdacat.tools.passages import Checkpoint, Passage

if TYPE_CHECKING:
    from lambdacat.tools.search import Hits, Search

WEB: Key[Search] = Key("web")
"""The search of the web, where a corpus says that there is one."""

CHECKPOINT: Key[Checkpoint] = Key("checkpoint")
"""Called between files while an index is built; what it raises ends the building."""

PATIENCE = 5.0
"""Units: seconds that one search of one source may take."""

LONGEST = 400
"""Characters of a question that are sent to a search endpoint."""

HITS = 10
"""How many hits are asked for there."""

Found = tuple[Passage, ...]

# --- what the agent knows --------------------------------------------------------------------------------------------

_UNOPENED: Outcome[Index] = Failure(Stopped(reason="it was not opened"))


@frozen
class Corpus:
    """Where to search: a folder of notes and the web, if any; and where indexes are kept (None is the user's cache)."""

    folder: Path | None = None
    cache: Path | None = None
    web: str = ""
    """The address of a search endpoint, which the run's context provides as ``WEB``; empty without one."""


@frozen
class Lookup:
    """What a search goes by: the question as terms, and indexes that were opened once."""

    query: Query = Query("")  # noqa: RUF009  a frozen value may be shared
    library: Outcome[Index] = _UNOPENED
    notes: Outcome[Index] = _UNOPENED


@frozen
class Finds:
    """What each source answered to one query; None where it was not asked."""

    topics: Outcome[Found] | None = None
    docstrings: Outcome[Found] | None = None
    folder: Outcome[Found] | None = None
    web: Outcome[Found] | None = None

    @property
    def asked(self) -> tuple[tuple[str, Outcome[Found]], ...]:
        """The outcomes that there are, each with the name of its source."""
        named = (
            ("topics", self.topics),
            ("docstrings", self.docstrings),
            ("folder", self.folder),
            ("web", self.web),
        )
        return tuple((name, outcome) for name, outcome in named if outcome is not None)


@frozen
class Round:
    """What one query brought: passages, best first, the sources that answered, and those that failed and why.

    Units: ``confidence`` from 0 to 1.
    """

    query: Query
    ranked: tuple[Scored, ...]
    confidence: float
    answered: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@frozen
class Asked:
    """What a model was asked, and what came of it; None where it was not asked."""

    words: Outcome[str] | None = None
    """More words for the query."""
    brief: Brief = Brief()  # noqa: RUF009  a frozen value may be shared
    written: Outcome[Written] | None = None
    """The answer in its words."""


@frozen
class Inquiry:
    """A question on its way to an answer; ``best`` is the most confident round so far."""

    question: str
    corpus: Corpus = Corpus()
    lookup: Lookup = Lookup()
    finds: Finds = Finds()
    best: Round | None = None
    answer: Answer | None = None
    trust: tuple[tuple[str, float], ...] = ()
    """What is believed of sources, by locator: log-odds that one belongs in an answer. It decides between equals."""
    asked: Asked = Asked()
    """What a model was asked; nothing without one."""


QUESTION = lens(Inquiry, lambda s: s.question)
CORPUS = lens(Inquiry, lambda s: s.corpus)
FOLDER = lens(Inquiry, lambda s: s.corpus.folder)
WEB_AT = lens(Inquiry, lambda s: s.corpus.web)
LOOKUP = lens(Inquiry, lambda s: s.lookup)
QUERY = lens(Inquiry, lambda s: s.lookup.query)
LIBRARY = lens(Inquiry, lambda s: s.lookup.library)
NOTES = lens(Inquiry, lambda s: s.lookup.notes)
FINDS = lens(Inquiry, lambda s: s.finds)
IN_TOPICS = lens(Inquiry, lambda s: s.finds.topics)
IN_DOCSTRINGS = lens(Inquiry, lambda s: s.finds.docstrings)
IN_FOLDER = lens(Inquiry, lambda s: s.finds.folder)
IN_WEB = lens(Inquiry, lambda s: s.finds.web)
BEST = lens(Inquiry, lambda s: s.best)
ANSWER = lens(Inquiry, lambda s: s.answer)
TRUST = lens(Inquiry, lambda s: s.trust)

# --- steps -----------------------------------------------------------------------------------------------------------

_INSTANT = Estimate(seconds=(0, 0.1), tokens=(0, 0), money=(0, 0))
_SEARCH = Estimate(seconds=(0, PATIENCE), tokens=(0, 0), money=(0, 0))
_BUILD = Estimate(seconds=(0, 60), tokens=(0, 0), money=(0, 0))


@task(reads=QUESTION, writes=QUERY, name="read the question", blocking="inline", estimate=_INSTANT)
def read_question(question: str) -> Query:
    """The question as terms."""
    return parse_question(question)


@task(name="open the library", estimate=_BUILD)
def open_library(corpus: Corpus, context: Context) -> Index:
    """The index of topics and docstrings; it is built the first time."""
    return open_stdlib(corpus.cache, checkpoint=context.get(CHECKPOINT, bool))


@task(name="open the folder", estimate=_BUILD)
def open_notes(corpus: Corpus, context: Context) -> Index:
    """The index of the folder as it is now."""
    return open_folder(corpus.folder or Path(), corpus.cache, checkpoint=context.get(CHECKPOINT, bool))


# A search changes nothing, so one that hangs on a slow disk can be left behind.
@task(name="search topics", blocking="abandon", estimate=_SEARCH)
def search_topics(lookup: Lookup) -> Found:
    """Passages of the language reference."""
    return search(_index(lookup.library), lookup.query.words, source=Source.TOPICS)


@task(name="search docstrings", blocking="abandon", estimate=_SEARCH)
def search_docstrings(lookup: Lookup) -> Found:
    """Passages of the standard library's docstrings."""
    return search(_index(lookup.library), lookup.query.words, source=Source.DOCSTRINGS)


@task(name="search the folder", blocking="abandon", estimate=_SEARCH)
def search_folder(lookup: Lookup) -> Found:
    """Passages of the folder's files."""
    return search(_index(lookup.notes), lookup.query.words, source=Source.FOLDER)


@task(name="search the web", estimate=_SEARCH, idempotent=True)
async def search_web(lookup: Lookup, context: Context) -> Found:
    """What a search endpoint says of the question."""
    hits = await search_of(context[WEB], lookup.query.text)
    return tuple(Passage(hit.title, hit.locator, hit.passage or hit.title, hit.score) for hit in hits)


async def search_of(provider: Search, question: str) -> Hits:
    """The hits of a provider, which may be async."""
    hits = provider.search(question[:LONGEST], HITS)
    return hits if isinstance(hits, tuple) else await hits


@task(reads=(QUERY, FINDS, BEST), writes=BEST, name="rank", blocking="inline", estimate=_INSTANT)
def keep_best(query: Query, finds: Finds, best: Round | None) -> Round:
    """The most confident round, this one included; of equals, the earlier one."""
    this = round_of(query, finds)
    return this if best is None or this.confidence > best.confidence else best


@task(reads=QUERY, writes=QUERY, name="broaden", blocking="inline", estimate=_INSTANT)
def broaden_query(query: Query) -> Query:
    """The query with more words to stand for each term."""
    return broaden(query, query.round + 1)


@task(reads=(BEST, TRUST), writes=BEST, name="prefer", blocking="inline", estimate=_INSTANT)
def prefer_trusted(best: Round | None, trust: tuple[tuple[str, float], ...]) -> Round | None:
    """The same passages; of those whose scores are equal as they are shown, the more trusted source first."""
    if best is None:
        return None
    known = dict(trust)
    order = sorted(best.ranked, key=lambda each: (-round(each.score, 3), -known.get(each.passage.locator, 0.0)))
    return evolve(best, ranked=tuple(order))


@task(reads=BEST, writes=ANSWER, name="compose", blocking="inline", estimate=_INSTANT)
def compose_answer(best: Round | None) -> Answer:
    """Quoted sentences, each with its source. Errors: ``CorpusError`` when no source could be searched."""
    if best is None or not best.answered:
        raise CorpusError("; ".join(dict.fromkeys(why for _, why in best.failed)) if best else "nothing was searched")
    return compose(best.query, best.ranked)


def round_of(query: Query, finds: Finds) -> Round:
    """What all sources that were asked answered, as one round."""
    found: dict[str, Found] = {}
    failed: dict[str, str] = {}
    for source, outcome in finds.asked:
        match outcome:
            case Success(passages):
                found[source] = passages
            case Failure(fault):
                failed[source] = reason(fault)
    ranked = rank(query, found.values())
    return Round(query, ranked, confidence(query, ranked), tuple(found), tuple(failed.items()))


def reason(fault: Fault) -> str:
    """A fault in one line for people who ask questions, not for those who write plans."""
    match fault:
        case ActionFailed(error=CorpusError() as error):
            return str(error)
        case TimedOut(seconds=seconds):
            return f"it did not answer within {seconds:g} s"
        case Unavailable(what=what, reason=said):
            return f"{what} did not answer: {said}"
        case _:
            return " ".join(headline(fault).split())


def _index(opened: Outcome[Index]) -> Index:
    """The index. Errors: ``CorpusError`` that says why it could not be opened."""
    match opened:
        case Success(index):
            return index
        case Failure(fault):
            raise CorpusError(reason(fault))


STEPS = tuple(
    step.name
    for step in (
        read_question,
        open_library,
        open_notes,
        search_topics,
        search_docstrings,
        search_folder,
        search_web,
        keep_best,
        broaden_query,
        prefer_trusted,
        compose_answer,
    )
)
"""The names of the steps, as a person may see them go by."""

WIDEN, WRITE, REPAIR = "widen the question", "write the answer", "repair the answer"
"""The names of the steps that ask a model, where there is one."""

# --- the plan --------------------------------------------------------------------------------------------------------


def patient(source: Plan[Lookup, Found], into: Lens[Inquiry, Outcome[Found] | None]) -> Plan[Inquiry, Inquiry]:
    """A search with a time of its own and a second try; failing, it is an outcome like any other."""
    return source.timeout(PATIENCE).retry(1).attempt().between(LOOKUP, into)


def is_there(web: str) -> bool:
    """Whether there is a search endpoint."""
    return web != ""


def is_unasked(found: Outcome[Found] | None) -> bool:
    """Whether a source was not asked yet: other words are no reason to ask the web again."""
    return found is None


def is_given(folder: Path | None) -> bool:
    """Whether there is a folder to search."""
    return folder is not None


def has_terms(query: Query) -> bool:
    """Whether the question names anything that more words could stand for."""
    return query.terms != ()


def is_doubtful(best: Round | None) -> bool:
    """Whether another round is worth its time."""
    return best is None or (best.answered != () and best.confidence < ENOUGH)


def is_any(trust: tuple[tuple[str, float], ...]) -> bool:
    """Whether anything is believed of sources."""
    return trust != ()


with_folder = FOLDER.where(is_given)
unsure = QUERY.where(has_terms) & BEST.where(is_doubtful)

with_web = WEB_AT.where(is_there) & IN_WEB.where(is_unasked)

prepare = (
    read_question
    & open_library.attempt().between(CORPUS, LIBRARY)
    & when(with_folder, open_notes.attempt().between(CORPUS, NOTES))
)
# A server may want to be left alone before the second try for longer than anybody waits.
twice = search_web.timeout(PATIENCE).retry(1, on=(ActionFailed, TimedOut, Unavailable)).timeout(2 * PATIENCE - 1)
ask_web = twice.attempt().between(LOOKUP, IN_WEB)
look_up = (
    patient(search_topics, IN_TOPICS)
    & patient(search_docstrings, IN_DOCSTRINGS)
    & when(with_folder, patient(search_folder, IN_FOLDER))
    & when(with_web, ask_web)
)
one_round = look_up >> keep_best
again = broaden_query >> one_round

find = one_round >> again.loop_while(unsure, at_most=ROUNDS, then=identity)
quote = when(TRUST.where(is_any), prefer_trusted) >> compose_answer

research: Plan[Inquiry, Inquiry] = prepare >> find >> quote
"""From a question to an ``Inquiry`` with its answer. Law: every sentence of the answer stands in its source."""
