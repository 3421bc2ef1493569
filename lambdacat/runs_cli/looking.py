"""Looking at the runs of a journal; nothing of it is changed."""

from __future__ import annotations

from typing import Any

from attrs import asdict

from lambdacat.commands import load
from lambdacat.interpreters.answers import questions
from lambdacat.interpreters.in_flight import in_flight, sent_key
from lambdacat.interpreters.journal import Document, MemoryJournal, Past, past_of
from lambdacat.interpreters.runs import can_resume
from lambdacat.plan import Plan
from lambdacat.runs_cli.refusing import check_place, found_in, plainly
from lambdacat.runs_cli.tables import (
    amount,
    counted,
    entries_table,
    in_flight_table,
    local_time,
    question_document,
    questions_table,
    run_document,
    runs_table,
)
from lambdacat.runs_cli.words import Form
from lambdacat.shown import Shown, as_json
from lambdacat.store.places import Place
from lambdacat.store.runs_at_rest import RunAtRest, journal_at_rest, runs_in, size_of
from lambdacat.terminal import plain


@plainly
def listed(place: Place, form: Form) -> Shown:
    """The runs of a place."""
    check_place(place)
    runs = runs_in(place)
    size = size_of(place)
    if form == "json":
        return Shown(as_json({"file": str(place), "size": size, "runs": [run_document(run) for run in runs]}))
    if not runs:
        return Shown(f"no runs in {place}")
    return Shown(f"{runs_table(runs)}\n\n{counted(len(runs), 'run')}, {amount(size)} on disk")


@plainly
def shown(place: Place, run: str, form: Form, *, plan: str | None, last: int | None) -> Shown:
    """One run: its entries, its open questions, and how it goes with a plan. Errors: ``UsageError``."""
    found = found_in(place, run)
    journal = journal_at_rest(place, run)
    past = past_of(journal)
    entries = () if past is None else past.documents
    entries = entries if last is None else entries[-last:]
    held = None if plan is None or past is None else load(plan)
    if form == "json":
        return Shown(as_json(_document(found, journal, past, entries, held)))
    return Shown("\n\n".join(_paragraphs(found, journal, entries, held)))


def _told(past: Past | None, document: Document) -> Document:
    """An entry as JSON data; that of a step with the key that its action could read."""
    if past is None or document["kind"] != "done":
        return document
    return {**document, "idempotency_key": sent_key(past, document)}


def _document(
    found: RunAtRest,
    journal: MemoryJournal,
    past: Past | None,
    entries: tuple[Document, ...],
    plan: Plan[Any, Any] | None,
) -> dict[str, Any]:
    document: dict[str, Any] = {
        **run_document(found),
        "entries": [_told(past, each) for each in entries],
        "open": [question_document(each) for each in questions(journal).values()],
    }
    if plan is not None:
        change = can_resume(plan, journal).change
        document["plan"] = {
            "can_resume": change is None,
            "change": change and {"at": list(change.at), "recorded": change.recorded, "found": change.found},
        }
        document["in_flight"] = [asdict(each) for each in in_flight(plan, journal)]
    return document


def _paragraphs(
    found: RunAtRest, journal: MemoryJournal, entries: tuple[Document, ...], plan: Plan[Any, Any] | None
) -> list[str]:
    made = [_summary(found, entries, hint=plan is None)]
    if entries:
        made.append(entries_table(entries))
    asked = tuple(questions(journal).values())
    if asked:
        made.append(f"open questions\n{questions_table(asked)}")
    if plan is not None:
        from lambdacat.drawing import render

        steps = in_flight(plan, journal)
        if steps:
            made.append(f"in flight\n{in_flight_table(steps)}")
        first = str(can_resume(plan, journal)).splitlines()[0]
        made.append(f"{plain(first)}\n{render(plan).rstrip()}")
    return made


def _summary(found: RunAtRest, entries: tuple[Document, ...], *, hint: bool) -> str:
    owner = "" if found.owner is None else f" in process {found.owner}"
    of = entries[0].get("of") if entries and entries[0]["kind"] == "begin" else None
    lines = [
        f"run {found.run!r}: {found.status}{owner}, {counted(found.steps, 'step')} done, {amount(found.size)}",
        f"begun {local_time(found.created)}, last heard of {local_time(found.updated)}",
        f"made from run {of!r}" if of else "",
        f"set aside: {found.aside}" if found.aside else "",
        f"its process ended {counted(found.crashes, 'time')} in a row without getting further"
        if found.crashes and not found.aside
        else "",
    ]
    if hint and found.status in ("unfinished", "running", "set-aside"):
        lines.append("the steps in flight, and the keys that they send along: the same with --plan PLAN")
    return "\n".join(plain(line) for line in lines if line)
