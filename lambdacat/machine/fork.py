"""Forks: branches, their race and the join of what they gave."""

from __future__ import annotations

from typing import Any, NamedTuple

from attrs import evolve
from returns.result import Failure, Success

from lambdacat.fault import AllFailed, Fault, PlanChanged, TimedOut, TooFew, Waiting, settled
from lambdacat.machine.ops import FAIL, LEAVE, LOST, WON, Halt, State, fault_of
from lambdacat.machine.pausing import suspended
from lambdacat.machine.segment import Request
from lambdacat.machine.trail import Kind, Trail
from lambdacat.merging import Conflict, merge, mutable_parts, own_copy
from lambdacat.optics import Traversal
from lambdacat.plan import Parallel
from lambdacat.policy import ALL, Entry, NBest, Race, Verdict

Held = tuple[tuple[int, Waiting], ...]
Told = tuple[int, bool]
Broken = tuple[tuple[int, Fault], ...]
"""Faults of branches, in written order."""


class Overtime(NamedTuple):
    """What a timeout came to besides cutting off."""

    late: float = 0.0
    """Units: seconds past the timeout at which what it cut off had ended."""
    abandoned: int = 0
    """Threads that were left behind."""
    unbegun: int = 0
    """Blocking steps that never got a thread."""


PROMPT = Overtime()
"""Nothing besides."""


class Fork(Request):
    """Several plans, or one plan on several parts, whose results a policy judges."""

    __slots__ = ("limit", "node", "plans", "policy", "seconds", "shared", "total", "value", "values")

    def __init__(self, node: Any, value: Any, plans: Any, values: Any, total: int) -> None:
        self.node = node
        self.value = value
        self.plans = plans
        """The branches, or None for the plan of a focus on each of ``values``."""
        self.values = values
        self.total = total
        self.limit: int | None = node.limit
        self.policy = node.policy if plans is not None else ALL
        self.seconds: float | None = node.seconds if plans is not None else None
        self.shared = plans is not None and not mutable_parts(value)

    def plan(self, index: int) -> Any:
        """The plan of one branch."""
        return self.node.plan if self.plans is None else self.plans[index]

    def input(self, index: int) -> Any:
        """What one branch is given: nothing that it could change under another."""
        if self.shared:
            return self.value
        return own_copy(self.value if self.values is None else self.values[index])

    def race(self) -> Race:
        """Its race before any branch ended."""
        return Race(self.policy, self.total)

    def inside(self, value: Any, stack: Any) -> State:
        return Turn(self, self.race(), 0), value, stack


class Turn(Request):
    """The next branch of a fork that runs one after the other, or its verdict."""

    __slots__ = ("fork", "held", "index", "over_by", "race")

    def __init__(self, fork: Fork, race: Race, index: int, held: Held = (), over_by: Overtime = PROMPT) -> None:
        self.fork = fork
        self.race = race
        self.index = index
        self.held = held
        """The branches that wait for an answer; they are offered to no race."""
        self.over_by = over_by

    @property
    def over(self) -> bool:
        """Whether no branch is left to run."""
        return self.race.verdict is not None or self.index == self.fork.total

    def ended(self, won: bool, value: Any, below: Any) -> Any:
        """The turn after this one's branch."""
        if not won and isinstance(value, Waiting):
            return Turn(self.fork, self.race, self.index + 1, (*self.held, (self.index, value)))
        return Turn(self.fork, self.race.offer([(self.index, won, value)]), self.index + 1, self.held)

    def inside(self, value: Any, stack: Any) -> State:
        if self.race.verdict is not None:
            return Join(self.fork, self.race.verdict, self.over_by), None, stack
        fork, index = self.fork, self.index
        if index == fork.total:
            return FAIL, suspended(self.held), stack
        try:
            given = fork.input(index)
        except Exception as error:  # noqa: BLE001  a copy of the input raised; the join raises it at its node
            return Turn(fork, self.race.broken(error), index, self.held), None, stack
        return fork.plan(index), given, (BRANCH, fork.node, self, stack)


class Retold(Request):
    """The next of the branches that once decided a fork, or the verdict that they came to."""

    __slots__ = ("entries", "fork", "index", "kind", "rest", "split")

    def __init__(self, fork: Fork, kind: Any, rest: tuple[Told, ...], split: int, entries: tuple[Entry, ...]) -> None:
        self.fork = fork
        self.kind = kind
        self.rest = rest
        """Branches still to be retold, with whether each had won."""
        self.split = split
        """How many of them decided the race; the others are faults beside its results."""
        self.entries = entries
        self.index = rest[0][0] if rest else -1

    def ended(self, won: bool, value: Any, below: Any) -> Any:
        """What comes after this branch. Errors: ``Halt`` when it ended otherwise than it once did."""
        (index, once), *rest = self.rest
        if won is not once:
            site, name = Trail(below, (), self.fork.value, self.fork.node), self.fork.node.name
            recorded, found = (f"branch {index} of {name} that {'won' if how else 'failed'}" for how in (once, won))
            raise Halt(PlanChanged(recorded=recorded, found=found, at=site, name=name))
        return Retold(self.fork, self.kind, tuple(rest), self.split, (*self.entries, (index, won, value)))

    def inside(self, value: Any, stack: Any) -> State:
        fork = self.fork
        if self.rest:
            return fork.plan(self.index), fork.input(self.index), (BRANCH, fork.node, self, stack)
        entries, missing = self.entries[: self.split], self.entries[self.split :]
        return Join(fork, Verdict(self.kind, entries, missing)), None, stack


class Join:
    """The op of a fork that has its verdict."""

    __slots__ = ("broken", "fork", "over_by", "verdict")

    def __init__(self, fork: Fork, verdict: Verdict, over_by: Overtime = PROMPT, broken: Broken = ()) -> None:
        self.fork = fork
        self.verdict = verdict
        self.over_by = over_by
        self.broken = broken
        """What the clean-up of cancelled branches raised."""


# --- leaving branches ------------------------------------------------------------------------------------------------


def _leave_branch(value: Any, node: Any, turn: Any, below: Any) -> State:
    return turn.ended(True, value, below), None, below


def _failed_branch(fault: Fault, node: Any, turn: Any, below: Any) -> State:
    return turn.ended(False, fault, below), None, below


def enter_join(op: Join, _: Any, stack: Any) -> State:
    """The fork's value or fault, from its verdict."""
    fork, verdict = op.fork, op.verdict
    node, entries = fork.node, verdict.entries
    site = Trail(stack, (), fork.value, node)
    seconds = fork.seconds or 0.0
    late = TimedOut(seconds=seconds, at=site, name=node.name, input=fork.value, **op.over_by._asdict())
    if verdict.kind == "broken":
        raise entries[0][2]
    if verdict.kind == "won":
        try:
            return LEAVE, _joined(fork, tuple(entry[2] for entry in entries)), stack
        except Conflict as conflict:
            return FAIL, fault_of(conflict, site, node.name, fork.value, fork.plans), stack
    if verdict.kind == "settled":
        outcomes = {i: Success(v) if won else Failure(settled(v)) for i, won, v in entries}
        row = tuple(outcomes.get(i) or Failure(_late_of(i, late, op.broken)) for i in range(fork.total))
        return LEAVE, node.join(fork.value, row), stack
    if verdict.kind == "lost":
        first, *others = (entry[2] for entry in entries)
        return FAIL, _beside(first, (*map(settled, others), *(fault for _, fault in op.broken))), stack
    if verdict.kind == "timed out":
        return FAIL, _beside(late, tuple(fault for _, fault in op.broken)), stack
    return FAIL, _short(op, late, site), stack


def _late_of(index: int, late: Fault, broken: Broken) -> Fault:
    """The fault of a branch that a timeout cut off, with what its clean-up raised."""
    return _beside(late, tuple(fault for place, fault in broken if place == index))


def _short(op: Join, late: Fault, site: Trail) -> Fault:
    """The fault of a race that has too few successes; a branch that its timeout cut off has timed out."""
    fork, verdict = op.fork, op.verdict
    won = {entry[0]: entry[2] for entry in verdict.entries if entry[1]}
    lost = {entry[0]: settled(entry[2]) for entry in (*verdict.entries, *verdict.missing) if not entry[1]}
    faults = tuple(lost.get(i) or _late_of(i, late, op.broken) for i in range(fork.total) if i not in won)
    name = fork.node.name
    if not won:
        return AllFailed(faults=faults, at=site, name=name, input=fork.value)
    policy: Any = fork.policy
    wanted = policy.n if isinstance(policy, NBest) else policy.k
    return TooFew(wanted=wanted, results=tuple(won.values()), faults=faults, at=site, name=name, input=fork.value)


def _beside(fault: Fault, others: tuple[Fault, ...]) -> Fault:
    return evolve(fault, also=(*fault.also, *others)) if others else fault


def _joined(fork: Fork, results: tuple[Any, ...]) -> Any:
    node = fork.node
    if fork.plans is None:
        if node.writes is not None:
            return node.writes.set(fork.value, results)
        reads = node.reads
        return reads.set_all(fork.value, results) if isinstance(reads, Traversal) else reads.put(fork.value, results)
    if node.join is not None:
        return node.join(fork.value, results)
    return results[0] if len(results) == 1 else merge(fork.value, results)


def _branch_child(node: Any, turn: Any) -> Any:
    return turn.index if type(node) is Parallel else 0


def _branch_part(turn: Any) -> int | None:
    # The branches of a parallel are told apart by their paths.
    return int(turn.index) if turn.fork.plans is None else None


def _branch_of(turn: Any) -> tuple[int, int] | None:
    return (int(turn.index), turn.fork.total) if turn.fork.plans is None else None


BRANCH = Kind(
    _leave_branch,
    _failed_branch,
    child=_branch_child,
    whole=lambda turn: turn.fork.value,
    turn=_branch_part,
    part=_branch_of,
)
EDGE = Kind(
    lambda value, node, turn, below: (WON, value, None),
    lambda fault, node, turn, below: (LOST, fault, None),
    child=_branch_child,
    whole=lambda turn: turn.fork.value,
    turn=_branch_part,
    part=_branch_of,
    bottom=True,
)
"""The bottom of a branch that runs on its own; what lies below is there for its path."""
