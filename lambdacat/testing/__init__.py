"""What users need to test plans: random plans, laws, virtual time, stand-ins, and failures made small.

Strategies and laws want Hypothesis; virtual time and stand-ins do not.
"""

from typing import TYPE_CHECKING

from lambdacat.lazily import later

if TYPE_CHECKING:
    from lambdacat.testing.blur import blurred
    from lambdacat.testing.clock import VirtualClock
    from lambdacat.testing.delays import Slow, awake, slow
    from lambdacat.testing.disturbing import Disturbed, TurnedAway, chaos
    from lambdacat.testing.fakes import Called, Recorder, fails
    from lambdacat.testing.journal_laws import check_journal_laws
    from lambdacat.testing.loop import Deadlock, virtual_asyncio_run, virtual_run, virtual_trio_run
    from lambdacat.testing.merge_laws import check_merge_laws
    from lambdacat.testing.model import TooManyOutcomes, possible
    from lambdacat.testing.optic_laws import check_lens_laws, check_prism_laws, check_traversal_laws
    from lambdacat.testing.sample import Sample
    from lambdacat.testing.scripted import ScriptedLLM
    from lambdacat.testing.shrinking import shrink
    from lambdacat.testing.state_laws import (
        Edit,
        Evidence,
        capacities,
        check_belief_laws,
        check_memory_laws,
        edits,
        evidence,
        memories,
        origins,
    )
    from lambdacat.testing.storables import portrait, storables
    from lambdacat.testing.store_laws import check_store_laws
    from lambdacat.testing.store_trial import STORE_CODECS
    from lambdacat.testing.strategies import lenses, number_plans, plans, states, suspending_plans
    from lambdacat.testing.stubbing import Answer, stub
    from lambdacat.testing.suites import SUITES, LawResult, check_interpreter_laws, interpreters, run_suites

# Loaded when first used: whoever wants a clock needs no Hypothesis.
__getattr__, __dir__ = later(
    __name__,
    {
        "blur": "blurred",
        "disturbing": "Disturbed TurnedAway chaos",
        "clock": "VirtualClock",
        "fakes": "Called Recorder fails",
        "loop": "Deadlock virtual_asyncio_run virtual_run virtual_trio_run",
        "merge_laws": "check_merge_laws",
        "model": "TooManyOutcomes possible",
        "optic_laws": "check_lens_laws check_prism_laws check_traversal_laws",
        "storables": "portrait storables",
        "journal_laws": "check_journal_laws",
        "store_laws": "check_store_laws",
        "store_trial": "STORE_CODECS",
        "state_laws": "Edit Evidence capacities check_belief_laws check_memory_laws edits evidence memories origins",
        "strategies": "lenses number_plans plans states suspending_plans",
        "sample": "Sample",
        "scripted": "ScriptedLLM",
        "shrinking": "shrink",
        "delays": "Slow awake slow",
        "stubbing": "Answer stub",
        "suites": "SUITES LawResult check_interpreter_laws interpreters run_suites",
    },
)


__all__ = [
    "STORE_CODECS",
    "SUITES",
    "Answer",
    "Called",
    "Deadlock",
    "Disturbed",
    "Edit",
    "Evidence",
    "LawResult",
    "Recorder",
    "Sample",
    "ScriptedLLM",
    "Slow",
    "TooManyOutcomes",
    "TurnedAway",
    "VirtualClock",
    "awake",
    "blurred",
    "capacities",
    "chaos",
    "check_belief_laws",
    "check_interpreter_laws",
    "check_journal_laws",
    "check_lens_laws",
    "check_memory_laws",
    "check_merge_laws",
    "check_prism_laws",
    "check_store_laws",
    "check_traversal_laws",
    "edits",
    "evidence",
    "fails",
    "interpreters",
    "lenses",
    "memories",
    "number_plans",
    "origins",
    "plans",
    "portrait",
    "possible",
    "run_suites",
    "shrink",
    "slow",
    "states",
    "storables",
    "stub",
    "suspending_plans",
    "virtual_asyncio_run",
    "virtual_run",
    "virtual_trio_run",
]
