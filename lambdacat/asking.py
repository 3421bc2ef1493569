"""Plans that stop until something outside has happened: a question that is answered, an instant that has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, final, overload

from attrs import frozen

from lambdacat.callables import check_plain
from lambdacat.optics import Lens
from lambdacat.place import PlanError
from lambdacat.plan import Parts, Plan, _Identity

A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)
S = TypeVar("S")


@final
@frozen(eq=False, repr=False)
class Ask(Plan[A_contra, B_co]):
    """A question to whoever is outside. With ``into`` the answer goes there; without, it says yes or no."""

    question: Any
    """The text, or a function of the value that gives it."""
    into: Any

    @property
    def name(self) -> str:
        """The word, and the question as far as it is known before a run."""
        said = self.question if isinstance(self.question, str) else _called(self.question)
        return f"{'approve' if self.into is None else 'ask'} {said}"

    def text(self, value: Any) -> str:
        """What is asked of ``value``. Errors: ``TypeError`` when the function gives no text."""
        if isinstance(self.question, str):
            return self.question
        said = self.question(value)
        if not isinstance(said, str):
            raise TypeError(f"a question is text, and {_called(self.question)} gave {said!r}")
        return said

    def parts(self) -> Parts:
        return (self.question, self.into), ()


@final
@frozen(eq=False, repr=False)
class SleepUntil(Plan[A_contra, B_co]):
    """A wait for an instant of the world outside."""

    instant: Any
    """An aware ``datetime``, or a function of the value that gives one."""

    @property
    def name(self) -> str:
        """The words and the instant as far as it is known before a run."""
        known = isinstance(self.instant, datetime)
        return f"sleep until {self.instant.isoformat(' ', 'seconds') if known else _called(self.instant)}"

    def seconds(self, value: Any) -> float:
        """The instant for ``value``. Units: seconds since 1970 in UTC. Errors: ``TypeError`` for a naive datetime."""
        instant = self.instant if isinstance(self.instant, datetime) else self.instant(value)
        return _aware(instant).timestamp()

    def parts(self) -> Parts:
        return (self.instant,), ()


def _called(function: Any) -> str:
    return getattr(function, "__name__", None) or repr(function)


def _aware(instant: object) -> datetime:
    if not isinstance(instant, datetime):
        raise TypeError(f"an instant is a datetime, not {instant!r}")
    if instant.utcoffset() is None:
        raise TypeError(f"{instant!r} has no time zone, so it is no instant; write datetime(..., tzinfo=UTC)")
    return instant


def _question(what: str, question: object) -> Any:
    if isinstance(question, Plan) or not (callable(question) or isinstance(question, str)):
        raise PlanError(f"{what} wants a text or a function of the state that gives one, not {question!r}")
    if isinstance(question, str) and not question.strip():
        raise PlanError(f"{what} wants a question, not a blank text")
    check_plain(what, question)
    return question


def ask(question: str | Callable[[S], str], *, into: Lens[S, A]) -> Plan[S, S]:
    """Stop until a person or program answers, then write the answer to ``into``. Until then: ``Waiting``.

    Law: nothing that ran before an answer runs again after it. Where ``into`` holds a ``str``, ``int``, ``float`` or
    ``bool``, an answer of another type is refused when it is given; of other places only None is looked at.
    """
    if not isinstance(into, Lens):
        raise PlanError(f"ask puts the answer into a lens, not {into!r}; make one with lens(...)")
    return Ask(_question("ask", question), into)


# To checkers, what takes any value and gives it on is the class of ``identity``: that alone keeps the types beside it.
@overload
def approve(question: str) -> _Identity: ...
@overload
def approve(question: Callable[[A], str]) -> Plan[A, A]: ...
def approve(question: Any) -> Any:
    """Stop until a person or program says yes or no. Yes goes on with the value as it is, no is ``Refused``."""
    return Ask(_question("approve", question), None)


@overload
def sleep_until(instant: datetime) -> _Identity: ...
@overload
def sleep_until(instant: Callable[[A], datetime]) -> Plan[A, A]: ...
def sleep_until(instant: Any) -> Any:
    """Wait for an instant, also across restarts of a durable run; one that has passed is no wait.

    Errors: ``PlanError`` for a ``datetime`` without a time zone.
    """
    if isinstance(instant, Plan) or not (callable(instant) or isinstance(instant, datetime)):
        raise PlanError(f"sleep_until wants a datetime, or a function of the value that gives one, not {instant!r}")
    if isinstance(instant, datetime):
        try:
            _aware(instant)
        except TypeError as error:
            raise PlanError(str(error)) from None
    check_plain("sleep_until", instant)
    return SleepUntil(instant)


_WORDS: dict[object, bool] = {True: True, False: False, "yes": True, "no": False, "y": True, "n": False}


def agreed(answer: object) -> bool:
    """Whether an answer to ``approve`` is a yes. Errors: ``ValueError`` when it is neither yes nor no."""
    word = answer.strip().lower() if isinstance(answer, str) else answer
    if not isinstance(word, (bool, str)) or word not in _WORDS:
        raise ValueError(f"the answer is yes or no, not {answer!r}")
    return _WORDS[word]
