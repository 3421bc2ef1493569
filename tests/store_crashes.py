"""Writes to a store that end in the middle: each in a process that is killed, or whose disk fails, at one system call.

As a program of its own it has everything loaded, forks a process for each line that it reads, lets ``strace`` tamper
with that one, and prints how it ended.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store import FileStore, SqliteStore
from lambdacat.store.values import ValueStore

KEY = "a key"
REFUSED = 3
"""The exit code of a process whose store said that it could not."""
PATIENCE = 30.0
"""Units: seconds after which a process is taken to hang."""
TOUCHING = (
    "openat", "mkdir", "read", "pread64", "write", "pwrite64", "fsync", "fdatasync",
    "ftruncate", "fallocate", "link", "rename", "unlink", "flock",
)  # fmt: skip
"""System calls that a disk can refuse."""

KINDS: dict[str, Callable[[str], ValueStore]] = {"files": FileStore, "sqlite": SqliteStore}
WRITES: dict[str, Callable[[ValueStore], object]] = {
    "make": lambda store: store.put(KEY, "new"),
    "replace": lambda store: store.swap(KEY, "new", 2),
    "delete": lambda store: store.delete(KEY),
}


@frozen
class Order:
    """One write, and what happens to it."""

    kind: str
    place: str
    write: str
    call: str = "all"
    """The system call that something happens at."""
    tampering: str = ""
    """What strace injects there."""
    log: str = "/dev/null"

    def store(self) -> ValueStore:
        """The store that is written to."""
        return KINDS[self.kind](self.place)


# --- the program -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Each order, and how its process ended."""
    for line in sys.stdin:
        print(performed(Order(**json.loads(line))), flush=True)


def performed(order: Order) -> int:
    """The exit code of the process, or the negative number of the signal that ended it."""
    child = os.fork()
    if not child:
        write(order)
    os.waitpid(child, os.WUNTRACED)
    inject = ["-e", f"inject={order.call}:{order.tampering}"] if order.tampering else []
    command = ["strace", "-qq", "-o", order.log, "-p", str(child), "-e", f"trace={order.call}", *inject]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL):
        while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
            time.sleep(0.0005)
        os.kill(child, signal.SIGCONT)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write(order: Order) -> None:
    """The process that is tampered with; it does not return."""
    code = 1
    try:
        os.kill(os.getpid(), signal.SIGSTOP)
        with order.store() as store:
            WRITES[order.write](store)
        code = 0
    except (Unanswered, StateCorrupt):  # SQLite takes a page that cannot be read for damage
        code = REFUSED
    except BaseException:  # noqa: BLE001  it must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


# --- whoever uses it -------------------------------------------------------------------------------------------------


def calls(log: Path) -> list[tuple[str, int]]:
    """Each system call of a process, with how many of its kind there were up to it."""
    counts = Counter[str]()
    found: list[tuple[str, int]] = []
    for name in re.findall(r"^(\w+)\(", log.read_text(errors="replace"), re.MULTILINE):
        counts[name] += 1
        found.append((name, counts[name]))
    return found


@contextmanager
def crashing() -> Iterator[Callable[[Order], int]]:
    """Performs orders, as long as a block lasts; for fixtures."""
    with subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        to, back = program.stdin, program.stdout
        assert to is not None
        assert back is not None

        def perform(order: Order) -> int:
            document: dict[str, Any] = asdict(order)
            to.write(json.dumps(document).encode() + b"\n")
            to.flush()
            return int(back.readline())

        try:
            yield perform
        finally:
            to.close()


if __name__ == "__main__":
    main()
