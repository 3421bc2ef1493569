"""The research command: from its words to a model, a journal and a memory, and from a run to what is shown."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, final
from urllib.parse import urlsplit

from attrs import evolve, frozen
from returns.result import Success

from lambdacat.context import Context
from lambdacat.fault import Outcome
from lambdacat.redaction import redacted
from lambdacat.research import PATIENCE, WEB, Corpus, Inquiry, research
from lambdacat.research_report import (
    Form,
    Observer,
    Perform,
    Report,
    Runner,
    check,
    conduct,
    observed_by,
    progress,
    shown,
    traced_by,
)
from lambdacat.research_text import Beside, written
from lambdacat.secret import keep_secret
from lambdacat.shown import Shown, UsageError
from lambdacat.tools.corpus import CorpusError, default_cache

if TYPE_CHECKING:
    from lambdacat.plan import Plan
    from lambdacat.research_cost import Metered
    from lambdacat.research_memory import Recollection, Remembering
    from lambdacat.store import SqliteJournal
    from lambdacat.tools.llm import LLM, Price
    from lambdacat.tools.search import Search

Provided: TypeAlias = Callable[[Context], Context]
"""What gives a run what it needs from outside."""

SECONDS: Final = 120.0
"""How long a run with a model may take, unless something else is said."""


@final
@frozen(kw_only=True)
class Aid:
    """A model that a run may ask, and within what. Units: tokens, money in the currency of the price, seconds."""

    model: str
    base_url: str = ""
    tokens: int | None = None
    money: float | None = None
    price: tuple[float, float] | None = None
    seconds: float = SECONDS

    def client(self) -> LLM:
        """A client of its service. Errors: ``UsageError`` for what cannot be asked."""
        from lambdacat.tools.llm import OpenAIClient

        # Kept out of all that is shown, whatever quotes it: a fault, a journal, the service itself.
        key = os.environ.get("OPENAI_API_KEY", "")
        if len(key) >= _SHORTEST:
            keep_secret(key)
        url = self.base_url or None
        try:
            # The plan's own bounds say how long an answer is waited for.
            return OpenAIClient(self.model, base_url=url, api_key=key or None, prices=self._prices(), timeout=None)
        except (ValueError, ImportError) as error:
            said = str(error).replace("give api_key=, or set OPENAI_API_KEY", "set OPENAI_API_KEY, or give --base-url")
            raise UsageError(f"{self.model} cannot be asked: {said}") from error

    def _prices(self) -> dict[str, Price]:
        from lambdacat.tools.llm import Price

        return {} if self.price is None else {self.model: Price(input=self.price[0], output=self.price[1])}

    def plan(self) -> Plan[Inquiry, Inquiry]:
        """The plan that asks it."""
        from lambdacat.bound import Budget
        from lambdacat.research_model import research_with

        return research_with(Budget(tokens=self.tokens, money=self.money, seconds=self.seconds))


_SHORTEST: Final = 4
"""Characters of the shortest text that can be kept secret."""


def aid_in(given: Namespace) -> Aid | None:
    """The model that a command line or the environment names; None without one. Errors: ``UsageError``."""
    model = given.model if given.model is not None else os.environ.get("OPENAI_MODEL", "")
    bounds = {
        "--base-url": given.base_url,
        "--max-tokens": given.max_tokens,
        "--max-money": given.max_money,
        "--max-seconds": given.max_seconds,
        "--price": given.price,
    }
    if not model.strip():
        if given.model is not None:
            raise UsageError("--model is the name of a model, and cannot be empty")
        if said := next((word for word, value in bounds.items() if value is not None), None):
            raise UsageError(f"{said} is for a model, and there is none: give --model NAME, or set OPENAI_MODEL")
        return None
    if given.max_money is not None and given.price is None:
        raise UsageError(f"--max-money needs --price IN OUT: nobody knows what {model} costs")
    return Aid(
        model=model,
        base_url=given.base_url or os.environ.get("OPENAI_BASE_URL", ""),
        tokens=given.max_tokens,
        money=given.max_money,
        price=None if given.price is None else tuple(given.price),
        seconds=given.max_seconds or SECONDS,
    )


# --- one run ---------------------------------------------------------------------------------------------------------


@final
@frozen
class Request:
    """What a journal has as the beginning of a run."""

    question: str
    corpus: Corpus
    trust: tuple[tuple[str, float], ...]


def begun(request: Request) -> Inquiry:
    """The inquiry that a request begins."""
    return Inquiry(request.question, request.corpus, trust=request.trust)


def run_name(question: str, corpus: Corpus, aid: Aid | None) -> str:
    """The name of a run: the same for the same question and options, and another for others."""
    from lambdacat.codec import Codecs

    folder = None if corpus.folder is None else str(corpus.folder.absolute())
    options: tuple[object, ...] = (
        () if aid is None else (aid.model, aid.base_url, aid.tokens, aid.money, aid.price, aid.seconds)
    )
    text = Codecs().encode((question, folder, corpus.web, options))
    return f"research {blake2b(text, digest_size=8).hexdigest()}"


def performed(plan: Plan[Inquiry, Inquiry], journal: SqliteJournal | None, provided: Provided) -> Perform:
    """How a plan is run: with a model, the web and in a journal, if there are such."""
    from lambdacat.build import pure
    from lambdacat.interpreters.arun import arun

    async def perform(inquiry: Inquiry, context: Context, observers: Collection[Observer]) -> Outcome[Inquiry]:
        context = provided(context)
        if journal is None:
            return await arun(plan, inquiry, context=context, observers=observers)
        from lambdacat.interpreters.journal import absence
        from lambdacat.interpreters.runs import resume

        whole = pure(begun) >> plan
        if not absence(journal) and list(journal.entries()):
            # What was believed of sources when it began is in the journal, and may be another now.
            return await resume(whole, journal, context=context, observers=observers)
        request = Request(inquiry.question, inquiry.corpus, inquiry.trust)
        return await arun(whole, request, journal=journal, context=context, observers=observers)

    return perform


def providing(llm: LLM | None, web: Search | None) -> Provided:
    """What puts a model and the web into a context."""

    def provided(context: Context) -> Context:
        if web is not None:
            context = context.provide(WEB, web)
        if llm is None:
            return context
        from lambdacat.research_model import MODEL

        return context.provide(MODEL, llm)

    return provided


def web_at(url: str) -> Search:
    """A search endpoint such as SearxNG's, at a host that is asked and no other. Errors: ``UsageError``."""
    from lambdacat.fault import Denied
    from lambdacat.tools.http import Http
    from lambdacat.tools.search import SearxNG

    try:
        where = urlsplit(url)
        if where.scheme not in ("http", "https") or not where.netloc:
            raise UsageError(f"--web is an address such as https://search.example.org, not {url!r}")
        host = f"{where.scheme}://{where.netloc}"
        # Whoever names a server of his own network means it.
        return SearxNG(Http((host,), private=_OWN, seconds=PATIENCE), url)
    except (ValueError, Denied, ImportError) as error:
        raise UsageError(f"--web cannot be asked: {' '.join(str(error).split())}") from error


_OWN: Final = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")


@contextmanager
def _journal(file: Path | None, question: str, corpus: Corpus, aid: Aid | None) -> Iterator[SqliteJournal | None]:
    """The journal of a question and its options, closed afterwards; None without a file."""
    if file is None:
        yield None
        return
    from lambdacat.store import SqliteJournal

    journal = SqliteJournal(file, run_id=run_name(question, corpus, aid))
    try:
        yield journal
    finally:
        journal.close()


def _running(
    given: Namespace, plan: Plan[Inquiry, Inquiry], journal: SqliteJournal | None, provided: Provided
) -> AbstractContextManager[Runner]:
    """What gives a run that is watched as the command line says."""
    perform = performed(plan, journal, provided)
    if given.trace:
        return nullcontext(traced_by(plan, provided))
    if sys.stderr is not None and sys.stderr.isatty() and not given.no_progress:
        return progress(sys.stderr, perform)
    return nullcontext(observed_by(perform=perform))


# --- the command -----------------------------------------------------------------------------------------------------


def answer(given: Namespace) -> Shown:
    """What ``lambdacat research`` says. Errors: ``UsageError``, ``Interrupted``."""
    if given.journal is None:
        return _answer(given)
    from lambdacat.runs_cli.refusing import plainly

    return plainly(_answer)(given)


def _answer(given: Namespace) -> Shown:
    memory = _memory(given)
    if given.forget:
        forgotten = _forget(memory)
        if not given.question:
            return Shown(forgotten)
    memory = None if given.no_memory else memory
    question, aid = " ".join(given.question), aid_in(given)
    corpus = Corpus(given.corpus, given.cache, given.web or "")
    check(question, corpus)
    if given.journal is not None and given.trace:
        raise UsageError("--trace draws a run that is made here and now, and with --journal part of it may not be")
    llm = None if aid is None else _metered(aid)
    plan = research if aid is None else aid.plan()
    provided = providing(llm, web_at(corpus.web) if corpus.web else None)
    known = _recalled(memory, question, corpus)
    with (
        _journal(given.journal, question, corpus, aid) as journal,
        _running(given, plan, journal, provided) as runner,
    ):
        report = conduct(Inquiry(question, corpus, trust=known.trust if known else ()), runner)
    _learn(memory, report, question, corpus)
    beside = Beside(
        model="" if aid is None else aid.model,
        cost=None if llm is None else llm.cost,
        before=known.day if known else "",
        notes=() if memory is None else tuple(memory.said),
    )
    made = shown(report, Form.DOCUMENT if given.json else Form.TEXT, beside)
    return evolve(made, text=redacted(made.text), aside=redacted(made.aside)) if llm else made


def _metered(aid: Aid) -> Metered:
    from lambdacat.research_cost import Metered

    return Metered(aid.client())


# --- memory ----------------------------------------------------------------------------------------------------------


def _memory(given: Namespace) -> Remembering | None:
    if given.no_memory and not given.forget:
        return None
    from lambdacat.research_memory import Remembering

    try:
        return Remembering(given.cache or default_cache())
    except CorpusError:
        return None  # the search says what is wrong with the folder


def _forget(memory: Remembering | None) -> str:
    try:
        return "forgotten" if memory is not None and memory.forget() else "nothing was remembered"
    except OSError as error:
        raise UsageError(f"the memory cannot be removed: {error.strerror or error}") from error


def _about(corpus: Corpus) -> str:
    return "" if corpus.folder is None else str(corpus.folder.absolute())


def _recalled(memory: Remembering | None, question: str, corpus: Corpus) -> Recollection | None:
    return None if memory is None else memory.recalled(question, _about(corpus), time.time())


def _learn(memory: Remembering | None, report: Report, question: str, corpus: Corpus) -> None:
    match report.outcome:
        case Success(done) if memory is not None:
            memory.learn(question, _about(corpus), used(done), time.time())
        case _:
            pass


def used(done: Inquiry) -> tuple[str, ...]:
    """The locators of the sources that the answer names."""
    if done.answer is None:
        return ()
    model = written(done)
    numbers = (
        [each.source for each in done.answer.sentences]
        if model is None
        else [number for each in model.sentences for number in each.sources]
    )
    return tuple(dict.fromkeys(done.answer.sources[number - 1].passage.locator for number in numbers))
