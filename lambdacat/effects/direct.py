"""The identity monad: requests answered in this thread, branches left to right."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from itertools import repeat
from math import inf
from typing import Any, ClassVar, TypeVar

from lambdacat.bound import Budget, Limits
from lambdacat.effects.ledger import Claim, Ledger
from lambdacat.effects.turns import Here, Turned, turn_of
from lambdacat.fault import BudgetExceeded, OverBudget, TimedOut, Unpriced
from lambdacat.machine.environment import ActionCall, Environment
from lambdacat.machine.fork import PROMPT, Fork, Overtime, Retold, Turn
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
    advance,
    raised,
    untested,
)
from lambdacat.machine.ops import FAIL, LEAVE, Close, End, Pause, State, fallen
from lambdacat.machine.pausing import Asked, Until
from lambdacat.machine.segment import Fell, Segment, finish, flat, flat_probing
from lambdacat.machine.trail import Trail
from lambdacat.plan import Plan, Task, Within
from lambdacat.wiring import AWAITABLE

A = TypeVar("A")
B = TypeVar("B")

_LIMITS = Limits()


class Bound:
    """A deadline that is open: whose it is, and where to go on when it has passed."""

    __slots__ = ("before", "contexts", "deadline", "node", "own", "owner", "seconds", "stack", "turn", "turns", "value")

    def __init__(
        self, deadline: float, seconds: float, node: Any, value: Any, stack: Any, outer: Bound | None = None
    ) -> None:
        self.deadline = deadline
        self.owner: Bound = self if outer is None or deadline < outer.owner.deadline else outer.owner
        """The one of all that are open whose deadline is least; the outer one of two."""
        self.seconds = seconds
        self.node = node
        self.value = value
        self.stack = stack
        self.turn: Turn | None = None
        """For a fork: the branch that is running."""
        self.contexts = 0
        self.turns = 0
        """How many turns of limiters were held when it was opened."""
        self.before = PROMPT
        """What had been counted when it was opened."""
        self.own: Any = None
        """Whose context variables were in force when it was opened."""

    def over_by(self, now: float, counted: Overtime = PROMPT) -> Overtime:
        """What it came to, from what is counted by now."""
        before = self.before
        late = max(0.0, now - self.deadline)
        return Overtime(late, counted.abandoned - before.abandoned, counted.unbegun - before.unbegun)

    def fault(self, now: float, counted: Overtime = PROMPT, **known: Any) -> TimedOut | BudgetExceeded:
        """What its node ends with; ``known``: what had been reached, and what else had failed."""
        site = Trail(self.stack, (), self.value, self.node)
        return passed_at(self.node, site, self.value, self.seconds, self.over_by(now, counted), **known)


def passed_at(
    node: Plan[Any, Any], site: Trail, value: Any, seconds: float, over: Overtime, **known: Any
) -> TimedOut | BudgetExceeded:
    """What a node ends with whose deadline has passed."""
    known |= {"at": site, "name": node.name, "input": value}
    if type(node) is Within and type(node.bound) is Budget:
        return BudgetExceeded(measure="seconds", cap=seconds, needed=seconds + over.late, **known)
    return TimedOut(seconds=seconds, **over._asdict(), **known)


class Direct:
    """The identity monad: a request is answered by its result, here and now."""

    __slots__ = ("bounds", "claim", "contexts", "env", "ledger", "own", "table", "turns")

    def __init__(self, env: Environment, table: Table = MEANING) -> None:
        self.env = env
        self.table = table
        self.bounds: list[Bound] = []
        self.own: Any = None
        """The context variables of the branch that is running; None outside every fork."""
        self.contexts: list[Any] = []
        self.turns: list[Turned] = []
        """The turns that are held, outermost first."""
        self.ledger: Ledger | None = None
        """The book of the nearest budget."""
        self.claim: Claim | None = None
        """What the last action has reserved and spent under it."""

    def iterate(self, state: State) -> tuple[bool, Any]:
        """From a state to the end of the run: whether it was won, and the value or fault."""
        answers, table = self.answers, self.table
        try:
            while True:
                own = self.own
                request, value, stack = advance(*state, table) if own is None else own.run(advance, *state, table)
                if type(request) is End:
                    return request.won, value
                try:
                    state = answers[type(request)](self, request, value, stack)
                except Exception as error:  # noqa: BLE001  a score or a copy of the user's raised
                    state = raised(error, request, value, stack)
        except BaseException as error:
            self.let_go(0, error)
            raise

    # Actions -------------------------------------------------------------------------------------------------------

    def segment(self, segment: Segment, value: Any, stack: Any) -> State:
        """A straight run."""
        if self.bounds or not segment.plain or self.ledger is not None:
            return self.careful(segment, value, stack)
        loop = flat if segment.quick else flat_probing
        made = loop(segment.fns, value) if self.own is None else self.own.run(loop, segment.fns, value)
        return fallen(segment, made, stack) if type(made) is Fell else (LEAVE, made, stack)

    def careful(self, segment: Segment, value: Any, stack: Any) -> State:
        """A straight run under a deadline or with contexts: one action after the other."""
        for index, leaf in enumerate(segment.leaves):
            if self.bounds and (late := self.expired(value, stack)) is not None:
                return late
            made = self.perform(segment, index, leaf, value, stack)
            if type(made) is Fell:
                return fallen(segment, made, stack)
            value = made
        return LEAVE, value, stack

    def perform(self, segment: Segment, index: int, leaf: Any, value: Any, stack: Any, row: Any = None) -> Any:
        """One action, within the budgets around it."""
        if self.ledger is None or type(leaf.node) is not Task:
            self.claim = None
            return self.call(index, leaf, value, stack, row)
        try:
            claim = self.claim = self.ledger.claim(leaf.node)
        except (OverBudget, Unpriced) as error:
            return Fell(index, error, value)
        try:
            made = self.call(index, leaf, value, stack, row)
        except BaseException:
            claim.give_back()
            raise
        claim.settle()
        return made

    def call(self, index: int, leaf: Any, value: Any, stack: Any, row: Any) -> Any:
        """One call of an action."""
        given: tuple[Any, ...] = (value,)
        if leaf.call.wants_context:
            call = ActionCall(self.env, Trail(stack, leaf.at, value, leaf.node), stack, row, self.claim)
            given = (value, self.env.context.calling(call))
        try:
            made = leaf.fn(*given) if self.own is None else self.own.run(leaf.fn, *given)
            if AWAITABLE[type(made)]:
                made = finish(made) if self.own is None else self.own.run(finish, made)
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            return Fell(index, error, value)
        return made

    def spin(self, spin: Spin, value: Any, stack: Any) -> State:
        """A loop around a straight run."""
        if self.own is not None:
            state: State = self.own.run(spin.inside, value, stack)
            return state
        if self.bounds or not spin.body.quick or self.ledger is not None:
            return spin.inside(value, stack)
        return whirl(spin, value, stack)

    # Bounds --------------------------------------------------------------------------------------------------------

    def expired(self, value: Any, stack: Any) -> State | None:
        """Where to go on when a deadline has passed: at the node whose deadline was least."""
        now, owner = self.env.clock(), self.bounds[-1].owner
        if now < owner.deadline:
            return None
        del self.bounds[self.bounds.index(owner) :]
        del self.contexts[owner.contexts :]
        self.own = owner.own
        self.let_go(owner.turns)
        # A run that goes on in another process must say the same, and does not know how far it had come.
        known: dict[str, Any] = {"last": Trail(stack, (), value).last()} if self.env.history is None else {}
        fault = owner.fault(now, **known)
        if owner.turn is None:
            return FAIL, fault, owner.stack
        turn = owner.turn
        race = turn.race.offer([(turn.index, False, fault)]).expired()
        return Turn(turn.fork, race, turn.index, turn.held, owner.over_by(now)).inside(None, owner.stack)

    def bind(self, seconds: float, node: Any, value: Any, stack: Any) -> None:
        """Open a deadline."""
        outer = self.bounds[-1] if self.bounds else None
        bound = Bound(self.env.clock() + seconds, seconds, node, value, stack, outer)
        bound.contexts, bound.turns, bound.own = len(self.contexts), len(self.turns), self.own
        self.bounds.append(bound)

    def open(self, request: Open, value: Any, stack: Any) -> State:
        """A deadline begins."""
        self.bind(request.seconds, request.node, value, stack)
        return request.inside(value, stack)

    def hold(self, request: Hold, value: Any, stack: Any) -> State:
        """A turn, waited for no longer than a deadline."""
        held = turn_of(request.bound, value, self.turns, self.ledger, self.env.clock)
        turn = held.turn
        if isinstance(turn, Here):
            left = self.bounds[-1].owner.deadline - self.env.clock() if self.bounds else inf
            entered = turn.enter_here(self.env.clock, self.wait, max(0.0, left))
            if self.bounds and (late := self.expired(value, stack)) is not None:
                if entered:
                    turn.leave_here()
                return late
            if not entered:
                return request, value, stack  # its patience and the deadline are rounded apart, or on two clocks
        else:
            finish(turn.__aenter__())
        self.turns.append(held)
        if type(turn) is Ledger:
            self.ledger = turn
        return request.inside(value, stack)

    def give_back(self, request: GiveBack, value: Any, stack: Any) -> State:
        """A turn is given back."""
        try:
            self.turns[-1].told(request.won, value)
        finally:
            self.let_go(len(self.turns) - 1)
        return request.inside(value, stack)

    def let_go(self, down_to: int, error: BaseException | None = None) -> None:
        """Give back the turns that were taken last. Errors: what a limiter raises, after all of them."""
        failed: Exception | None = None
        while len(self.turns) > down_to:
            turn = self.turns.pop().turn
            if type(turn) is Ledger:
                self.ledger = turn.outer
            try:
                if isinstance(turn, Here):
                    turn.leave_here()
                else:
                    finish(turn.__aexit__(type(error) if error else None, error, None))
            except Exception as broken:  # noqa: BLE001  the others are given back all the same
                failed = failed or broken
        if failed is not None and error is None:
            raise failed

    def close(self, request: Close, value: Any, stack: Any) -> State:
        """A deadline ends; what came too late is late, even if nothing could look in between."""
        if request.won and self.env.clock() >= self.bounds[-1].owner.deadline:
            late = self.expired(value, stack)
            if late is not None:
                return late
        self.bounds.pop()
        return request.inside(value, stack)

    def called(self, request: Called, value: Any, stack: Any) -> State:
        """A first try is counted."""
        request.node.bound.budget.called()
        return request.inside(value, stack)

    def again(self, request: Sleep, stack: Any) -> bool:
        """Whether there may be a next attempt."""
        budget = request.node.bound.budget
        return budget is None or bool(budget.again())

    def sleep(self, request: Sleep, value: Any, stack: Any) -> State:
        """Wait before the next attempt, but no longer than a deadline."""
        if not self.again(request, stack):
            return request.given_up(stack)
        seconds = self.env.delay(request, stack)
        if self.env.recorder is not None:
            self.env.recorder.retrying(request, seconds, stack)
        return self.waited(seconds, request, value, stack)

    def waited(self, seconds: float, request: Sleep | Until, value: Any, stack: Any) -> State:
        """Go on after ``seconds``, or when a deadline has passed."""
        if self.bounds:
            left = self.bounds[-1].owner.deadline - self.env.clock()
            self.wait(min(seconds, max(0.0, left)))
            if (late := self.expired(value, stack)) is not None:
                return late
        else:
            self.wait(seconds)
        return request.inside(value, stack)

    def wait(self, seconds: float) -> None:
        """Let time pass on the run's clock."""
        if seconds > 0:
            getattr(self.env.clock, "sleep", time.sleep)(seconds)

    def until(self, request: Until, value: Any, stack: Any) -> State:
        """Wait for an instant, but no longer than a deadline."""
        return self.waited(request.seconds - self.env.now(), request, value, stack)

    def asked(self, request: Asked | Retold, value: Any, stack: Any) -> State:
        """What the machine knows to answer itself: a question stays open."""
        return request.inside(value, stack)

    # Forks ---------------------------------------------------------------------------------------------------------

    def fork(self, fork: Fork, value: Any, stack: Any) -> State:
        """Branches, from left to right."""
        if fork.seconds is not None:
            self.bind(fork.seconds, fork.node, value, stack)
        self.contexts.append(self.own)
        return self.turn(Turn(fork, fork.race(), 0), value, stack)

    def turn(self, turn: Turn, value: Any, stack: Any) -> State:
        """The next branch in context variables of its own, or the verdict."""
        fork = turn.fork
        if fork.seconds is not None and turn.race.verdict is None:
            bound = self.bounds[-1]
            if (now := self.env.clock()) >= bound.deadline:
                turn = Turn(fork, turn.race.expired(), turn.index, turn.held, bound.over_by(now))
            bound.turn = turn
        if turn.over:
            self.own = self.contexts.pop()
            if fork.seconds is not None:
                self.bounds.pop()
            if self.env.recorder is not None:
                self.env.recorder.skipped(fork, turn.index, stack)
        else:
            outer = self.contexts[-1]
            self.own = copy_context() if outer is None else outer.copy()
        return turn.inside(value, stack)

    def pause(self, request: Pause, value: Any, stack: Any) -> State:
        """A loop without actions still minds its deadline."""
        if self.bounds and (late := self.expired(value, stack)) is not None:
            return late
        return request.inside(value, stack)

    answers: ClassVar[dict[type, Callable[..., State]]] = {
        Segment: segment,
        Spin: spin,
        Fork: fork,
        Turn: turn,
        Open: open,
        Close: close,
        Hold: hold,
        GiveBack: give_back,
        Called: called,
        Sleep: sleep,
        Pause: pause,
        Until: until,
        Asked: asked,
        Retold: asked,
    }


def whirl(spin: Spin, value: Any, stack: Any) -> State:
    """A loop of plain calls, as flat as Python has it: two ``try`` that cost nothing tell test and body apart."""
    test, fns, at_most = spin.test, spin.body.fns, spin.at_most
    fn = fns[0]
    single = len(fns) == 1
    # One iterator counts the turns; without a bound it never ends.
    turns = repeat(None) if at_most is None else repeat(None, at_most)
    for _ in turns:
        try:
            if not test(value):
                return LEAVE, value, stack
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            return untested(spin, error, value, stack)
        if single:
            try:
                value = fn(value)
            except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
                return fallen(spin.body, Fell(0, error, value), (ROUND, spin.node, 0, stack))
        else:
            made = flat(fns, value)
            if type(made) is Fell:
                return fallen(spin.body, made, (ROUND, spin.node, 0, stack))
            value = made
    try:
        return (Spent(spin.node) if test(value) else LEAVE), value, stack
    except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
        return untested(spin, error, value, stack)
