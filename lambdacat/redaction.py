"""Texts without secrets: what journals, stores, traces, drawings and messages are made with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Any, Final

MARK: Final = "[redacted]"
_SHORTEST: Final = 4
"""Units: characters. What is shorter stands in half of all texts."""
_ENCODED: Final = 6
"""Units: bytes. What is shorter looks, encoded, like anything."""

_lock = Lock()
_known: set[str] = set()
_fields: dict[type, set[str]] = {}
"""By class of record the fields that hold secrets."""
_pattern: re.Pattern[str] | None = None


def learn_field(owner: type, name: str) -> None:
    """What stands in this field of this class of record is secret."""
    with _lock:
        _fields.setdefault(owner, set()).add(name)


def learn_text(text: object) -> None:
    """A text that is secret. Errors: ``ValueError`` for what is none, or is too short."""
    if isinstance(text, (bytes, bytearray)):
        text = text.decode(errors="backslashreplace")
    if not isinstance(text, str) or len(text) < _SHORTEST:
        raise ValueError(f"a secret is a text of at least {_SHORTEST} characters, bytes, or a lens to one")
    _learn({text})


def _learn(texts: set[str]) -> None:
    global _pattern
    with _lock:
        if texts <= _known:
            return
        _known.update(texts)
        forms = {form for text in _known for form in _forms(text)}
        _pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))


def forget() -> None:
    """Know of no secret any more."""
    global _pattern
    with _lock:
        _known.clear()
        _fields.clear()
        _pattern = None


def _forms(text: str) -> Iterator[str]:
    """A secret as it may stand in other texts."""
    # Loaded when there is a secret: whoever keeps none pays for none of it.
    import html
    import json
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    data = text.encode(errors="surrogatepass")
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(data)[2:-1]
    yield html.escape(text)
    for percent in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield percent
        yield re.sub("%..", lambda found: found[0].lower(), percent)
    if len(data) >= _ENCODED:
        yield data.hex()
        yield data.hex().upper()
        for ahead in range(3):
            # What stands before it shifts its bits; those that it shares with its neighbours are left out.
            whole = b64encode(b"\0" * ahead + data).decode()
            core = whole[-(-ahead * 8 // 6) : (ahead + len(data)) * 8 // 6]
            yield core
            yield core.replace("+", "-").replace("/", "_")


def active() -> bool:
    """Whether there is anything to keep out."""
    return _pattern is not None or bool(_fields)


def redacted(text: str) -> str:
    """The text without secrets."""
    return text if _pattern is None else _pattern.sub(MARK, text)


def redacted_tree(tree: Any) -> Any:
    """JSON data without secrets, keys included; the same where there are none to look for."""
    if _pattern is None:
        return tree
    return _mapped(tree, _pattern)


def _mapped(tree: Any, pattern: re.Pattern[str]) -> Any:
    # In a loop: trees may be deeper than what is left of the caller's stack.
    root = [tree]
    todo: list[tuple[Any, Any]] = [(root, 0)]
    while todo:
        where, key = todo.pop()
        one = where[key]
        if type(one) is str:
            where[key] = pattern.sub(MARK, one)
        elif type(one) is dict:
            where[key] = made = {pattern.sub(MARK, name): value for name, value in one.items()}
            todo.extend((made, name) for name in made)
        elif type(one) in (list, tuple):
            where[key] = row = list(one)
            todo.extend((row, place) for place in range(len(row)))
    return root[0]


def note(value: object) -> None:
    """Learn the secrets in the fields of a value, and of what is in it, that hold some."""
    if not _fields:
        return
    from lambdacat.record import declared_fields

    rest: list[Any] = [value]
    seen: set[int] = set()
    while rest:
        one = rest.pop()
        if id(one) in seen or isinstance(one, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(one))
        kind = type(one)
        for name in _fields.get(kind, ()):
            _note_secret(getattr(one, name, None))
        if kind in (list, tuple, set, frozenset):
            rest.extend(one)
        elif kind is dict:
            rest.extend(one.values())
        elif (names := declared_fields(kind)) is not None:
            rest.extend(getattr(one, name, None) for name in names[0])


def note_written(owner: type, name: str, value: object) -> None:
    """Learn what is written to a field, if it holds secrets."""
    if name in _fields.get(owner, ()):
        _note_secret(value)


def _note_secret(value: object) -> None:
    with suppress(ValueError):  # an empty field holds no secret
        learn_text(value)
