"""Policies as values, and the race as one pure reducer that every driver feeds.

A race is offered the branches that finished, once per tick and in index order, and says when it is decided. It knows
no clock, task or loop, so a ``for`` loop and an event loop give the same verdict for the same offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar, final

from attrs import field, frozen

from lambdacat.callables import check_plain
from lambdacat.place import PlanError

A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)


def _score(_: object, attribute: object, value: Any) -> None:
    if not callable(value):
        raise PlanError(f"by= wants a function that scores a result, not {value!r}")
    check_plain("by=", value)


def _count(instance: object, _: object, value: int) -> None:
    if type(value) is not int or value < 1:
        raise PlanError(f"{type(instance).__name__} wants a whole number of at least 1, not {value!r}")


@final
@frozen
class All:
    """Every branch must succeed; the first fault cancels the others. Use the value ``ALL``.

    At the node's timeout: ``TimedOut``.
    """


@final
@frozen
class Quorum:
    """The first ``k`` branches to succeed, in written order; faults are set aside. Errors: ``PlanError`` if k < 1.

    Fewer, or not enough done at the node's timeout, is ``TooFew``, none at all is ``AllFailed``.
    """

    k: int = field(validator=_count)


@final
@frozen
class NBest(Generic[A_contra]):
    """The ``n`` highest-scoring successes in score order; ties go to the earlier branch.

    Errors: ``PlanError`` when n < 1; a run with fewer than n successes is ``TooFew``, with none ``AllFailed``. At the
    node's timeout it judges what is done.
    """

    n: int = field(validator=_count)
    by: Callable[[A_contra], float] = field(kw_only=True, validator=_score)


N_BEST = NBest
"""Another name of ``NBest``."""


@final
@frozen
class Settled:
    """Every branch runs to its end and the join gets every ``Outcome``, in written order. Use the value ``SETTLED``.

    At the node's timeout the unfinished branches have ``Failure(TimedOut)``.
    """


ALL: Final = All()
FIRST_COMPLETED: Final = Quorum(1)
"""The first branch to succeed; equal to ``Quorum(1)``."""
SETTLED: Final = Settled()

Policy: TypeAlias = All | Quorum | NBest[A]
"""The policies whose join gets plain results; ``Settled`` stands apart, since its join gets outcomes."""

# One branch that ended: its index, whether it succeeded, and its value or fault.
Entry: TypeAlias = tuple[int, bool, Any]
_WON = itemgetter(1)


class Verdict(NamedTuple):
    """How a race ended, and the entries that say why, in the order that counts."""

    kind: Literal["won", "lost", "all failed", "too few", "settled", "timed out", "broken"]
    entries: tuple[Entry, ...]
    missing: tuple[Entry, ...] = ()
    """The faults beside the results of a race that has too few."""


class Race(NamedTuple):
    """A race so far. Law: offers after a verdict change nothing; offers commute as long as none decides it."""

    policy: Any
    total: int
    done: int = 0
    wins: int = 0
    ended: Any = None
    """A cons list of the entries so far, latest first: adding one is O(1) in a race of 100,000."""
    verdict: Verdict | None = None

    def offer(self, batch: Sequence[Entry]) -> Race:
        """The race after the branches of one tick, which come in index order."""
        if self.verdict is not None:
            # Branches can finish between the verdict and their cancellation.
            return self
        if len(batch) == self.total and type(self.policy) is All and all(map(_WON, batch)):
            # All at once, and all of them won: what most forks come to.
            return self._ended(self.total, self.total, None, Verdict("won", tuple(batch)))
        _, _, done, wins, ended, _ = self
        policy = self.policy
        for entry in batch:
            ended = (entry, ended)
            done += 1
            if entry[1]:
                wins += 1
                if type(policy) is Quorum and wins == policy.k:
                    return self._ended(done, wins, ended, Verdict("won", _wins(ended)))
            elif type(policy) is All:
                # The lowest index of the tick is reported; what failed beside it stays visible.
                faults = (entry, *(other for other in batch if not other[1] and other[0] > entry[0]))
                return self._ended(done, wins, ended, Verdict("lost", faults))
        if done < self.total:
            return Race(policy, self.total, done, wins, ended)
        return self._ended(done, wins, ended, _judged(policy, ended))

    def expired(self) -> Race:
        """The race at its timeout: ALL is lost, the others judge what is done."""
        if self.verdict is not None:
            return self
        verdict = Verdict("timed out", ()) if type(self.policy) is All else _judged(self.policy, self.ended)
        return self._ended(self.done, self.wins, self.ended, verdict)

    def broken(self, error: Exception) -> Race:
        """The race that cannot go on: a score, or a copy of the input, raised."""
        return self._ended(self.done, self.wins, self.ended, Verdict("broken", ((-1, False, error),)))

    def _ended(self, done: int, wins: int, ended: Any, verdict: Verdict) -> Race:
        return Race(self.policy, self.total, done, wins, ended, verdict)


def _listed(ended: Any) -> list[Entry]:
    found: list[Entry] = []
    while ended is not None:
        entry, ended = ended
        found.append(entry)
    found.sort(key=lambda entry: entry[0])
    return found


def _wins(ended: Any) -> tuple[Entry, ...]:
    return tuple(entry for entry in _listed(ended) if entry[1])


def _judged(policy: Any, ended: Any) -> Verdict:
    """The verdict when nothing more will come."""
    entries = _listed(ended)
    if type(policy) is Settled:
        return Verdict("settled", tuple(entries))
    won = tuple(entry for entry in entries if entry[1])
    lost = tuple(entry for entry in entries if not entry[1])
    if type(policy) is All:
        return Verdict("won", won)
    wanted = policy.n if type(policy) is NBest else policy.k
    if not won:
        return Verdict("all failed", lost)
    if len(won) < wanted:
        return Verdict("too few", won, lost)
    if type(policy) is not NBest:
        return Verdict("won", won)
    try:
        return Verdict("won", best(policy, won))
    except Exception as error:  # noqa: BLE001  a score of the user's raised; the join raises it at its node
        return Verdict("broken", ((-1, False, error),))


def best(policy: NBest[Any], won: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The entries that score highest, in score order. Errors: what ``by`` raises; ``ValueError`` for a NaN score."""
    scored = []
    for entry in won:
        score = policy.by(entry[2])
        if score != score:
            raise ValueError(f"the score of branch {entry[0]} is not a number (NaN)")
        scored.append((-score, entry[0], entry))
    scored.sort(key=lambda row: row[:2])
    return tuple(row[2] for row in scored[: policy.n])
