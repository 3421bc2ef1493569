"""What a person at a terminal sees: text that the terminal does not obey, and which steps of a plan are running."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any, TextIO

from lambdacat.event import Event, Finished, Started

Observer = Callable[[Event[Any]], object]

_UNSAFE = re.compile(
    r"""
    \x1b\[ [0-?]* [ -/]* [@-~]?                     # colours, cursor moves
    | \x1b[\]PX^_] .*? (?: \x07 | \x1b\\ | $ )      # titles, links and other strings
    | \x1b [ -/]* [0-~]?
    | [\x00-\x08\x0b-\x1f\x7f-\x9f]
    | [\u202a-\u202e\u2066-\u2069]                  # text that is shown backwards
    """,
    re.VERBOSE,
)


def plain(text: str) -> str:
    """The text without anything that a terminal would obey.

    >>> plain("\\x1b[31mred\\x1b[0m and \\x1b]0;title\\x07plain")
    'red and plain'
    """
    return _UNSAFE.sub("", text)


@contextmanager
def progress(to: TextIO, steps: Collection[str]) -> Iterator[Observer]:
    """An observer that shows which of these steps are running, in lines that clear themselves.

    Without rich it is one line.
    """
    running = Running(steps)
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text
    except ImportError:
        with _one_line(to, running):
            yield running
        return
    with Live(
        get_renderable=lambda: Text("\n".join(running.lines(time.monotonic()))),
        console=Console(file=to),
        refresh_per_second=_FRAMES,
        transient=True,
    ):
        yield running


class Running:
    """Which steps are running, since when, and how many have ended. Looked at now and then: events are many."""

    def __init__(self, steps: Collection[str]) -> None:
        self.steps = steps
        self.ended = 0
        self.begun: dict[int, tuple[str, float]] = {}
        """By execution: the step, and when it began on the clock of ``time.monotonic``."""

    def __call__(self, event: Event[Any]) -> None:
        match event:
            case Started(id=number, name=name) if name in self.steps:
                self.begun[number] = name, time.monotonic()
            case Finished(id=number) if number in self.begun:
                del self.begun[number]
                self.ended += 1
            case _:
                pass

    def lines(self, now: float) -> list[str]:
        """What to show, a line for each step that is running."""
        begun = list(self.begun.values())
        first = dict(reversed(begun))
        count = Counter(name for name, _ in begun)
        said = [
            f"{name}{f' ({count[name]} at once)' if count[name] > 1 else ''}, {now - since:.0f} s"
            for name, since in sorted(first.items(), key=lambda row: row[1])
        ]
        rest = [f"and {len(said) - _MOST} more"] if len(said) > _MOST else []
        return [
            plain(line) for line in (f"{self.ended} step{'' if self.ended == 1 else 's'} done", *said[:_MOST], *rest)
        ]


@contextmanager
def one_line(to: TextIO | None) -> Iterator[Callable[[str], object]]:
    """What shows a line until the next one comes, and clears it at the end; nothing without a terminal."""
    if to is None:
        yield lambda line: None
        return

    def show(line: str) -> None:
        to.write(f"\r\x1b[K{plain(line)[: get_terminal_size().columns - 1]}")
        to.flush()

    try:
        yield show
    finally:
        show("")


@contextmanager
def _one_line(to: TextIO, running: Running) -> Iterator[None]:
    """The same on one line of any terminal."""
    over = threading.Event()

    def write(text: str) -> None:
        to.write(f"\r\x1b[K{text}")
        to.flush()

    def paint() -> None:
        while not over.wait(1 / _FRAMES):
            write("; ".join(running.lines(time.monotonic()))[: get_terminal_size().columns - 1])

    painter = threading.Thread(target=paint, name="lambdacat progress", daemon=True)
    painter.start()
    try:
        yield
    finally:
        over.set()
        painter.join()
        write("")


_FRAMES = 10
"""How often what is shown changes. Units: times a second."""
_MOST = 10
"""How many steps are shown at once."""
