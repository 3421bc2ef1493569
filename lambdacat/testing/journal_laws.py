"""The laws of journals: what any log of runs must keep, whatever it is made of, for those who write one.

A journal is given as a function from the name of a run to a handle on it: two calls with one name are two processes
that open the same run. Laws about owners, groups and answers apply to journals that have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from hypothesis import strategies as st

from lambdacat.interpreters.journal import Answerable, Grouped, Journal, JournalCorrupt, Leased, RunBusy, past_of
from lambdacat.interpreters.run import run
from lambdacat.leaf import task
from lambdacat.plan import Plan
from lambdacat.testing.proving import Draw, law_name, prove

Opens: TypeAlias = Callable[[str], Any]
"""A new handle on the run of that name."""
Law: TypeAlias = Callable[[Opens, Draw], None]

_ENTRIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
_ODD = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30),
    st.sampled_from(["'; drop table runs; --", "../../runs", "%_", "a/b#1", "é", "e\u0301", "🐈", "\n", "x" * 10_000]),
)


def _fresh() -> str:
    return f"run {uuid4().hex}"


@contextmanager
def _handles(opens: Opens, *runs: str) -> Iterator[tuple[Any, ...]]:
    """Handles on runs, closed at the end where they can be."""
    with ExitStack() as stack:
        handles = []
        for name in runs:
            handle = opens(name)
            handles.append(handle)
            stack.callback(getattr(handle, "close", int))
        yield tuple(handles)


@contextmanager
def _owner(opens: Opens, name: str) -> Iterator[Any]:
    """A handle that may append."""
    with _handles(opens, name) as (journal,):
        if isinstance(journal, Leased):
            journal.acquire()
        try:
            yield journal
        finally:
            if isinstance(journal, Leased):
                journal.release()


def _keep(opens: Opens, name: str, *entries: bytes) -> None:
    """A process that appends these and ends."""
    with _owner(opens, name) as journal:
        for entry in entries:
            journal.append(entry)


def _check(opens: Opens, name: str, entries: Sequence[bytes]) -> None:
    """A process that opens the run now finds these."""
    with _handles(opens, name) as (journal,):
        found = list(journal.entries())
    assert found == list(entries), f"{name!r} has the entries {found!r}, not {entries!r}"


def _refused(wanted: type[Exception], act: Callable[[], object]) -> None:
    try:
        act()
    except wanted:
        return
    raise AssertionError(f"nothing was refused with {wanted.__name__}")


# --- entries ---------------------------------------------------------------------------------------------------------


def a_run_that_nobody_began_has_no_entries(opens: Opens, draw: Draw) -> None:
    """``entries()`` of a new name is empty, and stays so when it was read; where it can be ``missing``, it is."""
    name = _fresh()
    for _ in range(2):
        _check(opens, name, ())
        with _handles(opens, name) as (journal,):
            assert getattr(journal, "missing", lambda: "perhaps")(), f"{name!r} is there, and nobody began it"
    _keep(opens, name, b"an entry")
    with _handles(opens, name) as (journal,):
        assert not getattr(journal, "missing", str)(), f"{name!r} has an entry, and is said to be missing"


def entries_come_back_as_they_were_and_in_order(opens: Opens, draw: Draw) -> None:
    """For the one who appended them, and for whoever opens the run after."""
    name, entries = _fresh(), draw(_ENTRIES)
    with _owner(opens, name) as journal:
        for count, entry in enumerate(entries, 1):
            journal.append(entry)
            for found in (list(journal.entries()), list(journal.entries())):
                assert found == entries[:count], f"{entries[:count]!r} came back as {found!r}"
    _check(opens, name, entries)


def an_entry_is_there_for_others_when_append_returns(opens: Opens, draw: Draw) -> None:
    """Also while the run is owned: reading wants no owner."""
    name, entries = _fresh(), draw(_ENTRIES)
    with _owner(opens, name) as journal:
        for count, entry in enumerate(entries, 1):
            journal.append(entry)
            _check(opens, name, entries[:count])


def entries_of_one_owner_follow_those_of_the_last(opens: Opens, draw: Draw) -> None:
    """Whoever opened the run in between."""
    name, parts = _fresh(), draw(st.lists(_ENTRIES, min_size=1, max_size=3))
    for entries in parts:
        _keep(opens, name, *entries)
    _check(opens, name, [entry for entries in parts for entry in entries])


def runs_in_one_place_are_apart(opens: Opens, draw: Draw) -> None:
    """Whatever order their entries come in."""
    names = _fresh(), _fresh()
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=20)), max_size=8))
    with _owner(opens, names[0]) as one, _owner(opens, names[1]) as two:
        for which, entry in rows:
            (one, two)[which].append(entry)
    for which, name in enumerate(names):
        _check(opens, name, [entry for one, entry in rows if one == which])


def a_run_may_have_any_name(opens: Opens, draw: Draw) -> None:
    """Quotes, slashes, other scripts, 10,000 letters; names that only look alike are two runs."""
    name = f"{uuid4().hex}{draw(_ODD)}"
    _keep(opens, name, b"its own")
    _check(opens, name, [b"its own"])
    for other in {name.swapcase(), f"{name} ", name[:-1], f"{name}%"} - {name}:
        _check(opens, other, ())


def an_entry_may_be_large(opens: Opens, draw: Draw) -> None:
    """A million bytes, and what follows them."""
    name, large = _fresh(), draw(st.binary(min_size=1, max_size=8)) * 131_072
    _keep(opens, name, large, b"small")
    _check(opens, name, [large, b"small"])


# --- groups ----------------------------------------------------------------------------------------------------------


def a_group_is_its_entries_in_order(opens: Opens, draw: Draw) -> None:
    """``append_all`` gives what one ``append`` after the other would."""
    name, parts = _fresh(), draw(st.lists(_ENTRIES.filter(bool), min_size=1, max_size=3))
    with _owner(opens, name) as journal:
        for entries in parts:
            journal.append_all(entries)
            journal.append(b"between")
    _check(opens, name, [entry for entries in parts for entry in (*entries, b"between")])


def a_group_of_a_replaced_owner_is_refused_whole(opens: Opens, draw: Draw) -> None:
    """None of it is kept."""
    name, entries = _fresh(), draw(_ENTRIES.filter(bool))
    with _handles(opens, name) as (first,):
        first.acquire()
        first.release()
        with _owner(opens, name):
            _refused(RunBusy, partial(first.append_all, entries))
            _check(opens, name, ())


# --- owners ----------------------------------------------------------------------------------------------------------


def a_run_has_one_owner_at_a_time(opens: Opens, draw: Draw) -> None:
    """Another is refused by name, in the same process too, and the first goes on."""
    name = _fresh()
    with _owner(opens, name) as first, _handles(opens, name) as (second,):
        _refused(RunBusy, second.acquire)
        _refused(RunBusy, first.acquire)
        first.append(b"an entry")
    _check(opens, name, [b"an entry"])


def the_number_of_an_ownership_only_grows(opens: Opens, draw: Draw) -> None:
    """Whoever owns next."""
    name, epochs = _fresh(), list[int]()
    for again in draw(st.lists(st.booleans(), min_size=2, max_size=5)):
        with _handles(opens, name) as (journal,):
            epochs.append(journal.acquire(again=again))
            journal.release()
    assert epochs == sorted(set(epochs)), f"owners were numbered {epochs}"
    assert epochs[0] > 0, "0 is for runs without owners"


def nothing_is_appended_by_who_does_not_own(opens: Opens, draw: Draw) -> None:
    """Neither before an ``acquire``, nor after a ``release``, nor after another one's ``acquire``."""
    name = _fresh()
    with _handles(opens, name) as (first,):
        _refused(RunBusy, partial(first.append, b"too early"))
        first.acquire()
        first.append(b"in time")
        first.release()
        _refused(RunBusy, partial(first.append, b"too late"))
        with _owner(opens, name) as second:
            _refused(RunBusy, partial(first.append, b"much too late"))
            second.append(b"the next")
    _check(opens, name, [b"in time", b"the next"])


def a_second_release_takes_nothing_from_the_next_owner(opens: Opens, draw: Draw) -> None:
    """The run stays its new owner's."""
    name = _fresh()
    with _handles(opens, name, name) as (first, third):
        first.acquire()
        first.release()
        with _owner(opens, name) as second:
            first.release()
            _refused(RunBusy, third.acquire)
            second.append(b"an entry")
    _check(opens, name, [b"an entry"])


def runs_are_owned_apart(opens: Opens, draw: Draw) -> None:
    """Owning one run says nothing of another."""
    with _owner(opens, _fresh()) as one, _owner(opens, _fresh()) as two:
        one.append(b"an entry")
        two.append(b"an entry")


def of_those_who_come_together_one_owns(opens: Opens, draw: Draw) -> None:
    """The others are refused by name."""
    name, crowd = _fresh(), draw(st.integers(2, 6))
    with _handles(opens, *[name] * crowd) as handles, ThreadPoolExecutor(crowd) as pool:
        came = [pool.submit(handle.acquire) for handle in handles]
        faults = [one.exception() for one in came]
        for handle, fault in zip(handles, faults, strict=True):
            if fault is None:
                handle.release()
    assert faults.count(None) == 1, f"{faults.count(None)} of {crowd} own the run"
    assert all(isinstance(fault, RunBusy) for fault in faults if fault), f"not all were told why: {faults!r}"


# --- answers ---------------------------------------------------------------------------------------------------------


def the_first_answer_stays(opens: Opens, draw: Draw) -> None:
    """Later ones are refused with False, whoever gives them."""
    name, key = _fresh(), draw(_ODD)
    values = draw(st.lists(st.binary(min_size=1, max_size=20), min_size=2, max_size=4))
    with _handles(opens, *[name] * len(values)) as handles:
        given = [journal.answer(key, value) for journal, value in zip(handles, values, strict=True)]
        found = dict(handles[0].answers())
    assert given == [True] + [False] * (len(values) - 1), f"answers in a row were told {given}"
    assert found == {key: values[0]}, f"after {values!r} the answer is {found!r}"


def answers_need_no_owner_and_disturb_none(opens: Opens, draw: Draw) -> None:
    """They come while a run is going on; its owner sees them when it looks."""
    name = _fresh()
    with _owner(opens, name) as owner, _handles(opens, name) as (other,):
        owner.append(b"a question")
        assert other.answer("0", b"yes"), "a run that is owned took no answer"
        assert dict(owner.answers()) == {"0": b"yes"}, "its owner does not see the answer"
        owner.append(b"the answer")
    _check(opens, name, [b"a question", b"the answer"])


def answers_of_runs_are_apart(opens: Opens, draw: Draw) -> None:
    """Also of runs that have not begun."""
    one, two = _fresh(), _fresh()
    with _handles(opens, one, two) as (first, second):
        assert first.answer("0", b"to one"), "a run that has not begun took no answer"
        assert dict(second.answers()) == {}, "an answer went to another run"
        assert second.answer("0", b"to two"), "an answer to another run counted"
    _keep(opens, one, b"an entry")
    with _handles(opens, one, two) as (first, second):
        assert dict(first.answers()) == {"0": b"to one"}, "an answer from before the run is lost"
        assert dict(second.answers()) == {"0": b"to two"}, "an answer went to another run"


def of_answers_that_come_together_one_stays(opens: Opens, draw: Draw) -> None:
    """And only the one who gave it is told so."""
    name, crowd = _fresh(), draw(st.integers(2, 6))
    with _handles(opens, *[name] * crowd) as handles, ThreadPoolExecutor(crowd) as pool:
        told = list(pool.map(lambda number: handles[number].answer("0", b"%d" % number), range(crowd)))
        found = dict(handles[0].answers())
    assert told.count(True) == 1, f"{told.count(True)} of {crowd} were the first"
    assert found == {"0": b"%d" % told.index(True)}, f"one was told that its answer stays, and {found!r} did"


# --- runs ------------------------------------------------------------------------------------------------------------


def _counted(calls: list[int]) -> Plan[int, int]:
    @task
    def more(number: int) -> int:
        calls.append(number)
        return number + 1

    return more.loop_while(lambda number: number < 4)


class _Stop(KeyboardInterrupt):
    """Ends a run as nothing in it can."""


def a_run_goes_on_from_it(opens: Opens, draw: Draw) -> None:
    """What is recorded is not performed again, however the journal was opened in between."""
    name, calls, stop = _fresh(), list[int](), draw(st.integers(1, 4))
    plan = _counted(calls)

    def stopping(event: object) -> None:
        if len(calls) == stop:
            raise _Stop

    with _handles(opens, name) as (journal,), suppress(_Stop):
        run(plan, 0, journal=journal, observers=[stopping])
    for _ in range(2):
        with _handles(opens, name) as (journal,):
            assert run(plan, 0, journal=journal).unwrap() == 4, "the run came to another result"
    assert sorted(set(calls)) == [0, 1, 2, 3], f"the steps that were performed are {calls}"
    assert len(calls) <= 5, f"more than the step in flight was performed again: {calls}"


def what_no_run_wrote_is_found(opens: Opens, draw: Draw) -> None:
    """The entries of a run are a chain; reading one that was not written by it is ``JournalCorrupt``."""
    name, strange = _fresh(), draw(st.binary(min_size=1, max_size=60))
    with _handles(opens, name) as (journal,):
        run(_counted([]), 0, journal=journal)
    _keep(opens, name, strange)
    with _handles(opens, name) as (journal,):
        _refused(JournalCorrupt, partial(past_of, journal))


_LOG: tuple[Law, ...] = (
    a_run_that_nobody_began_has_no_entries,
    entries_come_back_as_they_were_and_in_order,
    an_entry_is_there_for_others_when_append_returns,
    entries_of_one_owner_follow_those_of_the_last,
    runs_in_one_place_are_apart,
    a_run_may_have_any_name,
    an_entry_may_be_large,
    a_run_goes_on_from_it,
    what_no_run_wrote_is_found,
)
_GROUPS: tuple[Law, ...] = (a_group_is_its_entries_in_order,)
_OWNERS: tuple[Law, ...] = (
    a_run_has_one_owner_at_a_time,
    the_number_of_an_ownership_only_grows,
    nothing_is_appended_by_who_does_not_own,
    a_second_release_takes_nothing_from_the_next_owner,
    runs_are_owned_apart,
    of_those_who_come_together_one_owns,
)
_ANSWERS: tuple[Law, ...] = (
    the_first_answer_stays,
    answers_need_no_owner_and_disturb_none,
    answers_of_runs_are_apart,
    of_answers_that_come_together_one_stays,
)


def journal_laws(journal: Journal) -> tuple[Law, ...]:
    """The laws that a journal is held to, by what it can do."""
    found = _LOG
    if isinstance(journal, Grouped):
        found += _GROUPS
    if isinstance(journal, Leased):
        found += _OWNERS
    if isinstance(journal, Leased) and isinstance(journal, Grouped):
        found += (a_group_of_a_replaced_owner_is_refused_whole,)
    if isinstance(journal, Answerable):
        found += _ANSWERS
    return found


def check_journal_laws(make: Callable[[str], Journal], *, max_examples: int = 25) -> None:
    """Check a journal of your own: ``make(run_id)`` gives a new handle on the run of that name.

    A handle that has a method ``close`` is closed. Errors: ``AssertionError`` whose first line names the broken law.

    >>> from functools import cache
    >>> from lambdacat import MemoryJournal
    >>> check_journal_laws(cache(MemoryJournal), max_examples=2)
    """
    with _handles(make, _fresh()) as (journal,):
        laws = journal_laws(journal)
    for law in laws:
        prove(law_name(law), partial(law, make), max_examples=max_examples)
