"""A process that uses a store: what it does is on its command line, what it came to on its output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from attrs import frozen

import lambdacat.store as stores
from lambdacat.codec import Codecs
from lambdacat.store.store import VersionConflict
from lambdacat.store.values import Classes, ValueStore


@frozen
class Journey:
    """A state with a little of everything."""

    stops: tuple[str, ...]
    fares: dict[str, Decimal]
    left: datetime
    seen: frozenset[bytes] = frozenset()


JOURNEY = Journey(
    ("Évry", "\ud800"), {"one": Decimal("1.10")}, datetime(2026, 3, 29, 2, 30, tzinfo=UTC), frozenset({b"\0", b"\xff"})
)
CODECS = Codecs(Journey)
KINDS: dict[str, Callable[[str, Classes], ValueStore]] = {
    "files": lambda address, codecs: stores.FileStore(address, codecs=codecs),
    "sqlite": lambda address, codecs: stores.SqliteStore(address, codecs=codecs),
    "redis": lambda address, codecs: stores.RedisStore(address, codecs=codecs),
    "postgres": lambda address, codecs: stores.PostgresStore(address, codecs=codecs),
}
"""Stores that outlive a process, from an address."""


def incremented(store: ValueStore, key: str) -> None:
    """One is added to the number under a key, however many do so at once."""
    while True:
        found = store.read(key)
        value, version = (0, 0) if found is None else (found.value, found.version)
        try:
            store.swap(key, value + 1, version)
        except VersionConflict:
            continue
        return


def forked(store: ValueStore, key: str, rounds: int) -> int:
    """A child that adds to a number; the store may be open here."""
    child = os.fork()
    if child:
        return child
    try:
        for _ in range(rounds):
            incremented(store, key)
    except BaseException as error:  # noqa: BLE001  a child must not go on as its parent
        print(repr(error), file=sys.stderr)
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Whether a journey is there; then children that add to one number, and what it is in the end."""
    kind, address, journey, key, crowd, rounds = sys.argv[1:]
    with KINDS[kind](address, CODECS) as store:
        print(store.get(journey) == JOURNEY)
        children = [forked(store, key, int(rounds)) for _ in range(int(crowd))]
        print([os.waitpid(child, 0)[1] for child in children], store.get(key))


if __name__ == "__main__":
    main()
