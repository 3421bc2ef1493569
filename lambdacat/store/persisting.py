"""Plans that go on from where the last run ended: loaded at the entry, saved at the exit."""

from __future__ import annotations

from typing import Any, TypeVar, final

from attrs import frozen

from lambdacat.bound import Resource
from lambdacat.build import focus
from lambdacat.context import Context
from lambdacat.leaf import task
from lambdacat.optics import Lens
from lambdacat.path import lens
from lambdacat.plan import Plan
from lambdacat.store.cells import key_bytes
from lambdacat.store.store import Store, VersionConflict

S = TypeVar("S")

_VALUE: Lens[tuple[Any, int], Any] = lens(tuple[Any, int], lambda loaded: loaded[0])


def persisted(plan: Plan[S, S], store: Store, key: str) -> Plan[S, S]:
    """``plan`` on what ``store`` has under ``key``, or on the value given where there is nothing; its result is saved.

    Law: nothing is saved when the plan faults, and no update of another is lost: what was saved by somebody else since
    this run loaded is never overwritten. Errors: then ``ActionFailed`` of a ``VersionConflict``; a ``retry`` around it
    loads again.
    """
    key_bytes(key)
    place = f"{key!r} in {store.name}"
    load: Plan[S, tuple[S, int]] = task(name=f"load {key!r}", resources=(Resource(place),), idempotent=True)(
        _Load(store, key)
    )
    save: Plan[tuple[S, int], S] = task(
        name=f"save {key!r}", resources=(Resource(place, writes=True),), idempotent=True
    )(_Save(store, key))
    return load >> focus(_VALUE, plan) >> save


@final
@frozen
class _Load:
    store: Store
    key: str

    def __call__(self, given: Any) -> tuple[Any, int]:
        found = self.store.read(self.key)
        return (given, 0) if found is None else (found.value, found.version)


@final
@frozen
class _Save:
    store: Store
    key: str

    def __call__(self, loaded: tuple[Any, int], context: Context) -> Any:
        value, version = loaded
        mark = context.idempotency_key
        try:
            self.store.swap(self.key, value, version, mark=mark)
        except VersionConflict:
            found = self.store.read(self.key)
            if found is None or found.mark != mark:
                raise
            # This step wrote it, in a process that ended before it could say so.
            return found.value
        return value
