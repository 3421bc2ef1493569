"""What a durable run knows of its past, and what it adds to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lambdacat.codec import Codecs, NotStorable, StateCorrupt
from lambdacat.effects.direct import passed_at
from lambdacat.fault import BudgetExceeded, PlanChanged, TimedOut
from lambdacat.interpreters.journal import (
    FORMAT,
    Answerable,
    Document,
    Grouped,
    Journal,
    JournalCorrupt,
    Past,
    sealed,
    unsealed_answer,
)
from lambdacat.interpreters.migrating import migration_change, versions, versions_at
from lambdacat.interpreters.outcomes import outcome_of, outcome_tree
from lambdacat.interpreters.shape import NOWHERE, Change, Moved, compared, lenses_text, shape
from lambdacat.machine.fork import Fork, Overtime
from lambdacat.machine.ops import Halt
from lambdacat.machine.pausing import Asked
from lambdacat.machine.segment import Fell, Leaf, Suspends
from lambdacat.machine.trail import Keys, Trail
from lambdacat.plan import Plan
from lambdacat.policy import All, Settled, Verdict
from lambdacat.redaction import note

NEW: Any = object()
"""No entry answers for an action: it must be performed."""


class History:
    """One run's journal while it runs: entries by key, and the end of the chain."""

    def __init__(self, journal: Journal, codecs: Codecs) -> None:
        self.journal = journal
        self.codecs = codecs
        self.run = ""
        self.seed = 0
        self.number = 0
        """Of the next entry."""
        self.digest = b""
        self.last: Document = {}
        self.known: defaultdict[str, dict[str, Document]] = defaultdict(dict)
        """Entries by kind, then by key."""
        self.used: set[str] = set()
        """Keys of the actions that the journal answered for."""
        self.keys = Keys()
        self.moved: Moved | None = None
        """Where steps have gone since the run began, if any has."""
        self.tick: Any = None
        """What appends the entries of one tick together, on an event loop."""
        self._interrupted: BaseException | None = None
        self._answers: Mapping[str, bytes] | None = None
        self._spent: defaultdict[str, list[Document]] | None = None

    # Beginning and end ---------------------------------------------------------------------------------------------

    def begin(self, plan: Plan[Any, Any], value: Any, run: str, seed: int, wall: float, **more: Any) -> None:
        """Start an empty journal. Errors: ``NotStorable`` for an input that cannot be read back."""
        self.run, self.seed = run, seed
        note(value)
        given = self.codecs.to_tree(value)
        rows = shape(plan)
        self.append([
            {"kind": "begin", "run": run, "format": FORMAT, "seed": seed, "at": wall, **more,
             "versions": versions(self.codecs), "plan": rows, "input": given}
        ])  # fmt: skip

    def resume(self, plan: Plan[Any, Any], past: Past) -> None:
        """Take up what a journal says. Errors: ``Halt`` with ``PlanChanged`` when the plan is another."""
        difference = compared(past.begin["plan"], plan)
        if isinstance(difference, Change):
            raise Halt(difference.fault())
        if (change := migration_change(past, self.codecs)) is not None:
            raise Halt(change)
        self.recall(past, difference)
        fresh = versions(self.codecs)
        if fresh != versions_at(past.documents):
            self.append([{"kind": "resumed", "versions": fresh}])

    def recall(self, past: Past, moved: Moved = NOWHERE) -> None:
        """Know every entry of the past, under the key that it was written with."""
        self.moved = moved if moved.prefixes else None
        self.run, self.seed = past.run, past.begin["seed"]
        self.number, self.digest, self.last = len(past.documents), past.digest, past.documents[-1]
        known = self.known
        for document in past.documents:
            if "key" in document:
                known[document["kind"]][document["key"]] = document

    def key(self, now: str) -> str:
        """The key in the journal of what has the key ``now`` in the plan."""
        return now if self.moved is None else self.moved.recorded(now)

    def end(self, outcome: str, says: str, waits_for: Sequence[str] = ()) -> None:
        """How the run has ended, unless the journal says so already."""
        document: Document = {"kind": "end", "outcome": outcome, "says": says, "questions": list(waits_for)}
        # The words may differ: a persistent map that was read prints its keys in another order.
        if any(self.last.get(name) != document[name] for name in ("kind", "outcome", "questions")):
            self.append([document])

    # Writing -------------------------------------------------------------------------------------------------------

    def append(self, documents: list[Document]) -> None:
        """Make entries safe, in one transaction where the journal can. Errors: ``Halt`` when it cannot be kept."""
        if self._interrupted is not None:
            raise Halt(self._interrupted)
        number, digest, entries = self.number, self.digest, []
        for document in documents:
            digest, entry = sealed(digest, {"n": number, **document})
            entries.append(entry)
            number += 1
        try:
            if len(entries) > 1 and isinstance(self.journal, Grouped):
                self.journal.append_all(entries)
            else:
                for entry in entries:
                    self.journal.append(entry)
        except Exception as error:  # noqa: BLE001  whatever a journal says when it cannot be written ends the run
            raise Halt(error) from None
        except BaseException as error:
            # Nobody knows whether it was written; a second entry under its number would break the chain.
            self._interrupted = error
            raise
        self.number, self.digest, self.last = number, digest, documents[-1]

    # Actions -------------------------------------------------------------------------------------------------------

    def answer(self, key: str, leaf: Leaf, index: int, value: Any, stack: Any) -> Any:
        """What an action gave when it was performed: its result, ``Fell``, or ``NEW``."""
        document = self.known["done"].get(key)
        if document is None:
            return NEW
        node: Any = leaf.node
        if (document["name"], document["lenses"]) != node.memo("entry", _said):
            raise Halt(_other_task(document, leaf, Trail(stack, leaf.at, value, node)))
        self.used.add(key)
        return outcome_of(node, document, value, index, self.codecs)

    @staticmethod
    def keeps(made: Any) -> bool:
        """Whether what an action gave is an outcome: that it cannot wait here says nothing of it."""
        return not (type(made) is Fell and isinstance(made.error, Suspends))

    def done(self, key: str, leaf: Leaf, given: Any, made: Any, seconds: float) -> Document:
        """The entry of an action that was performed."""
        node: Any = leaf.node
        document: Document = {
            "kind": "done",
            "key": key,
            "name": node.name,
            "lenses": signature(leaf),
            "seconds": round(seconds, 6),
        }
        try:
            document |= outcome_tree(node, given, made, self.codecs)
        except Exception as error:  # noqa: BLE001  also a codec of the user's: nothing may depend on what is not kept
            spot = f"what {node.name} gave (at {key or 'the top'})"
            if isinstance(error, NotStorable):
                error.root = f"{spot}, of class {error.root or type(made).__qualname__},"
            error.add_note(f"{spot} cannot be kept in the journal")
            raise Halt(error) from None
        return document

    # Decisions that time made --------------------------------------------------------------------------------------

    def verdict(self, fork: Fork, stack: Any) -> Document | None:
        """How a race of this fork ended, if it did."""
        told = self.known["verdict"]
        document = told.get(self.key(_fork_key(fork, stack))) if told else None
        return document if document is None or self.moved is None else self.moved.verdict_now(document)

    def decided(self, fork: Fork, verdict: Verdict, stack: Any) -> Document | None:
        """The entry of a verdict that another run might not come to; None when any run comes to it."""
        kind, entries, missing = verdict
        every = len(entries) == fork.total
        settled = type(fork.policy) in (All, Settled) and every and kind in ("won", "settled")
        if settled or kind == "broken":
            return None
        document: Document = {"kind": "verdict", "key": _fork_key(fork, stack), "verdict": kind}
        document["entries"], document["missing"] = ([[i, won] for i, won, _ in row] for row in (entries, missing))
        return document if self.moved is None else self.moved.verdict_recorded(document)

    def late(self, node: Plan[Any, Any], site: Trail, value: Any) -> TimedOut | BudgetExceeded | None:
        """The fault of a deadline that passed."""
        told = self.known["timeout"]
        document = told.get(self.key(site.key())) if told else None
        if document is None:
            return None
        over = Overtime(*(document.get(name, 0) for name in Overtime._fields))
        return passed_at(node, site, value, document["seconds"], over)

    def timed_out(self, fault: TimedOut | BudgetExceeded) -> Document:
        """The entry of a deadline that has passed."""
        site: Any = fault._at
        document: Document = {"kind": "timeout", "key": self.key(site.key())}
        if isinstance(fault, BudgetExceeded):
            return document | {"seconds": fault.cap, "late": fault.needed - fault.cap}
        return document | {"seconds": fault.seconds, "late": fault.late, "abandoned": fault.abandoned,
                           "unbegun": fault.unbegun}  # fmt: skip

    # Budgets -------------------------------------------------------------------------------------------------------

    def spent(self, ledger: str) -> list[Document]:
        """What the journal says was spent under a budget, call by call."""
        if self._spent is None:
            self._spent = defaultdict(list)
            for document in self.known["done"].values():
                for key in document.get("under", ()):
                    self._spent[key].append(document["spent"])
        return self._spent[ledger]

    def granted(self, key: str) -> bool | None:
        """Whether a retry was granted that draws on a budget; None where it was not asked."""
        document = self.known["again"].get(key)
        return None if document is None else bool(document["granted"])

    def wakes(self, key: str) -> float | None:
        """When a wait ends. Units: seconds since 1970 in UTC."""
        document = self.known["wait"].get(key)
        return None if document is None else float(document["until"])

    def woke(self, key: str) -> bool:
        """Whether a wait is over."""
        return key in self.known["woke"]

    # Questions -----------------------------------------------------------------------------------------------------

    def reply(self, request: Asked, key: str) -> tuple[Any, Document | None]:
        """The answer to a question and what is to be written of it; ``NEW`` when there is none."""
        before = self.known["asked"].get(key)
        same = before is None or before["text"] == request.text
        document = self.known["answer"].get(key)
        if document is not None:
            # What a function makes of a state may read otherwise now; what was done after the answer is done.
            if not same and isinstance(request.node.question, str):
                raise Halt(_other_question(before, request))
            return self.codecs.from_tree(document["value"]), None
        if self._answers is None and isinstance(self.journal, Answerable):
            try:
                self._answers = self.journal.answers()
            except Exception as error:  # noqa: BLE001  whatever a journal says when it cannot be read ends the run
                raise Halt(error) from None
        fresh = (self._answers or {}).get(key)
        if fresh is None:
            return NEW, None if before is not None and same else _asked(request, key)
        if not same:
            raise Halt(_other_question(before, request))
        try:
            value = self.codecs.decode(unsealed_answer(self.run, key, fresh))
        except (JournalCorrupt, StateCorrupt) as error:
            raise Halt(error) from None
        return value, {"kind": "answer", "key": key, "value": self.codecs.to_tree(value)}


def signature(leaf: Leaf) -> str:
    """What a task reads and writes, as its entries say it."""
    node: Any = leaf.node
    text: str = node.memo("entry", _said)[1]
    return text


def _said(node: Any) -> tuple[str, str]:
    """What an entry says of its task: the name, and what it reads and writes."""
    return node.name, lenses_text(node)


def _fork_key(fork: Fork, stack: Any) -> str:
    return Trail(stack, (), fork.value, fork.node).key()


def _asked(request: Asked, key: str) -> Document:
    node = request.node
    return {"kind": "asked", "key": key, "name": node.name, "text": request.text,
            "into": None if node.into is None else repr(node.into),
            "wants": "yes or no" if node.into is None else wanted(node.into)}  # fmt: skip


def _other_question(before: Any, request: Asked) -> PlanChanged:
    return PlanChanged(
        recorded=f"the question {before['text']!r}, which has been answered",
        found=f"the question {request.text!r}",
        name=request.node.name,
    )


def wanted(into: Any) -> str:
    """What an answer for a lens must be, in words: ``OR_NONE`` after the name of a plain class, where it may be None.

    Where a lens holds no plain class, any value will do; ``NOT_NONE`` where the class is known and None is not of it.
    """
    from lambdacat.path import admits_none, type_at

    found = type_at(into)
    if found in (str, int, float, bool):
        return f"{found.__name__}{OR_NONE * admits_none(into)}"
    return "" if admits_none(into) else NOT_NONE


OR_NONE = " or None"
NOT_NONE = "not None"


def _other_task(document: Document, leaf: Leaf, site: Trail) -> PlanChanged:
    recorded, found = (
        f"{name} [{lenses}]" if lenses else name
        for name, lenses in ((document["name"], document["lenses"]), (leaf.node.name, signature(leaf)))
    )
    return PlanChanged(recorded=recorded, found=found, at=site, name=leaf.node.name)
