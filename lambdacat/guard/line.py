"""Who waits for a place: first come, first served, in any thread and on any event loop of the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event, Lock
from typing import Any, Final, final

FOREVER: Final = float("inf")
_LONGEST: Final = 1e6
"""Units: seconds. Threads cannot be told to wait for ever with a number."""


class Waiter:
    """One who stands in a line; ``wake`` may be called from any thread."""

    __slots__ = ("granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False


@final
class Line:
    """So many places, and those who wait for one.

    Law: places are given in the order in which they were asked for; one that is given back, or that was given to a
    waiter who has gone, goes to the next; never more are taken than there are, unless some were taken away.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiters: deque[Waiter] = deque()
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return len(self._waiters)

    @property
    def free(self) -> int:
        """How many places nobody has."""
        return max(0, self._free)

    def widen(self, places: int) -> None:
        """So many places more, or fewer; those that are taken stay taken until they are given back."""
        if places < 0:
            with self._lock:
                self._free += places
        for _ in range(places):
            self.leave()

    def take(self) -> bool:
        """A place without waiting, if there is one."""
        with self._lock:
            if self._free <= 0:
                return False
            self._free -= 1
            return True

    def stand(self, waiter: Waiter) -> bool:
        """Take a place, or stand at the end of the line; whether there was a place."""
        with self._lock:
            # Where one is free nobody waits: what is given back goes to the first in the line.
            if self._free > 0:
                self._free -= 1
                waiter.granted = True
            else:
                self._waiters.append(waiter)
            return waiter.granted

    def leave(self) -> None:
        """Give a place back: the first in the line has it now."""
        with self._lock:
            self._free += 1
            if self._free <= 0 or not self._waiters:
                return
            self._free -= 1
            waiter = self._waiters.popleft()
            waiter.granted = True
        waiter.wake()

    def give_up(self, waiter: Waiter) -> None:
        """Leave the line; a place that was given meanwhile goes on to the next."""
        with self._lock:
            if not waiter.granted:
                self._waiters.remove(waiter)
                return
        self.leave()

    async def wait(self) -> None:
        """A place, waited for on the event loop that is running. Cancelled, it leaves the line as it was."""
        if self.take():
            return
        from lambdacat.interpreters.arun import backend

        event: Any = backend().event()
        waiter = Waiter(event.set)
        if self.stand(waiter):
            return
        try:
            await event.wait()
        except BaseException:
            self.give_up(waiter)
            raise

    def wait_here(self, seconds: float) -> bool:
        """A place, waited for in this thread and no longer than ``seconds``; whether there was one."""
        if self.take():
            return True
        event = Event()
        waiter = Waiter(event.set)
        if self.stand(waiter):
            return True
        try:
            if event.wait(min(seconds, _LONGEST)):
                return True
        except BaseException:
            self.give_up(waiter)
            raise
        self.give_up(waiter)
        return False
