"""JSON text of a tree and back, strictly: what other readers of JSON pass over in silence is refused here."""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecodeError, JSONDecoder, JSONEncoder
from threading import Thread
from typing import Any, ParamSpec, TypeAlias, TypeVar

from lambdacat.codec.refusal import StateCorrupt

P = ParamSpec("P")
R = TypeVar("R")

Tree: TypeAlias = Any
"""What JSON can say: dict with str keys, list, str, int, float, bool, None."""

text_of: Callable[[Tree], str] = JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode
"""The compact JSON text of a tree."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise StateCorrupt(f"the key {twice!r} is there twice")
    return made


def _constant(name: str) -> Any:
    raise StateCorrupt(f"{name} is no JSON number")


_decoder = JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _parse(text: str) -> Tree:
    tree, end = with_room(_decoder.raw_decode, text)
    # The slower parser looks at what is left, and says what it is.
    return tree if end == len(text) else _decoder.decode(text)


def with_room(work: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """The work's result, also for a caller whose stack is nearly used up. The work is of bounded depth."""
    try:
        return work(*given, **named)
    except BaseException as error:
        # rpds turns a RecursionError that meets it inside into a panic.
        if not isinstance(error, RecursionError) and type(error).__name__ != "PanicException":
            raise
    return _on_fresh_stack(lambda: work(*given, **named))


def _on_fresh_stack(work: Callable[[], R]) -> R:
    made: list[R] = []
    failed: list[BaseException] = []

    def again() -> None:
        try:
            made.append(work())
        except BaseException as error:  # noqa: BLE001  raised again where it belongs
            failed.append(error)

    thread = Thread(target=again, name="lambdacat codec")
    thread.start()
    thread.join()
    if failed:
        raise failed[0] from None
    return made[0]


def json_bytes(tree: Tree) -> bytes:
    """The compact UTF-8 JSON of a tree. Law: ``json_tree(json_bytes(t)) == t``."""
    return with_room(text_of, tree).encode()


def json_tree(data: bytes) -> Tree:
    """The tree that JSON bytes say.

    Errors: ``StateCorrupt`` for anything but one strict document: text after its end, a key that is there twice, NaN
    and infinities, lone surrogates, numbers too large for Python, nesting that no value has.
    """
    try:
        text = data.decode()
        tree = _parse(text.strip(" \t\n\r"))
        # Only an escape can bring a lone surrogate into text that was UTF-8, and nothing here writes one.
        if b"\\ud" in data or b"\\uD" in data:
            text_of(tree).encode()
    except UnicodeEncodeError:
        raise StateCorrupt("a text holds half a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise StateCorrupt(f"it is no UTF-8 text: byte {error.start} is {data[error.start]:#04x}") from None
    except JSONDecodeError as error:
        raise StateCorrupt(f"it is no JSON: {error}") from None
    except RecursionError:
        raise StateCorrupt("it is nested deeper than any value that is stored") from None
    except ValueError as error:  # an integer of thousands of digits, or an infinity written back
        raise StateCorrupt(f"a number is out of range: {error}") from None
    return tree
