"""Running a plan concurrently: the driver that asyncio and trio share.

One driver runs one chain of states in one task; a branch gets a driver, and a task, of its own. What differs between
the two backends, a deadline and a fork, is in ``on_asyncio`` and ``on_trio``.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from lambdacat.effects.cut_off import Aside, cut_at, in_order, is_root, noted, warn_broken
from lambdacat.effects.direct import Bound
from lambdacat.effects.enclosed import Enclosed
from lambdacat.effects.hop import Hop
from lambdacat.effects.ledger import Claim, Ledger
from lambdacat.effects.turns import Turned, turn_of
from lambdacat.fault import Fault, OverBudget, Unpriced, settled
from lambdacat.machine.environment import ActionCall, Environment
from lambdacat.machine.fork import EDGE, PROMPT, Fork, Held, Join, Overtime, Retold, Turn
from lambdacat.machine.meaning import (
    MEANING,
    ROUND,
    Called,
    GiveBack,
    Hold,
    Open,
    Sleep,
    Spent,
    Spin,
    Table,
    Unwind,
    advance,
    raised,
    untested,
)
from lambdacat.machine.ops import CLOSE_LOST, FAIL, LEAVE, Close, End, Halt, Pause, State, fallen
from lambdacat.machine.pausing import Asked, Until, suspended
from lambdacat.machine.segment import Fell, Leaf, Segment, fell_at, finish
from lambdacat.machine.trail import Trail
from lambdacat.plan import Task
from lambdacat.policy import Race
from lambdacat.wiring import AWAITABLE

_BREATH = 512


class GraceExceeded(RuntimeWarning):
    """A branch that was cancelled has not ended within the grace; says where it stands.

    On asyncio it is cancelled again; on trio, where that means nothing, it is only waited for.
    """


class Defect:
    """What must end the program, on its way from a branch to the root of the run."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Concurrent(ABC):
    """The monad of awaitables: a request is answered by a coroutine, or at once."""

    __slots__ = (
        "above", "aside", "bounds", "claim", "counted", "env", "holds", "lacks", "ledger", "reached", "table", "turns",
    )  # fmt: skip

    def __init__(self, env: Environment, table: Table = MEANING) -> None:
        self.env = env
        self.table = table
        self.bounds: list[Bound] = []
        self.counted = PROMPT
        """Threads that it and its branches left behind, and blocking steps that never got one."""
        self.holds = False
        """Whether it has one of the run's permits for branches."""
        self.lacks = False
        """Whether it was interrupted while it had lent its permit."""
        self.turns: tuple[Turned, ...] = ()
        """The turns that it holds, outermost first."""
        self.ledger: Ledger | None = None
        """The book of the nearest budget, also one that is held by whoever waits for this branch."""
        self.claim: Claim | None = None
        """What its last action has reserved and spent under it."""
        self.above: tuple[Turned, ...] = ()
        """Those that are held by whoever waits for this branch."""
        self.aside: list[Aside] = []
        """What clean-ups after a cancellation raised, until somebody is told."""
        self.reached: tuple[Any, Any] = (None, None)
        """The straight run in which an action was interrupted, and what that was given."""

    def enclosed(self, state: State) -> Enclosed:
        """A whole run from a state, in context variables of its own."""
        return Enclosed(self.iterate(state))

    async def iterate(self, state: State) -> tuple[bool, Any]:
        """From a state to the end of the run: whether it was won, and the value or fault."""
        waits, instant, table = self.waits, self.instant, self.table
        request: Any = None
        value: Any = None
        stack: Any = None
        while True:
            try:
                while True:
                    if self.lacks:
                        await self.regain()
                    request, value, stack = advance(*state, table)
                    kind = type(request)
                    if self.bounds and kind is not Close and self.passed():
                        # An action swallowed the interruption; nothing more starts under its deadline.
                        state = self.expired(stack, *cut_at(request, value, stack))
                        continue
                    if kind is End:
                        return request.won, value
                    if kind in instant:
                        state = instant[kind](self, request, value, stack)
                    else:
                        state = await waits[kind](self, request, value, stack)
            except Exception as error:  # noqa: BLE001  a score or a copy of the user's raised
                state = raised(error, request, value, stack)
            except BaseException as error:
                late = self.rescued(error, request, value, stack)
                if late is None:
                    if self.aside and is_root(stack):
                        noted(error, self.told())
                    if self.turns:
                        await self.abandon(error)
                    raise
                state = late

    # Backends ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def now(self) -> float:
        """The clock that deadlines are on. Units: seconds."""

    @abstractmethod
    def arm(self) -> None:
        """See to it that the least open deadline interrupts this task, or that none does."""

    @abstractmethod
    def interrupted(self, error: BaseException) -> bool:
        """Whether ``error`` is our own deadline, and only that; the task is then free of it."""

    @abstractmethod
    def called_off(self) -> bool:
        """Whether this task is cancelled by somebody else: a decided race, or whoever awaits the run."""

    @abstractmethod
    async def give_way(self) -> None:
        """Raise that cancellation, which an action has put another exception in place of."""

    @abstractmethod
    async def fork(self, fork: Fork, value: Any, stack: Any) -> State:
        """Branches side by side."""

    def branch(self) -> Concurrent:
        """The driver of a branch."""
        made = type(self)(self.env, self.table)
        if self.turns or self.above:
            made.above, made.ledger = (*self.above, *self.turns), self.ledger
        return made

    # Actions -------------------------------------------------------------------------------------------------------

    async def segment(self, segment: Segment, value: Any, stack: Any) -> State:
        """A straight run."""
        if not segment.plain or self.ledger is not None or (self.bounds and len(segment.leaves) > 1):
            made = await self.careful(segment, value, stack)
        else:
            made = await self.chain(segment, value)
        return await self.lost(fallen(segment, made, stack)) if type(made) is Fell else (LEAVE, made, stack)

    async def lost(self, state: State) -> State:
        """Where to go on after an action failed: where it was cancelled it has failed in its clean-up."""
        _, fault, stack = state
        if self.bounds and self.passed():
            return self.expired(stack, *cut_at(CLOSE_LOST, fault, stack))
        if self.called_off():
            # Nothing of the plan may see it: a retry would repeat what was cancelled.
            self.aside.append(((), settled(fault)))
            await self.give_way()
        return state

    async def chain(self, segment: Segment, value: Any) -> Any:
        """A straight run of calls that take the value alone: its result, or ``Fell``."""
        hops = segment.hops
        if hops is None:
            hops = segment.hops = _hops(segment)
        for mode, first, fns in hops:
            if mode == "await":
                value = await _awaited(fns, value)
            elif mode == "mixed":
                value = await _mixed(fns, value)
            else:
                value = await self.threaded(fns, value, mode == "abandon")
            if type(value) is Fell:
                value.index += first
                return value
        return value

    async def careful(self, segment: Segment, value: Any, stack: Any) -> Any:
        """A straight run under a deadline, or in which some calls take a context."""
        for index, leaf in enumerate(segment.leaves):
            if index and self.bounds and self.passed():
                return value  # the driver sees the deadline before anything else starts
            value = await self.perform(segment, index, leaf, value, stack)
            if type(value) is Fell:
                return value
        return value

    async def perform(self, segment: Segment, index: int, leaf: Leaf, value: Any, stack: Any, row: Any = None) -> Any:
        """One action, within the budgets around it."""
        if self.ledger is None or type(leaf.node) is not Task:
            self.claim = None
            return await self.call(segment, index, leaf, value, stack, row)
        try:
            claim = self.claim = self.ledger.claim(leaf.node)
        except (OverBudget, Unpriced) as error:
            return Fell(index, error, value)
        try:
            made = await self.call(segment, index, leaf, value, stack, row)
        except BaseException:
            claim.give_back()
            raise
        claim.settle()
        return made

    async def call(self, segment: Segment, index: int, leaf: Leaf, value: Any, stack: Any, row: Any) -> Any:
        """One call of an action."""
        fn = leaf.fn
        if leaf.call.wants_context:
            inner = leaf.fn
            call = ActionCall(self.env, Trail(stack, leaf.at, value, leaf.node), stack, row, self.claim)
            context = self.env.context.calling(call)

            def fn(given: Any) -> Any:
                return inner(given, context)

        try:
            if leaf.mode in ("thread", "abandon"):
                made = await self.threaded((fn,), value, leaf.mode == "abandon")
            else:
                made = await _mixed((fn,), value)
        except BaseException:
            self.reached = (segment, value)
            raise
        if type(made) is Fell:
            made.index = index
        return made

    async def threaded(self, fns: tuple[Any, ...], value: Any, abandon: bool) -> Any:
        """Blocking calls in a worker thread, and in between what they give to await: their result, or ``Fell``."""
        first = 0
        while True:
            hop = Hop(fns[first:], value, self.env.backend.event())
            await self.hop(hop, abandon)
            first, value = len(fns) - len(hop.work), hop.value
            if hop.error is not None:
                return Fell(first, hop.error, value)
            if AWAITABLE[type(value)]:
                value = await _mixed((_same,), value)
                if type(value) is Fell:
                    value.index, value.value = first - 1, hop.given
                    return value
            if first == len(fns):
                return value

    async def hop(self, hop: Hop, abandon: bool) -> None:
        """One stay in a worker thread. Cancelled, it waits for the thread, or leaves it behind."""
        try:
            await anyio.to_thread.run_sync(hop.run, abandon_on_cancel=True, limiter=self.env.limiter())
        except BaseException:
            hop.leave()
            try:
                if not hop.begun:
                    self.count(Overtime(unbegun=1))
                elif abandon:
                    self.count(Overtime(abandoned=1))
                else:
                    await self.env.backend.outlast(hop.over)
            finally:
                # What ends the program comes before a cancellation, which says only that nobody wants the value.
                if hop.defect is not None and not isinstance(hop.defect, anyio.get_cancelled_exc_class()):
                    raise hop.defect
            raise

    async def spin(self, spin: Spin, value: Any, stack: Any) -> State:
        """A loop around a straight run of calls that are awaited or in place."""
        modes = spin.body.modes
        if self.bounds or self.ledger is not None or not modes <= {"await", "inline"}:
            return spin.inside(value, stack)
        state = await whirling(spin, value, stack)
        return await self.lost(state) if state[0] is FAIL else state

    # Bounds --------------------------------------------------------------------------------------------------------

    def count(self, more: Overtime) -> None:
        """Add what a thread, or a whole branch, has come to."""
        counted = self.counted
        self.counted = Overtime(0.0, counted.abandoned + more.abandoned, counted.unbegun + more.unbegun)

    def over(self, bound: Bound) -> None:
        """A bound is over: steps that never began in it are no news to the bounds around it."""
        self.counted = self.counted._replace(unbegun=bound.before.unbegun)

    def told(self) -> tuple[Fault, ...]:
        """What clean-ups raised, in written order, to somebody who says it."""
        faults = tuple(fault for _, fault in in_order(self.aside))
        self.aside.clear()
        return faults

    def expired(self, stack: Any, last: object, also: tuple[Fault, ...] = ()) -> State:
        """Where to go on when the least deadline has passed: at its node."""
        owner = self.bounds[-1].owner
        del self.bounds[self.bounds.index(owner) :]
        if self.env.recorder is not None:
            self.env.recorder.cancelled(stack, owner.stack)
        self.arm()
        also = (*also, *self.told())
        if self.env.history is None:
            fault = owner.fault(self.now(), self.counted, last=last, also=also)
        else:
            # A run that goes on in another process must say the same, and knows neither.
            fault = owner.fault(self.now(), self.counted)
            if (warned := warn_broken(also)) is not None:
                raise warned
        self.over(owner)
        return (FAIL if len(self.turns) <= owner.turns else Unwind(owner.node, owner.turns)), fault, owner.stack

    def rescued(self, error: BaseException, request: Any, value: Any, stack: Any) -> State | None:
        """Where to go on after an interruption, if it was a deadline of this driver."""
        if self.bounds and self.interrupted(error):
            segment, given = self.reached
            return self.expired(stack, *cut_at(request, given if segment is request else value, stack))
        self.bounds.clear()
        self.arm()
        if self.env.recorder is not None:
            self.env.recorder.cancelled(stack, None)
        return None

    async def hold(self, request: Hold, value: Any, stack: Any) -> State:
        """A turn. Who waits for one is not a branch that runs: it lends its permit meanwhile."""
        if self.holds:
            self.holds, self.lacks = False, True
            self.env.permits.release()
        held = turn_of(request.bound, value, (*self.above, *self.turns), self.ledger, self.env.backend.clock())
        await held.turn.__aenter__()
        self.turns = (*self.turns, held)
        if type(held.turn) is Ledger:
            self.ledger = held.turn
        return request.inside(value, stack)

    async def give_back(self, request: GiveBack, value: Any, stack: Any) -> State:
        """A turn is given back."""
        try:
            self.turns[-1].told(request.won, value)
        finally:
            await self.let_go(len(self.turns) - 1)
        return request.inside(value, stack)

    async def unwind(self, request: Unwind, value: Any, stack: Any) -> State:
        """The turns inside a deadline that has passed are given back."""
        await self.let_go(request.down_to)
        return request.inside(value, stack)

    async def let_go(self, down_to: int, error: BaseException | None = None) -> None:
        """Give back the turns that were taken last. Errors: what a limiter raises, after all of them."""
        failed: Exception | None = None
        while len(self.turns) > down_to:
            *rest, last = self.turns
            self.turns = tuple(rest)
            if type(last.turn) is Ledger:
                self.ledger = last.turn.outer
            try:
                await last.turn.__aexit__(type(error) if error else None, error, None)
            except Exception as broken:  # noqa: BLE001  the others are given back all the same
                failed = failed or broken
        if failed is not None and error is None:
            raise failed

    async def abandon(self, error: BaseException) -> None:
        """Give everything back on the way out, within the grace."""
        if isinstance(error, GeneratorExit):
            # Nothing may be waited for any more; what gives back at once still does.
            for last in reversed(self.turns):
                with suppress(Exception):
                    finish(last.turn.__aexit__(type(error), error, None))
            return
        with anyio.move_on_after(self.env.limits.grace, shield=True):
            await self.let_go(0, error)

    def open(self, request: Open, value: Any, stack: Any) -> State:
        """A deadline begins."""
        outer = self.bounds[-1] if self.bounds else None
        bound = Bound(self.now() + request.seconds, request.seconds, request.node, value, stack, outer)
        bound.before, bound.turns = self.counted, len(self.turns)
        self.bounds.append(bound)
        if bound.owner is bound:
            self.arm()
        return request.inside(value, stack)

    def close(self, request: Close, value: Any, stack: Any) -> State:
        """A deadline ends; what came too late is late."""
        bound = self.bounds[-1]
        if self.passed() or (request.won and self.now() >= bound.owner.deadline):
            return self.expired(stack, *cut_at(request, value, stack))
        self.bounds.pop()
        if bound.owner is bound:
            self.arm()
        return request.inside(value, stack)

    @abstractmethod
    def passed(self) -> bool:
        """Whether the deadline has already interrupted this task, and nobody passed it on."""

    def called(self, request: Called, value: Any, stack: Any) -> State:
        """A first try is counted."""
        request.node.bound.budget.called()
        return request.inside(value, stack)

    async def again(self, request: Sleep, stack: Any) -> bool:
        """Whether there may be a next attempt."""
        budget = request.node.bound.budget
        return budget is None or bool(budget.again())

    async def sleep(self, request: Sleep, value: Any, stack: Any) -> State:
        """Wait before the next attempt."""
        if not await self.again(request, stack):
            return request.given_up(stack)
        seconds = self.env.delay(request, stack)
        if self.env.recorder is not None:
            self.env.recorder.retrying(request, seconds, stack)
        return await self.waited(seconds, request, value, stack)

    async def waited(self, seconds: float, request: Sleep | Until, value: Any, stack: Any) -> State:
        """Go on after ``seconds``."""
        # Also without a delay: a plan that fails at once must not starve the others.
        await anyio.sleep(max(0.0, seconds))
        return request.inside(value, stack)

    async def until(self, request: Until, value: Any, stack: Any) -> State:
        """Wait for an instant."""
        return await self.waited(request.seconds - self.env.now(), request, value, stack)

    async def asked(self, request: Asked, value: Any, stack: Any) -> State:
        """A question that nobody answers here."""
        return request.inside(value, stack)

    def retold(self, request: Retold, value: Any, stack: Any) -> State:
        """The next branch of a fork that was decided in an earlier process."""
        return request.inside(value, stack)

    async def pause(self, request: Pause, value: Any, stack: Any) -> State:
        """Let others run, and be cancelled."""
        await anyio.lowlevel.checkpoint()
        return request.inside(value, stack)

    # Branches ------------------------------------------------------------------------------------------------------

    async def branch_chain(self, segment: Segment, value: Any) -> Any:
        """A straight branch without a driver of its own."""
        try:
            return await self.chain(segment, value)
        except (KeyboardInterrupt, SystemExit, Halt) as error:
            return Defect(error)

    async def run_branch(self, fork: Fork, index: int, stack: Any) -> Any:
        """One branch to its end, as ``(won, value or fault)``; what must end the program becomes ``Defect``."""
        driver = self.branch()
        permits = self.env.permits
        edge = (EDGE, fork.node, Turn(fork, fork.race(), index), stack)
        try:
            if permits is not None:
                await permits.acquire()
                driver.holds = True
            try:
                return await driver.iterate((fork.plan(index), fork.input(index), edge))
            finally:
                self.count(driver.counted)
                self.aside.extend(((index, *way), fault) for way, fault in driver.aside)
                if driver.holds:
                    permits.release()
        except (KeyboardInterrupt, SystemExit, Halt) as error:
            # Raised here it would stop the event loop under threads that still work for this run.
            return Defect(error)
        except Exception as error:  # noqa: BLE001  a copy of the input raised
            state = raised(error, fork, fork.value, stack)
            return False, state[1]

    async def forking(self, fork: Fork, value: Any, stack: Any) -> State:
        """A fork, while which this driver gives back its own permit: who waits for branches is not one running."""
        if not self.holds:
            return await self.fork(fork, value, stack)
        self.holds, self.lacks = False, True
        self.env.permits.release()
        return await self.fork(fork, value, stack)

    async def regain(self) -> None:
        """A permit again, after the branches."""
        await self.env.permits.acquire()
        self.holds, self.lacks = True, False

    def width(self, fork: Fork) -> int:
        """How many branches of a fork may run at once."""
        return min(fork.limit or fork.total, self.env.limits.branches or fork.total)

    def bounded(self, fork: Fork, stack: Any) -> Bound:
        """The timeout of a fork, on which its policy judges; for ever where it has none."""
        seconds = inf if fork.seconds is None else fork.seconds
        bound = Bound(self.now() + seconds, seconds, fork.node, fork.value, stack)
        bound.before = self.counted
        return bound

    def joined(self, bound: Bound, fork: Fork, race: Race, started: int, held: Held, stack: Any) -> State:
        """The state after a verdict, or after the last branch that does not wait."""
        over_by = bound.over_by(self.now(), self.counted)
        self.over(bound)
        if race.verdict is None:
            return FAIL, suspended(held), stack
        if self.env.recorder is not None:
            self.env.recorder.skipped(fork, started, stack)
        if not self.aside:
            return Join(fork, race.verdict, over_by), None, stack
        broken = tuple((way[0], fault) for way, fault in in_order(self.aside))
        self.aside.clear()
        if race.verdict.kind in ("won", "broken") or self.env.history is not None:
            if (warned := warn_broken(fault for _, fault in broken)) is not None:
                raise warned
            broken = ()
        return Join(fork, race.verdict, over_by, broken), None, stack

    instant: ClassVar[dict[type, Callable[..., State]]] = {
        Called: called,
        Open: open,
        Close: close,
        Retold: retold,
    }
    waits: ClassVar[dict[type, Callable[..., Any]]] = {
        Segment: segment,
        Spin: spin,
        Fork: forking,
        Hold: hold,
        GiveBack: give_back,
        Unwind: unwind,
        Sleep: sleep,
        Pause: pause,
        Until: until,
        Asked: asked,
    }


def _same(value: Any) -> Any:
    return value


def _hops(segment: Segment) -> tuple[tuple[str, int, tuple[Any, ...]], ...]:
    """A straight run cut where it goes to a thread or comes back: how, from which leaf, which functions."""
    found: list[tuple[str, int, list[Any]]] = []
    for index, leaf in enumerate(segment.leaves):
        mode = leaf.mode if leaf.mode in ("thread", "abandon") else "mixed"
        if not found or found[-1][0] != mode:
            found.append((mode, index, []))
        found[-1][2].append(leaf.fn)
    return tuple((_exactly(mode, segment, first, len(fns)), first, tuple(fns)) for mode, first, fns in found)


def _exactly(mode: str, segment: Segment, first: int, count: int) -> str:
    leaves = segment.leaves[first : first + count]
    return "await" if all(leaf.mode == "await" for leaf in leaves) else mode


async def _awaited(fns: tuple[Any, ...], value: Any) -> Any:
    todo = iter(fns)
    try:
        for fn in todo:
            value = await fn(value)
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        return fell_at(fns, todo, error, value)
    except BaseExceptionGroup as group:
        return fell_at(fns, todo, beside_cancellation(group), value)
    return value


async def _mixed(fns: tuple[Any, ...], value: Any) -> Any:
    todo = iter(fns)
    try:
        for fn in todo:
            made = fn(value)
            value = await made if AWAITABLE[type(made)] else made
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        return fell_at(fns, todo, error, value)
    except BaseExceptionGroup as group:
        return fell_at(fns, todo, beside_cancellation(group), value)
    return value


async def whirling(spin: Spin, value: Any, stack: Any) -> State:
    """``whirl`` for calls that may be awaited, with a breath now and then so that it can be cancelled."""
    test, fns, left = spin.test, spin.body.fns, spin.at_most
    only = fns[0] if len(fns) == 1 and spin.body.modes == {"await"} else None
    todo: Any = iter(fns)
    testing = True
    try:
        while True:
            for _ in range(_BREATH):
                if not test(value):
                    return LEAVE, value, stack
                if left is not None:
                    if left == 0:
                        return Spent(spin.node), value, stack
                    left -= 1
                testing = False
                if only is not None:
                    value = await only(value)
                else:
                    todo = iter(fns)
                    for fn in todo:
                        made = fn(value)
                        value = await made if AWAITABLE[type(made)] else made
                testing = True
            await anyio.lowlevel.checkpoint()
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        if testing:
            return untested(spin, error, value, stack)
        return _fell_round(spin, only, fns, todo, error, value, stack)
    except BaseExceptionGroup as group:
        return _fell_round(spin, only, fns, todo, beside_cancellation(group), value, stack)


def _fell_round(spin: Spin, only: Any, fns: Any, todo: Any, error: Exception, value: Any, stack: Any) -> State:
    fell = Fell(0, error, value) if only is not None else fell_at(fns, todo, error, value)
    return fallen(spin.body, fell, (ROUND, spin.node, 0, stack))


def beside_cancellation(group: BaseExceptionGroup[BaseException]) -> Exception:
    """What the clean-up of an action raised that trio has put into one group with its cancellation.

    The driver looks whether it is cancelled wherever an action fails, so nothing of the cancellation is lost. Errors:
    the group itself where it holds no cancellation of trio's, or what ends the program.
    """
    cancelled = anyio.get_cancelled_exc_class()
    found, rest = group.split(cancelled)
    if found is None or not isinstance(rest, Exception) or not cancelled.__module__.startswith("trio"):
        raise group
    return rest


def warn_overrun(name: str, where: str, grace: float, *, then: str) -> Warning | None:
    """Say that a cancelled branch has not ended, and what is done; the warning itself where warnings are errors."""
    text = f"{name} was cancelled and has not ended after {grace:g} s; it is {then}. It stands at\n{where}"
    try:
        warnings.warn(text, GraceExceeded, stacklevel=3)
    except GraceExceeded as error:
        return error
    return None


__all__ = ["Concurrent", "Defect", "GraceExceeded", "Join", "warn_overrun"]
