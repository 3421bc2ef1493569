"""Branches side by side: policies, joins, merges, and what a branch may do to its input."""

import collections
import pickle
import random
import threading
import time
from collections import Counter, OrderedDict, defaultdict
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import anyio
import pydantic
import pytest
from attrs import define, evolve, field, frozen
from clocks import SWEEP_SECONDS, Busy, Clock, Runner, on_both, really_on_both
from untyped import AnyPlan, arun, atraced, choose, fail, focus, gather, parallel, pure, run

import lambdacat
from lambdacat import (
    FIRST_COMPLETED,
    N_BEST,
    SETTLED,
    ActionFailed,
    AllFailed,
    Context,
    Failure,
    FootprintConflict,
    MergeConflict,
    Merges,
    NBest,
    PlanError,
    Quorum,
    Success,
    TimedOut,
    TooFew,
    collect,
    concat,
    each,
    footprint,
    lens,
    merged,
    task,
)


def after(seconds: float, result: Any = None) -> AnyPlan:
    """A branch that gives ``result``, or raises it, after a while."""

    async def later(value: Any) -> Any:
        await anyio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        return result

    return task(name=f"after {seconds:g}")(later)


async def timed(plan: AnyPlan, value: Any = None) -> tuple[Any, float]:
    start = anyio.current_time()
    outcome = await arun(plan, value)
    return outcome, anyio.current_time() - start


@on_both
def test_branches_of_an_all_overlap_in_time(on: Runner) -> None:
    """A05."""
    intervals = []

    @task
    async def nap(n: int) -> int:
        start = anyio.current_time()
        await anyio.sleep(0.2)
        intervals.append((start, anyio.current_time()))
        return n

    outcome, took = on(lambda: timed(gather(nap, nap), 1))
    assert outcome == Success((1, 1))
    assert took == pytest.approx(0.2)
    assert max(start for start, _ in intervals) < min(end for _, end in intervals)


@on_both
def test_spans_of_branches_of_an_all_intersect_and_those_of_a_sequence_do_not(on: Runner) -> None:
    """A05: as a trace shows it, for branches of one step and of several."""

    @task
    async def nap(n: int) -> int:
        await anyio.sleep(0.2)
        return n

    def naps(plan: AnyPlan) -> tuple[list[Any], float]:
        spans = on(lambda: atraced(plan)(1)).log.spans
        return [span for span in spans if span.name == "nap"], spans[0].end - spans[0].start

    for row in (nap, nap >> nap):
        found, took = naps(gather(row, row))
        length = len(found) // 2
        firsts = [span for span in found if span.start == found[0].start]
        assert sorted(span.at[0] for span in firsts) == [0, 1]
        assert max(span.start for span in firsts) < min(span.end for span in firsts)
        assert took == pytest.approx(0.2 * length)
    for one_by_one in (nap >> nap, gather(nap, nap, limit=1)):
        (first, second), took = naps(one_by_one)
        assert first.end <= second.start
        assert took == pytest.approx(0.4)


@really_on_both
def test_blocking_branches_overlap_in_threads_and_see_the_caller_s_variables(on: Runner) -> None:
    """A06, A07: real threads meet at a barrier, so no clock is read."""
    var: ContextVar[str] = ContextVar("var", default="none")
    barrier = threading.Barrier(2, timeout=5)

    def meet(n: int) -> tuple[int, str]:
        barrier.wait()
        found = var.get()
        var.set("inside")
        return n, found

    async def main() -> Any:
        var.set("caller")
        return await arun(gather(task(meet), task(meet)), 1), var.get()

    assert on(main) == (Success(((1, "caller"), (1, "caller"))), "caller")


@on_both
def test_the_first_to_succeed_wins_and_the_loser_has_cleaned_up(on: Runner) -> None:
    """A08."""
    events: list[str] = []

    @task
    async def slow(n: int) -> str:
        try:
            await anyio.sleep(0.5)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
            events.append("cleaned up")
        return "slow"

    async def main() -> Any:
        found = await timed(parallel(slow, after(0.01, "fast"), policy=FIRST_COMPLETED))
        events.append("returned")
        return found

    outcome, took = on(main)
    assert outcome == Success("fast")
    assert events == ["cleaned up", "returned"]
    assert took == pytest.approx(0.11)


@on_both
def test_a_race_sets_faults_aside_and_lists_them_when_all_fail(on: Runner) -> None:
    """A09."""
    outcome, took = on(lambda: timed(parallel(after(0.1, OSError("x")), after(0.2, 2), policy=FIRST_COMPLETED)))
    assert (outcome, took) == (Success(2), pytest.approx(0.2))
    lost, _ = on(lambda: timed(parallel(after(0.2, OSError("x")), after(0.1, KeyError("y")), policy=FIRST_COMPLETED)))
    fault = lost.failure()
    assert isinstance(fault, AllFailed)
    assert [type(getattr(f, "error", None)) for f in fault.faults] == [OSError, KeyError]
    assert [f.at for f in fault.faults] == [(0,), (1,)]
    assert "KeyError" in str(fault)


@on_both
def test_a_race_past_its_timeout_is_named_and_its_branches_are_cancelled(on: Runner) -> None:
    """A10."""
    cancelled: list[int] = []

    @task
    async def slow(n: int) -> int:
        try:
            await anyio.sleep(10)
        except BaseException:
            cancelled.append(1)
            raise
        return n

    outcome, took = on(lambda: timed(parallel(slow, slow, policy=FIRST_COMPLETED, timeout=0.1)))
    fault = outcome.failure()
    assert isinstance(fault, AllFailed)
    assert all(isinstance(f, TimedOut) and f.seconds == 0.1 for f in fault.faults)
    assert (took, cancelled) == (pytest.approx(0.1), [1, 1])


@on_both
@pytest.mark.parametrize("count", [40, pytest.param(10_000, marks=pytest.mark.sweep)])
def test_of_branches_that_end_in_one_tick_the_lowest_index_wins(on: Runner, count: int) -> None:
    """A11, R-D2."""
    start = time.monotonic()
    plan: AnyPlan = parallel(*[after(1, k) for k in range(6)], policy=FIRST_COMPLETED)
    done = 0

    async def main() -> set[Any]:
        nonlocal done
        found = set()
        for _ in range(count):
            found.add((await arun(plan, None)).unwrap())
            done += 1
            if time.monotonic() - start > SWEEP_SECONDS:
                break
        return found

    assert on(main) == {0}
    print(f"{done} races in {time.monotonic() - start:.1f} s")


@on_both
def test_the_n_best_come_in_score_order_and_ties_by_index(on: Runner) -> None:
    """A12."""
    row = [after(0.4, 3), after(0.3, 9), after(0.2, 5), after(0.1, OSError("x"))]
    assert on(lambda: timed(parallel(*row, policy=NBest(2, by=float), join=collect)))[0] == Success((9, 5))
    ties = [after(0.3, (1, "a")), after(0.2, (2, "b")), after(0.1, (2, "c")), after(0.1, (1, "d"))]
    best: AnyPlan = parallel(*ties, policy=N_BEST(3, by=lambda pair: pair[0]), join=collect)
    assert on(lambda: timed(best))[0] == Success(((2, "b"), (2, "c"), (1, "a")))
    short = on(lambda: timed(parallel(*row, policy=NBest(4, by=float), join=collect)))[0].failure()
    assert isinstance(short, TooFew)
    assert (short.wanted, short.results) == (4, (3, 9, 5))
    assert isinstance(short.faults[0], ActionFailed)
    refused: Any = NBest
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            refused(wrong, by=float)


@on_both
def test_at_its_timeout_n_best_judges_what_is_done(on: Runner) -> None:
    """A13."""
    row = [after(0.1, 3), after(0.2, 9), after(5, 5), after(0.1, OSError("x"))]
    assert on(lambda: timed(parallel(*row, policy=NBest(1, by=float), timeout=1))) == (Success(9), pytest.approx(1))
    short = on(lambda: timed(parallel(*row, policy=NBest(3, by=float), join=collect, timeout=1)))[0].failure()
    assert isinstance(short, TooFew)
    assert short.results == (3, 9)
    assert [type(f) for f in short.faults] == [TimedOut, ActionFailed]


def test_a_score_that_is_no_number_is_a_fault_at_the_race() -> None:
    """R-E1."""
    scored: Any = NBest
    for by in (lambda _: float("nan"), lambda _: "text", lambda _: None, lambda n: 1 / 0):
        policy: Any = scored(1, by=by)
        plan: AnyPlan = pure(lambda n: n) >> parallel(pure(lambda n: n), pure(lambda n: n), policy=policy)
        fault = run(plan, 1).failure()
        assert isinstance(fault, ActionFailed)
        assert fault.at == (1,)
        assert fault.input == 1


@on_both
def test_an_all_fails_fast_and_awaits_the_sibling_s_cancellation(on: Runner) -> None:
    """A14."""
    events: list[str] = []

    @task
    async def slow(n: int) -> int:
        try:
            await anyio.sleep(0.5)
        finally:
            events.append("cleaned up")
        return n

    outcome, took = on(lambda: timed(gather(after(0.01, OSError("x")), slow)))
    assert outcome.failure().at == (0,)
    assert (events, took) == (["cleaned up"], pytest.approx(0.01))
    both, took = on(lambda: timed(parallel(after(0.01, OSError("x")), after(0.5, 2), policy=SETTLED, join=collect)))
    first, second = both.unwrap()
    assert isinstance(first.failure(), ActionFailed)
    assert (second, took) == (Success(2), pytest.approx(0.5))


@on_both
def test_an_all_past_its_timeout_is_timed_out_and_settled_keeps_what_is_done(on: Runner) -> None:
    """A15."""
    row = [after(0.01, 1), after(0.5, 2)]
    lost, took = on(lambda: timed(pure(lambda _: 0) >> parallel(*row, join=collect, timeout=0.05)))
    assert isinstance(lost.failure(), TimedOut)
    assert lost.failure().at == (1,)
    assert took == pytest.approx(0.05)
    kept, took = on(lambda: timed(parallel(*row, policy=SETTLED, join=collect, timeout=0.05)))
    first, second = kept.unwrap()
    assert (first, took) == (Success(1), pytest.approx(0.05))
    assert isinstance(second.failure(), TimedOut)


def test_forks_with_timeouts_nest_in_one_thread() -> None:
    """A22: each judges at its own, and leaves the others alone."""
    clock = Clock()

    def slow(n: int) -> int:
        clock.sleep(5)
        return n

    cut: AnyPlan = parallel(task(slow) >> task(slow), task(slow), join=collect, timeout=1)
    one: AnyPlan = pure(lambda _: 1)
    plan: AnyPlan = gather(gather(cut.attempt(), one), one, gather(one, cut.attempt(), one))
    (first, a), b, (c, second, d) = run(plan, 0, context=Context(clock=clock)).unwrap()
    assert (a, b, c, d) == (1, 1, 1, 1)
    assert isinstance(first.failure(), TimedOut)
    assert isinstance(second.failure(), TimedOut)
    assert first.failure().at[:2] == (0, 0)


def test_a_score_that_raises_leaves_no_deadline_behind() -> None:
    """A22, R-E1."""
    clock = Clock()

    def slow(n: int) -> int:
        clock.sleep(5)
        return n

    def raising(_: Any) -> float:
        raise ValueError("score")

    one: AnyPlan = pure(lambda _: 1)
    scored: AnyPlan = parallel(one, one, policy=NBest(1, by=raising), timeout=3)
    plan = gather((scored | task(slow) >> task(slow)).timeout(60), one)
    assert run(plan, 0, context=Context(clock=clock)) == Success((0, 1))
    assert clock.now == 10


@on_both
def test_nested_parallels_each_obey_their_own_policy_and_timeout(on: Runner) -> None:
    """A22."""
    plan: AnyPlan = gather(
        parallel(after(3, "x"), after(0.3, "race"), policy=FIRST_COMPLETED),
        parallel(after(0.1, 1), after(9, 2), policy=SETTLED, join=collect, timeout=0.5),
        gather(after(0.2, "all"), parallel(after(0.1, 4), after(0.2, 5), policy=NBest(1, by=float))),
        parallel(after(0.1, OSError("x")), after(5, 1), join=collect) | after(0.1, "else"),
    )
    outcome, took = on(lambda: timed(plan))
    race, (done, cut), best, other = outcome.unwrap()
    assert (race, done, best, other) == ("race", Success(1), ("all", 5), "else")
    assert isinstance(cut.failure(), TimedOut)
    assert took == pytest.approx(0.5)


@pytest.mark.parametrize("limit", [1, 2, 3])
@on_both
def test_a_limit_caps_how_many_branches_run_at_once(on: Runner, limit: int) -> None:
    """P06, R-L6."""
    busy = Busy()
    outcome, took = on(lambda: timed(gather(*[task(busy.work)] * 6, limit=limit)))
    assert outcome == Success((None,) * 6)
    assert (busy.peak, took) == (limit, pytest.approx(6 / limit))


# --- joins -----------------------------------------------------------------------------------------------------------


def scaled(factor: int, fork: int, results: tuple[int, ...]) -> int:
    return factor * sum(results)


class Scale:
    """A join that is an object, and has no name of its own."""

    def __call__(self, fork: int, results: tuple[int, ...]) -> int:
        return scaled(10, fork, results)

    def method(self, fork: int, results: tuple[int, ...]) -> int:
        return scaled(10, fork, results)


def _their_own() -> Any:
    def collect(fork: int, results: tuple[int, ...]) -> int:
        return scaled(10, fork, results)

    return collect


JOINS = {
    "partial": partial(scaled, 10),
    "object": Scale(),
    "method": Scale().method,
    "lambda": lambda fork, results: scaled(10, fork, results),
    "collect, but another one": _their_own(),
}


@on_both
@pytest.mark.parametrize("join", list(JOINS))
def test_a_join_may_be_anything_that_is_called_with_the_fork_and_the_results(on: Runner, join: str) -> None:
    """A04, A34: with a name or without, it runs, prints, and is traced, drawn, checked and named as any other."""
    one, two = pure(lambda n: n + 1), pure(lambda n: n + 2)
    plan = parallel(one, two, join=JOINS[join])
    assert (run(plan, 0), on(lambda: arun(plan, 0))) == (Success(30), Success(30))
    assert lambdacat.traced(plan)(0).value == Success(30)
    assert plan.name == "parallel"
    assert repr(plan).startswith("parallel(")
    assert "joined by" in lambdacat.render(plan)
    assert lambdacat.check(plan) == ()
    assert footprint(plan) == footprint(parallel(one, two, join=scaled))
    assert run(plan.named("both") >> pure(refuse), 0).failure().name == "refuse"
    assert run(parallel(one, pure(refuse), join=JOINS[join]), 0).failure().at == (1,)


def refuse(value: object) -> Any:
    raise ValueError("no")


def test_a_gather_of_nothing_is_a_value_like_any_other() -> None:
    """A37."""
    for plan, name in ((gather(), "gather"), (parallel(join=scaled_to_none), "parallel")):
        assert plan.name == name
        assert pickle.loads(pickle.dumps(plan)) == plan
        assert type(plan).from_parts(*plan.parts()) == plan
    assert gather() == gather() != parallel(join=scaled_to_none)
    assert hash(gather()) == hash(gather())
    assert run(gather(), 5) == Success(())


def scaled_to_none(fork: int, results: tuple[int, ...]) -> int:
    return fork


# --- merging ---------------------------------------------------------------------------------------------------------


@frozen
class Hit:
    name: str
    tags: list[str] = field(factory=list)


@frozen
class Frozen:
    x: int = 0
    y: int = 0
    tags: tuple[str, ...] = merged(concat, default=())
    inner: Hit = Hit("h")


@dataclass
class Plain:
    x: int = 0
    y: int = 0


@define
class Slotted:
    x: int = 0
    y: int = 0


class Named(NamedTuple):
    x: int = 0
    y: int = 0


class Model(pydantic.BaseModel):
    x: int = 0
    y: int = 0


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: int = 0
    _private: int = pydantic.PrivateAttr(default=0)


@frozen(kw_only=True)
class Keyed:
    x: int = 0
    y: int = 0
    derived: int = field(init=False, default=5)


@frozen
class Private:
    _x: int = 0
    _y: int = field(default=0, converter=int)


@on_both
@pytest.mark.parametrize("start", [Frozen(), Keyed()], ids=repr)
def test_changes_of_different_fields_both_survive(on: Runner, start: Any) -> None:
    """A16."""
    plan: AnyPlan = pure(lambda s: evolve(s, x=s.x + 1)) & pure(lambda s: evolve(s, y=7))
    assert run(plan, start) == Success(evolve(start, x=1, y=7))
    assert on(lambda: arun(plan, start)) == Success(evolve(start, x=1, y=7))


STATES: list[tuple[Any, Any, Any, Any]] = [
    (Plain(), lambda s: replace(s, x=1), lambda s: replace(s, y=2), Plain(1, 2)),
    (Slotted(), lambda s: evolve(s, x=1), lambda s: evolve(s, y=2), Slotted(1, 2)),
    (Named(), lambda s: s._replace(x=1), lambda s: s._replace(y=2), Named(1, 2)),
    (Model(), lambda s: s.model_copy(update={"x": 1}), lambda s: s.model_copy(update={"y": 2}), Model(x=1, y=2)),
    (Private(), lambda s: evolve(s, x=1), lambda s: evolve(s, y=2), Private(1, 2)),
    ({}, lambda s: {**s, "x": 1}, lambda s: {**s, "y": 2}, {"x": 1, "y": 2}),
    ((0, 0), lambda s: (1, s[1]), lambda s: (s[0], 2), (1, 2)),
    ([0, 0], lambda s: [1, s[1]], lambda s: [s[0], 2], [1, 2]),
    ({"in": {"a": 1}}, lambda s: {"in": {**s["in"], "b": 2}}, lambda s: {"in": {}}, {"in": {"b": 2}}),
    (
        OrderedDict(a=1, b=1),
        lambda s: OrderedDict(s, a=2),
        lambda s: OrderedDict(s, b=3),
        OrderedDict(a=2, b=3),
    ),
    (
        defaultdict(int, a=1, b=1),
        lambda s: defaultdict(int, s, a=2),
        lambda s: defaultdict(int, s, b=3),
        defaultdict(int, a=2, b=3),
    ),
    (Counter(a=1, b=1), lambda s: s + Counter(a=1), lambda s: s + Counter(b=2), Counter(a=2, b=3)),
]


@pytest.mark.parametrize(("start", "one", "two", "expected"), STATES, ids=lambda s: type(s).__name__)
def test_states_of_every_kind_merge_by_field(start: Any, one: Any, two: Any, expected: Any) -> None:
    """A16, A19."""
    forth, back = run(pure(one) & pure(two), start), run(pure(two) & pure(one), start)
    assert forth == back == Success(expected)
    assert type(forth.unwrap()) is type(start)


def kept(default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A declaration that a user gave a name of its own."""
    return merged(concat, default=default)


T = TypeVar("T")


class NamedMerged(NamedTuple):
    x: int
    tags: tuple[str, ...] = merged(concat, default=())
    notes: tuple[str, ...] = kept(("first",))
    y: int = 0

    def size(self) -> int:
        return len(self.tags)


class NamedGeneric(NamedTuple, Generic[T]):
    x: T
    tags: tuple[str, ...] = merged(concat, default=())
    notes: tuple[str, ...] = kept(("first",))
    y: int = 0


@dataclass
class PlainMerged:
    x: int
    tags: tuple[str, ...] = merged(concat, default=())
    notes: tuple[str, ...] = kept(("first",))
    y: int = 0


@frozen
class FrozenMerged:
    x: int
    tags: tuple[str, ...] = merged(concat, default=())
    notes: tuple[str, ...] = kept(("first",))
    y: int = 0


class Annotations(NamedTuple):
    x: int
    tags: Annotated[tuple[str, ...], Merges(concat)] = ()
    notes: Annotated[tuple[str, ...], Merges(concat)] = ("first",)
    y: int = 0


# Made without a body, so nobody is told of it before it is used.
Functional: Any = collections.namedtuple("Functional", "x tags notes y", defaults=[kept(), kept(), 0])
MERGED_KINDS: list[Any] = [NamedMerged, NamedGeneric, PlainMerged, FrozenMerged, Annotations]


@pytest.mark.parametrize("kind", MERGED_KINDS, ids=lambda kind: kind.__name__)
def test_a_merge_is_declared_alike_in_classes_of_every_kind(kind: Any) -> None:
    """A19: from the moment the class is made, whether a lens has seen it or not."""
    assert (kind(1).tags, kind(1).notes, kind(1).y) == ((), ("first",), 0)
    assert kind(1) == kind(1, (), ("first",), 0)
    assert type(vars(kind)["__annotations__"]) is dict

    def adding(word: str) -> AnyPlan:
        return pure(lambda s: kind(s.x, (*s.tags, word), (*s.notes, word), s.y))

    both = adding("a") & adding("b")
    expected = kind(1, ("a", "b"), ("first", "a", "b"), 0)
    assert run(both, kind(1)) == Success(expected)
    clash = pure(lambda s: kind(5, s.tags, s.notes, s.y)) & pure(lambda s: kind(6, s.tags, s.notes, s.y))
    assert isinstance(run(clash, kind(1)).failure(), MergeConflict)
    tags: Any = lens(kind, lambda s: s.tags)
    note: Any = task(reads=tags, writes=tags)
    assert run(note(lambda t: (*t, "a")) & note(lambda t: (*t, "b")), kind(1)).unwrap().tags == ("a", "b")
    assert pickle.loads(pickle.dumps(kind(1))) == kind(1)


def test_a_merge_that_came_before_the_class_was_looked_at_does_not_stay_without_it() -> None:
    """A19."""
    start = Functional(1, (), ())

    def adds(word: str) -> Any:
        return pure(lambda s: s._replace(tags=(*s.tags, word)))

    adding = [adds(word) for word in "ab"]
    assert run(adding[0] & adding[1], start).unwrap().tags == ("a", "b")
    assert Functional(1) == Functional(1, (), (), 0)


def one_more(n: int) -> int:
    return n + 1


@frozen
class Counting:
    """A state whose converter would show that it ran again."""

    n: int = field(default=0, converter=one_more)
    row: list[int] = field(factory=list)


def test_the_copy_that_a_branch_is_given_is_not_converted_again() -> None:
    """A20: a copy is the same value, whatever its class would do to a new one."""
    start = Counting()
    seen = run(gather(pure(lambda s: s.n), pure(lambda s: s.row is start.row)), start)
    assert (start.n, seen) == (1, Success((1, False)))


def test_two_changes_of_one_place_are_never_silent() -> None:
    """A17, R-P1."""
    one, two = pure(lambda s: evolve(s, x=1)), pure(lambda s: evolve(s, x=2))
    fault = run(pure(lambda s: s) >> (one & pure(lambda s: s) & two), Frozen()).failure()
    assert isinstance(fault, MergeConflict)
    assert (fault.at, [b[0] for b in fault.branches]) == ((1,), ["0", "2"])
    assert ".x" in str(fault).splitlines()[0]
    x = lens(Frozen, lambda s: s.x)
    with pytest.raises(FootprintConflict, match=r"both write \.x side by side"):
        task(reads=x, writes=x)(abs) & task(reads=x, writes=x)(abs)
    tags = lens(Frozen, lambda s: s.tags)
    both: AnyPlan = task(reads=(), writes=tags)(lambda: ("a",)) & task(reads=(), writes=tags)(lambda: ("b",))
    assert run(both, Frozen()).unwrap().tags == ("a", "b")


def test_a_deletion_survives_and_meets_a_change_as_a_conflict() -> None:
    """A18."""

    def dropping(key: str) -> AnyPlan:
        return pure(lambda s: {k: v for k, v in s.items() if k != key})

    def changing(key: str, value: Any) -> AnyPlan:
        return pure(lambda s: {**s, key: value})

    assert run(dropping("a") & changing("b", 2), {"a": 1, "b": 1}) == Success({"b": 2})
    assert isinstance(run(dropping("a") & changing("a", 2), {"a": 1}).failure(), MergeConflict)
    assert run(dropping("a") & pure(lambda s: s), {"a": 1}) == Success({})


@pytest.mark.parametrize("part", [Hit("h", ["t"]), (["t"],), [["t"]], {"k": ["t"]}, ({"k": (["t"],)},)], ids=repr)
def test_a_part_that_a_branch_left_alone_is_no_change_of_it(part: Any) -> None:
    """A16, A18: also where the part holds something mutable, which every branch got a copy of."""
    start = {"part": part, "n": 0}
    counting: AnyPlan = pure(lambda s: {**s, "n": 1})
    assert run(pure(lambda s: {**s, "part": None}) & counting, start) == Success({"part": None, "n": 1})
    assert run(pure(lambda s: {"n": s["n"]}) & counting, start) == Success({"n": 1})
    assert run(counting & pure(lambda s: s), start) == Success({"part": part, "n": 1})
    assert start == {"part": part, "n": 0}


class Array:
    """Compares like an array of numbers: element by element, never to one truth."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth of an array is ambiguous")

    def __hash__(self) -> int:
        raise TypeError("an array has no hash")


@pytest.mark.parametrize("start", [{"a": Array(1), "b": 0}, {"a": [Array(1)], "b": 0}], ids=["dict", "list"])
def test_values_that_cannot_be_compared_merge(start: Any) -> None:
    """A19."""
    one: AnyPlan = pure(lambda s: {**s, "a": Array(2)})
    two: AnyPlan = pure(lambda s: {**s, "b": 3})
    made = run(one & two, start).unwrap()
    assert (made["a"].value, made["b"]) == (2, 3)
    assert isinstance(run(one & one, start).failure(), MergeConflict)


def test_what_a_class_does_not_declare_is_merged_or_conflicts_but_is_not_lost() -> None:
    """R-P1."""
    extra: AnyPlan = pure(lambda m: m.model_copy(update={"more": 1}))
    two: AnyPlan = pure(lambda m: m.model_copy(update={"x": 2}))
    for plan in (extra & two, two & extra):
        outcome = run(plan, Open())
        if isinstance(outcome, Success):
            assert outcome.unwrap().model_dump() == {"x": 2, "more": 1}
        else:
            assert isinstance(outcome.failure(), MergeConflict)

    def private(m: Open) -> Open:
        made = m.model_copy()
        made._private = 7
        return made

    outcome = run(pure(private) & two, Open())
    assert isinstance(outcome, Failure) or (outcome.unwrap()._private, outcome.unwrap().x) == (7, 2)


def test_a_state_that_is_no_mapping_needs_a_join_or_is_a_fault() -> None:
    """A19."""
    row: list[AnyPlan] = [pure(lambda n: n + 1), pure(lambda n: n + 2)]
    assert run(parallel(*row, join=lambda fork, got: fork + sum(got)), 10) == Success(33)
    assert isinstance(run(parallel(*row), 10).failure(), MergeConflict)
    assert isinstance(run(parallel(*row), None).failure(), ActionFailed)


class Annotated_(pydantic.BaseModel):  # noqa: N801
    hits: Annotated[tuple[int, ...], Merges(concat)] = ()


def test_a_declared_merge_that_raises_is_a_fault_at_the_parallel() -> None:
    """R-E1."""
    plan: AnyPlan = pure(lambda m: m.model_copy(update={"hits": (1,)})) & pure(
        lambda m: m.model_copy(update={"hits": (2,)})
    )
    assert run(plan, Annotated_()).unwrap().hits == (1, 2)
    fault = run(pure(lambda m: m) >> plan, Annotated_(hits=(0,))).failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, ValueError)
    assert fault.at == (1,)


def _in_place(key: str) -> Any:
    def act(state: Any) -> Any:
        state["deep"]["list"].append(key)
        state[key] = True
        return state

    return act


@on_both
def test_a_branch_that_mutates_its_input_harms_no_sibling(on: Runner) -> None:
    """A20, R-P2: a list in a dict in a dict."""
    start = {"deep": {"list": [], "n": 0}}

    def reading(state: Any) -> Any:
        assert state == {"deep": {"list": [], "n": 0}}
        return state

    plan: AnyPlan = pure(_in_place("a")) & pure(reading)
    assert run(plan, start) == Success({"deep": {"list": ["a"], "n": 0}, "a": True})
    assert on(lambda: arun(plan, start)) == Success({"deep": {"list": ["a"], "n": 0}, "a": True})
    assert start == {"deep": {"list": [], "n": 0}}
    both = run(pure(_in_place("a")) & pure(_in_place("b")), start).failure()
    assert isinstance(both, MergeConflict)
    assert [getattr(step, "key", None) for step in both.path] == ["deep", "list"]


@pytest.mark.parametrize("kind", [Plain, Slotted, lambda: defaultdict(int, x=0), lambda: OrderedDict(x=0), Model])
def test_a_branch_that_mutates_a_mutable_state_harms_no_sibling(kind: Any) -> None:
    """A20, R-P2: classes that are not frozen, and kinds of dict."""

    def bump(state: Any) -> Any:
        if isinstance(state, dict):
            state["x"] += 1
        else:
            state.x += 1
        return state

    def reading(state: Any) -> Any:
        assert (state["x"] if isinstance(state, dict) else state.x) == 0
        return state

    start = kind()
    one = run(pure(bump) & pure(reading), start).unwrap()
    assert (one["x"] if isinstance(one, dict) else one.x) == 1
    assert (start["x"] if isinstance(start, dict) else start.x) == 0
    assert isinstance(run(pure(bump) & pure(bump), start).failure(), MergeConflict)


@on_both
def test_a_loser_s_mutation_does_not_reach_the_winner(on: Runner) -> None:
    """A20, R-P2."""

    @task
    async def loser(state: Any) -> Any:
        state.y = 99
        await anyio.sleep(1)
        return state

    plan: AnyPlan = parallel(loser, pure(lambda s: replace(s, x=5)), policy=FIRST_COMPLETED)
    assert on(lambda: arun(plan, Plain())) == Success(Plain(5, 0))


def test_a_state_that_shares_or_circles_is_walked_once() -> None:
    """R-P2."""

    @define(eq=False)
    class Node:
        parent: Any = None
        n: int = 0

    node = Node()
    node.parent = node
    both: AnyPlan = gather(pure(lambda s: s.n), pure(lambda s: s.n))
    assert run(both, node) == Success((0, 0))
    ring: list[Any] = [0]
    ring.append(ring)
    assert run(gather(pure(lambda s: s[0]), pure(lambda s: s[0])), ring) == Success((0, 0))
    shared: Any = (None, object())
    for _ in range(50):
        shared = (shared, shared)
    assert run(gather(pure(len), pure(len)), shared) == Success((2, 2))


@pytest.mark.parametrize("count", [60, pytest.param(5_000, marks=pytest.mark.sweep)])
def test_no_update_is_lost_silently(count: int) -> None:
    """R-P1: 2 to 64 branches write random keys of a nested state."""
    seed, start = random.randrange(10**9) if count > 60 else 3, time.monotonic()
    source, done = random.Random(seed), 0
    for _ in range(count):
        width, keys = source.randrange(2, 65), source.randrange(1, 80)
        writes = [(source.randrange(keys), object()) for _ in range(width)]
        place = source.choice(["top", "in"])

        def writing(key: int, value: object, place: str = place) -> AnyPlan:
            if place == "top":
                return pure(lambda s: {**s, key: value})
            return pure(lambda s: {**s, "in": {**s["in"], key: value}})

        outcome = run(parallel(*[writing(*w) for w in writes]), {"in": {}})
        distinct = len({key for key, _ in writes})
        if distinct == width:
            made = outcome.unwrap()
            assert all((made if place == "top" else made["in"])[key] is value for key, value in writes)
        else:
            assert isinstance(outcome.failure(), MergeConflict)
        done += 1
        if time.monotonic() - start > SWEEP_SECONDS:
            break
    print(f"{done} forks, seed {seed}, {time.monotonic() - start:.1f} s")


def test_a_negative_index_meets_every_index() -> None:
    """R-P1."""
    last, first = lens(tuple[int, ...], lambda t: t[-1]), lens(tuple[int, ...], lambda t: t[0])
    with pytest.raises(FootprintConflict):
        task(reads=(), writes=last)(lambda: 1) & task(reads=(), writes=first)(lambda: 2)
    assert footprint(task(reads=first, writes=last)(abs)).reads == frozenset({first.path})


def test_a_race_of_none_is_refused_and_a_quorum_is_counted() -> None:
    """A12, A38."""
    with pytest.raises(PlanError, match="at least one plan"):
        parallel(policy=Quorum(2))
    two: AnyPlan = parallel(pure(lambda n: n), fail_now(), pure(lambda n: n + 1), policy=Quorum(2), join=collect)
    assert run(two, 1) == Success((1, 2))
    short = run(parallel(fail_now(), pure(lambda n: n), policy=Quorum(2), join=collect), 1).failure()
    assert isinstance(short, TooFew)
    assert short.results == (1,)


def fail_now() -> AnyPlan:
    from lambdacat import Stopped

    return fail(Stopped(reason="no"))


@on_both
def test_what_is_chosen_or_mapped_inside_branches_keeps_order(on: Runner) -> None:
    """M04, M05, A25."""

    @task
    async def slower_first(n: int) -> int:
        await anyio.sleep(5 - n)
        return n * 10

    routed: AnyPlan = choose(lambda row: len(row), {3: focus(each, slower_first, limit=2)})
    assert on(lambda: arun(routed, (1, 2, 3))) == Success((10, 20, 30))
    assert on(lambda: arun(focus(each, slower_first), ())) == Success(())


def test_every_kind_of_collection_keeps_its_kind() -> None:
    """A28."""
    double: AnyPlan = focus(each, pure(lambda n: n * 2))
    for whole in ((1, 2), [1, 2], {"a": 1}, collections.deque([1, 2]), OrderedDict(a=1), Named(1, 2)):
        made = run(double, whole).unwrap()
        assert type(made) is type(whole)
        assert next(iter(made.values() if isinstance(made, dict) else made)) == 2


def test_each_over_text_does_not_make_other_text_of_it() -> None:
    """A28: letters joined again, or a fault; never the text of a tuple."""
    outcome = run(focus(each, pure(str.upper)), "abc")
    assert isinstance(outcome, Failure) or outcome.unwrap() == "ABC"
