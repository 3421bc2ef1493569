"""A store of JSON files in a folder: for values that people or other programs read."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from typing import final

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store.cells import Cell, cell, next_version, seconds_of
from lambdacat.store.folders import flush_folder, made_folder, put_file
from lambdacat.store.pages import Page, header_of, stem_of
from lambdacat.store.store import Versioned
from lambdacat.store.values import Classes, Sealed, ValueStore
from lambdacat.store.watching import Polled

_PREVIOUS = ".previous"
_LOCK, _FLOOR = ".lock", ".floor"
_NEW, _OLD = ".new", ".old"
"""What a writer has in hand. One writer at a time has the lock, so that these are left over whenever nobody has it."""
_TURN_SECONDS = 0.002


@final
class FileStore(ValueStore):
    """Values in a folder, each a JSON file of its own, with the one before it beside it.

    Law: whatever ends a writer, a file is the old one or the new one. Units: ``seconds`` is how long another writer is
    waited for. Errors: ``StateCorrupt`` for a damaged file; ``previous`` then has the value before, and ``put`` and
    ``delete`` go over it.
    """

    def __init__(self, folder: str | PathLike[str], *, codecs: Classes = (), seconds: float = 10.0) -> None:
        super().__init__(codecs)
        self.folder = Path(fspath(folder)).absolute()
        self.seconds = seconds_of(seconds)
        self._tidy = False

    @property
    def name(self) -> str:
        """The whole path of its folder."""
        return str(self.folder)

    def _where(self, key: str) -> str:
        return str(self._current(key))

    def _current(self, key: str) -> Path:
        return self.folder / f"{stem_of(key)}.json"

    def _previous(self, key: str) -> Path:
        return self.folder / f"{stem_of(key)}{_PREVIOUS}"

    # Reading -------------------------------------------------------------------------------------------------------

    def _load(self, key: str) -> Cell | None:
        with self._reading():
            page = _page(self._current(key), key)
        return None if page is None else page.cell

    def previous(self, key: str) -> Versioned | None:
        """The value before the one that is there, or None where there is none. Errors: ``StateCorrupt``."""
        path = self._previous(key)
        with self._reading():
            page = _page(path, key)
        return None if page is None else self._opened(key, page.cell, str(path))

    def _names(self, prefix: str) -> Iterable[str]:
        return self._versions(prefix)

    def _versions(self, prefix: str) -> Mapping[str, int]:
        with self._reading():
            rows = [_listed(path) for path in _current_files(self.folder)]
        return {key: version for key, version in filter(None, rows) if key.startswith(prefix)}

    # Writing -------------------------------------------------------------------------------------------------------

    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        with self._writing():
            found, whole = self._standing(key, careful=expected is not None)
            floor = self._floor() if not found else 0
            made = sealed(next_version(key, found=found, expected=expected, floor=floor))
            self._put(Page(key, made).text(), self._current(key), self._previous(key) if found and whole else None)
        return made.version

    def _remove(self, key: str) -> bool:
        with self._writing():
            found, _ = self._standing(key, careful=False)
            if not found:
                return False
            self._put(Page("", cell("", b"null", "", max(found, self._floor()))).text(), self.folder / _FLOOR)
            # The one before goes first: alone it would be a value that nobody can delete.
            self._previous(key).unlink(missing_ok=True)
            self._current(key).unlink()
            flush_folder(self.folder)
        return True

    def _put(self, text: bytes, path: Path, previous: Path | None = None) -> None:
        put_file(text, path, previous, new=self.folder / _NEW, old=self.folder / _OLD)

    def _standing(self, key: str, *, careful: bool) -> tuple[int, bool]:
        """The version of the key, 0 for none, and whether its file is whole; ``StateCorrupt`` if ``careful``."""
        try:
            page = _page(self._current(key), key)
        except StateCorrupt:
            if careful:
                raise
            return self._damaged(key), False
        return (0 if page is None else page.cell.version), True

    def _damaged(self, key: str) -> int:
        """The version of a file that cannot be read: one above the one before it, or else the first of its key."""
        before = _page(self._previous(key), key)
        return (self._floor() if before is None else before.cell.version) + 1

    def _floor(self) -> int:
        """The highest version that was ever deleted."""
        page = _page(self.folder / _FLOOR, "")
        return 0 if page is None else page.cell.version

    # The folder ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._named():
            if not self._tidy:
                # Who may not write here can still read.
                with suppress(OSError, Unanswered):
                    self._clean()
                self._tidy = True
            yield

    def _clean(self) -> None:
        """What writers left over that were killed is removed."""
        if any((self.folder / name).exists() for name in (_NEW, _OLD)):
            with self._locked():
                self._drop()

    def _drop(self) -> None:
        for name in (_NEW, _OLD):
            (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The only writer, in all processes."""
        with self._named():
            made_folder(self.folder)
            with self._locked() as lock:
                self._drop()
                yield
                # Those who watch look once more before they give up: a count that fails loses nothing.
                with suppress(OSError):
                    _count(lock)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        # A file of its own each time: all threads would share the lock of one that stays open.
        lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._take(lock)
            yield lock
        finally:
            # A child that was forked meanwhile has the file open too, and would keep the lock.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def _take(self, lock: int) -> None:
        end = time.monotonic() + self.seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    what = f"another writer has had its lock for longer than {self.seconds:g} s"
                    raise Unanswered(f"the store {self.name}", what) from None
                time.sleep(_TURN_SECONDS)
            else:
                return

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unanswered(f"the store {self.name}", str(error)) from error

    def _signal(self) -> Polled:
        def writes() -> bytes:
            with self._named():
                return _read(self.folder / _LOCK) or b""

        return Polled(writes)

    def close(self) -> None:
        """Nothing stays open between two calls."""


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _current_files(folder: Path) -> Iterator[Path]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    yield from (folder / name for name in names if name.endswith(".json"))


def _page(path: Path, key: str) -> Page | None:
    """The page of a key in a file, None where there is none. Errors: ``StateCorrupt``."""
    text = _read(path)
    if text is None:
        return None
    page = Page.parsed(text, str(path))
    if page.key != key:
        raise StateCorrupt(f"it holds the key {page.key!r}, and its name is that of {key!r}", str(path))
    return page


def _listed(path: Path) -> tuple[str, int] | None:
    """The key and version of a file, or None if it has just gone. Errors: ``StateCorrupt``."""
    try:
        return _first_line(path)
    except FileNotFoundError:
        return None
    except StateCorrupt as damage:
        # The file before it has the same key, and was one version below.
        try:
            key, version = _first_line(path.with_suffix(_PREVIOUS))
        except (FileNotFoundError, StateCorrupt):
            raise damage from None
        return key, version + 1


def _first_line(path: Path) -> tuple[str, int]:
    """The key and version that the first line of a file says."""
    with path.open("rb") as file:
        key, version, _, _ = header_of(file.readline().rstrip(b"\n"), str(path))
    if stem_of(key) != path.stem:
        raise StateCorrupt(f"it holds the key {key!r}, and has the name of another", str(path))
    return key, version


def _count(lock: int) -> None:
    """One more write, for those who watch."""
    count = int.from_bytes(os.pread(lock, 8, 0), "little") + 1
    os.pwrite(lock, (count % 2**64).to_bytes(8, "little"), 0)
