"""What ``lambdacat.testing`` gives users: virtual time, stand-ins, stubs and shrinking."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
import trio
import trio.testing
from anyio import to_thread

from lambdacat import (
    Context,
    Failure,
    Fixed,
    Plan,
    PlanError,
    Stopped,
    Success,
    TimedOut,
    arun,
    choose,
    fail,
    focus,
    identity,
    parallel,
    pure,
    run,
    sequence,
    task,
    when,
)
from lambdacat.structure import nodes
from lambdacat.testing import (
    Deadlock,
    Recorder,
    VirtualClock,
    awake,
    fails,
    shrink,
    slow,
    stub,
    virtual_asyncio_run,
    virtual_run,
    virtual_trio_run,
)
from lambdacat.testing.actions import Refusal, bump_left, refuse
from lambdacat.testing.sample import LEFT, POINT, RIGHT, Sample, X

# --- virtual time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sleeping_takes_no_time(backend: Any) -> None:
    async def nap() -> float:
        start = anyio.current_time()
        await anyio.sleep(3 * 3600)
        return anyio.current_time() - start

    began = time.perf_counter()
    assert virtual_run(nap, backend=backend) == 3 * 3600
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("virtual", [virtual_asyncio_run, virtual_trio_run])
def test_timers_fire_in_order_at_their_exact_times(virtual: Any) -> None:
    async def race() -> list[tuple[str, float]]:
        seen, start = [], anyio.current_time()

        async def nap(name: str, seconds: float) -> None:
            await anyio.sleep(seconds)
            seen.append((name, anyio.current_time() - start))

        async with anyio.create_task_group() as group:
            for name, seconds in (("c", 3e6), ("a", 0.25), ("b", 7.5)):
                group.start_soon(nap, name, seconds)
        return seen

    assert virtual(race) == [("a", 0.25), ("b", 7.5), ("c", 3e6)]


def test_timeouts_of_a_plan_pass_in_virtual_time() -> None:
    late: Plan[int, int] = task(slow(lambda n: n, seconds=100.0))
    outcome = virtual_asyncio_run(arun, late.timeout(5), 1)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.failure(), TimedOut)
    assert virtual_asyncio_run(arun, late.timeout(101), 1) == Success(1)


def test_an_error_comes_out_as_itself() -> None:
    async def broken() -> None:
        await asyncio.sleep(1)
        raise Refusal("no")

    with pytest.raises(Refusal, match="no"):
        virtual_asyncio_run(broken)


virtual_both = pytest.mark.parametrize("virtual", [virtual_asyncio_run, virtual_trio_run])


@virtual_both
def test_a_deadlock_is_reported_with_who_waits(virtual: Any) -> None:
    cleaned: list[str] = []

    async def forgotten() -> None:
        try:
            await anyio.Event().wait()
        finally:
            cleaned.append("up")

    async def main() -> None:
        await anyio.sleep(3600)
        if virtual is virtual_asyncio_run:
            await asyncio.create_task(forgotten(), name="the forgotten one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forgotten, name="the forgotten one")

    with pytest.raises(Deadlock, match=r"(?s)nothing will wake them.*the forgotten one in .*test_testing\.py:\d+"):
        virtual(main)
    assert cleaned == ["up"]


@virtual_both
def test_a_deadlock_behind_a_shield_ends_as_well(virtual: Any) -> None:
    async def main() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.Event().wait()

    with pytest.raises(Deadlock, match="nothing will wake them"):
        virtual(main)


@virtual_both
def test_a_plan_that_waits_for_what_never_comes_is_a_deadlock(virtual: Any) -> None:
    @task
    async def waits(n: int) -> int:
        await anyio.Event().wait()
        return n

    with pytest.raises(Deadlock, match="nothing will wake them"):
        virtual(arun, parallel(waits, waits), 1)


@virtual_both
@pytest.mark.parametrize("abandon", [False, True], ids=["waited for", "left behind"])
def test_what_a_thread_will_wake_is_no_deadlock(virtual: Any, abandon: bool) -> None:
    async def main() -> str:
        woken, begun = anyio.Event(), anyio.Event()
        token = anyio.lowlevel.current_token()

        def work() -> None:
            anyio.from_thread.run_sync(begun.set, token=token)
            time.sleep(0.2)
            anyio.from_thread.run_sync(woken.set, token=token)

        async with anyio.create_task_group() as group:
            group.start_soon(partial(to_thread.run_sync, work, abandon_on_cancel=True))
            await begun.wait()
            if abandon:
                group.cancel_scope.cancel()
        await woken.wait()
        return "woken"

    assert virtual(main) == "woken"


@virtual_both
def test_what_a_socket_will_wake_is_no_deadlock(virtual: Any) -> None:
    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            ours.send(b"here")
            await anyio.wait_readable(theirs)
            return theirs.recv(4)

    assert virtual(main) == b"here"


def test_a_task_of_trio_that_waits_for_the_others_is_no_deadlock() -> None:
    async def main() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
        return "went on"

    assert virtual_trio_run(main) == "went on"


@pytest.mark.parametrize("in_thread", [to_thread.run_sync, asyncio.to_thread])
def test_time_stands_still_while_a_thread_works(in_thread: Any) -> None:
    # The thread goes on only when the loop waits for it, which it must not do by jumping to the hour.
    waits = threading.Event()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        late = loop.call_later(3600, lambda: None)
        asyncio.get_running_loop().call_soon(waits.set)
        await in_thread(waits.wait)
        late.cancel()
        return loop.time()

    assert virtual_asyncio_run(main) == 0.0


def test_a_lone_thread_is_no_deadlock() -> None:
    async def main() -> int:
        return await asyncio.to_thread(sum, range(100_000))

    assert virtual_asyncio_run(main) == sum(range(100_000))


async def order_of(names: str) -> str:
    seen: list[str] = []

    async def say(name: str) -> None:
        for _ in range(2):
            await asyncio.sleep(0)
            seen.append(name)

    await asyncio.gather(*(say(name) for name in names))
    return "".join(seen)


def test_a_seed_gives_one_order_and_seeds_give_many() -> None:
    orders = [virtual_asyncio_run(order_of, "abcdef", seed=n) for n in range(200)]
    assert orders == [virtual_asyncio_run(order_of, "abcdef", seed=n) for n in range(200)]
    assert len(set(orders)) >= 190
    assert virtual_asyncio_run(order_of, "abcdef") == "abcdefabcdef"


@pytest.mark.sweep
def test_a_thousand_seeds_replay(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    orders = [virtual_asyncio_run(order_of, "abcdef", seed=n) for n in range(1000)]
    assert orders == [virtual_asyncio_run(order_of, "abcdef", seed=n) for n in range(1000)]
    assert len(set(orders)) >= 950
    with capsys.disabled():
        print(f"\n1000 seeds, replayed: {time.perf_counter() - began:.1f} s, {len(set(orders))} orders", end="")


def test_a_clock_for_run_moves_when_slept_on(virtual_clock: VirtualClock) -> None:
    flaky: Plan[str, str] = task(name="flaky")(fails(2, ValueError("busy")))
    plan = flaky.retry(Fixed(60.0).times(3))
    assert run(plan, "a", context=Context(clock=virtual_clock)) == Success("a")
    assert virtual_clock() == 120.0


def test_a_test_on_virtual_time_is_one_for_each_loop(
    virtual_loop: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    @task
    async def nap(n: int) -> str:
        await anyio.sleep(3600)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "trio"
        return "asyncio"

    assert virtual_loop(arun, nap, 1) == Success(request.node.callspec.params["virtual_loop"])


def test_virtual_time_stands_still_while_a_thread_works(virtual_loop: Callable[..., Any]) -> None:
    async def main() -> tuple[float, bool, float]:
        begin = anyio.current_time()
        with anyio.move_on_after(1) as scope:
            await to_thread.run_sync(time.sleep, 0.05)
        worked = anyio.current_time() - begin
        await anyio.sleep(3600)
        return worked, scope.cancelled_caught, anyio.current_time() - begin

    assert virtual_loop(main) == (0.0, False, 3600.0)


def test_a_clock_makes_deadlines_of_run_pass(virtual_clock: VirtualClock) -> None:
    @task
    def nap(n: int) -> int:
        virtual_clock.sleep(10)
        return n

    outcome = run((nap >> nap).timeout(15), 1, context=Context(clock=virtual_clock))
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.failure(), TimedOut)


def test_a_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="seconds is a number of seconds, finite and not negative, not -1"):
        VirtualClock().sleep(-1)


# --- stand-ins -------------------------------------------------------------------------------------------------------


def test_a_recorder_knows_calls_in_order() -> None:
    recorder = Recorder()
    plan = recorder.task("read", reads=(LEFT, RIGHT), writes=()) >> recorder.task("bump", bump_left)
    assert run(plan, Sample(left=1, right=2)) == Success(Sample(left=2, right=2))
    assert [(call.name, call.given) for call in recorder.calls] == [
        ("read", (1, 2)),
        ("bump", (Sample(left=1, right=2),)),
    ]


def test_a_recorder_shows_which_branch_did_not_run() -> None:
    recorder = Recorder()
    plan = choose(lambda n: n, {0: recorder.task("zero"), 1: recorder.task("one")})
    assert run(plan, 1) == Success(1)
    assert recorder.names == ("one",)


def test_a_recorder_of_async_actions_runs_concurrently() -> None:
    recorder = Recorder()
    naps = [recorder.task(f"nap {n}", slow(lambda s: s, seconds=9.0 - n), blocking="inline") for n in range(3)]
    assert virtual_asyncio_run(arun, reduce(lambda p, q: p & q, naps), Sample()) == Success(Sample())
    assert recorder.names == ("nap 0", "nap 1", "nap 2")


def test_what_fails_twice_needs_two_retries() -> None:
    for retries, succeeds in ((1, False), (2, True)):
        plan: Plan[int, int] = task(name="flaky")(fails(2, ValueError("busy")))
        assert isinstance(run(plan.retry(retries), 1), Success) is succeeds


def test_awake_is_the_same_plan_without_the_waiting() -> None:
    @task(reads=LEFT, writes=RIGHT)
    def copy(n: int) -> int:
        return n

    waiting = copy >> task(name="late")(slow(bump_left, seconds=5.0))
    assert run(awake(waiting), Sample(left=1)) == virtual_asyncio_run(arun, waiting, Sample(left=1))


# --- stubs -----------------------------------------------------------------------------------------------------------


@task(reads=LEFT, writes=RIGHT)
async def call_service(n: int) -> int:
    raise OSError("no network here")


@task(timeout=5)
def call_model(state: Sample) -> Sample:
    raise OSError("no model here")


def test_a_stub_keeps_the_lenses_of_what_it_replaces() -> None:
    assert run(stub(call_service, {"call_service": 7}), Sample(left=1)) == Success(Sample(left=1, right=7))


def test_a_stub_may_be_a_function_sync_or_async() -> None:
    async def doubled(n: int) -> int:
        return 2 * n

    for answer in (doubled, lambda n: 2 * n):
        assert run(stub(call_service, {"call_service": answer}), Sample(left=4)) == Success(Sample(left=4, right=8))


def test_a_stub_reaches_every_task_of_the_name_and_no_other() -> None:
    plan = when(LEFT.where(bool), call_service >> call_model, otherwise=call_service)
    stubbed = stub(plan, {"call_service": 3})
    assert run(stubbed, Sample()) == Success(Sample(right=3))
    outcome = run(stubbed, Sample(left=1))
    assert isinstance(outcome, Failure)
    assert outcome.failure().name == "call_model"


def test_a_stub_without_answers_is_the_plan() -> None:
    plan = call_service >> call_model
    assert stub(plan, {}) == plan
    assert stub(plan, {"call_model": 1}) == stub(plan, {"call_model": 1}) != plan


def test_an_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(PlanError, match=r"no task 'call_servce'; did you mean 'call_service'\?"):
        stub(call_service >> call_model, {"call_servce": 1})
    with pytest.raises(PlanError, match=r"it has no tasks"):
        stub(identity, {"zzz": 1})


@pytest.mark.parametrize("n", [10_000, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_a_plan_of_any_depth_can_be_stubbed(n: int) -> None:
    deep: Plan[Sample, Any] = call_service
    for _ in range(n):
        deep = deep.attempt()
    assert stub(deep, {"call_service": 1}) != deep


# --- shrinking -------------------------------------------------------------------------------------------------------

BUMP: Plan[Sample, Sample] = task(name="bump")(bump_left)
REFUSE: Plan[Sample, Sample] = task(name="refuse")(refuse)


def refuses(plan: Plan[Any, Any], value: Any) -> bool:
    outcome = run(plan, value)
    return isinstance(outcome, Failure) and isinstance(getattr(outcome.failure(), "error", None), Refusal)


def test_a_failing_step_is_all_that_is_left() -> None:
    around = sequence(BUMP, when(LEFT.where(bool), BUMP >> REFUSE >> BUMP, otherwise=BUMP), BUMP)
    assert shrink(around & pure(lambda s: s), Sample(), refuses) == REFUSE


def test_what_is_needed_stays() -> None:
    # It refuses on its second call only, so two steps are the least.
    def refuses_later(plan: Plan[Any, Any], value: Any) -> bool:
        return sum(node.name == "bump" for node in nodes(plan)) >= 2

    plan = parallel(BUMP >> BUMP, identity, join=lambda fork, results: fork).retry(2) | BUMP
    least = shrink(plan, Sample(), refuses_later)
    assert refuses_later(least, Sample())
    assert sum(1 for _ in nodes(least)) == 3


def test_shrinking_goes_into_parts_only_when_that_still_fails() -> None:
    inner = focus(X, pure(lambda n: n // 0))
    least = shrink(BUMP >> focus(POINT, inner) >> BUMP, Sample(), lambda p, v: "ZeroDivision" in str(run(p, v)))
    assert [type(node).__name__ for node in nodes(least)] == ["Focus", "Pure"]


def test_branches_and_choices_lose_what_is_not_needed() -> None:
    wide = choose(lambda s: s.left, dict.fromkeys(range(20), BUMP), default=fail(Stopped(reason="lost")))
    least = shrink(wide, Sample(left=99), lambda p, v: "lost" in str(run(p, v)))
    assert least == fail(Stopped(reason="lost"))


def test_a_plan_that_does_not_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="shrink wants a plan that fails, and bump does not"):
        shrink(BUMP, Sample(), refuses)


def test_a_deep_and_a_long_plan_shrink() -> None:
    deep: Plan[Sample, Sample] = REFUSE
    for _ in range(20_000):
        deep = deep.recover(lambda fault: fail(fault)).named("around")
    long = sequence(*[BUMP] * 3000, REFUSE, *[BUMP] * 3000)
    assert shrink(deep, Sample(), refuses) == REFUSE
    assert shrink(long, Sample(), refuses) == REFUSE
