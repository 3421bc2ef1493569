"""Faults: whatever a user's function raises, wherever it stands, is a value that says where and why."""

import itertools
import traceback
from typing import Any

import pytest
from attrs import evolve, field, frozen
from clocks import Runner, on_asyncio, on_both

import lambdacat
from lambdacat import (
    SETTLED,
    ActionFailed,
    AllFailed,
    Context,
    Fixed,
    NBest,
    PlanFailed,
    Prism,
    Quorum,
    Stopped,
    Success,
    TimedOut,
    collect,
    identity,
    lens,
    merged,
    task,
    value_or_raise,
)

# Plans that are odd or wrong on purpose: what checkers say of right ones is stated where the types are tested.
arun: Any = lambdacat.arun
bind: Any = lambdacat.bind
choose: Any = lambdacat.choose
fail: Any = lambdacat.fail
focus: Any = lambdacat.focus
gather: Any = lambdacat.gather
loop_while: Any = lambdacat.loop_while
parallel: Any = lambdacat.parallel
pure: Any = lambdacat.pure
recover: Any = lambdacat.recover
run: Any = lambdacat.run
when: Any = lambdacat.when

AnyPlan = Any


class PlantedError(Exception):
    """What every function of these tests raises."""


def planted(*_: Any) -> Any:
    raise PlantedError("planted")


async def planted_later(_: Any) -> Any:
    raise PlantedError("planted")


def _refuses(fork: int, left: int, right: int) -> int:
    raise PlantedError("planted")


@frozen
class State:
    n: int = 0
    m: int = merged(_refuses, default=0)


@frozen
class Guarded:
    n: int = field(default=0, validator=lambda _, __, n: planted() if n else None)


N = lens(State, lambda s: s.n)
same: AnyPlan = pure(lambda s: s)
BROKEN: dict[str, AnyPlan] = {
    "task": task(blocking="inline")(planted),
    "async task": task(planted_later),
    "pure": pure(planted),
    "task after others": (same >> pure(planted) >> same).named("row"),
    "predicate": when(planted, same),
    "condition": when(N.where(planted), same),
    "selector": choose(planted, {1: same}),
    "loop condition": loop_while(planted, same),
    "loop body": loop_while(lambda _: True, pure(planted)),
    "loop body of two": loop_while(lambda _: True, same >> pure(planted)),
    "bind": bind(planted),
    "handler": recover(fail(Stopped(reason="x")), planted),
    "retry test": fail(Stopped(reason="x")).retry(1, on=planted),
    "join": parallel(same, same, join=planted),
    "join of one": parallel(same, join=planted),
    "join of outcomes": parallel(same, same, policy=SETTLED, join=planted),
    "score": parallel(same, same, policy=NBest(1, by=planted)),
    "declared merge": pure(lambda s: evolve(s, m=1)) & pure(lambda s: evolve(s, m=2)),
    "prism": focus(Prism("p", preview=planted, review=planted), same),
    "review": focus(Prism("p", preview=lambda s: s, review=planted), pure(lambda s: evolve(s, n=1))),
    "validator": focus(lens(tuple[Any, ...], lambda t: t[0]) >> lens(Guarded, lambda g: g.n), pure(lambda n: 1)),
    "branch": gather(same, pure(planted)),
}


def _where(kind: str) -> Any:
    return (Guarded(),) if kind == "validator" else State()


@pytest.mark.parametrize("kind", list(BROKEN))
@pytest.mark.parametrize("place", ["alone", "second", "in a branch", "in a race", "under a bound"])
def test_whatever_raises_is_a_fault_at_its_node(kind: str, place: str) -> None:
    """R-E1: on one thread, asyncio and trio alike; siblings are cancelled and the input is unchanged."""
    from clocks import on_trio

    broken, start = BROKEN[kind], _where(kind)
    before = repr(start)
    slow: AnyPlan = task(blocking="inline")(lambda s: s)
    plan: AnyPlan = {
        "alone": broken,
        "second": same >> broken,
        "in a branch": gather(broken, slow),
        "in a race": parallel(broken, broken, policy=Quorum(1)),
        "under a bound": (same >> broken).timeout(60).retry(Fixed(0.0).times(1), on=PlantedError),
    }[place]
    prefix = {
        "alone": (),
        "second": (1,),
        "in a branch": (0,),
        "in a race": (),
        "under a bound": ("retry", "timeout", 1),
    }
    for outcome in (run(plan, start), on_asyncio(lambda: arun(plan, start)), on_trio(lambda: arun(plan, start))):
        fault = outcome.failure()
        if place == "in a race":
            assert isinstance(fault, AllFailed)
            assert [f.at[0] for f in fault.faults] == [0, 1]
            fault = fault.faults[0]
        assert isinstance(fault, ActionFailed)
        assert type(fault.error) is PlantedError
        assert fault.at[: len(prefix[place])] == prefix[place]
        assert "Planted" in str(fault).splitlines()[0]
        frames = [frame.filename for frame in traceback.extract_tb(fault.error.__traceback__)]
        assert frames, kind
        assert "lambdacat/" not in frames[0].rpartition("/tests/")[0][-20:], frames
    assert repr(start) == before
    assert run(plan | same, start) == Success(start)


def test_the_path_is_the_same_wherever_it_runs() -> None:
    """R-E1."""
    from clocks import on_trio

    for kind, broken in BROKEN.items():
        plan, start = gather(same, same >> broken), _where(kind)
        ats = {
            run(plan, start).failure().at,
            on_asyncio(lambda plan=plan, start=start: arun(plan, start)).failure().at,
            on_trio(lambda plan=plan, start=start: arun(plan, start)).failure().at,
        }
        assert len(ats) == 1, (kind, ats)


@on_both
@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_branches_that_fail_together_are_all_visible_in_order(on: Runner, width: int) -> None:
    """R-E2: the same twenty times; ``except*`` sees every one."""
    import anyio

    def failing(k: int) -> AnyPlan:
        async def later(_: Any) -> Any:
            await anyio.sleep(1)
            raise (OSError if k % 2 else KeyError)(k)

        return task(name=f"f{k}")(later)

    plan: AnyPlan = gather(*[failing(k) for k in range(width)])
    outcome: Any = None
    fault: Any = None
    for _ in range(20):
        outcome = on(lambda: arun(plan, 0))
        fault = outcome.failure()
        assert [f.at for f in (fault, *fault.also)] == [(k,) for k in range(width)]
        assert [f.error.args[0] for f in (fault, *fault.also)] == list(range(width))
    caught: list[type[Exception]] = []
    whole: list[Any] = []
    try:
        value_or_raise(outcome)
    except* OSError as group:
        whole.append(getattr(group, "fault", None))
        caught += [type(error) for error in group.exceptions]
    except* KeyError as group:
        caught += [type(error) for error in group.exceptions]
    assert len(caught) == width
    assert whole == [fault]


def test_faults_of_nested_groups_are_all_kept() -> None:
    """R-E2."""
    bad: AnyPlan = pure(planted)
    inner: AnyPlan = parallel(bad, bad, policy=Quorum(1))
    outer: AnyPlan = parallel(inner, same >> inner, bad, policy=Quorum(2), join=collect)
    fault = run(outer, 0).failure()
    with pytest.raises(PlanFailed) as caught:
        value_or_raise(run(outer, 0))
    assert len(caught.value.exceptions) == 5
    assert isinstance(fault, AllFailed)
    ats = [f.at for one in fault.faults for f in (one.faults if isinstance(one, AllFailed) else (one,))]
    assert ats == [(0, 0), (0, 1), (1, 1, 0), (1, 1, 1), (2,)]


class _Hostile:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    __str__ = __repr__


class _HostileError(Exception):
    def __str__(self) -> str:
        raise ValueError("no str")

    __repr__ = __str__


def _raise(error: Exception) -> Any:
    raise error


class _Nameless:
    def __getattr__(self, name: str) -> Any:
        raise ValueError("no attributes")

    def __call__(self, value: Any) -> Any:
        raise _HostileError

    def __repr__(self) -> str:
        raise ValueError("no repr")


HOSTILE: dict[str, tuple[AnyPlan, Any]] = {
    "input": (pure(planted), _Hostile()),
    "error": (pure(lambda _: _raise(_HostileError())), 1),
    "key": (choose(lambda _: _Hostile(), {1: identity}), 1),
    "known keys": (choose(lambda _: 1, {_Hostile(): identity}), 1),
    "loop value": (loop_while(lambda _: True, identity, at_most=2), _Hostile()),
    "conflict": (pure(lambda _: {"k": _Hostile()}) & pure(lambda _: {"k": _Hostile()}), {"k": _Hostile()}),
    "conflict at a key": (pure(lambda s: dict.fromkeys(s, 1)) & pure(lambda s: dict.fromkeys(s, 2)), {_Hostile(): 0}),
    "group": (parallel(pure(lambda _: _raise(_HostileError())), policy=Quorum(1)), _Hostile()),
    "many lines": (pure(lambda _: _raise(ValueError("one\ntwo\n" * 50))), "three\nfour" * 1000),
    "huge": (pure(planted), [list(range(1000))] * 1000),
    "surrogates": (pure(lambda _: _raise(ValueError("\ud800"))), "\udcff"),
    "reason": (fail(Stopped(reason="line\n" * 40, details=_Hostile())), 1),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_a_fault_prints_whatever_it_is_about(kind: str) -> None:
    """R-E1: hostile values neither hide the fault nor flood it."""
    plan, value = HOSTILE[kind]
    fault = run(same >> plan, value).failure()
    text = str(fault)
    assert type(fault).__name__ in text.splitlines()[0]
    assert len(text) < 3_000
    with pytest.raises(PlanFailed):
        value_or_raise(run(plan, value))


def test_a_callable_without_a_name_still_makes_a_task() -> None:
    """A34, R-E1."""
    fault = run(task(lambda _: _raise(PlantedError())), 1).failure()
    assert fault.name
    plan: AnyPlan = pure(lambda n: n) >> choose(_Plainly(), {1: identity})
    assert "choose" in str(run(plan, 2).failure())
    assert repr(plan)


class _Plainly:
    def __call__(self, n: int) -> int:
        return n


@on_both
def test_every_exception_below_exception_becomes_a_fault(on: Runner) -> None:
    """R-E1: also those with a meaning of their own to Python or to a loop."""
    odd = [StopIteration(1), StopAsyncIteration(), GeneratorExit, TimeoutError(), RecursionError(), MemoryError()]
    odd += [ExceptionGroup("g", [ValueError()]), RuntimeWarning("w"), AssertionError()]
    for error in odd:
        if error is GeneratorExit:
            continue

        def act(_: Any, error: Any = error) -> Any:
            raise error

        for plan in (pure(act), task(act), gather(pure(act), same), when(act, same), loop_while(act, same)):
            for outcome in (run(plan, 1), on(lambda plan=plan: arun(plan, 1))):
                assert isinstance(outcome.failure(), ActionFailed), (error, plan)
                assert outcome.failure().error is error


def test_a_context_that_lacks_something_says_what_it_has() -> None:
    """G09."""

    def asking(n: int, context: Context) -> Any:
        return context["model"]

    fault = run(task(asking), 1, context={"client": 1}).failure()
    assert "'model'" in str(fault)
    assert "'client'" in str(fault)


def test_faults_that_were_recovered_from_leave_no_trace_in_the_result() -> None:
    """A25."""
    for a, b in itertools.product([pure(planted), same], repeat=2):
        outcome = run((a | b) | same, 3)
        assert outcome == Success(3)


def test_a_fault_says_its_way_from_the_whole_plan_down() -> None:
    boom = task(name="boom")(_always)
    plan: Any = pure(_same) >> gather(pure(_same), (pure(_same) >> boom.retry(1)).named("inner")) >> pure(_same)
    fault = run(plan, 1).failure()
    assert fault.at == (1, 1, "inner", 1, "retry")
    assert fault.name == "boom"
    assert "raised ValueError: no" in str(fault)


def test_a_retry_may_be_for_one_class_of_exceptions_or_faults() -> None:
    tried: list[int] = []

    def failing(n: int) -> int:
        tried.append(n)
        raise ConnectionResetError("gone")

    plan: Any = task(failing)
    kinds: list[tuple[Any, int]] = [(ConnectionError, 3), (ValueError, 1), (TimedOut, 1), (ActionFailed, 3)]
    for on, times in [*kinds, ((ValueError, OSError), 3)]:
        tried.clear()
        run(plan.retry(2, on=on), 1)
        assert len(tried) == times, on


def _always(n: int) -> int:
    raise ValueError("no")


def _same(n: int) -> int:
    return n
