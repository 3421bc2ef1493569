"""Equal calls at the same time become one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, final

from lambdacat.fault import SameFault, settled
from lambdacat.guard.line import Line

if TYPE_CHECKING:
    from lambdacat.fault import Fault


@final
class Flight:
    """Lets one call through at a time. Law: whoever came while a call ran that faulted has the fault of that call.

    A call that is cut off leaves its place to the next.
    """

    __slots__ = ("__weakref__", "_failed", "_line", "_round")
    exclusive: ClassVar[bool] = True
    name: ClassVar[str] = "an equal call"

    def __init__(self) -> None:
        self._line = Line(1)
        self._round = 0
        self._failed: tuple[int, Fault] | None = None
        """The last round that faulted, and how."""

    @property
    def idle(self) -> bool:
        """Whether nobody is in it or waits for it."""
        return self._line.free == 1

    def turn(self) -> Turn:
        """One call."""
        return Turn(self)


@final
class Turn:
    """One call of several that are equal, for ``async with`` or for a thread."""

    __slots__ = ("_came", "_of")

    def __init__(self, of: Flight) -> None:
        self._of = of
        self._came = of._round

    def told(self, fault: Fault | None) -> None:
        """How the call ended; untold, it was cancelled."""
        if fault is not None:
            self._of._failed = (self._of._round, settled(fault))

    async def __aenter__(self) -> None:
        await self._of._line.wait()
        self._shared()

    async def __aexit__(self, *_: object) -> None:
        self.leave_here()

    def enter_here(self, clock: Callable[[], float], wait: Callable[[float], None], seconds: float) -> bool:
        """Wait in this thread, no longer than ``seconds``; whether it is our turn. Errors: ``SameFault``."""
        if not self._of._line.wait_here(seconds):
            return False
        self._shared()
        return True

    def leave_here(self) -> None:
        """Let the next one through."""
        self._of._round += 1
        self._of._line.leave()

    def _shared(self) -> None:
        failed = self._of._failed
        if failed is not None and failed[0] >= self._came:
            self._of._line.leave()
            raise SameFault(failed[1])
