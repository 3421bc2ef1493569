"""Sandboxes for the tests that need one."""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lambdacat.tools.sandbox import Sandbox

needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bwrap is not installed: apt-get install bubblewrap"
)

_NUMBERS = count(os.getpid() * 1_000)


def marked(**limits: Any) -> Sandbox:
    """A sandbox whose processes can be told from all others: by their limit of memory, which they are started with."""
    return Sandbox(memory=256_000_000 + next(_NUMBERS), **limits)


def survivors(box: Sandbox) -> list[str]:
    """The processes of a marked sandbox that are there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if f'"RLIMIT_AS": {box.memory}'.encode() in command:
            found.append(path.parent.name)
    return found


def mostly_swept(plain: int, cases: list[Any]) -> list[Any]:
    """The first few cases as they are, and the others for the sweep: each of them starts a process."""
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [*cases[:plain], *(pytest.param(*row, marks=pytest.mark.sweep) for row in rows[plain:])]
