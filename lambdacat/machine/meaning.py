"""The machine: what every node means, said once, for every interpreter. Forks are next door, in ``fork``.

A state is ``(op, value, stack)``; the stack is a cons list of frames ``(kind, node, data, below)``. ``advance`` enters
nodes and leaves frames until it needs an effect, and asks for it: a request. It performs nothing, reads no clock and
awaits nothing, and no state is ever changed, so a state can be resumed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from returns.result import Failure, Success

from lambdacat.asking import Ask, SleepUntil
from lambdacat.bound import Budget, Guarded, Limited, Retry, Timeout
from lambdacat.condition import Condition
from lambdacat.fault import (
    Fault,
    LoopLimit,
    NoBranch,
    Waiting,
    located,
    settled,
)
from lambdacat.machine.fork import Fork, Join, Retold, Turn, enter_join
from lambdacat.machine.ops import CLOSE_LOST, CLOSE_WON, FAIL, LEAVE, LOST, PAUSE, WON, State, _Drop, _Leave, fault_of
from lambdacat.machine.pausing import enter_ask, enter_sleep_until
from lambdacat.machine.segment import Request, Segment, pieces, straight, unread
from lambdacat.machine.trail import Kind, Trail, frames
from lambdacat.optics import Iso, Lens, Traversal
from lambdacat.plan import (
    Attempt,
    Bind,
    Choose,
    Composite,
    Focus,
    LoopWhile,
    Named,
    Parallel,
    Plan,
    Pure,
    Recover,
    Sequence,
    Task,
    Within,
    _Fail,
    _Identity,
)
from lambdacat.telling import is_all_kernel

# --- requests --------------------------------------------------------------------------------------------------------


class Spin(Request):
    """A loop whose body is one straight run, asked for as a whole."""

    __slots__ = ("at_most", "body", "node", "test")

    def __init__(self, node: LoopWhile[Any, Any], body: Segment) -> None:
        self.node = node
        self.body = body
        self.at_most = node.at_most
        self.test = plain_test(node.condition)

    def inside(self, value: Any, stack: Any) -> State:
        return _turn(self.node, value, 0, stack)


def untested(spin: Spin, error: Exception, value: Any, stack: Any) -> State:
    """The state after the condition of a loop raised."""
    node = spin.node
    return FAIL, fault_of(error, Trail(stack, (), value, node), node.name, value), stack


class Spent:
    """The op of a loop that has used up its turns while its condition still holds."""

    __slots__ = ("node",)

    def __init__(self, node: LoopWhile[Any, Any]) -> None:
        self.node = node


class Open(Request):
    """A bound begins around a plan."""

    __slots__ = ("node", "plan", "seconds")

    def __init__(self, node: Plan[Any, Any], plan: Any, seconds: float) -> None:
        self.node = node
        self.plan = plan
        self.seconds = seconds

    def inside(self, value: Any, stack: Any) -> State:
        return self.plan, value, (BOUND, self.node, None, stack)


class Hold(Request):
    """A plan wants a turn of a limiter or guard, or the book of a budget, which it holds until it ends."""

    __slots__ = ("bound", "node")

    def __init__(self, node: Within[Any, Any]) -> None:
        self.node = node
        self.bound = node.bound

    def inside(self, value: Any, stack: Any) -> State:
        return self.node.plan, value, (HELD, self.node, None, stack)


class GiveBack(Request):
    """A plan that held a turn has ended, by a value or by a fault."""

    __slots__ = ("node", "won")

    def __init__(self, node: Within[Any, Any], won: bool) -> None:
        self.node = node
        self.won = won

    def inside(self, value: Any, stack: Any) -> State:
        return (LEAVE if self.won else FAIL), value, stack


class Unwind(Request):
    """A deadline has passed inside of which turns were held: they are given back first."""

    __slots__ = ("down_to", "node")

    def __init__(self, node: Plan[Any, Any], down_to: int) -> None:
        self.node = node
        """Whose deadline it was."""
        self.down_to = down_to
        """How many turns are held outside the deadline."""

    def inside(self, value: Any, stack: Any) -> State:
        return FAIL, value, stack


class Called(Request):
    """A plan whose retries are counted is tried for the first time."""

    __slots__ = ("node",)

    def __init__(self, node: Within[Any, Any]) -> None:
        self.node = node

    def inside(self, value: Any, stack: Any) -> State:
        return self.node.plan, value, stack


class Sleep(Request):
    """A retried plan waits for its next attempt."""

    __slots__ = ("attempt", "fault", "node")

    def __init__(self, node: Within[Any, Any], attempt: int, fault: Fault) -> None:
        self.node = node
        self.attempt = attempt
        """The one that failed."""
        self.fault = fault

    def inside(self, value: Any, stack: Any) -> State:
        return self.node.plan, value, stack

    def given_up(self, stack: Any) -> State:
        """The state where it waits for none: too much has been retried."""
        return FAIL, self.fault, stack[3]


def _fail_at(fault: Fault, node: Plan[Any, Any], value: Any, stack: Any) -> State:
    return FAIL, located(fault, Trail(stack, (), value, node), node.name, value), stack


# --- entering nodes --------------------------------------------------------------------------------------------------


def plain_test(test: Any) -> Callable[[Any], Any]:
    """A condition or selector as the quickest callable with its meaning."""
    quick: Callable[[Any], Any] = test
    if isinstance(test, Lens):
        quick = test.getter
    elif isinstance(test, Condition):
        quick = test.test
    return quick


def _enter_task(node: Task[Any, Any, Any], value: Any, stack: Any) -> State:
    segment = node.memo("segment", _own_segment)
    return (segment if node.seconds is None else Open(node, segment, node.seconds)), value, stack


def _own_segment(node: Any) -> Segment:
    from lambdacat.machine.segment import Leaf, leaf_of

    if type(node) is Task:
        return Segment((Leaf(node, node.call, ()),))
    leaf = leaf_of(node, (), fused=False)
    return Segment((leaf,) if leaf is not None else ())


def _enter_pure(node: Pure[Any, Any], value: Any, stack: Any) -> State:
    return node.memo("segment", _own_segment), value, stack


def _enter_identity(node: Any, value: Any, stack: Any) -> State:
    return LEAVE, value, stack


def _enter_fail(node: _Fail, value: Any, stack: Any) -> State:
    return _fail_at(node.fault, node, value, stack)


def _pieces(node: Sequence[Any, Any]) -> Any:
    return pieces(node, fused=True)


def _enter_sequence(node: Sequence[Any, Any], value: Any, stack: Any) -> State:
    row = node.memo("pieces", _pieces)
    return row[0][0], value, (SEQUENCE, node, (1, row), stack)


def _enter_sequence_apart(node: Sequence[Any, Any], value: Any, stack: Any) -> State:
    """As ``_enter_sequence``, with a focused leaf entered as the two nodes that it is."""
    row = node.memo("steps apart", lambda n: pieces(n, fused=False))
    return row[0][0], value, (SEQUENCE, node, (1, row), stack)


def _leave_sequence(value: Any, node: Any, data: Any, below: Any) -> State:
    index, row = data
    steps = row[0]
    if index == len(steps):
        return LEAVE, value, below
    return steps[index], value, (SEQUENCE, node, (index + 1, row), below)


def _enter_parallel(node: Parallel[Any, Any], value: Any, stack: Any) -> State:
    branches = node.branches
    return Fork(node, value, branches, None, len(branches)), value, stack


def _enter_choose(node: Choose[Any, Any], value: Any, stack: Any) -> State:
    key = node.memo("select", lambda n: plain_test(n.selector))(value)
    if node.binary:
        index = 0 if key else 1
        return node.plans[index], value, (CHOICE, node, index, stack)
    places = node.memo("places", lambda n: {k: i for i, k in enumerate(n.keys)})
    index = places.get(key)
    if index is None:
        if not node.has_default:
            return _fail_at(NoBranch(key=key, known=node.keys, input=value), node, value, stack)
        index = len(node.plans) - 1
    return node.plans[index], value, (CHOICE, node, index, stack)


def _enter_focus(node: Focus[Any, Any], value: Any, stack: Any) -> State:
    reads = node.reads
    if isinstance(reads, (Lens, Iso)):
        return node.plan, reads.get(value), (PART, node, value, stack)
    if isinstance(reads, Traversal):
        parts = reads.get_all(value)
        if not parts:
            return LEAVE, (value if node.writes is None else node.writes.set(value, ())), stack
    else:
        parts = reads.parts(value)
        if not parts:
            return LEAVE, value, stack
    return Fork(node, value, None, parts, len(parts)), value, stack


def _leave_part(value: Any, node: Any, whole: Any, below: Any) -> State:
    return LEAVE, (node.reads if node.writes is None else node.writes).set(whole, value), below


def _loop_body(node: LoopWhile[Any, Any]) -> Segment | None:
    body = straight(node.plan, fused=True)
    return body if body is not None and body.plain else None


def _enter_loop(node: LoopWhile[Any, Any], value: Any, stack: Any) -> State:
    spin = node.memo("spin", lambda n: None if (body := _loop_body(n)) is None else Spin(n, body))
    if spin is not None:
        return spin, value, stack
    return _turn(node, value, 0, stack)


_BREATH = 256
"""Rounds between two pauses: often enough to be cancelled promptly, seldom enough to cost nothing."""


def _test_of(node: LoopWhile[Any, Any]) -> Callable[[Any], Any]:
    return plain_test(node.condition)


def _turn(node: LoopWhile[Any, Any], value: Any, done: int, stack: Any) -> State:
    if not node.memo("test", _test_of)(value):
        return LEAVE, value, stack
    if done == node.at_most:
        return Spent(node), value, stack
    return node.plan, value, (ROUND, node, done + 1, stack)


def _leave_round(value: Any, node: Any, done: Any, below: Any) -> State:
    if done % _BREATH == 0:
        return PAUSE, value, (REST, node, done, below)
    return _turn(node, value, done, below)


def _leave_rest(value: Any, node: Any, done: Any, below: Any) -> State:
    return _turn(node, value, done, below)


def _enter_spent(op: Spent, value: Any, stack: Any) -> State:
    node = op.node
    if node.then is None:
        assert node.at_most is not None
        return _fail_at(LoopLimit(at_most=node.at_most, value=value, input=value), node, value, stack)
    return node.then, value, (AFTER, node, None, stack)


def _enter_recover(node: Recover[Any, Any], value: Any, stack: Any) -> State:
    return node.plan, value, (TRY, node, value, stack)


def _failed_try(fault: Fault, node: Any, given: Any, below: Any) -> State:
    if isinstance(fault, Waiting):
        return FAIL, fault, below
    if node.other is not None:
        return node.other, given, (OTHER, node, None, below)
    plan = node.handler(settled(fault))
    if not isinstance(plan, Plan):
        raise TypeError(f"the handler must give a plan, and gave {plan!r}; pure(lambda _: value) is one")
    return plan, given, (HANDLED, node, None, below)


def _enter_attempt(node: Attempt[Any, Any], value: Any, stack: Any) -> State:
    return node.plan, value, (ATTEMPT, node, value, stack)


def _leave_attempt(value: Any, node: Any, data: Any, below: Any) -> State:
    return LEAVE, Success(value), below


def _failed_attempt(fault: Fault, node: Any, data: Any, below: Any) -> State:
    return (FAIL, fault, below) if isinstance(fault, Waiting) else (LEAVE, Failure(settled(fault)), below)


def _enter_within(node: Within[Any, Any], value: Any, stack: Any) -> State:
    bound = node.bound
    if type(bound) is Timeout:
        return Open(node, node.plan, bound.seconds), value, stack
    if type(bound) is Retry:
        first = bound.budget is not None and not _retried_with(bound.budget, stack)
        return (Called(node) if first else node.plan), value, (TRIES, node, (1, value), stack)
    if type(bound) in (Limited, Guarded):
        return Hold(node), value, stack
    if type(bound) is Budget:
        return (Hold(node) if bound.seconds is None else Open(node, Hold(node), bound.seconds)), value, stack
    raise TypeError(f"no interpreter knows the bound {bound!r}")


def _retried_with(budget: Any, stack: Any) -> bool:
    """Whether a retry around it draws on the same budget."""
    return any(kind is TRIES and node.bound.budget is budget for kind, node, _ in frames(stack))


def _failed_try_again(fault: Fault, node: Any, data: Any, below: Any) -> State:
    attempt, given = data
    bound = node.bound
    if isinstance(fault, Waiting) or bound.schedule.delay(attempt) is None:
        return FAIL, fault, below
    if not bound.accepts(fault):
        return FAIL, fault, below
    return Sleep(node, attempt, fault), given, (TRIES, node, (attempt + 1, given), below)


def _enter_bind(node: Bind[Any, Any], value: Any, stack: Any) -> State:
    plan = node.f(value)
    if not isinstance(plan, Plan):
        raise TypeError(f"the function of a bind must give a plan, and gave {plan!r}")
    return plan, value, (BOUND_TO, node, None, stack)


def _enter_composite(node: Composite[Any, Any], value: Any, stack: Any) -> State:
    return node.expansion, value, (NAME, node, None, stack)


# --- frames ----------------------------------------------------------------------------------------------------------


def _through(value: Any, node: Any, data: Any, below: Any) -> State:
    return LEAVE, value, below


def _piece(node: Any, data: Any) -> int | None:
    index, row = data
    place: int | None = row[1][index - 1]
    return place


def _closed(value: Any, node: Any, data: Any, below: Any) -> State:
    return CLOSE_WON, value, below


def _closed_lost(fault: Any, node: Any, data: Any, below: Any) -> State:
    return CLOSE_LOST, fault, below


def _given_back(value: Any, node: Any, data: Any, below: Any) -> State:
    return GiveBack(node, True), value, below


def _given_back_lost(fault: Any, node: Any, data: Any, below: Any) -> State:
    return GiveBack(node, False), fault, below


SEQUENCE = Kind(_leave_sequence, child=_piece)
CHOICE = Kind(_through, child=lambda node, index: index)
PART = Kind(_leave_part, whole=lambda whole: whole)
ROUND = Kind(_leave_round, turn=lambda done: done)
REST = Kind(_leave_rest, turn=lambda done: done)
AFTER = Kind(_through, child=1)
TRY = Kind(_through, _failed_try)
OTHER = Kind(_through, child=1)
HANDLED = Kind(_through, child="recover")
ATTEMPT = Kind(_leave_attempt, _failed_attempt, whole=lambda whole: whole)
BOUND = Kind(_closed, _closed_lost, child=lambda node, _: None if type(node) is Task else 0)
HELD = Kind(_given_back, _given_back_lost)
TRIES = Kind(_through, _failed_try_again, turn=lambda data: data[0], retried=True)
BOUND_TO = Kind(_through, child="bind")
NAME = Kind(_through)


def _leave(op: Any, value: Any, stack: Any) -> State:
    if stack is None:
        return WON, value, None
    kind, node, data, below = stack
    state: State = kind.leave(value, node, data, below)
    return state


def _drop(op: Any, fault: Any, stack: Any) -> State:
    while stack is not None:
        kind, node, data, below = stack
        if kind.fail is not None:
            state: State = kind.fail(fault, node, data, below)
            return state
        stack = below
    return LOST, fault, None


Table = dict[type, Callable[[Any, Any, Any], State]]

MEANING: Table = {
    Task: _enter_task,
    Pure: _enter_pure,
    _Identity: _enter_identity,
    _Fail: _enter_fail,
    Sequence: _enter_sequence,
    Parallel: _enter_parallel,
    Choose: _enter_choose,
    Focus: _enter_focus,
    LoopWhile: _enter_loop,
    Recover: _enter_recover,
    Attempt: _enter_attempt,
    Within: _enter_within,
    Bind: _enter_bind,
    Composite: _enter_composite,
    Named: _enter_composite,
    Ask: enter_ask,
    SleepUntil: enter_sleep_until,
    _Leave: _leave,
    _Drop: _drop,
    Spent: _enter_spent,
    Join: enter_join,
}


def _enter_loop_apart(node: LoopWhile[Any, Any], value: Any, stack: Any) -> State:
    return _turn(node, value, 0, stack)


def _enter_loop_around_a_task(node: LoopWhile[Any, Any], value: Any, stack: Any) -> State:
    spin = node.memo("spin apart", _spin_apart)
    return _turn(node, value, 0, stack) if spin is None else (spin, value, stack)


def _spin_apart(node: LoopWhile[Any, Any]) -> Spin | None:
    body = node.plan
    return Spin(node, _own_segment(body)) if type(body) is Task and body.seconds is None else None


APART: Table = {**MEANING, Sequence: _enter_sequence_apart, LoopWhile: _enter_loop_apart}
"""The same meaning with every node entered by itself, for interpreters that look at each action."""

ACTIONS_APART: Table = {**APART, LoopWhile: _enter_loop_around_a_task}
"""The same for those that look at actions alone: a loop around one action is asked for as a whole."""


def _learn(kind: type, table: Table) -> Callable[[Any, Any, Any], State]:
    """How a user's own class of nodes is entered."""
    if not issubclass(kind, Composite):
        raise TypeError(f"{kind.__name__} is no node that a machine can enter; derive it from Composite")
    table[kind] = table[Composite]
    return table[kind]


def advance(op: Any, value: Any, stack: Any, table: Table = MEANING) -> State:
    """The next request, with the value and the stack to go on from."""
    while True:
        try:
            while True:
                enter = table.get(type(op))
                if enter is None:
                    if isinstance(op, Request):
                        return op, value, stack
                    enter = _learn(type(op), table)
                op, value, stack = enter(op, value, stack)
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            op, value, stack = raised(error, op, value, stack)


def raised(error: Exception, op: Any, value: Any, stack: Any) -> State:
    """A user's function raised between two requests: a selector, lens, condition, handler, join or score."""
    if op is LEAVE or op is FAIL:
        while op is FAIL and stack[0].fail is None:
            stack = stack[3]
        kind, node, data, stack = stack
        value = _given(kind, data, value)
    elif isinstance(op, Plan):
        node = op
    elif isinstance(op, Sleep):
        # Its schedule raised: what it would try again must not meet the same schedule once more.
        node, stack = op.node, stack[3]
    elif isinstance(op, Segment):
        node = op.leaves[0].node
    elif isinstance(op, (Join, Retold, Turn)):
        node, value = op.fork.node, op.fork.value
    else:
        node = op.node
    looks = isinstance(node, Focus) and op is node and is_all_kernel(error.__traceback__)
    found = unread(node, (), (node.reads,), value) if looks else None
    reading = "" if found is None else found.reading
    return FAIL, fault_of(error, Trail(stack, (), value, node), node.name, value, reading=reading), stack


def _given(kind: Kind, data: Any, value: Any) -> Any:
    """What the node of a frame was given, where that is not the value or fault that it is left by."""
    if kind is TRIES:
        return data[1]
    return data if kind in (TRY, ATTEMPT, PART) else value
