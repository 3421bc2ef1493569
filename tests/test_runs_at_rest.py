"""A journal file seen from outside: what is said of its runs, that looking leaves no trace, and what may be removed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import catch_warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_shell import FILE, IN_MEMORY, NUMBER, Say, Spec, begin, content, data, done, one_line, say, spec

from lambdacat import Plan, SqliteJournal, can_resume, questions, run
from lambdacat.codec import Codecs
from lambdacat.interpreters.journal import sealed
from lambdacat.store.heads import Heads
from lambdacat.store.runs_at_rest import NoRun, Status, journal_at_rest, named_runs, old_runs, remove, run_in, runs_in
from lambdacat.testing import Sample, plans, states
from lambdacat.testing.sample import Circle, Point, Square

__all__ = ["begin", "say", "spec"]


SAMPLES = Codecs(Sample, Point, Circle, Square)


class Killed(KeyboardInterrupt):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    """A journal file for many runs."""
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        yield Path(folder, "runs.db")


def begun(file: Path, plan: Plan[Sample, Sample], value: Sample, last: int) -> str:
    """A run that is cut off after some entries; its name."""
    name = f"run {next(NUMBER)}"
    journal = SqliteJournal(file, run_id=name, codecs=SAMPLES, durability="normal")
    append = journal.append

    def cut(entry: bytes) -> None:
        append(entry)
        if json.loads(entry[33:])["n"] == last:
            raise Killed

    journal.append = cut  # type: ignore[method-assign]
    with suppress(Killed):
        run(plan, value, journal=journal)
    return name


@settings(max_examples=15)
@given(plan=plans(), value=states(), last=st.integers(0, 8))
def test_what_is_said_of_a_run_is_what_its_journal_says(
    file: Path, plan: Plan[Sample, Sample], value: Sample, last: int
) -> None:
    name = begun(file, plan, value, last)
    journal = SqliteJournal(file, run_id=name, codecs=SAMPLES, durability="normal")
    found, copy, held = run_in(file, name), journal_at_rest(file, name), can_resume(plan, journal)
    assert (found.status, found.steps, found.questions) == (held.status, held.done, len(questions(journal)))
    assert list(copy.entries()) == list(journal.entries())
    assert found.size == sum(map(len, copy.entries()))
    assert (found.owner, found.aside, found.busy) == (None, "", "")
    journal.close()


@settings(max_examples=15)
@given(plan=plans(), value=states(), last=st.integers(0, 8), flip=st.tuples(st.integers(0), st.integers(0)))
def test_a_bit_that_flips_in_an_entry_is_seen_from_outside(
    file: Path, plan: Plan[Sample, Sample], value: Sample, last: int, flip: tuple[int, int]
) -> None:
    """R-J3."""
    name = begun(file, plan, value, last)
    found = run_in(file, name)
    with closing(sqlite3.connect(file)) as database, database:
        seq = flip[0] % found.entries
        [entry] = database.execute("select entry from entries where run=? and seq=?", (found.number, seq)).fetchone()
        bits = bytearray(entry)
        bits[flip[1] // 8 % len(bits)] ^= 1 << flip[1] % 8
        database.execute("update entries set entry=? where run=? and seq=?", (bytes(bits), found.number, seq))
    assert run_in(file, name).status == "damaged"


def test_a_damaged_run_says_which_entry(begin: Say, say: Say, spec: Spec) -> None:
    begin("chain", "a")
    begin("chain", "b")
    with closing(sqlite3.connect(FILE)) as database, database:
        database.execute(
            "update entries set entry=cast(replace(cast(entry as text), '0.5', '0.6') as blob) where run=1 and seq=2"
        )
    assert [each.status for each in runs_in(FILE)] == ["damaged", "success"]
    for words in (["show"], ["resume", "--plan", spec("chain")]):
        one_line(
            say("runs", words[0], FILE, "a", *words[1:]), 1, "entry 2 of run 'a' is not what was written, after more"
        )
    assert say("runs", "show", FILE, "b")[0] == 0


def test_a_file_that_lost_its_end_is_noticed(begin: Say, say: Say) -> None:
    begin("chain", "a")
    with closing(sqlite3.connect(FILE)) as database, database:
        database.execute("delete from entries where seq > 2")
    one_line(say("runs", "show", FILE, "a"), 1, "run 'a' in runs.db: entries 3 to 4 were acknowledged")


def test_a_run_can_be_looked_at_while_it_goes_on(begin: Say) -> None:
    begin("chain", "other")
    with catch_warnings(action="ignore", category=DeprecationWarning):
        writer = os.fork()  # there may be threads that the child does not miss
    if writer == 0:
        try:
            journal, digest = SqliteJournal(FILE, run_id="a"), b""
            journal.acquire()
            for number in range(2000):
                digest, entry = sealed(digest, {"n": number, "kind": "begin", "format": 1, "run": "a"})
                journal.append(entry)
        finally:
            os._exit(0)
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        with suppress(NoRun):  # which it is until the other process has begun
            journal_at_rest(FILE, "a")
    assert (run_in(FILE, "a").entries, run_in(FILE, "a").owner) == (2000, None)


@pytest.mark.parametrize("killed", [False, True])
def test_looking_leaves_no_trace(begin: Say, say: Say, spec: Spec, killed: bool) -> None:
    begin("publish", "a")
    if killed:
        # Whoever closes a journal last puts the log into it, and a process that is killed closes nothing.
        with closing(sqlite3.connect(FILE)) as reader:
            reader.execute("begin").execute("select * from runs").fetchall()
            say("runs", "answer", FILE, "a", "T")
            files = content()
        for name, found in files.items():
            Path(name).write_bytes(found)
    before = content()
    assert ("runs.db-wal" in before) is killed
    assert run_in(FILE, "a").status == ("unfinished" if killed else "waiting")
    say("runs", "list", FILE)
    say("runs", "show", FILE, "a", "--plan", spec("publish"))
    say("runs", "prune", FILE, "--older-than", "0s", "--status", "unfinished", "--dry-run")
    say("runs", "replay", FILE, "a", "--plan", spec("publish"), "--changed", "more")
    assert content() == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without rights")
def test_a_file_in_a_folder_that_cannot_be_written_can_be_read(begin: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-J5."""
    begin("chain", "a")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert [each.status for each in runs_in(FILE)] == ["success"]


# --- removing --------------------------------------------------------------------------------------------------------


def test_prune_removes_what_has_ended_long_ago(begin: Say, say: Say) -> None:
    for plan, name in (("publish", "waits"), ("chain", "good"), ("faulty", "bad"), ("chain", "new")):
        begin(plan, name)
    with closing(sqlite3.connect(FILE)) as database, database:
        database.execute("update runs set updated=updated - 31 * 86400 where run<>'new'")
    dry = say("runs", "prune", FILE, "--dry-run")
    assert dry[1].splitlines()[-1].startswith("would remove 2 runs, ")
    assert len(runs_in(FILE)) == 4
    pruned = data(say("runs", "prune", FILE, "--json"))
    assert [each["run"] for each in pruned["removed"]] == ["good", "bad"]
    assert sorted(each.run for each in runs_in(FILE)) == ["new", "waits"]
    assert say("runs", "prune", FILE)[1] == "removed 0 runs, 0 B\n"


def test_prune_by_status_and_age(begin: Say, say: Say) -> None:
    for plan, name in (("publish", "waits"), ("chain", "good"), ("faulty", "bad")):
        begin(plan, name)
    assert data(say("runs", "prune", FILE, "--status", "failure", "--json"))["removed"] == []
    every = "success,failure,unfinished,set-aside,damaged"
    assert say("runs", "prune", FILE, "--status", every, "--older-than", "1h")[1] == "removed 0 runs, 0 B\n"
    say("runs", "prune", FILE, "--status", every, "--older-than", "0s")
    assert [each.run for each in runs_in(FILE)] == ["waits"]


def test_a_run_that_waits_is_removed_by_name_alone(begin: Say, say: Say) -> None:
    begin("publish", "a")
    assert (
        "a run that is waiting is only removed by name, with --run"
        in say("runs", "prune", FILE, "--status", "waiting")[2]
    )
    assert data(say("runs", "prune", FILE, "--run", "a", "--json"))["removed"][0]["run"] == "a"
    assert runs_in(FILE) == ()
    begin("publish", "a")
    assert done() == ["more", "more"]


def test_prune_gives_the_space_back(begin: Say, say: Say) -> None:
    begin("chain", "small")
    begin("numbers", "large", "--input", json.dumps("x" * 300_000))
    pruned = data(say("runs", "prune", FILE, "--run", "large", "--json"))
    assert pruned["not_smaller_because"] == ""
    assert pruned["size_before"] - pruned["size_after"] > 300_000
    assert Heads(FILE).read(2) is None
    assert Heads(FILE).read(1) is not None


def test_prune_waits_with_the_space_while_a_run_goes_on(begin: Say, say: Say) -> None:
    begin("chain", "a")
    begin("publish", "b")
    journal = SqliteJournal(FILE, run_id="b")
    journal.acquire()
    assert (
        "(not made smaller: run 'b' is going on; the space is used again)"
        in say("runs", "prune", FILE, "--run", "a")[1]
    )
    begin("publish", "c")
    assert old_runs(FILE, ("unfinished", "waiting", "running"), 0.0) == ()
    journal.release()


def test_a_run_that_was_taken_up_after_it_was_chosen_stays(begin: Say) -> None:
    begin("chain", "a")
    ended: tuple[Status, ...] = ("success", "failure")
    chosen = old_runs(FILE, ended, 0.0)
    journal = SqliteJournal(FILE, run_id="a")
    journal.acquire()
    journal.release()
    done = remove(FILE, chosen)
    assert (done.runs, [each.run for each in done.kept]) == ((), ["a"])
    assert run_in(FILE, "a").status == "success"


def test_the_owner_of_a_removed_run_cannot_write_to_another(begin: Say, say: Say) -> None:
    begin("publish", "a")
    stalled = SqliteJournal(FILE, run_id="a")
    stalled.acquire()
    assert f"process {os.getpid()} has one of them" in say("runs", "prune", FILE, "--run", "a")[1]
    begin("publish", "b")
    other = SqliteJournal(FILE, run_id="b")
    other.acquire()
    with pytest.raises(Exception, match="run 'a' was taken over"):
        stalled.append(b"not an entry")
    stalled.release()
    other.release()
    assert run_in(FILE, "b").status == "waiting"


def test_names_and_filters_are_not_mixed(begin: Say, say: Say) -> None:
    begin("chain", "a")
    one_line(say("runs", "prune", FILE, "--run", "a", "--older-than", "0s"), 2, "--run removes the runs that it names")
    one_line(say("runs", "prune", FILE, "--run", "b"), 2, "runs.db has no run 'b'")
    assert named_runs(FILE, ["a", "a"]) == (run_in(FILE, "a"),)
