"""Programs with questions, journals and replays that must type-check exactly as written. Checked, never run."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from attrs import frozen
from typing_extensions import assert_type

from lambdacat import (
    Failure,
    Journal,
    MemoryJournal,
    Outcome,
    Plan,
    Question,
    Replayed,
    SqliteJournal,
    Success,
    Waiting,
    answer,
    approve,
    arun,
    ask,
    can_resume,
    fork,
    lens,
    replay,
    resume,
    run,
    sleep_until,
    stream,
    task,
)


@frozen
class Research:
    question: str
    answer: str = ""
    score: float = 0.0


QUESTION = lens(Research, lambda s: s.question)
ANSWER = lens(Research, lambda s: s.answer)
SCORE = lens(Research, lambda s: s.score)


@task(reads=ANSWER, writes=SCORE)
def judge(answer: str) -> float:
    return float(len(answer))


def asks(state: Research) -> str:
    return f"Publish {state.answer}?"


@task
def words(text: str) -> list[str]:
    return text.split()


assert_type(ask("Publish?", into=ANSWER), Plan[Research, Research])
assert_type(ask(lambda s: s.question, into=ANSWER), Plan[Research, Research])
assert_type(judge >> approve("Publish?") >> judge, Plan[Research, Research])
assert_type(judge >> sleep_until(datetime(2030, 1, 1, tzinfo=UTC)), Plan[Research, Research])
assert_type(judge >> approve(asks), Plan[Research, Research])


class Log:
    """Users may bring their own journal."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def entries(self) -> Iterable[bytes]:
        return self.written

    def append(self, entry: bytes) -> None:
        self.written.append(entry)


journal: Journal = Log()
kept: Journal = SqliteJournal("runs.db", run_id="one", codecs=[Research], durability="normal")
published = judge >> ask("Publish?", into=ANSWER) >> judge
assert_type(run(published, Research("q"), journal=Log()), Outcome[Research])
assert_type(run(words, "a b", journal=MemoryJournal()), Outcome[list[str]])


async def resumed(reply: Callable[[Question], str]) -> str:
    match await arun(published, Research("q"), journal=journal):
        case Success(state):
            return state.answer
        case Failure(Waiting(questions=questions)):
            assert_type(questions, tuple[Question, ...])
            for question in questions:
                assert_type(answer(journal, question, reply(question)), bool)
            return "; ".join(f"{question.at} {question.text}" for question in questions)
        case Failure(fault):
            return fault.name


async def later() -> None:
    assert_type(await resume(published, journal), Outcome[Research])
    if can_resume(published, journal):
        made = await replay(published, journal, changed={"judge"}, into=kept)
        assert_type(made, Replayed[Research])
        assert_type(made.outcome, Outcome[Research])
    fork(journal, at="1", into=MemoryJournal("two"))
    async with stream(published, Research("q"), journal=journal) as events:
        async for event in events:
            print(event)
