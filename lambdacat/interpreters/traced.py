"""Runs that are watched: the trace as a value, and observers told at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from contextvars import copy_context
from typing import Any, ClassVar, TypeVar

from lambdacat.bound import Limits
from lambdacat.context import Context, context_of
from lambdacat.effects.direct import Direct
from lambdacat.effects.writer import Writer
from lambdacat.event import Ended, Trace
from lambdacat.fault import Outcome
from lambdacat.interpreters.arun import driver_of
from lambdacat.interpreters.recording import (
    Begin,
    Bundle,
    Finish,
    Recorder,
    begun,
    finished,
    leaf_row,
    watched_table,
)
from lambdacat.interpreters.run import check_plan, outcome_of
from lambdacat.machine.environment import Environment
from lambdacat.machine.ops import LEAVE, Halt, State, fallen
from lambdacat.machine.segment import Fell, Segment, fell_at, finish
from lambdacat.plan import Plan
from lambdacat.wiring import AWAITABLE

A = TypeVar("A")
B = TypeVar("B")

_LIMITS = Limits()
_TABLE = watched_table()


class WatchedDirect(Direct):
    """As ``Direct``, with every node and action written down."""

    __slots__ = ()

    def segment(self, segment: Segment, value: Any, stack: Any) -> State:
        """A straight run."""
        recorder = self.env.recorder
        if recorder.bundles and segment.plain and not self.bounds and self.ledger is None:
            return self.marked(recorder, segment, value, stack)
        for index, leaf in enumerate(segment.leaves):
            if self.bounds and (late := self.expired(value, stack)) is not None:
                return late
            row = leaf_row(recorder, segment, leaf, value, stack)
            try:
                made = self.perform(segment, index, leaf, value, stack, row)
            except BaseException:
                recorder.finish(row, "cancelled")
                raise
            if type(made) is Fell:
                state = fallen(segment, made, stack)
                recorder.finish(row, "failed", fault=state[1])
                return state
            recorder.finish(row, "succeeded", made)
            value = made
        return LEAVE, value, stack

    def marked(self, recorder: Recorder, segment: Segment, value: Any, stack: Any) -> State:
        """A straight run that nobody observes: its marks in one list."""
        clock = recorder.clock
        bundle = Bundle(segment, stack, value, clock())
        recorder.rows.append(bundle)
        loop = _flat_marking if segment.quick else _flat_marking_probing
        given = (segment.fns, value, clock, bundle.marks.append)
        made = loop(*given) if self.own is None else self.own.run(loop, *given)
        if type(made) is Fell:
            bundle.marks.append(clock())
            state = fallen(segment, made, stack)
            bundle.fault = state[1]
            return state
        return LEAVE, made, stack

    def expired(self, value: Any, stack: Any) -> State | None:
        """As ``Direct.expired``, with the open spans cut off."""
        open_ = list(self.bounds)
        state = super().expired(value, stack)
        if state is not None:
            owner = open_[len(self.bounds)]
            self.env.recorder.cancelled(self.env.at, owner.stack)
        return state

    def begin(self, request: Begin, value: Any, stack: Any) -> State:
        """A node is entered."""
        state = begun(self.env.recorder, request, value, stack)
        self.env.at = state[2]
        return state

    def finish(self, request: Finish, value: Any, stack: Any) -> State:
        """A node is left."""
        self.env.at = stack
        return finished(self.env.recorder, request, value, stack)

    answers: ClassVar[dict[type, Callable[..., State]]] = {
        **Direct.answers,
        Segment: segment,
        Begin: begin,
        Finish: finish,
    }


def _flat_marking(fns: tuple[Any, ...], value: Any, clock: Any, mark: Any) -> Any:
    todo: Any = iter(fns)
    try:
        for fn in todo:
            value = fn(value)
            mark(clock())
            mark(value)
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        return fell_at(fns, todo, error, value)
    return value


def _flat_marking_probing(fns: tuple[Any, ...], value: Any, clock: Any, mark: Any) -> Any:
    def probed(fn: Any) -> Any:
        def call(given: Any) -> Any:
            made = fn(given)
            return finish(made) if AWAITABLE[type(made)] else made

        return call

    return _flat_marking(tuple(map(probed, fns)), value, clock, mark)


def watched_driver(driver: Any) -> Any:
    """A concurrent driver class, with every node and action written down."""

    class Watched(driver):  # type: ignore[misc]
        __slots__ = ()

        async def segment(self, segment: Segment, value: Any, stack: Any) -> State:
            recorder = self.env.recorder
            for index, leaf in enumerate(segment.leaves):
                row = leaf_row(recorder, segment, leaf, value, stack)
                try:
                    made = await self.perform(segment, index, leaf, value, stack, row)
                    recorder.checked()
                except BaseException:
                    recorder.finish(row, "cancelled")
                    raise
                if type(made) is Fell:
                    state = fallen(segment, made, stack)
                    recorder.finish(row, "failed", fault=state[1])
                    lost: State = await self.lost(state)
                    return lost
                recorder.finish(row, "succeeded", made)
                value = made
            return LEAVE, value, stack

        def begin(self, request: Begin, value: Any, stack: Any) -> State:
            return begun(self.env.recorder, request, value, stack)

        def finish(self, request: Finish, value: Any, stack: Any) -> State:
            return finished(self.env.recorder, request, value, stack)

        instant: ClassVar[dict[type, Callable[..., State]]] = {**driver.instant, Begin: begin, Finish: finish}
        waits: ClassVar[dict[type, Callable[..., Any]]] = {**driver.waits, Segment: segment}

    return Watched


def _recorder(clock: Callable[[], float], observers: Collection[Any], keep: int | None) -> Recorder:
    if keep is None:
        return Recorder(clock, observers)
    from lambdacat.interpreters.keeping import Sampler

    return Sampler(clock, keep)


def _watched(
    plan: Any, value: Any, context: Context, observers: Collection[Any] = (), keep: int | None = None
) -> tuple[Outcome[Any], Recorder]:
    check_plan("a runner", plan)
    recorder = _recorder(context.clock, observers, keep)
    direct = WatchedDirect(Environment(context, context.clock, _LIMITS, recorder), _TABLE)
    return outcome_of(copy_context().run(direct.iterate, (plan, value, None))), recorder


def run_watched(plan: Any, value: Any, context: Context, observers: Collection[Any]) -> Outcome[Any]:
    """``run``, with observers. Errors: what an observer raises."""
    try:
        outcome, recorder = _watched(plan, value, context, observers)
        recorder.tell(Ended(outcome))
    except Halt as halt:
        raise halt.reason from None
    return outcome


async def _awatched(
    plan: Any,
    value: Any,
    context: Context,
    limits: Limits = _LIMITS,
    observers: Collection[Any] = (),
    keep: int | None = None,
) -> tuple[Outcome[Any], Recorder]:
    check_plan("a runner", plan)
    driver = driver_of(context, limits, table=_TABLE, kind=watched_driver)
    recorder = _recorder(driver.env.clock, observers, keep)
    driver.env.recorder = recorder
    return outcome_of(await driver.enclosed((plan, value, None))), recorder


async def arun_watched(
    plan: Any, value: Any, context: Context, limits: Limits, observers: Collection[Any]
) -> Outcome[Any]:
    """``arun``, with observers. Errors: what an observer raises."""
    try:
        outcome, recorder = await _awatched(plan, value, context, limits, observers)
        recorder.tell(Ended(outcome))
    except Halt as halt:
        raise halt.reason from None
    return outcome


def _checked(keep: int | None) -> None:
    if keep is not None and keep < 1:
        raise ValueError(f"keep is how many first and latest executions of each node are kept, at least 1, not {keep}")


def traced(
    plan: Plan[A, B], *, context: Context | Mapping[str, Any] | None = None, keep: int | None = None
) -> Callable[[A], Writer[Outcome[B], Trace]]:
    """The arrow that also gives what happened. Law: without its trace it is ``run``.

    ``keep``: of each node only its first ``keep`` and its latest ``keep`` executions, and whatever those stand in, so
    that a loop of any length has a small trace; None keeps all. Law: the spans that are kept, and the totals, are
    those of the whole trace. Errors: ``ValueError`` when ``keep < 1``.
    """
    check_plan("traced", plan)
    _checked(keep)
    given = context_of(context)

    def arrow(value: A) -> Writer[Outcome[B], Trace]:
        outcome, recorder = _watched(plan, value, given, keep=keep)
        return Writer(outcome, recorder.trace())

    return arrow


def atraced(
    plan: Plan[A, B], *, context: Context | Mapping[str, Any] | None = None, keep: int | None = None
) -> Callable[[A], Coroutine[Any, Any, Writer[Outcome[B], Trace]]]:
    """``traced``, concurrently."""
    check_plan("atraced", plan)
    _checked(keep)
    given = context_of(context)

    async def arrow(value: A) -> Writer[Outcome[B], Trace]:
        outcome, recorder = await _awatched(plan, value, given, keep=keep)
        return Writer(outcome, recorder.trace())

    return arrow
