"""Whether a run can go on whose state's class has another version now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lambdacat.codec import Codecs
from lambdacat.fault import PlanChanged
from lambdacat.interpreters.journal import Document, Past


def versions(codecs: Codecs) -> dict[str, int]:
    """The versions that the classes have, by name; the first is left out."""
    return {codec.name: codec.version for codec in codecs.codecs if codec.version != 1}


def migration_change(past: Past, codecs: Codecs) -> PlanChanged | None:
    """Why the run cannot go on under the versions that there are now; None when it can.

    An entry says what a step changed, in the shape that the state had, so no migration reaches it. It still fits when
    every field of the recorded input is as it was after its migration; fields may have come.
    """
    now = versions(codecs)
    before = _first_other(past.documents, now)
    if before is None:
        return None
    if extends(past.begin["input"], codecs.to_tree(codecs.from_tree(past.begin["input"]))):
        return None
    moved = sorted(name for name in {*before, *now} if before.get(name, 1) != now.get(name, 1))
    name = moved[0]
    return PlanChanged(
        recorded=f"{name} of version {before.get(name, 1)}, with entries that say what changed in it",
        found=f"{name} of version {now.get(name, 1)}, whose migration changes fields that were there",
        name="the plan",
    )


def versions_at(documents: Iterable[Document]) -> dict[str, int]:
    """The versions that the classes had when the last of the entries was written."""
    found: dict[str, int] = {}
    for document in documents:
        found = document.get("versions", found) if document["kind"] in ("begin", "resumed") else found
    return found


def _first_other(documents: Iterable[Document], now: dict[str, int]) -> dict[str, int] | None:
    """The versions under which the first entry was written that says a change in a shape of another time."""
    found: dict[str, int] = {}
    for document in documents:
        if document["kind"] in ("begin", "resumed"):
            found = document.get("versions", {})
        elif found != now and _says_a_change(document):
            return found
    return None


def _says_a_change(document: Document) -> bool:
    return "writes" in document or "delta" in document or document["kind"] == "answer"


def extends(old: Any, new: Any) -> bool:
    """Whether a tree has all that an older one has, and more fields of records at most."""
    rest = [(old, new)]
    while rest:
        one, two = rest.pop()
        if type(one) is not type(two):
            return False
        if isinstance(one, dict):
            tagged = "$" in one
            names = [name for name in one if not (tagged and name == "$v")]
            if any(name not in two for name in names) or (not tagged and len(one) != len(two)):
                return False
            rest.extend((one[name], two[name]) for name in names)
        elif isinstance(one, list):
            if len(one) != len(two):
                return False
            rest.extend(zip(one, two, strict=True))
        elif one != two:
            return False
    return True
