"""SIGTERM while durable runs go on: they clean up and give their runs back, and then the program ends by the signal.

Python makes an exception of Ctrl-C and nothing of SIGTERM, with which services are stopped: the process ends where it
stands, and a journal takes that for a crash.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import current_thread, main_thread
from types import FrameType

_runs: list[Callable[[], object]] = []
"""What cancels each of the runs that go on, outermost first."""
_told = False


def _tell(_number: int, _frame: FrameType | None) -> None:
    global _told
    _told = True
    for cancel in tuple(_runs):
        cancel()


@contextmanager
def until_sigterm(cancellable: Callable[[], AbstractContextManager[Callable[[], object]]]) -> Iterator[None]:
    """A block that SIGTERM cancels, where the program does not mind that signal itself.

    The last block that is left ends the program, as the signal would have. ``cancellable`` gives what cancels a block.
    Only the main thread is told of signals.
    """
    free = bool(_runs) or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if current_thread() is not main_thread() or not free:
        yield
        return
    with cancellable() as cancel:
        _runs.append(cancel)
        if len(_runs) == 1:
            signal.signal(signal.SIGTERM, _tell)
        try:
            yield
        finally:
            _runs.remove(cancel)
            if not _runs and signal.getsignal(signal.SIGTERM) is _tell:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                if _told:
                    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def here() -> Iterator[Callable[[], object]]:
    """What ends a block of this thread: an exception where it stands."""

    def end() -> None:
        raise SystemExit(128 + signal.SIGTERM)

    yield end
