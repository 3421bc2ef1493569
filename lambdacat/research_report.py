"""How a research run looks from a terminal: progress while it goes on, then the answer as text or as a document."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from attrs import evolve, frozen
from returns.result import Failure, Success

from lambdacat.context import Context
from lambdacat.event import Event, Finished, Started, Trace
from lambdacat.fault import ActionFailed, Outcome
from lambdacat.interpreters.arun import arun
from lambdacat.plan import Plan
from lambdacat.research import CHECKPOINT, REPAIR, STEPS, WIDEN, WRITE, Corpus, Inquiry, reason, research
from lambdacat.research_text import ALONE, Beside, document, text, warnings
from lambdacat.shown import FAILED, Interrupted, Shown, UsageError, as_json
from lambdacat.terminal import plain
from lambdacat.tools.corpus import CorpusError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# --- running ---------------------------------------------------------------------------------------------------------


@frozen
class Report:
    """What a run ended with and what it took. Units: ``seconds``."""

    outcome: Outcome[Inquiry]
    seconds: float
    trace: Trace | None = None


Observer = Callable[[Event[Any]], object]
Runner = Callable[[Inquiry, Context], Awaitable[tuple[Outcome[Inquiry], Trace | None]]]
"""One way to run the plan."""
Perform = Callable[[Inquiry, Context, Collection[Observer]], Awaitable[Outcome[Inquiry]]]
"""What is run: a research plan, and whatever it needs."""


async def unaided(inquiry: Inquiry, context: Context, observers: Collection[Observer]) -> Outcome[Inquiry]:
    """The plan without a model."""
    return await arun(research, inquiry, context=context, observers=observers)


def observed_by(*observers: Observer, perform: Perform = unaided) -> Runner:
    """A run that tells observers what happens."""

    async def runner(inquiry: Inquiry, context: Context) -> tuple[Outcome[Inquiry], None]:
        return await perform(inquiry, context, observers), None

    return runner


def traced_by(plan: Plan[Inquiry, Inquiry], provided: Callable[[Context], Context]) -> Runner:
    """A run whose trace is kept."""

    async def runner(inquiry: Inquiry, context: Context) -> tuple[Outcome[Inquiry], Trace]:
        from lambdacat.interpreters.traced import atraced

        kept = await atraced(plan, context=provided(context))(inquiry)
        return kept.value, kept.log

    return runner


with_trace = traced_by(research, lambda context: context)
"""A run of the plan without a model, whose trace is kept."""


def conduct(inquiry: Inquiry, runner: Runner) -> Report:
    """Run the plan to its end. Errors: ``Interrupted`` at a signal, as soon as the running step can stop.

    A first build of the index goes on in a thread, which looks for the signal between two files.
    """
    got: list[int] = []

    def checkpoint() -> None:
        if got:
            raise CorpusError("interrupted")

    async def main() -> Report:
        with _signals(got):
            start = time.perf_counter()
            outcome, trace = await runner(inquiry, Context().provide(CHECKPOINT, checkpoint))
            return Report(outcome, time.perf_counter() - start, trace)

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if got:
            raise Interrupted(got[0]) from None
        raise


@contextmanager
def _signals(got: list[int]) -> Iterator[None]:
    """Notes the first signal that asks to stop and cancels the current task; a second one kills as usual."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()

    def stop(number: int) -> None:
        got.append(number)
        for each in numbers:
            loop.remove_signal_handler(each)
        if task is not None:
            task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


SEEN = frozenset((*STEPS, WIDEN, WRITE, REPAIR))
"""The names of the steps that are shown."""

# --- progress --------------------------------------------------------------------------------------------------------


@contextmanager
def progress(to: TextIO, perform: Perform = unaided) -> Iterator[Runner]:
    """A run that shows on a terminal which steps are running; with rich, as a list that clears itself."""
    try:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn
    except ImportError:
        with _one_line(to) as observer:
            yield observed_by(observer, perform=perform)
        return
    columns = (SpinnerColumn(finished_text="+"), TextColumn("{task.description}"), TextColumn("{task.elapsed:.1f} s"))
    with Progress(*columns, console=Console(file=to), transient=True) as shown:
        yield observed_by(_Rows(shown), perform=perform)


class _Rows:
    """One row for each step, with a spinner until it ends."""

    def __init__(self, shown: Progress) -> None:
        self.shown = shown
        self.rows: dict[int, TaskID] = {}

    def __call__(self, event: Event[Any]) -> None:
        match event:
            case Started(id=number, name=name) if name in SEEN:
                self.rows[number] = self.shown.add_task(name, total=1)
            case Finished(id=number) if number in self.rows:
                row = self.rows.pop(number)
                self.shown.stop_task(row)
                self.shown.update(row, completed=1)
            case _:
                pass


@contextmanager
def _one_line(to: TextIO) -> Iterator[Observer]:
    running: dict[int, str] = {}

    def show(event: Event[Any]) -> None:
        match event:
            case Started(id=number, name=name) if name in SEEN:
                running[number] = name
            case Finished(id=number) if number in running:
                del running[number]
            case _:
                return
        to.write(f"\r\x1b[K{', '.join(dict.fromkeys(running.values()))}")
        to.flush()

    try:
        yield show
    finally:
        to.write("\r\x1b[K")
        to.flush()


# --- the command -----------------------------------------------------------------------------------------------------


class Form(Enum):
    """How an answer is printed."""

    TEXT = "text"
    DOCUMENT = "document"


def ask(question: str, corpus: Corpus, *, runner: Runner, form: Form = Form.TEXT) -> Shown:
    """The answer to a question. Errors: ``UsageError`` when nothing is asked, or a folder is none."""
    check(question, corpus)
    return shown(conduct(Inquiry(question, corpus), runner), form)


def check(question: str, corpus: Corpus) -> None:
    """Refuse what cannot be asked. Errors: ``UsageError``."""
    if not question.strip():
        raise UsageError("the question is empty")
    if corpus.folder is not None and not corpus.folder.is_dir():
        raise UsageError(f"not a folder: {str(corpus.folder)!r}")
    if corpus.cache is not None:
        try:
            corpus.cache.mkdir(parents=True, exist_ok=True)
        except OSError as refused:
            said = refused.strerror or refused
            raise UsageError(f"no folder for an index: {str(corpus.cache)!r}: {said}") from refused


def shown(report: Report, form: Form, beside: Beside = ALONE) -> Shown:
    """How a run ended, in a form."""
    match report.outcome:
        case Success(done):
            return _answered(done, report, form, beside)
        case Failure(fault):
            error = fault.error if isinstance(fault, ActionFailed) else None
            aside = [f"warning: {plain(each)}" for each in beside.notes]
            return Shown("", FAILED, "\n".join((*aside, f"lambdacat: {plain(reason(fault))}")), error)


def _answered(done: Inquiry, report: Report, form: Form, beside: Beside) -> Shown:
    aside = [f"warning: {plain(each)}" for each in (*beside.notes, *warnings(done, beside.model))]
    drawn = [] if report.trace is None else [plain(str(of_steps(report.trace)))]
    match form:
        case Form.DOCUMENT:
            # Stdout is the document alone.
            return Shown(as_json(document(done, report.seconds, beside)), aside="\n".join((*aside, *drawn)))
        case Form.TEXT:
            width = get_terminal_size().columns if sys.stdout.isatty() else None
            said = text(done, report.seconds, beside, width=width)
            return Shown("\n\n".join((said, *drawn)), aside="\n".join(aside))


def of_steps(trace: Trace) -> Trace:
    """The steps of a trace alone, side by side, without the nodes that hold them together."""
    return Trace(evolve(span, parent=None) for span in trace.spans if span.name in SEEN)
