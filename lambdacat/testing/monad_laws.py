"""The laws of the monad records, on values and on arrows with each monad's own effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from hypothesis import strategies as st

from lambdacat.testing.proving import Draw

if TYPE_CHECKING:
    from lambdacat.effects.monad import Monad

Arrow = Callable[[int], Any]
Observe = Callable[[Any], Any]


@frozen
class Subject:
    """A monad record, arrows with its effect, and how its values are looked at."""

    name: str
    monad: Monad[Any]
    arrows: tuple[Arrow, ...]
    observe: Observe


MonadLaw = Callable[[Subject, Draw], None]


def _itself(value: Any) -> Any:
    return value


def subjects() -> Mapping[str, Subject]:
    """The records of the library."""
    from returns.context import RequiresContext
    from returns.maybe import Nothing, Some
    from returns.result import Failure, Success

    from lambdacat.effects import records
    from lambdacat.effects.state import State
    from lambdacat.effects.writer import Writer

    rows = (
        Subject("identity", records.IDENTITY, (lambda n: n + 1, lambda n: -n), _itself),
        Subject("result", records.RESULT, (lambda n: Success(n + 1), lambda n: Failure(n)), _itself),
        Subject("option", records.OPTION, (lambda n: Some(n + 1), lambda n: Nothing), _itself),
        Subject("writer", records.WRITER, (lambda n: Writer(n + 1, ("up",)), lambda n: Writer(-n, (n,))), _itself),
        Subject(
            "state",
            records.STATE,
            (lambda n: State(lambda s: (n + s, s + 1)), lambda n: State(lambda s: (s, n))),
            lambda made: tuple(made.run(s) for s in range(3)),
        ),
        Subject(
            "reader",
            records.READER,
            (lambda n: RequiresContext(lambda given: n + given), lambda n: RequiresContext(lambda given: -given)),
            lambda made: tuple(made(given) for given in range(3)),
        ),
        Subject("list", records.LIST, (lambda n: [n, n + 1], lambda n: []), _itself),
    )
    return {row.name: row for row in rows}


def _arrow(subject: Subject, draw: Draw) -> Arrow:
    arrow: Arrow = draw(st.sampled_from((subject.monad.unit, *subject.arrows)))
    return arrow


def _alike(subject: Subject, one: Any, two: Any, what: str) -> None:
    left, right = subject.observe(one), subject.observe(two)
    assert left == right, f"{subject.name}: {what} gave {left!r} and {right!r}"


def left_unit(subject: Subject, draw: Draw) -> None:
    """``bind(unit(a), f)`` is ``f(a)``."""
    monad, f, a = subject.monad, _arrow(subject, draw), draw(st.integers(0, 5))
    _alike(subject, monad.bind(monad.unit(a), f), f(a), f"unit({a}), then an arrow,")


def right_unit(subject: Subject, draw: Draw) -> None:
    """``bind(m, unit)`` is ``m``."""
    monad, m = subject.monad, _arrow(subject, draw)(draw(st.integers(0, 5)))
    _alike(subject, monad.bind(m, monad.unit), m, "a value, then unit,")


def bind_of_arrows_is_associative(subject: Subject, draw: Draw) -> None:
    """``bind(bind(m, f), g)`` is ``bind(m, lambda a: bind(f(a), g))``."""
    bind, f, g = subject.monad.bind, _arrow(subject, draw), _arrow(subject, draw)
    m = _arrow(subject, draw)(draw(st.integers(0, 5)))
    _alike(subject, bind(bind(m, f), g), bind(m, lambda a: bind(f(a), g)), "two arrows")


def map_keeps_identity_and_composition(subject: Subject, draw: Draw) -> None:
    """The functor laws of the ``map`` that ``bind`` and ``unit`` make."""
    monad, m = subject.monad, _arrow(subject, draw)(draw(st.integers(0, 5)))

    def mapped(wrapped: Any, f: Callable[[int], int]) -> Any:
        return monad.bind(wrapped, lambda a: monad.unit(f(a)))

    _alike(subject, mapped(m, lambda a: a), m, "map of nothing")
    apart = mapped(mapped(m, lambda a: a + 1), lambda a: 2 * a)
    _alike(subject, apart, mapped(m, lambda a: 2 * (a + 1)), "two maps")


def iterate_is_repeated_bind(subject: Subject, draw: Draw) -> None:
    """Leaving ``iterate`` out changes no result."""
    from lambdacat.effects.monad import Done

    monad, f, n = subject.monad, _arrow(subject, draw), draw(st.integers(0, 4))
    if monad.iterate is None:
        return

    def step(turn: tuple[int, int]) -> Any:
        left, value = turn
        if left == 0:
            return monad.unit(Done(value))
        return monad.bind(f(value), lambda made: monad.unit((left - 1, made)))

    def bound(turn: tuple[int, int]) -> Any:
        return monad.bind(step(turn), lambda made: monad.unit(made.value) if isinstance(made, Done) else bound(made))

    _alike(subject, monad.iterate(step, (n, 1)), bound((n, 1)), f"{n} turns")


def plans_need_unit_and_bind_alone(subject: Subject, draw: Draw) -> None:
    """A plan under the record is the plan under its ``unit`` and ``bind``, and unit of what ``run`` gives."""
    from lambdacat.interpreters.interpret import interpret
    from lambdacat.interpreters.run import run
    from lambdacat.testing.blur import blurred
    from lambdacat.testing.strategies import plans, states

    p, value = draw(plans()), draw(states())
    bare = evolve(subject.monad, perform=None, iterate=None, gather=None)

    def blur(arrow: Callable[[Any], Any], monad: Monad[Any]) -> Any:
        return monad.bind(arrow(value), lambda outcome: monad.unit(repr(blurred(outcome))))

    wanted = subject.monad.unit(repr(blurred(run(p, value))))
    _alike(subject, blur(interpret(p, subject.monad), subject.monad), wanted, f"{p!r} on {value!r}")
    _alike(subject, blur(interpret(p, bare), bare), wanted, f"{p!r} on {value!r}, bare,")


MONAD_LAWS: tuple[MonadLaw, ...] = (
    left_unit,
    right_unit,
    bind_of_arrows_is_associative,
    map_keeps_identity_and_composition,
    iterate_is_repeated_bind,
    plans_need_unit_and_bind_alone,
)
