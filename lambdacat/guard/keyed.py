"""A limiter for each key: for each host, for each model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar, final
from weakref import WeakValueDictionary

from lambdacat.bound import Limiter
from lambdacat.place import PlanError

A_contra = TypeVar("A_contra", contravariant=True)


@final
class Keyed(Generic[A_contra]):
    """One limiter for each key: ``Keyed(lambda page: page.host, lambda host: Rate(2))``.

    ``key`` is asked of what a plan is given. A limiter is made when its key is first seen; of more than ``most`` the
    ones that were idle longest are forgotten, and only those, so that no bound is ever passed. Errors: what ``key``
    and ``make`` raise is a fault of the plan.
    """

    __slots__ = ("__weakref__", "_forgotten", "_key", "_limiters", "_lock", "_make", "_most", "_name")

    def __init__(
        self,
        key: Callable[[A_contra], Hashable],
        make: Callable[[Hashable], Limiter],
        *,
        most: int = 1000,
        name: str = "",
    ) -> None:
        for what, function in (("key", key), ("make", make)):
            if not callable(function):
                raise PlanError(f"{what} of a keyed limiter is a function, not {function!r}")
        if type(most) is not int or most < 1:
            raise PlanError(f"most of a keyed limiter is a whole number of at least 1, not {most!r}")
        self._key = key
        self._make = make
        self._most = most
        self._name = name or "one limiter for each key"
        self._limiters: OrderedDict[Hashable, Limiter] = OrderedDict()
        self._forgotten: WeakValueDictionary[Hashable, Limiter] = WeakValueDictionary()
        """What somebody may just be about to take a turn of."""
        self._lock = Lock()

    @property
    def name(self) -> str:
        """What faults and drawings call it."""
        return self._name

    def __len__(self) -> int:
        """How many limiters it knows."""
        return len(self._limiters)

    def limiter_for(self, value: A_contra) -> Limiter:
        """The limiter for what a plan is given."""
        key = self._key(value)
        with self._lock:
            found = self._limiters.get(key)
            if found is None:
                found = self._limiters[key] = self._forgotten.get(key) or self._make(key)
                self._forget()
            else:
                self._limiters.move_to_end(key)
            return found

    def _forget(self) -> None:
        """Drop the idle ones, those that were not asked for longest first."""
        if len(self._limiters) <= self._most:
            return
        newest = next(reversed(self._limiters))
        for key, limiter in list(self._limiters.items()):
            if key is not newest and getattr(limiter, "idle", False):
                self._forgotten[key] = self._limiters.pop(key)
                if len(self._limiters) <= self._most:
                    return
