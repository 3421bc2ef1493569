"""Durable runs: beginning one, and going on with one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar, final

import anyio
import anyio.to_thread
from attrs import frozen
from returns.result import Failure, Success

from lambdacat.bound import Limits
from lambdacat.codec import Codecs, StateCorrupt
from lambdacat.context import Context, context_of
from lambdacat.effects.direct import Direct
from lambdacat.fault import Outcome, PlanChanged, Waiting, _Faulted, headline, settled
from lambdacat.interpreters.classes import codecs_of
from lambdacat.interpreters.history import History
from lambdacat.interpreters.journal import Answerable, Journal, Leased, Past, called, check_there, past_of, unbegun
from lambdacat.interpreters.migrating import migration_change
from lambdacat.interpreters.run import check_plan, outcome_of
from lambdacat.interpreters.shape import Change, compared
from lambdacat.interpreters.terminating import here, until_sigterm
from lambdacat.machine.meaning import ACTIONS_APART, APART
from lambdacat.machine.ops import Halt
from lambdacat.plan import Plan

A = TypeVar("A")
B = TypeVar("B")
_LIMITS = Limits()
RECORDED: Any = object()
"""Stands for the input that the journal has."""


@contextmanager
def owned(journal: Journal, again: bool = False) -> Iterator[int]:
    """Own the run while the block lasts, where a journal has owners."""
    if not isinstance(journal, Leased):
        yield 0
        return
    epoch = journal.acquire(again=again)
    try:
        yield epoch
    finally:
        journal.release()


def taken_up(plan: Plan[Any, Any], value: Any, journal: Journal, context: Context) -> tuple[History, Any]:
    """A run's history, begun or resumed, and its input. Errors: ``Halt`` with ``PlanChanged``; ``ValueError``."""
    history = History(journal, codecs_of(plan, journal))
    past = past_of(journal)
    if past is None:
        if value is RECORDED:
            raise ValueError(f"there is no run to resume: {unbegun(journal)}")
        history.begin(plan, value, _run_id(journal), context.seed, context.wall())
        return history, value
    given = history.codecs.from_tree(past.begin["input"])
    if value is not RECORDED and history.codecs.to_tree(value) != history.codecs.to_tree(given):
        raise ValueError(
            f"run {past.run!r} in {called(journal)} began with another input, {_short(given)}; go on with"
            " resume(plan, journal), or give this run a name of its own"
        )
    if (change := _bound_change(plan, past, journal)) is not None:
        raise Halt(change)
    history.resume(plan, past)
    return history, given


def _bound_change(plan: Plan[Any, Any], past: Past, journal: Journal) -> PlanChanged | None:
    from lambdacat.interpreters.in_flight import bound_change

    return bound_change(plan, past, journal)


def _run_id(journal: Journal) -> str:
    from uuid import uuid4

    return str(getattr(journal, "run_id", "") or uuid4().hex)


def _short(value: object) -> str:
    from lambdacat.fault import shortened

    return shortened(value)


def _ended(history: History, ended: tuple[bool, Any]) -> Outcome[Any]:
    outcome = outcome_of(ended)
    match outcome:
        case Success():
            history.end("success", "")
        case Failure(Waiting() as waiting):
            history.end("waiting", headline(waiting), [question.key for question in waiting.questions])
        case Failure(fault):
            history.end("failure", headline(fault))
    return outcome


def _halted(halt: Halt) -> Outcome[Any]:
    """What a run that was stopped at once ends with. Errors: what stopped it, unless that is a fault."""
    if isinstance(halt.reason, _Faulted):
        fault: Any = halt.reason
        return Failure(settled(fault))
    raise halt.reason from None


def _answered_meanwhile(history: History, outcome: Outcome[Any]) -> bool:
    """Whether somebody answered, while the run was on its way to its end, what it waits for."""
    match outcome:
        case Failure(Waiting(questions=questions)) if isinstance(history.journal, Answerable):
            answers = history.journal.answers()
            return any(question.key in answers for question in questions)
        case _:
            return False


# --- in this thread --------------------------------------------------------------------------------------------------


def run_durable(
    plan: Plan[Any, Any], value: Any, journal: Journal, context: Context, observers: Collection[Callable[[Any], object]]
) -> Outcome[Any]:
    """``run`` with a journal."""
    from contextvars import copy_context

    with until_sigterm(here), owned(journal) as epoch:
        try:
            while True:
                history, given = taken_up(plan, value, journal, context)
                driver = _direct(context, observers)
                _prepared(driver.env, history, epoch)
                outcome = _ended(history, copy_context().run(driver.iterate, (plan, given, None)))
                if not _answered_meanwhile(history, outcome):
                    break
        except Halt as halt:
            outcome = _halted(halt)
    _tell(observers, outcome)
    return outcome


def _tell(observers: Collection[Callable[[Any], object]], outcome: Outcome[Any]) -> None:
    if observers:
        from lambdacat.event import Ended

        for observer in observers:
            observer(Ended(outcome))


def _direct(context: Context, observers: Collection[Any]) -> Any:
    from lambdacat.interpreters.durable import durable_direct
    from lambdacat.machine.environment import Environment

    if not observers:
        return durable_direct(Direct)(Environment(context, context.clock, _LIMITS), ACTIONS_APART)
    from lambdacat.interpreters.recording import Recorder, watched_table
    from lambdacat.interpreters.traced import WatchedDirect

    recorder = Recorder(context.clock, observers)
    env = Environment(context, context.clock, _LIMITS, recorder)
    return durable_direct(WatchedDirect)(env, watched_table())


def _prepared(env: Any, history: History, epoch: int) -> None:
    """The run goes on under its own name and seed, from the time of day at which it was taken up."""
    env.history = history
    env.now()
    env.named(history.run, epoch)
    if env.context.seed != history.seed:
        env.context = env.context._with(_seed=history.seed)


# --- on an event loop ------------------------------------------------------------------------------------------------


async def arun_durable(
    plan: Plan[Any, Any],
    value: Any,
    journal: Journal,
    context: Context,
    limits: Limits,
    observers: Collection[Callable[[Any], object]],
    *,
    again: bool = False,
) -> tuple[Outcome[Any], History | None]:
    """``arun`` with a journal, and what its journal then knows; None when nothing was run."""
    from lambdacat.interpreters.arun import backend

    with until_sigterm(backend().cancellable):
        told = await _on_a_loop(plan, value, journal, context, limits, observers, again=again)
    _tell(observers, told[0])
    return told


async def _on_a_loop(
    plan: Plan[Any, Any],
    value: Any,
    journal: Journal,
    context: Context,
    limits: Limits,
    observers: Collection[Callable[[Any], object]],
    *,
    again: bool,
) -> tuple[Outcome[Any], History | None]:
    from lambdacat.interpreters.durable import Tick

    hop = _hop(journal)
    ownership = owned(journal, again)
    epochs: list[int] = []
    history: Any = None
    try:
        await hop(lambda: epochs.append(ownership.__enter__()))
        (epoch,) = epochs
        while True:
            history, given = await hop(taken_up, plan, value, journal, context)
            driver = _concurrent(context, limits, observers)
            _prepared(driver.env, history, epoch)
            history.tick = Tick(history, driver.env)
            try:
                ended = await driver.enclosed((plan, given, None))
            finally:
                await history.tick.close()
            outcome = _ended(history, ended)
            if not _answered_meanwhile(history, outcome):
                break
    except Halt as halt:
        outcome = _halted(halt)
    finally:
        if epochs:
            ownership.__exit__(None, None, None)
    return outcome, history


def _hop(journal: Journal) -> Callable[..., Any]:
    """How a journal is waited for: one that has owners is a file or a server, so in a thread."""
    return _in_thread if isinstance(journal, Leased) else _here


async def _here(function: Callable[..., Any], *given: Any) -> Any:
    return function(*given)


async def _in_thread(function: Callable[..., Any], *given: Any) -> Any:
    """A call in a worker thread that has ended when this has, cancelled or not: what it took can then be given back."""
    from lambdacat.interpreters.arun import backend

    over, claim = backend().event(), Lock()

    def job() -> Any:
        if not claim.acquire(blocking=False):
            return None
        try:
            return function(*given)
        finally:
            over.set()

    try:
        return await anyio.to_thread.run_sync(job, abandon_on_cancel=True)
    except BaseException:
        # Claimed here, a job that has not begun never does.
        if not claim.acquire(blocking=False):
            await backend().outlast(over)
        raise


def _concurrent(context: Context, limits: Limits, observers: Collection[Any]) -> Any:
    from lambdacat.interpreters.arun import driver_of
    from lambdacat.interpreters.durable import durable_driver

    if not observers:
        return driver_of(context, limits, table=APART, kind=durable_driver)
    from lambdacat.interpreters.recording import Recorder, watched_table
    from lambdacat.interpreters.traced import watched_driver

    driver = driver_of(context, limits, watched_table(), lambda kind: durable_driver(watched_driver(kind)))
    driver.env.recorder = Recorder(driver.env.clock, observers)
    return driver


# --- going on --------------------------------------------------------------------------------------------------------


async def resume(
    plan: Plan[Any, B],
    journal: Journal,
    *,
    context: Context | Mapping[str, Any] | None = None,
    observers: Collection[Callable[[Any], object]] = (),
    limits: Limits = _LIMITS,
    again: bool = False,
) -> Outcome[B]:
    """The run of a journal, gone on with: nothing that is done is performed, and the result is as if it never stopped.

    ``again`` also resumes a run that was set aside. Errors: ``PlanChanged`` as the outcome when the plan is another;
    ``RunBusy``, ``RunSetAside``, ``JournalCorrupt`` and, for an empty journal, ``ValueError`` are raised.
    """
    check_plan("resume", plan)
    given = context_of(context)
    # Owning a run makes it, and the file as well.
    await _hop(journal)(check_there, journal, "resume")
    outcome, _ = await arun_durable(plan, RECORDED, journal, given, limits, observers, again=again)
    return outcome


@final
@frozen(kw_only=True)
class Resumable:
    """Whether a run can go on under a plan; true in a condition when it can."""

    run: str
    change: PlanChanged | None
    """The first step that is not what was recorded."""
    done: int
    """How many actions have their outcome in the journal."""
    status: str

    def __bool__(self) -> bool:
        return self.change is None

    def __str__(self) -> str:
        if self.change is None:
            return f"run {self.run!r} can go on ({self.status}; steps done: {self.done})"
        return f"run {self.run!r} cannot go on: {self.change}"


def can_resume(plan: Plan[Any, Any], journal: Journal) -> Resumable:
    """Whether ``plan`` may go on with the run of a journal, told before anything runs.

    What functions do may change, and so may timeouts, counts of retries and turns; names, lenses, policies and order
    may not, except the order of steps with disjoint footprints. What a ``bind`` makes is made anew from outcomes in
    the journal, and held against its entries. Errors: ``JournalCorrupt``; ``ValueError`` when empty.
    """
    check_plan("can_resume", plan)
    check_there(journal, "resume")
    past = past_of(journal)
    if past is None:
        raise ValueError(f"there is no run to resume: {unbegun(journal)}")
    difference = compared(past.begin["plan"], plan)
    change = difference.fault() if isinstance(difference, Change) else _unreadable(past, codecs_of(plan, journal))
    change = change or _bound_change(plan, past, journal)
    done = sum(document["kind"] == "done" for document in past.documents)
    return Resumable(run=past.run, change=change, done=done, status=past.status)


def _unreadable(past: Past, codecs: Codecs) -> PlanChanged | None:
    """Why what was recorded cannot be read with the classes that there are now; None when it can."""
    try:
        codecs.from_tree(past.begin["input"])
        return migration_change(past, codecs)
    except StateCorrupt as error:
        return PlanChanged(recorded="a state of its own time", found=str(error), name="the plan")


__all__ = ["Resumable", "arun_durable", "can_resume", "resume", "run_durable"]
