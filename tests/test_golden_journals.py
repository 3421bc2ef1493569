"""Golden journals: a run of every journal format that was ever released goes on under this version of the library.

As a program this file writes ``golden/journal-N.db``, a run of the present format N that was broken off.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve, frozen

from lambdacat import (
    FIRST_COMPLETED,
    Context,
    Fixed,
    Plan,
    SqliteJournal,
    answer,
    ask,
    each,
    lens,
    parallel,
    questions,
    run,
    task,
)
from lambdacat.interpreters.journal import FORMAT, past_of
from lambdacat.testing import VirtualClock

GOLDEN = Path(__file__).with_name("golden")


@frozen
class Page:
    """The state of the plans here."""

    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    word: str = ""
    parts: tuple[int, ...] = (1, 2)


Pages = Plan[Page, Page]

A = lens(Page, lambda p: p.a)
B = lens(Page, lambda p: p.b)
D = lens(Page, lambda p: p.d)
WORD = lens(Page, lambda p: p.word)
PARTS = lens(Page, lambda p: p.parts)


class Killed(KeyboardInterrupt):
    """Stands for the end of the process."""


def golden_plan(calls: list[str], last: int | None = None) -> Pages:
    """A plan with an entry of every kind; steps have classes, errors, changes and parts to write down."""

    def performed(name: str) -> None:
        if len(calls) == last:
            raise Killed
        calls.append(name)

    @task(name="first", reads=A, writes=A)
    def first(number: int) -> int:
        performed("first")
        return number + 3

    @task(name="flaky", reads=B, writes=B)
    def flaky(number: int, ctx: Context) -> int:
        performed("flaky")
        if ctx.attempt < 3:
            raise ConnectionError("no answer", ctx.attempt)
        return number + ctx.attempt

    @task(name="late")
    def late(page: Page, ctx: Context) -> Page:
        performed("late")
        ctx["clock"].sleep(20)
        return page

    @task(name="whole")
    def whole(page: Page) -> Page:
        performed("whole")
        return evolve(page, d=page.d + 1, parts=(*page.parts, page.a))

    @task(name="part")
    def part(number: int) -> int:
        performed("part")
        return number * 2

    return (
        first
        >> flaky.retry(Fixed(30.0).times(4))
        >> (late.timeout(10) | whole)
        >> parallel(first, flaky.retry(4), policy=FIRST_COMPLETED)
        >> (ask("which word?", into=WORD) & whole)
        >> part.focus(PARTS >> each)
        >> whole.loop_while(D.where(lambda d: d < 4))
    )


GOLDEN_PAGE = Page(a=6, b=3, c=0, d=4, word="sheaf", parts=(2, 4, 6, 12, 6, 6))


def golden_run(path: Path, calls: list[str], last: int | None = None) -> Page:
    """The golden run as far as it comes; its question is answered."""
    journal = SqliteJournal(path, run_id="golden")
    clock = VirtualClock()
    context = Context(clock=clock, wall=lambda: 1_800_000_000.0)._with(_things={"clock": clock})
    plan = golden_plan(calls, last)
    outcome = run(plan, Page(), journal=journal, context=context)
    for key in questions(journal):
        answer(journal, key, "sheaf")
        outcome = run(plan, Page(), journal=journal, context=context)
    journal.close()
    return outcome.unwrap()


def _write_golden() -> None:
    path = GOLDEN / f"journal-{FORMAT}.db"
    path.unlink(missing_ok=True)
    with suppress(Killed):
        golden_run(path, [], last=13)
    path.with_name(path.name + "-heads").unlink()


def kinds_of(path: Path) -> set[str]:
    journal = SqliteJournal(path, run_id="golden")
    past = past_of(journal)
    journal.close()
    assert past is not None
    keys = ("writes", "value", "delta", "error")
    return {d["kind"] for d in past.documents} | {key for key in keys for d in past.documents if key in d}


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_journal_of_every_format_goes_on(number: int, tmp_path: Path) -> None:
    """R-J8."""
    path = Path(shutil.copy(GOLDEN / f"journal-{number}.db", tmp_path / "runs.db"))
    known = {"begin", "done", "wait", "timeout", "verdict", "asked", "answer", "end", "writes", "delta", "error"}
    assert kinds_of(path) >= known
    calls: list[str] = []
    assert golden_run(path, calls) == GOLDEN_PAGE
    whole: list[str] = []
    assert golden_run(tmp_path / "fresh.db", whole) == GOLDEN_PAGE
    assert calls == whole[13:]


if __name__ == "__main__":
    _write_golden()
