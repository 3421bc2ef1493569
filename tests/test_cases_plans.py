"""Sequences, choices, loops, retries and actions of every shape: what one plan at a time does."""

import asyncio
import functools
import pickle
import random
import time
import types
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from attrs import evolve, frozen
from clocks import SWEEP_SECONDS, Clock, Runner, on_both
from untyped import (
    AnyPlan,
    arun,
    bind,
    choose,
    fail,
    focus,
    gather,
    loop_while,
    parallel,
    pure,
    recover,
    run,
    sequence,
    when,
)

from lambdacat import (
    FIRST_COMPLETED,
    ActionFailed,
    Context,
    Exponential,
    Failure,
    Fixed,
    LoopLimit,
    NBest,
    NoBranch,
    PlanError,
    Stopped,
    Success,
    TimedOut,
    WouldBlock,
    collect,
    identity,
    lens,
    task,
    value_or_raise,
)


def add_one(n: int) -> int:
    return n + 1


async def add_one_later(n: int) -> int:
    return n + 1


def noted(row: list[Any], word: Any, n: Any) -> Any:
    row.append(word)
    return n


def refuse(n: Any) -> Any:
    raise ValueError("no")


async def at_most(seconds: float, plan: AnyPlan, value: Any) -> Any:
    with anyio.fail_after(seconds):
        return await arun(plan, value)


inc: AnyPlan = task(blocking="inline")(add_one)
inc_later: AnyPlan = task(add_one_later)
boom: AnyPlan = task(blocking="inline")(refuse)


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_a_long_sequence_counts_exactly(n: int) -> None:
    """A01."""
    assert run(sequence(*[inc] * n), 0) == Success(n)
    assert run(sequence(*[inc_later] * n), 0) == Success(n)


@on_both
def test_a_long_sequence_counts_exactly_under_a_loop(on: Runner) -> None:
    """A01."""
    for step in (inc, inc_later, pure(add_one)):
        assert on(lambda step=step: arun(sequence(*[step] * 10_000), 0)) == Success(10_000)


def test_the_cost_of_a_step_does_not_grow_with_the_length() -> None:
    """A01: measured on warmed plans, best of several, so that only a trend shows."""

    def per_step(n: int) -> float:
        plan = sequence(*[inc] * n)
        run(plan, 0)
        rounds = 40_000 // n
        best = float("inf")
        for _ in range(5):
            start = time.process_time()
            for _ in range(rounds):
                run(plan, 0)
            best = min(best, (time.process_time() - start) / (rounds * n))
        return best

    small, large = per_step(100), per_step(10_000)
    print(f"per step: {small * 1e9:.0f} ns of 100, {large * 1e9:.0f} ns of 10,000")
    assert large < 2 * small + 1e-8


def test_the_empty_sequence_and_the_empty_parallel_leave_the_value() -> None:
    """A03."""
    value = object()
    assert run(sequence(), value) == Success(value)
    assert run(parallel(), value) == Success(value)
    assert run(gather(), value) == Success(())
    assert sequence() is identity


def test_how_a_sequence_is_bracketed_is_not_seen() -> None:
    """A04."""
    left, right = sequence(sequence(inc, boom), inc), sequence(inc, sequence(boom, inc))
    assert left == right
    assert hash(left) == hash(right)
    first, second = run(left, 1), run(right, 1)
    assert first.failure().at == second.failure().at == (1,)
    assert first.failure().input == second.failure().input == 2
    assert str(first.failure()) == str(second.failure())


@on_both
def test_a_timeout_interrupts_a_task_a_sequence_and_a_loop_and_names_the_node(on: Runner) -> None:
    """A23."""

    @task
    async def nap(n: int) -> int:
        await anyio.sleep(0.3)
        return n + 1

    async def main() -> Any:
        plans: list[AnyPlan] = [nap.timeout(0.1), (nap >> nap).timeout(0.5), loop_while(lambda _: True, nap).timeout(2)]
        found = []
        for plan in plans:
            start = anyio.current_time()
            found.append((await arun(inc >> plan, 0), anyio.current_time() - start))
        return found

    for (outcome, took), seconds in zip(on(main), (0.1, 0.5, 2), strict=True):
        fault = outcome.failure()
        assert isinstance(fault, TimedOut)
        assert (fault.seconds, fault.at, fault.name) == (seconds, (1,), f"timeout {seconds:g} s")
        assert took == pytest.approx(seconds)
        assert fault.late == pytest.approx(0)


def test_a_timeout_in_one_thread_is_seen_between_actions() -> None:
    """A23."""
    clock = Clock()

    def slow(n: int) -> int:
        clock.sleep(0.3)
        return n + 1

    plan = (task(slow) >> task(slow)).timeout(0.2)
    fault = run(inc >> plan, 0, context=Context(clock=clock)).failure()
    assert isinstance(fault, TimedOut)
    assert fault.at == (1,)
    assert fault.late == pytest.approx(0.1)


def test_only_the_selected_branch_has_effects() -> None:
    """A25."""
    seen: list[str] = []

    def noting(word: str) -> AnyPlan:
        return task(lambda n: noted(seen, word, n))

    plan: AnyPlan = choose(lambda n: "abc"[n], {"a": noting("a"), "b": noting("b")}, default=noting("default"))
    assert run(plan, 1) == Success(1)
    assert seen == ["b"]
    assert run(plan, 2) == Success(2)
    assert seen == ["b", "default"]
    assert run(when(lambda n: n > 5, noting("then"), otherwise=noting("else")), 1) == Success(1)
    assert seen == ["b", "default", "else"]


def test_a_selector_out_of_range_is_a_fault_that_says_what_there_is() -> None:
    """A25."""
    plan: AnyPlan = choose(lambda n: n, {1: inc, 2: inc})
    fault = run(inc >> plan, 7).failure()
    assert isinstance(fault, NoBranch)
    assert (fault.key, fault.known, fault.at) == (8, (1, 2), (1,))
    assert "8" in str(fault).splitlines()[0]
    assert run(choose(lambda n: [n], {1: inc}), 7).failure().at == ()


def test_fallbacks_are_tried_in_order_and_only_as_far_as_needed() -> None:
    """A25."""
    seen: list[str] = []

    def noting(word: str) -> AnyPlan:
        return task(lambda n: noted(seen, word, n))

    assert run(boom | (noting("second") >> boom) | noting("third") | noting("fourth"), 1) == Success(1)
    assert seen == ["second", "third"]
    handled = recover(boom, lambda fault: pure(lambda n: (type(fault).__name__, n)))
    assert run(handled, 1) == Success(("ActionFailed", 1))


def test_a_loop_of_ten_thousand_rounds_and_its_ends() -> None:
    """A30."""
    assert run(loop_while(lambda n: n < 10_000, inc), 0) == Success(10_000)
    limited = loop_while(lambda n: n < 10, inc, at_most=3)
    fault = run(limited, 0).failure()
    assert isinstance(fault, LoopLimit)
    assert (fault.at_most, fault.value) == (3, 3)
    assert run(loop_while(lambda n: n < 10, inc, at_most=3, then=identity), 0) == Success(3)
    assert run(loop_while(lambda n: n < 3, inc, at_most=3), 0) == Success(3)
    raising = run(inc >> loop_while(lambda n: 1 / (3 - n) > 0, inc), 0).failure()
    assert isinstance(raising, ActionFailed)
    assert isinstance(raising.error, ZeroDivisionError)
    assert raising.at[:1] == (1,)


@on_both
def test_loops_agree_under_a_loop_of_events(on: Runner) -> None:
    """A30."""
    for step in (inc_later, pure(add_one), inc_later >> pure(add_one)):
        plan: AnyPlan = loop_while(lambda n: n < 10_000, step)
        assert on(lambda plan=plan: arun(plan, 0)) == Success(10_000) == run(plan, 0)


def _plans(source: random.Random, depth: int) -> AnyPlan:
    """A random plan of total functions and faults."""
    if depth == 0:
        return source.choice([inc, inc_later, pure(add_one), boom, identity, task(lambda n: n * 2)])
    kind = source.randrange(9)
    one, two = _plans(source, depth - 1), _plans(source, depth - 1)
    match kind:
        case 0 | 1:
            return one >> two
        case 2:
            return when(lambda n: n % 2 == 0, one, otherwise=two)
        case 3:
            return one | two
        case 4:
            return gather(one, two) >> pure(sum)
        case 5:
            return loop_while(lambda n: n < 5, one, at_most=3, then=identity)
        case 6:
            return one.retry(1)
        case 7:
            return parallel(one, two, policy=NBest(1, by=lambda n: n))
        case _:
            pass
    return one.attempt().map(lambda outcome: outcome.value_or(1)) >> two


@on_both
@pytest.mark.parametrize("count", [150, pytest.param(8_000, marks=pytest.mark.sweep)])
def test_the_same_plan_gives_the_same_result_in_one_thread_and_on_a_loop(on: Runner, count: int) -> None:
    """A31, R-D4: equal successes, and failing together; which fault of several is only one of them."""
    seed, start = random.randrange(10**9) if count > 150 else 7, time.monotonic()
    source, done = random.Random(seed), 0
    plans = [_plans(source, source.randrange(4)) for _ in range(count)]
    sums: list[tuple[Any, Any]] = []

    async def main() -> None:
        nonlocal done
        for plan in plans:
            if time.monotonic() - start > SWEEP_SECONDS:
                break
            sums.append((run(plan, 1), await arun(plan, 1)))
            done += 1

    on(main)
    print(f"{done} plans, seed {seed}, {time.monotonic() - start:.1f} s")
    for plan, (here, there) in zip(plans, sums, strict=False):
        assert isinstance(here, Success) == isinstance(there, Success), plan
        if isinstance(here, Success):
            assert here == there, plan


@on_both
def test_a_run_inside_a_running_loop_works_and_never_gives_the_input_back(on: Runner) -> None:
    """A33."""

    @task
    async def waits(n: int) -> int:
        await anyio.sleep(1)
        return n

    async def main() -> Any:
        return run(inc >> inc_later, 1), run(inc >> waits >> inc, 1)

    done, blocked = on(main)
    assert done == Success(3)
    assert isinstance(blocked.failure(), WouldBlock)
    assert blocked.failure().at == (1,)
    assert "arun" in str(blocked.failure())


def test_a_run_of_an_action_that_needs_a_loop_is_would_block() -> None:
    """A33."""
    import trio

    for sleep in (asyncio.sleep, anyio.sleep, trio.sleep):

        async def waits(n: int, sleep: Any = sleep) -> int:
            await sleep(1)
            return n

        assert isinstance(run(task(waits), 1).failure(), WouldBlock), sleep


class _Adder:
    def __init__(self, step: int) -> None:
        self.step = step

    def add(self, n: int) -> int:
        return n + self.step

    async def add_later(self, n: int) -> int:
        return n + self.step

    def __call__(self, n: int) -> int:
        return n + self.step

    @staticmethod
    def static(n: int) -> int:
        return n + 2

    @classmethod
    async def of_class(cls, n: int) -> int:
        return n + 2


class _LaterAdder:
    async def __call__(self, n: int) -> int:
        return n + 2


class _Awaitable:
    """No coroutine, but can be awaited."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, int]:
        return self.value
        yield


_KEPT = _Awaitable(3)


def _gives_awaitable(n: int) -> Any:
    return _Awaitable(n + 2)


def _gives_coroutine(n: int) -> Any:
    return _Adder(2).add_later(n)


def _logged(f: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(f)
    def inner(*args: Any) -> Any:
        return f(*args)

    return inner


@_logged
async def _decorated(n: int) -> int:
    return n + 2


@types.coroutine
def _generator_based(n: int) -> Generator[Any, Any, int]:
    return n + 2
    yield


def _with_context(n: int, context: Context) -> int:
    return n + int(context.get("step", 2))


def _with_ctx(n: int, ctx: Any = None, *, more: int = 0) -> int:
    return n + int(ctx["step"]) + more


async def _keyword_default(n: int, *, step: int = 2) -> int:
    return n + step


SHAPES: dict[str, Any] = {
    "bound method": _Adder(2).add,
    "async bound method": _Adder(2).add_later,
    "callable object": _Adder(2),
    "async callable object": _LaterAdder(),
    "static method": _Adder.static,
    "async class method": _Adder.of_class,
    "partial": functools.partial(lambda step, n: n + step, 2),
    "partial of a partial": functools.partial(functools.partial(_Adder(0).add_later)),
    "gives an awaitable": _gives_awaitable,
    "gives a coroutine": _gives_coroutine,
    "gives a kept awaitable": lambda _: _KEPT,
    "decorated async": _decorated,
    "generator-based coroutine": _generator_based,
    "state and context": _with_context,
    "state and ctx": _with_ctx,
    "keyword-only default": _keyword_default,
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_actions_of_every_shape_work_in_one_thread(shape: str) -> None:
    """A34."""
    action = SHAPES[shape]
    expected = 1 if "partial of" in shape else 3
    assert run(task(action), 1, context={"step": 2}) == Success(expected)


@on_both
@pytest.mark.parametrize("shape", list(SHAPES))
def test_actions_of_every_shape_work_on_a_loop(on: Runner, shape: str) -> None:
    """A34: alone, in a longer run, and as a branch."""
    action = SHAPES[shape]
    expected = 1 if "partial of" in shape else 3
    one: AnyPlan = task(blocking="inline")(action)

    async def main() -> Any:
        plans: list[AnyPlan] = [one, one >> pure(lambda n: n), gather(one, one)]
        return [await arun(plan, 1, context={"step": 2}) for plan in plans]

    assert on(main) == [Success(expected), Success(expected), Success((expected, expected))]


@frozen
class Pair:
    left: int = 0
    right: int = 0


LEFT = lens(Pair, lambda p: p.left)
RIGHT = lens(Pair, lambda p: p.right)


@pytest.mark.parametrize("action", [_decorated, _generator_based, _gives_coroutine, _gives_awaitable])
def test_what_an_action_awaits_never_lands_in_the_state_unawaited(action: Any) -> None:
    """A34."""
    plan: AnyPlan = task(reads=LEFT, writes=RIGHT)(action)
    assert run(plan, Pair(1)) == Success(Pair(1, 3))


ODD_RESULTS: list[Any] = [
    None,
    NotImplemented,
    Ellipsis,
    ValueError("a value"),
    Stopped(reason="a value"),
    Success(1),
    Failure(2),
    inc,
    StopIteration(3),
    type,
    (),
]


@on_both
@pytest.mark.parametrize("odd", ODD_RESULTS, ids=repr)
def test_a_result_is_a_value_whatever_it_is(on: Runner, odd: Any) -> None:
    """P15 and A33: nothing that an action returns is taken for a sign."""

    async def later(_: Any) -> Any:
        return odd

    plans: list[AnyPlan] = [task(lambda _: odd), pure(lambda _: odd), task(later)]
    for plan in plans:
        for whole in (plan, plan >> identity, plan | inc, plan.retry(2), bind(lambda _, plan=plan: plan)):
            assert value_or_raise(run(whole, 1)) is odd
            assert value_or_raise(on(lambda whole=whole: arun(whole, 1))) is odd
        assert run(gather(plan, plan), 1).unwrap() == (odd, odd)


@on_both
def test_an_async_generator_is_closed_in_the_task_that_ran_it(on: Runner) -> None:
    """R-C7: whether it ends, faults or is cut off."""
    closed: list[bool] = []

    async def counting(n: int) -> Any:
        me = anyio.get_current_task().id
        try:
            for i in range(n):
                yield i
                await anyio.sleep(1)
        finally:
            await anyio.lowlevel.checkpoint() if n < 3 else None
            closed.append(anyio.get_current_task().id == me)

    plan: AnyPlan = task(counting)

    async def main() -> Any:
        return (
            await arun(plan, 2),
            await arun(plan.timeout(1.5), 5),
            await arun(parallel(plan, inc_later, policy=FIRST_COMPLETED), 4),
        )

    whole, cut, raced = on(main)
    assert whole == Success((0, 1))
    assert isinstance(cut.failure(), TimedOut)
    assert raced == Success(5)
    assert closed == [True] * len(closed)
    assert len(closed) >= 2


odd_task: Any = task
odd_best: Any = NBest
odd_lens: Any = lens


def test_a_misspelt_option_or_field_is_refused_with_a_hint() -> None:
    """A35, A36."""
    with pytest.raises(PlanError, match="did you mean 'timeout'"):
        odd_task(timout=3)
    with pytest.raises(PlanError, match="did you mean 'left'"):
        odd_lens(Pair, lambda p: p.lefft)
    for name in ("", "  "):
        with pytest.raises(PlanError, match="a name is text that is not blank"):
            inc.named(name)


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a function in sequence": (lambda: sequence(inc, add_one), "wrap a plain function in task or pure"),
    "a list in sequence": (lambda: sequence([inc, inc]), r"\* in front"),
    "a function in parallel": (lambda: parallel(add_one), "wrap a plain function in task or pure"),
    "a plan as an action": (lambda: odd_task(inc), "is a plan already"),
    "no callable": (lambda: odd_task(3), "wants a callable"),
    "a word for a policy": (lambda: parallel(inc, policy="ALL"), "policy is a value such as ALL"),
    "a race of none": (lambda: parallel(policy=FIRST_COMPLETED), "at least one plan"),
    "no branches to choose": (lambda: choose(len, {}), "nothing could ever run"),
    "a list of branches": (lambda: choose(len, [inc]), "mapping of keys to plans"),
    "an async pure": (lambda: pure(add_one_later), "make it a task"),
    "then without at_most": (lambda: loop_while(len, inc, then=identity), "there is no at_most"),
    "a negative at_most": (lambda: loop_while(len, inc, at_most=-1), "whole number of turns"),
    "a limit of 0": (lambda: gather(inc, limit=0), "at least 1"),
    "a word for a fault": (lambda: fail("why"), "Stopped"),
    "a negative timeout": (lambda: inc.timeout(-1), "number of seconds"),
    "an endless timeout": (lambda: inc.timeout(float("nan")), "number of seconds"),
    "half a retry": (lambda: inc.retry(1.5), "number of retries or a schedule"),
    "a retry of SystemExit": (lambda: inc.retry(1, on=SystemExit), "never retried"),
    "too many parameters": (lambda: odd_task(lambda a, b, c: a), "it wants a, b, c"),
    "no parameter": (lambda: odd_task(lambda: 1), "is given 1 value"),
    "a keyword without default": (lambda: odd_task(_needs_keyword), "keyword-only parameter"),
    "focus without an optic": (lambda: focus(inc, inc), "wants an optic first"),
    "a lens that computes": (lambda: lens(Pair, lambda p: p.left + 1), "only walks"),
    "an async task in a thread": (lambda: odd_task(blocking="thread")(add_one_later), "never blocks a thread"),
    "n below 1": (lambda: odd_best(0, by=len), "at least 1"),
    "a plan twice in pure": (lambda: pure(inc), "pure wants a function"),
    "no plan to run": (lambda: run(add_one, 1), "run takes a plan"),
    "a function after a plan": (lambda: inc >> add_one, "task|pure|plan"),
}


def _needs_keyword(n: int, *, key: str) -> int:
    return n


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_plan_built_wrongly_is_refused_in_one_line_that_says_what_to_do(mistake: str) -> None:
    """A12, A25, A35, A36."""
    build, words = MISTAKES[mistake]
    with pytest.raises((PlanError, ValueError, TypeError), match=words) as caught:
        build()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_plans_are_equal_by_structure_and_hash_alike() -> None:
    """A37."""

    def made() -> AnyPlan:
        return (inc >> inc_later.timeout(3) | gather(inc, boom) >> pure(sum)).retry(Fixed(1.0).times(2))

    assert made() == made()
    assert hash(made()) == hash(made())
    assert made() != made() >> inc
    assert len({made(), made(), inc}) == 2
    assert inc != inc_later


@task
def top_level(n: int) -> int:
    """A task by decorator, as most are."""
    return n + 1


PLAIN: AnyPlan = task(add_one) >> pure(add_one) >> gather(task(add_one_later), identity)
DECORATED: AnyPlan = top_level >> top_level
FIELDS: AnyPlan = task(reads=LEFT, writes=RIGHT)(add_one)


@pytest.mark.parametrize("plan", [PLAIN, DECORATED, FIELDS, identity, PLAIN.retry(2).timeout(3)], ids=repr)
def test_a_plan_survives_pickling(plan: AnyPlan) -> None:
    """A37."""
    run(plan, Pair() if plan is FIELDS else 1)
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_what_cannot_be_pickled_is_named() -> None:
    """A37."""
    with pytest.raises(PlanError, match=r"cannot be pickled: its function .*lambda"):
        pickle.dumps(inc >> pure(lambda n: n))


def test_a_lens_survives_pickling_after_it_was_used() -> None:
    """A37."""
    rows: list[tuple[Any, Any]] = [(LEFT, Pair(1)), (lens(dict[str, int], lambda d: d["a"]), {"a": 1})]
    for optic, whole in rows:
        assert optic(whole) == 1
        again = pickle.loads(pickle.dumps(optic))
        assert again(whole) == 1
        assert again == optic


def test_the_number_of_attempts_is_exact_and_delays_are_within_bounds() -> None:
    """A46."""
    for n in (0, 1, 5):
        calls: list[int] = []

        def failing(_: Any, calls: list[int] = calls) -> Any:
            calls.append(1)
            raise OSError("again")

        clock = Clock()
        schedule = Exponential(first=1.0, cap=4.0).jittered(0.25).times(n)
        outcome = run(task(failing).retry(schedule), 0, context=Context(seed=n, clock=clock))
        assert isinstance(outcome.failure(), ActionFailed)
        assert len(calls) == n + 1
        assert len(clock.slept) == n
        for slept, base in zip(clock.slept, (1, 2, 4, 4, 4), strict=False):
            assert 0.75 * base <= slept <= 1.25 * base


def test_what_is_not_retriable_is_tried_once() -> None:
    """A46, R-E4."""
    calls: list[int] = []

    def failing(_: Any) -> Any:
        calls.append(1)
        raise OSError("again")

    def interrupting(_: Any) -> Any:
        calls.append(1)
        raise KeyboardInterrupt

    run(task(failing).retry(5, on=KeyError), 0)
    assert len(calls) == 1
    run((task(failing) >> fail(Stopped(reason="x"))).retry(3, on=Stopped), 0)
    assert len(calls) == 2
    with pytest.raises(KeyboardInterrupt):
        run(task(interrupting).retry(5), 0)
    assert len(calls) == 3
    run((pure(lambda n: noted(calls, 1, n)) >> fail(Stopped(reason="x"))).retry(5), 0)
    assert len(calls) == 4


@on_both
def test_retries_stop_at_the_first_success_and_at_the_enclosing_timeout(on: Runner) -> None:
    """A46."""
    calls: list[float] = []

    @task
    async def third_time(n: int) -> int:
        calls.append(anyio.current_time())
        if len(calls) % 3:
            raise OSError("again")
        return n

    async def main() -> Any:
        good = await arun(third_time.retry(Fixed(1.0).times(5)), 1)
        calls.clear()
        cut = await arun((third_time >> boom).retry(Fixed(1.0)).timeout(3.5), 1)
        return good, cut

    good, cut = on(main)
    assert good == Success(1)
    assert isinstance(cut.failure(), TimedOut)
    assert len(calls) == 4


def test_the_best_of_candidate_plans_is_the_evaluator_s() -> None:
    """A52."""
    candidates: list[AnyPlan] = [pure(lambda n, k=k: (n + k, k)) for k in (1, 3, 2)]
    best: AnyPlan = parallel(*candidates, policy=NBest(1, by=lambda pair: pair[0]))
    assert run(best, 10) == Success((13, 3))
    level: AnyPlan = parallel(*candidates, policy=NBest(1, by=lambda pair: 0))
    assert run(level, 10) == Success((11, 1))


def test_a_context_variable_goes_down_and_never_up() -> None:
    """A07, R-P3: in one thread."""
    var: ContextVar[str] = ContextVar("var", default="none")
    var.set("caller")
    seen: list[str] = []

    def setting(n: int) -> int:
        seen.append(var.get())
        var.set("inside")
        return n

    reading: AnyPlan = pure(lambda _: var.get())
    run(task(setting), 1)
    assert (seen, var.get()) == (["caller"], "caller")
    assert run(gather(task(setting), reading), 1).unwrap()[1] == "caller"
    assert run(gather(task(setting) >> boom, reading) | reading, 1) == Success("caller")


def test_a_context_variable_of_a_branch_that_timed_out_is_not_seen_after_it() -> None:
    """R-P3."""
    var: ContextVar[str] = ContextVar("var", default="caller")
    clock = Clock()

    def setting(n: int) -> int:
        var.set("inside")
        clock.sleep(5)
        return n

    slow: AnyPlan = task(setting) >> task(setting)
    reading: AnyPlan = pure(lambda _: var.get())
    plans: list[AnyPlan] = [
        gather(slow, reading).timeout(1) | reading,
        parallel(slow, reading, timeout=1) | reading,
        gather(gather(slow, reading).timeout(1) | reading, reading) >> pure(lambda row: row[0]),
    ]
    for plan in plans:
        assert run(plan, 1, context=Context(clock=clock)) == Success("caller")


@on_both
def test_a_context_variable_goes_down_and_never_up_or_sideways_on_a_loop(on: Runner) -> None:
    """A07, R-P3."""
    var: ContextVar[str] = ContextVar("var", default="none")

    async def setting(n: int) -> int:
        var.set("inside")
        await anyio.sleep(1)
        return n

    async def reading(_: Any) -> str:
        await anyio.sleep(0.5)
        return var.get()

    async def main() -> Any:
        var.set("caller")
        row = await arun(gather(task(setting), task(reading), task(setting) >> task(reading)), 1)
        between = var.get()
        await arun(task(setting), 1)
        return row, between, var.get()

    row, between, after = on(main)
    assert row == Success((1, "caller", "inside"))
    assert (between, after) == ("caller", "caller")


def test_evolved_states_stay_apart() -> None:
    """A40: the default join says in its name that it merges; what one branch left alone keeps the other's change."""
    one: AnyPlan = pure(lambda p: evolve(p, left=p.left + 1))
    two: AnyPlan = pure(lambda p: evolve(p, right=p.right + 1))
    assert run(one & two, Pair()) == Success(Pair(1, 1))
    assert run(identity & one, Pair()) == run(one & identity, Pair()) == run(one, Pair())
    left, right = run((one & two) & identity, Pair()), run(one & (two & identity), Pair())
    assert left == right
    assert run(gather(one, two), Pair()) == run(parallel(one, two, join=collect), Pair())
