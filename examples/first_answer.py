"""Ask three mirrors at once; the first to succeed wins, and the others have cleaned up before the race returns.

Output:

    east: refused
    west: connected
    far: cancelled
    far: disconnected
    after the race: west says 42
"""

import asyncio

from lambdacat import FIRST_COMPLETED, arun, parallel, task, value_or_raise


@task
async def east(question: str) -> str:
    """A mirror that is down: its fault is set aside while others may still succeed."""
    print("east: refused")
    raise ConnectionError("refused")


@task
async def west(question: str) -> str:
    """A mirror that is quick."""
    await asyncio.sleep(0.01)
    print("west: connected")
    return "west says 42"


@task
async def far(question: str) -> str:
    """A mirror that is slow, and has something to clean up."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("far: cancelled")
        raise
    finally:
        await asyncio.sleep(0.01)
        print("far: disconnected")
    return "far says 42"


race = parallel(east, west, far, policy=FIRST_COMPLETED)


def main() -> None:
    """The loser is never left behind."""
    print("after the race:", value_or_raise(asyncio.run(arun(race, "what is the answer?"))))


if __name__ == "__main__":
    main()
