"""States, journals and runs at rest."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambdacat.store.files import FileStore
    from lambdacat.store.journals import SqliteJournal
    from lambdacat.store.memory import MemoryStore
    from lambdacat.store.persisting import persisted
    from lambdacat.store.postgres import PostgresStore
    from lambdacat.store.postgres_journal import PostgresJournal
    from lambdacat.store.redis import RedisStore
    from lambdacat.store.sqlite import SqliteStore
    from lambdacat.store.store import Change, Store, VersionConflict, Versioned, Watch
    from lambdacat.store.values import ValueStore

# Loaded when first used: each backend has a client of its own, and two of them are extras.
_HOMES = {
    name: home
    for home, names in {
        "store": "Change Store VersionConflict Versioned Watch",
        "values": "ValueStore",
        "memory": "MemoryStore",
        "files": "FileStore",
        "sqlite": "SqliteStore",
        "redis": "RedisStore",
        "postgres": "PostgresStore",
        "persisting": "persisted",
        "journals": "SqliteJournal",
        "postgres_journal": "PostgresJournal",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lambdacat.store' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"lambdacat.store.{home}"), name)
    return found


__all__ = [
    "Change",
    "FileStore",
    "MemoryStore",
    "PostgresJournal",
    "PostgresStore",
    "RedisStore",
    "SqliteJournal",
    "SqliteStore",
    "Store",
    "ValueStore",
    "VersionConflict",
    "Versioned",
    "Watch",
    "persisted",
]
