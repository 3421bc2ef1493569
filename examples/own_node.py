"""A node of your own: it says what it stands for, and its name shows in faults, traces and drawings.

Output:

    verdict: 4
    majority
    └─ sequence of 2
       ├─ parallel: all 3, joined by collect
       │  ├─ len
       │  ├─ int
       │  └─ always_four
       └─ most_common
    traced: majority, sequence, gather, len, int, always_four, most_common
    fault at: majority > 0 > 1
"""

from collections import Counter

from attrs import frozen

from lambdacat import Composite, Plan, gather, pure, render, run, task, traced


@frozen(eq=False, repr=False)  # a plan compares and prints by its parts
class Majority(Composite[str, int]):
    """What most of the voters say."""

    voters: tuple[Plan[str, int], ...]

    def expand(self) -> Plan[str, int]:
        """What the node stands for, in nodes that there are."""
        return gather(*self.voters) >> pure(most_common)


def most_common(votes: tuple[int, ...]) -> int:
    """The vote that was cast most often."""
    return Counter(votes).most_common(1)[0][0]


@task
def always_four(text: str) -> int:
    """A juror with a fixed idea."""
    return 4


jury = Majority((task(len), task(int), always_four))


def main() -> None:
    """The name in a result, a drawing, a trace and a fault."""
    verdict = traced(jury)("1234")
    print("verdict:", verdict.value.unwrap())
    print(render(jury), end="")
    print("traced:", ", ".join(span.name for span in verdict.log.spans))
    print("fault at:", " > ".join(map(str, run(jury, "four").failure().at)))


if __name__ == "__main__":
    main()
