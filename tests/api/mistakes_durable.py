"""Mistakes with questions and journals: every marked line must be an error, and no other line."""

from datetime import datetime

from attrs import frozen

from lambdacat import Fault, Waiting, answer, approve, ask, can_resume, lens, resume, run, sleep_until, task


@frozen
class Doc:
    title: str
    pages: tuple[str, ...] = ()


@frozen
class Shop:
    stock: int = 0


TITLE = lens(Doc, lambda d: d.title)
PAGES = lens(Doc, lambda d: d.pages)
STOCK = lens(Shop, lambda s: s.stock)


@task(reads=TITLE, writes=PAGES)
async def load(title: str) -> tuple[str, ...]:
    return (title,)


class Log:
    def entries(self) -> list[bytes]:
        return []

    def append(self, entry: bytes) -> None: ...


class TextLog:
    def entries(self) -> list[bytes]:
        return []

    def append(self, entry: str) -> None: ...


wrong_into = ask("Publish?", into="title")  # MISTAKE: a field name instead of a lens
no_into = ask("Publish?")  # MISTAKE: where the answer goes must be said
number_question = ask(3, into=TITLE)  # MISTAKE: a number is no question
two_states = load >> ask("How many?", into=STOCK)  # MISTAKE: a question about another state
wrong_approval = approve(load)  # MISTAKE: a plan is no question
no_instant = sleep_until("tomorrow")  # MISTAKE: a text is no instant
no_datetime = sleep_until(lambda doc: 3)  # MISTAKE: a number is no instant
path_journal = run(load, Doc("t"), journal="runs.db")  # MISTAKE: a file name is not a journal
text_journal = run(load, Doc("t"), journal=TextLog())  # MISTAKE: entries are bytes
no_journal = can_resume(load)  # MISTAKE: which run must be said
swapped = resume(Log(), load)  # MISTAKE: the plan comes first
plan_answer = answer(load, "1", "yes")  # MISTAKE: a plan takes no answers
now: datetime = sleep_until(datetime.now())  # MISTAKE: a plan is not what it waits for


def waiting(fault: Fault) -> str:
    match fault:
        case Waiting(questions=questions):
            return questions[0].question  # MISTAKE: a question has a text
        case _:
            return fault.name
