"""What agents carry from step to step: a memory with bounds, beliefs whose order of evidence cannot be seen."""

from lambdacat.state.agent import BELIEFS, DATA, MEMORY, PROFILE, SCRATCH, AgentState
from lambdacat.state.belief_plans import bayes, decay, observe, read_entropy, read_probability, read_strongest, refresh
from lambdacat.state.beliefs import Belief, Beliefs, decayed, decayed_until, inferred, log_ratio, observed, refreshed
from lambdacat.state.capacity import Capacity, LeastRecent, LeastUsed, Oldest
from lambdacat.state.compaction import compacted, leaving
from lambdacat.state.every import Every
from lambdacat.state.logged import LoggedMap
from lambdacat.state.memory import (
    Entry,
    Memory,
    Newest,
    NotRemembered,
    Refuse,
    bounded,
    forgotten,
    recalled,
    remembered,
    used,
)
from lambdacat.state.memory_merge import ByKey, newest_wins
from lambdacat.state.memory_plans import compact, forget, recall, remember, use
from lambdacat.state.origin import NOWHERE, Origin, origin_of
from lambdacat.state.stored import STATE_CODECS
from lambdacat.state.verdicts import (
    Held,
    Reason,
    believes,
    entropy,
    log_odds,
    probability,
    strongest,
    undecided,
    why,
)

# In teaching order: the state, the plans, the plain functions, the values.
__all__ = [  # noqa: RUF022
    "AgentState",
    "DATA",
    "MEMORY",
    "BELIEFS",
    "PROFILE",
    "SCRATCH",
    "remember",
    "recall",
    "use",
    "forget",
    "compact",
    "observe",
    "bayes",
    "decay",
    "refresh",
    "read_probability",
    "read_entropy",
    "read_strongest",
    "believes",
    "undecided",
    "remembered",
    "recalled",
    "used",
    "forgotten",
    "compacted",
    "leaving",
    "bounded",
    "observed",
    "inferred",
    "log_ratio",
    "decayed",
    "decayed_until",
    "refreshed",
    "log_odds",
    "probability",
    "entropy",
    "strongest",
    "why",
    "Memory",
    "Entry",
    "Capacity",
    "Oldest",
    "LeastUsed",
    "LeastRecent",
    "Refuse",
    "Newest",
    "newest_wins",
    "ByKey",
    "Every",
    "NotRemembered",
    "Beliefs",
    "Belief",
    "Held",
    "Reason",
    "LoggedMap",
    "Origin",
    "NOWHERE",
    "origin_of",
    "STATE_CODECS",
]
