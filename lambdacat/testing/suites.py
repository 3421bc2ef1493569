"""Every law of the library by suite, and running them: what ``lambdacat laws`` prints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from attrs import frozen

from lambdacat.fault import Outcome
from lambdacat.interpreters.run import run
from lambdacat.plan import Plan
from lambdacat.testing.merge_laws import MERGE_LAWS
from lambdacat.testing.monad_laws import MONAD_LAWS, subjects
from lambdacat.testing.optic_laws import OPTIC_LAWS
from lambdacat.testing.plan_laws import PLAN_LAWS, Interpreter
from lambdacat.testing.policy_laws import POLICY_LAWS
from lambdacat.testing.proving import Claim, law_name, prove


@frozen
class LawResult:
    """How one law fared under one interpreter. ``message`` is empty when it held."""

    suite: str
    law: str
    interpreter: str
    examples: int
    passed: bool
    message: str


@frozen
class Case:
    """One law for one interpreter, ready to be tried."""

    suite: str
    law: str
    interpreter: str
    claim: Claim

    def prove(self, *, max_examples: int = 100, start: int | None = None) -> int:
        """Try it; how many examples there were. Errors: ``AssertionError`` that names the law."""
        return prove(self.law, self.claim, max_examples=max_examples, start=start)


# --- interpreters ----------------------------------------------------------------------------------------------------


def _on_asyncio(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.interpreters.arun import arun
    from lambdacat.testing.loop import virtual_asyncio_run

    return virtual_asyncio_run(arun, plan, value)


def _on_trio(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    import trio

    from lambdacat.interpreters.arun import arun

    outcome: Outcome[Any] = trio.run(arun, plan, value)
    return outcome


def _traced(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.interpreters.traced import traced

    return traced(plan)(value).value


def _atraced(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.interpreters.traced import atraced
    from lambdacat.testing.loop import virtual_asyncio_run

    return virtual_asyncio_run(atraced(plan), value).value


def _streamed(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.event import Ended
    from lambdacat.interpreters.stream import stream
    from lambdacat.testing.loop import virtual_asyncio_run

    async def whole() -> Outcome[Any]:
        async with stream(plan, value) as events:
            found = [event.result async for event in events if isinstance(event, Ended)]
        (outcome,) = found
        return outcome

    return virtual_asyncio_run(whole)


def _stateful(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.interpreters.stateful import stateful

    return stateful(plan).run(value)[0]


def _interpreted(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.effects.records import IDENTITY
    from lambdacat.interpreters.interpret import interpret

    outcome: Outcome[Any] = interpret(plan, IDENTITY)(value)
    return outcome


def _durable(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    """A run with a journal, and the same once more from what the journal says."""
    from lambdacat.codec import Codecs
    from lambdacat.interpreters.arun import arun
    from lambdacat.interpreters.journal import MemoryJournal
    from lambdacat.testing.loop import virtual_asyncio_run
    from lambdacat.testing.sample import Circle, Point, Sample, Square

    journal = MemoryJournal(codecs=Codecs(Sample, Point, Circle, Square))
    virtual_asyncio_run(partial(arun, journal=journal), plan, value)
    return run(plan, value, journal=journal)


def _optimised(plan: Plan[Any, Any], value: Any) -> Outcome[Any]:
    from lambdacat.rewrite import optimise

    return run(optimise(plan)[0], value)


def interpreters() -> Mapping[str, Interpreter]:
    """Every way to run a plan that is installed, by name; trio counts when it is there."""
    found: dict[str, Interpreter] = {
        "run": run,
        "arun on asyncio": _on_asyncio,
        "arun on trio": _on_trio,
        "traced": _traced,
        "atraced": _atraced,
        "stream": _streamed,
        "stateful": _stateful,
        "interpret": _interpreted,
        "durable": _durable,
        "optimised": _optimised,
    }
    if find_spec("trio") is None:
        del found["arun on trio"]
    return found


# --- suites ----------------------------------------------------------------------------------------------------------


def _plan_cases() -> Iterator[Case]:
    for name, interpreter in interpreters().items():
        for law in PLAN_LAWS:
            yield Case("plans", law_name(law), name, partial(law, interpreter))


def _monad_cases() -> Iterator[Case]:
    for name, subject in subjects().items():
        for law in MONAD_LAWS:
            yield Case("monads", law_name(law), name, partial(law, subject))


def _plain_cases(suite: str, laws: Collection[Callable[[Any], None]]) -> Iterator[Case]:
    for law in laws:
        yield Case(suite, law_name(law), "", law)


def _state_cases(suite: str, laws: Collection[Callable[..., None]], starts: Mapping[str, Any]) -> Iterator[Case]:
    for name, start in starts.items():
        for law in laws:
            yield Case(suite, law_name(law), name, partial(law, start))


def _memory_cases() -> Iterator[Case]:
    from lambdacat.state import Capacity, Memory
    from lambdacat.testing.state_laws import MEMORY_LAWS

    return _state_cases("memory", MEMORY_LAWS, {"free": Memory(), "bounded": Memory(capacity=Capacity(entries=3))})


def _belief_cases() -> Iterator[Case]:
    from lambdacat.state import Beliefs
    from lambdacat.testing.state_laws import BELIEF_LAWS

    return _state_cases("beliefs", BELIEF_LAWS, {"lasting": Beliefs(), "aging": Beliefs(half_life=3600)})


SUITES: Mapping[str, Callable[[], Iterator[Case]]] = MappingProxyType(
    {
        "plans": _plan_cases,
        "optics": partial(_plain_cases, "optics", OPTIC_LAWS),
        "merge": partial(_plain_cases, "merge", MERGE_LAWS),
        "policies": partial(_plain_cases, "policies", POLICY_LAWS),
        "monads": _monad_cases,
        "memory": _memory_cases,
        "beliefs": _belief_cases,
    }
)
"""The cases of each suite, by name."""


def _result(case: Case, examples: int, start: int | None) -> LawResult:
    passed, message = True, ""
    try:
        examples = case.prove(max_examples=examples, start=start)
    except AssertionError as broken:
        passed, message = False, str(broken)
    return LawResult(case.suite, case.law, case.interpreter, examples, passed, message)


def run_suites(
    names: Collection[str] | None = None,
    *,
    examples: int = 100,
    start: int | None = None,
    tell: Callable[[str], object] = str,
) -> tuple[LawResult, ...]:
    """Each law of the suites, tried on so many examples. None is every suite; ``start`` seeds the draws.

    ``tell`` is given a line before each law. Errors: ``ValueError`` for a name that is no suite.
    """
    chosen = tuple(SUITES) if names is None else tuple(names)
    for name in chosen:
        if name not in SUITES:
            raise ValueError(f"there is no suite {name!r}; there are {', '.join(SUITES)}")
    cases = [case for name in chosen for case in SUITES[name]()]
    results = []
    for number, case in enumerate(cases, 1):
        tell(f"{number} of {len(cases)}: {', '.join(filter(None, (case.suite, case.law, case.interpreter)))}")
        results.append(_result(case, examples, start))
    return tuple(results)


def check_interpreter_laws(run_plan: Interpreter, *, max_examples: int = 100) -> None:
    """Check an interpreter of your own against every law of the algebra and against the reference.

    Errors: ``AssertionError`` whose first line names the broken law and shows the least plan that breaks it.

    >>> from lambdacat import run
    >>> check_interpreter_laws(run, max_examples=2)
    """
    for law in PLAN_LAWS:
        prove(law_name(law), partial(law, run_plan), max_examples=max_examples)
