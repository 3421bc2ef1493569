"""Every way a plan with uncertain actions may end: the same plan, under the List monad.

Output:

    given up at ('lost', 'lost')
    lost, delivered, receipt
    lost, delivered, no receipt
    delivered, receipt
    delivered, no receipt
"""

from typing import Any

from attrs import evolve

from lambdacat import Failure, Outcome, Success, interpret, loop_while, task
from lambdacat.effects.records import LIST

Story = tuple[str, ...]
EVERY = evolve(LIST, perform=lambda action, value: action(value))  # an action gives the list of what may happen


@task
def send(story: Story) -> Any:
    """Lost, or delivered."""
    return [(*story, "lost"), (*story, "delivered")]


@task
def confirm(story: Story) -> Any:
    """Once delivered, the receipt may get lost as well."""
    return [(*story, "receipt"), (*story, "no receipt")]


deliver = loop_while(lambda story: "delivered" not in story, send, at_most=2) >> confirm


def main() -> None:
    """Five stories; in one of them the loop uses up its turns."""
    outcomes: list[Outcome[Story]] = interpret(deliver, EVERY)(())
    for outcome in outcomes:
        match outcome:
            case Success(story):
                print(*story, sep=", ")
            case Failure(fault):
                print("given up at", fault.last)


if __name__ == "__main__":
    main()
