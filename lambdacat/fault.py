"""Faults: every way in which a run is expected to fail, as frozen values.

A fault says which node failed, with what input, how far the run had come, and prints as one message a person can act
on. Where it stands in the plan is read lazily: a fault that is recovered from never pays for its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Protocol, TypeAlias, TypeVar, cast, final, overload

from attrs import evolve, field, frozen
from returns.result import Failure, Result, Success

from lambdacat.place import Place, place_text
from lambdacat.redaction import redacted
from lambdacat.telling import listed, origins, said_by
from lambdacat.telling import shortened as shortened

B = TypeVar("B")
At: TypeAlias = tuple[str | int, ...]


class Site(Protocol):
    """Where a fault stands in a plan, read when asked."""

    def path(self) -> At: ...
    def parts(self) -> tuple[tuple[int, int], ...]: ...
    def last(self) -> object: ...
    def drawing(self) -> tuple[str, ...]: ...
    def settled(self) -> Site: ...


class _Unset(Enum):
    """Says that nothing was given, in pickles too."""

    UNSET = auto()


_UNSET: Any = _Unset.UNSET


@frozen(kw_only=True)
class _AtNode:
    _at: At | Site = field(default=(), alias="at")
    name: str = ""
    """The plan's own word for the node."""

    @property
    def at(self) -> At:
        """Path of the node in normal form."""
        return self._at if isinstance(self._at, tuple) else self._at.path()

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Which part of each focus over several it happened in, outermost first, as an index and of how many."""
        return () if isinstance(self._at, tuple) else self._at.parts()


@frozen(kw_only=True)
class _Faulted(_AtNode):
    input: object = field(default=None, eq=False)
    """What the node was given."""
    also: tuple[Fault, ...] = ()
    """What siblings ended with in the same tick, and what the clean-up of cancelled ones raised."""
    _last: object = field(default=_UNSET, eq=False, repr=False, alias="last")

    @property
    def last(self) -> object:
        """The last whole value that the run had reached."""
        if self._last is not _UNSET:
            return self._last
        return None if isinstance(self._at, tuple) else self._at.last()

    def __str__(self) -> str:
        return redacted("\n".join(_message(cast("Fault", self))))


@final
@frozen(kw_only=True, str=False)
class ActionFailed(_Faulted):
    """A user's function raised; the exception keeps its traceback."""

    error: Exception
    reading: str = ""
    """The lens that could not read its input, where that is what raised."""


@final
@frozen(kw_only=True, str=False)
class Stopped(_Faulted):
    """The plan itself gave up: what a user passes to ``fail``."""

    reason: str
    details: object = None


@final
@frozen(kw_only=True, str=False)
class TimedOut(_Faulted):
    """A timeout passed. ``abandoned`` counts threads that could not be stopped; their results are dropped."""

    seconds: float
    abandoned: int = 0
    unbegun: int = 0
    """Blocking steps that never began, because every worker thread was busy all the while."""
    late: float = field(default=0.0, eq=False)
    """Units: seconds past the timeout at which the run could go on, waiting for what cannot be interrupted."""


@final
@frozen(kw_only=True, str=False)
class LoopLimit(_Faulted):
    """A loop used up ``at_most`` turns; ``value`` is what it had reached."""

    at_most: int
    value: object


@final
@frozen(kw_only=True, str=False)
class MergeConflict(_Faulted):
    """Branches changed one place of the state and no merge is declared for it."""

    path: Place
    branches: tuple[str, ...]


@final
@frozen(kw_only=True, str=False)
class AllFailed(_Faulted):
    """No branch of a race succeeded; every fault, in written order."""

    faults: tuple[Fault, ...]


@final
@frozen(kw_only=True, str=False)
class TooFew(_Faulted):
    """Fewer successes than an ``NBest`` or ``Quorum`` wants; what there was, and why the rest is missing."""

    wanted: int
    results: tuple[object, ...]
    faults: tuple[Fault, ...]


@final
@frozen(kw_only=True, str=False)
class NoBranch(_Faulted):
    """A selector named no branch and there is no default."""

    key: object
    known: tuple[object, ...]


@final
@frozen(kw_only=True, str=False)
class BudgetExceeded(_Faulted):
    """The next step would pass a cap; it was not started. ``measure`` is a field name of ``Budget``."""

    measure: str
    cap: float
    needed: float
    """What the step might cost; for ``seconds`` how long the plan had run."""
    left: float = 0.0
    """What was left of the cap, with all that other steps had reserved taken off."""


@final
@frozen(kw_only=True, str=False)
class Refused(_Faulted):
    """A guard, a sandbox or a lease said no; asking again would not help."""

    by: str
    reason: str


@final
@frozen(kw_only=True, str=False)
class Unavailable(_Faulted):
    """A store or service did not answer; later it may."""

    what: str
    reason: str


@final
@frozen(kw_only=True, str=False)
class WouldBlock(_Faulted):
    """An action really suspended under ``run``; use ``arun``."""


@final
@frozen(kw_only=True)
class Question:
    """What an ``ask`` wants to know: the path of its node, the text, and the place that the answer goes to."""

    at: At
    text: str
    into: Place
    """Empty where the answer is yes or no."""
    key: str = ""
    """What an answer is sent to: the path, and which execution of the node it is."""


@final
@frozen(kw_only=True, str=False)
class Waiting(_Faulted):
    """The run stands at questions; answer them and run again with the same journal.

    It is a suspension, never offered to policies, ``recover`` or ``retry``; siblings go on, and a run ends with it only
    when nothing else can go on.
    """

    questions: tuple[Question, ...]


@final
@frozen(kw_only=True, str=False)
class PlanChanged(_Faulted):
    """The journal was written by another plan; ``at`` is the first difference."""

    recorded: str
    found: str


Fault: TypeAlias = (
    ActionFailed
    | Stopped
    | TimedOut
    | LoopLimit
    | MergeConflict
    | AllFailed
    | TooFew
    | NoBranch
    | BudgetExceeded
    | Refused
    | Unavailable
    | WouldBlock
    | Waiting
    | PlanChanged
)
"""Every expected failure; closed, so that ``match`` can be exhaustive."""

Outcome: TypeAlias = Success[B] | Failure[Fault]
"""What a run gives: a ``Result[B, Fault]`` written as its two cases, so that ``match`` is typed and exhaustive."""


def located(fault: Fault, site: Site, name: str, value: object) -> Fault:
    """The fault at a site, unless it already has one: handlers pass faults on unchanged."""
    return fault if fault._at != () else evolve(fault, at=site, name=fault.name or name, input=value)


def settled(fault: Fault) -> Fault:
    """The same fault without the values of the run it came from, but for the last whole one."""
    site = fault._at
    return fault if isinstance(site, tuple) else evolve(fault, at=site.settled())


# --- raising ---------------------------------------------------------------------------------------------------------


class PlanFailed(ExceptionGroup[Exception]):
    """The users' exceptions of a failed run, for ``except*``; where none was raised, one that says the fault."""

    _fault: Fault

    @property
    def fault(self) -> Fault:
        """The fault that the run ended with."""
        return self._fault

    def derive(self, excs: Any) -> Any:
        """The part of the group that ``except*`` or ``split`` takes; it keeps the fault."""
        made = PlanFailed(self.message, excs)
        made._fault = self._fault
        return made


class Unanswered(Exception):
    """A store or service did not answer; raised by an action it becomes ``Unavailable``."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} did not answer: {reason}")
        self.what = what
        self.reason = reason


class Denied(Exception):
    """A guard said no; raised by an action, or by a limiter, it becomes ``Refused``."""

    def __init__(self, by: str, reason: str) -> None:
        super().__init__(f"{by} refused: {reason}")
        self.by = by
        self.reason = reason


class OverBudget(Exception):
    """What a call may cost does not fit into a budget; it becomes ``BudgetExceeded``."""

    def __init__(self, measure: str, cap: float, needed: float, left: float) -> None:
        super().__init__(f"{needed:g} {measure} are needed, and {left:g} of {cap:g} are left")
        self.measure = measure
        self.cap = cap
        self.needed = needed
        self.left = left


class Unpriced(Denied):
    """Nobody knows what a call may cost, under a budget that caps it."""


class SameFault(Exception):
    """The fault of an equal call that ran instead of this one."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class FaultRaised(Exception):
    """Says a fault in which no user's function raised, where an exception is wanted."""


def causes(fault: Fault) -> Iterator[Fault]:
    """The faults that stand at the bottom of ``fault``, in written order."""
    rest: list[Fault] = [fault]
    while rest:
        one = rest.pop()
        rest.extend(reversed(one.also))
        if isinstance(one, (AllFailed, TooFew)) and one.faults:
            rest.extend(reversed(one.faults))
        else:
            yield one


@overload
def value_or_raise(outcome: Outcome[B]) -> B: ...
@overload
def value_or_raise(outcome: Result[B, Fault]) -> B: ...
def value_or_raise(outcome: Any) -> Any:
    """The value of a success; an outcome after ``map`` will do. Errors: ``PlanFailed`` for a failure."""
    match outcome:
        case Success(value):
            return value
        case Failure(fault):
            errors = [c.error if isinstance(c, ActionFailed) else FaultRaised(headline(c)) for c in causes(fault)]
            # The place, the input and the last value belong to whoever reads the traceback.
            failed = PlanFailed(str(fault), errors)
            failed._fault = fault
            raise failed
        case _:
            raise TypeError(f"value_or_raise wants the outcome of a run, not {type(outcome).__name__}")


# --- messages --------------------------------------------------------------------------------------------------------


def headline(fault: Fault) -> str:
    """What happened, in one line."""
    return redacted(" ".join(_said(fault).split("\n")))


def _said(fault: Fault) -> str:
    """What happened; of several lines only where the exception's own text is."""
    who = fault.name or "the plan"
    match fault:
        case ActionFailed(error=error):
            said = said_by(error).strip("\n")
            return f"{who} {_raising(fault)}{type(error).__name__}{': ' * bool(said)}{said}"
        case Stopped(reason=reason):
            return f"{who} stopped the run: {reason}"
        case TimedOut(seconds=seconds):
            return f"{who} timed out after {seconds:g} s{_overtime(fault)}"
        case LoopLimit(at_most=at_most, value=value):
            return f"{who} used up its {at_most} turns and its condition still holds; it had reached {shortened(value)}"
        case MergeConflict(path=path, branches=branches):
            spot, who = place_text(path) or "the whole value", ", ".join(branches)
            keep = "declare a merge for it, or write it in one branch" if path else "keep their results with gather"
            return f"branches {who} all changed {spot}; {keep}"
        case AllFailed(faults=faults):
            return f"no branch of {who} succeeded ({len(faults)} failed)"
        case TooFew(wanted=wanted, results=results, faults=faults):
            return f"{who} wants {wanted} successes and has {len(results)} ({len(faults)} failed)"
        case NoBranch(key=key, known=known):
            return f"{who} has no branch for {shortened(key)} and no default; it has {listed(known)}"
        case BudgetExceeded(measure="seconds", cap=cap, needed=needed):
            return f"{who} was cut off: its budget of {cap:g} s is over, after {needed:g} s"
        case BudgetExceeded(measure=measure, cap=cap, needed=needed):
            left = fault.left
            return f"{who} was not started: it may need {needed:g} {measure}, and {left:g} of {cap:g} are left"
        case Refused(by=by, reason=reason):
            return f"{by} refused {who}: {reason}"
        case Unavailable(what=what, reason=reason):
            return f"{what} did not answer {who}: {reason}"
        case WouldBlock():
            return f"{who} really waits for something; run the plan with arun"
        case Waiting(questions=questions):
            return "waiting for an answer: " + "; ".join(question.text for question in questions)
        case PlanChanged(recorded=recorded, found=found):
            return f"the journal was written by another plan: it has {recorded}, this plan has {found}"


def _raising(fault: ActionFailed) -> str:
    """What an exception came of."""
    if not fault.reading:
        return "raised "
    what = "it" if fault.name.endswith(fault.reading) else fault.reading
    return f"could not read {what} from {type(fault.input).__name__}: "


def _overtime(fault: TimedOut) -> str:
    """What a timeout came to besides."""
    after = f"; it could only stop {fault.late:.3g} s later" if fault.late > 0.01 else ""
    left = f"; {fault.abandoned} thread(s) could not be stopped" if fault.abandoned else ""
    if not fault.unbegun:
        return after + left
    steps = "a blocking step" if fault.unbegun == 1 else f"{fault.unbegun} blocking steps"
    return f"{after}{left}; {steps} never began: all threads were busy, see Limits(threads=)"


_MARGIN = " " * 9


def _opening(fault: Fault) -> Iterator[str]:
    """What happened, in the words of the plan and of the exception."""
    first, *more = _said(fault).split("\n")
    yield f"{type(fault).__name__}: {first}"
    yield from (_MARGIN + line for line in more)
    if isinstance(fault, Stopped) and fault.details is not None:
        yield f"  with   {shortened(fault.details)}"


def _message(fault: Fault) -> Iterator[str]:
    yield from _opening(fault)
    way = [" > ".join(map(str, fault.at))] if fault.at else []
    if not isinstance(fault._at, tuple):
        way.extend(fault._at.drawing())
    yield from (f"  where  {line}" for line in way[:1])
    yield from (_MARGIN + line for line in way[1:])
    if isinstance(fault, ActionFailed):
        yield from map("  {} {}".format, ("raised", "from  "), origins(fault.error))
    # At a site the node was given something, and None may be what is wrong.
    if fault.input is not None or not isinstance(fault._at, tuple):
        yield f"  input  {shortened(fault.input)}"
    if fault.last is not None and fault.last is not fault.input:
        yield f"  last   {shortened(fault.last)}"
    if isinstance(fault, (AllFailed, TooFew)):
        for each in fault.faults:
            yield f"  - {headline(each)}" + (f" (at {' > '.join(map(str, each.at))})" if each.at else "")
    for each in fault.also:
        yield f"  also   {headline(each)}"
