"""Sweeps of laws: a stated time for a whole suite, shared evenly, from a seed that differs each time and is printed."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambdacat.testing.proving import rotating_seed

SECONDS = float(os.environ.get("LAMBDACAT_SUITE_SECONDS", "60"))
"""For each suite, however many cases it has."""
PLAIN = 8
"""Examples of a law in the plain count. The first is nearly always the simplest plan there is, which tells little."""
MOST = 10_000
"""Examples after which a case has had enough."""
BATCH = 100
"""Examples between two looks at the clock, at most: a failure is drawn again from one batch."""

Attempt = Callable[[int, int], int]
"""Tries so many examples from a seed on; how many there were. Errors: what the case raises when it fails."""


class Sweep:
    """The time of one suite, and what was tried in it.

    Law: a case has an even share of what is left, so that one which took longer takes it from all that come after.
    """

    def __init__(
        self, name: str, cases: int, seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.name = name
        self.left = cases
        self.cases = 0
        self.examples = 0
        self.start = rotating_seed()
        self.clock = clock
        self.seconds = seconds
        self.began = clock()

    def spend(self, attempt: Attempt) -> None:
        """Try one case for its share of the time: at least once, and to no more than ``MOST`` examples."""
        begin = self.clock()
        end = begin + max(0.0, self.began + self.seconds - begin) / max(1, self.left)
        tried, batch = 0, 1
        self.left -= 1
        self.cases += 1
        while batch:
            tried += self._batch(attempt, batch, self.start + tried)
            now = self.clock()
            # As many as fit in what is left of the share, by the time that the others took.
            fit = max(1, int((end - now) * tried / max(now - begin, 1e-9)))
            batch = min(BATCH, MOST - tried, fit) if now < end else 0
        self.examples += tried

    def _batch(self, attempt: Attempt, count: int, start: int) -> int:
        try:
            return attempt(count, start)
        except AssertionError as failed:
            failed.add_note(f"drawn by max_examples={count}, start={start}")
            raise

    def __str__(self) -> str:
        spent = self.clock() - self.began
        return f"{self.name}: {self.examples} examples of {self.cases} cases in {spent:.1f} s, seed {self.start}"


def swept(name: str, request: pytest.FixtureRequest) -> Iterator[Sweep]:
    """The sweep of a module's tests that ask for the fixture; at its end one line says what it came to."""
    chosen = [item for item in request.session.items if request.fixturename in getattr(item, "fixturenames", ())]
    sweep = Sweep(name, sum(item.path == request.path for item in chosen))
    yield sweep
    plugins = request.config.pluginmanager
    reporter: Any = plugins.get_plugin("terminalreporter")
    capture: Any = plugins.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(str(sweep))
