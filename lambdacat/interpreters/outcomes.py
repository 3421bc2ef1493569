"""What an action gave, as the part of its entry that says so, and back: what changed, and never the whole state."""

from __future__ import annotations

from typing import Any, Final

from lambdacat.codec import Codecs, applied, changes
from lambdacat.interpreters.recorded_errors import error_of, error_tree
from lambdacat.machine.segment import Fell
from lambdacat.merging import mutable_parts, own_copy
from lambdacat.path import lens_parent
from lambdacat.redaction import active, note, note_written

Document = dict[str, Any]
Step = Any
"""A task; by its reads and writes, whatever its action."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""Classes whose values are their own trees, and hold nothing that could change apart from the rest."""
_MUTABLE: Final = frozenset({list, dict, set, bytearray})


def before(node: Step, value: Any) -> Any:
    """The value as it is now, safe from an action that changes it in place."""
    return own_copy(value) if _may_change(node, value) else value


def _may_change(node: Step, value: Any) -> bool:
    if node.reads is None:
        return mutable_parts(value)
    return not _MUTABLE.isdisjoint([type(lens.getter(value)) for lens in node.reads])


def outcome_tree(node: Step, given: Any, made: Any, codecs: Codecs) -> Document:
    """What an action made of what it was given (see ``before``). Errors: ``NotStorable``."""
    if active():
        note(made)
        for lens in node.writes or ():
            if type(made) is not Fell and (field := lens_parent(lens)) is not None:
                note_written(*field, lens.getter(made))
    if type(made) is Fell:
        return {"error": error_tree(made.error, codecs)}
    if node.reads is None or _may_change(node, given):
        return _change(given, made, codecs)
    return {"writes": [_written(lens, given, made, codecs) for lens in node.writes or ()]}


def _change(given: Any, made: Any, codecs: Codecs) -> Document:
    if type(made) not in _PLAIN and (delta := changes(given, made)) is not None:
        return {"delta": codecs.delta_tree(delta)}
    return {"value": codecs.to_tree(made)}


def _written(lens: Any, given: Any, made: Any, codecs: Codecs) -> Any:
    """One part that was written: a plain one as itself, another as how it changed."""
    part = lens.getter(made)
    if type(part) in _PLAIN:
        return codecs.to_tree(part)
    try:
        old = lens.get(given)
    except (LookupError, AttributeError, TypeError):
        return {"value": codecs.to_tree(part)}  # a part that was not there yet
    return _change(old, part, codecs)


def outcome_of(node: Step, document: Document, value: Any, index: int, codecs: Codecs) -> Any:
    """The result of an action on ``value``, or its ``Fell``, as its entry says."""
    if (writes := document.get("writes")) is not None:
        if len(writes) == 1 and type(writes[0]) in _PLAIN:  # what most tasks write
            return node.writes[0].setter(value, writes[0])
        for lens, tree in zip(node.writes or (), writes, strict=True):
            part = tree
            if type(tree) not in _PLAIN:
                part = _restored(tree, lens.get(value) if "delta" in tree else None, codecs)
            value = lens.set(value, part)
        return value
    if "error" in document:
        return Fell(index, error_of(document["error"], codecs), value)
    return _restored(document, value, codecs)


def _restored(document: Document, given: Any, codecs: Codecs) -> Any:
    if "delta" in document:
        return applied(given, codecs.from_delta_tree(document["delta"]))
    if "value" in document:
        return codecs.from_tree(document["value"])
    return codecs.from_tree(document)
