"""How a research run looks from a terminal: progress while it goes on, then the answer as text or as a document."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any, TextIO

from attrs import evolve, frozen
from returns.result import Failure, Success

from lambdacat.context import Context
from lambdacat.event import Event, Finished, Started, Trace
from lambdacat.fault import ActionFailed, Outcome
from lambdacat.interpreters.arun import arun
from lambdacat.research import CHECKPOINT, STEPS, Corpus, Inquiry, reason, research
from lambdacat.shown import FAILED, Interrupted, Shown, UsageError, as_json
from lambdacat.terminal import plain
from lambdacat.tools.answer import EXTRACTIVE, Answer
from lambdacat.tools.corpus import CorpusError, Skip

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DOUBTFUL = 0.2
"""Confidence below which an answer comes with a warning."""

WIDTH = 100
"""Characters of the longest line on a terminal."""

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


def observed_by(*observers: Observer) -> Runner:
    """A run that tells observers what happens."""

    async def runner(inquiry: Inquiry, context: Context) -> tuple[Outcome[Inquiry], None]:
        return await arun(research, inquiry, context=context, observers=observers), None

    return runner


async def with_trace(inquiry: Inquiry, context: Context) -> tuple[Outcome[Inquiry], Trace]:
    """A run whose trace is kept."""
    from lambdacat.interpreters.traced import atraced

    written = await atraced(research, context=context)(inquiry)
    return written.value, written.log


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


# --- progress --------------------------------------------------------------------------------------------------------


@contextmanager
def progress(to: TextIO) -> Iterator[Runner]:
    """A run that shows on a terminal which steps are running; with rich, as a list that clears itself."""
    try:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn
    except ImportError:
        with _one_line(to) as observer:
            yield observed_by(observer)
        return
    columns = (SpinnerColumn(finished_text="+"), TextColumn("{task.description}"), TextColumn("{task.elapsed:.1f} s"))
    with Progress(*columns, console=Console(file=to), transient=True) as shown:
        yield observed_by(_Rows(shown))


class _Rows:
    """One row for each step, with a spinner until it ends."""

    def __init__(self, shown: Progress) -> None:
        self.shown = shown
        self.rows: dict[int, TaskID] = {}

    def __call__(self, event: Event[Any]) -> None:
        match event:
            case Started(id=number, name=name) if name in STEPS:
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
            case Started(id=number, name=name) if name in STEPS:
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
    report = conduct(Inquiry(question, corpus), runner)
    match report.outcome:
        case Success(done):
            return _shown(done, report, form)
        case Failure(fault):
            error = fault.error if isinstance(fault, ActionFailed) else None
            return Shown("", FAILED, f"lambdacat: {plain(reason(fault))}", error)


def _shown(done: Inquiry, report: Report, form: Form) -> Shown:
    aside = [f"warning: {plain(each)}" for each in warnings(done)]
    drawn = [] if report.trace is None else [plain(str(of_steps(report.trace)))]
    match form:
        case Form.DOCUMENT:
            # Stdout is the document alone.
            return Shown(as_json(document(done, report.seconds)), aside="\n".join((*aside, *drawn)))
        case Form.TEXT:
            width = get_terminal_size().columns if sys.stdout.isatty() else None
            said = text(done, report.seconds, width=width)
            return Shown("\n\n".join((said, *drawn)), aside="\n".join(aside))


def of_steps(trace: Trace) -> Trace:
    """The steps of a trace alone, side by side, without the nodes that hold them together."""
    return Trace(evolve(span, parent=None) for span in trace.spans if span.name in STEPS)


# --- what is shown ---------------------------------------------------------------------------------------------------


def skipped(done: Inquiry) -> tuple[tuple[Skip, int], ...]:
    """How many files of the folder are not in its index, by reason."""
    match done.lookup.notes:
        case Success(index):
            return index.skipped
        case Failure():
            return ()


def warnings(done: Inquiry) -> tuple[str, ...]:
    """What a reader should know before trusting the answer, a line each."""
    failed = done.best.failed if done.best else ()
    lost = tuple(f"the {source} could not be searched: {why}" for source, why in failed)
    sure = _answer(done).confidence
    return (*lost, f"low confidence ({sure:.2f}): the corpus may not answer this") if sure < DOUBTFUL else lost


def document(done: Inquiry, seconds: float) -> dict[str, object]:
    """The answer as one JSON document.

    Shape: ``sources`` best first; ``skipped``, a number of files, only where there was a folder. Units: ``seconds``.
    """
    answer = _answer(done)
    shown: dict[str, object] = {
        "question": done.question,
        "answer": plain(answer.text),
        "sources": [
            {
                "title": plain(each.passage.title),
                "locator": plain(each.passage.locator),
                "passage": plain(each.passage.text),
                "score": round(each.score, 3),
            }
            for each in answer.sources
        ],
        "confidence": answer.confidence,
        "rounds": rounds(done),
        "seconds": round(seconds, 3),
        "note": EXTRACTIVE,
        "warnings": [plain(each) for each in warnings(done)],
    }
    if done.corpus.folder is not None:
        shown["skipped"] = sum(count for _, count in skipped(done))
        shown["skipped_because"] = {why.value: count for why, count in skipped(done)}
    return shown


def rounds(done: Inquiry) -> int:
    """How many times the sources were searched."""
    return done.lookup.query.round + 1


def text(done: Inquiry, seconds: float, *, width: int | None = None) -> str:
    """The answer, its sources, and how sure it is; wrapped where ``width`` is given."""
    answer = _answer(done)
    lines = [plain(answer.text), ""]
    if answer.sources:
        places = [plain(each.passage.locator) for each in answer.sources]
        longest = max(map(len, places))
        lines += ["Sources"]
        for number, (place, each) in enumerate(zip(places, answer.sources, strict=True), 1):
            lines.append(f"  [{number}] {place:<{longest}}  {each.score:.2f}  {plain(each.passage.title)}")
        lines += [""]
    searches = f"{rounds(done)} round{'s' * (rounds(done) > 1)} of searching"
    lines.append(f"Confidence {answer.confidence:.2f} after {searches}, {seconds:.2f} s.")
    if answer.sentences:
        lines.append(EXTRACTIVE)
    if counts := skipped(done):
        reasons = ", ".join(f"{count} {why.value}" for why, count in counts)
        total = sum(count for _, count in counts)
        lines.append(f"Skipped {total} file{'s' * (total > 1)} of the folder: {reasons}.")
    return "\n".join(lines if width is None else (_wrapped(line, min(width, WIDTH)) for line in lines))


def _wrapped(line: str, width: int) -> str:
    """A line of prose over several lines; a line of the table stays as it is."""
    if line.startswith(" "):
        return line
    return fill(line, width, break_long_words=False, break_on_hyphens=False)


def _answer(done: Inquiry) -> Answer:
    return done.answer or Answer((), (), 0.0)
