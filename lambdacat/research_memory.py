"""What the research command remembers from call to call: when a question was asked, and which sources were of use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar, final

from attrs import evolve, field, frozen
from returns.result import Failure, Success

from lambdacat.codec import StateCorrupt
from lambdacat.fault import ActionFailed, Fault, Unanswered, headline
from lambdacat.interpreters.run import run
from lambdacat.leaf import task
from lambdacat.schedule import Fixed
from lambdacat.state import (
    STATE_CODECS,
    AgentState,
    Beliefs,
    Capacity,
    Memory,
    Origin,
    observed,
    recalled,
    remembered,
    strongest,
)
from lambdacat.store import SqliteStore, VersionConflict, persisted

T = TypeVar("T")

FILE: Final = "memory.sqlite"
"""In the cache folder."""
QUESTIONS: Final = 500
"""How many questions are remembered; the oldest ones go."""
SOURCES: Final = 300
"""Of how many sources something is believed."""
WAIT = 2.0
"""How long another process is waited for. Units: seconds."""
FADING: Final = 90 * 86400.0
"""The half-life of the evidence that a source was of use. Units: seconds."""
OF_USE: Final = 0.5
"""The evidence in one answer that has a source. Units: log-odds."""

_KEY: Final = "research"
_NEW: Final = AgentState(
    memory=Memory(capacity=Capacity(entries=QUESTIONS)), beliefs=Beliefs(half_life=FADING, at_most=SOURCES)
)


@final
@frozen
class Recollection:
    """What was known when a question was asked."""

    before: float | None = None
    """When it was asked the last time. Units: seconds since 1970."""
    trust: tuple[tuple[str, float], ...] = ()
    """Sources that were of use, by locator, in log-odds."""

    @property
    def day(self) -> str:
        """The day of ``before`` here; empty without one."""
        return "" if self.before is None else time.strftime("%Y-%m-%d", time.localtime(self.before))


@final
@frozen
class Remembering:
    """The memory in a cache folder. Nothing of it ever stops an answer: what goes wrong is a line in ``said``.

    Any number of processes may use one: no update is lost. A file that cannot be read is set aside, under a name
    beside it.
    """

    folder: Path
    said: list[str] = field(factory=list, init=False, eq=False)
    """What went wrong, a line each."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    @property
    def _writable(self) -> bool:
        # An index needs no more than to be read: where nothing may be written, nothing is remembered, and that is all.
        return os.access(self.folder, os.W_OK)

    def recalled(self, question: str, about: str, now: float) -> Recollection:
        """What is known that concerns a question about a corpus; nothing makes a file."""
        if not self.path.exists() or not self._writable:
            return Recollection()
        state = self._kept(lambda store: store.get(_KEY), None)
        if not isinstance(state, AgentState):
            return Recollection()
        before = recalled(state.memory, _name(question, about), None)
        held = strongest(state.beliefs, SOURCES, now=now)
        return Recollection(before, tuple((each.claim, each.log_odds) for each in held))

    def learn(self, question: str, about: str, useful: Iterable[str], now: float) -> None:
        """Remember that a question was asked, and which sources its answer named."""
        if not self._writable:
            return
        origin, locators = Origin(when=now), tuple(dict.fromkeys(useful))

        def learnt(state: AgentState) -> AgentState:
            beliefs = state.beliefs
            for locator in locators:
                beliefs = observed(beliefs, locator, OF_USE, origin=origin)
            memory = remembered(state.memory, _name(question, about), now, origin=origin)
            return evolve(state, memory=memory, beliefs=beliefs)

        def saved(store: SqliteStore) -> None:
            plan = persisted(task(name="learn")(learnt), store, _KEY).retry(Fixed(0.02).times(50), on=VersionConflict)
            match run(plan, _NEW):
                case Failure(fault):
                    raise _error(fault)
                case Success():
                    pass

        self._kept(saved, None)

    def forget(self) -> bool:
        """Remove all of it; whether there was any. Errors: ``OSError``."""
        found = [self.path.with_name(FILE + end) for end in ("", "-wal", "-shm", "-journal", ASIDE)]
        there = [path for path in found if path.exists()]
        for path in there:
            path.unlink(missing_ok=True)
        return bool(there)

    def _kept(self, work: Callable[[SqliteStore], T], otherwise: T) -> T:
        """What the work gives, or ``otherwise`` and a line that says what was wrong."""
        try:
            with closing(SqliteStore(self.path, codecs=STATE_CODECS, seconds=WAIT)) as store:
                return work(store)
        except StateCorrupt as error:
            self.said.append(f"the memory of earlier questions could not be read, and was set aside: {_line(error)}")
            self._set_aside()
        except (Unanswered, OSError) as error:
            self.said.append(f"the memory of earlier questions was left out: {_line(error)}")
        return otherwise

    def _set_aside(self) -> None:
        try:
            self.path.replace(self.path.with_name(FILE + ASIDE))
        except OSError as error:
            self.said.append(f"it is still there: {_line(error)}")


ASIDE: Final = ".unreadable"
"""What is added to the name of a file that is set aside."""


def _error(fault: Fault) -> Exception:
    match fault:
        case ActionFailed(error=StateCorrupt() | OSError() as error):
            return error
        case _:
            return Unanswered(FILE, " ".join(headline(fault).split()))


def _name(question: str, about: str) -> str:
    """The key of a question: the same for other spaces and capitals, and nobody reads the question from it."""
    text = f"{about}\n{' '.join(question.lower().split())}"
    return blake2b(text.encode(errors="backslashreplace"), digest_size=16).hexdigest()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
