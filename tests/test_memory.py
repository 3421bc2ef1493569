"""What an agent remembers: entries with an origin, bounds, branches, compaction, and the map that logs its changes."""

import asyncio
import copy
import pickle
from collections.abc import Callable
from functools import partial, reduce
from itertools import permutations
from typing import Annotated, Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st
from rpds import HashTrieMap

from lambdacat import (
    ActionFailed,
    Attr,
    Context,
    Item,
    MemoryJournal,
    MergeConflict,
    Merges,
    Plan,
    PlanError,
    Success,
    arun,
    concat,
    dry_run,
    fail,
    footprint,
    lens,
    merge,
    pure,
    run,
    task,
)
from lambdacat.codec import Codecs, NotStorable
from lambdacat.fault import Stopped
from lambdacat.merging import Conflict
from lambdacat.state import (
    DATA,
    MEMORY,
    SCRATCH,
    STATE_CODECS,
    AgentState,
    ByKey,
    Capacity,
    Entry,
    Every,
    LeastRecent,
    LeastUsed,
    LoggedMap,
    Memory,
    Newest,
    NotRemembered,
    Oldest,
    Origin,
    bounded,
    compact,
    compacted,
    forget,
    forgotten,
    leaving,
    newest_wins,
    observe,
    origin_of,
    recall,
    recalled,
    remember,
    remembered,
    use,
    used,
)
from lambdacat.state.capacity import Line
from lambdacat.store.memory import MemoryStore
from lambdacat.store.persisting import persisted
from lambdacat.testing import VirtualClock, slow, virtual_run
from lambdacat.testing.state_laws import check_memory_laws, edits, memories

DAY = 1_700_000_000.0
QUESTION = lens(AgentState, lambda state: state.data["question"])
ANSWER = lens(AgentState, lambda state: state.data["answer"])
EMPTY = AgentState()

MEMORIES = (
    Memory(),
    Memory(clash=Newest()),
    Memory(capacity=Capacity(entries=3)),
    Memory(capacity=Capacity(entries=3, leaves=LeastUsed())),
    Memory(capacity=Capacity(bytes=30, leaves=LeastRecent()), clash=Newest()),
    Memory(capacity=Capacity(entries=4, bytes=25, leaves=LeastUsed())),
)


def value_of(plan: Plan[Any, Any], state: Any = EMPTY, **options: Any) -> Any:
    return run(plan, state, **options).unwrap()


def fault_of(plan: Plan[Any, Any], state: Any = EMPTY) -> Any:
    return run(plan, state).failure()


def holding(*keys: str, capacity: Capacity | None = None) -> Memory:
    """A memory of these keys, a second apart, each with its place in the row as value."""
    memory = Memory(capacity=capacity or Capacity())
    for second, key in enumerate(keys):
        memory = remembered(memory, key, second, origin=Origin(float(second)))
    return memory


# --- remembering and recalling ---------------------------------------------------------------------------------------


def test_what_a_plan_remembers_it_recalls() -> None:
    """A41."""
    plan = remember("answer", 42) >> recall("answer", ANSWER)
    assert ANSWER.get(value_of(plan)) == 42
    assert EMPTY.memory == Memory()


def test_updating_what_was_given_or_returned_changes_no_state() -> None:
    """A41."""
    given = {"tags": ["a"]}
    plan = remember("k", given)
    given["tags"].append("given later")
    state = value_of(plan)
    returned = recalled(state.memory, "k")
    returned["tags"].append("b")
    returned["new"] = 1
    state.memory["k"].value["tags"].clear()
    value_of(recall("k", ANSWER), state).data["answer"]["tags"].clear()
    assert recalled(state.memory, "k") == {"tags": ["a"]} == recalled(value_of(plan).memory, "k")


def test_keys_and_values_are_constants_or_come_from_the_state() -> None:
    state = AgentState(data={"question": "why?", "answer": (1, 2)})
    assert recalled(value_of(remember(QUESTION, ANSWER), state).memory, "why?") == (1, 2)
    assert recalled(value_of(remember("k", ANSWER), state).memory, "k") == (1, 2)
    assert recalled(value_of(remember(QUESTION, None), state).memory, "why?", "nothing") is None
    back = value_of(remember("why?", 7) >> recall(QUESTION, lens(AgentState, lambda s: s.data["found"])), state)
    assert back.data["found"] == 7


def test_an_entry_says_when_and_from_which_step_it_came() -> None:
    clock = VirtualClock(50.0)

    @task
    def wait(state: AgentState) -> AgentState:
        clock.sleep(30)
        return state

    @task(reads=MEMORY, writes=MEMORY)
    def note(memory: Memory, ctx: Context) -> Memory:
        return remembered(memory, "own", 1, origin=origin_of(ctx))

    plan = remember("first", 1) >> wait >> (note & remember("second", 2))
    memory = value_of(plan, context=Context(clock=clock, wall=lambda: DAY)).memory
    assert memory["first"].origin == Origin(DAY, "remember 'first'", (0,))
    assert memory["own"].origin == Origin(DAY + 30, "note", (2, 0))
    assert memory["second"].origin == Origin(DAY + 30, "remember 'second'", (2, 1))


@frozen
class Diary:
    """A state of the user's own."""

    text: str = ""
    notes: Memory = field(factory=Memory)


TEXT, NOTES = lens(Diary, lambda d: d.text), lens(Diary, lambda d: d.notes)


def test_a_state_class_of_one_s_own_does_as_well() -> None:
    plan = remember("today", TEXT, memory=NOTES) >> use("today", TEXT, memory=NOTES) >> forget("other", memory=NOTES)
    done = value_of(plan, Diary("rain"))
    assert (done.text, recalled(done.notes, "today"), done.notes["today"].uses) == ("rain", "rain", 1)


@given(memories(), edits(max_size=4))
def test_a_plan_does_what_the_plain_function_does(memory: Memory, rows: Any) -> None:
    for edit in rows:
        state = AgentState(memory=memory, data={"answer": None})
        here = Origin(DAY, f"{edit.verb} {edit.key!r}")
        match edit.verb:
            case "remember":
                plan, memory = remember(edit.key, edit.value), remembered(memory, edit.key, edit.value, origin=here)
            case "use" if edit.key in memory:
                plan, memory = use(edit.key, ANSWER), used(memory, edit.key, origin=here)
            case _:
                plan = forget(edit.key)
                memory = forgotten(memory, edit.key)
        assert value_of(plan, state, context=Context(clock=VirtualClock(), wall=lambda: DAY)).memory == memory


def test_a_missing_key_is_a_fault_that_names_a_close_one() -> None:
    state = value_of(remember("answer", 1))
    fault = fault_of(recall("anser", ANSWER), state)
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, NotRemembered)
    assert str(fault.error) == "nothing is remembered under 'anser'; did you mean 'answer'?"
    assert isinstance(fault_of(use("x", ANSWER), state).error, NotRemembered)
    assert value_of(recall("x", ANSWER, default="none"), state).data["answer"] == "none"


def test_forgetting_is_idempotent() -> None:
    memory = holding("a", "b", "c")
    once = forgotten(memory, "a", "c", "unknown")
    assert list(once) == ["b"]
    assert forgotten(once, "a") is once
    assert value_of(remember("a", 1) >> forget("a") >> forget("a")).memory.entries == LoggedMap()


def test_recalling_only_reads_and_remembering_touches_the_memory_alone() -> None:
    assert footprint(recall("k", ANSWER)).writes == {(Attr("data"), Item("answer"))}
    assert footprint(recall("k", ANSWER)).reads == {(Attr("memory"),)}
    assert footprint(remember("k", ANSWER)).writes == {(Attr("memory"),)}
    assert footprint(use("k", ANSWER)).writes == {(Attr("memory"),), (Attr("data"), Item("answer"))}
    assert footprint(compact(len, keep=1)).writes == {(Attr("memory"),)}
    assert dry_run(remember("k", 1) >> recall("k", ANSWER)).seconds == (0.0, 0.0)


def test_plans_that_say_the_same_are_the_same() -> None:
    pairs = (
        (remember("k", [1]), remember("k", [1])),
        (remember(QUESTION, ANSWER), remember(QUESTION, ANSWER)),
        (recall("k", ANSWER, default=1), recall("k", ANSWER, default=1)),
        (compact(len, keep=2, every=Every(runs=3)), compact(len, keep=2, every=Every(runs=3))),
    )
    for one, two in pairs:
        assert one == two
        assert hash(one) == hash(two)
        assert pickle.loads(pickle.dumps(one)) == two
    state = AgentState(data={"question": "why?", "answer": 1})
    assert recalled(value_of(pickle.loads(pickle.dumps(remember(QUESTION, ANSWER))), state).memory, "why?") == 1
    assert remember("k", 1) != remember("k", 2) != remember("j", 2)
    assert remember("k", ANSWER) != recall("k", ANSWER)


def test_mistakes_in_building_are_said_at_once() -> None:
    wrong: Any = object()
    with pytest.raises(TypeError, match="keys of text, not 5"):
        remember(5, 1)  # type: ignore[call-overload]
    with pytest.raises(PlanError, match="a part of the state, given by a lens"):
        remember("k", 1, memory=wrong)
    with pytest.raises(PlanError, match="different states"):
        remember("k", TEXT)
    with pytest.raises(ValueError, match="keep is a whole number"):
        compact(keep=-1)
    with pytest.raises(PlanError, match="a plan or a function"):
        compact(wrong, keep=1)
    with pytest.raises(PlanError, match="a part of the state, given by a lens"):
        compact(keep=1, memory=wrong)
    with pytest.raises(ValueError, match="how often"):
        Every()
    with pytest.raises(ValueError, match="runs is a whole number"):
        Every(runs=0)
    with pytest.raises(ValueError, match="more than 0"):
        Every(seconds=0)
    with pytest.raises(ValueError, match="at least 1, or None"):
        Capacity(entries=0)
    with pytest.raises(ValueError, match="LeastRecent"):
        Capacity(leaves=wrong)
    with pytest.raises(ValueError, match="seconds since 1970"):
        Origin(float("nan"))


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_the_oldest_leaves_first() -> None:
    memory = holding("a", "b", "c", capacity=Capacity(entries=3))
    memory = used(remembered(memory, "a", "again"), "b")
    assert list(remembered(memory, "d", 1)) == ["c", "a", "d"]


def test_the_least_used_leaves_first_and_of_several_the_one_that_stood_longest() -> None:
    memory = holding("a", "b", "c", capacity=Capacity(entries=3, leaves=LeastUsed()))
    memory = used(used(used(memory, "a"), "c"), "c")
    assert sorted(after := remembered(memory, "d", 1)) == ["a", "c", "d"]
    assert sorted(remembered(after, "e", 1)) == ["a", "c", "e"], "a new entry has not been used yet"
    assert sorted(remembered(used(used(after, "d"), "d"), "e", 1)) == ["c", "d", "e"]


def test_a_new_value_keeps_the_count_of_its_key() -> None:
    memory = holding("a", "b", capacity=Capacity(entries=2, leaves=LeastUsed()))
    memory = remembered(used(memory, "a"), "a", "new")
    assert memory["a"].uses == 1
    assert sorted(remembered(memory, "c", 1)) == ["a", "c"]


def test_what_was_not_used_for_longest_leaves_first() -> None:
    memory = holding("a", "b", "c", capacity=Capacity(entries=3, leaves=LeastRecent()))
    assert sorted(remembered(used(memory, "a"), "d", 1)) == ["a", "c", "d"]


def test_a_bound_on_bytes_counts_the_values_as_they_are_stored() -> None:
    memory = Memory(capacity=Capacity(bytes=20))
    for key in "abc":
        memory = remembered(memory, key, "x" * 6)  # 8 bytes with the quotes
    assert list(memory) == ["b", "c"]
    assert memory["b"].size == len(Codecs().encode("x" * 6)) == 8
    assert list(remembered(memory, "b", "y" * 10)) == ["c", "b"]
    assert list(remembered(memory, "b", "y" * 11)) == ["b"]
    assert remembered(Memory(), "k", "x" * 99)["k"].size == 0, "nothing is measured without a bound"


def test_what_can_never_fit_is_refused_and_nothing_leaves() -> None:
    memory = holding("a", capacity=Capacity(bytes=9))
    with pytest.raises(ValueError, match=r"'k' takes 12 bytes and the whole memory 9; raise bytes= or cut it"):
        remembered(memory, "k", "x" * 10)
    with pytest.raises(NotStorable, match="Diary is not declared"):
        remembered(memory, "k", Diary())
    codecs = Codecs(*STATE_CODECS, Diary)
    roomy = bounded(memory, Capacity(bytes=999))
    assert recalled(remembered(roomy, "k", Diary(), codecs=codecs), "k") == Diary()
    state = AgentState(memory=roomy)
    assert isinstance(fault_of(remember("k", Diary()), state).error, NotStorable)
    assert recalled(value_of(remember("k", Diary(), codecs=codecs), state).memory, "k") == Diary()


def test_a_memory_over_its_bounds_cannot_be_built() -> None:
    memory = holding("a", "b", "c")
    with pytest.raises(ValueError, match=r"3 entries of 0 bytes; use bounded\(memory, capacity\)"):
        evolve(memory, capacity=Capacity(entries=2))
    with pytest.raises(ValueError, match="never measured"):
        evolve(memory, capacity=Capacity(bytes=99))
    assert list(bounded(memory, Capacity(entries=2))) == ["b", "c"]
    assert list(bounded(memory, Capacity(bytes=1))) == ["c"]
    assert bounded(bounded(memory, Capacity(entries=2)), Capacity()).capacity == Capacity()


def test_using_one_entry_again_and_again_takes_no_more_room() -> None:
    for leaves in (Oldest(), LeastUsed(), LeastRecent()):
        memory = holding("a", "b", "c", capacity=Capacity(entries=3, leaves=leaves))
        for _ in range(500):
            memory = used(memory, "b")
        assert memory.line.waiting <= 2 * 3 + 33
        assert memory["b"].uses == 500


def test_no_time_that_is_given_confuses_the_order() -> None:
    memory = Memory(capacity=Capacity(entries=3))
    for key, when in (("a", 9e9), ("b", 5.0), ("c", -1e9), ("d", 5.0)):
        memory = remembered(memory, key, 1, origin=Origin(when))
    assert list(memory) == ["b", "c", "d"], "they came in this order, whatever their clocks said"


# --- branches --------------------------------------------------------------------------------------------------------


LATE: Plan[AgentState, AgentState] = task(slow(lambda state: state, seconds=10))


def on_each(plan: Plan[Any, Any], state: Any) -> list[Any]:
    """The outcomes on both event loops, in virtual time."""
    return [virtual_run(arun, plan, state), virtual_run(arun, plan, state, backend="trio")]


def test_branches_that_remember_different_keys_merge() -> None:
    plan = (LATE >> remember("a", 1)) & remember("b", 2) & (remember("c", 3) >> forget("old"))
    for outcome in on_each(plan, AgentState(memory=holding("old"))):
        memory = outcome.unwrap().memory
        assert {key: recalled(memory, key) for key in memory} == {"a": 1, "b": 2, "c": 3}


def test_one_key_in_two_branches_is_a_conflict() -> None:
    for outcome in on_each(remember("a", 1) & remember("b", 0) & remember("a", 2), EMPTY):
        fault = outcome.failure()
        assert isinstance(fault, MergeConflict)
        assert fault.path == (Attr("memory"), Item("a"))
        assert fault.branches == ("0 remember 'a'", "2 remember 'a'")


def test_forgetting_and_remembering_one_key_is_a_conflict_and_forgetting_twice_is_none() -> None:
    state = AgentState(memory=holding("a", "b"))
    assert isinstance(fault_of(forget("a") & remember("a", 1), state), MergeConflict)
    newest = AgentState(memory=evolve(state.memory, clash=Newest()))
    assert isinstance(fault_of(forget("a") & remember("a", 1), newest), MergeConflict)
    assert list(value_of(forget("a") & forget("a"), state).memory) == ["b"]
    assert list(value_of(use("a", ANSWER) & forget("a"), state).memory) == ["b"], "to use is not to change"


def test_uses_in_branches_add_up() -> None:
    state = AgentState(memory=used(holding("a"), "a"))
    answers = [lens(AgentState, lambda s, name=name: s.data[name]) for name in "xyz"]  # type: ignore[misc]
    plan = (
        (use("a", answers[0]) >> use("a", answers[0]))
        & use("a", answers[1])
        & (remember("a", 9) >> use("a", answers[2]))
    )
    done = value_of(plan, state)
    assert (done.memory["a"].uses, recalled(done.memory, "a")) == (5, 9)
    assert done.data == LoggedMap({"x": 0, "y": 0, "z": 9})


def test_the_newest_wins_where_the_memory_says_so() -> None:
    state = AgentState(memory=Memory(clash=Newest()))
    plan = (LATE >> remember("a", "late")) & remember("a", "early")
    for outcome in on_each(plan, state):
        assert recalled(outcome.unwrap().memory, "a") == "late"
    one = remembered(state.memory, "a", 1, origin=Origin(5.0, "same"))
    two = remembered(state.memory, "a", 2, origin=Origin(5.0, "same"))
    with pytest.raises(Conflict):
        merge(state.memory, (one, two))


@frozen
class Team:
    """A state that says how its memories meet."""

    last: Annotated[Memory, Merges(newest_wins)] = field(factory=Memory)
    all: Annotated[Memory, Merges(ByKey[tuple[int, ...]](concat, missing=()))] = field(factory=Memory)


LAST, ALL_OF = lens(Team, lambda t: t.last), lens(Team, lambda t: t.all)


def test_a_field_declares_how_one_key_in_two_branches_combines() -> None:
    here, there = Origin(1.0, "here"), Origin(2.0, "there")
    fork = Team()
    a = Team(remembered(fork.last, "k", 1, origin=there), remembered(fork.all, "k", (1,), origin=there))
    b = Team(remembered(fork.last, "k", 2, origin=here), remembered(fork.all, "k", (2,), origin=here))
    made = merge(fork, (a, b))
    assert (recalled(made.last, "k"), recalled(made.all, "k"), made.all["k"].origin) == (1, (1, 2), there)
    again = merge(made, tuple(evolve(made, all=remembered(made.all, "k", (1, 2, n))) for n in (3, 4)))
    assert recalled(again.all, "k") == (1, 2, 3, 4)
    plan = remember("k", (5,), memory=ALL_OF) & remember("k", (6,), memory=ALL_OF)
    assert recalled(value_of(plan, fork).all, "k") == (5, 6)
    with pytest.raises(ValueError, match=r'a branch changed \["k"\] and another forgot it'):
        merge(made, (evolve(made, all=forgotten(made.all, "k")), evolve(made, all=remembered(made.all, "k", (9,)))))


def test_bounds_hold_after_a_merge() -> None:
    state = AgentState(memory=holding("a", "b", "c", capacity=Capacity(entries=4)))
    done = value_of(remember("x", 1) & remember("y", 2) & (remember("z", 3) >> remember("w", 4)), state)
    assert len(done.memory) == 4
    assert not {"a", "b", "c"} & set(done.memory)


def test_what_left_for_lack_of_room_is_no_change_that_could_conflict() -> None:
    state = AgentState(memory=holding("a", "b", capacity=Capacity(entries=2)))
    done = value_of(remember("x", 1) & remember("a", "new"), state)
    assert sorted(done.memory) == ["a", "x"]
    nested = value_of((remember("x", 1) & remember("y", 1)) & remember("a", "new"), state)
    assert len(nested.memory) == 2
    inner = merge(state.memory, (remembered(state.memory, "x", 1), remembered(state.memory, "y", 1)))
    assert "a" in merge(state.memory, (inner, remembered(state.memory, "a", "new", origin=Origin(99.0))))


@pytest.mark.parametrize("forgets", [1, 64, 65])
def test_forgetting_one_key_does_not_make_a_forgotten_one_of_what_left_for_lack_of_room(forgets: int) -> None:
    fork = holding("a", "b", capacity=Capacity(entries=2))
    new = remembered(fork, "a", "new", origin=Origin(99.0))
    churned = fork
    for turn in range(forgets):
        churned = forgotten(remembered(churned, str(turn), turn), str(turn))
    churned = forgotten(churned, "b")
    assert list(churned) == []
    if forgets < 64:
        assert recalled(merge(fork, (new, churned)), "a") == "new"
    else:
        # More than are known by name: whatever is gone counts as forgotten, and nothing is lost in silence.
        with pytest.raises(Conflict, match='all changed \\["a"\\]'):
            merge(fork, (new, churned))
    with pytest.raises(Conflict, match='all changed \\["a"\\]'):
        merge(fork, (new, forgotten(fork, "a", "b")))


def test_bounds_that_two_branches_change_are_a_conflict() -> None:
    memory = holding("a", "b", "c")
    small, smaller = bounded(memory, Capacity(entries=2)), bounded(memory, Capacity(entries=1))
    with pytest.raises(Conflict, match="capacity"):
        merge(memory, (small, smaller))
    made = merge(memory, (remembered(memory, "d", 1, origin=Origin(99.0)), small))
    assert (list(made), made.capacity) == (["c", "d"], Capacity(entries=2))


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: repr(memory.capacity)[8:] + type(memory.clash).__name__)
def test_memories_obey_their_laws(memory: Memory) -> None:
    check_memory_laws(memory, max_examples=5)


@pytest.mark.sweep
@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: repr(memory.capacity)[8:] + type(memory.clash).__name__)
def test_memories_obey_their_laws_many_times(memory: Memory) -> None:
    check_memory_laws(memory, max_examples=200)


@pytest.mark.sweep
def test_the_law_check_finds_a_memory_whose_line_is_broken() -> None:
    broken = holding("ada", "bob", capacity=Capacity(entries=2))
    object.__setattr__(broken, "_line", Line({}, 0, 0))
    with pytest.raises(AssertionError, match="law 'a memory is never over its bounds' does not hold"):
        check_memory_laws(broken, max_examples=20)


# --- compacting ------------------------------------------------------------------------------------------------------


def keys_of(rows: tuple[tuple[str, Entry], ...]) -> tuple[str, ...]:
    return tuple(key for key, _ in rows)


def test_compacting_leaves_a_summary_of_what_went() -> None:
    memory = holding("a", "b", "c", "d")
    once = compacted(memory, keys_of, keep=2)
    assert (list(once), recalled(once, "summary")) == (["c", "d", "summary"], ("a", "b"))
    assert compacted(once, keys_of, keep=2) is once
    more = remembered(once, "e", 1)
    assert recalled(compacted(more, keys_of, keep=2), "summary") == ("summary", "c"), "the earlier summary comes first"
    assert list(compacted(more, keep=2)) == ["d", "summary", "e"], "without a hook they just go"
    assert list(compacted(memory, len, keep=0, into="digest")) == ["digest"]


def test_what_leaves_is_what_the_capacity_says() -> None:
    memory = used(holding("a", "b", "c", capacity=Capacity(entries=9, leaves=LeastUsed())), "a")
    assert keys_of(leaving(memory, keep=1)) == ("b", "c")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_hook_is_a_plan_or_a_function_sync_or_async(asynchronous: bool) -> None:
    async def later(rows: tuple[tuple[str, Entry], ...]) -> tuple[str, ...]:
        await asyncio.sleep(60)
        return keys_of(rows)

    state = AgentState(memory=holding("a", "b", "c"))
    hooks: list[Any] = [later] if asynchronous else [keys_of, pure(keys_of), fail(Stopped(reason="no")) | pure(keys_of)]
    for hook in hooks:
        outcome = virtual_run(arun, compact(hook, keep=1), state)
        memory = outcome.unwrap().memory
        assert (sorted(memory), recalled(memory, "summary")) == (["c", "summary"], ("a", "b"))
        assert memory["summary"].origin.step == "replace"


def test_the_hook_is_not_run_when_there_is_nothing_to_take_out() -> None:
    state = AgentState(memory=holding("a", "b"))
    assert value_of(compact(fail(Stopped(reason="must not run")), keep=2), state) == state
    assert isinstance(fault_of(compact(fail(Stopped(reason="runs")), keep=1), state), Stopped)
    assert list(value_of(compact(keep=1), state).memory) == ["b"]


def test_what_is_remembered_beside_a_long_summary_is_kept() -> None:
    async def long(rows: tuple[tuple[str, Entry], ...]) -> int:
        await asyncio.sleep(3600)
        return len(rows)

    state = AgentState(memory=holding("a", "b", "c"))
    memory = virtual_run(arun, compact(long, keep=1) & remember("new", 1), state).unwrap().memory
    assert (sorted(memory), recalled(memory, "summary")) == (["c", "new", "summary"], 2)
    fault = virtual_run(arun, compact(long, keep=1) & remember("a", "changed"), state).failure()
    assert isinstance(fault, MergeConflict), "what is summed up must not change meanwhile"


def runs(
    plan: Plan[AgentState, AgentState], count: int, each: Callable[[], None] = lambda: None, **options: Any
) -> str:
    """For each of several runs, each with the state that the one before left, whether it compacted."""
    state, seen = AgentState(memory=holding("a", "b")), ""
    for _ in range(count):
        each()
        state = value_of(remember("a", 1) >> remember("b", 1) >> remember("c", 1) >> plan, state, **options)
        seen += "x" if len(state.memory) < 3 else "-"
    return seen


def test_every_n_runs_is_counted_in_the_memory() -> None:
    assert runs(compact(keep=1, every=Every(runs=3)), 8) == "--x--x--"
    assert runs(compact(keep=1), 3) == "xxx"


def test_every_so_many_seconds_goes_by_the_clock_of_the_runs() -> None:
    clock = VirtualClock()
    context = Context(clock=clock, wall=lambda: DAY + clock())

    def wait() -> None:
        clock.sleep(40)

    hourly, either = Every(seconds=100), Every(seconds=100, runs=2)
    assert runs(compact(keep=1, every=hourly), 8, wait, context=context) == "---x--x-"
    assert runs(compact(keep=1, every=either), 4, wait, context=context) == "-x-x"


def test_a_stored_memory_is_compacted_every_n_runs() -> None:
    store, seen = MemoryStore(codecs=STATE_CODECS), []
    turn = remember("c", 1) >> remember("d", 1) >> compact(keep=1, every=Every(runs=3))
    first = AgentState(memory=holding("a", "b"))
    for _ in range(6):
        value_of(persisted(turn, store, "agent"), first)
        kept: Any = store.read("agent")
        seen.append(len(kept.value.memory))
    assert seen == [4, 4, 1, 2, 2, 1]


def on_a_loop(plan: Any, state: AgentState, context: Context) -> Any:
    return virtual_run(partial(arun, context=context), plan, state)


@pytest.mark.parametrize("on", [run, on_a_loop])
def test_a_stored_memory_is_compacted_every_so_many_seconds(on: Any) -> None:
    """By the clock of the runs, from when it was last done, whatever processes come and go in between."""
    store, clock, seen = MemoryStore(codecs=STATE_CODECS), VirtualClock(), ""
    turn = remember("c", 1) >> remember("d", 1) >> compact(keep=1, every=Every(seconds=100))
    first = AgentState(memory=holding("a", "b"))
    for seconds in (0, 60, 39, 1, 99, 1, 500, 0):
        clock.sleep(seconds)
        now = DAY + clock()
        context = Context(clock=VirtualClock(), wall=partial(float, now))
        on(persisted(turn, store, "agent"), first, context=context).unwrap()
        kept: Any = store.read("agent")
        seen += "x" if len(kept.value.memory) == 1 else "-"
        assert kept.value.memory.upkeep.since == (now if seen.endswith("x") else kept.value.memory.upkeep.since)
    assert seen == "---x-xx-"


# --- journals --------------------------------------------------------------------------------------------------------


def test_classes_of_one_s_own_may_have_the_names_of_these() -> None:
    @frozen
    class Memory:
        size: int

    Memory.__qualname__ = "Memory"
    codecs = Codecs(*STATE_CODECS, Memory)
    state = AgentState(data={"own": Memory(3)}, memory=holding("a"))
    assert codecs.decode(codecs.encode(state)) == state


def test_a_run_that_is_taken_up_again_has_the_same_memory() -> None:
    """What left for lack of room, what was forgotten and what was used are told apart after a resume as before."""
    context = Context(clock=VirtualClock(), wall=lambda: DAY)
    full = used(holding("a", "b", "c", "d", capacity=Capacity(entries=4, leaves=LeastUsed())), "b")
    one = remember("y", 1) >> use("b", ANSWER)
    two = remember("c", "new") >> compact(keys_of, keep=9)
    plan = remember("x", {"deep": [1]}) >> (one & two & use("b", QUESTION)) >> forget("x") >> remember("z", ANSWER)
    state = AgentState(memory=full, data={"question": 0, "answer": 0})
    journal = MemoryJournal(codecs=STATE_CODECS)
    outcome = run(plan, state, context=context, journal=journal)
    assert outcome == run(plan, state, context=context)
    assert sorted(outcome.unwrap().memory) == ["b", "c", "y", "z"], "c left one branch and was changed in another"
    entries = tuple(journal.entries())
    for count in range(1, len(entries)):
        again = MemoryJournal(codecs=STATE_CODECS)
        again.append_all(entries[:count])
        assert run(plan, state, context=context, journal=again) == outcome, f"after {count} entries"


def test_a_step_s_entry_in_a_journal_is_as_long_as_what_it_changed() -> None:
    lengths = []
    for size in (10, 3000):
        journal = MemoryJournal(codecs=STATE_CODECS)
        state = AgentState(memory=holding(*(f"key {n:04}" for n in range(size)), capacity=Capacity(entries=size)))
        context = Context(clock=VirtualClock(), wall=lambda: DAY)
        value_of(remember("new", 1) >> observe("rain", 1.0), state, context=context, journal=journal)
        lengths.append([len(entry) for entry in journal.entries() if b'"done"' in entry])
    assert lengths[0] == pytest.approx(lengths[1], abs=8)
    assert max(lengths[0]) < 1000


# --- the map that logs its changes -----------------------------------------------------------------------------------

Moves = list[tuple[str, int]]
MOVES: st.SearchStrategy[Moves] = st.lists(st.tuples(st.sampled_from("aabcdefg"), st.integers(-3, 9)), max_size=30)


def moved(table: Any, moves: Moves) -> Any:
    """A map after insertions, and removals where the number is negative."""
    for key, number in moves:
        if number >= 0:
            table = table.insert(key, number)
        elif key in table:
            table = table.remove(key)
    return table


@given(MOVES, MOVES)
def test_a_logged_map_is_the_plain_map_and_knows_what_changed(past: Moves, since: Moves) -> None:
    old: LoggedMap[str, int] = moved(LoggedMap[str, int](), past)
    new = moved(old, since)
    assert dict(new) == dict(moved(moved(HashTrieMap({}), past), since))
    assert new == LoggedMap(dict(new))
    assert hash(new) == hash(LoggedMap(dict(new)))
    changed = new.changed_since(old)
    truly = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    assert changed is None or truly <= set(changed) <= {key for key, _ in since}
    assert changed is not None or len(past) + len(since) > 16
    assert LoggedMap(dict(new)).changed_since(old) is None, "another past"
    assert old.update(dict(new)) == LoggedMap({**old, **new})


@given(MOVES, st.lists(MOVES, min_size=2, max_size=3))
def test_logged_maps_merge_as_plain_ones_do(past: Moves, branches: list[Moves]) -> None:
    for of in (str, tuple):
        tables: list[Any] = [moved(LoggedMap(), past), moved(HashTrieMap(), past)]
        outcomes: list[Any] = []
        for table in tables:
            try:
                made = merge(table, tuple(moved(table, row) for row in branches))
                outcomes.append((of, dict(made)))
            except Conflict as conflict:
                outcomes.append(sorted(map(str, conflict.branches)) if len(branches) == 2 else "conflict")
        assert outcomes[0] == outcomes[1]


class Counting(str):
    """A key that counts how often a map looks at it."""

    looks = 0

    def __hash__(self) -> int:
        Counting.looks += 1
        return super().__hash__()

    __eq__ = str.__eq__


def test_a_merge_looks_at_no_more_than_what_changed() -> None:
    rows: dict[str, int] = {Counting(i): i for i in range(5000)}
    big = LoggedMap(rows)
    one, two = (reduce(lambda made, i: made.insert(Counting(f"{n} {i}"), i), range(10), big) for n in range(2))
    states = [AgentState(data=table) for table in (big, one, two)]
    memory = AgentState(memory=Memory(LoggedMap({key: Entry(1, Origin(), 1, 1) for key in rows})))
    noted = [evolve(memory, memory=remembered(memory.memory, Counting(f"n {n}"), 1)) for n in range(2)]
    Counting.looks = 0
    assert len(merge(states[0], (states[1], states[2])).data) == 5020
    assert len(merge(memory, tuple(noted)).memory) == 5002
    assert Counting.looks < 300


def test_a_log_is_forgotten_once_it_is_longer_than_the_map() -> None:
    small: LoggedMap[str, int] = LoggedMap({"a": 1})
    after = reduce(lambda table, n: table.insert("a", n), range(100), small)
    assert after.changed_since(small) is None
    big: LoggedMap[int, int] = LoggedMap({n: n for n in range(200)})
    later = reduce(lambda table, n: table.insert(n, -n), range(1, 101), big)
    assert later.changed_since(big) == set(range(1, 101))


def test_copies_and_pickles_of_long_pasts_are_small_and_equal() -> None:
    table: LoggedMap[int, int] = reduce(lambda made, n: made.insert(n, n), range(5000), LoggedMap[int, int]())
    for again in (pickle.loads(pickle.dumps(table)), copy.deepcopy(table), copy.copy(table)):
        assert again == table
        assert again.changed_since(table) is None
    memory = holding(*map(str, range(30)), capacity=Capacity(entries=20))
    for other in (pickle.loads(pickle.dumps(memory)), copy.deepcopy(memory), evolve(memory)):
        assert remembered(other, "new", 1) == remembered(memory, "new", 1)


def test_fields_of_an_agent_s_state_merge_by_key() -> None:
    state = AgentState(data={"a": 1, "b": 2}, scratch={"x": ()})

    @task(reads=DATA, writes=DATA)
    def one(data: LoggedMap[str, Any]) -> LoggedMap[str, Any]:
        return data.insert("c", 3).remove("a")

    @task
    def two(whole: AgentState) -> AgentState:
        return evolve(whole, data=whole.data.insert("b", 20))

    @task(reads=SCRATCH, writes=SCRATCH)
    def three(scratch: LoggedMap[str, Any]) -> LoggedMap[str, Any]:
        return scratch.insert("y", 1)

    done = value_of(one & two & three, state)
    assert (dict(done.data), dict(done.scratch)) == ({"b": 20, "c": 3}, {"x": (), "y": 1})
    assert done == AgentState(data={"b": 20, "c": 3}, scratch={"x": (), "y": 1})


def test_every_order_of_branches_gives_one_memory() -> None:
    fork = holding("a", "b", "c", capacity=Capacity(entries=4, leaves=LeastUsed()))
    tips = (
        used(fork, "a"),
        remembered(fork, "x", 1, origin=Origin(50.0)),
        remembered(fork, "y", 2, origin=Origin(50.0)),
    )
    made = {merge(fork, row).entries for row in permutations(tips)}
    assert len(made) == 1
    assert Success(made.pop()).unwrap() is not None
