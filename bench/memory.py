"""What an agent's memory costs: one update, one merge of two branches, over what a dict or a look at every entry costs.

``python -m bench memory`` prints these rows alone.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from bench.pairs import Question, Row, compared
from lambdacat import merge, run, sequence
from lambdacat.state import (
    AgentState,
    Beliefs,
    Capacity,
    Entry,
    LeastUsed,
    LoggedMap,
    Memory,
    Origin,
    bounded,
    observed,
    remember,
    remembered,
    used,
)

ENTRIES = 100_000
"""How much is remembered before anything is measured."""

HERE = Origin(1.8e9, "bench", (0, "loop", 3))
ROWS = {f"key {i}": i for i in range(ENTRIES)}


def full(capacity: Capacity) -> Memory:
    """A memory with every row, whose line has been asked for: what a program that has run for a while holds."""
    memory = Memory()
    for key, value in ROWS.items():
        memory = remembered(memory, key, value, origin=HERE)
    return remembered(bounded(memory, capacity), "one more", 0, origin=HERE)


def by_hand(memory: Memory) -> dict[str, Entry]:
    """The dict that would do without a memory: the same entries, in the order in which they came."""
    return {key: memory[key] for key in ROWS if key in memory}


def _copies(rows: dict[str, Entry] | dict[str, int]) -> Callable[[], None]:
    def floor() -> None:
        for _ in range(100):
            rows.copy()

    return floor


def updated(pairs: int) -> Row:
    """One entry of a large memory."""
    memory = full(Capacity())
    floor = _copies(by_hand(memory))
    return compared("remembered, 100,000 entries vs dict copy", _updates(memory), floor, 0.01, pairs, 100)


def updated_over_numbers(pairs: int) -> Row:
    """The same over a dict of numbers alone, which do not say when and from where they came."""
    return compared("the same vs a copy of a dict of int", _updates(full(Capacity())), _copies(ROWS), None, pairs, 100)


def _updates(memory: Memory) -> Callable[[], None]:
    def ours() -> None:
        for i in range(100):
            remembered(memory, f"key {i}", i, origin=HERE)

    return ours


def updated_in_a_plan(pairs: int) -> Row:
    """The same as a step of a plan: read the field, remember, put the field back."""
    state = AgentState(memory=full(Capacity()))
    plan, floor = sequence(*[remember("key 500", 1)] * 100), _copies(by_hand(state.memory))
    return compared("remember, a step, vs dict copy", lambda: run(plan, state), floor, 0.01, pairs, 100)


def evicting(pairs: int) -> Row:
    """One more entry in a memory that is full, so that the oldest leaves."""
    memory = full(Capacity(entries=ENTRIES))

    def ours() -> None:
        for i in range(100):
            remembered(memory, f"new {i}", i, origin=HERE)

    return compared(
        "remembered, full, the oldest leaves vs dict copy", ours, _copies(by_hand(memory)), 0.01, pairs, 100
    )


def using(pairs: int) -> Row:
    """One use in a memory that is full and drops what is least used."""
    memory = full(Capacity(entries=ENTRIES, leaves=LeastUsed()))

    def ours() -> None:
        for i in range(100):
            used(memory, f"key {i + 700}", origin=HERE)

    return compared("used, full, the least used leaves vs dict copy", ours, _copies(by_hand(memory)), 0.01, pairs, 100)


def _scans(rows: dict[str, Entry] | dict[str, int]) -> Callable[[], None]:
    """By hand: one look at every entry, to see which are not what they were, ten times."""
    changed: dict[str, object] = {**rows, "a": 1}

    def floor() -> None:
        for _ in range(10):
            [key for key, value in changed.items() if rows.get(key) is not value]

    return floor


def merging(pairs: int) -> Row:
    """Two branches that each remembered ten things, against one look at every entry of a dict."""
    fork = AgentState(memory=full(Capacity()))
    tips = []
    for name in "ab":
        memory = fork.memory
        for i in range(10):
            memory = remembered(memory, f"{name} {i}", i, origin=HERE)
        tips.append(evolve(fork, memory=memory))
    results = tuple(tips)

    def ours() -> None:
        for _ in range(10):
            merge(fork, results)

    floor = _scans(by_hand(fork.memory))
    return compared("merge, 2 x 10 of 100,000 vs one scan of a dict", ours, floor, 0.01, pairs, 10)


def merging_maps(pairs: int) -> Row:
    """The same for a plain logged map in a field."""
    data: LoggedMap[str, int] = LoggedMap(ROWS)
    fork = AgentState(data=data)
    results = tuple(evolve(fork, data=data.update({f"{name} {i}": i for i in range(10)})) for name in "ab")

    def ours() -> None:
        for _ in range(10):
            merge(fork, results)

    return compared("merge of logged maps, the same vs one scan", ours, _scans(ROWS), 0.01, pairs, 10)


def observing(pairs: int) -> Row:
    """One piece of evidence, exactly added, in microseconds; the floor adds floats in a copy of a small dict."""
    beliefs = Beliefs()
    for i in range(1000):
        beliefs = observed(beliefs, f"claim {i}", 0.1, origin=HERE)
    odds = {f"claim {i}": 0.1 for i in range(1000)}

    def ours() -> None:
        for _ in range(100):
            observed(beliefs, "claim 5", 0.3, origin=HERE)

    def floor() -> None:
        for _ in range(100):
            {**odds, "claim 5": odds["claim 5"] + 0.3}

    return compared("observed, 1,000 claims vs float and dict copy", ours, floor, 4, pairs, 100)


QUESTIONS: tuple[Question, ...] = (
    updated,
    updated_over_numbers,
    updated_in_a_plan,
    evicting,
    using,
    merging,
    merging_maps,
    observing,
)
