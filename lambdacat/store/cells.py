"""What a backend keeps under a key: bytes, with a version and a digest by which damage is noticed."""

from __future__ import annotations

from hashlib import blake2b
from math import inf
from typing import final

from attrs import frozen

from lambdacat.codec import StateCorrupt, json_bytes
from lambdacat.store.store import VersionConflict


@final
@frozen
class Cell:
    """A value at rest."""

    version: int
    mark: str
    digest: str
    """Of the key, the version, the mark and the data. Shape: 32 hexadecimal digits."""
    data: bytes

    def checked(self, key: str, where: str) -> bytes:
        """The data, if this is what was written under the key. Errors: ``StateCorrupt``."""
        if self.digest != _digest(key, self.version, self.mark, self.data):
            raise StateCorrupt("what is there is not what was written: its digest is another's", where)
        return self.data


def cell(key: str, data: bytes, mark: str, version: int) -> Cell:
    """The cell of a value that is to be written."""
    return Cell(version, mark, _digest(key, version, mark, data), data)


def _digest(key: str, version: int, mark: str, data: bytes) -> str:
    # JSON has no bare line break, so that no two cells give the same bytes here.
    return blake2b(json_bytes([key, version, mark]) + b"\n" + data, digest_size=16).hexdigest()


def next_version(key: str, *, found: int, expected: int | None, floor: int) -> int:
    """The version of a write where ``found`` is there, and no version above ``floor`` was ever deleted.

    ``expected`` is what the writer wants to replace, None being anything. Errors: ``VersionConflict``.
    """
    if expected is not None and found != expected:
        raise VersionConflict(key, expected, found)
    return (found or floor) + 1


def text_bytes(text: str, what: str) -> bytes:
    """A key or a mark in UTF-8. Errors: ``TypeError``, and ``ValueError`` for what UTF-8 has no form for."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text, not {text!r}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is Unicode text, and {text!r} holds half a surrogate pair") from None


def key_bytes(key: str) -> bytes:
    """A key in UTF-8."""
    return text_bytes(key, "a key")


def seconds_of(seconds: float) -> float:
    """``seconds`` if one can wait so long. Errors: ``ValueError``."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds < inf:
        raise ValueError(f"seconds is how long an answer is waited for, a number above 0, not {seconds!r}")
    return float(seconds)


def after(prefix: bytes) -> bytes:
    """The first bytes that sort after every key with this prefix. Shape: ``prefix`` is UTF-8 and not empty."""
    # No byte of UTF-8 is 0xff, so that the last one can always grow.
    return prefix[:-1] + bytes((prefix[-1] + 1,))
