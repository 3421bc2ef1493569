"""One stay in a worker thread: blocking calls in a row, up to the first that gives something to await."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from lambdacat.wiring import AWAITABLE


class Hop:
    """Blocking calls that share a thread, stopped between two of them when whoever waits for them has left."""

    __slots__ = ("_done", "_left", "_made", "begun", "defect", "error", "given", "over", "value", "work")

    def __init__(self, fns: tuple[Callable[[Any], Any], ...], value: Any, over: Any) -> None:
        self.work = deque(fns)
        """The calls that are still to be made."""
        self.value = self.given = value
        """What they have come to, and what the latest of them was given."""
        self.over = over
        self.begun = False
        self.error: Exception | None = None
        self.defect: BaseException | None = None
        """What ended the calls and is no fault: the end of the program, or a cancellation."""
        self._made: Any = None
        self._left = self._done = False

    def run(self) -> None:
        """The calls, in the thread."""
        self.begun = True
        try:
            while self.work:
                self.given = self.value
                self._made = self.work[0](self.value)
                if not self._goes_on():
                    break
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            self.error = error
        except BaseException as error:
            self.defect = error
            raise
        finally:
            # In this order, and the other way round in ``leave``: one of the two sees what is to be dropped.
            self._done = True
            if self._left:
                self._drop()
            self.over.set()

    def _goes_on(self) -> bool:
        """Take over what a call gave. Whether another may follow in this thread."""
        try:
            self.work.popleft()
        except IndexError:
            return False  # nobody waits any more
        self.value = self._made
        return not AWAITABLE[type(self.value)]

    def leave(self) -> None:
        """Nobody waits any more: no further call begins, and a coroutine that one gives is closed."""
        self._left = True
        self.work.clear()
        if self._done:
            self._drop()

    def _drop(self) -> None:
        if isinstance(self._made, Coroutine):
            self._made.close()
