"""The registry of what a store or a journal may write and read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, final

from lambdacat.codec.applying import delta_of, delta_tree
from lambdacat.codec.atoms import ATOMS, SAME
from lambdacat.codec.classes import Codec
from lambdacat.codec.containers import CONTAINERS, write_list
from lambdacat.codec.delta import Delta
from lambdacat.codec.refusal import NotStorable
from lambdacat.codec.tables import DEEPEST, Readers, Writers, read
from lambdacat.codec.text import Tree, json_bytes, json_tree, with_room
from lambdacat.redaction import active, note, redacted_tree

_BUILT_IN: Final = {**ATOMS, **CONTAINERS}

_UNTAGGED: Final = frozenset({list, *SAME})
"""Classes whose values stand for themselves in every tree."""


@final
class Codecs:
    """What may be stored, as an immutable value: what Python brings, and the classes that are declared here.

    Records (attrs, dataclasses, named tuples, pydantic models) and enums are declared by their class, any other class
    by a ``Codec``. A tag that is read is looked up here and nowhere else, so no stored byte can name code to load.

    Law: ``decode(encode(x)) == x``, with the same classes at every level, the order of dicts and the sign of zero.
    Errors: ``ValueError`` for two classes under one tag, and for two codecs of one class.
    """

    __slots__ = ("_codecs", "_readers", "_writers")

    def __init__(self, *types: type | Codec) -> None:
        self._codecs = _declared(types)
        self._writers = Writers(SAME | {list: write_list} | {cls: pair[0] for cls, pair in _BUILT_IN.items()})
        self._readers = Readers({cls.__qualname__: pair[1] for cls, pair in _BUILT_IN.items()})
        for codec in self._codecs:
            self._writers[codec.cls], self._readers[codec.name] = codec.pair()

    def with_(self, *types: type | Codec) -> Codecs:
        """This registry with more classes. Law: a class that is there already keeps its codec, unless one is given."""
        return Codecs(*self._codecs, *types)

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The codecs of the classes that are declared, in order."""
        return self._codecs

    def to_tree(self, value: object) -> Tree:
        """The value as plain JSON data. Errors: ``NotStorable``, with the place inside the value."""
        writers = self._writers
        try:
            return with_room(writers[type(value)], value, DEEPEST, writers)
        except NotStorable as error:
            error.root = type(value).__qualname__
            raise

    def from_tree(self, tree: Tree) -> Any:
        """The value that a tree says. Errors: ``StateCorrupt``, with the place inside the tree."""
        return with_room(read, tree, DEEPEST, self._readers)

    def delta_tree(self, delta: Delta) -> Tree:
        """Changes as plain JSON data. Errors: ``NotStorable``."""
        return delta_tree(delta, self.to_tree)

    def from_delta_tree(self, tree: Tree) -> Delta:
        """The changes that a tree says. Errors: ``StateCorrupt``."""
        return delta_of(tree, self.from_tree)

    def encode(self, value: object) -> bytes:
        """The value as compact JSON in UTF-8. Errors: ``NotStorable``."""
        if active():
            note(value)
        return json_bytes(redacted_tree(self.to_tree(value)))

    def decode(self, data: bytes) -> Any:
        """The value that was encoded. Errors: ``StateCorrupt``."""
        return self.from_tree(json_tree(data))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codecs) and self._codecs == other._codecs

    def __hash__(self) -> int:
        return hash(self._codecs)

    def __repr__(self) -> str:
        return f"Codecs({', '.join(codec.name for codec in self._codecs)})"


def _declared(types: Iterable[type | Codec]) -> tuple[Codec, ...]:
    """One codec for each class, in the order in which the classes were given first."""
    found: dict[type, Codec] = {}
    for one in types:
        codec = one if isinstance(one, Codec) else Codec(one)
        if codec.cls in _BUILT_IN or codec.cls in _UNTAGGED:
            raise ValueError(f"{codec.cls.__qualname__} needs no codec: Python's own classes are stored as they are")
        known = found.get(codec.cls)
        if known is not None and (one is not codec or known == codec):
            continue
        if known is not None and known != Codec(codec.cls):
            raise ValueError(f"{codec.cls.__qualname__} is declared by two codecs: {known!r} and {codec!r}")
        found[codec.cls] = codec
    _check_names(found.values())
    return tuple(found.values())


def _check_names(codecs: Iterable[Codec]) -> None:
    tags: dict[str, type] = {cls.__qualname__: cls for cls in _BUILT_IN}
    for codec in codecs:
        other = tags.setdefault(codec.name, codec.cls)
        if other is not codec.cls:
            raise ValueError(
                f"{_full(other)} and {_full(codec.cls)} would both be stored as {codec.name!r}; give one of them "
                f"another name: Codec({codec.cls.__qualname__}, name=...)"
            )


def _full(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
