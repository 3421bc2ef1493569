"""The laws of memories and of beliefs, and strategies for both: check them with bounds and half-lives of your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lambdacat.codec import Codecs
from lambdacat.merging import Conflict, merge
from lambdacat.state.beliefs import STRONGEST, Beliefs, decayed, observed
from lambdacat.state.capacity import Capacity, LeastRecent, LeastUsed, Line, Oldest, line_of
from lambdacat.state.memory import Memory, Newest, forgotten, recalled, remembered, used
from lambdacat.state.origin import Origin
from lambdacat.state.stored import STATE_CODECS
from lambdacat.state.verdicts import log_odds, probability, why
from lambdacat.testing.proving import Draw, law_name, prove

V = TypeVar("V")

KEYS = ("ada", "bob", "cy", "di", "eve")
"""The keys and claims of random memories and beliefs: few, so that they meet."""


class Edit(NamedTuple):
    """One change of a memory: ``remember``, ``use`` (if it is there) or ``forget``."""

    verb: str
    key: str
    value: Any
    origin: Origin

    def on(self, memory: Memory) -> Memory:
        """The memory after it."""
        match self.verb:
            case "remember":
                return remembered(memory, self.key, self.value, origin=self.origin)
            case "use":
                return used(memory, self.key, origin=self.origin) if self.key in memory else memory
            case _:
                return forgotten(memory, self.key)


def edited(memory: Memory, edits: Sequence[Edit]) -> Memory:
    """The memory after a row of changes."""
    return reduce(lambda made, edit: edit.on(made), edits, memory)


class Evidence(NamedTuple):
    """One observation."""

    claim: str
    log_odds: float
    origin: Origin


def believed(beliefs: Beliefs, evidence: Sequence[Evidence]) -> Beliefs:
    """The beliefs after a row of evidence."""
    return reduce(lambda made, one: observed(made, one.claim, one.log_odds, origin=one.origin), evidence, beliefs)


# --- strategies ------------------------------------------------------------------------------------------------------


def origins() -> SearchStrategy[Origin]:
    """Times within a few days and a few steps."""
    steps = st.sampled_from([("search", ()), ("search", ()), ("search", (0,)), ("read", (1, "loop"))])
    return st.builds(lambda when, step: Origin(when, *step), st.floats(0, 400_000), steps)


def edits(*, keys: Sequence[str] = KEYS, max_size: int = 8) -> SearchStrategy[list[Edit]]:
    """Rows of changes of a memory."""
    values = st.integers(0, 9) | st.text(max_size=2) | st.lists(st.integers(0, 9), max_size=3)
    verbs = st.sampled_from(["remember", "remember", "use", "forget"])
    return st.lists(st.builds(Edit, verbs, st.sampled_from(keys), values, origins()), max_size=max_size)


def capacities() -> SearchStrategy[Capacity]:
    """No bound, or one that a handful of entries reaches."""
    leaves = st.sampled_from([Oldest(), LeastUsed(), LeastRecent()])
    return st.builds(
        Capacity, entries=st.none() | st.integers(1, 4), bytes=st.none() | st.integers(10, 25), leaves=leaves
    )


def memories(capacity: SearchStrategy[Capacity] | None = None) -> SearchStrategy[Memory]:
    """Memories with a past."""
    empty = st.builds(Memory, capacity=capacities() if capacity is None else capacity)
    return st.builds(edited, empty, edits())


def evidence(*, max_size: int = 12) -> SearchStrategy[list[Evidence]]:
    """Rows of observations, with amounts of every size that is allowed."""
    amounts = st.floats(-STRONGEST, STRONGEST, allow_nan=False) | st.sampled_from([0.1, -0.1, 1e-300, 5e-324, -0.0])
    claims = st.sampled_from(("ada", "ada", *KEYS))
    return st.lists(st.builds(Evidence, claims, amounts, origins()), max_size=max_size)


# --- memory ----------------------------------------------------------------------------------------------------------

MemoryLaw = Callable[[Memory, Draw], None]


def what_was_remembered_is_recalled(memory: Memory, draw: Draw) -> None:
    """``recalled(remembered(m, k, v), k) == v``, whatever else had to leave."""
    before = edited(memory, draw(edits()))
    for edit in draw(edits()):
        after = remembered(before, edit.key, edit.value, origin=edit.origin)
        assert recalled(after, edit.key) == edit.value, f"{edit!r} on {before!r}"
        assert edit.key not in forgotten(after, edit.key), f"forgetting {edit.key!r} in {after!r}"


def nobody_changes_a_memory_from_outside(memory: Memory, draw: Draw) -> None:
    """Neither what was given nor what is got back is what is kept."""
    given = draw(st.lists(st.integers(0, 9), max_size=3))
    kept = [*given]
    after = remembered(memory, "list", given)
    given.append(99)
    recalled(after, "list").append(98)
    after["list"].value.append(97)
    assert recalled(after, "list") == kept, f"{kept!r} was changed to {recalled(after, 'list')!r}"


def a_memory_is_never_over_its_bounds(memory: Memory, draw: Draw) -> None:
    """After any changes, in branches too."""
    fork = edited(memory, draw(edits()))
    for made in (fork, _met(fork, *_branches(fork, draw, 3))):
        sizes = sum(entry.size for entry in made.entries.values())
        assert not made.capacity.exceeded(len(made), sizes), f"{len(made)} entries, {sizes} bytes: {made!r}"


def the_line_is_kept_as_it_would_be_made(memory: Memory, draw: Draw) -> None:
    """Entries leave in the order that they alone decide: the past cannot be seen in it."""
    fork = edited(memory, draw(edits()))
    for made in (fork, _met(fork, *_branches(fork, draw, 2))):
        fresh = line_of(made.entries, made.capacity.leaves)
        assert _order(made, made.line) == _order(made, fresh), f"{made!r}"
        assert made.line.bytes == fresh.bytes, f"{made!r}"


def branches_of_different_keys_meet_in_any_order(memory: Memory, draw: Draw) -> None:
    """``merge(f, (a, b)) == merge(f, (b, a))``, and without bounds every change of each branch is in it."""
    fork = edited(memory, draw(edits()))
    a, b, _ = _branches(fork, draw, 3)
    made = merge(fork, (a, b))
    assert made == merge(fork, (b, a)), f"from {fork!r} of {a!r} and {b!r}"
    if not memory.capacity.bounded:
        for key in (*a, *b):
            mine = a if a.entries.get(key) is not fork.entries.get(key) else b
            assert made.entries.get(key) == mine.entries.get(key), f"{key!r} from {fork!r} of {a!r} and {b!r}"
        assert not [key for key in fork if key in made and (key not in a or key not in b)], (
            f"{made!r} has what was forgotten"
        )


def without_bounds_branches_meet_in_any_grouping(memory: Memory, draw: Draw) -> None:
    """All at once, or two of them first. A bound may take out in one grouping what was forgotten in another."""
    fork = edited(evolve(memory, capacity=Capacity()), draw(edits()))
    a, b, c = _branches(fork, draw, 3)
    at_once = merge(fork, (a, b, c))
    assert at_once == merge(fork, (merge(fork, (a, b)), c)), f"from {fork!r} of {a!r}, {b!r} and {c!r}"
    assert at_once == merge(fork, (a, merge(fork, (b, c)))), f"from {fork!r} of {a!r}, {b!r} and {c!r}"


def two_branches_that_remember_one_key_conflict(memory: Memory, draw: Draw) -> None:
    """Unless the memory says that the newest wins; then it does."""
    fork = edited(memory, draw(edits()))
    one, two = draw(st.permutations([Origin(1e6, "one"), Origin(2e6, "two")]))
    a, b = remembered(fork, "ada", 1, origin=one), remembered(fork, "ada", 2, origin=two)
    if isinstance(fork.clash, Newest):
        assert recalled(merge(fork, (a, b)), "ada") == (1 if one.when > two.when else 2), (
            f"from {fork!r} of {a!r}, {b!r}"
        )
        return
    try:
        made = merge(fork, (a, b))
    except Conflict:
        return
    raise AssertionError(f"from {fork!r} of {a!r} and {b!r} came {made!r}")


def what_is_stored_is_what_was_there(memory: Memory, draw: Draw) -> None:
    """Written and read, it is equal, and goes on alike: what leaves next is the same."""
    codecs = Codecs(*STATE_CODECS)
    made = edited(memory, draw(edits()))
    again = codecs.decode(codecs.encode(made))
    more = draw(edits())
    assert again == made, f"{made!r} was read as {again!r}"
    assert edited(again, more) == edited(made, more), f"{made!r} and its stored form, after {more!r}"


def _branches(fork: Memory, draw: Draw, count: int) -> list[Memory]:
    """What branches make of a memory that change different keys."""
    return [edited(fork, draw(edits(keys=KEYS[i::count], max_size=4))) for i in range(count)]


def _met(fork: Memory, *tips: Memory) -> Memory:
    return merge(fork, tips)


def _order(memory: Memory, line: Line) -> list[str]:
    """The keys in the order in which they would leave."""
    order: list[str] = []
    entries = memory.entries
    while True:
        line, key = line.called(entries, memory.capacity.leaves)
        if key is None:
            return order
        order.append(key)
        entries = entries.remove(key)


MEMORY_LAWS: tuple[MemoryLaw, ...] = (
    what_was_remembered_is_recalled,
    nobody_changes_a_memory_from_outside,
    a_memory_is_never_over_its_bounds,
    the_line_is_kept_as_it_would_be_made,
    branches_of_different_keys_meet_in_any_order,
    without_bounds_branches_meet_in_any_grouping,
    two_branches_that_remember_one_key_conflict,
    what_is_stored_is_what_was_there,
)


def check_memory_laws(memory: Memory, *, max_examples: int = 100) -> None:
    """Check a memory, empty or with a past, under random changes and in random branches.

    Errors: ``AssertionError`` whose first line names the broken law and shows the memories.
    """
    _check(memory, MEMORY_LAWS, max_examples)


def _check(value: V, laws: Sequence[Callable[[V, Draw], None]], max_examples: int) -> None:
    for law in laws:
        prove(law_name(law), partial(law, value), max_examples=max_examples)


# --- beliefs ---------------------------------------------------------------------------------------------------------

BeliefLaw = Callable[[Beliefs, Draw], None]


def the_order_of_evidence_cannot_be_seen(beliefs: Beliefs, draw: Draw) -> None:
    """Any permutation gives equal beliefs, bit for bit."""
    rows = draw(evidence())
    other = draw(st.permutations(rows))
    one, two = believed(_roomy(beliefs), rows), believed(_roomy(beliefs), other)
    assert one == two, f"{rows!r} gave {one!r}, and shuffled {two!r}"


def the_grouping_of_evidence_cannot_be_seen(beliefs: Beliefs, draw: Draw) -> None:
    """Spread over branches, in any of them, and merged, it is what one row of steps makes of it."""
    fork = believed(_roomy(beliefs), draw(evidence()))
    rows = draw(evidence())
    places = draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    a, b, c = (believed(fork, [row for row, i in zip(rows, places, strict=True) if i == n]) for n in range(3))
    straight = believed(fork, rows)
    for made in (merge(fork, (a, b, c)), merge(fork, (c, merge(fork, (b, a)))), merge(fork, (merge(fork, (c, a)), b))):
        assert made == straight, f"{rows!r} in branches {places!r} from {fork!r} gave {made!r}, in a row {straight!r}"


def beliefs_stay_finite(beliefs: Beliefs, draw: Draw) -> None:
    """Log-odds are finite, probabilities lie in [0, 1], at every time."""
    made = believed(beliefs, draw(evidence()))
    now = draw(st.none() | st.floats(-1e9, 1e12))
    for claim in KEYS:
        odds, share = log_odds(made, claim, now=now), probability(made, claim, now=now)
        assert isfinite(odds), f"{claim!r} has {odds!r} in {made!r}"
        assert 0 <= share <= 1, f"{claim!r} has {share!r} in {made!r}"


def reasons_add_up(beliefs: Beliefs, draw: Draw) -> None:
    """What the steps did is what is believed."""
    made = believed(beliefs, draw(evidence()))
    for claim in made.claims:
        reasons = why(made, claim)
        total, odds = sum(reason.amount for reason in reasons), log_odds(made, claim)
        scale = 1 + sum(abs(reason.amount) for reason in reasons)
        assert abs(total - odds) <= 1e-12 * scale, f"{reasons!r} is {total!r}, and believed is {odds!r}"


def two_decays_are_one(beliefs: Beliefs, draw: Draw) -> None:
    """By a, then by b, is by a + b. Beliefs that age by themselves have no decay."""
    if beliefs.half_life is not None:
        return
    made = believed(beliefs, draw(evidence()))
    a, b = draw(st.floats(0, 1e4)), draw(st.floats(0, 1e4))
    twice = decayed(decayed(made, 1000, seconds=a), 1000, seconds=b)
    once = decayed(made, 1000, seconds=a + b)
    for claim in made.claims:
        one, two = log_odds(twice, claim), log_odds(once, claim)
        scale = 1 + sum(abs(reason.amount) for reason in why(made, claim))
        assert abs(one - two) <= 1e-12 * scale, f"{claim!r} after {a!r} and {b!r} is {one!r}, after both {two!r}"


def beliefs_are_never_more_than_their_bound(beliefs: Beliefs, draw: Draw) -> None:
    """In branches too."""
    fork = believed(beliefs, draw(evidence()))
    made = merge(fork, (believed(fork, draw(evidence())), believed(fork, draw(evidence()))))
    assert made.at_most is None or len(made) <= made.at_most, f"{len(made)} claims: {made!r}"


def stored_beliefs_are_the_same_to_the_last_bit(beliefs: Beliefs, draw: Draw) -> None:
    """Written and read, they are equal."""
    codecs, made = Codecs(*STATE_CODECS), believed(beliefs, draw(evidence()))
    again = codecs.decode(codecs.encode(made))
    assert again == made, f"{made!r} was read as {again!r}"


def _roomy(beliefs: Beliefs) -> Beliefs:
    """Without a bound on claims, which depends on the order of evidence when it is reached."""
    return evolve(beliefs, at_most=None)


BELIEF_LAWS: tuple[BeliefLaw, ...] = (
    the_order_of_evidence_cannot_be_seen,
    the_grouping_of_evidence_cannot_be_seen,
    beliefs_stay_finite,
    reasons_add_up,
    two_decays_are_one,
    beliefs_are_never_more_than_their_bound,
    stored_beliefs_are_the_same_to_the_last_bit,
)


def check_belief_laws(beliefs: Beliefs, *, max_examples: int = 100) -> None:
    """Check beliefs, with their half-life and bound, under random evidence and in random branches.

    Errors: ``AssertionError`` whose first line names the broken law and shows the beliefs.
    """
    _check(beliefs, BELIEF_LAWS, max_examples)
