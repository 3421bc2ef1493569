"""The SQLite file of a store: how it is made, opened and changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store.folders import flush_folder

_SCHEMA = """
create table cells (
    key blob not null unique, spelling blob not null,
    version integer not null, mark blob not null, digest text not null, data blob not null
);
create table floor (version integer not null);
insert into floor values (0);
"""
_LAYOUT = 1
"""What the file says in ``user_version``."""
_MAKING = "-making-"


_OUTSIDE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)


def is_outside(error: sqlite3.Error) -> bool:
    """Whether it says something of the machine, and not of what is in the file."""
    # The first byte of a code is its family.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _OUTSIDE


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the write lock is taken at once, so that nothing read before can be outdated."""
    database.execute("begin immediate")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("rollback")
        raise
    database.execute("commit")


def opened(path: Path, seconds: float) -> sqlite3.Connection:
    """The database of a store that is there, its settings read back. Errors: ``Unanswered``, ``StateCorrupt``."""
    if path.stat().st_size == 0:
        raise StateCorrupt("the file is empty, and no store ever is; remove it to begin a new one", str(path))
    database = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=seconds, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    layout = database.execute("pragma user_version").fetchone()[0]
    tables = {row[0] for row in database.execute("select name from sqlite_master where type='table'")}
    if not tables >= {"cells", "floor"}:
        raise StateCorrupt("it is a database, but no store; give the store a file of its own", str(path))
    if layout != _LAYOUT:
        raise StateCorrupt(f"it is a store of layout {layout}, and this program reads layout {_LAYOUT}", str(path))
    mode = database.execute("pragma journal_mode=wal").fetchone()[0]
    if mode != "wal":
        raise Unanswered(f"the store {path}", f"its folder does not support write-ahead logging (it gave {mode})")
    database.execute("pragma synchronous=full")
    if database.execute("pragma synchronous").fetchone()[0] != 2:
        raise Unanswered(f"the store {path}", "it does not flush as it was asked to")


def create(path: Path) -> None:
    """An empty store, made beside its place and then put there: nobody ever sees half of one."""
    if not path.parent.is_dir():
        raise Unanswered(f"the store {path}", f"there is no folder {path.parent}")
    making = path.with_name(f"{path.name}{_MAKING}{uuid4().hex}")
    try:
        database = sqlite3.connect(making, isolation_level=None)
        try:
            database.executescript(f"begin; {_SCHEMA} pragma user_version={_LAYOUT}; commit")
        finally:
            database.close()
        _place(making, path)
        flush_folder(path.parent)
    except sqlite3.Error:
        # Another process that was faster may have cleaned this file away in the middle.
        if not path.exists():
            raise
    finally:
        making.unlink(missing_ok=True)


def _place(making: Path, path: Path) -> None:
    try:
        os.link(making, path)
    except (FileExistsError, FileNotFoundError):
        """Another process put one there meanwhile, and that is the store; it may have cleaned this one away."""
    except OSError:  # a file system without links, where nothing tells two that make one store at the same moment
        if not path.exists():
            making.rename(path)


def clean(path: Path) -> None:
    """What was left over by processes that ended while they made the store is removed; it is there now."""
    for other in path.parent.iterdir():
        if other.name.startswith(path.name + _MAKING):
            other.unlink(missing_ok=True)
