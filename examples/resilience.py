"""Retry what may pass, bound what may hang, and say what to do instead.

Output:

    attempt 1
    attempt 2
    attempt 3
    fresh price: 42
    cached price: 40
    no price: hang timed out after 0.02 s
"""

import asyncio

from lambdacat import ActionFailed, Context, Exponential, Fault, Plan, TimedOut, arun, fail, pure, task, value_or_raise


@task
async def fetch(symbol: str, context: Context) -> str:
    """A service that answers at the third attempt."""
    print(f"attempt {context.attempt}")
    if context.attempt < 3:
        raise ConnectionError("not yet")
    return "fresh price: 42"


@task
async def hang(symbol: str) -> str:
    """A service that accepts the call and never answers."""
    await asyncio.sleep(60)
    return "too late"


@task
async def refuse(symbol: str) -> str:
    """A service that is down for good."""
    raise ConnectionError("down")


def instead(fault: Fault) -> Plan[str, str]:
    """What to do depends on the fault: look at it, and give a plan."""
    match fault:
        case ActionFailed(error=ConnectionError()):
            return pure(lambda symbol: "cached price: 40")
        case TimedOut(name=name, seconds=seconds):
            return pure(lambda symbol: f"no price: {name} timed out after {seconds:g} s")
        case _:
            return fail(fault)


patient = fetch.retry(Exponential(first=0.005, cap=0.02).times(4), on=ConnectionError).timeout(1)
bounded = task(name="hang", timeout=0.02)(hang.action)


async def ask_all() -> None:
    """Three services, one after the other."""
    for plan in (patient, refuse.retry(1), bounded):
        print(value_or_raise(await arun(plan.recover(instead), "ACME")))


def main() -> None:
    """Nothing here raises: each run has an outcome."""
    asyncio.run(ask_all())


if __name__ == "__main__":
    main()
