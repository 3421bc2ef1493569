"""Sequences in random brackets: the same plan, small, and run flat by every interpreter."""

import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import cycle, islice

import pytest

from lambdacat import Plan, Success, Task, sequence, task
from lambdacat.testing import interpreters


@task(blocking="inline")
def add_one(n: int) -> int:
    return n + 1


@task(blocking="inline")
def double(n: int) -> int:
    return 2 * n % 97


STEPS: tuple[Task[int, int, Callable[[int], int]], ...] = (add_one, double, double)
SIZES = pytest.mark.parametrize("n", [2_000, pytest.param(100_000, marks=pytest.mark.sweep)])


@pytest.fixture(autouse=True)
def _recursion_limit_of_a_plain_program() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def bracketed(n: int, source: random.Random) -> Plan[int, int]:
    """``n`` steps, joined in the order of a random tree: deep where splits are near an end, flat where they are not."""
    made: list[Plan[int, int]] = []
    leaves = cycle(STEPS)
    rest = [n]
    while rest:
        size = rest.pop()
        if size == 1:
            made.append(next(leaves))
        elif size == 0:
            right, left = made.pop(), made.pop()
            made.append(left >> right)
        else:
            first = source.choice([1, size - 1, source.randrange(1, size)])
            rest += [0, size - first, first]
    (plan,) = made
    return plan


def in_a_row(n: int) -> Plan[int, int]:
    return sequence(*islice(cycle(STEPS), n))


def seed_for(n: int) -> int:
    """The same one in small counts, so that a failure there is one everywhere."""
    return 1 if n < 100_000 else random.randrange(2**32)


@SIZES
def test_sequences_in_any_brackets_are_one_plan_of_small_nodes(n: int) -> None:
    """R-S1: bytes a node before anything runs it; the steps themselves are shared."""
    seed = seed_for(n)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    plan = bracketed(n, random.Random(seed))
    size = (tracemalloc.get_traced_memory()[0] - before) / n
    tracemalloc.stop()
    print(f"{size:.0f} bytes a node, seed {seed}")
    assert size <= 200
    assert plan == in_a_row(n)
    assert plan == bracketed(n, random.Random(seed + 1))


@SIZES
@pytest.mark.parametrize("name", interpreters())
def test_sequences_in_random_brackets_run_flat_everywhere(name: str, n: int) -> None:
    """R-S1."""
    seed = seed_for(n)
    print(f"seed {seed}")
    expected = reduce(lambda value, step: step.action(value), islice(cycle(STEPS), n), 5)
    assert interpreters()[name](bracketed(n, random.Random(seed)), 5) == Success(expected)
