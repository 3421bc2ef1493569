"""A value at rest as a JSON file: its name, and its text."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import final

from attrs import frozen

from lambdacat.codec import StateCorrupt, json_bytes, json_tree
from lambdacat.store.cells import Cell, key_bytes

_HEADER = {"key": str, "version": int, "mark": str, "digest": str}


@final
@frozen
class Page:
    """What one file holds: a key and its cell. Two lines of text, together one JSON object."""

    key: str
    cell: Cell

    def text(self) -> bytes:
        """The whole file."""
        cell = self.cell
        header = json_bytes({"key": self.key, "version": cell.version, "mark": cell.mark, "digest": cell.digest})
        return header[:-1] + b",\n" + b'"value":' + cell.data + b"}\n"

    @classmethod
    def parsed(cls, text: bytes, where: str) -> Page:
        """The page that a file holds. Law: ``parsed(page.text()) == page``. Errors: ``StateCorrupt``."""
        key, version, mark, digest = header_of(text.partition(b"\n")[0], where)
        # What else is in the file is told from its rightful form, not looked for.
        data = text[text.index(b"\n") + len(b'\n"value":') : -len(b"}\n")]
        page = cls(key, Cell(version, mark, digest, data))
        if page.text() != text:
            raise StateCorrupt("it is not the file of a store as it was written", where)
        page.cell.checked(key, where)
        return page


def header_of(line: bytes, where: str) -> tuple[str, int, str, str]:
    """Key, version, mark and digest, from the first line of a file. Errors: ``StateCorrupt``."""
    if not line.endswith(b","):
        raise StateCorrupt("it is not the file of a store, or was cut off", where)
    try:
        tree = json_tree(line[:-1] + b"}")
    except StateCorrupt as error:
        error.where = where
        raise
    if not isinstance(tree, dict) or {name: type(part) for name, part in tree.items()} != _HEADER:
        raise StateCorrupt("it is not the file of a store", where)
    return tree["key"], tree["version"], tree["mark"], tree["digest"]


def stem_of(key: str) -> str:
    """The name of a key's file, before its ending: safe on every file system, its first part readable.

    Law: two keys have two names, also where the case of letters does not count.
    """
    words = re.sub("[^a-z0-9]+", "-", key.lower()).strip("-")[:40]
    digest = blake2b(key_bytes(key), digest_size=16).hexdigest()
    return f"{words}.{digest}" if words else digest
