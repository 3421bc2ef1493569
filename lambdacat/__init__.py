"""Plans as values: build once, then run, trace, price, draw or rewrite the same value."""

from typing import TYPE_CHECKING

from lambdacat.bound import Budget, Estimate, Guard, Limiter, Limits, Resource
from lambdacat.build import bind, choose, fail, focus, gather, loop_while, parallel, pure, recover, sequence, when
from lambdacat.condition import Condition
from lambdacat.context import Context, Key
from lambdacat.leaf import TaskOptions, task
from lambdacat.merging import Merges, collect, concat, merge, merged
from lambdacat.optics import Iso, Lens, Prism, Traversal, variant
from lambdacat.path import lens
from lambdacat.place import Attr, Item, Place, PlanError
from lambdacat.plan import Composite, Plan, Task, identity
from lambdacat.policy import ALL, FIRST_COMPLETED, N_BEST, SETTLED, All, NBest, Policy, Quorum, Settled
from lambdacat.steps import at, each

if TYPE_CHECKING:
    from returns.result import Failure, Result, Success

    from lambdacat.asking import approve, ask, sleep_until
    from lambdacat.drawing import render
    from lambdacat.effects.concurrent import GraceExceeded
    from lambdacat.effects.cut_off import CleanupFailed
    from lambdacat.effects.ledger import BudgetOverrun
    from lambdacat.effects.monad import Monad
    from lambdacat.effects.state import State
    from lambdacat.effects.writer import Writer
    from lambdacat.event import Emitted, Ended, Event, Finished, Retrying, Span, Started, Total, Trace
    from lambdacat.fault import (
        ActionFailed,
        AllFailed,
        BudgetExceeded,
        Denied,
        Fault,
        LoopLimit,
        MergeConflict,
        NoBranch,
        Outcome,
        OverBudget,
        PlanChanged,
        PlanFailed,
        Question,
        Refused,
        Stopped,
        TimedOut,
        TooFew,
        Unanswered,
        Unavailable,
        Waiting,
        WouldBlock,
        value_or_raise,
    )
    from lambdacat.footprints import Footprint, FootprintConflict, footprint
    from lambdacat.guard.cached import Store
    from lambdacat.interpreters.answers import NoQuestion, answer, questions
    from lambdacat.interpreters.arun import arun
    from lambdacat.interpreters.check import Finding, check
    from lambdacat.interpreters.dry_run import Forecast, dry_run
    from lambdacat.interpreters.in_flight import InFlight, in_flight
    from lambdacat.interpreters.interpret import interpret
    from lambdacat.interpreters.journal import Journal, JournalCorrupt, MemoryJournal, RunBusy, RunSetAside
    from lambdacat.interpreters.replaying import Replayed, fork, replay
    from lambdacat.interpreters.run import run
    from lambdacat.interpreters.runs import Resumable, can_resume, resume
    from lambdacat.interpreters.stateful import stateful
    from lambdacat.interpreters.stream import EventStream, stream
    from lambdacat.interpreters.traced import atraced, traced
    from lambdacat.rewrite import Rewrite, optimise
    from lambdacat.schedule import Exponential, Fixed, Schedule
    from lambdacat.secret import keep_secret
    from lambdacat.store.journals import SqliteJournal
else:
    # Loaded when first used: a script that only builds and runs a plan pays for neither event loops nor drawings.
    from lambdacat.lazily import later

    __getattr__, __dir__ = later(
        __name__,
        {
            "asking": "approve ask sleep_until",
            "fault": "ActionFailed AllFailed BudgetExceeded Denied Fault LoopLimit MergeConflict NoBranch Outcome"
            " OverBudget PlanChanged PlanFailed Question Refused Stopped TimedOut TooFew Unanswered Unavailable Waiting"
            " WouldBlock value_or_raise Failure Result Success",
            "footprints": "Footprint FootprintConflict footprint",
            "schedule": "Exponential Fixed Schedule",
            "secret": "keep_secret",
            "effects.concurrent": "GraceExceeded",
            "effects.ledger": "BudgetOverrun",
            "effects.cut_off": "CleanupFailed",
            "effects.monad": "Monad",
            "guard.cached": "Store",
            "interpreters.run": "run",
            "effects.state": "State",
            "effects.writer": "Writer",
            "event": "Emitted Ended Event Finished Retrying Span Started Total Trace",
            "interpreters.arun": "arun",
            "interpreters.check": "Finding check",
            "interpreters.journal": "Journal JournalCorrupt MemoryJournal RunBusy RunSetAside",
            "interpreters.replaying": "Replayed fork replay",
            "interpreters.runs": "Resumable can_resume resume",
            "interpreters.answers": "NoQuestion answer questions",
            "interpreters.in_flight": "InFlight in_flight",
            "interpreters.dry_run": "Forecast dry_run",
            "interpreters.stream": "EventStream stream",
            "interpreters.interpret": "interpret",
            "interpreters.stateful": "stateful",
            "interpreters.traced": "atraced traced",
            "drawing": "render",
            "rewrite": "Rewrite optimise",
            "store.journals": "SqliteJournal",
        },
    )

# In teaching order.
__all__ = [  # noqa: RUF022
    "Plan",
    "Task",
    "identity",
    "TaskOptions",
    "task",
    "pure",
    "fail",
    "bind",
    "sequence",
    "parallel",
    "gather",
    "choose",
    "when",
    "focus",
    "loop_while",
    "recover",
    "ask",
    "approve",
    "sleep_until",
    "Composite",
    "Attr",
    "Item",
    "Place",
    "Traversal",
    "Lens",
    "Prism",
    "Iso",
    "lens",
    "variant",
    "each",
    "at",
    "Condition",
    "All",
    "Quorum",
    "NBest",
    "N_BEST",
    "Settled",
    "ALL",
    "FIRST_COMPLETED",
    "SETTLED",
    "Policy",
    "merge",
    "collect",
    "merged",
    "Merges",
    "concat",
    "Schedule",
    "Fixed",
    "Exponential",
    "Estimate",
    "Resource",
    "ActionFailed",
    "Stopped",
    "TimedOut",
    "LoopLimit",
    "MergeConflict",
    "AllFailed",
    "TooFew",
    "NoBranch",
    "BudgetExceeded",
    "Refused",
    "Unavailable",
    "Unanswered",
    "Denied",
    "OverBudget",
    "BudgetOverrun",
    "WouldBlock",
    "Question",
    "Waiting",
    "PlanChanged",
    "Fault",
    "Outcome",
    "value_or_raise",
    "PlanFailed",
    "PlanError",
    "FootprintConflict",
    "GraceExceeded",
    "CleanupFailed",
    "Key",
    "Context",
    "Limits",
    "Limiter",
    "Guard",
    "Budget",
    "Store",
    "keep_secret",
    "Journal",
    "run",
    "arun",
    "resume",
    "can_resume",
    "Resumable",
    "in_flight",
    "InFlight",
    "questions",
    "answer",
    "replay",
    "Replayed",
    "fork",
    "MemoryJournal",
    "SqliteJournal",
    "JournalCorrupt",
    "RunBusy",
    "RunSetAside",
    "NoQuestion",
    "stream",
    "EventStream",
    "traced",
    "atraced",
    "stateful",
    "interpret",
    "dry_run",
    "Forecast",
    "Footprint",
    "footprint",
    "Rewrite",
    "optimise",
    "Finding",
    "check",
    "render",
    "Span",
    "Trace",
    "Total",
    "Started",
    "Retrying",
    "Emitted",
    "Finished",
    "Ended",
    "Event",
    "Writer",
    "State",
    "Monad",
    "Failure",
    "Result",
    "Success",
]
