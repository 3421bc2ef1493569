"""New runs out of old ones: from the middle of one, or all of one again with some steps changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, final

from attrs import frozen

from lambdacat.bound import Limits
from lambdacat.context import Context, context_of
from lambdacat.fault import Outcome
from lambdacat.interpreters.answers import questions
from lambdacat.interpreters.downstream import downstream
from lambdacat.interpreters.journal import (
    Answerable,
    Document,
    Journal,
    MemoryJournal,
    Past,
    check_there,
    past_of,
    sealed,
    sealed_answer,
    unbegun,
    unsealed_answer,
)
from lambdacat.interpreters.run import check_plan
from lambdacat.interpreters.runs import RECORDED, arun_durable, owned
from lambdacat.interpreters.shape import Moved, compared, shape
from lambdacat.place import PlanError
from lambdacat.plan import Plan, Task
from lambdacat.regrow import rebuilt, with_action
from lambdacat.structure import nodes

B = TypeVar("B")
_LIMITS = Limits()


class NoEntry(KeyError):
    """A journal has no entry of that key."""

    def __str__(self) -> str:
        # A KeyError shows the repr of its message.
        return str(self.args[0])


def _recorded(journal: Journal, to: str) -> Past:
    check_there(journal, to)
    past = past_of(journal)
    if past is None:
        raise ValueError(f"there is no run to {to}: {unbegun(journal)}")
    return past


def _open_answers(journal: Journal, past: Past) -> dict[str, bytes]:
    """What was answered and not taken up yet, by key. Errors: ``JournalCorrupt``."""
    if not isinstance(journal, Answerable):
        return {}
    return {key: unsealed_answer(past.run, key, value) for key, value in journal.answers().items()}


def _started(
    into: Journal, past: Past, documents: Sequence[Document], answers: Mapping[str, bytes], **changes: Any
) -> None:
    """Begin a new run with entries of an old one, and the answers to what was asked in them.

    Errors: ``ValueError`` when ``into`` has a run already.
    """
    if past_of(into) is not None:
        raise ValueError(f"{into!r} has a run already; give the new run a name of its own")
    run = str(getattr(into, "run_id", "") or f"{past.run}, again")
    digest = b""
    with owned(into):
        begin = {**past.begin, "run": run, "of": past.run, "taken": len(documents), **changes}
        for number, document in enumerate((begin, *documents)):
            digest, entry = sealed(digest, {**document, "n": number})
            into.append(entry)
    asked = {document["key"] for document in documents if document["kind"] == "asked"}
    if isinstance(into, Answerable):
        for key in asked & answers.keys():
            into.answer(key, sealed_answer(run, key, answers[key]))


def fork(journal: Journal, *, at: str, into: Journal) -> None:
    """Start a new run in ``into`` with everything that the old one did before the entry ``at``.

    ``resume(plan, into)`` goes on from there; the old run stays as it is. Errors: ``NoEntry``; ``ValueError`` when
    ``into`` is not empty.
    """
    past = _recorded(journal, "fork")
    keys = {d["key"]: d["n"] for d in reversed(past.documents) if d.get("key") is not None}
    if at not in keys:
        close = get_close_matches(at, keys, n=1, cutoff=0.5)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, list(keys)[:10])) or 'none yet'}"
        )
        raise NoEntry(f"run {past.run!r} has no entry {at!r}; {hint}")
    kept = [d for d in past.documents[1 : keys[at]] if d["kind"] != "end"]
    _started(into, past, kept, _open_answers(journal, past))


@final
@frozen(kw_only=True)
class Replayed(Generic[B]):
    """What a replay came to: its outcome, and what it cost against what it saved."""

    outcome: Outcome[B]
    performed: tuple[str, ...]
    """The names of the steps that ran, in the order in which they ended."""
    answered: tuple[str, ...]
    """The names of the steps that the journal answered for."""
    saved: float
    """What those took when they ran. Units: seconds."""
    questions: dict[str, dict[str, Any]]
    """What the new run asks and nobody has answered, as ``questions`` gives it."""

    def __str__(self) -> str:
        return (
            f"ran {_listed(self.performed)}; the journal answered for {_listed(self.answered)},"
            f" which took {self.saved:.3g} s"
        )


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "nothing"
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in counts.items())


async def replay(
    plan: Plan[Any, B],
    journal: Journal,
    *,
    changed: Collection[str] | Mapping[str, Callable[..., Any]],
    into: Journal | None = None,
    context: Context | Mapping[str, Any] | None = None,
    observers: Collection[Callable[[Any], object]] = (),
    limits: Limits = _LIMITS,
) -> Replayed[B]:
    """The run of a journal again with changed steps: only they and what lies downstream of them are performed.

    ``changed`` are the names of steps that ``plan`` has in a new form, or a new action for each name. Downstream is
    what reads a place that a changed step, or one downstream of it, may write. The new run goes into ``into``; without
    one it is not kept. Errors: ``PlanError`` for a name that no step has.
    """
    check_plan("replay", plan)
    past = _recorded(journal, "replay")
    _check_names(plan, past, changed)
    plan = edited(plan, changed) if isinstance(changed, Mapping) else plan
    moved = compared(past.begin["plan"], plan)
    documents = [moved.entry_now(d) if isinstance(moved, Moved) else d for d in past.documents]
    recorded = [(d["key"], d["name"]) for d in documents if d["kind"] in ("done", "asked")]
    below = downstream(plan, frozenset(changed), recorded)
    kept = [d for d in documents[1:] if d["kind"] != "end" and not _stale(d, below)]
    target = MemoryJournal(codecs=getattr(journal, "codecs", ())) if into is None else into
    now = moved.now if isinstance(moved, Moved) else str
    given = {now(key): value for key, value in _open_answers(journal, past).items()}
    _started(target, past, kept, given, plan=shape(plan))
    outcome, history = await arun_durable(plan, RECORDED, target, context_of(context), limits, observers)
    assert history is not None
    fresh = _recorded(target, "replay").documents[len(kept) + 1 :]
    told = [d for d in kept if d["kind"] == "done" and d["key"] in history.used]
    return Replayed(
        outcome=outcome,
        performed=tuple(d["name"] for d in fresh if d["kind"] == "done"),
        answered=tuple(d["name"] for d in told),
        saved=sum(d["seconds"] for d in told),
        questions=questions(target),
    )


def _stale(document: Document, below: Any) -> bool:
    key = document.get("key")
    if key is None:
        return False
    inside: bool = below.has(key) if document["kind"] in ("done", "asked", "answer") else below.below(key)
    return inside


def edited(plan: Plan[Any, B], actions: Mapping[str, Callable[..., Any]]) -> Plan[Any, B]:
    """The plan with new actions for the tasks of these names; lenses, bounds and names stay."""

    def other(node: Plan[Any, Any]) -> Plan[Any, Any]:
        if isinstance(node, Task) and node.name in actions:
            return with_action(node, actions[node.name], node.blocking)
        return node

    return rebuilt(plan, other)


def _check_names(plan: Plan[Any, Any], past: Past, changed: Collection[str]) -> None:
    known = {node.name for node in nodes(plan)} | {d["name"] for d in past.documents if "name" in d}
    for name in changed:
        if name not in known:
            close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise PlanError(f"replay: the plan has no step {name!r}{hint}")
