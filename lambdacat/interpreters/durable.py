"""Runs that survive their process: every outcome is in a journal before anything that depends on it starts."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import anyio
import anyio.lowlevel
import anyio.to_thread
from attrs import evolve

from lambdacat.effects.concurrent import Concurrent
from lambdacat.effects.direct import Direct
from lambdacat.effects.ledger import Claim, Ledger
from lambdacat.fault import BudgetExceeded, Fault, TimedOut
from lambdacat.interpreters.history import NEW, History
from lambdacat.interpreters.journal import Document
from lambdacat.interpreters.outcomes import before
from lambdacat.machine.fork import Fork, Join, Retold, Turn
from lambdacat.machine.meaning import ROUND, Hold, Open, Sleep, Spent, Spin, Unwind, untested
from lambdacat.machine.ops import FAIL, LEAVE, Halt, State, fallen
from lambdacat.machine.pausing import Asked, Until
from lambdacat.machine.segment import Fell, Leaf, Request, Segment
from lambdacat.machine.trail import Trail, key_of
from lambdacat.plan import Pure


class Note(Request):
    """Something to be written down before a run goes on."""

    __slots__ = ("document", "op")

    def __init__(self, document: Document, op: Any) -> None:
        self.document = document
        self.op = op


def noted(history: History, state: State) -> State:
    """A state that was reached because time passed, with that written down first."""
    op, value, stack = state
    late = isinstance(value, TimedOut) or (isinstance(value, BudgetExceeded) and value.measure == "seconds")
    if late and (op is FAIL or type(op) is Unwind):
        return Note(history.timed_out(value), op), value, stack
    if type(op) is Join and (document := history.decided(op.fork, op.verdict, stack)) is not None:
        return Note(document, op), value, stack
    return state


def _retold(document: Document, fork: Fork, stack: Any) -> State:
    """The fork as it was decided before."""
    entries, missing = document["entries"], document["missing"]
    rest = tuple((i, won) for i, won in (*entries, *missing))
    return Retold(fork, document["verdict"], rest, len(entries), ()), None, stack


def _late(history: History, request: Open, value: Any, stack: Any) -> State | None:
    """Where a run goes on whose deadline passed in an earlier process."""
    fault = history.late(request.node, Trail(stack, (), value, request.node), value)
    return None if fault is None else (FAIL, fault, stack)


class Wait(NamedTuple):
    """A wait before it begins."""

    seconds: float
    """How long it still is."""
    before: Document | None
    """What is to be written first."""
    after: Document | None
    """What is to be written when it is over."""

    def over(self, state: State) -> State:
        """The state after the wait, with that written down first: it is never waited for again."""
        op, value, stack = state
        return state if self.after is None or type(op) is Note else (Note(self.after, op), value, stack)


def _wait(history: History, seconds: float, now: float, key: str) -> Wait:
    """What is left of a wait, by what the journal says of it."""
    until = history.wakes(key)
    woke = {"kind": "woke", "key": key}
    if history.woke(key) or (until is None and seconds <= 0):
        return Wait(0.0, None, None)
    if until is not None:
        # A clock that was set back makes no wait longer than it was.
        return Wait(min(seconds, max(0.0, until - now)), None, woke)
    return Wait(seconds, {"kind": "wait", "key": key, "until": now + seconds}, woke)


def _known_spending(history: History, held: Any, request: Hold, value: Any, stack: Any) -> None:
    """A budget begins with what the journal says was spent under it."""
    if type(held) is Ledger:
        held.key = history.key(Trail(stack, (), value, request.node).key())
        for spent in history.spent(held.key):
            held.enter(spent)


def _spending(claim: Claim | None) -> Document:
    """What an entry says of budgets: what was spent, and under which."""
    if claim is None:
        return {}
    return {"spent": claim.spent, "under": [one.key for one in claim.ledger.chain()]}


def _again_key(history: History, request: Sleep, stack: Any) -> str:
    return history.key(wait_key(request, stack))


# --- in this thread --------------------------------------------------------------------------------------------------


def durable_direct(driver: type[Direct]) -> Any:
    """A driver of this thread that keeps a journal."""

    class Durable(driver):  # type: ignore[misc,valid-type]
        __slots__ = ()

        def segment(self, segment: Segment, value: Any, stack: Any) -> State:
            state: State
            if driver is not Direct:
                state = super().segment(segment, value, stack)
            elif self.bounds or len(segment.leaves) > 1:
                state = self.careful(segment, value, stack)
            else:
                made = self.perform(segment, 0, segment.leaves[0], value, stack)
                state = fallen(segment, made, stack) if type(made) is Fell else (LEAVE, made, stack)
            return state

        def perform(self, segment: Segment, index: int, leaf: Leaf, value: Any, stack: Any, row: Any = None) -> Any:
            """One action, unless the journal has its outcome."""
            if type(leaf.node) is Pure:
                return super().perform(segment, index, leaf, value, stack, row)
            history = self.env.history
            key = history.keys.of(stack, leaf.at)
            if history.moved is not None:
                key = history.moved.recorded(key)
            made = history.answer(key, leaf, index, value, stack)
            if made is not NEW:
                return made
            given, began = before(leaf.node, value), self.env.clock()
            made = super().perform(segment, index, leaf, value, stack, row)
            if history.keeps(made):
                done = history.done(key, leaf, given, made, self.env.clock() - began)
                history.append([done | _spending(self.claim)])
            return made

        def hold(self, request: Hold, value: Any, stack: Any) -> State:
            before = len(self.turns)
            state: State = super().hold(request, value, stack)
            if len(self.turns) > before:
                _known_spending(self.env.history, self.turns[-1].turn, request, value, stack)
            return state

        def again(self, request: Sleep, stack: Any) -> bool:
            if request.node.bound.budget is None:
                return True
            history, key = self.env.history, _again_key(self.env.history, request, stack)
            granted = history.granted(key)
            if granted is None:
                granted = super().again(request, stack)
                history.append([{"kind": "again", "key": key, "granted": granted}])
            return bool(granted)

        def spin(self, spin: Spin, value: Any, stack: Any) -> State:
            """A loop around one action: between its rounds there is nothing that the machine would have to see."""
            if self.bounds or self.own is not None:
                return spin.inside(value, stack)
            node, test, done = spin.node, spin.test, 0
            while True:
                try:
                    goes_on = test(value)
                except Exception as error:  # noqa: BLE001  the condition is the user's
                    return untested(spin, error, value, stack)
                if not goes_on:
                    return LEAVE, value, stack
                if done == node.at_most:
                    return Spent(node), value, stack
                done += 1
                op, value, below = self.segment(spin.body, value, (ROUND, node, done, stack))
                if op is not LEAVE:
                    return op, value, below

        def open(self, request: Open, value: Any, stack: Any) -> State:
            state: State = _late(self.env.history, request, value, stack) or super().open(request, value, stack)
            return state

        def expired(self, value: Any, stack: Any) -> State | None:
            state = super().expired(value, stack)
            return None if state is None else noted(self.env.history, state)

        def fork(self, fork: Fork, value: Any, stack: Any) -> State:
            told = self.env.history.verdict(fork, stack)
            state: State = super().fork(fork, value, stack) if told is None else _retold(told, fork, stack)
            return state

        def turn(self, turn: Turn, value: Any, stack: Any) -> State:
            return noted(self.env.history, super().turn(turn, value, stack))

        def note(self, request: Note, value: Any, stack: Any) -> State:
            self.env.history.append([request.document])
            return request.op, value, stack

        def waited(self, seconds: float, request: Sleep | Until, value: Any, stack: Any) -> State:
            history = self.env.history
            wait = _wait(history, seconds, self.env.now(), history.key(wait_key(request, stack)))
            if wait.before is not None:
                history.append([wait.before])
            return wait.over(super().waited(wait.seconds, request, value, stack))

        def asked(self, request: Asked | Retold, value: Any, stack: Any) -> State:
            if isinstance(request, Retold):
                return request.inside(value, stack)
            history = self.env.history
            key = history.key(Trail(stack, (), value, request.node).key())
            answer, document = history.reply(request, key)
            if document is not None:
                history.append([document])
            return _open(request, key, value, stack) if answer is NEW else request.answered(answer, value, stack)

        answers: ClassVar[dict[type, Callable[..., State]]] = {
            **driver.answers,
            Segment: segment,
            Spin: spin,
            Open: open,
            Hold: hold,
            Fork: fork,
            Turn: turn,
            Note: note,
            Asked: asked,
            Retold: asked,
        }

    return Durable


def _open(request: Asked, key: str, value: Any, stack: Any) -> State:
    """The suspension of a question that the journal knows by this key."""
    op, fault, below = request.inside(value, stack)
    (question,) = fault.questions
    return op, evolve(fault, questions=(evolve(question, key=key),)), below


def wait_key(request: Sleep | Until, stack: Any) -> str:
    """The key of a wait, in the plan of now."""
    if isinstance(request, Until):
        return Trail(stack, (), None, request.node).key()
    below = key_of(stack)
    return below.at(())


# --- on an event loop ------------------------------------------------------------------------------------------------


def durable_driver(driver: Any) -> Any:
    """A concurrent driver class that keeps a journal."""

    class Durable(driver):  # type: ignore[misc]
        __slots__ = ()

        async def perform(
            self, segment: Segment, index: int, leaf: Leaf, value: Any, stack: Any, row: Any = None
        ) -> Any:
            """One action, unless the journal has its outcome."""
            if type(leaf.node) is Pure:
                return await super().perform(segment, index, leaf, value, stack, row)
            history = self.env.history
            key = history.keys.of(stack, leaf.at)
            if history.moved is not None:
                key = history.moved.recorded(key)
            made = history.answer(key, leaf, index, value, stack)
            if made is not NEW:
                return made
            given, began = before(leaf.node, value), self.env.clock()
            made = await super().perform(segment, index, leaf, value, stack, row)
            if history.keeps(made):
                done = history.done(key, leaf, given, made, self.env.clock() - began)
                await history.tick.write(done | _spending(self.claim))
            return made

        async def hold(self, request: Hold, value: Any, stack: Any) -> State:
            state: State = await super().hold(request, value, stack)
            _known_spending(self.env.history, self.turns[-1].turn, request, value, stack)
            return state

        async def again(self, request: Sleep, stack: Any) -> bool:
            if request.node.bound.budget is None:
                return True
            history, key = self.env.history, _again_key(self.env.history, request, stack)
            granted = history.granted(key)
            if granted is None:
                granted = await super().again(request, stack)
                await history.tick.write({"kind": "again", "key": key, "granted": granted})
            return bool(granted)

        def open(self, request: Open, value: Any, stack: Any) -> State:
            state: State = _late(self.env.history, request, value, stack) or super().open(request, value, stack)
            return state

        def expired(self, stack: Any, last: object, also: tuple[Fault, ...] = ()) -> State:
            return noted(self.env.history, super().expired(stack, last, also))

        async def fork(self, fork: Fork, value: Any, stack: Any) -> State:
            history = self.env.history
            told = history.verdict(fork, stack)
            if told is not None:
                return _retold(told, fork, stack)
            history.tick.forks += 1
            try:
                state = await super().fork(fork, value, stack)
            finally:
                history.tick.forks -= 1
            return noted(history, state)

        async def note(self, request: Note, value: Any, stack: Any) -> State:
            await self.env.history.tick.write(request.document)
            return request.op, value, stack

        async def waited(self, seconds: float, request: Sleep | Until, value: Any, stack: Any) -> State:
            history = self.env.history
            wait = _wait(history, seconds, self.env.now(), history.key(wait_key(request, stack)))
            if wait.before is not None:
                await history.tick.write(wait.before)
            return wait.over(await super().waited(wait.seconds, request, value, stack))

        async def asked(self, request: Asked, value: Any, stack: Any) -> State:
            history = self.env.history
            key = history.key(Trail(stack, (), value, request.node).key())
            answer, document = history.reply(request, key)
            if document is not None:
                await history.tick.write(document)
            return _open(request, key, value, stack) if answer is NEW else request.answered(answer, value, stack)

        instant: ClassVar[dict[type, Callable[..., State]]] = {**driver.instant, Open: open}
        waits: ClassVar[dict[type, Callable[..., Any]]] = {
            **driver.waits,
            Segment: _one_by_one if driver.waits[Segment] is Concurrent.segment else driver.waits[Segment],
            Hold: hold,
            Sleep: Concurrent.sleep,
            Note: note,
            Asked: asked,
        }

    return Durable


async def _one_by_one(driver: Any, segment: Segment, value: Any, stack: Any) -> State:
    """A straight run, one action after the other."""
    made = await driver.careful(segment, value, stack)
    return fallen(segment, made, stack) if type(made) is Fell else (LEAVE, made, stack)


class Tick:
    """Entries that are appended together: what ends in one tick of the event loop goes into one transaction."""

    def __init__(self, history: History, env: Any) -> None:
        self.history = history
        self.backend = env.backend
        self.forks = 0
        """Forks that are open; without one nothing can end beside anything else."""
        self.seconds = 0.0
        """What an append takes lately."""
        self._batch: _Batch | None = None
        self._before: _Batch | None = None
        self._one = anyio.CapacityLimiter(1)

    async def write(self, document: Document) -> None:
        """Go on when the entry is safe. Errors: ``Halt``."""
        batch = self._batch
        if batch is not None:
            batch.documents.append(document)
            await self.backend.settled(batch.over)
        elif not self.forks and self.seconds < _SLOW:
            self._append([document])
            return
        else:
            batch = self._batch = _Batch(document, self.backend.event())
            try:
                # Whatever else ends in this tick comes along.
                await self.backend.others()
            finally:
                await self._lead(batch)
        if batch.halt is not None:
            raise Halt(batch.halt.reason)

    async def close(self) -> None:
        """Wait for what is still being written."""
        if self._before is not None and not self._before.done:
            await self.backend.outlast(self._before.over)

    async def _lead(self, batch: _Batch) -> None:
        await self.close()
        self._before, self._batch = batch, None
        if self.seconds < _SLOW:
            batch.write(self._append)
            return
        try:
            await anyio.to_thread.run_sync(batch.write, self._append, abandon_on_cancel=True, limiter=self._one)
        except BaseException:
            # A cancelled hop may never have begun; whoever begins writes, and only once.
            batch.write(self._append)
            if not batch.done:
                await self.backend.outlast(batch.over)
            raise

    def _append(self, documents: list[Document]) -> None:
        began = perf_counter()
        self.history.append(documents)
        self.seconds += _SHARE * (perf_counter() - began - self.seconds)


class _Batch:
    """Entries on their way."""

    __slots__ = ("_begun", "_lock", "documents", "done", "halt", "over")

    def __init__(self, document: Document, over: Any) -> None:
        self.documents = [document]
        self.over = over
        self.halt: Halt | None = None
        self.done = False
        self._begun = False
        self._lock = Lock()

    def write(self, append: Callable[[list[Document]], None]) -> None:
        """Append and tell everyone who waits, once."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
        try:
            append(self.documents)
        except Halt as halt:
            self.halt = halt
        except BaseException as error:
            self.halt = Halt(error)
            raise
        finally:
            self.done = True
            self.over.set()


_SLOW = 0.002
"""Units: seconds. An append that takes longer than this on average would hold up the event loop too much."""
_SHARE = 0.2
