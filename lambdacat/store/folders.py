"""How files are put in place so that they last, and so that nobody ever reads half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Have the disk hold which files the folder has: a rename may otherwise be undone by a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def made_folder(folder: Path) -> None:
    """Have the folder, and those that it lies in, on disk."""
    if not folder.is_dir():
        made_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_folder(folder.parent)


def put_file(text: bytes, path: Path, previous: Path | None = None, *, new: Path, old: Path) -> None:
    """Put a file at ``path`` with this text; what was there goes to ``previous``, if one is given.

    Law: whatever ends the process, ``path`` is the old file or the new one, and ``previous``, where it was a file, is
    one that was at ``path`` before. ``new`` and ``old`` are used on the way, and gone after it.
    """
    try:
        _write(text, new)
        if previous is not None:
            _keep(path, old)
        os.rename(new, path)
        if previous is not None:
            os.rename(old, previous)
    except BaseException:
        for one in (new, old):
            with suppress(OSError):
                one.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def _keep(path: Path, old: Path) -> None:
    """A second name for a file."""
    try:
        os.link(path, old)
    except OSError:  # a file system without links
        _write(path.read_bytes(), old)


def _write(text: bytes, path: Path) -> None:
    """A new file, its text on disk."""
    with path.open("xb", buffering=0) as file:
        rest = memoryview(text)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
