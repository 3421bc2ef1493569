"""Searching: one question to a provider, or to several side by side, as plans."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, final

from attrs import Attribute, evolve, field, frozen
from returns.result import Failure, Success

from lambdacat.build import parallel
from lambdacat.callables import is_async
from lambdacat.fault import Denied, Fault, Outcome, Unanswered, headline
from lambdacat.leaf import task
from lambdacat.place import PlanError
from lambdacat.plan import Plan
from lambdacat.policy import FIRST_COMPLETED, SETTLED

if TYPE_CHECKING:
    from lambdacat.tools.corpus import Index, Source
    from lambdacat.tools.http import Http

LIMIT: Final = 10
"""Hits that are asked for, unless said otherwise."""
RANK: Final = 60
"""What is added to each rank before its reciprocal is taken: the larger, the less the first few ranks count."""

_LONGEST_TITLE: Final = 300
_LONGEST_PASSAGE: Final = 2000
_GREATEST_SCORE: Final = 1e9
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


@final
@frozen
class Hit:
    """Something that was found: ``locator`` is a URL, or what else leads to it; ``passage`` is what it says there.

    Units: ``score`` is the provider's own; higher is better, comparable within one answer only.
    """

    title: str
    locator: str
    passage: str
    score: float = 0.0


Hits = tuple[Hit, ...]


@final
@frozen
class Found:
    """What several providers found together, best first, and those that failed, each with the reason."""

    hits: Hits
    failed: tuple[tuple[str, str], ...] = ()


class NothingFound(Exception):
    """A provider answered, and found nothing."""


class Search(Protocol):
    """A provider: anything that finds passages for a question. ``search`` may be async.

    Law: it gives at most ``limit`` hits, best first.
    """

    @property
    def name(self) -> str:
        """What steps and messages call it."""

    def search(self, query: str, limit: int) -> Hits | Awaitable[Hits]:
        """The hits for a question. Errors: any; they become faults of the step."""


def searched(provider: Search, *, limit: int = LIMIT) -> Plan[str, Hits]:
    """A step that asks one provider. Errors: ``PlanError`` for what is no provider, or no limit."""
    if not callable(getattr(provider, "search", None)) or not isinstance(getattr(provider, "name", None), str):
        raise PlanError(f"a provider has a name and a method search(query, limit), and {provider!r} has not")
    _check_limit(limit)
    name = f"search {provider.name}"
    if is_async(provider.search):
        return task(name=name, idempotent=True)(_AsksAsync(provider, limit))
    # A search changes nothing, so one that hangs can be left behind.
    return task(name=name, idempotent=True, blocking="abandon")(_Asks(provider, limit))


def fused(*providers: Search, limit: int = LIMIT, seconds: float | None = None) -> Plan[str, Found]:
    """All providers side by side, their hits joined by reciprocal rank; who failed is told, and loses only his own.

    Units: ``seconds`` until those that have not answered count as failed. Errors: the plan is ``Unavailable`` where all
    of them failed.
    """
    names = tuple(provider.name for provider in _some(providers))
    steps = [searched(provider, limit=limit) for provider in providers]
    return parallel(*steps, policy=SETTLED, join=_Fuse(names, limit), timeout=seconds)


def first_found(*providers: Search, limit: int = LIMIT) -> Plan[str, Hits]:
    """All providers side by side; the first to find anything wins, and the others are cancelled."""
    steps = [searched(provider, limit=limit) >> _anything for provider in _some(providers)]
    return parallel(*steps, policy=FIRST_COMPLETED, join=_only)


def by_reciprocal_rank(answers: Iterable[Sequence[Hit]], limit: int = LIMIT) -> Hits:
    """The hits of several answers as one: the score of a locator is the sum of ``1 / (RANK + its rank)``.

    Law: the order of the answers decides only between equal scores. Of one locator, the hit that ranked best is shown.

    >>> a, b, c = (Hit(name, name, "") for name in "abc")
    >>> [hit.title for hit in by_reciprocal_rank([(a, b), (b, c)])]
    ['b', 'a', 'c']
    """
    best: dict[str, tuple[int, Hit]] = {}
    scores: dict[str, float] = {}
    for hits in answers:
        seen: set[str] = set()
        for rank, hit in enumerate(hits, 1):
            if hit.locator in seen:
                continue
            seen.add(hit.locator)
            scores[hit.locator] = scores.get(hit.locator, 0.0) + 1 / (RANK + rank)
            if hit.locator not in best or rank < best[hit.locator][0]:
                best[hit.locator] = (rank, hit)
    made = [evolve(best[locator][1], score=score) for locator, score in scores.items()]
    return tuple(sorted(made, key=lambda hit: -hit.score)[:limit])


# Providers -----------------------------------------------------------------------------------------------------------


@final
@frozen
class LocalSearch:
    """An index on this machine: Python's language topics, its docstrings, or a folder of notes."""

    index: Index
    source: Source
    name: str

    @classmethod
    def of_folder(cls, folder: str | Path, *, name: str = "notes", cache: Path | None = None) -> Self:
        """The text files of a folder as they are now. Errors: ``CorpusError``."""
        from lambdacat.tools.corpus import Source, open_folder

        return cls(open_folder(Path(folder), cache), Source.FOLDER, name)

    @classmethod
    def of_topics(cls, *, name: str = "topics", cache: Path | None = None) -> Self:
        """Python's language reference; its index is built at first use. Errors: ``CorpusError``."""
        from lambdacat.tools.corpus import Source, open_stdlib

        return cls(open_stdlib(cache), Source.TOPICS, name)

    @classmethod
    def of_docstrings(cls, *, name: str = "docstrings", cache: Path | None = None) -> Self:
        """The docstrings of Python's standard library; its index is built at first use. Errors: ``CorpusError``."""
        from lambdacat.tools.corpus import Source, open_stdlib

        return cls(open_stdlib(cache), Source.DOCSTRINGS, name)

    def search(self, query: str, limit: int = LIMIT) -> Hits:
        """The passages that speak of what a question names. Errors: ``CorpusError`` for a damaged index."""
        from lambdacat.tools.answer import parse_question
        from lambdacat.tools.corpus import search

        found = search(self.index, parse_question(query).words, source=self.source, limit=limit)
        return tuple(Hit(passage.title, passage.locator, passage.text, passage.score) for passage in found)


def _text(_: object, attribute: Attribute[str], value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} is a text, not {value!r}")


@final
@frozen
class SearxNG:
    """A SearxNG server, or another that answers ``/search?q=...&format=json`` as it does, asked by an ``Http``.

    What it finds is strangers' text: control characters are taken out, lengths are capped, and what has no plain
    http or https URL is left out. The server must have ``json`` among its formats.
    """

    http: Http
    url: str = field(validator=_text)
    """Where the server is: ``https://search.example.org``."""
    name: str = field(default="the web", validator=_text, kw_only=True)
    language: str = field(default="", kw_only=True)
    categories: tuple[str, ...] = field(default=(), kw_only=True)

    async def search(self, query: str, limit: int = LIMIT) -> Hits:
        """The hits for a question. Errors: those of ``Http``, and ``Unanswered`` for what is no answer to a search."""
        more = {"language": self.language, "categories": ",".join(self.categories)}
        params = {"q": query, "format": "json", **{name: value for name, value in more.items() if value}}
        response = await self.http.get(f"{self.url.rstrip('/')}/search", params=params)
        try:
            said = response.good().json()
        except ValueError as error:
            raise Unanswered(self.name, str(error)) from None
        results = said.get("results") if isinstance(said, dict) else None
        if not isinstance(results, list):
            raise Unanswered(self.name, "it answered without a list of results")
        hits = (_hit(result) for result in results)
        return tuple(hit for hit in hits if hit is not None)[:limit]


def _hit(result: Any) -> Hit | None:
    """A result of SearxNG as a hit, or None for what has no title or no URL."""
    from lambdacat.tools.web_hosts import url_of

    if not isinstance(result, dict):
        return None
    title, score = _plain(result.get("title"), _LONGEST_TITLE), result.get("score")
    try:
        locator = str(url_of(result.get("url", "")))
    except Denied:
        return None
    number = float(score) if isinstance(score, (int, float)) and abs(score) < _GREATEST_SCORE else 0.0
    return Hit(title, locator, _plain(result.get("content"), _LONGEST_PASSAGE), number) if title else None


def _plain(text: object, longest: int) -> str:
    """A stranger's text on one line, without what cannot be seen."""
    return " ".join(_UNSEEN.sub(" ", text[: 4 * longest]).split())[:longest] if isinstance(text, str) else ""


# Steps ---------------------------------------------------------------------------------------------------------------


@final
@frozen
class _Asks:
    """Asks a provider that waits."""

    provider: Search
    limit: int

    def __call__(self, query: str) -> Hits:
        return _checked(self.provider.search(query, self.limit), self.limit)


@final
@frozen
class _AsksAsync:
    """Asks a provider that is awaited."""

    provider: Any
    limit: int

    async def __call__(self, query: str) -> Hits:
        return _checked(await self.provider.search(query, self.limit), self.limit)


@final
@frozen
class _Fuse:
    """Joins what providers answered."""

    names: tuple[str, ...]
    limit: int

    def __call__(self, query: str, outcomes: tuple[Outcome[Hits], ...]) -> Found:
        found: list[Hits] = []
        failed: list[tuple[str, str]] = []
        for name, outcome in zip(self.names, outcomes, strict=True):
            match outcome:
                case Success(hits):
                    found.append(hits)
                case Failure(fault):
                    failed.append((name, _why(fault)))
        if not found:
            raise Unanswered("search", "; ".join(f"{name}: {why}" for name, why in failed))
        return Found(by_reciprocal_rank(found, self.limit), tuple(failed))


@task(name="found anything", idempotent=True)
def _anything(hits: Hits) -> Hits:
    """The hits, if there are any."""
    if not hits:
        raise NothingFound("nothing was found")
    return hits


def _only(query: str, answers: tuple[Hits, ...]) -> Hits:
    return answers[0]


def _why(fault: Fault) -> str:
    return " ".join(headline(fault).split())


def _checked(hits: Any, limit: int) -> Hits:
    """What a provider gave. Errors: ``TypeError`` for what are no hits."""
    made = tuple(hits)
    wrong = next((hit for hit in made if not isinstance(hit, Hit)), None)
    if wrong is not None:
        raise TypeError(f"a provider gives hits, not {wrong!r}")
    return made[:limit]


def _some(providers: tuple[Search, ...]) -> tuple[Search, ...]:
    if not providers:
        raise PlanError("a search wants a provider")
    return providers


def _check_limit(limit: object) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise PlanError(f"limit is a whole number of at least 1, not {limit!r}")
