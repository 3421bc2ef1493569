"""Programs with limiters, guards and budgets that must type-check exactly as written, as in ``good.py``. Checked, never run."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from attrs import frozen

from typing_extensions import assert_type

from lambdacat import (
    Budget,
    BudgetExceeded,
    Context,
    Estimate,
    Failure,
    Fault,
    Fixed,
    Guard,
    Limiter,
    Outcome,
    Plan,
    Refused,
    Store,
    each,
    lens,
    run,
    task,
)
from lambdacat.guard import Breaker, Concurrency, Keyed, Rate, Retries


@task
def words(text: str) -> list[str]:
    return text.split()


class OneByOne:
    """Users may bring their own limiter."""

    name = "one by one"

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        yield


class Spaced:
    def __init__(self, name: str, lock: AbstractAsyncContextManager[None]) -> None:
        self.name = name
        self.lock = lock

    def turn(self) -> AbstractAsyncContextManager[None]:
        return self.lock


one_by_one: Limiter = OneByOne()
rate: Limiter = Rate(10, 60.0, burst=3, name="the weather service")
three: Limiter = Concurrency(3)
pipeline = words.map(len)

assert_type(pipeline.limited(OneByOne()).limited(one_by_one), Plan[str, int])
assert_type(pipeline.limited(Rate(10)).limited(Concurrency(3, name="cores")), Plan[str, int])
assert_type(words.limited(rate).map(len), Plan[str, int])


def spaced(lock: AbstractAsyncContextManager[None]) -> Plan[str, int]:
    return pipeline.limited(Spaced("spaced", lock))


def who_refused(text: str) -> str:
    match run(pipeline.limited(three), text).failure():
        case Refused(by=by):
            return by
        case fault:
            return fault.name


class Shelf:
    """Users may bring their own store."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.kept[key] = value


class Mood:
    """Users may bring their own guard."""

    name = "mood"

    def turn(self) -> "Whim":
        return Whim()


class Whim:
    def told(self, fault: Fault | None) -> None: ...
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


shelf: Store = Shelf()
mood: Guard = Mood()
breaker: Guard = Breaker(3, seconds=10.0, on=(Refused, OSError))
by_length: Keyed[str] = Keyed(lambda text: len(text), lambda length: Rate(2), most=10)


@frozen
class Batch:
    texts: tuple[str, ...] = ()
    counts: tuple[Outcome[int], ...] = ()


TEXTS = lens(Batch, lambda b: b.texts)
COUNTS = lens(Batch, lambda b: b.counts)

assert_type(pipeline.within(Budget(tokens=8_000, money=0.5)), Plan[str, int])
assert_type(pipeline.within(Budget(seconds=60, unknown=Estimate(tokens=(0, 100)))), Plan[str, int])
assert_type(pipeline.guarded(mood).guarded(breaker), Plan[str, int])
assert_type(pipeline.limited(by_length), Plan[str, int])
assert_type(pipeline.limited(Concurrency.adaptive(1, 10)), Plan[str, int])
assert_type(pipeline.retry(Fixed(1.0).times(3), budget=Retries(0.2)), Plan[str, int])
assert_type(pipeline.cached(Shelf(), key=lambda text: text.lower(), seconds=60), Plan[str, int])
assert_type(pipeline.cached(shelf), Plan[str, int])
careful = pipeline.cached(shelf).limited(one_by_one).attempt().between(TEXTS >> each, COUNTS, limit=4)
assert_type(careful.within(Budget(calls=100)), Plan[Batch, Batch])


@task(estimate=Estimate(reserves=True))
def ask(text: str, context: Context) -> str:
    context.reserve(tokens=len(text))
    context.spend(tokens=len(text), money=0.01)
    return f"{context.left.tokens:g}"


def out_of(outcome: Outcome[str]) -> str:
    match outcome:
        case Failure(BudgetExceeded(measure=measure, left=left)):
            return f"{left:g} {measure} left"
        case _:
            return ""
