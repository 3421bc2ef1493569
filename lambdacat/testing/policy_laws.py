"""The laws of policies, as the pure reducer that every driver feeds, and of retry schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from lambdacat.policy import ALL, FIRST_COMPLETED, SETTLED, Entry, NBest, Quorum, Race
from lambdacat.schedule import Exponential, Fixed, Schedule
from lambdacat.testing.proving import Draw


def _score(value: int) -> float:
    return float(value)


_POLICIES = st.sampled_from([ALL, FIRST_COMPLETED, Quorum(2), NBest(1, by=_score), NBest(2, by=_score), SETTLED])


def _entries(draw: Draw) -> list[Entry]:
    ends = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=5))
    return [(index, won, value if won else f"fault {value}") for index, (won, value) in enumerate(ends)]


def _raced(policy: Any, entries: list[Entry], order: list[Entry]) -> Race:
    race = Race(policy, len(entries))
    for entry in order:
        race = race.offer([entry])
    return race


def every_race_is_decided_when_all_ended(draw: Draw) -> None:
    """After all branches there is a verdict."""
    policy, entries = draw(_POLICIES), _entries(draw)
    order = draw(st.permutations(entries))
    assert _raced(policy, entries, order).verdict is not None, f"{policy!r} after {order!r}"


def offers_after_a_verdict_change_nothing(draw: Draw) -> None:
    """``race.offer(more) == race`` once it has a verdict."""
    policy, entries = draw(_POLICIES), _entries(draw)
    race = _raced(policy, entries, entries)
    assert race.offer(entries) == race == race.expired(), f"{policy!r} after {entries!r}"


def order_does_not_matter_to_those_who_wait_for_all(draw: Draw) -> None:
    """``NBest`` and ``SETTLED`` judge alike in whatever order branches end; a won ``ALL`` too."""
    policy, entries = draw(_POLICIES), _entries(draw)
    if isinstance(policy, Quorum) or (policy is ALL and not all(won for _, won, _ in entries)):
        policy = SETTLED
    order = draw(st.permutations(entries))
    one, two = _raced(policy, entries, entries), _raced(policy, entries, order)
    assert one.verdict == two.verdict, f"{policy!r} after {entries!r} and after {order!r}"


def in_one_tick_the_lower_index_wins(draw: Draw) -> None:
    """Branches that end together are judged in written order."""
    entries = _entries(draw)
    verdict = Race(FIRST_COMPLETED, len(entries)).offer(entries).verdict
    won = [entry for entry in entries if entry[1]]
    assert verdict is not None
    wanted = ("won", (won[0],)) if won else ("all failed", tuple(entries))
    assert (verdict.kind, verdict.entries) == wanted, f"first completed of {entries!r} gave {verdict!r}"


def all_reports_the_lowest_fault_of_a_tick(draw: Draw) -> None:
    """And keeps what failed beside it."""
    entries = _entries(draw)
    verdict = Race(ALL, len(entries)).offer(entries).verdict
    lost = tuple(entry for entry in entries if not entry[1])
    assert verdict is not None
    wanted = ("lost", lost) if lost else ("won", tuple(entries))
    assert (verdict.kind, verdict.entries) == wanted, f"all of {entries!r} gave {verdict!r}"


def n_best_are_the_highest_scores_in_order(draw: Draw) -> None:
    """The n highest, highest first, ties to the earlier branch; fewer are too few."""
    entries, n = _entries(draw), draw(st.integers(1, 3))
    verdict = Race(NBest(n, by=_score), len(entries)).offer(entries).verdict
    won = sorted((entry for entry in entries if entry[1]), key=lambda entry: -entry[2])
    kind = "won" if len(won) >= n else "too few" if won else "all failed"
    assert verdict is not None
    assert verdict.kind == kind, f"the {n} best of {entries!r} gave {verdict!r}"
    assert kind != "won" or verdict.entries == tuple(won[:n]), f"the {n} best of {entries!r} gave {verdict!r}"


def quorum_takes_the_first_k_to_succeed(draw: Draw) -> None:
    """One after the other: the first k successes, in written order."""
    entries, k = _entries(draw), draw(st.integers(1, 3))
    order = draw(st.permutations(entries))
    verdict = _raced(Quorum(k), entries, order).verdict
    won = [entry for entry in order if entry[1]]
    kind = "won" if len(won) >= k else "too few" if won else "all failed"
    assert verdict is not None
    assert verdict.kind == kind, f"quorum of {k} after {order!r} gave {verdict!r}"
    assert kind != "won" or verdict.entries == tuple(sorted(won[:k])), f"quorum of {k} after {order!r} gave {verdict!r}"


def settled_has_every_outcome(draw: Draw) -> None:
    """All entries, in written order."""
    entries = _entries(draw)
    verdict = _raced(SETTLED, entries, draw(st.permutations(entries))).verdict
    assert verdict is not None
    assert (verdict.kind, verdict.entries) == ("settled", tuple(entries)), f"settled of {entries!r} gave {verdict!r}"


def _schedule(draw: Draw) -> Schedule:
    base: Schedule = draw(st.sampled_from([Fixed(1.0), Exponential(first=0.5, cap=3.0), Fixed(0.0)]))
    return draw(st.sampled_from([base, base.times(2), base.up_to(4.0), base.jittered(0.5).times(3)]))


def delays_of_n_are_a_prefix_of_more(draw: Draw) -> None:
    """``delays(n)`` is a prefix of ``delays(n + 1)``."""
    schedule, n = _schedule(draw), draw(st.integers(0, 6))
    less, more = list(schedule.delays(n)), list(schedule.delays(n + 1))
    assert more[: len(less)] == less, f"{schedule!r} gave {less!r} and {more!r}"


def then_of_schedules_is_associative(draw: Draw) -> None:
    """``(a.then(b)).then(c)`` delays as ``a.then(b.then(c))``."""
    a, b, c = _schedule(draw), _schedule(draw), _schedule(draw)
    left, right = list(a.then(b).then(c).delays(12)), list(a.then(b.then(c)).delays(12))
    assert left == right, f"{a!r}, {b!r}, {c!r} gave {left!r} and {right!r}"


def then_keeps_the_first_delays_first(draw: Draw) -> None:
    """``a.then(b)`` delays as ``a`` to its end, then as ``b``."""
    a, b = _schedule(draw).times(2), _schedule(draw)
    first, both = list(a.delays(9)), list(a.then(b).delays(9))
    assert both == (first + list(b.delays(9)))[:9], f"{a!r}, then {b!r} gave {both!r}"


POLICY_LAWS: tuple[Callable[[Draw], None], ...] = (
    every_race_is_decided_when_all_ended,
    offers_after_a_verdict_change_nothing,
    order_does_not_matter_to_those_who_wait_for_all,
    in_one_tick_the_lower_index_wins,
    all_reports_the_lowest_fault_of_a_tick,
    n_best_are_the_highest_scores_in_order,
    quorum_takes_the_first_k_to_succeed,
    settled_has_every_outcome,
    delays_of_n_are_a_prefix_of_more,
    then_of_schedules_is_associative,
    then_keeps_the_first_delays_first,
)
