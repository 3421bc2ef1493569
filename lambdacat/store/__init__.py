"""States, journals and runs at rest."""

from typing import TYPE_CHECKING

from lambdacat.lazily import later

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
__getattr__, __dir__ = later(
    __name__,
    {
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
    },
)


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
