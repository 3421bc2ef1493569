"""Answering what a run asks, from the words of a command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from contextlib import closing
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from lambdacat.asking import Ask
from lambdacat.commands import as_declared, load
from lambdacat.interpreters.answers import answer, answer_of, questions
from lambdacat.interpreters.classes import codecs_of
from lambdacat.interpreters.history import OR_NONE
from lambdacat.interpreters.journal import Document, MemoryJournal, past_of
from lambdacat.optics import Lens
from lambdacat.path import type_at
from lambdacat.place import Attr
from lambdacat.plan import Plan
from lambdacat.record import field_type
from lambdacat.runs_cli.going import codecs_named
from lambdacat.runs_cli.refusing import found_in, plainly
from lambdacat.runs_cli.tables import counted, short
from lambdacat.runs_cli.words import Form
from lambdacat.shown import Shown, UsageError, as_json
from lambdacat.store.places import Place, journal_in
from lambdacat.store.runs_at_rest import RunAtRest, journal_at_rest
from lambdacat.structure import fold
from lambdacat.terminal import plain

PLAIN = frozenset({"str", "int", "float", "bool", "yes or no"})
"""What a question can want that is told from text without knowing the plan."""


@plainly
def answered(
    place: Place, run: str, key: str | None, text: str, form: Form, *, plan: str | None, codecs: str | None
) -> Shown:
    """Answer one question of a run. Errors: ``UsageError`` for a key or a value that does not fit."""
    found = found_in(place, run)
    journal = journal_at_rest(place, run, codecs_named(codecs))
    asked = _chosen(found, journal, key)
    known = None if plan is None else load(plan)
    value = _value(asked, text, known)
    declared = journal.codecs if known is None else codecs_of(known, journal)
    with closing(journal_in(place, run, declared)) as target:
        try:
            taken = answer(target, asked["key"], value)
        except ValueError as error:
            raise UsageError(str(error)) from error
    left = len(questions(journal)) - taken
    if form == "json":
        return Shown(as_json({"run": run, "key": asked["key"], "taken": taken, "open": left}))
    said = _said(found, asked, left, place) if taken else f"{_quoted(asked)} is answered already, and that answer stays"
    return Shown(plain(said))


def _said(found: RunAtRest, asked: Document, left: int, place: Place) -> str:
    still = f"; {counted(left, 'question')} still open" if left else ""
    if found.status == "running":
        return f"answered {_quoted(asked)}{still}; the run is going on and takes it up"
    command = shlex.join(["lambdacat", "runs", "resume", str(place), found.run, "--plan", "PLAN"])
    return f"answered {_quoted(asked)}{still}; to go on: {command}"


def _quoted(asked: Document) -> str:
    return f"{asked['key']!r} ({short(asked['text'])})" if asked["key"] else f"{short(asked['text'])!r}"


def _chosen(found: RunAtRest, journal: MemoryJournal, key: str | None) -> Document:
    """The question that is meant. Errors: ``UsageError`` with what there is to choose from."""
    still = questions(journal)
    if key is None:
        return _only(found, still)
    past = past_of(journal)
    documents = () if past is None else past.documents
    asked = {d["key"]: d for d in documents if d["kind"] == "asked"}
    if key not in asked:
        near = get_close_matches(key, asked, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"it has asked {_listed(asked.values()) or 'nothing'}"
        raise UsageError(f"run {found.run!r} has not asked {key!r}; {hint}")
    given = {*journal.answers(), *(d["key"] for d in documents if d["kind"] == "answer")}
    if key not in still and key not in given:
        raise UsageError(f"run {found.run!r} has gone on without an answer to {_quoted(asked[key])}")
    return asked[key]


def _only(found: RunAtRest, still: Mapping[str, Document]) -> Document:
    """The one question that is open. Errors: ``UsageError``."""
    if len(still) > 1:
        listed = _listed(still.values())
        raise UsageError(f"run {found.run!r} asks {len(still)} questions; say which by its key: {listed}")
    for one in still.values():
        return one
    why = "everything is answered, so resume it" if found.status == "unfinished" else f"its status is {found.status}"
    raise UsageError(f"run {found.run!r} asks nothing; {why}")


def _listed(asked: Iterable[Document]) -> str:
    return ", ".join(map(_quoted, asked))


# --- values ----------------------------------------------------------------------------------------------------------


def _value(asked: Document, text: str, plan: Plan[Any, Any] | None) -> Any:
    """What a text says as an answer. Errors: ``UsageError`` when it does not fit the place that it goes to."""
    if asked["wants"].removesuffix(OR_NONE) in PLAIN:
        return _answer_of(asked, text)
    if plan is not None:
        return _declared(asked, text, plan)
    value = _answer_of(asked, text)
    if isinstance(value, (list, dict)):
        raise UsageError(
            f"{asked['into']} may hold a class of its own; name the plan with --plan, so that the answer becomes one"
        )
    return value


def _answer_of(asked: Document, text: str) -> Any:
    try:
        return answer_of(asked, text)
    except (ValueError, RecursionError) as error:
        raise UsageError(short(str(error), 200)) from error


def _declared(asked: Document, text: str, plan: Plan[Any, Any]) -> Any:
    """The answer as the type that the plan declares for its place; as JSON has it, where it declares none."""
    kind = _type_of(asked["into"], plan)
    value = _json(text)
    if kind is None:
        return value
    made = as_declared(value, kind, asked["into"])
    if not _fits(made, kind):
        raise UsageError(f"{asked['into']} holds {kind}, which has no form on a command line; answer it from Python")
    return made


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a declared type, as far as its outermost class tells."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    cls = origin or kind
    return not isinstance(cls, type) or isinstance(value, cls)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _type_of(into: str, plan: Plan[Any, Any]) -> Any:
    """What the plan declares for the place of a question. Errors: ``UsageError`` when it asks nothing for it."""
    lenses: list[Lens[Any, Any]] = []

    def look(node: Plan[Any, Any], below: list[None]) -> None:
        if isinstance(node, Ask) and repr(node.into) == into:
            lenses.append(node.into)

    fold(plan, look)
    if not lenses:
        raise UsageError(f"the plan asks nothing for {into}; name the plan of the run with --plan")
    *above, step = lenses[0].steps
    if not isinstance(step, Attr):
        return type_at(lenses[0])
    holder = type_at(Lens(lenses[0].root, tuple(above)))
    return field_type(holder, step.name) if isinstance(holder, type) else None
