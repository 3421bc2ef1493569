"""How the answer of a research run is said: as text for a person, as a document for a program."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from attrs import asdict, frozen
from returns.result import Failure, Success

from lambdacat.fault import ActionFailed, Fault, Refused, Stopped
from lambdacat.research import Inquiry, reason
from lambdacat.research_citing import Written
from lambdacat.terminal import plain
from lambdacat.tools.answer import EXTRACTIVE, Answer
from lambdacat.tools.corpus import Skip

if TYPE_CHECKING:
    from lambdacat.research_cost import Cost

DOUBTFUL = 0.2
"""Confidence below which an answer comes with a warning."""

WIDTH = 100
"""Characters of the longest line on a terminal."""


@frozen(kw_only=True)
class Beside:
    """What there is to say beside an answer."""

    model: str = ""
    """The name of the model that was asked; empty without one."""
    cost: Cost | None = None
    before: str = ""
    """The day on which the same was asked the last time."""
    notes: tuple[str, ...] = ()
    """Warnings, a line each."""


ALONE = Beside()


def skipped(done: Inquiry) -> tuple[tuple[Skip, int], ...]:
    """How many files of the folder are not in its index, by reason."""
    match done.lookup.notes:
        case Success(index):
            return index.skipped
        case Failure():
            return ()


def warnings(done: Inquiry, model: str = "") -> tuple[str, ...]:
    """What a reader should know before trusting the answer, a line each."""
    failed = done.best.failed if done.best else ()
    lost = [f"the {source} could not be searched: {why}" for source, why in failed]
    if why := _unaided_because(done):
        lost.append(f"{why[0]}{f' by {model}' * bool(model)}, {why[1]}")
    sure = _answer(done).confidence
    return (*lost, *((f"low confidence ({sure:.2f}): the corpus may not answer this",) if sure < DOUBTFUL else ()))


def _unaided_because(done: Inquiry) -> tuple[str, str] | None:
    """What the model failed to do, and why; the first cause, where one thing made the other fail."""
    match done.asked.words, done.asked.written:
        case Failure(first), Failure(Refused()):
            # The breaker says only that there was a failure before.
            return "the answer was not written", f"so it is quoted: {_why(first)}"
        case _, Failure(fault):
            return "the answer was not written", f"so it is quoted: {_why(fault)}"
        case Failure(fault), _:
            return "the question was not widened", f"so only its own words were searched: {_why(fault)}"
        case _:
            return None


def _why(fault: Fault) -> str:
    from lambdacat.tools.llm_values import ModelError

    match fault:
        case Stopped(reason=said):
            return said
        case ActionFailed(error=ModelError() as error):
            return " ".join(str(error).split())
        case _:
            return reason(fault)


def written(done: Inquiry) -> Written | None:
    """The answer in a model's words, if there is one."""
    match done.asked.written:
        case Success(answer):
            return answer
        case _:
            return None


def _said(done: Inquiry) -> str:
    return plain((written(done) or _answer(done)).text)


def document(done: Inquiry, seconds: float, beside: Beside = ALONE) -> dict[str, object]:
    """The answer as one JSON document.

    Shape: ``sources`` best first; ``skipped``, a number of files, only where there was a folder; ``model``,
    ``extractive`` and ``cost`` only where a model was asked; ``asked_before``, a day, only where it was.
    Units: ``seconds``.
    """
    answer = _answer(done)
    shown: dict[str, object] = {
        "question": done.question,
        "answer": _said(done),
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
        "note": _note(done, beside.model),
        "warnings": [plain(each) for each in (*beside.notes, *warnings(done, beside.model))],
    }
    if done.corpus.folder is not None:
        shown["skipped"] = sum(count for _, count in skipped(done))
        shown["skipped_because"] = {why.value: count for why, count in skipped(done)}
    if beside.model:
        shown |= {"model": beside.model, "extractive": written(done) is None}
    if beside.cost is not None:
        shown["cost"] = {**asdict(beside.cost), "seconds": round(beside.cost.seconds, 3)}
    if beside.before:
        shown["asked_before"] = beside.before
    return shown


def _note(done: Inquiry, model: str) -> str:
    if written(done) is None:
        return EXTRACTIVE
    return f"Written by {plain(model)} from these sources; every sentence names its own."


def rounds(done: Inquiry) -> int:
    """How many times the sources were searched."""
    return done.lookup.query.round + 1


def text(done: Inquiry, seconds: float, beside: Beside = ALONE, *, width: int | None = None) -> str:
    """The answer, its sources, and how sure it is; wrapped where ``width`` is given."""
    answer = _answer(done)
    lines = [_said(done), ""]
    if answer.sources:
        places = [plain(each.passage.locator) for each in answer.sources]
        longest = max(map(len, places))
        lines += ["Sources"]
        for number, (place, each) in enumerate(zip(places, answer.sources, strict=True), 1):
            lines.append(f"  [{number}] {place:<{longest}}  {each.score:.2f}  {plain(each.passage.title)}")
        lines += [""]
    searches = f"{rounds(done)} round{'s' * (rounds(done) > 1)} of searching"
    lines.append(f"Confidence {answer.confidence:.2f} after {searches}, {seconds:.2f} s.")
    if answer.sentences or written(done) is not None:
        lines.append(_note(done, beside.model))
    if counts := skipped(done):
        reasons = ", ".join(f"{count} {why.value}" for why, count in counts)
        total = sum(count for _, count in counts)
        lines.append(f"Skipped {total} file{'s' * (total > 1)} of the folder: {reasons}.")
    lines += [f"Asked before on {beside.before}."] * bool(beside.before)
    lines += [] if beside.cost is None else [_spent(beside.cost)]
    return "\n".join(lines if width is None else (_wrapped(line, min(width, WIDTH)) for line in lines))


def _spent(cost: Cost) -> str:
    """What a model cost, in one line."""
    calls = f"{cost.calls} call{'s' * (cost.calls != 1)}"
    retries = f"{cost.retries} retr{'y' if cost.retries == 1 else 'ies'}"
    money = f"{cost.money:.6f}".rstrip("0").rstrip(".")
    paid = [f"{money} of money"] if cost.money else []
    row = (calls, f"{cost.tokens} tokens", *paid, f"{cost.seconds:.2f} s", retries)
    return f"The model cost {', '.join(row)}."


def _wrapped(line: str, width: int) -> str:
    """A line of prose over several lines; a line of the table stays as it is."""
    if line.startswith(" "):
        return line
    return fill(line, width, break_long_words=False, break_on_hyphens=False)


def _answer(done: Inquiry) -> Answer:
    return done.answer or Answer((), (), 0.0)
