"""Work on parts of a larger state: focus goes inside, between maps one field into another, merges say what may meet.

Output:

    titles   Tides, Sheaves
    lengths  5, 7
    log      checked spelling, checked links
    branches 0 shout, 1 whisper all changed .title; declare a merge for it, or write it in one branch
"""

from attrs import evolve, frozen

from lambdacat import Failure, MergeConflict, concat, each, focus, lens, merged, run, task, value_or_raise


@frozen
class Article:
    """One article of an issue."""

    title: str


@frozen
class Issue:
    """The whole state. Side by side, steps may append to ``log``; any other field has one writer at a time."""

    articles: tuple[Article, ...]
    lengths: tuple[int, ...] = ()
    log: tuple[str, ...] = merged(concat, default=())


TITLE = lens(Article, lambda a: a.title)
TITLES = lens(Issue, lambda i: i.articles) >> each >> TITLE
LENGTHS = lens(Issue, lambda i: i.lengths)
LOG = lens(Issue, lambda i: i.log)


@task
def capitalise(title: str) -> str:
    """A step that knows nothing of articles or issues."""
    return title.capitalize()


@task(reads=LOG, writes=LOG)
def spelling(log: tuple[str, ...]) -> tuple[str, ...]:
    """Add a line to the log."""
    return (*log, "checked spelling")


@task(reads=LOG, writes=LOG)
def links(log: tuple[str, ...]) -> tuple[str, ...]:
    """Add another, at the same time."""
    return (*log, "checked links")


@task
def shout(article: Article) -> Article:
    """Takes the whole article, so what it writes is only seen when it runs."""
    return evolve(article, title=article.title.upper())


@task
def whisper(article: Article) -> Article:
    """The same, for lower case."""
    return evolve(article, title=article.title.lower())


edit = focus(TITLES, capitalise) >> task(len).between(TITLES, LENGTHS) >> (spelling & links)


def main() -> None:
    """The declared merge combines; two writes that nobody said how to combine are a fault."""
    issue = value_or_raise(run(edit, Issue((Article("tides"), Article("sheaves")))))
    print("titles  ", ", ".join(article.title for article in issue.articles))
    print("lengths ", ", ".join(map(str, issue.lengths)))
    print("log     ", ", ".join(issue.log))
    match run(shout & whisper, Article("Tides")):
        case Failure(MergeConflict() as fault):
            print(str(fault).splitlines()[0].removeprefix("MergeConflict: "))
        case other:
            print("unexpected:", other)


if __name__ == "__main__":
    main()
