"""The ops and plain requests of the machine, and how an exception becomes a fault."""

from __future__ import annotations

from typing import Any

from lambdacat.fault import (
    ActionFailed,
    BudgetExceeded,
    Denied,
    Fault,
    MergeConflict,
    OverBudget,
    Refused,
    SameFault,
    Unanswered,
    Unavailable,
    WouldBlock,
)
from lambdacat.machine.segment import Fell, Request, Segment, Suspends
from lambdacat.machine.trail import Trail
from lambdacat.merging import Conflict
from lambdacat.telling import trimmed

State = tuple[Any, Any, Any]


class _Op:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


class _Leave(_Op):
    __slots__ = ()


class _Drop(_Op):
    __slots__ = ()


LEAVE = _Leave("LEAVE")
"""Leave the frame on top with the value."""
FAIL = _Drop("FAIL")
"""Leave the frame on top with the fault that is the value."""


class Halt(BaseException):
    """Stops a run at once, past every policy, handler and retry.

    Its journal cannot be kept or is another plan's, or one of its observers raised.
    """

    def __init__(self, reason: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        """The exception to raise, or the fault that the run ends with."""


class End(Request):
    """The run, or a branch that runs on its own, is at its end: with its value, or with its fault."""

    __slots__ = ("won",)

    def __init__(self, won: bool) -> None:
        self.won = won


WON, LOST = End(True), End(False)


class Pause(Request):
    """A loop has turned for a while: whoever shares a thread may let others run."""

    __slots__ = ()

    def inside(self, value: Any, stack: Any) -> State:
        return LEAVE, value, stack


PAUSE = Pause()


class Close(Request):
    """A bound ends, by a value or by a fault."""

    __slots__ = ("won",)

    def __init__(self, won: bool) -> None:
        self.won = won

    def inside(self, value: Any, stack: Any) -> State:
        return (LEAVE if self.won else FAIL), value, stack


CLOSE_WON, CLOSE_LOST = Close(True), Close(False)


def fault_of(error: Exception, site: Trail, name: str, value: Any, branches: Any = None, reading: str = "") -> Fault:
    """The fault that an exception is; ``reading`` is the lens that raised it, if one did."""
    if isinstance(error, Conflict):
        names = tuple(f"{i} {branches[i].name}" if branches else f"part [{i}]" for i in error.branches)
        return MergeConflict(path=error.place, branches=names, at=site, name=name, input=value)
    if isinstance(error, Unanswered):
        return Unavailable(what=error.what, reason=error.reason, at=site, name=name, input=value)
    if isinstance(error, Denied):
        return Refused(by=error.by, reason=error.reason, at=site, name=name, input=value)
    if isinstance(error, OverBudget):
        measure, cap, needed, left = error.measure, error.cap, error.needed, error.left
        return BudgetExceeded(measure=measure, cap=cap, needed=needed, left=left, at=site, name=name, input=value)
    if isinstance(error, SameFault):
        return error.fault
    if isinstance(error, Suspends):
        return WouldBlock(at=site, name=name, input=value)
    return ActionFailed(error=trimmed(error), reading=reading, at=site, name=name, input=value)


def fallen(segment: Segment, fell: Fell, stack: Any) -> State:
    """The state after a straight run failed."""
    leaf = segment.leaves[fell.index]
    node, at, reading = leaf.unread(fell.error, fell.value) or (leaf.node, leaf.at, "")
    site = Trail(stack, at, fell.value, node)
    return FAIL, fault_of(fell.error, site, node.name, fell.value, reading=reading), stack
