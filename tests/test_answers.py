"""Answers: which ones a place takes, as far as its declared type tells; and questions of runs that are not there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from attrs import frozen

from lambdacat import MemoryJournal, Success, answer, ask, lens, questions, run


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


OPTIONAL = {
    "int or None": [lens(Form, lambda f: f.maybe), lens(Form, lambda f: f.rows[0])],
    "str or None": [lens(Form, lambda f: f.word)],
    "float or None": [lens(Form, lambda f: f.rate)],
    "": [
        lens(Form, lambda f: f.spare), lens(Form, lambda f: f.either), lens(Form, lambda f: f.free),
        lens(Form, lambda f: f.nothing), lens(Form, lambda f: f.anything), lens(Form, lambda f: f.whole),
    ],
}  # fmt: skip
REQUIRED = {
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
