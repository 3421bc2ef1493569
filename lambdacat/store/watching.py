"""How stores are watched: something says that it is worth a look, and the look finds what has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, final

from lambdacat.store.store import Change

LOOK_SECONDS = 0.02
"""How often a store that cannot call is asked whether it changed."""


class Signal(Protocol):
    """Says when to look. It may be wrong: a look too many costs time, and one is taken before giving up anyway."""

    def wait(self, seconds: float) -> None:
        """Return when something may have changed since the last return, or since the beginning, or after so long."""

    def close(self) -> None:
        """Say no more."""


@final
class Polled:
    """The signal of a store that cannot call: it asks for a value that is another after every change."""

    def __init__(self, value: Callable[[], Any], close: Callable[[], None] = lambda: None) -> None:
        self._value = value
        self._last = value()
        self._close = close

    def wait(self, seconds: float) -> None:
        """Ask until the value is another."""
        end = time.monotonic() + seconds
        while (now := self._value()) == self._last and (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK_SECONDS, left))
        self._last = now

    def close(self) -> None:
        """Let go of what is asked."""
        self._close()


@final
class Watching:
    """A watch that compares versions whenever its signal says so."""

    def __init__(self, versions: Callable[[], Mapping[str, int]], signal: Signal) -> None:
        self._versions = versions
        self._signal = signal
        # The signal is there first, so that no change falls between the two.
        self._known = versions()

    def changes(self, seconds: float) -> tuple[Change, ...]:
        """What has changed since the last call; waits for something up to ``seconds``."""
        if not seconds >= 0:
            raise ValueError(f"a watch waits for a number of seconds, 0 or more, not {seconds!r}")
        end = time.monotonic() + seconds
        while True:
            found = self._looked()
            left = end - time.monotonic()
            if found or left <= 0:
                return found
            self._signal.wait(left)

    def _looked(self) -> tuple[Change, ...]:
        before, now = self._known, self._versions()
        self._known = now
        gone = [Change(key, 0) for key in before.keys() - now.keys()]
        written = [Change(key, version) for key, version in now.items() if before.get(key) != version]
        return tuple(sorted(gone + written, key=lambda change: change.key))

    def close(self) -> None:
        """See no more."""
        self._signal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
