"""The process of a sandbox, from the side of whoever waits for it: fed, read up to a limit, and ended for certain."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from threading import Lock
from time import monotonic
from typing import final

from attrs import frozen

_PATIENCE = 10.0
"""Units: seconds that bubblewrap may take to begin, which take it milliseconds."""
_PIECE = 65_536


class Ending(Enum):
    """Why a process is over."""

    ITSELF = "ended by itself"
    SECONDS = "ran too long"
    OUTPUT = "wrote too much"
    STOPPED = "was not wanted any more"


@frozen
class Finished:
    """A process that is over, and all that it started with it."""

    ending: Ending
    code: int
    """How it exited; 128 and the number of the signal where one ended it."""
    answer: bytes
    stdout: bytes
    stderr: bytes


class NotBegun(Exception):
    """Bubblewrap said why it could not."""


@final
class Stop:
    """Ends a process that another thread waits for; before it has begun, or while it runs.

    It is one end of a pipe, so that whoever waits for output sees it at once.
    """

    def __init__(self) -> None:
        self.read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._claim = Lock()
        self._over = Lock()
        self._over.acquire()

    def begin(self) -> bool:
        """Whether the work may begin; true once, and never after ``leave``."""
        return self._claim.acquire(blocking=False)

    def end(self) -> None:
        """The work that began is over."""
        self._over.release()

    def leave(self) -> bool:
        """Nobody wants the result any more. Whether the work had begun, so that its end must be awaited."""
        os.write(self._write, b".")
        return not self._claim.acquire(blocking=False)

    def is_over(self, seconds: float = 0.0) -> bool:
        """Whether the work is over, or is so within the time given."""
        if not self._over.acquire(timeout=seconds):
            return False
        self._over.release()
        return True

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self.read)
        os.close(self._write)


@final
class Channels:
    """What goes in and out of a sandbox: descriptors that are gone when the block around them ends."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        """The ends that belong to the sandbox."""
        self._ours: list[int] = []

    def __enter__(self) -> Channels:
        return self

    def __exit__(self, *_: object) -> None:
        self.hand_over()
        while self._ours:
            os.close(self._ours.pop())

    def data(self, content: bytes) -> int:
        """A descriptor from which the sandbox reads ``content``."""
        number = os.memfd_create("sandbox", os.MFD_CLOEXEC)
        self.passed.append(number)
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(content)
        os.lseek(number, 0, os.SEEK_SET)
        return number

    def from_sandbox(self) -> tuple[int, int]:
        """A pipe: our end, which never blocks, and its end."""
        ours, theirs = self._kept(*os.pipe2(os.O_CLOEXEC))
        os.set_blocking(ours, False)
        return ours, theirs

    def to_sandbox(self) -> tuple[int, int]:
        """The same, the other way round."""
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        return self._kept(ours, theirs)

    def _kept(self, ours: int, theirs: int) -> tuple[int, int]:
        self._ours.append(ours)
        self.passed.append(theirs)
        return ours, theirs

    def adopted(self, ours: int) -> int:
        """A descriptor that is closed with the others."""
        self._ours.append(ours)
        return ours

    def hand_over(self) -> None:
        """The other process has its ends, and this one needs them no more: a pipe ends when nobody else writes."""
        while self.passed:
            os.close(self.passed.pop())


@frozen
class Ends:
    """Our ends of the pipes of one sandbox."""

    go: int
    info: int
    answer: int
    stdout: int
    stderr: int


def supervised(
    start: Callable[[], subprocess.Popen[bytes]],
    ends: Ends,
    channels: Channels,
    *,
    seconds: float,
    output: int,
    stop: int | None,
) -> Finished:
    """The process that ``start`` starts, once it is over with everything that it started.

    Units: ``seconds`` from the go on, ``output`` in bytes for each pipe; ``stop`` can be read from when all is to end.
    Errors: ``NotBegun``.
    """
    process = start()
    channels.hand_over()
    try:
        first = channels.adopted(_announced(process, ends))
        # When the first process of its namespace is over, the kernel has ended all others before.
        try:
            watched = _Watched(ends, first, output, stop)
            with suppress(BrokenPipeError):
                os.write(ends.go, b"g")
            ending = watched.until(monotonic() + seconds)
            if ending is Ending.ITSELF:
                # Bubblewrap sees the same, a moment later, and says how it ended.
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(first, signal.SIGKILL)
            _ready(first, None)
    finally:
        if process.poll() is None:
            process.kill()
        code = process.wait()
    answer, stdout, stderr = (bytes(watched.read(pipe)) for pipe in (ends.answer, ends.stdout, ends.stderr))
    return Finished(watched.judged(ending), code if code >= 0 else 128 - code, answer, stdout, stderr)


def _announced(process: subprocess.Popen[bytes], ends: Ends) -> int:
    """A descriptor of the first process of the sandbox, which waits for its go. Errors: ``NotBegun``."""
    said, give_up = b"", monotonic() + _PATIENCE
    while b"}" not in said:
        if not _ready(ends.info, give_up - monotonic()):
            raise NotBegun(f"bubblewrap did not begin within {_PATIENCE:g} s")
        piece = os.read(ends.info, _PIECE)
        if not piece:
            process.wait()
            with suppress(BlockingIOError):
                said = os.read(ends.stderr, _PIECE)
            raise NotBegun(said.decode(errors="replace").strip() or f"bubblewrap ended with {process.returncode}")
        said += piece
    try:
        return os.pidfd_open(json.loads(said)["child-pid"])
    except ProcessLookupError:
        raise NotBegun("the first process of the sandbox died at once") from None


def _ready(number: int, seconds: float | None) -> bool:
    """Whether there is something to read, or is within the time given; None waits for ever."""
    # Not ``select.select``, which knows the first thousand descriptors only.
    waiting = select.poll()
    waiting.register(number, select.POLLIN)
    return bool(waiting.poll(None if seconds is None else max(0.0, 1000 * seconds)))


@final
class _Watched:
    """The pipes of a process, read as they fill."""

    def __init__(self, ends: Ends, first: int, output: int, stop: int | None) -> None:
        self._first, self._stop, self._output = first, stop, output
        self._got = {pipe: bytearray() for pipe in (ends.answer, ends.stdout, ends.stderr)}
        self._full = False

    def until(self, end: float) -> Ending:
        """Why it is over, or is to be ended now."""
        with selectors.DefaultSelector() as selector:
            for number in (*self._got, self._first, *(() if self._stop is None else (self._stop,))):
                selector.register(number, selectors.EVENT_READ)
            while not self._full:
                left = end - monotonic()
                if left <= 0:
                    return Ending.SECONDS
                ready = {key.fd for key, _ in selector.select(left)}
                if self._stop in ready:
                    return Ending.STOPPED
                for pipe in ready & self._got.keys():
                    if not self._fill(pipe):
                        selector.unregister(pipe)
                if self._first in ready:
                    return Ending.ITSELF
        return Ending.OUTPUT

    def _fill(self, pipe: int) -> bool:
        """Take what is there; whether more may come."""
        got = self._got[pipe]
        try:
            piece = os.read(pipe, _PIECE)
        except BlockingIOError:
            return True
        got += piece
        if len(got) > self._output:
            self._full = True
            del got[self._output :]
        return bool(piece)

    def read(self, pipe: int) -> bytearray:
        """All that was written, up to the limit; nobody writes any more."""
        got, before = self._got[pipe], -1
        while not self._full and len(got) != before:
            before = len(got)
            self._fill(pipe)
        return got

    def judged(self, ending: Ending) -> Ending:
        """The ending, now that all is read."""
        return Ending.OUTPUT if ending is Ending.ITSELF and self._full else ending
