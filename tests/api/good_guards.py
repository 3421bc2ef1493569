"""Programs with limiters that must type-check exactly as written, as in ``good.py``. Checked, never run."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from typing_extensions import assert_type

from lambdacat import Limiter, Plan, Refused, run, task
from lambdacat.guard import Concurrency, Rate


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

