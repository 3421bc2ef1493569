"""A store in a SQLite file: the one to take when nothing speaks for another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any, final

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store.cells import Cell, after, next_version, seconds_of
from lambdacat.store.kept import Kept
from lambdacat.store.sqlite_file import clean, create, opened, transaction
from lambdacat.store.values import Classes, Sealed, ValueStore
from lambdacat.store.watching import Polled


@final
class SqliteStore(ValueStore):
    """Values in one SQLite file, for any number of threads and processes of one machine.

    Each write is flushed to disk before its call returns. Units: ``seconds`` is how long another writer is waited for.
    """

    def __init__(self, path: str | PathLike[str], *, codecs: Classes = (), seconds: float = 10.0) -> None:
        super().__init__(codecs)
        self.path = Path(fspath(path))
        self.seconds = seconds_of(seconds)
        self._kept = Kept(self._connected, sqlite3.Connection.close)
        self._sound = False
        """Whether the whole file was checked since it was opened."""

    @property
    def name(self) -> str:
        """The whole path of its file."""
        return str(self.path.absolute())

    # Reading -------------------------------------------------------------------------------------------------------

    def _load(self, key: str) -> Cell | None:
        with self._asking() as database:
            row = database.execute(
                "select version, mark, digest, data from cells where key = ?", (key.encode(),)
            ).fetchone()
            if row is None:
                self._check(database)
                return None
        return self._cell(key, row)

    def _names(self, prefix: str) -> Iterable[str]:
        return self._versions(prefix)

    def _versions(self, prefix: str) -> Mapping[str, int]:
        with self._asking() as database:
            self._check(database)
            return dict(_listed(database, prefix.encode()))

    def _check(self, database: sqlite3.Connection) -> None:
        """The whole file, once, before anything is said not to be there: damage must not look like absence."""
        if not self._sound:
            said = [row[0] for row in database.execute("pragma integrity_check(1)")]
            if said != ["ok"]:
                raise StateCorrupt(f"the database is damaged: {said[0]}", self.name)
            for key, *row in database.execute("select key, version, mark, digest, data from cells"):
                text = bytes(key).decode(errors="replace")
                self._cell(text, row).checked(text, self._where(text))
            self._sound = True

    def _cell(self, key: str, row: Sequence[Any]) -> Cell:
        # A flipped bit can give a column another type.
        if tuple(map(type, row)) != (int, bytes, str, bytes):
            raise StateCorrupt("what is there is not what was written", self._where(key))
        version, mark, digest, data = row
        return Cell(version, mark.decode(errors="replace"), digest, data)

    # Writing -------------------------------------------------------------------------------------------------------

    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        with self._asking() as database, transaction(database):
            found, floor = self._standing(database, key)
            made = sealed(next_version(key, found=found, expected=expected, floor=floor))
            database.execute(
                "insert into cells (key, version, mark, digest, data) values (?, ?, ?, ?, ?) on conflict (key) do"
                " update set version=excluded.version, mark=excluded.mark, digest=excluded.digest, data=excluded.data",
                (key.encode(), made.version, made.mark.encode(), made.digest, made.data),
            )
        return made.version

    def _remove(self, key: str) -> bool:
        with self._asking() as database, transaction(database):
            found, floor = self._standing(database, key)
            if not found:
                return False
            database.execute("update floor set version = ?", (max(found, floor),))
            database.execute("delete from cells where key = ?", (key.encode(),))
        return True

    def _standing(self, database: sqlite3.Connection, key: str) -> tuple[int, int]:
        """The version of the key, 0 for none, and the highest that was ever deleted."""
        row = database.execute("select version from cells where key = ?", (key.encode(),)).fetchone()
        if row is None:
            self._check(database)
        floor = database.execute("select version from floor").fetchone()
        return (0 if row is None else row[0]), floor[0]

    # The file ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        """The open database; what goes wrong with it, by name."""
        with self._named(), self._kept.used() as database:
            yield database

    def _connected(self) -> sqlite3.Connection:
        self._sound = False
        if not self.path.exists():
            create(self.path)
        with suppress(OSError):  # who may not write in the folder can still use the store
            clean(self.path)
        return opened(self.path, self.seconds)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unanswered(f"the store {self.name}", str(error)) from error
        except sqlite3.DatabaseError as error:
            raise StateCorrupt(f"the database is damaged: {error}", self.name) from error
        except OSError as error:
            raise Unanswered(f"the store {self.name}", str(error)) from error

    def _signal(self) -> Polled:
        with self._asking(), self._named():
            looking = opened(self.path, self.seconds)

        def commits() -> int:
            with self._named():
                return int(looking.execute("pragma data_version").fetchone()[0])

        return Polled(commits, looking.close)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._kept.drop()


def _listed(database: sqlite3.Connection, prefix: bytes) -> Iterator[tuple[str, int]]:
    """Keys with their versions."""
    if prefix:
        rows = database.execute("select key, version from cells where key >= ? and key < ?", (prefix, after(prefix)))
    else:
        rows = database.execute("select key, version from cells")
    for key, version in rows:
        yield key.decode(), version
