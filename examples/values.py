"""No state class and no lens: each step takes what the step before it gave.

Output:

    'question' is the longest of 6 words
    8 letters, first one a vowel: False
    no words at all: nothing to count
"""

from lambdacat import Plan, gather, pure, run, task


@task
def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@task
def longest(found: list[str]) -> str:
    """The longest word. Raises ``ValueError`` when there is none."""
    return max(found, key=len)


def sentence(parts: tuple[str, int]) -> str:
    """Both results of ``gather`` as a line."""
    return f"{parts[0]!r} is the longest of {parts[1]} words"


def letters(word: str) -> str:
    """Two facts about a word."""
    return f"{len(word)} letters, first one a vowel: {word[0] in 'aeiou'}"


report: Plan[str, str] = words >> gather(longest, task(len)) >> pure(sentence)
facts: Plan[str, str] = (words >> longest).map(letters)
safe = facts | pure(lambda text: "no words at all: nothing to count")


def main() -> None:
    """Three runs, each a value in and a value out."""
    text = "to be or not the question"
    print(run(report, text).unwrap())
    print(run(facts, text).unwrap())
    print(run(safe, "").unwrap())


if __name__ == "__main__":
    main()
