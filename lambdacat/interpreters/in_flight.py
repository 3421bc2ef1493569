"""How far the outcomes in a journal carry a plan, and which steps come then; nothing is performed."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ClassVar, final

from attrs import frozen

from lambdacat.bound import Limits
from lambdacat.context import Context, idempotency_key
from lambdacat.effects.direct import Direct
from lambdacat.fault import PlanChanged, Waiting, settled
from lambdacat.interpreters.classes import codecs_of
from lambdacat.interpreters.durable import Note, durable_direct, wait_key
from lambdacat.interpreters.history import NEW, History
from lambdacat.interpreters.journal import Answerable, Document, Journal, MemoryJournal, Past, check_there, past_of
from lambdacat.interpreters.run import check_plan
from lambdacat.interpreters.shape import Change, Moved, compared
from lambdacat.machine.environment import Environment
from lambdacat.machine.fork import Retold
from lambdacat.machine.meaning import ACTIONS_APART, Called, GiveBack, Hold, Sleep
from lambdacat.machine.ops import FAIL, LEAVE, Halt, State, fallen
from lambdacat.machine.pausing import Asked, Until
from lambdacat.machine.segment import Fell, Leaf, Segment
from lambdacat.machine.trail import Trail
from lambdacat.plan import Bind, Plan, Pure
from lambdacat.structure import nodes


@final
@frozen(kw_only=True)
class InFlight:
    """A step without an outcome that may have begun: what it did outside, if anything, is not known."""

    key: str
    """Of the entry that it will have."""
    name: str
    idempotency_key: str
    """What its action reads from its context, and whoever it called may know it by."""


def sent_key(past: Past, document: Document) -> str | None:
    """The idempotency key of the step of an entry; None when another run performed it, out of which this was made."""
    if document["n"] <= past.begin.get("taken", 0):
        return None
    path, _, turns = document["key"].partition("#")
    rounds = ".".join(each for each in turns.split(".") if not each.startswith("a"))
    return idempotency_key(past.run, f"{path}#{rounds}" if rounds else path)


def in_flight(plan: Plan[Any, Any], journal: Journal) -> tuple[InFlight, ...]:
    """The steps that a resume would perform first, one for each branch that can go on; nothing is performed.

    What a process was in the middle of when it died is among them. Conditions and other pure functions are asked again.
    Errors: ``ValueError`` when there is no such run; ``JournalCorrupt``.
    """
    check_plan("in_flight", plan)
    check_there(journal, "look at")
    past = past_of(journal)
    if past is None or past.status in ("success", "failure"):
        return ()
    moved = compared(past.begin["plan"], plan)
    if isinstance(moved, Change):
        return ()
    return _walked(plan, past, moved, journal)[0]


def bound_change(plan: Plan[Any, Any], past: Past, journal: Journal) -> PlanChanged | None:
    """Where a plan that a ``bind`` makes has another step than was recorded; None as far as can be seen.

    It is made again from the outcomes in the journal, and nothing is performed.
    """
    if not any(isinstance(node, Bind) for node in nodes(plan)):
        return None
    moved = compared(past.begin["plan"], plan)
    return None if isinstance(moved, Change) else _walked(plan, past, moved, journal)[1]


def _walked(
    plan: Plan[Any, Any], past: Past, moved: Moved, journal: Journal
) -> tuple[tuple[InFlight, ...], PlanChanged | None]:
    """The steps that stand at the end of what is recorded, and where the plan is another, inside a ``bind``."""
    copy = MemoryJournal(past.run)
    for key, value in (journal.answers() if isinstance(journal, Answerable) else {}).items():
        copy.answer(key, value)
    codecs = codecs_of(plan, journal)
    history = History(copy, codecs)
    history.recall(past, moved)
    context = Context()._with(_seed=history.seed)
    # Time stands still, so that no deadline passes; those that had are in the journal.
    env = Environment(context, lambda: 0.0, Limits())
    env.history = history
    env.named(past.run, 0)
    walk = _Walk(env, ACTIONS_APART)
    given = codecs.from_tree(past.begin["input"])
    try:
        copy_context().run(walk.iterate, (plan, given, None))
    except Halt as halt:
        if not isinstance(halt.reason, PlanChanged):
            raise halt.reason from None
        fault: Any = settled(halt.reason)
        return tuple(walk.found), fault
    return tuple(walk.found), None


_DURABLE: Any = durable_direct(Direct)


class _Walk(_DURABLE):  # type: ignore[misc]
    """A driver that performs nothing: a branch stands still where the journal has no outcome, and the others go on."""

    __slots__ = ("found",)

    def __init__(self, env: Environment, table: Any) -> None:
        super().__init__(env, table)
        self.found: list[InFlight] = []

    def segment(self, segment: Segment, value: Any, stack: Any) -> State:
        history = self.env.history
        for index, leaf in enumerate(segment.leaves):
            if type(leaf.node) is Pure:
                made = self.perform(segment, index, leaf, value, stack)
            else:
                made = history.answer(history.key(history.keys.of(stack, leaf.at)), leaf, index, value, stack)
            if made is NEW:
                return self.stands(leaf, value, stack)
            if type(made) is Fell:
                return fallen(segment, made, stack)
            value = made
        return LEAVE, value, stack

    def stands(self, leaf: Leaf, value: Any, stack: Any) -> State:
        history, site = self.env.history, Trail(stack, leaf.at, value, leaf.node)
        key, whichever = history.key(site.key()), history.key(site.key(attempts=False))
        sent = idempotency_key(history.run, whichever)
        self.found.append(InFlight(key=key, name=leaf.node.name, idempotency_key=sent))
        return _still(site, value, stack)

    def waited(self, seconds: float, request: Sleep | Until, value: Any, stack: Any) -> State:
        history = self.env.history
        key = history.key(wait_key(request, stack))
        if history.woke(key) or (history.wakes(key) is None and seconds <= 0):
            return request.inside(value, stack)
        return _still(Trail(stack, (), value, request.node), value, stack)

    def asked(self, request: Asked | Retold, value: Any, stack: Any) -> State:
        if isinstance(request, Retold):
            state: State = request.inside(value, stack)
            return state
        key = self.env.history.key(Trail(stack, (), value, request.node).key())
        answer, _ = self.env.history.reply(request, key)
        return request.inside(value, stack) if answer is NEW else request.answered(answer, value, stack)

    def again(self, request: Sleep, stack: Any) -> bool:
        history = self.env.history
        return history.granted(history.key(wait_key(request, stack))) is not False

    def passed(self, request: Called | Hold | GiveBack | Note, value: Any, stack: Any) -> State:
        """Neither a turn of a limiter is taken, nor anything written."""
        return (request.op, value, stack) if isinstance(request, Note) else request.inside(value, stack)

    answers: ClassVar[dict[type, Callable[..., State]]] = {
        **_DURABLE.answers,
        Segment: segment,
        Asked: asked,
        Retold: asked,
        Called: passed,
        Hold: passed,
        GiveBack: passed,
        Note: passed,
    }


def _still(site: Trail, value: Any, stack: Any) -> State:
    """A suspension, which policies and handlers leave as it is."""
    return FAIL, Waiting(questions=(), at=site, name=site.name, input=value), stack
