"""How memories, beliefs and agents' states are written: what to declare to codecs, beside classes of one's own."""

from __future__ import annotations

from typing import Any, Final

from lambdacat.codec import Codec
from lambdacat.state.agent import AgentState
from lambdacat.state.beliefs import Belief, Beliefs
from lambdacat.state.capacity import Capacity, LeastRecent, LeastUsed, Oldest
from lambdacat.state.every import Upkeep
from lambdacat.state.forgets import Forgets
from lambdacat.state.logged import LoggedMap
from lambdacat.state.memory import Entry, Memory, Newest, Refuse
from lambdacat.state.origin import Origin
from lambdacat.state.verdicts import Held


def _ours(cls: Any, **options: Any) -> Codec:
    # A user's own Entry or Memory is stored under that name; these leave it to them.
    return Codec(cls, name=f"lambdacat.{cls.__name__}", **options)


STATE_CODECS: Final[tuple[Codec, ...]] = (
    # Written as the plain map, whose form has one order whatever the run.
    _ours(LoggedMap, encode=LoggedMap.plain, decode=LoggedMap),
    *map(_ours, (AgentState, Memory, Entry, Forgets, Origin, Upkeep, Beliefs, Belief, Held)),
    *map(_ours, (Capacity, Oldest, LeastUsed, LeastRecent, Refuse, Newest)),
)
"""The classes of this package that a state may hold: ``Codecs(*STATE_CODECS, MyClass)``."""
