"""Runs, entries and questions as rows of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from lambdacat.interpreters.history import NOT_NONE
from lambdacat.interpreters.in_flight import InFlight
from lambdacat.interpreters.journal import Document
from lambdacat.store.runs_at_rest import RunAtRest
from lambdacat.terminal import plain

WIDTH = 60
"""Characters of a value."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Columns under their heads, those named in ``right`` to the right."""
    cells = [tuple(heads), *(tuple(plain(" ".join(cell.split())) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if head in right else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def amount(size: int) -> str:
    """A number of bytes for a person.

    >>> amount(999), amount(1_234_567)
    ('999 B', '1.2 MB')
    """
    shown, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if shown < 1000:
            break
        shown, unit = shown / 1000, larger
    return f"{size} B" if unit == "B" else f"{shown:.1f} {unit}"


def local_time(seconds: float) -> str:
    """An instant on the wall, here. Units: seconds since 1970 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def universal_time(seconds: float) -> str:
    """An instant in documents. Units: seconds since 1970 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short(text: str, width: int = WIDTH) -> str:
    """The text on one line of at most ``width`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."


def counted(number: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "step"), counted(0, "run")
    ('1 step', '0 runs')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


# --- runs ------------------------------------------------------------------------------------------------------------


def runs_table(runs: Sequence[RunAtRest]) -> str:
    """One line a run."""
    rows = [
        (run.run, run.status, str(run.steps), str(run.questions), amount(run.size), local_time(run.created),
         local_time(run.updated), "" if run.owner is None else str(run.owner))
        for run in runs
    ]  # fmt: skip
    heads = ("run", "status", "steps", "questions", "size", "created", "updated", "process")
    return table(heads, rows, right=("steps", "questions", "size"))


def run_document(run: RunAtRest) -> dict[str, Any]:
    """A run as JSON data. Units: ``size`` in bytes; instants in UTC."""
    return {
        "run": run.run,
        "status": run.status,
        "steps": run.steps,
        "questions": run.questions,
        "size": run.size,
        "created": universal_time(run.created),
        "updated": universal_time(run.updated),
        "process": run.owner,
        "crashes": run.crashes,
        "set_aside": run.aside,
    }


# --- entries ---------------------------------------------------------------------------------------------------------


def entries_table(documents: Sequence[Document]) -> str:
    """One line an entry: which step, which execution of it, how long it took and what it gave."""
    rows = [
        (str(d["n"]), d["kind"], d.get("name", ""), d.get("key", ""), turn(d.get("key", "")), _seconds(d), given(d))
        for d in documents
    ]
    heads = ("no", "kind", "step", "key", "turn", "seconds", "what it gave")
    return table(heads, rows, right=("no", "seconds"))


def turn(key: str) -> str:
    """Which execution of its node a key speaks of: rounds of loops and parts of traversals, then attempts.

    >>> turn("1/loop#2.a3"), turn("0")
    ('2, attempt 3', '')
    """
    turns = [each for each in key.partition("#")[2].split(".") if each]
    rounds = ".".join(each for each in turns if not each.startswith("a"))
    attempts = ".".join(each[1:] for each in turns if each.startswith("a"))
    return ", ".join(filter(None, (rounds, f"attempt {attempts}" if attempts else "")))


def _seconds(document: Document) -> str:
    return f"{document['seconds']:.3f}" if document["kind"] == "done" else ""


def given(document: Document) -> str:
    """What an entry says, in a few words."""
    match document["kind"]:
        case "begin":
            return short(_json(document["input"]))
        case "done":
            return short(_made(document))
        case "asked":
            return short(document["text"])
        case "answer":
            return short(_json(document["value"]))
        case "verdict":
            branches = ", ".join(str(index) for index, _ in document["entries"])
            return short(f"{document['verdict']}: branches {branches}")
        case "timeout":
            return f"after {document['seconds']:g} s"
        case "wait":
            return f"until {local_time(document['until'])}"
        case "end":
            return short(" ".join(filter(None, (document["outcome"], document["says"]))))
        case _:
            return ""


def _made(document: Document) -> str:
    if "error" in document:
        error = document["error"]
        return f"{error['class'].rpartition(':')[2]}: {error['text']}"
    if "delta" in document:
        return f"changed {_json(document['delta'])}"
    if "value" in document:
        return _json(document["value"])
    places = [place for place in document["lenses"].partition(" -> ")[2].split(", ") if place]
    values = [_json(value) for value in document["writes"]]
    if len(places) != len(values):  # a key in a place may have a comma
        return ", ".join(values)
    return ", ".join(f"{place} = {value}" for place, value in zip(places, values, strict=True))


def _json(tree: object) -> str:
    return json.dumps(tree, ensure_ascii=False)


def in_flight_table(steps: Sequence[InFlight]) -> str:
    """One line a step, with the key that tells a service which call it was."""
    return table(("step", "key", "idempotency key"), [(each.name, each.key, each.idempotency_key) for each in steps])


# --- questions -------------------------------------------------------------------------------------------------------


def questions_table(asked: Sequence[Document]) -> str:
    """One line a question, with the key that an answer goes to."""
    rows = [(each["key"], each["text"], wish(each)) for each in asked]
    return table(("key", "question", "answer"), rows)


def wish(asked: Document) -> str:
    """What kind of answer a question wants."""
    if asked["into"] is None:
        return "yes or no"
    wants = "a value" if asked["wants"] in ("", NOT_NONE) else asked["wants"]
    return f"{wants} for {asked['into']}"


def question_document(asked: Document) -> dict[str, Any]:
    """A question as JSON data; ``wants`` is empty where any value will do as far as the journal knows."""
    return {key: asked[key] for key in ("key", "text", "into", "wants")}
