"""What a memory knows of what it forgot: enough for a merge to tell a forgotten key from one that left to make room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, final

from attrs import frozen

KNOWN: Final = 64
"""How many keys are known by name, however long a memory lives."""


@final
@frozen
class Forgets:
    """How often something was forgotten, and the keys that were forgotten last."""

    count: int = 0
    keys: tuple[str, ...] = ()

    def more(self, keys: Sequence[str], count: int) -> Forgets:
        """After ``count`` more, of which the last ``keys`` are known."""
        return Forgets(self.count + count, (*self.keys, *keys)[-KNOWN:])

    def since(self, base: Forgets) -> Collection[str] | None:
        """The keys that were forgotten since ``base``; None when more were than are known."""
        count = self.count - base.count
        return None if count > len(self.keys) else self.keys[len(self.keys) - count :]


def met(base: Forgets, tips: Sequence[Forgets]) -> Forgets:
    """What all branches forgot. Law: neither the order nor the grouping of the branches can be seen in it."""
    keys = sorted(key for tip in tips for key in tip.keys[-(tip.count - base.count) :] if tip.count > base.count)
    return base.more(keys, sum(tip.count - base.count for tip in tips))
