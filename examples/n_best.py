"""Write four drafts side by side, keep the two best, and say why when there are too few.

Output:

    0.9  a poem about tides, in ballad metre
    0.6  a poem about tides, in free verse
    TooFew: best 2 wants 2 successes and has 1 (1 failed)
"""

import asyncio

from attrs import frozen

from lambdacat import Failure, NBest, Plan, Success, arun, collect, lens, parallel, task


@frozen
class Draft:
    """A text and how good it is."""

    text: str
    score: float


SCORE = lens(Draft, lambda draft: draft.score)


def writer(form: str, score: float) -> Plan[str, Draft]:
    """A step for one form of verse."""

    async def write(subject: str) -> Draft:
        await asyncio.sleep(0.001)
        if score == 0:
            raise ValueError(f"nothing comes to mind in {form}")
        return Draft(f"a poem about {subject}, in {form}", score)

    return task(name=form)(write)


limerick, haiku = writer("limerick", 0.0), writer("haiku", 0.3)
verse, ballad = writer("free verse", 0.6), writer("ballad metre", 0.9)

best_two = parallel(limerick, haiku, verse, ballad, policy=NBest(2, by=SCORE), join=collect)
too_few = parallel(limerick, haiku, policy=NBest(2, by=SCORE), join=collect)


async def show(plan: Plan[str, tuple[Draft, ...]]) -> None:
    """The drafts in the order of their scores, or the first line of the fault."""
    match await arun(plan, "tides"):
        case Success(drafts):
            for draft in drafts:
                print(f"{draft.score:.1f}  {draft.text}")
        case Failure(fault):
            print(str(fault).splitlines()[0])


def main() -> None:
    """One race that has enough successes, one that has not."""
    asyncio.run(show(best_two))
    asyncio.run(show(too_few))


if __name__ == "__main__":
    main()
