"""Every way a plan with uncertain actions may end: the same plan, under the List monad.

Output:

    lost, lost, given up
    lost, delivered, receipt
    lost, delivered, no receipt
    delivered, receipt
    delivered, no receipt
"""

from typing import Any

from attrs import evolve

from lambdacat import Failure, Success, interpret, loop_while, task
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
    """Five stories; in one of them the loop uses up its turns, and its fault has the last value."""
    for outcome in interpret(deliver, EVERY)(()):
        match outcome:
            case Success(story):
                print(*story, sep=", ")
            case Failure(fault):
                print(*fault.value, "given up", sep=", ")


if __name__ == "__main__":
    main()
