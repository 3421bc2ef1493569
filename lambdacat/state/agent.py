"""A state for agents: what they work on, remember, believe and know of whom they serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from attrs import field, frozen
from attrs.validators import instance_of

from lambdacat.optics import Lens
from lambdacat.path import lens
from lambdacat.state.beliefs import Beliefs
from lambdacat.state.logged import LoggedMap
from lambdacat.state.memory import Memory


def _logged(items: Mapping[str, Any]) -> LoggedMap[str, Any]:
    return items if isinstance(items, LoggedMap) else LoggedMap(items)


@final
@frozen
class AgentState:
    """What an agent carries from step to step and from run to run. A state class of your own does as well."""

    data: LoggedMap[str, Any] = field(factory=LoggedMap, converter=_logged)
    """What the plan works on."""
    memory: Memory = field(factory=Memory, validator=instance_of(Memory))
    beliefs: Beliefs = field(factory=Beliefs, validator=instance_of(Beliefs))
    profile: LoggedMap[str, Any] = field(factory=LoggedMap, converter=_logged)
    """What is known of the user, or of the agent itself."""
    scratch: LoggedMap[str, Any] = field(factory=LoggedMap, converter=_logged)
    """Notes that need not outlive the run."""


DATA: Final[Lens[AgentState, LoggedMap[str, Any]]] = lens(AgentState, lambda state: state.data)
MEMORY: Final[Lens[AgentState, Memory]] = lens(AgentState, lambda state: state.memory)
BELIEFS: Final[Lens[AgentState, Beliefs]] = lens(AgentState, lambda state: state.beliefs)
PROFILE: Final[Lens[AgentState, LoggedMap[str, Any]]] = lens(AgentState, lambda state: state.profile)
SCRATCH: Final[Lens[AgentState, LoggedMap[str, Any]]] = lens(AgentState, lambda state: state.scratch)
