"""Answers: which ones a place takes, as far as its declared type tells; and questions of runs that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import psycopg
import pytest
from attrs import frozen
from services import Postgres, postgres_server

from lambdacat import (
    JournalCorrupt,
    MemoryJournal,
    NoQuestion,
    SqliteJournal,
    Success,
    answer,
    ask,
    can_resume,
    fork,
    lens,
    questions,
    replay,
    resume,
    run,
)
from lambdacat.store.postgres_journal import PostgresJournal
from lambdacat.store.runs_at_rest import runs_in

__all__ = ["postgres_server"]


@frozen
class Stamp:
    number: int = 0


@frozen
class Form:
    count: int = 0
    maybe: int | None = 0
    word: str | None = ""
    rate: Annotated[float | None, "per hour"] = 0.0
    stamp: Stamp = Stamp()
    spare: Stamp | None = None
    either: int | str | None = 0
    both: int | str = 0
    choice: Literal["a", "b"] = "a"
    free: Literal["a", None] = "a"
    nothing: None = None
    anything: Any = 0
    whole: object = 0
    rows: tuple[int | None, ...] = (0,)
    full: tuple[int, ...] = (0,)


OPTIONAL: dict[str, list[Any]] = {
    "int or None": [lens(Form, lambda f: f.maybe), lens(Form, lambda f: f.rows[0])],
    "str or None": [lens(Form, lambda f: f.word)],
    "float or None": [lens(Form, lambda f: f.rate)],
    "": [
        lens(Form, lambda f: f.spare), lens(Form, lambda f: f.either), lens(Form, lambda f: f.free),
        lens(Form, lambda f: f.nothing), lens(Form, lambda f: f.anything), lens(Form, lambda f: f.whole),
    ],
}  # fmt: skip
REQUIRED: dict[str, list[Any]] = {
    "int": [lens(Form, lambda f: f.count), lens(Form, lambda f: f.full[0])],
    "not None": [lens(Form, lambda f: f.stamp), lens(Form, lambda f: f.both), lens(Form, lambda f: f.choice)],
}


@pytest.mark.parametrize(("wants", "into"), [(wants, into) for wants, each in OPTIONAL.items() for into in each])
def test_none_is_an_answer_where_the_type_admits_it(wants: str, into: Any) -> None:
    journal, plan = MemoryJournal(), ask("?", into=into)
    run(plan, Form(), journal=journal)
    [(key, asked)] = questions(journal).items()
    assert asked["wants"] == wants
    assert answer(journal, key, None)
    assert run(plan, Form(), journal=journal) == Success(into.set(Form(), None))


@pytest.mark.parametrize(("wants", "into"), [(wants, into) for wants, each in REQUIRED.items() for into in each])
def test_none_is_refused_where_the_type_does_not_admit_it(wants: str, into: Any) -> None:
    journal = MemoryJournal()
    run(ask("?", into=into), Form(), journal=journal)
    [(key, asked)] = questions(journal).items()
    assert asked["wants"] == wants
    with pytest.raises(ValueError, match="and the answer is None"):
        answer(journal, key, None)
    assert list(questions(journal)) == [key]


@pytest.mark.parametrize("into", [into for wants in ("int or None", "str or None") for into in OPTIONAL[wants]])
def test_what_may_be_none_may_still_be_nothing_else(into: Any) -> None:
    journal = MemoryJournal()
    run(ask("?", into=into), Form(), journal=journal)
    [key] = questions(journal)
    with pytest.raises(ValueError, match=r"holds (int|str) or None, and the answer is 1\.5"):
        answer(journal, key, 1.5)


# --- runs that are not there -----------------------------------------------------------------------------------------

PLAN = ask("how many?", into=lens(Form, lambda f: f.count))
Use = Callable[[Any], object]
USES: list[Use] = [
    questions,
    partial(can_resume, PLAN),
    lambda journal: answer(journal, "", 3),
    lambda journal: asyncio.run(resume(PLAN, journal)),
    lambda journal: asyncio.run(replay(PLAN, journal, changed=[PLAN.name], into=MemoryJournal())),
    lambda journal: fork(journal, at="", into=MemoryJournal()),
]
NAMES = ["questions", "can_resume", "answer", "resume", "replay", "fork"]


def refusal(use: Use, journal: Any) -> str:
    with pytest.raises((ValueError, NoQuestion)) as raised:
        use(journal)
    return str(raised.value)


@pytest.mark.parametrize("use", USES, ids=NAMES)
def test_a_file_that_is_not_there_is_not_made_by_a_question_about_its_run(use: Use, tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "rums.db", run_id="monday")
    assert refusal(use, journal).endswith(f": there is no file {journal.path}")
    assert list(tmp_path.iterdir()) == []
    assert questions_of(run(PLAN, Form(), journal=journal)) == ["how many?"]


@pytest.mark.parametrize("use", USES, ids=NAMES)
def test_a_run_that_is_not_there_leaves_no_row(use: Use, tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    run(PLAN, Form(), journal=SqliteJournal(file, run_id="monday"))
    said = refusal(use, SqliteJournal(file, run_id="mondya"))
    assert said.endswith(f"{file} has no run 'mondya'; did you mean 'monday'?")
    assert [each.run for each in runs_in(file)] == ["monday"]


@pytest.mark.parametrize("use", USES, ids=NAMES)
def test_a_database_is_left_as_it_is_by_a_question_about_a_run(use: Use, postgres_server: Postgres) -> None:
    dsn = postgres_server.fresh()
    here = partial(PostgresJournal, dsn, durability="normal")
    assert refusal(use, here(run_id="mondya")).endswith("/postgres lambdacat_runs has no runs")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select to_regclass('lambdacat_runs')").fetchall() == [(None,)]
    run(PLAN, Form(), journal=here(run_id="monday"))
    assert refusal(use, here(run_id="mondya")).endswith("has no run 'mondya'; did you mean 'monday'?")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select run from lambdacat_runs").fetchall() == [("monday",)]


def test_a_file_that_went_is_a_loss_and_is_not_made_again(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "runs.db", run_id="monday")
    run(PLAN, Form(), journal=journal)
    journal.path.unlink()
    with pytest.raises(JournalCorrupt, match="were acknowledged, and are gone"):
        questions(journal)
    assert not journal.path.exists()


def questions_of(outcome: Any) -> list[str]:
    return [each.text for each in outcome.failure().questions]
