"""Interpreters and constructors that are wrong on purpose, one for each law of the algebra: that very law says so."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from hypothesis import Phase
from sweeping import PLAIN

import lambdacat
from lambdacat import Failure, Plan, Success, collect, identity, run
from lambdacat.bound import Budget, Guarded, Limited, Retry, Timeout
from lambdacat.plan import (
    Attempt,
    Bind,
    Choose,
    Focus,
    LoopWhile,
    Named,
    Parallel,
    Pure,
    Recover,
    Sequence,
    Within,
    _Fail,
)
from lambdacat.policy import Quorum
from lambdacat.regrow import rebuilt
from lambdacat.schedule import Fixed
from lambdacat.structure import regrown
from lambdacat.testing import check_interpreter_laws, plan_laws, proving
from lambdacat.testing.plan_laws import PLAN_LAWS, Interpreter
from lambdacat.testing.proving import law_name, prove

# Nodes of any type: a mistake does not ask what fits.
AnyPlan = Any
Mistake = Callable[[pytest.MonkeyPatch], Interpreter]
LAWS = {law_name(law): law for law in PLAN_LAWS}


def rewriting(change: Callable[[AnyPlan], AnyPlan | None]) -> Mistake:
    """A right interpreter of another plan: every node that ``change`` has an answer for is exchanged for it."""

    def wrong(plan: AnyPlan, value: Any) -> Any:
        return run(rebuilt(plan, lambda node: node if (new := change(node)) is None else new), value)

    return lambda _: wrong


def after(change: Callable[[AnyPlan, Any, Any], Any]) -> Mistake:
    """A right run whose outcome is changed, from the plan, the value and the outcome."""
    return lambda _: lambda plan, value: change(plan, value, run(plan, value))


def building(owner: object, name: str, wrong: Any) -> Mistake:
    """A right interpreter of plans that are built wrongly, or taken apart."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> Interpreter:
        monkeypatch.setattr(owner, name, wrong)
        return run

    return plant


def in_a_row(change: Callable[[tuple[AnyPlan, ...]], tuple[AnyPlan, ...] | None]) -> Mistake:
    """The mistake of taking other steps in a sequence."""

    def changed(node: AnyPlan) -> AnyPlan | None:
        steps = change(node.steps) if isinstance(node, Sequence) else None
        return None if steps is None else Sequence.from_parts((), steps)

    return rewriting(changed)


def skips_steps_before_choices(steps: tuple[AnyPlan, ...]) -> tuple[AnyPlan, ...] | None:
    return steps[1:] if isinstance(steps[1], Choose) else None


def focuses_on_the_first_step(node: AnyPlan) -> AnyPlan | None:
    if not isinstance(node, Focus) or not isinstance(node.plan, Sequence):
        return None
    return Focus(node.reads, node.writes, node.limit, node.plan.steps[0])


def focuses_on_the_first_branch(node: AnyPlan) -> AnyPlan | None:
    if not isinstance(node, Focus) or not isinstance(node.plan, Parallel):
        return None
    return Focus(node.reads, node.writes, node.limit, node.plan.branches[0])


def is_and(node: AnyPlan) -> bool:
    return isinstance(node, Parallel) and node.plain


def is_race(node: AnyPlan) -> bool:
    return isinstance(node, Parallel) and isinstance(node.policy, Quorum)


def nested_then(self: AnyPlan, other: AnyPlan) -> AnyPlan:
    return Sequence((Named("left", self), other))


def nested_and(self: AnyPlan, other: AnyPlan) -> AnyPlan:
    return Parallel((Named("left", self), other))


def nested_and_of_others(self: AnyPlan, other: AnyPlan) -> AnyPlan:
    return Parallel((self if isinstance(self, Focus) else Named("left", self), other))


def unfused(optic: Any, plan: AnyPlan, *, limit: int | None = None) -> AnyPlan:
    return Focus(optic, None, limit, plan)


def unfused_outside_between(optic: Any, plan: AnyPlan, *, limit: int | None = None) -> AnyPlan:
    right: AnyPlan = FOCUS(optic, plan, limit=limit)
    return Focus(optic, None, None, plan) if isinstance(plan, Focus) and plan.writes is not None else right


FOCUS: Any = lambdacat.focus


def nested_timeout(self: AnyPlan, seconds: float) -> AnyPlan:
    return Within(Timeout(seconds), self)


def retry_of_none(self: AnyPlan, times: int) -> AnyPlan:
    return Within(Retry(Fixed(0.0).times(times), None), self)


def nameless(table: Any) -> AnyPlan:
    return rebuilt(regrown(table), lambda node: node.plan if isinstance(node, Named) else node)


def bump(plan: AnyPlan, value: Any, outcome: Any) -> Any:
    """One more item, whatever the plan writes."""
    return (
        Success(evolve(s, items=(*s.items, 1))) if isinstance(outcome, Success) and (s := outcome.unwrap()) else outcome
    )


MISTAKES: dict[str, Mistake] = {
    "agreement": after(lambda plan, value, outcome: outcome if isinstance(outcome, Failure) else Success(value)),
    "identity is the unit of then": after(
        lambda plan, value, outcome: Success(evolve(value, left=1)) if plan is identity else outcome
    ),
    "then is associative": building(Plan, "__rshift__", nested_then),
    "then feeds one result to the next": in_a_row(lambda steps: steps[:-1]),
    "fail is a left zero of then": in_a_row(lambda steps: steps[1:] if isinstance(steps[0], _Fail) else None),
    "pure composes": in_a_row(lambda steps: steps[::-1] if all(isinstance(step, Pure) for step in steps) else None),
    "one branch is the branch": rewriting(lambda n: identity if is_race(n) and len(n.branches) == 1 else None),
    "and is associative": building(Plan, "__and__", nested_and),
    "and is associative on any plans": building(Plan, "__and__", nested_and_of_others),
    "and is commutative when its join is": rewriting(lambda node: node.branches[0] if is_and(node) else None),
    "gather is a product": rewriting(
        lambda n: (
            Parallel(n.branches[::-1], n.policy, collect) if isinstance(n, Parallel) and n.join is collect else None
        )
    ),
    "a stage sees what every branch before it wrote": in_a_row(lambda steps: steps[::-1]),
    "disjoint footprints commute": rewriting(lambda node: node.branches[-1] if is_and(node) else None),
    "a race gives one of its branches": rewriting(
        lambda node: Sequence(node.branches) if is_race(node) and len(node.branches) > 1 else None
    ),
    "a constant selector is its branch": rewriting(lambda n: n.plans[0] if isinstance(n, Choose) else None),
    "choose distributes over what follows": in_a_row(lambda steps: steps[:1] if isinstance(steps[0], Choose) else None),
    "a step may move before a choose that does not read it": in_a_row(skips_steps_before_choices),
    "focus preserves identity": building(plan_laws, "focus", unfused),
    "focus preserves then": rewriting(focuses_on_the_first_step),
    "focus preserves and": rewriting(focuses_on_the_first_branch),
    "focus composes": building(plan_laws, "focus", unfused),
    "focus preserves between": building(plan_laws, "focus", unfused_outside_between),
    "focus changes its part alone": after(
        lambda plan, value, outcome: bump(plan, value, outcome) if isinstance(plan, Focus) else outcome
    ),
    "footprint is an upper bound": after(bump),
    "a loop unrolls": rewriting(lambda n: n.plan >> n if isinstance(n, LoopWhile) else None),
    "a loop whose condition fails is identity": rewriting(lambda n: n.plan if isinstance(n, LoopWhile) else None),
    "or is associative": rewriting(
        lambda n: n.plan if isinstance(n, Recover) and isinstance(n.plan, Recover) else None
    ),
    "fail is the unit of or": rewriting(
        lambda n: n.other if isinstance(n, Recover) and isinstance(n.other, _Fail) else None
    ),
    "recover leaves success alone": rewriting(
        lambda n: n.plan >> n.other if isinstance(n, Recover) and n.other else None
    ),
    "attempt never faults": rewriting(lambda node: node.plan.map(Success) if isinstance(node, Attempt) else None),
    "nested timeouts are the smaller": building(Plan, "timeout", nested_timeout),
    "retry 0 is the plan": building(Plan, "retry", retry_of_none),
    "retry of what never changes is the plan": rewriting(
        lambda n: n.plan >> n.plan if isinstance(n, Within) and isinstance(n.bound, Retry) else None
    ),
    "a limiter never changes a result": rewriting(
        lambda n: n.plan >> n.plan if isinstance(n, Within) and isinstance(n.bound, Limited) else None
    ),
    "a closed breaker never changes a result": rewriting(
        lambda n: n.plan >> n.plan if isinstance(n, Within) and isinstance(n.bound, Guarded) else None
    ),
    "a budget that is not used up never changes a result": rewriting(
        lambda n: n.plan >> n.plan if isinstance(n, Within) and isinstance(n.bound, Budget) else None
    ),
    "names never change a result": rewriting(lambda node: identity if isinstance(node, Named) else None),
    "a plan taken apart is the plan": building(plan_laws, "regrown", nameless),
    "bind has a left unit": in_a_row(lambda steps: steps[::-1] if isinstance(steps[-1], Bind) else None),
    "bind has a right unit": rewriting(lambda node: identity if isinstance(node, Bind) else None),
    "bind is associative": in_a_row(lambda steps: steps[:1] if all(isinstance(step, Bind) for step in steps) else None),
}
"""For each law by name, a mistake that it must tell of."""


def test_every_law_of_the_algebra_has_a_mistake_of_its_own() -> None:
    assert list(MISTAKES) == list(LAWS)


def test_what_checks_an_interpreter_tries_every_law(monkeypatch: pytest.MonkeyPatch) -> None:
    from lambdacat.testing import suites

    tried: list[str] = []
    monkeypatch.setattr(suites, "prove", lambda name, claim, max_examples: tried.append(name))
    check_interpreter_laws(run)
    assert tried == list(MISTAKES)


@pytest.mark.parametrize("law", MISTAKES)
def test_a_mistake_is_told_by_its_law(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = MISTAKES[law](monkeypatch)
    # Any example will do here: making it the least one is what takes the time.
    monkeypatch.setattr(proving, "Phase", SimpleNamespace(generate=Phase.generate, shrink=Phase.generate))
    with pytest.raises(AssertionError, match=rf"\Alaw '{law}' does not hold: (?!checking it raised)"):
        prove(law, partial(LAWS[law], wrong), max_examples=PLAIN)
