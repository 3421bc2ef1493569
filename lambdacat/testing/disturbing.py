"""Plans whose steps fail, dawdle, hang and are turned away at random, the same way for the same seed."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any, Final, TypeVar, final

from attrs import evolve, field, frozen

from lambdacat.bound import Estimate
from lambdacat.context import Context
from lambdacat.leaf import task
from lambdacat.place import PlanError
from lambdacat.plan import Plan, Sequence, Task
from lambdacat.regrow import rebuilt
from lambdacat.testing.stubbing import check_names

A = TypeVar("A")
B = TypeVar("B")

_FREE: Final = Estimate(tokens=(0, 0), money=(0, 0))


class Disturbed(Exception):
    """A failure that ``chaos`` put in the place of a step, or behind one that was done."""


class TurnedAway(Disturbed):
    """A service that had too much to do, as ``chaos`` plays it."""

    retry_after: float = 0.0
    """Units: seconds it wants to be left alone."""


def _chance(_: object, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise PlanError(f"{attribute.name} of chaos is a chance from 0 to 1, not {value!r}")


def _seconds(_: object, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise PlanError(f"{attribute.name} of chaos is a finite number of seconds, not {value!r}")


@final
@frozen(kw_only=True)
class _Chances:
    faults: float = field(validator=_chance)
    delays: float = field(validator=_chance)
    hangs: float = field(validator=_chance)
    spikes: float = field(validator=_chance)
    longest: float = field(validator=_seconds)
    hang: float = field(validator=_seconds)


@final
@frozen
class _Disturb:
    """What happens before a step, or after it."""

    seed: int
    step: str
    after: bool
    chances: _Chances

    async def __call__(self, context: Context) -> None:
        from anyio import sleep

        call = context._call
        # Of the step, its round and its attempt: the same in every run of the same plan.
        draw = Random(f"{self.seed}|{self.after}|{call.key[1] if call else ''}|{context.attempt}")
        chances = self.chances
        if draw.random() < chances.delays:
            await sleep(draw.random() * chances.longest)
        if draw.random() < chances.hangs:
            await sleep(chances.hang)
        if draw.random() < chances.faults:
            raise Disturbed(f"{self.step} was disturbed {'after it was done' if self.after else 'before it began'}")
        if not self.after and draw.random() < chances.spikes:
            error = TurnedAway(f"{self.step} was turned away")
            error.retry_after = draw.random() * chances.longest
            raise error


def chaos(
    plan: Plan[A, B],
    seed: int,
    *,
    faults: float = 0.1,
    delays: float = 0.2,
    hangs: float = 0.02,
    spikes: float = 0.05,
    longest: float = 10.0,
    hang: float = 3600.0,
    steps: Collection[str] | None = None,
) -> Plan[A, B]:
    """The plan with its tasks, or those named in ``steps``, disturbed by chances from 0 to 1, drawn from the seed.

    Before and after a task there may be a delay of up to ``longest`` seconds, a hang of ``hang`` seconds, and a
    failure; before it also a refusal that asks to be left alone. The same plan and seed are disturbed in the same way
    each time, attempt by attempt. For ``arun`` on virtual time. Law: with all chances 0 the plan gives what it gives.
    What a ``bind`` makes at run time is out of reach. Errors: ``PlanError`` for a name that no task has.

    >>> from lambdacat import arun, task
    >>> from lambdacat.testing import chaos, virtual_asyncio_run
    >>> broken = chaos(task(name="shout")(str.upper), seed=1, faults=1.0)
    >>> virtual_asyncio_run(lambda: arun(broken, "hello")).failure().error
    Disturbed('shout was disturbed before it began')
    """
    chances = _Chances(faults=faults, delays=delays, hangs=hangs, spikes=spikes, longest=longest, hang=hang)
    if steps is not None:
        check_names("chaos", plan, steps)

    def disturbed(node: Plan[Any, Any]) -> Plan[Any, Any]:
        if not isinstance(node, Task) or (steps is not None and node.name not in steps):
            return node
        before, after = (_around(seed, node, when, chances) for when in (False, True))
        # Its own timeout counts what disturbs it.
        whole: Plan[Any, Any] = Sequence((before, Sequence((evolve(node, seconds=None), after))))
        return whole if node.seconds is None else whole.timeout(node.seconds)

    return rebuilt(plan, disturbed)


def _around(seed: int, node: Task[Any, Any, Any], after: bool, chances: _Chances) -> Plan[Any, Any]:
    options: Any = {"reads": (), "writes": (), "estimate": _FREE, "idempotent": True}
    name = f"{'after' if after else 'before'} {node.name}"
    made: Plan[Any, Any] = task(name=name, **options)(_Disturb(seed, node.name, after, chances))
    return made
