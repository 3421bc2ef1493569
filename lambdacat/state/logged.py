"""A persistent map that keeps a log of the keys that were changed, so that a merge costs no more than what changed."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, final

from rpds import HashTrieMap

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SPARE = 16
"""How many changes are kept however small the map is."""


@final
class LoggedMap(Mapping[K, V], Generic[K, V]):
    """An immutable map whose copies share all but a path, and which can say what was changed since an older version.

    Law: equal to the plain map with the same items; ``changed_since`` names every key whose value is not the same
    object as in ``base``, or is None. The log is forgotten once it is longer than the map: looking at every key is then
    no dearer. Iteration follows hashes and not insertion: sort where the order is seen.

    >>> old = LoggedMap({"a": 1, "b": 2})
    >>> new = old.insert("b", 3).remove("a")
    >>> sorted(new.changed_since(old)), new.changed_since(LoggedMap({"a": 1, "b": 2}))
    (['a', 'b'], None)
    """

    __slots__ = ("_depth", "_log", "_map")
    _map: HashTrieMap[K, V]
    _log: Any
    """A linked list of ``(key, rest)``; each version has its own first cell, which is how a version is known."""
    _depth: int
    """How many cells the log has."""

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        """The map of ``items``, with nothing in its log."""
        self._map = HashTrieMap(items)
        self._log = object()
        self._depth = 0

    def _grown(self, items: HashTrieMap[K, V], log: Any, depth: int) -> LoggedMap[K, V]:
        made: LoggedMap[K, V] = object.__new__(LoggedMap)
        made._map = items
        if depth > len(items) + _SPARE:
            made._log, made._depth = object(), 0
        else:
            made._log, made._depth = log, depth
        return made

    def __getitem__(self, key: K) -> V:
        return self._map[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __contains__(self, key: object) -> bool:
        return key in self._map

    def get(self, key: K, default: Any = None) -> Any:
        """The value under a key, or ``default``."""
        return self._map.get(key, default)

    def plain(self) -> HashTrieMap[K, V]:
        """The map without its log."""
        return self._map

    def insert(self, key: K, value: V) -> LoggedMap[K, V]:
        """A map that also has ``value`` under ``key``."""
        return self._grown(self._map.insert(key, value), (key, self._log), self._depth + 1)

    def update(self, items: Mapping[K, V]) -> LoggedMap[K, V]:
        """A map that also has every item of ``items``."""
        log = self._log
        for key in items:
            log = (key, log)
        return self._grown(self._map.update(items), log, self._depth + len(items)) if items else self

    def remove(self, key: K) -> LoggedMap[K, V]:
        """A map without ``key``. Errors: ``KeyError`` when it is not there."""
        return self._grown(self._map.remove(key), (key, self._log), self._depth + 1)

    def changed_since(self, base: object) -> Collection[K] | None:
        """The keys that may have changed since ``base``, latest first; None when that is not known.

        Costs the number of changes, never the size of the map.
        """
        if not isinstance(base, LoggedMap) or self._depth < base._depth:
            return None
        found: dict[K, None] = {}
        cell = self._log
        for _ in range(self._depth - base._depth):
            key, cell = cell
            found[key] = None
        return found.keys() if cell is base._log else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LoggedMap):
            return NotImplemented
        return self is other or bool(self._map == other._map)

    def __hash__(self) -> int:
        return hash(self._map)

    def __reduce__(self) -> Any:
        # Built anew, with an empty log: a linked list of thousands is no good to pickle or deepcopy.
        return LoggedMap, (dict(self._map),)

    def __repr__(self) -> str:
        return f"LoggedMap({dict(self._map)!r})"


class Change(NamedTuple):
    """What became of one key between two versions of a map; None where it was or is not there."""

    key: Any
    old: Any
    new: Any


def changes(base: LoggedMap[K, Any], tip: LoggedMap[K, Any]) -> Iterator[Change]:
    """What differs between two versions, by identity, for maps in which no value is None."""
    logged = tip.changed_since(base)
    before, after = base.plain().get, tip.plain().get
    for key in dict.fromkeys([*base, *tip]) if logged is None else logged:
        old, new = before(key), after(key)
        if old is not new:
            yield Change(key, old, new)
