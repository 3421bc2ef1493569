"""Who owns a run: leases with epochs, as values; who is alive; and the thread that renews."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, final

from attrs import evolve, field, frozen

from lambdacat.interpreters.journal import JournalCorrupt, RunBusy, RunSetAside

MOST_CRASHES = 5
"""How often in a row a run may end its process without getting any further."""


def check_terms(run_id: object, durability: object, lease_seconds: object) -> None:
    """Refuse what a journal cannot be made with, in one line. Errors: ``ValueError``."""
    if not isinstance(run_id, str) or not run_id.strip() or "\0" in run_id or not _is_unicode(run_id):
        raise ValueError(f"run_id is the name of the run, a text without NUL that is not blank, and not {run_id!r}")
    if durability not in ("full", "normal"):
        raise ValueError(f"durability is 'full' or 'normal', not {durability!r}")
    if type(lease_seconds) not in (int, float) or not 0 < lease_seconds < inf:  # type: ignore[operator]
        raise ValueError(f"lease_seconds is a number of seconds above zero, not {lease_seconds!r}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@final
@frozen
class Owner:
    """A process, told apart from every other, also from a later one with its number."""

    boot: str
    """The machine since it was last started."""
    space: str
    """The space of process numbers on it: that of the machine, or of a container."""
    number: int
    began: str

    @classmethod
    def this(cls) -> Owner:
        """The process that asks."""
        number = os.getpid()
        return cls(*_machine(), number, _began(number))

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The owner that ``str`` wrote. Errors: ``ValueError``."""
        boot, space, number, began = text.split("|")
        if not 0 < int(number) < 2**31:
            raise ValueError(f"{number} is the number of no process")
        return cls(boot, space, int(number), began)

    def __str__(self) -> str:
        return f"{self.boot}|{self.space}|{self.number}|{self.began}"

    def alive(self, *, far: bool = False) -> bool | None:
        """Whether it still runs; None where that cannot be seen from here, as of a process in another container.

        ``far`` says that it may be on another machine. Where it cannot, another boot is an earlier one of this machine,
        which has none of its processes left.
        """
        boot, space = _machine()
        if self.boot != boot:
            return None if far else False
        if self.space != space:
            return None
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _began(self.number) == self.began

    @staticmethod
    def now() -> float:
        """The clock of leases, which nobody can set. Units: seconds since this machine was started."""
        return time.monotonic()


@cache
def _machine() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        from uuid import getnode

        return f"{getnode():x}", ""


def _began(number: int) -> str:
    """When a process began, as its system counts; empty where it does not say."""
    try:
        # The name in parentheses may hold anything, so what follows is counted from its end.
        return Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@final
@frozen
class Lease:
    """The state of a run's ownership, as its row says it."""

    epoch: int
    owner: str
    """Empty when the last owner has let go."""
    deadline: float
    """Until when an owner that says nothing is believed. Units: seconds on the clock of leases."""
    crashes: int
    """How many owners in a row have ended without letting go and without getting any further."""
    reached: int
    """Entries when the last owner began."""
    aside: str
    """Why the run was set aside."""
    here: int = field(kw_only=True)
    """Entries now."""
    refusal: Exception | None = field(default=None, kw_only=True)

    def row(self) -> tuple[Any, ...]:
        """The columns to write."""
        return self.epoch, self.owner, self.deadline, self.crashes, self.reached, self.aside

    def taken(
        self, run: str, by: Owner, seconds: float, *, again: bool, now: float | None = None, far: bool = False
    ) -> Lease:
        """The lease with a new owner, or with why there is none. Law: the epoch grows with each owner.

        ``now`` is on the clock of leases, by default that of this machine; ``far`` says that there may be owners on
        others. Errors: ``JournalCorrupt`` for a row that nobody ever wrote.
        """
        self._check(run)
        now = Owner.now() if now is None else now
        crashes = self.crashes
        if self.owner:
            owner = Owner.parse(self.owner)
            alive = owner.alive(far=far)
            if alive is not False and now < self.deadline:
                return evolve(self, refusal=RunBusy(_busy(run, owner, by, self.deadline - now)))
            if not alive:
                # One that cannot be seen and has said nothing for so long is taken to have ended.
                crashes = 1 if self.here > self.reached else crashes + 1
        aside = self.aside
        if not aside and crashes >= MOST_CRASHES:
            aside = f"its process ended {crashes} times in a row without getting past entry {self.here}"
        if aside and not again:
            refusal = RunSetAside(
                f"run {run!r} is set aside: {aside}; see its last step with lambdacat runs show, and resume it with"
                " again=True"
            )
            return evolve(self, owner="", crashes=crashes, aside=aside, reached=self.here, refusal=refusal)
        return evolve(
            self, epoch=self.epoch + 1, owner=str(by), deadline=now + seconds,
            crashes=0 if again else crashes, reached=self.here, aside="",
        )  # fmt: skip

    def _check(self, run: str) -> None:
        wrong = [
            *(n for n in ("epoch", "crashes", "reached") if type(getattr(self, n)) is not int or getattr(self, n) < 0),
            *(n for n in ("owner", "aside") if type(getattr(self, n)) is not str),
            *(["deadline"] if type(self.deadline) not in (int, float) else []),
        ]
        if not wrong and self.owner:
            try:
                Owner.parse(self.owner)
            except ValueError:
                wrong.append("owner")
        if wrong:
            raise JournalCorrupt(
                f"who owns run {run!r} is not what was written ({wrong[0]} is {getattr(self, wrong[0])!r}); restore the"
                " journal from a copy"
            )


def _busy(run: str, owner: Owner, by: Owner, left: float) -> str:
    if owner == by:
        who = "this process"
    else:
        away = "" if (owner.boot, owner.space) == (by.boot, by.space) else " elsewhere"
        who = f"process {owner.number}{away}"
    return f"run {run!r} is going on in {who}; if that says nothing more, it can be taken over in {left:.0f} s"


@final
class Heartbeat:
    """A thread that renews a lease until it is stopped; it ends with its process, stopped or killed."""

    def __init__(self, renew: Callable[[], object], seconds: float) -> None:
        self._over = threading.Event()
        self._renew = renew
        self._seconds = seconds
        self._thread = threading.Thread(target=self._beat, name="lambdacat lease", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(self._seconds):
            # A lease that cannot be renewed now is tried again, or runs out.
            with suppress(Exception):
                self._renew()

    def stop(self) -> None:
        """Renew no more."""
        self._over.set()
        self._thread.join()
