"""Mistakes with limiters, guards and budgets: every marked line must be an error, and no other line."""

from lambdacat import Budget, task
from lambdacat.guard import Breaker, Concurrency, Keyed, Rate


@task
def load(path: str) -> list[str]:
    return path.split()


class Lock:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


bare_lock = load.limited(Lock())  # MISTAKE: a lock is not a limiter
number_limit = load.limited(3)  # MISTAKE: a number is not a limiter
a_class = load.limited(Rate)  # MISTAKE: a rate is made, with how often
a_turn = load.limited(Rate(3).turn())  # MISTAKE: a turn is not a limiter
text_rate = Rate("10/s")  # MISTAKE: a rate is a number
part_of_a_burst = Rate(10, burst=0.5)  # MISTAKE: a burst is whole
half_a_plan = Concurrency(1.5)  # MISTAKE: how many is whole
no_number = Concurrency()  # MISTAKE: how many must be said


@task
def parse(text: str) -> int:
    return int(text)


class Shelf:
    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None: ...


by_number: Keyed[int] = Keyed(lambda n: n, lambda n: Rate(1))

misspelt_budget = load.within(Budget(token=8_000))  # MISTAKE: misspelt cap
number_budget = load.within(8_000)  # MISTAKE: a number is not a budget
no_store = parse.cached(seconds=60)  # MISTAKE: where the results are kept must be said
dict_store = parse.cached({})  # MISTAKE: a dict is not a store
wrong_cache_key = parse.cached(Shelf(), key=lambda text: [text])  # MISTAKE: a list cannot be a key
rate_guard = parse.guarded(Rate(3))  # MISTAKE: a limiter hears nothing
half_a_failure = Breaker(1.5)  # MISTAKE: how many is whole
other_key = parse.limited(by_number)  # MISTAKE: its key is asked of a number, and the plan is given text
number_of_retries = parse.retry(3, budget=10)  # MISTAKE: a number is not a budget of retries
