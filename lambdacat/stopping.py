"""Ending a command by a signal: what runs is cancelled and cleans up; what does not end in time is left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from lambdacat.shown import Interrupted

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

PATIENCE = 0.75
"""Longer than the grace of a run, at the end of which the run itself ends its cleanup. Units: seconds."""


def until_stopped(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    seconds: float = PATIENCE,
    leave: Callable[[], object] = lambda: None,
    hint: str = "",
) -> T:
    """The result of ``main`` on an event loop of its own. SIGINT and SIGTERM cancel it. Errors: ``Interrupted``.

    Python waits for a thread before it exits, and a thread cannot be stopped. So what still runs ``seconds`` after the
    signal, or at a second one, is left behind: ``leave`` is called, and the process ends. ``hint`` is what a person is
    told besides.
    """
    import asyncio

    stop = _Stop(seconds, leave, hint)

    async def listening() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        if stop.number is not None:
            raise asyncio.CancelledError
        with _handled_by(lambda number, _: stop(number, task.cancel), loop):
            return await main()

    try:
        # Raised while the loop is made or closed, an exception would leave its pieces behind.
        with _handled_by(lambda number, _: stop(number, lambda: None)):
            return asyncio.run(listening())
    except asyncio.CancelledError:
        if stop.number is None:
            raise
        raise _interrupted(stop.number, hint) from None
    finally:
        stop.over()


@contextmanager
def stopped_here(hint: str = "") -> Iterator[None]:
    """A block of this thread that SIGTERM ends as Ctrl-C does. Errors: ``Interrupted``."""

    def stop(number: int, _: FrameType | None) -> None:
        raise _interrupted(number, hint)

    with _handled_by(stop):
        yield


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], object], loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread alone
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if loop is not None:
            # A loop that sleeps must wake, because handlers run between two instructions of Python; its own handlers
            # would not do, because they wait for a step that never gives way.
            loop.add_signal_handler(number, lambda: None)
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            if loop is not None:
                loop.remove_signal_handler(number)
            signal.signal(number, old)


def _interrupted(number: int, hint: str) -> Interrupted:
    error = Interrupted(number)
    if hint:
        error.add_note(hint)
    return error


class _Stop:
    """What becomes of a signal: the first cancels, the second or too long a wait ends the process."""

    def __init__(self, seconds: float, leave: Callable[[], object], hint: str) -> None:
        self.number: int | None = None
        """The first signal that came."""
        self._leave = leave
        self._said = "; ".join(filter(None, ("interrupted", "what did not stop in time was left behind", hint)))
        self._timer = threading.Timer(seconds, self._end)
        self._notice = threading.Timer(_SOON, self._tell)
        self._timer.daemon = self._notice.daemon = True

    def __call__(self, number: int, cancel: Callable[[], object]) -> None:
        if self.number is not None:
            self._end()
        self.number = number
        self._timer.start()
        if number == signal.SIGINT:
            self._notice.start()
        cancel()

    def _tell(self) -> None:
        # Past every buffer: whoever is interrupted may hold its lock.
        text = f"lambdacat: waiting for {_running() or 'the clean-up'} to end; press Ctrl-C again to leave it\n"
        with suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))

    def over(self) -> None:
        """The work has ended, and with it the wait, unless Python would go on waiting for a thread."""
        self._said = ""
        self._notice.cancel()
        others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
        if all(thread.daemon for thread in others):
            self._timer.cancel()

    def _end(self) -> None:
        # In a thread and for a while: a signal may have come while this one held what ``leave`` needs.
        leaving = threading.Thread(target=self._leave, daemon=True)
        leaving.start()
        leaving.join(_LEAVING)
        with suppress(OSError, ValueError):
            if self._said:
                sys.stderr.write(f"lambdacat: {self._said}\n")
            sys.stdout.flush()
            sys.stderr.flush()
        assert self.number is not None
        os._exit(Interrupted(self.number).code)


def _running() -> str:
    """The functions of a plan that threads are in, by name: those that the kernel has called."""
    found: list[str] = []
    for frame in sys._current_frames().values():
        row = []
        while frame is not None:
            row.append(frame)
            frame = frame.f_back  # type: ignore[assignment]
        modules = [str(one.f_globals.get("__name__", "")) for one in row]
        called = (
            one.f_code.co_name
            for one, module, caller in zip(reversed(row[:-1]), reversed(modules[:-1]), reversed(modules), strict=False)
            if caller.startswith(_KERNEL) and not module.startswith(("lambdacat.", "anyio.", "asyncio."))
        )
        found.extend(islice(called, 1))
    return ", ".join(dict.fromkeys(found))


_KERNEL = ("lambdacat.effects.", "lambdacat.machine.", "lambdacat.wiring")
"""Whoever calls a user's function during a run."""

_SOON = 0.15
"""How long a clean-up may take before it is worth a word. Units: seconds."""

_LEAVING = 0.2
"""Units: seconds."""
