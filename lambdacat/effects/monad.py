"""Bring your own monad: the public record, and how it answers the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, final

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


class Lifted:
    """How a record of the user's answers the machine."""

    def __init__(self, monad: Monad[Any], env: Environment) -> None:
        self.monad = monad
        self.env = env
        self.perform = monad.perform or (lambda action, value: monad.unit(action(value)))

    def iterate(self, state: State) -> Any:
        """From a state to the end, inside the monad."""
        if self.monad.iterate is not None:
            return self.monad.iterate(self.move, state)
        unit, bind = self.monad.unit, self.monad.bind

        def step(at: Any) -> Any:
            return bind(self.move(at), lambda made: unit(made.value) if isinstance(made, Done) else step(made))

        return step(state)

    def move(self, state: State) -> Any:
        """The next action, or branches, or the end; everything else on the way has no effect in any monad."""
        op, value, stack = state
        while True:
            op, value, stack = advance(op, value, stack)
            if isinstance(op, End):
                return self.monad.unit(Done((op.won, value)))
            if isinstance(op, (Segment, _Rest)):
                moved = self.action(op, value, stack)
                if type(moved) is not tuple:
                    return moved.value
                op, value, stack = moved
            elif isinstance(op, Fork) and self.monad.gather is not None:
                return self.fork(op, stack)
            else:
                try:
                    op, value, stack = op.inside(value, stack)
                except Exception as error:  # noqa: BLE001  a copy of the input raised
                    op, value, stack = raised(error, op, value, stack)

    def action(self, op: Segment | _Rest, value: Any, stack: Any) -> Any:
        """One action, performed: ``Done`` around what is wrapped, or the state after it failed."""
        segment, index = (op, 0) if isinstance(op, Segment) else (op.segment, op.index)
        leaf = segment.leaves[index]
        try:
            made = self.perform(self.callable(leaf, stack), value)
        except Exception as error:  # noqa: BLE001  where a user's exception becomes a fault
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                error.__traceback__ = error.__traceback__.tb_next
            return fallen(segment, Fell(index, error, value), stack)
        after: Any = LEAVE if index + 1 == len(segment.leaves) else _Rest(segment, index + 1)
        return Done(self.monad.bind(made, lambda result: self.monad.unit((after, result, stack))))

    def callable(self, leaf: Leaf, stack: Any) -> Callable[[Any], Any]:
        """The action as a plain callable of its input."""

        def call(value: Any) -> Any:
            if leaf.call.wants_context:
                site = Trail(stack, leaf.at, value, leaf.node)
                made = leaf.fn(value, self.env.context.calling(ActionCall(self.env, site, stack)))
            else:
                made = leaf.fn(value)
            return finish(made) if AWAITABLE[type(made)] else made

        call.__name__ = leaf.node.name
        return call

    def fork(self, fork: Fork, stack: Any) -> Any:
        """All branches, gathered by the monad."""
        assert self.monad.gather is not None
        edges = [(EDGE, fork.node, Turn(fork, fork.race(), i), stack) for i in range(fork.total)]
        branches = [self.iterate((fork.plan(i), fork.input(i), edge)) for i, edge in enumerate(edges)]

        def joined(ended: Sequence[tuple[bool, Any]]) -> Any:
            entries = [(i, won, value) for i, (won, value) in enumerate(ended)]
            held = [(i, value) for i, won, value in entries if not won and isinstance(value, Waiting)]
            race = fork.race().offer([entry for entry in entries if entry[1] or not isinstance(entry[2], Waiting)])
            if race.verdict is None:
                return self.monad.unit((FAIL, suspended(held), stack))
            return self.monad.unit((Join(fork, race.verdict), None, stack))

        return self.monad.bind(self.monad.gather(branches), joined)
