"""Calls that cost money: a budget that holds for all branches, and what is known of it before the run.

Output:

    before: up to 60 tokens in 6 calls
    3 summaries; the others:
    BudgetExceeded: summarise was not started: it may need 10 tokens, and 0 of 30 are left
    spent: 24 of 30 tokens
"""

import asyncio

from lambdacat import Budget, Context, Estimate, Failure, Success, arun, collect, dry_run, parallel, task

spent = 0


@task(estimate=Estimate(seconds=(0.01, 0.02), tokens=(1, 10), money=(0, 0)))
async def summarise(text: str, context: Context) -> str:
    """A model's work: at most ten tokens are reserved, and what it really used is charged."""
    global spent
    await asyncio.sleep(0.01)
    spent += len(text)
    context.spend(tokens=len(text))
    return text[:4]


every = parallel(*[summarise.attempt()] * 6, join=collect)


def main() -> None:
    """Six branches side by side may want sixty tokens, and thirty are there."""
    cost = dry_run(every)
    print(f"before: up to {cost.tokens[1]:g} tokens in {cost.calls[1]:g} calls")
    outcomes = asyncio.run(arun(every.within(Budget(tokens=30)), "8 tokens")).unwrap()
    print(f"{sum(isinstance(one, Success) for one in outcomes)} summaries; the others:")
    for said in {str(one.failure()).splitlines()[0] for one in outcomes if isinstance(one, Failure)}:
        print(said)
    print(f"spent: {spent} of 30 tokens")


if __name__ == "__main__":
    main()
