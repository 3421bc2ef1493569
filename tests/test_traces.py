"""What is written down of a run: spans, events, streams."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from lambdacat import (
    FIRST_COMPLETED,
    Context,
    Emitted,
    Ended,
    Finished,
    Fixed,
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

    seen: list[Any] = []
    run(spender, 7, observers=[seen.append])
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


def _leaver(how: str) -> Callable[[list[str]], Any]:
    async def main(log: list[str]) -> None:
        @task
        async def watched(n: int) -> int:
            log.append("started")
            try:
                await anyio.sleep(60)
            finally:
                log.append("cleaned up")
            return n

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
def test_observers_see_the_same_under_arun(backend: str) -> None:
    seen: list[Any] = []

    async def main() -> None:
        await arun(sequence(up, up), 1, observers=[seen.append])

    anyio.run(main, backend=backend)
    assert [type(event).__name__ for event in seen] == [type(event).__name__ for event in _events(sequence(up, up), 1)]
