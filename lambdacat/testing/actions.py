"""The functions that random plans are made of: deterministic, small, and named so that a failure reads well."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from returns.result import Failure, Success

from lambdacat.build import fail, pure
from lambdacat.context import Context
from lambdacat.fault import Fault, Outcome, Stopped
from lambdacat.leaf import task
from lambdacat.plan import Plan
from lambdacat.testing.sample import LEFT, Sample

_PRIME = 97
"""Numbers stay below it, so that no loop makes a plan slow."""


class Refusal(Exception):
    """What failing actions of random plans raise."""


def add_one(n: int) -> int:
    """The next number."""
    return (n + 1) % _PRIME


def double(n: int) -> int:
    """Twice the number."""
    return 2 * n % _PRIME


def refuse_odd(n: int) -> int:
    """The number if it is even. Errors: ``Refusal``."""
    if n % 2:
        raise Refusal(f"{n} is odd")
    return n


async def triple(n: int) -> int:
    """Three times the number."""
    return 3 * n % _PRIME


def add_bonus(n: int, ctx: Context) -> int:
    """The number and what the context has under ``bonus``."""
    return (n + int(ctx.get("bonus", 5))) % _PRIME


def total(left: int, right: int) -> int:
    """The sum of two numbers."""
    return (left + right) % _PRIME


async def swapped(left: int, right: int) -> tuple[int, int]:
    """Two numbers, the other way round."""
    return right, left


def nine() -> int:
    """The number 9."""
    return 9


def look(n: int) -> None:
    """Nothing: a sink."""


def note(notes: tuple[str, ...]) -> tuple[str, ...]:
    """One more note."""
    return (*notes, "noted")


def other_note(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Another note."""
    return (*notes, "also noted")


def counted(first: int, second: int = 1) -> int:
    """A number that tells which others it came from, and in which order."""
    return (3 * first + 5 * second + 1) % _PRIME


def note_down(notes: tuple[str, ...], *numbers: int) -> tuple[str, ...]:
    """One more note: how many there were, and the numbers."""
    return (*notes, "-".join(map(str, (len(notes), *numbers))))


def length(notes: tuple[str, ...]) -> int:
    """How many notes there are."""
    return len(notes)


def bump_left(state: Sample) -> Sample:
    """The state with the next number on the left."""
    return evolve(state, left=add_one(state.left))


async def push_item(state: Sample) -> Sample:
    """The state with one more item, up to four."""
    return evolve(state, items=(*state.items, state.left)[:4])


def mirror(state: Sample) -> Sample:
    """The state with left and right exchanged."""
    return evolve(state, left=state.right, right=state.left)


def refuse(state: Sample) -> Sample:
    """No state. Errors: ``Refusal``."""
    raise Refusal("always")


def left_is_small(state: Sample) -> bool:
    """Whether the left number is below 20."""
    return state.left < 20


def is_small(n: int) -> bool:
    """Whether a number is below 20."""
    return n < 20


def is_even(n: int) -> bool:
    """Whether a number is even. Errors: ``Refusal`` for 13."""
    if n == 13:
        raise Refusal("13 is neither here nor there")
    return n % 2 == 0


def remainder(state: Sample) -> int:
    """The left number modulo 3."""
    return state.left % 3


def right_score(state: Sample) -> float:
    """The right number, as a score."""
    return float(state.right)


def refuse_score(state: Sample) -> float:
    """No score. Errors: ``Refusal``."""
    raise Refusal("no score")


def add_up(fork: Sample, results: tuple[Sample, ...]) -> Sample:
    """A join: the sum of the left numbers of all results."""
    return evolve(fork, left=sum(one.left for one in results) % _PRIME)


def pick_first(fork: Sample, results: tuple[Sample, ...]) -> Sample:
    """A join: the first result."""
    return results[0] if results else fork


def refuse_join(fork: Sample, results: tuple[Sample, ...]) -> Sample:
    """No join. Errors: ``Refusal``."""
    raise Refusal("no join")


def count_wins(fork: Sample, outcomes: tuple[Outcome[Sample], ...]) -> Sample:
    """A join of outcomes: how many branches succeeded."""
    return evolve(fork, right=sum(isinstance(one, Success) for one in outcomes))


def first_of(row: tuple[Any, ...]) -> Any:
    """The first of several results."""
    return row[0]


def unpacked(outcome: Outcome[Sample]) -> Sample:
    """The state of a success, or a fresh one whose left number is 90."""
    match outcome:
        case Success(state):
            return state
        case Failure():
            return Sample(left=90)


BUMP: Plan[Sample, Sample] = task(name="bump_left", blocking="inline")(bump_left)
NINE: Plan[Sample, Sample] = task(writes=LEFT, name="nine", blocking="inline")(nine)


def instead(fault: Fault) -> Plan[Sample, Sample]:
    """A handler: go on with the next number on the left."""
    return BUMP


def pass_on(fault: Fault) -> Plan[Sample, Sample]:
    """A handler: fail with the same fault."""
    return fail(fault)


def refuse_handling(fault: Fault) -> Plan[Sample, Sample]:
    """A handler that raises. Errors: ``Refusal``."""
    raise Refusal("no handling")


def by_size(state: Sample) -> Plan[Sample, Sample]:
    """The plan for a state: another one below 20."""
    return BUMP if state.left < 20 else pure(mirror)


def by_parity(state: Sample) -> Plan[Sample, Sample]:
    """The plan for a state: odd ones stop."""
    return fail(Stopped(reason="odd")) if state.left % 2 else NINE


def refuse_plan(state: Sample) -> Plan[Sample, Sample]:
    """No plan. Errors: ``Refusal``."""
    raise Refusal("no plan")
