"""Exceptions as documents and back: of the same class where it is loaded, so that handlers see no difference."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MemberDescriptorType
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
    tree = _tree(error, codecs)
    lines = traceback.format_exception(error, limit=_LINES)
    tree["traceback"] = "".join(lines).encode(errors="backslashreplace").decode()
    return tree


def _tree(error: Exception, codecs: Codecs) -> Document:
    kind = type(error)
    tree: Document = {"class": f"{kind.__module__}:{kind.__qualname__}", "text": _text(error)}
    if isinstance(error, ExceptionGroup):
        # Handlers look inside a group, so each of its exceptions is kept like one that stands alone.
        tree["text"] = error.message.encode(errors="backslashreplace").decode()
        tree["group"] = [_tree(each, codecs) for each in error.exceptions]
    else:
        arguments = _storable(error.args, codecs.to_tree)
        if arguments is not _NOT_STORABLE:
            tree["args"] = arguments
    for key, values in (("attributes", vars(error)), ("members", _members(error))):
        found = {name: _storable(value, codecs.to_tree) for name, value in values.items()}
        kept = {name: tree_of for name, tree_of in found.items() if tree_of is not _NOT_STORABLE}
        if kept:
            tree[key] = kept
    return tree


def error_of(tree: Document, codecs: Codecs) -> Exception:
    """The exception again. Only classes that this process has loaded are considered, and none of their code runs."""
    made = _made(tree, codecs)
    # Not by add_note, which asks the class for the notes that there are.
    made.__dict__["__notes__"] = ["raised in an earlier process:\n" + tree["traceback"]]
    return made


def _made(tree: Document, codecs: Codecs) -> Exception:
    kind = _loaded(tree["class"])
    if kind is not None:
        try:
            return _again(kind, tree, codecs)
        except (TypeError, ValueError, AttributeError):
            pass  # a class that was another one when this was written: a group then and none now
    made = RecordedError(tree["text"])
    made.kind = tree["class"].partition(":")[2]
    return made


def _again(kind: type[Exception], tree: Document, codecs: Codecs) -> Exception:
    if "group" in tree:
        made = _bare(kind, (tree["text"], [_made(each, codecs) for each in tree["group"]]))
    else:
        made = _bare(kind, codecs.from_tree(tree["args"]) if "args" in tree else (tree["text"],))
    places = _places(kind)
    for name, value in tree.get("members", {}).items():
        if name in places:
            places[name].__set__(made, codecs.from_tree(value))
    for name, value in tree.get("attributes", {}).items():
        if name != "__notes__":
            made.__dict__[name] = codecs.from_tree(value)
    return made


def _bare(kind: type[Exception], arguments: tuple[Any, ...]) -> Exception:
    """An exception of a class, made without the class's own code: by the built-in class that it comes from."""
    base: Any = next(one for one in kind.__mro__ if one.__module__ == "builtins")
    made: Exception = base.__new__(kind, *arguments)
    with suppress(TypeError):  # the arguments may be fewer than a built-in class wants, where a class passed none on
        base.__init__(made, *arguments)
    vars(BaseException)["args"].__set__(made, arguments)
    return made


_MEMBERS: Mapping[type, tuple[str, ...]] = {
    OSError: ("filename", "filename2"),
    ImportError: ("name", "path"),
    AttributeError: ("name",),
    NameError: ("name",),
}
"""What built-in exceptions hold beside their arguments and attributes, and need for their text."""


def _places(kind: type[Exception]) -> dict[str, Any]:
    """Where exceptions of a class hold what is not among their attributes: in these, and in slots."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        slots = vars(base).get("__slots__", ())
        for name in (*_MEMBERS.get(base, ()), *((slots,) if isinstance(slots, str) else slots)):
            place = vars(base).get(name)
            if isinstance(place, MemberDescriptorType):
                found[name] = place
    return found


def _members(error: Exception) -> dict[str, Any]:
    found = {}
    for name, place in _places(type(error)).items():
        with suppress(AttributeError):  # a slot that is empty
            found[name] = place.__get__(error)
    return {name: value for name, value in found.items() if value is not None}


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
