"""What is spent under a budget: reserved before a call, settled after it, given back where it was not used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from math import inf
from threading import RLock
from typing import Any, Final

from lambdacat.bound import Budget, Left
from lambdacat.fault import OverBudget, Unpriced

MEASURES: Final = ("tokens", "money", "calls")
_ROUNDING: Final = 1e-9
"""As a part of a cap: sums of money in binary are not exact."""


class BudgetOverrun(RuntimeWarning):
    """A call cost more than it had reserved, and more than was left; the budget is closed."""


class Ledger:
    """The book of one budget in one run. Law: what is spent and reserved is never more than a cap, but for overruns.

    Every entry goes into the ledgers around it as well, under one lock: calls may spend from any thread.
    """

    __slots__ = ("_clock", "began", "budget", "caps", "key", "lock", "outer", "reserved", "spent")

    def __init__(self, budget: Budget, outer: Ledger | None, clock: Callable[[], float]) -> None:
        self.budget = budget
        self.outer = outer
        self.caps = {m: float(cap) for m in MEASURES if (cap := getattr(budget, m)) is not None}
        self.spent = dict.fromkeys(MEASURES, 0.0)
        self.reserved = dict.fromkeys(MEASURES, 0.0)
        self.lock: RLock = RLock() if outer is None else outer.lock
        self.key = ""
        """What a journal knows it by."""
        self._clock = clock
        self.began = clock()

    def chain(self) -> Iterator[Ledger]:
        """This one and those around it."""
        ledger: Ledger | None = self
        while ledger is not None:
            yield ledger
            ledger = ledger.outer

    def left(self) -> Left:
        """What may still be reserved."""
        with self.lock:
            least = dict.fromkeys(Left._fields, inf)
            for one in self.chain():
                for measure in one.caps:
                    least[measure] = min(least[measure], max(0.0, one._free(measure)))
                if one.budget.seconds is not None:
                    least["seconds"] = min(least["seconds"], max(0.0, one.began + one.budget.seconds - self._clock()))
        return Left(**least)

    def claim(self, node: Any) -> Claim:
        """The right to perform an action. Errors: ``OverBudget``; ``Unpriced`` where nobody knows what it may cost."""
        claim = Claim(self, node.name)
        amounts = {"calls": 1.0}
        for measure in ("tokens", "money"):
            if any(measure in one.caps for one in self.chain()):
                amounts[measure] = claim.fallback[measure] = self._most(node, measure)
        claim.reserve(amounts)
        return claim

    def charge(self, amounts: dict[str, float]) -> None:
        """Enter what has been spent, whether or not it fits."""
        with self.lock:
            for one in self.chain():
                one.enter(amounts)

    def enter(self, amounts: Mapping[str, float]) -> None:
        """Enter what has been spent here alone."""
        for measure, amount in amounts.items():
            self.spent[measure] += amount

    def _most(self, node: Any, measure: str) -> float:
        """What an action may cost at most. Errors: ``Unpriced``."""
        estimate = node.estimate
        if estimate is not None and estimate.reserves:
            return 0.0
        if estimate is not None and (most := getattr(estimate, measure)[1]) < inf:
            return float(most)
        if not node.call.wants_context:
            return 0.0  # what has no context has nothing to spend by
        for one in self.chain():
            rule = one.budget.unknown
            if rule is not None and (most := getattr(rule, measure)[1]) < inf:
                return float(most)
        raise Unpriced(
            "the budget",
            f"{node.name} may spend {measure} and has no estimate of them: give its task"
            f" estimate=Estimate({measure}=(0, most)), or the budget unknown=Estimate({measure}=(0, most))",
        )

    def _free(self, measure: str) -> float:
        return self.caps[measure] - self.spent[measure] - self.reserved[measure]

    def take(self, amounts: dict[str, float]) -> None:
        """Reserve, here and in all ledgers around, or not at all. Errors: ``OverBudget``."""
        with self.lock:
            for one in self.chain():
                for measure, cap in one.caps.items():
                    wanted, free = amounts.get(measure, 0.0), one._free(measure)
                    if wanted > free + _ROUNDING * cap:
                        raise OverBudget(measure, cap, wanted, max(0.0, free))
            self.move(amounts, 1.0)

    def move(self, amounts: dict[str, float], sign: float) -> None:
        """Change what is reserved, here and in all ledgers around."""
        with self.lock:
            for one in self.chain():
                for measure, amount in amounts.items():
                    left = one.reserved[measure] + sign * amount
                    one.reserved[measure] = left if left > _ROUNDING * amount else 0.0

    # As a turn that a plan holds: entering and leaving cost nothing.

    def enter_here(self, clock: Callable[[], float], wait: Callable[[float], None], seconds: float) -> bool:
        """The book is open."""
        return True

    def leave_here(self) -> None:
        """The book is closed."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


class Claim:
    """What one call has reserved and spent."""

    __slots__ = ("fallback", "ledger", "name", "over", "reported", "reserved", "spent")

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger = ledger
        self.name = name
        self.reserved: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        """What it said it spent."""
        self.fallback: dict[str, float] = {}
        """What it is charged where it says nothing."""
        self.over = False

    def reserve(self, amounts: dict[str, float]) -> None:
        """Reserve more. Errors: ``OverBudget``."""
        self.ledger.take(amounts)
        for measure, amount in amounts.items():
            self.reserved[measure] = self.reserved.get(measure, 0.0) + amount

    def ensure(self, amounts: dict[str, float]) -> None:
        """See to it that so much more may be spent. Errors: ``OverBudget``."""
        with self.ledger.lock:
            lacks = {m: wanted - self.reserved.get(m, 0.0) for m, wanted in amounts.items()}
            self.reserve({m: lack for m, lack in lacks.items() if lack > 0})

    def left(self) -> Left:
        """What may still be reserved."""
        return self.ledger.left()

    def spend(self, amounts: dict[str, float]) -> None:
        """Enter what was spent, out of what is reserved as far as that goes."""
        with self.ledger.lock:
            covered = {m: min(amount, self.reserved.get(m, 0.0)) for m, amount in amounts.items()}
            self._release(covered)
            for measure, amount in amounts.items():
                self.spent[measure] = self.spent.get(measure, 0.0) + amount
            self.ledger.charge(amounts)
            if any(amounts[m] > covered[m] for m in amounts):
                self._report()

    def settle(self) -> None:
        """The call is over: a call is counted, what it did not report is charged by its estimate, the rest is free."""
        with self.ledger.lock:
            charged = {m: most for m, most in self.fallback.items() if m not in self.spent}
            charged["calls"] = 1.0
            self.spent |= charged
            self._close(charged)

    def give_back(self) -> None:
        """The call was cut off: what it did not report is free again, but that it was made."""
        with self.ledger.lock:
            self.spent["calls"] = 1.0
            self._close({"calls": 1.0})

    def _close(self, charged: dict[str, float]) -> None:
        self._release(dict(self.reserved))
        self.ledger.charge(charged)
        self.over = True

    def _release(self, amounts: dict[str, float]) -> None:
        self.ledger.move(amounts, -1.0)
        for measure, amount in amounts.items():
            if amount:
                self.reserved[measure] -= amount

    def _report(self) -> None:
        for one in self.ledger.chain():
            for measure, cap in one.caps.items():
                if one.spent[measure] > cap * (1 + _ROUNDING):
                    spent = f"{one.spent[measure]:g} of {cap:g} {measure} are spent"
                    text = f"{self.name} has spent more than it had reserved, and {spent}; nothing more starts"
                    warnings.warn(f"{text} under this budget", BudgetOverrun, stacklevel=5)
                    return
