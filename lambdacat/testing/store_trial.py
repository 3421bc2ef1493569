"""How stores are tried: what a law is, and what it says when a store is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from uuid import uuid4

from hypothesis import strategies as st

from lambdacat.store.store import Store, VersionConflict
from lambdacat.testing.proving import Draw
from lambdacat.testing.storables import CODECS, portrait

STORE_CODECS = CODECS
"""What the store under test must be able to hold."""

Law: TypeAlias = Callable[[Store, Store, Draw], None]
"""Two handles on one place, and a source of examples; raises ``AssertionError`` where the law does not hold."""

SMALL = st.integers(0, 9) | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=3)
"""Values that tell writes apart."""


def fresh_key() -> str:
    """A key, and beginning of keys, that nobody else uses."""
    return f"{uuid4().hex} "


def check_same(found: object, wanted: object, what: str) -> None:
    """No program can tell the one from the other."""
    if portrait(found) != portrait(wanted):
        raise AssertionError(f"{what} gave {found!r}, not {wanted!r}")


def refused(wanted: type[Exception], act: Callable[[], object]) -> Exception:
    """The exception that a call is to raise."""
    try:
        found = act()
    except wanted as error:
        return error
    raise AssertionError(f"there was no {wanted.__name__}; it gave {found!r}")


def check_conflict(act: Callable[[], object], key: str, expected: int, found: int) -> None:
    """The call raises a conflict that says just this."""
    error = refused(VersionConflict, act)
    assert isinstance(error, VersionConflict)
    told = error.key, error.expected, error.found
    assert told == (key, expected, found), f"the conflict says {told}, not {(key, expected, found)}"


def version_of(store: Store, key: str) -> int:
    """The version that is there, 0 for none."""
    found = store.read(key)
    return 0 if found is None else found.version
