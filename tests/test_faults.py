"""Faults: whatever a user's function raises, wherever it stands, is a value that says where and why."""

import itertools
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from attrs import evolve, field, frozen
from clocks import Runner, on_asyncio, on_both, on_trio, really_on_trio
from untyped import (
    AnyPlan,
    arun,
    atraced,
    bind,
    choose,
    fail,
    focus,
    gather,
    interpret,
    loop_while,
    parallel,
    pure,
    recover,
    run,
    traced,
    when,
)

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
    Schedule,
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
from lambdacat.effects.records import IDENTITY


class PlantedError(Exception):
    """What every function of these tests raises."""


def planted(*_: Any) -> Any:
    raise PlantedError("planted")


async def planted_later(_: Any) -> Any:
    raise PlantedError("planted")


def _refuses(fork: int, left: int, right: int) -> int:
    raise PlantedError("planted")


@frozen
class Guarded:
    n: int = field(default=0, validator=lambda _, __, n: planted() if n else None)


@frozen
class State:
    n: int = 0
    m: int = merged(_refuses, default=0)
    guarded: Guarded = Guarded()


@frozen
class Whole:
    state: State = State()


N, M, GUARDED = lens(State, lambda s: s.n), lens(State, lambda s: s.m), lens(State, lambda s: s.guarded.n)
INNER = lens(Whole, lambda w: w.state)
same: AnyPlan = pure(lambda s: s)
BROKEN: dict[str, AnyPlan] = {
    "task": task(blocking="inline")(planted),
    "async task": task(planted_later),
    "pure": pure(planted),
    "task after others": (same >> pure(planted) >> same).named("row"),
    "predicate": when(planted, same),
    "condition": when(N.where(planted), same),
    "condition of several": when(N.where(bool) | ~N.where(planted), same),
    "selector": choose(planted, {1: same}),
    "loop condition": loop_while(planted, same),
    "loop condition of several": loop_while(N.where(planted) & N.where(bool), same),
    "loop condition around an async task": loop_while(planted, task(planted_later)),
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


def first_frame(fault: Any) -> str:
    """The file in which the traceback of a fault's exception begins."""
    return traceback.extract_tb(fault.error.__traceback__)[0].filename


def _where(kind: str) -> Any:
    return (Guarded(),) if kind == "validator" else State()


@pytest.mark.parametrize("kind", list(BROKEN))
@pytest.mark.parametrize("place", ["alone", "second", "in a branch", "in a race", "under a bound"])
def test_whatever_raises_is_a_fault_at_its_node(kind: str, place: str) -> None:
    """R-E1: on one thread, asyncio and trio alike; siblings are cancelled and the input is unchanged."""
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
        assert first_frame(fault).startswith("<attrs generated" if kind == "validator" else __file__)
    assert repr(start) == before
    assert run(plan | same, start) == Success(start)


class Planting:
    """A callable object, with methods that are actions too."""

    def __call__(self, _: Any) -> Any:
        raise PlantedError("planted")

    def method(self, _: Any) -> Any:
        raise PlantedError("planted")

    async def method_later(self, _: Any) -> Any:
        raise PlantedError("planted")


async def emitting(_: Any) -> Any:
    yield 1
    raise PlantedError("planted")


ACTIONS: dict[str, Any] = {
    "sync": planted,
    "async": planted_later,
    "sync with a context": lambda _, ctx: planted(ctx),
    "partial": partial(planted, 1),
    "async partial": partial(planted_later),
    "method": Planting().method,
    "async method": Planting().method_later,
    "callable object": Planting(),
    "generator": emitting,
    "plain function that gives an awaitable": lambda value: planted_later(value),
}
WIRINGS: dict[str, Any] = {
    "on the whole value": lambda action, **options: task(name="bad", **options)(action),
    "through one lens": lambda action, **options: task(name="bad", reads=N, writes=N, **options)(action),
    "through a lens into two": lambda action, **options: task(name="bad", reads=N, writes=(N, M), **options)(action),
    "inside a part": lambda action, **options: task(name="bad", **options)(action).focus(N),
    "between two parts": lambda action, **options: task(name="bad", **options)(action).between(N, M),
}
PLACES: dict[str, Any] = {
    "alone": lambda bad: bad,
    "in a row": lambda bad: same >> bad >> same,
    "in a loop": lambda bad: loop_while(lambda _: True, bad),
    "in a loop with others": lambda bad: loop_while(lambda _: True, same >> bad),
    "in a branch": lambda bad: gather(bad, same),
    "under a bound": lambda bad: bad.timeout(60),
}


# Every wiring alone and every place with a lens; the rest of the square is in the sweep.
PLAIN = {(wiring, "alone") for wiring in WIRINGS} | {("through one lens", place) for place in PLACES}


@pytest.mark.parametrize(
    ("wiring", "place"),
    [
        pytest.param(*pair, marks=() if pair in PLAIN else pytest.mark.sweep)
        for pair in itertools.product(WIRINGS, PLACES)
    ],
)
def test_the_traceback_of_an_action_begins_in_the_action(wiring: str, place: str) -> None:
    """A34, R-E1: whatever an action is, and wherever it runs, no frame of the library stands before its own."""
    for action in ACTIONS.values():
        for options in ({}, {"blocking": "inline"}):
            plan = PLACES[place](WIRINGS[wiring](action, **options))
            for outcome in (interpret(plan, IDENTITY)(State()), *every_outcome(plan, State())):
                assert isinstance(outcome.failure(), ActionFailed)
                assert first_frame(outcome.failure()) == __file__


def every_outcome(plan: AnyPlan, value: Any) -> Iterator[Any]:
    """The outcome of a plan under every way to run it that has a clock."""
    yield run(plan, value)
    yield traced(plan)(value).value
    yield run(plan, value, observers=[lambda event: None])
    yield on_asyncio(lambda: arun(plan, value))
    yield really_on_trio(lambda: arun(plan, value))
    yield on_asyncio(lambda: atraced(plan)(value)).value


class Breaking(Schedule):
    """A schedule that looks right when a plan is built and raises when a run asks it."""

    def delay(self, attempt: int, source: Any = None) -> float | None:
        if source is not None:
            raise PlantedError("planted")
        return 0.0


def below_two(state: State) -> bool:
    if state.n == 2:
        raise PlantedError("planted")
    return True


STOP: AnyPlan = fail(Stopped(reason="x"))
more: AnyPlan = pure(lambda n: n + 1).named("more")
# What comes after a fault, or between two values: the node that raises was given the state, and so was the run.
AFTERWARDS: dict[str, tuple[AnyPlan, int, tuple[Any, ...]]] = {
    "handler": (recover(STOP, planted), 1, ()),
    "handler that gives no plan": (recover(STOP, lambda _: 3), 1, ()),
    "retry test": (STOP.retry(Fixed(0.0), on=planted), 1, ()),
    "schedule": (task(blocking="inline")(planted).retry(Breaking()), 1, ()),
    "schedule of a task that waits": (task(planted_later).retry(Breaking()).timeout(60), 1, ("timeout",)),
    "part that cannot be put back": (focus(GUARDED, more), 1, ()),
    "part that another cannot take": (more.between(N, GUARDED), 1, ()),
    "join": (parallel(same, same, join=planted), 1, ()),
    "condition after a turn": (loop_while(below_two, pure(lambda s: evolve(s, n=s.n + 1))), 2, ()),
}


@pytest.mark.parametrize("kind", list(AFTERWARDS))
def test_what_raises_between_two_steps_says_what_its_node_was_given(kind: str) -> None:
    """R-E1: the input is the node's own, and the last value a whole one, not the part or the fault that it met."""
    broken, seen, below = AFTERWARDS[kind]
    for place, plan in {"alone": broken, "in a part": focus(INNER, broken.named("inner"))}.items():
        start = State(1) if place == "alone" else Whole(State(1))
        for outcome in every_outcome(pure(lambda s: s) >> plan, start):
            fault = outcome.failure()
            assert isinstance(fault, ActionFailed)
            assert fault.input == State(seen)
            assert fault.last == (State(seen) if place == "alone" else start)
            assert fault.at == (1, *(() if place == "alone" else ("focus", "inner")), *below)


def test_a_schedule_that_raises_ends_its_retry() -> None:
    """Nothing is tried again without a delay to wait, and an endless schedule does not ask for ever."""
    tries: list[int] = []

    def trying(n: int) -> int:
        tries.append(n)
        raise PlantedError("planted")

    for options in ({}, {"blocking": "inline"}):
        step: AnyPlan = task(**options)  # type: ignore[call-overload]
        plan: AnyPlan = step(trying).retry(Breaking()).timeout(60)
        for outcome in every_outcome(plan, 7):
            assert tries == [7]
            assert isinstance(outcome.failure(), ActionFailed)
            assert outcome.failure().name == "retry"
            tries.clear()


def test_the_traceback_of_a_fault_that_only_the_library_saw_is_whole() -> None:
    """Whoever looks for a bug of the library's own needs its frames."""
    lost: AnyPlan = task(reads=N)
    fault = run(lost(lambda n: n), State()).failure()
    frames = [frame.filename for frame in traceback.extract_tb(fault.error.__traceback__)]
    assert frames
    assert "wiring.py" in frames[-1]


def test_the_path_is_the_same_wherever_it_runs() -> None:
    """R-E1."""
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
