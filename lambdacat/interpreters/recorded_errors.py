"""Exceptions as documents and back: of the same class where it is loaded, so that handlers see no difference."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lambdacat.codec import Codecs, NotStorable

Document = dict[str, Any]
_LINES = 20
_NOT_STORABLE: Any = object()


class RecordedError(Exception):
    """An exception of an earlier process whose class is not loaded in this one; ``kind`` is its name."""

    kind: str = ""


def error_tree(error: Exception, codecs: Codecs) -> Document:
    """What is kept of an exception: class, arguments and attributes that can be stored, and the traceback as text."""
    kind = type(error)
    tree: Document = {"class": f"{kind.__module__}:{kind.__qualname__}", "text": _text(error)}
    arguments = _storable(error.args, codecs.to_tree)
    if arguments is not _NOT_STORABLE:
        tree["args"] = arguments
    found = {name: _storable(value, codecs.to_tree) for name, value in vars(error).items()}
    kept = {name: tree for name, tree in found.items() if tree is not _NOT_STORABLE}
    if kept:
        tree["attributes"] = kept
    lines = traceback.format_exception(error, limit=_LINES)
    tree["traceback"] = "".join(lines).encode(errors="backslashreplace").decode()
    return tree


def error_of(tree: Document, codecs: Codecs) -> Exception:
    """The exception again. Only classes that this process has loaded are considered, and none of their code runs."""
    kind = _loaded(tree["class"])
    arguments = codecs.from_tree(tree["args"]) if "args" in tree else (tree["text"],)
    if kind is None:
        made: Exception = RecordedError(tree["text"])
        made.kind = tree["class"].partition(":")[2]  # type: ignore[attr-defined]
    else:
        made = _bare(kind, arguments)
        for name, value in tree.get("attributes", {}).items():
            if name != "__notes__":
                made.__dict__[name] = codecs.from_tree(value)
    made.add_note("raised in an earlier process:\n" + tree["traceback"])
    return made


def _bare(kind: type[Exception], arguments: tuple[Any, ...]) -> Exception:
    """An exception of a class, made without the class's own code: by the built-in class that it comes from."""
    base: Any = next(one for one in kind.__mro__ if one.__module__ == "builtins")
    made: Exception = base.__new__(kind, *arguments)
    with suppress(TypeError):  # the arguments may be fewer than a built-in class wants, where a class passed none on
        base.__init__(made, *arguments)
    made.args = arguments
    return made


def _storable(value: Any, to_tree: Callable[[Any], Any]) -> Any:
    try:
        return to_tree(value)
    except NotStorable:
        return _NOT_STORABLE


def _text(error: Exception) -> str:
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception as worse:  # noqa: BLE001  what happened must be kept, whatever the exception's own text does
        return f"<its str raised {type(worse).__name__}>"


def _loaded(name: str) -> type[Exception] | None:
    """The loaded class of exceptions that has this name."""
    rest: list[type[Exception]] = [Exception]
    seen: set[type] = set()
    while rest:
        kind = rest.pop()
        if f"{kind.__module__}:{kind.__qualname__}" == name:
            return kind
        if kind not in seen:
            seen.add(kind)
            rest.extend(kind.__subclasses__())
    return None
