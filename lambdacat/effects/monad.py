"""Bring your own monad: the public record, and how it answers the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context as ContextVars
from contextvars import copy_context
from typing import Any, Generic, NamedTuple, TypeVar, final

from attrs import frozen

from lambdacat.fault import Waiting
from lambdacat.machine.environment import ActionCall, Environment
from lambdacat.machine.fork import EDGE, Fork, Join, Turn
from lambdacat.machine.meaning import advance, raised
from lambdacat.machine.ops import FAIL, LEAVE, End, State, fallen
from lambdacat.machine.pausing import suspended
from lambdacat.machine.segment import Fell, Leaf, Request, Segment, finish
from lambdacat.machine.trail import Trail
from lambdacat.wiring import AWAITABLE

A = TypeVar("A")
M = TypeVar("M")


@final
@frozen(kw_only=True)
class Monad(Generic[M]):
    """The operations that give a plan one meaning; ``M`` is the type of a wrapped value, such as ``list[Any]``.

    ``unit`` and ``bind`` are enough; the rest only makes a meaning faster, deeper or concurrent.
    Law: the monad laws; leaving an optional operation out changes no result, up to depth.
    """

    unit: Callable[[Any], M]
    """A plain value, wrapped."""
    bind: Callable[[M, Callable[[Any], M]], M]
    """A wrapped value, then an arrow."""
    perform: Callable[[Callable[[Any], Any], Any], M] | None = None
    """One action, whose ``__name__`` is its task's, on its input; by default it is called and its result wrapped."""
    iterate: Callable[[Callable[[Any], M], Any], M] | None = None
    """Tail-recursive ``bind`` for deep plans: repeat the arrow until it gives a ``Done``, and give that one's value.

    None builds it from ``bind`` and is not stack-safe.
    """
    gather: Callable[[Sequence[M]], M] | None = None
    """Many wrapped values as one wrapped tuple; None binds them left to right."""


@final
@frozen
class Done:
    """The end of an iteration."""

    value: Any


class _Rest(Request):
    """A straight run from its i-th action on."""

    __slots__ = ("index", "segment")

    def __init__(self, segment: Segment, index: int) -> None:
        self.segment = segment
        self.index = index


class _Seen(NamedTuple):
    """The context variables that a state sees. Part of the state, so that one that is resumed twice starts alike."""

    own: ContextVars
    around: _Seen | None
    """What the fork around it sees."""

    def entered(self) -> _Seen:
        """As seen by a branch of a fork that sees this."""
        return _Seen(self.own.copy(), self)


class Lifted:
    """How a record of the user's answers the machine."""

    def __init__(self, monad: Monad[Any], env: Environment) -> None:
        self.monad = monad
        self.env = env
        self.perform = monad.perform or (lambda action, value: monad.unit(action(value)))

    def begin(self, plan: Any, value: Any) -> Any:
        """From the beginning to the end, inside the monad; what actions set stays inside."""
        return self.iterate((plan, value, None), _Seen(copy_context(), None))

    def iterate(self, at: State, seen: _Seen) -> Any:
        """From a state to the end, inside the monad."""
        state = (*at, seen)
        if self.monad.iterate is not None:
            return self.monad.iterate(self.move, state)
        unit, bind = self.monad.unit, self.monad.bind

        def step(at: Any) -> Any:
            return bind(self.move(at), lambda made: unit(made.value) if isinstance(made, Done) else step(made))

        return step(state)

    def move(self, state: Any) -> Any:
        """The next action, or branches, or the end; everything else on the way has no effect in any monad."""
        op, value, stack, seen = state
        while True:
            op, value, stack = seen.own.run(advance, op, value, stack)
            if isinstance(op, End):
                return self.monad.unit(Done((op.won, value)))
            if isinstance(op, (Segment, _Rest)):
                moved = self.action(op, value, stack, seen)
            elif isinstance(op, Fork) and self.monad.gather is not None:
                moved = self.fork(op, stack, seen)
            else:
                moved = self.answered(op, value, stack, seen)
            if type(moved) is not tuple:
                return moved.value
            op, value, stack, seen = moved

    def answered(self, op: Any, value: Any, stack: Any, seen: _Seen) -> Any:
        """The state after what the machine itself makes of a request."""
        try:
            return *seen.own.run(op.inside, value, stack), _around(op, seen)
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            return *raised(error, op, value, stack), seen

    def action(self, op: Segment | _Rest, value: Any, stack: Any, seen: _Seen) -> Any:
        """One action, performed: ``Done`` around what is wrapped, or the state after it failed."""
        segment, index = (op, 0) if isinstance(op, Segment) else (op.segment, op.index)
        call = _Call(self, segment.leaves[index], stack, seen)
        try:
            made = self.perform(call, value)
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            return *fallen(segment, Fell(index, error, value), stack), call.seen
        after: Any = LEAVE if index + 1 == len(segment.leaves) else _Rest(segment, index + 1)
        return Done(self.monad.bind(made, lambda result: self.monad.unit((after, result, stack, call.seen))))

    def fork(self, fork: Fork, stack: Any, seen: _Seen) -> Any:
        """All branches, gathered by the monad: ``Done`` around what is wrapped, or the state after a copy raised."""
        assert self.monad.gather is not None
        try:
            given = [fork.input(i) for i in range(fork.total)]
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            return *raised(error, fork, fork.value, stack), seen
        edges = [(EDGE, fork.node, Turn(fork, fork.race(), i), stack) for i in range(fork.total)]
        branches = [self.iterate((fork.plan(i), given[i], edge), seen.entered()) for i, edge in enumerate(edges)]

        def joined(ended: Sequence[tuple[bool, Any]]) -> Any:
            entries = [(i, won, value) for i, (won, value) in enumerate(ended)]
            held = [(i, value) for i, won, value in entries if not won and isinstance(value, Waiting)]
            race = fork.race().offer([entry for entry in entries if entry[1] or not isinstance(entry[2], Waiting)])
            if race.verdict is None:
                return self.monad.unit((FAIL, suspended(held), stack, seen))
            return self.monad.unit((Join(fork, race.verdict), None, stack, seen))

        return Done(self.monad.bind(self.monad.gather(branches), joined))


def _around(op: Any, seen: _Seen) -> _Seen:
    """What the machine's own answer to a request sees: each branch what its fork saw, and the fork that again."""
    if isinstance(op, Fork):
        return seen.entered()
    if not isinstance(op, Turn):
        return seen
    assert seen.around is not None
    return seen.around if op.over else seen.around.entered()


class _Call:
    """One action as a plain callable of its input, under the name of its task."""

    __slots__ = ("__name__", "_before", "_leaf", "_lifted", "_stack", "seen")

    def __init__(self, lifted: Lifted, leaf: Leaf, stack: Any, before: _Seen) -> None:
        self.__name__ = leaf.node.name
        self._lifted = lifted
        self._leaf = leaf
        self._stack = stack
        self._before = before
        self.seen = before
        """What is seen after it."""

    def __call__(self, value: Any) -> Any:
        self.seen = self._before._replace(own=self._before.own.copy())
        return self.seen.own.run(self._made, value)

    def _made(self, value: Any) -> Any:
        leaf, env = self._leaf, self._lifted.env
        if leaf.call.wants_context:
            site = Trail(self._stack, leaf.at, value, leaf.node)
            made = leaf.fn(value, env.context.calling(ActionCall(env, site, self._stack)))
        else:
            made = leaf.fn(value)
        return finish(made) if AWAITABLE[type(made)] else made
