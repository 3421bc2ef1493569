"""How memories, beliefs and agents' states are written: what to declare to codecs, beside classes of one's own."""

from __future__ import annotations

from typing import Final

from lambdacat.codec import Codec
from lambdacat.state.agent import AgentState
from lambdacat.state.beliefs import Belief, Beliefs
from lambdacat.state.capacity import Capacity, LeastRecent, LeastUsed, Oldest
from lambdacat.state.every import Upkeep
from lambdacat.state.logged import LoggedMap
from lambdacat.state.memory import Entry, Memory, Newest, Refuse
from lambdacat.state.origin import Origin

STATE_CODECS: Final[tuple[type | Codec, ...]] = (
    # Written as the plain map, whose form has one order whatever the run.
    Codec(LoggedMap, encode=LoggedMap.plain, decode=LoggedMap),
    AgentState,
    Memory,
    Entry,
    Origin,
    Capacity,
    Oldest,
    LeastUsed,
    LeastRecent,
    Refuse,
    Newest,
    Upkeep,
    Beliefs,
    Belief,
)
"""The classes of this package that a state may hold: ``Codecs(*STATE_CODECS, MyClass)``."""
