"""What is written down of a run: spans, events, streams."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest

from lambdacat import (
    FIRST_COMPLETED,
    Context,
    Emitted,
    Ended,
    EventStream,
    Finished,
    Fixed,
    MemoryJournal,
    Plan,
    Retrying,
    Started,
    Trace,
    arun,
    atraced,
    gather,
    parallel,
    pure,
    run,
    sequence,
    stream,
    task,
    traced,
    when,
)
from lambdacat.testing import virtual_run

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@task
def up(n: int) -> int:
    return n + 1


@task
def fails(n: int) -> int:
    raise ValueError(n)


@task
async def long(n: int) -> int:
    await anyio.sleep(60)
    return n


PLAN: Plan[int, int] = (up >> when(lambda n: n > 0, up.retry(1), up)).named("count") >> gather(up, up) >> pure(sum)


def _events(plan: Plan[Any, Any], value: Any) -> list[Any]:
    seen: list[Any] = []
    run(plan, value, observers=[seen.append])
    return seen


def test_there_is_one_span_for_each_execution_of_a_node_nested_as_the_plan_is() -> None:
    """CASES A50."""
    spans = traced(PLAN)(1).log.spans
    assert [span.id for span in spans] == list(range(len(spans)))
    assert all(span.start <= span.end for span in spans)
    by_id = {span.id: span for span in spans}
    for span in spans:
        if span.parent is None:
            continue
        parent = by_id[span.parent]
        assert parent.start <= span.start
        assert span.end <= parent.end
        assert span.at[: len(parent.at)] == parent.at
    assert [span.name for span in spans] == [
        "sequence", "count", "sequence", "up", "when", "retry", "up", "gather", "up", "up", "sum",
    ]  # fmt: skip


def test_no_span_is_made_when_nobody_asks() -> None:
    """CASES A50."""
    from lambdacat.event import Span

    before = sum(isinstance(thing, Span) for thing in gc.get_objects())
    run(PLAN, 1)
    assert sum(isinstance(thing, Span) for thing in gc.get_objects()) == before


def test_a_failed_node_has_its_fault_and_so_have_the_nodes_around_it() -> None:
    """CASES A50."""
    spans = traced(up >> (fails | up))(1).log.spans
    assert [(span.name, span.status) for span in spans] == [
        ("sequence", "succeeded"), ("up", "succeeded"), ("or", "succeeded"), ("fails", "failed"), ("up", "succeeded"),
    ]  # fmt: skip
    assert [type(span.fault).__name__ for span in spans if span.status == "failed"] == ["ActionFailed"]


def test_attempts_are_counted_on_the_spans_of_a_retried_plan() -> None:
    spans = traced(fails.retry(2))(1).log.spans
    assert [(span.name, span.attempt) for span in spans] == [("retry", 1), ("fails", 1), ("fails", 2), ("fails", 3)]


def test_a_branch_that_a_decided_race_never_started_is_skipped() -> None:
    spans = traced(parallel(up, fails, policy=FIRST_COMPLETED))(1).log.spans
    assert [(span.name, span.status) for span in spans][1:] == [("up", "succeeded"), ("fails", "skipped")]


@BACKENDS
def test_a_loser_that_was_cancelled_says_so(backend: str) -> None:
    async def main() -> Trace:
        return (await atraced(parallel(long, up, policy=FIRST_COMPLETED))(1)).log

    spans = anyio.run(main, backend=backend).spans
    assert {span.name: span.status for span in spans}["long"] == "cancelled"


def test_a_run_is_traced_like_it_is_run() -> None:
    assert traced(PLAN)(1).value == run(PLAN, 1)


def test_traces_are_a_monoid() -> None:
    one, two, three = (traced(up)(n).log for n in (1, 2, 3))
    assert (one + two) + three == one + (two + three)
    assert Trace() + one == one == one + Trace()


def test_what_an_action_spends_stands_on_its_span() -> None:
    @task
    def spender(n: int, ctx: Context) -> int:
        ctx.spend(tokens=n, money=0.5)
        return n

    spans = traced(spender)(7).log.spans
    assert [(span.tokens, span.money) for span in spans] == [(7, 0.5)]


def test_every_event_comes_once_and_a_start_before_its_end() -> None:
    """CASES C13."""
    events = _events(PLAN, 1)
    assert isinstance(events[-1], Ended)
    started = [event.id for event in events if isinstance(event, Started)]
    finished = [event.id for event in events if isinstance(event, Finished)]
    assert Counter(started) == Counter(finished) == Counter(set(started))
    for id_ in started:
        order = [type(event).__name__ for event in events[:-1] if event.id == id_]
        assert order[0] == "Started"
        assert order[-1] == "Finished"


def test_events_and_spans_of_one_run_have_the_same_identities() -> None:
    events = [event for event in _events(PLAN, 1) if isinstance(event, Started)]
    spans = traced(PLAN)(1).log.spans
    assert [(event.id, event.parent, event.at) for event in events] == [(s.id, s.parent, s.at) for s in spans]


def test_a_retry_is_announced_with_its_delay() -> None:
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    seen: list[Any] = []
    run(fails.retry(Fixed(2.0).times(2)), 1, context=Context(clock=Clock()), observers=[seen.append])
    announced = [(event.attempt, event.delay, event.time) for event in seen if isinstance(event, Retrying)]
    assert announced == [(2, 2.0, 0.0), (3, 2.0, 2.0)]


@BACKENDS
def test_a_stream_ends_with_the_result_of_the_run(backend: str) -> None:
    async def main() -> list[Any]:
        async with stream(PLAN, 1) as events:
            return [event async for event in events]

    events = anyio.run(main, backend=backend)
    assert isinstance(events[-1], Ended)
    assert events[-1].result == run(PLAN, 1)


@BACKENDS
def test_chunks_of_an_async_generator_are_events_and_its_result_is_all_of_them(backend: str) -> None:
    @task
    async def tokens(n: int) -> Any:
        for i in range(n):
            yield i

    async def main() -> list[Any]:
        return [event async for event in stream(tokens, 3)]

    events = anyio.run(main, backend=backend)
    assert [event.chunk for event in events if isinstance(event, Emitted)] == [0, 1, 2]
    assert events[-1].result.unwrap() == (0, 1, 2)


def waiting(log: list[str]) -> Callable[[int], Any]:
    async def wait(n: int) -> int:
        log.append("started")
        try:
            await anyio.sleep(60)
        finally:
            log.append("cleaned up")
        return n

    return wait


def _leaver(how: str) -> Callable[[list[str]], Any]:
    async def main(log: list[str]) -> None:
        watched = task(waiting(log))
        if how == "block":
            async with stream(watched, 1) as events:
                async for _ in events:
                    await anyio.sleep(0.01)
                    break
            log.append("left")
        else:
            async for _ in stream(watched, 1):
                await anyio.sleep(0.01)
                break
            gc.collect()
            await anyio.sleep(0.01)
            log.append("left")

    return main


@BACKENDS
@pytest.mark.parametrize("how", ["block", "bare"])
def test_a_stream_that_is_left_early_leaves_no_task_behind(backend: str, how: str) -> None:
    """CASES C11."""
    log: list[str] = []
    anyio.run(_leaver(how), log, backend=backend)
    assert log == ["started", "cleaned up", "left"]


@BACKENDS
@pytest.mark.parametrize("how", ["break", "raise", "return", "drop the iterator"])
def test_a_stream_in_a_variable_is_cancelled_when_its_loop_is_left(backend: Any, how: str) -> None:
    """C11: whoever still holds the stream holds no run."""
    log: list[str] = []

    async def leave(events: EventStream[int]) -> None:
        if how == "drop the iterator":
            reader = aiter(events)
            await anext(reader)
            del reader
            return
        async for _ in events:
            await anyio.sleep(1)
            if how == "raise":
                raise KeyError("mine")
            if how == "return":
                return
            break

    async def main() -> tuple[list[str], float]:
        events = stream(task(waiting(log)), 1)
        with suppress(KeyError):
            await leave(events)
        start = anyio.current_time()
        await anyio.sleep(0.001)
        with pytest.raises(RuntimeError, match="left early, which cancelled its run; read it inside async with"):
            await anext(events)
        return log, anyio.current_time() - start

    ended, took = virtual_run(main, backend=backend)
    # One event after the other: when the first has been read, the action need not have begun.
    assert ended == ["started", "cleaned up"] or (how == "drop the iterator" and ended == [])
    assert took < 1


@BACKENDS
def test_inside_its_block_a_stream_may_be_read_in_several_loops(backend: Any) -> None:
    async def main() -> list[str]:
        names = []
        async with stream(up >> up, 1) as events:
            async for event in events:
                names.append(type(event).__name__)
                break
            await anyio.sleep(1)
            names.extend([type(event).__name__ async for event in events])
        return names

    names = virtual_run(main, backend=backend)
    assert names == [type(event).__name__ for event in _events(up >> up, 1)]


@BACKENDS
def test_observers_see_the_same_under_arun(backend: str) -> None:
    seen: list[Any] = []

    async def main() -> None:
        await arun(sequence(up, up), 1, observers=[seen.append])

    anyio.run(main, backend=backend)
    assert [type(event).__name__ for event in seen] == [type(event).__name__ for event in _events(sequence(up, up), 1)]


# --- observers that raise --------------------------------------------------------------------------------------------


class ObserverError(Exception):
    """What an observer of these tests raises."""


class Charges:
    """What was performed: how many actions began, and how many ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def task(self, name: str, *, fails: bool = False) -> Plan[int, int]:
        def act(n: int) -> int:
            self.begun += 1
            self.ended += 1
            if fails:
                raise ValueError(n)
            return n

        async def wait(n: int) -> int:
            self.begun += 1
            try:
                await anyio.sleep(1)
            finally:
                self.ended += 1
            return n

        return task(name=name, blocking="inline")(wait if name == "wait" else act)

    def plan(self, *, waiting: bool) -> Plan[int, int]:
        """A plan with everything that would hide a fault."""
        charge, beside = self.task("charge"), self.task("wait" if waiting else "beside")
        bad = self.task("bad", fails=True)
        guarded = gather(charge.retry(2), beside | pure(_zero)).map(sum).attempt().map(_value) | pure(_zero)
        return (guarded >> bad.retry(2).recover(lambda fault: charge)).timeout(60).named("all") >> charge


def _zero(_: object) -> int:
    return 0


def _is_action(event: Any) -> bool:
    return isinstance(event, Started) and event.name in ("charge", "beside", "wait", "bad")


def _value(outcome: Any) -> int:
    return int(outcome.unwrap())


def raising_at(index: int, seen: list[Any]) -> Callable[[Any], None]:
    """An observer that raises at its i-th event, and at each one after that if it is told of any."""

    def observer(event: Any) -> None:
        seen.append(event)
        if len(seen) > index:
            raise ObserverError(index)

    return observer


RUNS: dict[str, Callable[..., Any]] = {
    "run": run,
    "run with a journal": lambda plan, value, **given: run(plan, value, journal=MemoryJournal(), **given),
    "asyncio": lambda *given, **options: virtual_run(partial(arun, **options), *given),
    "trio": lambda *given, **options: virtual_run(partial(arun, **options), *given, backend="trio"),
    "asyncio with a journal": lambda *given, **options: virtual_run(
        partial(arun, journal=MemoryJournal(), **options), *given
    ),
}


@pytest.mark.parametrize("how", list(RUNS))
def test_an_observer_that_raises_ends_the_run_with_its_own_exception(how: str) -> None:
    """At every event: nothing is retried or recovered from, and whatever had begun has ended."""
    on, all_events = RUNS[how], list[Any]()
    waiting = not how.startswith("run")
    on(Charges().plan(waiting=waiting), 1, observers=[all_events.append])
    for index in range(len(all_events)):
        charges, seen, others = Charges(), list[Any](), list[Any]()
        with pytest.raises(ObserverError) as caught:
            on(charges.plan(waiting=waiting), 1, observers=[raising_at(index, seen), others.append])
        assert caught.value.args == (index,)
        assert len(seen) == index + 1
        assert charges.begun == charges.ended
        assert not any(isinstance(event, (Retrying, Ended)) for event in others[index + 1 :])
        # A branch beside it may begin in the same tick.
        assert charges.begun <= sum(map(_is_action, all_events[: index + 1])) + waiting


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("blocking", ["thread", "inline", None])
def test_an_observer_may_raise_at_output_wherever_that_comes_from(backend: Any, blocking: Any) -> None:
    """A50: a worker thread cannot be told; the run ends when its action is over, before anything else starts."""
    began: list[str] = []

    def say(n: int, ctx: Context) -> int:
        began.append("say")
        for chunk in range(3):
            ctx.emit(chunk)
        return n

    async def say_later(n: int, ctx: Context) -> int:
        return say(n, ctx)

    def observer(event: Any) -> None:
        if isinstance(event, Emitted):
            raise ObserverError(event.chunk)

    talk: Plan[int, int] = task(blocking=blocking)(say) if blocking else task(say_later)
    after: Plan[int, int] = pure(lambda n: len([began.append("after")]))  # type: ignore[func-returns-value]
    plan = gather((talk.retry(2) | after) >> after, pure(_zero))

    async def main() -> None:
        await arun(plan, 1, observers=[observer])

    with pytest.raises(ObserverError, match="0"):
        anyio.run(main, backend=backend)
    assert began == ["say"]
