"""Runs that go on under plans whose steps have changed places, more than once: the same things stay the same things."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import attrs
import pytest
from attrs import frozen, make_class
from hypothesis import given
from hypothesis import strategies as st

from lambdacat import (
    Context,
    Failure,
    MemoryJournal,
    Plan,
    PlanChanged,
    Refused,
    Success,
    Waiting,
    answer,
    approve,
    ask,
    can_resume,
    footprint,
    fork,
    lens,
    parallel,
    questions,
    replay,
    resume,
    run,
    sequence,
    sleep_until,
    task,
)
from lambdacat.codec import Codec, Codecs, StateCorrupt
from lambdacat.testing import virtual_asyncio_run


@frozen
class Desk:
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    left: str = ""
    right: str = ""


A, B, C, D = (lens(Desk, one) for one in (lambda s: s.a, lambda s: s.b, lambda s: s.c, lambda s: s.d))
LEFT, RIGHT = lens(Desk, lambda s: s.left), lens(Desk, lambda s: s.right)
Desks = Plan[Desk, Desk]


class Killed(BaseException):
    """The process ended."""


class Service:
    """What the steps talk to: which keys each of them sent, how often it was done, and when the process ends."""

    def __init__(self) -> None:
        self.keys: defaultdict[str, set[str]] = defaultdict(set)
        self.begun: Counter[str] = Counter()
        self.left = 10**6
        """How many steps more are performed before the process ends in the middle of one."""

    def step(self, name: str, reads: Any, writes: Any) -> Desks:
        """A step that tells the service its key before it does anything."""

        def act(value: int, context: Context) -> int:
            self.keys[name].add(context.idempotency_key)
            self.begun[name] += 1
            self.left -= 1
            if self.left < 0:
                raise Killed
            return value + len(name)

        made: Desks = task(reads=reads, writes=writes, name=name)(act)
        return made


def commute(rows: Sequence[Desks], order: Sequence[int]) -> bool:
    return all(
        footprint(rows[i]).disjoint_from(footprint(rows[j]))
        for i, j in combinations(range(len(rows)), 2)
        if order.index(i) > order.index(j)
    )


PAIRS = st.lists(st.tuples(*[st.sampled_from((A, B, C, D))] * 2), min_size=2, max_size=5)


@pytest.mark.parametrize("build", [sequence, parallel], ids=["one after the other", "side by side"])
@given(pairs=PAIRS, data=st.data())
def test_whatever_the_orders_each_step_is_done_once_and_has_one_key(
    build: Callable[..., Desks], pairs: list[tuple[Any, Any]], data: st.DataObject
) -> None:
    """R-J1, R-J8: a process ends again and again, and the next has the steps in another order each time."""
    if build is parallel:
        pairs = [(one, one) for one in dict.fromkeys(writes for _, writes in pairs)]
    service, calm, journal = Service(), Service(), MemoryJournal()
    rows = [service.step(f"step {i}", *pair) for i, pair in enumerate(pairs)]
    wanted = run(build(*(calm.step(f"step {i}", *pair) for i, pair in enumerate(pairs))), Desk())
    outcome: Any = None
    for attempt in range(20):
        order = data.draw(st.permutations(range(len(rows)))) if attempt else list(range(len(rows)))
        if build is sequence and not commute(rows, order):
            continue
        service.left = data.draw(st.integers(0, 2)) if attempt < 10 else 10**6
        try:
            outcome = run(build(*(rows[i] for i in order)), Desk(), journal=journal)
        except Killed:
            continue
        break
    assert outcome is None or outcome == wanted
    assert all(len(keys) == 1 for keys in service.keys.values())
    done = Counter(document["name"] for document in _documents(journal) if document["kind"] == "done")
    assert all(count == 1 for count in done.values())
    assert len({next(iter(keys)) for keys in service.keys.values()}) == len(service.keys)


def _documents(journal: MemoryJournal) -> list[dict[str, Any]]:
    from lambdacat.interpreters.journal import past_of

    past = past_of(journal)
    return [] if past is None else list(past.documents)


# --- questions -------------------------------------------------------------------------------------------------------

ASKS = ask("left?", into=LEFT) & ask("right?", into=RIGHT)
SWAPPED = ask("right?", into=RIGHT) & ask("left?", into=LEFT)


@pytest.mark.parametrize("when", ["answered before", "answered between", "answered after two moves"])
def test_an_answer_goes_to_its_question_wherever_that_stands(when: str) -> None:
    journal = MemoryJournal()

    def tell() -> None:
        for key, asked in questions(journal).items():
            answer(journal, key, f"to {asked['text']}")

    first: Any = run(ASKS, Desk(), journal=journal)
    before = {one.text: one.key for one in first.failure().questions}
    if when == "answered before":
        tell()
    for plan in (SWAPPED, ASKS, SWAPPED) if when == "answered after two moves" else (SWAPPED,):
        told: Any = run(plan, Desk(), journal=journal)
        if isinstance(told, Failure):
            assert {one.text: one.key for one in told.failure().questions} == before
    tell()
    assert run(SWAPPED, Desk(), journal=journal) == Success(Desk(left="to left?", right="to right?"))


def test_what_was_approved_is_what_is_done() -> None:
    service, journal = Service(), MemoryJournal()
    delete = approve("delete everything?") >> service.step("delete", A, A)
    send = approve("send a postcard?") >> service.step("send", B, B)
    run(delete & send, Desk(), journal=journal)
    for key, asked in questions(journal).items():
        answer(journal, key, asked["text"].startswith("send"))
    outcome: Any = run(send & delete, Desk(), journal=journal)
    assert isinstance(outcome.failure(), Refused)
    assert service.begun == {"send": 1}


@pytest.mark.parametrize("taken", [False, True])
def test_an_answer_is_not_for_another_question(taken: bool) -> None:
    """Two approvals look alike but for their words."""
    service, journal = Service(), MemoryJournal()
    rest = service.step("rest", A, A)
    run(approve("send a postcard?") >> rest, Desk(), journal=journal)
    (key,) = questions(journal)
    answer(journal, key, True)
    if taken:
        service.left = 0
        with pytest.raises(Killed):
            run(approve("send a postcard?") >> rest, Desk(), journal=journal)
        service.left = 9
    outcome: Any = run(approve("delete everything?") >> rest, Desk(), journal=journal)
    assert isinstance(outcome.failure(), PlanChanged)
    assert "the question 'send a postcard?', which has been answered" in str(outcome.failure())
    assert service.begun["rest"] == taken


def test_a_question_in_other_words_is_asked_again_while_nobody_has_answered() -> None:
    def plan(words: str) -> Desks:
        return ask(lambda _: words, into=LEFT)

    journal = MemoryJournal()
    run(plan("one"), Desk(), journal=journal)
    run(plan("two"), Desk(), journal=journal)
    assert [asked["text"] for asked in questions(journal).values()] == ["two"]


@pytest.mark.parametrize(
    "stop",
    [approve("publish it?"), sleep_until(lambda _: datetime(2099, 1, 1, tzinfo=UTC))],
    ids=["approve", "sleep_until"],
)
def test_no_step_moves_past_a_question_or_a_wait(stop: Desks) -> None:
    service, journal = Service(), MemoryJournal()
    write, post = service.step("write", A, A), service.step("post", B, B)
    service.left = 0
    with pytest.raises(Killed):
        run(write >> stop >> post, Desk(), journal=journal)
    assert can_resume(write >> stop >> post, journal)
    assert not can_resume(write >> post >> stop, journal)
    assert not can_resume(stop >> write >> post, journal)


# --- replays and forks -----------------------------------------------------------------------------------------------


def test_who_approved_the_old_words_is_asked_about_the_new_ones() -> None:
    service, journal = Service(), MemoryJournal()
    plan = service.step("write", A, A) >> approve("publish it?") >> service.step("post", A, B)
    run(plan, Desk(), journal=journal)
    (key,) = questions(journal)
    answer(journal, key, True)
    assert isinstance(run(plan, Desk(), journal=journal), Success)
    told: Any = virtual_asyncio_run(lambda: replay(plan, journal, changed={"write": lambda value: value + 100}))
    assert isinstance(told.outcome.failure(), Waiting)
    assert service.begun["post"] == 1


@pytest.mark.parametrize("how", ["fork", "replay"])
def test_answers_that_were_not_taken_up_yet_come_along(how: str) -> None:
    service, journal, other = Service(), MemoryJournal("old"), MemoryJournal("new")
    plan = ASKS >> service.step("rest", A, A)
    run(plan, Desk(), journal=journal)
    keys = {asked["text"]: key for key, asked in questions(journal).items()}
    answer(journal, keys["left?"], "already")
    if how == "fork":
        fork(journal, at=keys["right?"], into=other)
        outcome: Any = run(plan, Desk(), journal=other)
    else:
        outcome = virtual_asyncio_run(lambda: replay(plan, journal, changed={"rest"}, into=other)).outcome
    assert [one.text for one in outcome.failure().questions] == ["right?"]


# --- classes of another time -----------------------------------------------------------------------------------------


def state(*fields: str) -> Any:
    return make_class("State", {name: attrs.field(default=0) for name in fields}, frozen=True)


def steps(kind: Any, field: str, service: Service) -> Plan[Any, Any]:
    place = lens(kind, lambda s: getattr(s, field))
    return sequence(*(service.step(name, place, place) for name in ("one", "second", "third")))


LATER = state("count", "more")
IN_CENTS = Codec(
    LATER, name="State", version=2, migrations={1: lambda fields: {"count": 100 * fields["count"], "more": 1}}
)


def gone_on(journal: MemoryJournal, service: Service) -> Any:
    return virtual_asyncio_run(lambda: resume(steps(LATER, "count", service), journal))


def test_a_run_that_was_migrated_goes_on_as_often_as_it_has_to() -> None:
    """What was recorded in the shape of another time is no use; what came after the migration is."""
    service, old = Service(), state("count")
    journal = MemoryJournal(codecs=Codecs(old))
    service.left = 0
    with pytest.raises(Killed):
        run(steps(old, "count", service), old(5), journal=journal)
    journal.codecs = Codecs(IN_CENTS)
    for _ in range(2):
        service.left = 1
        assert can_resume(steps(LATER, "count", service), journal)
        with pytest.raises(Killed):
            gone_on(journal, service)
    service.left = 9
    assert gone_on(journal, service) == Success(LATER(500 + 3 + 6 + 5, 1))
    assert service.begun == {"one": 2, "second": 2, "third": 2}


def test_what_was_recorded_before_a_migration_is_still_no_use_after_it() -> None:
    service, old = Service(), state("count")
    journal = MemoryJournal(codecs=Codecs(old))
    service.left = 1
    with pytest.raises(Killed):
        run(steps(old, "count", service), old(5), journal=journal)
    journal.codecs = Codecs(IN_CENTS)
    for _ in range(2):
        assert not can_resume(steps(LATER, "count", service), journal)
        assert isinstance(gone_on(journal, service).failure(), PlanChanged)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("done", [0, 1])
def test_a_state_that_cannot_be_read_any_more_is_told_before_anything_runs(versioned: bool, done: int) -> None:
    service, old = Service(), state("count")
    new = make_class("State", {"count": attrs.field(default=0), "needed": attrs.field()}, frozen=True, kw_only=True)
    journal = MemoryJournal(codecs=Codecs(Codec(old, name="State")))
    service.left = done
    with pytest.raises(Killed):
        run(steps(old, "count", service), old(5), journal=journal)
    journal.codecs = Codecs(Codec(new, name="State", version=2) if versioned else Codec(new, name="State"))
    told = can_resume(steps(new, "count", service), journal)
    assert not told
    assert "State" in str(told)
    with pytest.raises(StateCorrupt):
        run(steps(new, "count", service), new(needed=1), journal=journal)
    assert service.begun["one"] == 1
