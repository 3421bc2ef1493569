"""What one run carries beside its plan: context, clock, limits, who watches, and the calls of its actions."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any

from lambdacat.bound import Left, Limits
from lambdacat.context import Context
from lambdacat.machine.meaning import TRIES, Sleep
from lambdacat.machine.trail import Trail, frames

if TYPE_CHECKING:
    from random import Random


class Environment:
    """One run, as everything that runs in it sees it."""

    __slots__ = (
        "_began", "_id", "_limiter", "at", "backend", "clock", "context", "eager", "epoch", "history",
        "home", "limits", "permits", "post", "recorder",
    )  # fmt: skip

    def __init__(self, context: Context, clock: Callable[[], float], limits: Limits, recorder: Any = None) -> None:
        self.context = context
        self.clock = clock
        self.limits = limits
        self.recorder = recorder
        self.backend: Any = None
        self.at: Any = None
        """The stack of the node that a watched run stands at."""
        self.permits: Any = None
        self.home = get_ident()
        """The thread of the run; what others have to say is posted there."""
        self.post: Callable[[Callable[[], object]], object] | None = None
        self.eager = 0
        """Branches that are being started on one Python stack."""
        self.history: Any = None
        """The journal of a durable run."""
        self.epoch = 0
        """Which ownership of a durable run this is."""
        self._limiter: Any = None
        self._id = ""
        self._began: tuple[float, float] | None = None

    def now(self) -> float:
        """The time of day: read once, then counted by the run's clock, so that a clock that is set harms no run."""
        if self._began is None:
            self._began = (self.context.wall(), self.clock())
        wall, clock = self._began
        return wall + self.clock() - clock

    def named(self, run: str, epoch: int) -> None:
        """The run has a name that outlives this process."""
        self._id, self.epoch = run, epoch

    @property
    def id(self) -> str:
        """What tells this run from every other."""
        if not self._id:
            from uuid import uuid4

            self._id = uuid4().hex
        return self._id

    def limiter(self) -> Any:
        """The places for worker threads. A run has its own, so that a run inside a run cannot wait for itself."""
        if self._limiter is None:
            from anyio import CapacityLimiter

            self._limiter = CapacityLimiter(self.limits.threads)
        return self._limiter

    def delay(self, request: Sleep, stack: Any) -> float:
        """Seconds until the next attempt, jittered from the run's seed, the place and the attempt alone."""
        found: float = request.node.bound.schedule.delay(request.attempt, _Source(self, stack, request.attempt))
        return max(0.0, found, _asked_for(request.fault))


def _asked_for(fault: Any) -> float:
    """How long whoever failed wants to be left alone, by the ``retry_after`` of its exception. Units: seconds."""
    found = getattr(getattr(fault, "error", None), "retry_after", None)
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not 0 <= found < inf:
        return 0.0
    return float(found)


class _Source:
    """A random source that costs nothing until a schedule asks it; the same for the same node in the same run."""

    __slots__ = ("_attempt", "_env", "_random", "_stack")

    def __init__(self, env: Environment, stack: Any, attempt: int) -> None:
        self._attempt = attempt
        self._env = env
        self._stack = stack
        self._random: Random | None = None

    def random(self) -> float:
        """The next number from 0 to 1."""
        if self._random is None:
            from random import Random

            trail = Trail(self._stack)
            # Seeded by text: hashes of tuples differ between processes.
            self._random = Random(f"{self._env.context.seed}|{trail.path()}|{trail.turns()}|{self._attempt}")
        return self._random.random()


class ActionCall:
    """One call of one action: what its context asks."""

    __slots__ = ("_claim", "_env", "_row", "_site", "_stack")

    def __init__(self, env: Environment, site: Trail, stack: Any, row: Any = None, claim: Any = None) -> None:
        self._claim = claim
        self._env = env
        self._site = site
        self._stack = stack
        self._row = row

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return attempt_of(self._stack)

    @property
    def key(self) -> tuple[str, str]:
        """The run, and which execution of which node, whatever the attempt."""
        key, history = self._site.key(attempts=False), self._env.history
        return self._env.id, key if history is None else history.key(key)

    @property
    def epoch(self) -> int:
        """Which ownership of the run it is in."""
        return self._env.epoch

    @property
    def step(self) -> str:
        """The name of the task."""
        return self._site.name

    @property
    def at(self) -> tuple[str | int, ...]:
        """Its path."""
        return self._site.path()

    def now(self) -> float:
        """The time of day in the run."""
        return self._env.now()

    def spend(self, tokens: int, money: float) -> None:
        """Enter what a call cost."""
        if self._row is not None:
            self._row.tokens += tokens
            self._row.money += money
        if self._claim is not None:
            self._claim.spend(_amounts(tokens, money))

    def reserve(self, tokens: int, money: float) -> None:
        """See to it that so much may be spent. Errors: ``OverBudget``."""
        if self._claim is not None:
            self._claim.ensure(_amounts(tokens, money))

    def left(self) -> Left:
        """What the budgets around it have left."""
        left: Left = Left() if self._claim is None else self._claim.left()
        return left

    def emit(self, chunk: object) -> None:
        """Pass a chunk of output to whoever watches."""
        env, row = self._env, self._row
        if env.recorder is None:
            return
        if env.post is None or get_ident() == env.home:
            env.recorder.emitted(row, chunk)
        else:
            # From a worker thread; the clock and the observers live where the run does.
            env.post(lambda: env.recorder.posted(row, chunk))


def _amounts(tokens: int, money: float) -> dict[str, float]:
    return {"tokens": float(tokens), "money": float(money)}


def attempt_of(stack: Any) -> int:
    """Which try of the nearest retry a stack is in."""
    for kind, _, data in frames(stack):
        if kind is TRIES:
            return int(data[0])
    return 1
