"""Mistakes with limiters: every marked line must be an error, and no other line."""

from lambdacat import task
from lambdacat.guard import Concurrency, Rate


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
