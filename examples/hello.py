"""Two steps side by side, then one on both results: the first plan, in one thread.

Output:

    Hello, Ada! (3 letters)
"""

from attrs import frozen

from lambdacat import Failure, Success, lens, run, task


@frozen
class Greeting:
    """What the plan knows: one field for each step to fill."""

    name: str
    words: str = ""
    letters: int = 0
    text: str = ""


NAME = lens(Greeting, lambda g: g.name)
WORDS = lens(Greeting, lambda g: g.words)
LETTERS = lens(Greeting, lambda g: g.letters)
TEXT = lens(Greeting, lambda g: g.text)


@task(reads=NAME, writes=WORDS)
def greet(name: str) -> str:
    """A plain function of a value: ``greet.action("Ada")`` calls it, with no framework."""
    return f"Hello, {name}!"


@task(reads=NAME, writes=LETTERS)
def count(name: str) -> int:
    """The letters of a name."""
    return len(name)


@task(reads=(WORDS, LETTERS), writes=TEXT)
def combine(words: str, letters: int) -> str:
    """Both results in one line."""
    return f"{words} ({letters} letters)"


hello = (greet & count) >> combine


def main() -> None:
    """Run the plan on a value and look at its outcome."""
    match run(hello, Greeting("Ada")):
        case Success(state):
            print(state.text)
        case Failure(fault):
            print(fault)


if __name__ == "__main__":
    main()
