"""What a journal keeps of a run, and what a run does with what it finds there."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from typing import Any
from urllib.error import HTTPError

import anyio
import pytest
from attrs import evolve, frozen
from attrs import field as attrs_field
from rpds import HashTrieMap

from lambdacat import (
    FIRST_COMPLETED,
    SETTLED,
    ActionFailed,
    Context,
    Emitted,
    Ended,
    Failure,
    Finished,
    Fixed,
    MemoryJournal,
    NBest,
    PlanChanged,
    Success,
    TimedOut,
    arun,
    bind,
    can_resume,
    each,
    gather,
    identity,
    lens,
    parallel,
    pure,
    resume,
    run,
    sequence,
    stream,
    task,
    when,
)
from lambdacat.codec import Codec, Codecs, NotStorable
from lambdacat.context import idempotency_key
from lambdacat.interpreters.history import History
from lambdacat.interpreters.journal import past_of
from lambdacat.interpreters.recorded_errors import RecordedError
from lambdacat.machine.ops import Halt
from lambdacat.testing import VirtualClock, virtual_asyncio_run, virtual_trio_run


@frozen
class State:
    n: int = 0
    log: tuple[str, ...] = ()
    big: HashTrieMap[str, int] = attrs_field(factory=HashTrieMap)


N = lens(State, lambda s: s.n)
LOG = lens(State, lambda s: s.log)
BIG = lens(State, lambda s: s.big)


@task(reads=N, writes=N, blocking="inline")
def inc(n: int) -> int:
    return n + 1


def documents(journal: Any) -> list[dict[str, Any]]:
    past = past_of(journal)
    assert past is not None
    return list(past.documents)


def done(journal: Any) -> list[str]:
    return [d["name"] for d in documents(journal) if d["kind"] == "done"]


def keep(journal: MemoryJournal, count: int) -> MemoryJournal:
    """What a crash after ``count`` entries leaves."""
    made = MemoryJournal(journal.run_id, codecs=journal.codecs)
    made.append_all(list(journal.entries())[:count])
    return made


VIRTUALLY = pytest.mark.parametrize("virtually", [virtual_asyncio_run, virtual_trio_run])


# --- entries ---------------------------------------------------------------------------------------------------------


def test_an_entry_says_which_step_ran_what_it_gave_and_how_long_it_took() -> None:
    journal = MemoryJournal("one")
    clock = VirtualClock()

    @task(reads=N, writes=LOG)
    def slow(n: int) -> tuple[str, ...]:
        clock.sleep(2.0)
        return ("done",)

    run(inc >> slow, State(), context=Context(clock=clock), journal=journal)
    begin, _, entry, end = documents(journal)
    assert (begin["kind"], begin["run"], end["kind"], end["outcome"]) == ("begin", "one", "end", "success")
    assert (entry["key"], entry["name"], entry["lenses"], entry["seconds"]) == (
        "1",
        "slow",
        "State.n -> State.log",
        2.0,
    )
    assert entry["n"] == 2


def test_the_key_of_an_entry_has_rounds_parts_and_attempts() -> None:
    tries: list[int] = []

    @task(reads=N, writes=N)
    def flaky(n: int) -> int:
        tries.append(n)
        if len(tries) % 2:
            raise ConnectionError("down")
        return n + 1

    journal = MemoryJournal()
    run(flaky.retry(1).loop_while(N.where(lambda n: n < 2)), State(), journal=journal)
    keys = [d["key"] for d in documents(journal) if d["kind"] == "done"]
    assert keys == ["loop/retry#1.a1", "loop/retry#1.a2", "loop/retry#2.a1", "loop/retry#2.a2"]


def test_the_idempotency_key_is_that_of_the_entry_in_every_attempt_and_after_a_resume() -> None:
    seen: list[str] = []

    @task
    def flaky(state: State, ctx: Context) -> State:
        seen.append(ctx.idempotency_key)
        if len(seen) == 1:
            raise ConnectionError("down")
        return state

    journal = MemoryJournal("stable")
    run(flaky.retry(1), State(), journal=journal)
    run(flaky.retry(1), State(), journal=keep(journal, 2))
    assert len(seen) == 3
    first = documents(journal)[1]["key"]
    assert first.endswith("#a1")
    assert set(seen) == {idempotency_key("stable", first.removesuffix("#a1"))}


@pytest.mark.parametrize("size", [10, 1_000, 20_000])
def test_an_entry_holds_what_changed_and_not_the_state(size: int) -> None:
    @task
    def whole(state: State) -> State:
        return evolve(state, n=state.n + 1, big=state.big.insert("new", 1))

    @task(reads=BIG, writes=BIG)
    def inside(big: HashTrieMap[str, int]) -> HashTrieMap[str, int]:
        return big.insert("newer", 2)

    journal = MemoryJournal()
    start = State(big=HashTrieMap({str(i): i for i in range(size)}))
    outcome = run(whole >> (inc & inside), start, journal=journal)
    assert max(len(entry) for entry in list(journal.entries())[1:]) < 400
    assert run(whole >> (inc & inside), start, journal=journal) == outcome


def test_pure_functions_are_recomputed_and_not_kept() -> None:
    calls: list[int] = []

    def noted(state: State) -> State:
        calls.append(1)
        return state

    journal = MemoryJournal(codecs=Codecs(State))
    run(pure(noted) >> inc, State(), journal=journal)
    run(pure(noted) >> inc, State(), journal=journal)
    assert done(journal) == ["inc"]
    assert len(calls) == 2


def test_a_state_that_is_changed_in_place_is_kept_as_it_was_left() -> None:
    @dataclass
    class Box:
        items: list[int] = field(default_factory=list)
        names: dict[str, int] = field(default_factory=dict)

    @task
    def push(box: Box) -> Box:
        box.items.append(len(box.items))
        box.names[f"n{len(box.items)}"] = 1
        return box

    plan = push >> push >> push
    journal = MemoryJournal(codecs=Codecs(Box))
    outcome = run(plan, Box(), journal=journal)
    assert outcome == Success(Box([0, 1, 2], {"n1": 1, "n2": 1, "n3": 1}))
    for count in range(1, 6):
        assert run(plan, Box(), journal=keep(journal, count)) == outcome


# --- faults ----------------------------------------------------------------------------------------------------------


class Declined(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


def test_a_recorded_fault_has_the_class_the_words_and_the_attributes_of_the_first() -> None:
    @task
    def pay(state: State) -> State:
        raise Declined(51)

    journal = MemoryJournal(codecs=Codecs(State))
    run(pay, State(), journal=journal)
    match run(pay, State(), journal=journal):
        case Failure(ActionFailed(error=Declined() as error)):
            assert (str(error), error.code) == ("declined with 51", 51)
            assert "in pay" in error.__notes__[0]
        case other:
            raise AssertionError(other)


@frozen
class Rejected(Exception):
    """An exception of attrs, which nobody may write to."""

    code: int


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        OSError(2, "no such file"),
        FileNotFoundError(2, "no such file", "/tmp/gone"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ValueError(),
        ModuleNotFoundError("no module", name="gone", path="/tmp"),
        HTTPError("http://localhost/gone", 404, "Not Found", Message(), None),
        Rejected(3),
    ],
    ids=repr,
)
def test_built_in_exceptions_come_back_as_they_were(error: Exception) -> None:
    @task
    def fails(state: State) -> State:
        raise error

    journal = MemoryJournal(codecs=Codecs(State))
    first = run(fails, State(), journal=journal).failure()
    second = run(fails, State(), journal=journal).failure()
    assert isinstance(first, ActionFailed)
    assert isinstance(second, ActionFailed)
    assert (type(second.error), str(second.error), second.error.args) == (type(error), str(error), error.args)
    for name in ("filename", "name", "path", "code"):
        if hasattr(error, name):
            assert getattr(second.error, name) == getattr(error, name)


def test_a_group_comes_back_with_each_of_its_exceptions() -> None:
    journal = MemoryJournal(codecs=Codecs(State))

    class Ours(ExceptionGroup[Exception]):
        pass

    def split(kind: type[Exception]) -> list[str]:
        error = again()
        found = error.split(kind)[0]
        assert found is not None
        return [type(error).__name__, str(error), *(repr(each) for each in found.exceptions)]

    def again() -> ExceptionGroup[Any]:
        fault = run(fails, State(), journal=journal).failure()
        assert isinstance(fault, ActionFailed)
        assert isinstance(fault.error, ExceptionGroup)
        return fault.error

    @task
    def fails(state: State) -> State:
        raise Ours("several", [ValueError(1), ExceptionGroup("more", [OSError(2, "gone"), Declined(51)])])

    first, second = split(ValueError), split(ValueError)
    assert first == second == ["Ours", "several (2 sub-exceptions)", "ValueError(1)"]
    inner: Any = again().exceptions[1]
    assert (str(inner.exceptions[0]), inner.exceptions[1].code) == ("[Errno 2] gone", 51)


def test_an_exception_whose_class_is_gone_keeps_its_name_and_words() -> None:
    journal = MemoryJournal(codecs=Codecs(State))

    def once() -> None:
        class Local(Exception):
            pass

        @task(name="fails")
        def fails(state: State) -> State:
            raise Local("of old")

        run(fails, State(), journal=journal)

    once()
    gc.collect()

    @task(name="fails")
    def fails(state: State) -> State:
        raise AssertionError("not performed again")

    error = run(fails, State(), journal=journal).failure().error  # type: ignore[union-attr]
    assert isinstance(error, RecordedError)
    assert str(error) == "of old"
    assert error.kind.endswith("Local")


def test_handlers_and_retries_decide_on_a_recorded_fault_as_they_did() -> None:
    @task(reads=N, writes=N)
    def fails(n: int) -> int:
        raise Declined(1)

    plan = fails.retry(2, on=Declined).recover(lambda fault: inc if isinstance(fault, ActionFailed) else identity)
    journal = MemoryJournal()
    outcome = run(plan, State(), journal=journal)
    assert outcome == Success(State(n=1))
    for count in range(1, len(documents(journal)) + 1):
        assert run(plan, State(), journal=keep(journal, count)) == outcome


# --- what time decided -----------------------------------------------------------------------------------------------


def napping(name: str, seconds: float) -> Any:
    @task(name=name)
    async def nap(state: State) -> State:
        await anyio.sleep(seconds)
        return evolve(state, log=(*state.log, name))

    return nap


@VIRTUALLY
def test_a_race_that_was_decided_stays_decided_whoever_would_be_first_now(virtually: Any) -> None:
    def plan(first: float, second: float) -> Any:
        race = parallel(napping("a", first), napping("b", second), policy=FIRST_COMPLETED)
        return race >> napping("c", 0)

    journal = MemoryJournal()
    virtually(partial(arun, journal=journal), plan(3, 1), State())
    for count in range(3, len(documents(journal)) + 1):
        rest = keep(journal, count)
        outcome = virtually(partial(arun, journal=rest), plan(1, 3), State())
        assert outcome == Success(State(log=("b", "c")))
        assert "a" not in done(rest)


@VIRTUALLY
def test_a_timeout_that_passed_stays_passed(virtually: Any) -> None:
    def plan(seconds: float) -> Any:
        return napping("nap", seconds).timeout(2).recover(lambda fault: inc) >> inc

    journal = MemoryJournal(codecs=Codecs(State))
    assert virtually(partial(arun, journal=journal), plan(5), State()) == Success(State(n=2))
    for count in range(2, len(documents(journal)) + 1):
        assert virtually(partial(arun, journal=keep(journal, count)), plan(1), State()) == Success(State(n=2))


@VIRTUALLY
def test_branches_that_a_timeout_cut_off_stay_cut_off(virtually: Any) -> None:
    def plan(seconds: float) -> Any:
        join: Any = lambda fork, outcomes: tuple(type(o).__name__ for o in outcomes)  # noqa: E731
        return parallel(napping("a", 1), napping("b", seconds), policy=SETTLED, join=join, timeout=2)

    journal = MemoryJournal(codecs=Codecs(State))
    first = virtually(partial(arun, journal=journal), plan(5), State())
    assert first == Success(("Success", "Failure"))
    assert virtually(partial(arun, journal=journal), plan(1), State()) == first


def test_a_timeout_of_a_run_in_this_thread_stays_passed() -> None:
    clock = VirtualClock()

    @task(reads=N, writes=N)
    def slow(n: int) -> int:
        clock.sleep(5)
        return n + 10

    plan = (slow >> slow).timeout(7)
    journal = MemoryJournal()
    first = run(plan, State(), context=Context(clock=clock), journal=journal)
    assert isinstance(first.failure(), TimedOut)
    again = run(plan, State(), journal=journal)
    assert again.failure() == first.failure()


@VIRTUALLY
def test_a_wait_before_a_retry_goes_on_where_it_was(virtually: Any) -> None:
    tries: list[float] = []

    @task
    async def flaky(state: State) -> State:
        tries.append(anyio.current_time())
        if len(tries) < 3:
            raise ConnectionError("down")
        return state

    plan = flaky.retry(Fixed(3600.0).times(3))
    journal = MemoryJournal(codecs=Codecs(State))
    start = 1_000_000.0
    virtually(partial(arun, journal=journal, context=Context(wall=lambda: start)), plan, State())
    assert [d["kind"] for d in documents(journal)] == [
        *["begin", "done", "wait", "woke", "done", "wait", "woke", "done", "end"]
    ]
    tries[:] = [0.0, 0.0]

    async def timed() -> float:
        began = anyio.current_time()
        late = Context(wall=lambda: start + 3600 + 3000)
        await arun(plan, State(), journal=keep(journal, 6), context=late)
        return anyio.current_time() - began

    assert virtually(timed) == pytest.approx(600)


def test_a_clock_that_was_set_back_makes_no_wait_longer() -> None:
    tries: list[int] = []

    @task
    def flaky(state: State) -> State:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("down")
        return state

    plan = flaky.retry(Fixed(60.0).times(1))
    journal = MemoryJournal(codecs=Codecs(State))
    run(plan, State(), context=Context(clock=VirtualClock(), wall=lambda: 10_000.0), journal=journal)
    clock = VirtualClock()
    run(plan, State(), context=Context(clock=clock, wall=lambda: 0.0), journal=keep(journal, 3))
    assert clock() == 60.0


def test_a_wait_that_is_over_is_not_waited_for_again() -> None:
    tries: list[int] = []

    @task
    def flaky(state: State) -> State:
        tries.append(1)
        if len(tries) < 2:
            raise ConnectionError("down")
        return state

    plan = flaky.retry(Fixed(60.0).times(1)) >> inc
    journal = MemoryJournal(codecs=Codecs(State))
    run(plan, State(), context=Context(clock=VirtualClock(), wall=lambda: 10_000.0), journal=journal)
    for count in range(4, len(documents(journal)) + 1):
        clock = VirtualClock()
        run(plan, State(), context=Context(clock=clock, wall=lambda: 0.0), journal=keep(journal, count))
        assert clock() == 0.0


def test_a_best_of_many_keeps_its_choice() -> None:
    def first(fork: State, results: tuple[State, ...]) -> State:
        return results[0]

    def giving(n: int) -> Any:
        return task(name=f"give {n}")(lambda state: evolve(state, n=n))

    plan = parallel(*map(giving, range(4)), policy=NBest(2, by=N), join=first)
    journal = MemoryJournal(codecs=Codecs(State))
    outcome = run(plan, State(), journal=journal)
    assert outcome == Success(State(n=3))
    assert run(plan, State(), journal=journal) == outcome


# --- going on --------------------------------------------------------------------------------------------------------


def test_another_input_than_the_recorded_one_is_refused() -> None:
    journal = MemoryJournal("mine")
    run(inc, State(), journal=journal)
    with pytest.raises(ValueError, match=r"'mine' in the journal in memory began with another input, State.n=0"):
        run(inc, State(n=5), journal=journal)


def test_an_empty_journal_has_nothing_to_resume() -> None:
    with pytest.raises(ValueError, match="no run to resume"):
        virtual_asyncio_run(resume, inc, MemoryJournal())
    with pytest.raises(ValueError, match="no run to resume"):
        can_resume(inc, MemoryJournal())


def test_what_is_no_journal_is_refused_in_one_line() -> None:
    with pytest.raises(TypeError, match="journal= wants a journal"):
        run(inc, State(), journal="runs.db")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="journal= wants a journal"):
        virtual_asyncio_run(partial(arun, journal=3), inc, State())  # type: ignore[arg-type]


@frozen
class Undeclared:
    n: int = 0


def test_an_input_of_a_class_that_the_plan_does_not_name_is_refused_before_anything_runs() -> None:
    calls: list[int] = []
    plan: Any = task(lambda state: calls.append(1))
    with pytest.raises(NotStorable, match="Undeclared"):
        run(plan, Undeclared(), journal=MemoryJournal())
    assert calls == []
    run(plan, Undeclared(), journal=MemoryJournal(codecs=[Undeclared]))
    assert calls == [1]


def test_a_result_that_cannot_be_kept_stops_the_run_by_name() -> None:
    after: list[int] = []
    plan: Any = task(name="odd")(lambda state: object())
    with pytest.raises(NotStorable) as caught:
        run((plan | task(lambda state: after.append(1))).retry(3), 1, journal=MemoryJournal())
    assert str(caught.value).startswith("what odd gave (at retry/try#a1), of class object, cannot be stored: ")
    assert after == [], "nothing depends on what is not kept"


class Full(MemoryJournal.__base__):  # type: ignore[misc, name-defined]
    """A journal on a disk that is full after some entries."""

    def __init__(self, room: int) -> None:
        self.kept: list[bytes] = []
        self.room = room

    def entries(self) -> tuple[bytes, ...]:
        return tuple(self.kept)

    def append(self, entry: bytes) -> None:
        if len(self.kept) >= self.room:
            raise OSError(28, "No space left on device")
        self.kept.append(entry)


@pytest.mark.parametrize("room", range(5))
@pytest.mark.parametrize("how", ["run", "asyncio", "trio"])
def test_a_journal_that_cannot_be_written_stops_the_run_before_its_next_effect(how: str, room: int) -> None:
    effects: list[str] = []

    @task(reads=N, writes=N)
    def effect(n: int) -> int:
        effects.append("one")
        return n + 1

    plan = (effect >> effect >> effect >> effect).recover(lambda fault: effect)
    journal = Full(room)
    runner: Any = {
        "run": partial(run, plan, State()),
        "asyncio": partial(virtual_asyncio_run, arun, plan, State()),
        "trio": partial(virtual_trio_run, arun, plan, State()),
    }[how]
    if how != "run":
        virtually = virtual_asyncio_run if how == "asyncio" else virtual_trio_run
        runner = partial(lambda journal: virtually(partial(arun, journal=journal), plan, State()))
    with pytest.raises(OSError, match="No space left"):
        runner(journal=journal)
    assert len(effects) == room
    journal.room = 100
    assert runner(journal=journal) == Success(State(n=4))


def test_a_plan_that_changed_at_run_time_stops_before_it_performs_anything() -> None:
    @task(reads=N, writes=N)
    def other(n: int) -> int:
        raise AssertionError("performed")

    journal = MemoryJournal(codecs=Codecs(State))
    run(inc >> bind(lambda state: inc), State(), journal=journal)
    outcome = run(inc >> bind(lambda state: other), State(), journal=journal)
    assert isinstance(outcome.failure(), PlanChanged)
    assert outcome.failure().at == (1, "bind")


def test_the_seed_of_a_run_is_kept() -> None:
    seen: list[int] = []

    @task
    def seeded(state: State, ctx: Context) -> State:
        seen.append(ctx.seed)
        return state

    journal = MemoryJournal(codecs=Codecs(State))
    run(seeded >> inc, State(), context=Context(seed=7), journal=journal)
    run(seeded >> inc, State(), context=Context(seed=1), journal=keep(journal, 1))
    assert seen == [7, 7]


# --- watching --------------------------------------------------------------------------------------------------------


@VIRTUALLY
def test_a_stream_of_a_resumed_run_shows_every_step_and_its_end(virtually: Any) -> None:
    journal = MemoryJournal()
    plan = inc >> inc.timeout(5) >> inc

    async def events() -> list[Any]:
        async with stream(plan, State(), journal=journal) as found:
            return [event async for event in found]

    first, second = virtually(events), virtually(events)
    for found in (first, second):
        assert isinstance(found[-1], Ended)
        assert found[-1].result == Success(State(n=3))
        assert [e.name for e in found if isinstance(e, Finished)].count("inc") == 3
    assert len(done(journal)) == 3


def test_observers_of_a_run_in_this_thread_see_a_resumed_run() -> None:
    journal = MemoryJournal()
    seen: list[Any] = []
    run(inc >> inc, State(), journal=journal, observers=[seen.append])
    count = len(seen)
    run(inc >> inc, State(), journal=journal, observers=[seen.append])
    assert len(seen) == 2 * count
    assert isinstance(seen[-1], Ended)


def test_chunks_are_sent_when_a_step_is_performed_and_not_when_it_is_answered_for() -> None:
    @task
    async def tokens(text: str) -> Any:
        for word in text.split():
            yield word

    journal = MemoryJournal()
    seen: list[Any] = []
    for _ in range(2):
        virtual_asyncio_run(partial(arun, journal=journal, observers=[seen.append]), tokens, "a b c")
    assert [e.chunk for e in seen if isinstance(e, Emitted)] == ["a", "b", "c"]


# --- together --------------------------------------------------------------------------------------------------------


class Counting(Full):
    """A journal that counts its transactions."""

    def __init__(self) -> None:
        super().__init__(10**6)
        self.groups: list[int] = []

    def append(self, entry: bytes) -> None:
        super().append(entry)
        self.groups.append(1)

    def append_all(self, entries: list[bytes]) -> None:
        self.kept.extend(entries)
        self.groups.append(len(entries))


@VIRTUALLY
def test_what_ends_in_one_tick_is_appended_in_one_transaction(virtually: Any) -> None:
    journal = Counting()
    virtually(partial(arun, journal=journal), gather(*[napping(f"n{i}", 1) for i in range(16)]), State())
    assert max(journal.groups) == 16
    assert len(journal.groups) <= 4


@VIRTUALLY
def test_a_cancelled_run_goes_on_later(virtually: Any) -> None:
    plan = inc >> napping("long", 100) >> inc
    journal = MemoryJournal()

    async def cut() -> None:
        with anyio.move_on_after(10):
            await arun(plan, State(), journal=journal)

    virtually(cut)
    assert done(journal) == ["inc"]
    assert virtually(partial(arun, journal=journal), plan, State()) == Success(State(n=2, log=("long",)))
    assert done(journal) == ["inc", "long", "inc"]


def test_a_long_run_keeps_no_more_in_memory_than_it_must() -> None:
    journal = MemoryJournal()
    plan = inc.loop_while(N.where(lambda n: n < 2_000))
    assert run(plan, State(), journal=journal) == Success(State(n=2_000))
    assert virtual_asyncio_run(resume, plan, journal) == Success(State(n=2_000))


def test_a_deep_plan_is_journalled_and_resumed_flat() -> None:
    plan: Any = inc
    for _ in range(3_000):
        plan = when(N.where(lambda n: n >= 0), plan.timeout(1e6))
    journal = MemoryJournal()
    assert run(plan, State(), journal=journal) == Success(State(n=1))
    assert run(plan, State(), journal=journal) == Success(State(n=1))
    assert can_resume(plan, journal)


# --- migrations ------------------------------------------------------------------------------------------------------


def test_an_input_of_an_older_shape_is_migrated() -> None:
    @frozen
    class Old:
        n: int = 0

    @frozen
    class New:
        n: int = 0
        unit: str = ""

    @task(name="step")
    def old_step(state: Old) -> Old:
        return evolve(state, n=state.n + 1)

    @task(name="step")
    def new_step(state: New) -> New:
        return evolve(state, n=state.n + 1)

    journal = MemoryJournal("r", codecs=Codecs(Codec(Old, name="State")))
    run(sequence(old_step, old_step), Old(), journal=journal)
    newer: Any = {1: lambda fields: {**fields, "unit": "km"}}
    fresh = MemoryJournal("r", codecs=Codecs(Codec(New, name="State", version=2, migrations=newer)))
    fresh.append_all(list(journal.entries())[:2])
    outcome: Any = virtual_asyncio_run(resume, sequence(new_step, new_step), fresh)
    assert outcome == Success(New(2, "km"))


def test_the_parts_of_a_persistent_map_keep_their_places_when_it_is_read_again() -> None:
    def named(n: int) -> str:
        return f"part {n}"

    plan = task(blocking="inline")(named).between(BIG >> each, LOG)
    for size in range(2, 40):
        journal = MemoryJournal()
        start = State(big=HashTrieMap({f"k{i}": i for i in range(size)}).remove("k0").insert("k0", 0))
        outcome = run(plan, start, journal=journal)
        assert virtual_asyncio_run(resume, plan, journal) == outcome


class Coded(Exception):
    """An exception whose attributes say nothing, in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.text, self.flag, self.cause_of, self.rows = 0, "", False, None, ()


def test_an_exception_keeps_the_attributes_that_are_nothing() -> None:
    @task(name="fails")
    def fails(n: int) -> int:
        raise Coded

    journal = MemoryJournal("r")
    outcomes: Any = [run(fails.attempt(), 1, journal=journal).unwrap() for _ in range(2)]
    first, again = (outcome.failure().error for outcome in outcomes)
    assert vars(first) == {name: value for name, value in vars(again).items() if name != "__notes__"}


def test_nothing_is_appended_after_an_append_that_was_interrupted() -> None:
    """Whether that one was written nobody knows: another one under its number would break the chain."""

    class Interrupted:
        def __init__(self) -> None:
            self.kept: list[bytes] = []

        def entries(self) -> tuple[bytes, ...]:
            return tuple(self.kept)

        def append(self, entry: bytes) -> None:
            self.kept.append(entry)
            raise KeyboardInterrupt

    journal = Interrupted()
    history = History(journal, Codecs())
    with pytest.raises(KeyboardInterrupt):
        history.append([{"kind": "resumed", "versions": {}}])
    with pytest.raises(Halt):
        history.append([{"kind": "resumed", "versions": {}}])
    assert len(journal.kept) == 1
