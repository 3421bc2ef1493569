"""What a run came to, as text or as JSON, and its exit code."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve
from returns.result import Failure, Success

from lambdacat.commands import faulted
from lambdacat.fault import Fault, Outcome, PlanChanged, Waiting, headline
from lambdacat.interpreters.answers import questions
from lambdacat.interpreters.journal import Document
from lambdacat.interpreters.replaying import Replayed
from lambdacat.runs_cli.tables import counted, question_document, questions_table
from lambdacat.runs_cli.words import Form
from lambdacat.shown import FAILED, WAITING, Shown, UsageError, as_json
from lambdacat.store.places import Place
from lambdacat.store.runs_at_rest import journal_at_rest
from lambdacat.terminal import plain


def ended(outcome: Outcome[Any], place: Place, run: str, form: Form) -> Shown:
    """The result of a run, the questions that it waits for, or its fault. Errors: ``UsageError`` for another plan."""
    return _ended(outcome, place, run, form, lambda: questions(journal_at_rest(place, run)))


def _ended(
    outcome: Outcome[Any], place: Place, run: str | None, form: Form, still: Callable[[], Mapping[str, Document]]
) -> Shown:
    """How a run ended, ``still`` being what its journal asks. Without a name the run is kept nowhere."""
    match outcome:
        case Success(value):
            text = (
                as_json({"run": run, "status": "success", "result": _data(value)}) if form == "json" else as_json(value)
            )
            return Shown(text)
        case Failure(Waiting(questions=asked)):
            keys = {each.key for each in asked}
            return _waits([each for key, each in still().items() if key in keys], place, run, form)
        case Failure(PlanChanged() as fault):
            where = " > ".join(map(str, fault.at)) or "the top"
            raise UsageError(f"{headline(fault)} (at {where}); nothing was run")
        case Failure(fault):
            return _faulted(fault, run, form)


def ended_replay(made: Replayed[Any], place: Place, run: str | None, form: Form) -> Shown:
    """What a replay ran and saved, then what it came to."""
    end = _ended(made.outcome, place, run, form, lambda: made.questions)
    if form == "json":
        cost = {"performed": made.performed, "answered": made.answered, "saved_seconds": made.saved}
        return evolve(end, text=as_json({**cost, **json.loads(end.text)}))
    return evolve(end, text="\n".join(filter(None, (plain(str(made)), end.text))))


def _data(value: Any) -> Any:
    """A value as JSON data; as text where JSON has no form for it."""
    text = as_json(value)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _faulted(fault: Fault, run: str | None, form: Form) -> Shown:
    shown = faulted(fault)
    if form == "text":
        return shown
    document = {"run": run, "status": "failure", "fault": str(fault)}
    return Shown(as_json(document), FAILED, error=shown.error)


def _waits(asked: list[Document], place: Place, run: str | None, form: Form) -> Shown:
    if form == "json":
        open_ = [question_document(each) for each in asked]
        return Shown(as_json({"run": run, "status": "waiting", "open": open_}), WAITING)
    who = "the run" if run is None else f"run {run!r}"
    lines = [plain(f"{who} waits for {counted(len(asked), 'answer')}"), questions_table(asked)]
    if run is None:
        lines.append("it is not kept; give it a name with --into, so that it can be answered")
    else:
        key = () if len(asked) == 1 else ("KEY",)
        lines.append(plain(shlex.join(["lambdacat", "runs", "answer", str(place), run, *key, "ANSWER"])))
    return Shown("\n".join(lines), WAITING)
