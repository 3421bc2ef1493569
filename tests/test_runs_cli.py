"""The commands of durable runs: what they say of a run, what they leave alone, and how they refuse."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from io import StringIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, get_ident
from typing import Any

import anyio
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdacat import Plan, SqliteJournal, arun, can_resume, gather, questions, run, task
from lambdacat.cli import main
from lambdacat.codec import Codecs
from lambdacat.event import Finished, Started
from lambdacat.interpreters.journal import past_of, sealed
from lambdacat.shown import Interrupted
from lambdacat.stopping import until_stopped
from lambdacat.store.heads import Heads
from lambdacat.store.leases import Owner
from lambdacat.store.runs_at_rest import Status, journal_at_rest, named_runs, old_runs, remove, run_in, runs_in
from lambdacat.terminal import Running, progress
from lambdacat.testing import Sample, plans, states
from lambdacat.testing.sample import Circle, Point, Square

PLANS = '''
"""Plans for tests; what a step does outside is a line in the file ``done``."""
import os, time
from enum import Enum
from pathlib import Path
from attrs import frozen
import anyio
from lambdacat import FIRST_COMPLETED, approve, ask, lens, parallel, task
from lambdacat.codec import Codec, Codecs

class Tone(Enum):
    WARM = 1
    COOL = 2

@frozen
class Page:
    title: str = ""
    words: int = 0
    body: str = ""
    score: float = 0.0
    good: bool = False
    tags: tuple[str, ...] = ()
    tone: Tone | None = None
    where: Path | None = None

TITLE, WORDS, BODY = lens(Page, lambda p: p.title), lens(Page, lambda p: p.words), lens(Page, lambda p: p.body)
SCORE, GOOD, TAGS = lens(Page, lambda p: p.score), lens(Page, lambda p: p.good), lens(Page, lambda p: p.tags)
TONE, WHERE = lens(Page, lambda p: p.tone), lens(Page, lambda p: p.where)

def note(what):
    with open("done", "a") as file:
        file.write(what + "\\n")

@task(reads=WORDS, writes=WORDS)
def more(words: int) -> int:
    note("more")
    return words + 1

@task(reads=TITLE, writes=BODY)
def write(title: str) -> str:
    note("write")
    return title * 2

@task(reads=WORDS, writes=SCORE)
def judge(words: int) -> float:
    note("judge")
    return words / 2

@task(reads=WORDS, writes=WORDS)
def broken(words: int) -> int:
    raise ValueError("no such luck")

@task(reads=WORDS, writes=WORDS)
async def nap(words: int) -> int:
    seconds = 0 if os.path.exists("awake") else 60
    try:
        print("asleep", flush=True)
        await anyio.sleep(seconds)
    finally:
        note("cleaned")
    return words

@task(reads=WORDS, writes=WORDS)
def block(words: int) -> int:
    seconds = 0 if os.path.exists("awake") else 60
    print("asleep", flush=True)
    time.sleep(seconds)
    return words

@task(reads=WORDS, writes=WORDS, blocking="inline")
def stand_still(words: int) -> int:
    return block.action(words)

chain = more >> judge >> write
publish = more >> ask("what title?", into=TITLE) >> write >> approve(lambda p: f"publish {p.title}?") >> more
two = (ask("what title?", into=TITLE) & ask("how many?", into=WORDS)) >> write
race = parallel(ask("what title?", into=TITLE), more, policy=FIRST_COMPLETED) >> approve("go on?")
turns = more.loop_while(WORDS.where(lambda n: n < 3)) >> write
faulty = more >> broken.retry(1)
strange = approve("a \\x1b[31mred\\x1b[0m question?")
naps, blocks, stands = more >> nap >> more, more >> block >> more, more >> stand_still >> more
wants_words = ask("?", into=WORDS)
wants_title = ask("?", into=TITLE)
wants_score = ask("?", into=SCORE)
wants_good = ask("?", into=GOOD)
wants_tags = ask("?", into=TAGS)
wants_tone = ask("?", into=TONE)
wants_where = ask("?", into=WHERE)
numbers = task(name="add")(lambda n: n if isinstance(n, str) else n + 1)
codecs = (Codec(Page, version=2, migrations={1: lambda fields: fields}),)
nothing = 7
'''

Said = tuple[int, str, str]
Say = Callable[..., Said]


NUMBER = count()
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files cost no wait for a disk: what is tested here is what is said of them."""


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Names a plan of a module in the current folder."""
    name = f"plans_of_runs_{next(NUMBER)}"
    monkeypatch.setattr(sys, "path", list(sys.path))
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        Path(folder, f"{name}.py").write_text(PLANS, encoding="utf-8")
        monkeypatch.chdir(folder)
        yield lambda plan: f"{name}:{plan}"
        monkeypatch.undo()


@pytest.fixture
def say(spec: object, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def call(*argv: object) -> Said:
        try:
            code = main([str(each) for each in argv])
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def begin(say: Say, spec: Callable[[str], str]) -> Say:
    """Begins a run of ``runs.db``, or goes on with it."""
    return lambda plan, run, *more: say("run", spec(plan), "--journal", "runs.db", "--run-id", run, *more)


FILE = Path("runs.db")
Spec = Callable[[str], str]


def done() -> list[str]:
    """What steps did outside."""
    return Path("done").read_text().split() if Path("done").exists() else []


def data(said: Said) -> Any:
    assert said[2] == ""
    return json.loads(said[1])


def one_line(said: Said, code: int, message: str) -> None:
    """Refused in one line, with nothing on stdout."""
    assert (said[0], said[1], said[2].count("\n")) == (code, "", 1)
    assert message in said[2]
    assert said[2].startswith("lambdacat: ")


def entries(run: str, file: Path = FILE) -> list[dict[str, Any]]:
    past = past_of(journal_at_rest(file, run))
    return [] if past is None else list(past.documents)


# --- run --journal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["--async", "--sync"])
def test_a_run_with_a_journal_does_nothing_twice(begin: Say, mode: str) -> None:
    first = begin("chain", "a", mode)
    assert (data(first)["score"], done()) == (0.5, ["more", "judge", "write"])
    assert begin("chain", "a", mode) == first
    assert len(done()) == 3


def test_a_run_goes_on_with_the_input_it_began_with(begin: Say) -> None:
    assert data(begin("chain", "a", "--input", '{"words": 4}'))["words"] == 5
    assert data(begin("chain", "a"))["words"] == 5
    assert data(begin("chain", "a", "--input", '{"words": 4}'))["words"] == 5
    one_line(begin("chain", "a", "--input", '{"words": 7}'), 2, "began with another input, Page(title='', words=4")


def test_a_fault_ends_a_run_with_its_message(begin: Say, say: Say, spec: Spec) -> None:
    code, out, err = begin("faulty", "a")
    assert (code, out) == (1, "")
    assert err.startswith("ActionFailed: broken raised ValueError: no such luck\n")
    code, out, err = say("runs", "resume", FILE, "a", "--plan", spec("faulty"), "--json")
    assert (code, json.loads(out)["status"], err) == (1, "failure", "")
    assert "Traceback" in say("runs", "resume", FILE, "a", "--plan", spec("faulty"), "--debug")[2]


@pytest.mark.parametrize(
    "words", [["--journal", "runs.db"], ["--run-id", "a"], ["--journal", "runs.db", "--run-id", ""]]
)
def test_a_durable_run_needs_a_file_and_a_name(say: Say, spec: Spec, words: list[str]) -> None:
    one_line(say("run", spec("chain"), *words), 2, "needs both --journal, its file, and --run-id, its name")
    assert not FILE.exists()


def test_a_run_that_is_kept_may_give_what_json_has_no_form_for(begin: Say, say: Say, spec: Spec) -> None:
    assert begin("numbers", "a", "--input", "1")[:2] == (0, "2\n")
    assert data(say("runs", "resume", FILE, "a", "--plan", spec("numbers"), "--json"))["result"] == 2


# --- waiting, answering, resuming ------------------------------------------------------------------------------------


def test_a_run_waits_is_answered_and_goes_on(begin: Say, say: Say, spec: Spec) -> None:
    code, out, err = begin("publish", "a")
    assert (code, err) == (3, "")
    assert out.splitlines()[0] == "run 'a' waits for 1 answer"
    assert out.splitlines()[2].split() == ["1", "what", "title?", "str", "for", "Page.title"]
    assert out.splitlines()[3] == "lambdacat runs answer runs.db a ANSWER"
    assert "to go on: lambdacat runs resume runs.db a --plan PLAN" in say("runs", "answer", FILE, "a", "Sheaves")[1]
    resumed = say("runs", "resume", FILE, "a", "--plan", spec("publish"), "--json")
    assert (resumed[0], json.loads(resumed[1])["open"][0]["text"]) == (3, "publish Sheaves?")
    assert data(say("runs", "answer", FILE, "a", "yes", "--json")) == {"run": "a", "key": "3", "taken": True, "open": 0}
    assert data(say("runs", "resume", FILE, "a", "--plan", spec("publish")))["body"] == "SheavesSheaves"
    assert done() == ["more", "write", "more"]


def test_a_second_answer_changes_nothing(begin: Say, say: Say, spec: Spec) -> None:
    begin("publish", "a")
    say("runs", "answer", FILE, "a", "1", "first")
    for _ in range(2):
        assert data(say("runs", "answer", FILE, "a", "1", "second", "--json"))["taken"] is False
        say("runs", "resume", FILE, "a", "--plan", spec("publish"))
    assert run_in(FILE, "a").status == "waiting"
    assert entries("a")[-2]["text"] == "publish first?"


def test_two_open_questions_need_a_key(begin: Say, say: Say, spec: Spec) -> None:
    out = begin("two", "a")[1]
    assert out.splitlines()[-1] == "lambdacat runs answer runs.db a KEY ANSWER"
    one_line(say("runs", "answer", FILE, "a", "x"), 2, "asks 2 questions; say which by its key: '0/0' (what title?)")
    assert "; 1 question still open" in say("runs", "answer", FILE, "a", "0/1", "3")[1]
    assert say("runs", "answer", FILE, "a", "x")[0] == 0
    assert data(say("runs", "resume", FILE, "a", "--plan", spec("two")))["body"] == "xx"


@pytest.mark.parametrize(
    ("plan", "given", "place", "value"),
    [
        ("wants_title", "5", "title", "5"),
        ("wants_words", "5", "words", 5),
        ("wants_words", "-5", "words", -5),
        ("wants_score", "2", "score", 2.0),
        ("wants_good", "true", "good", True),
        ("wants_tags", '["a", "b"]', "tags", ["a", "b"]),
        ("wants_tone", "WARM", "tone", "WARM"),
        ("wants_where", "null", "where", None),
    ],
)
def test_an_answer_becomes_what_its_place_holds(
    begin: Say, say: Say, spec: Spec, plan: str, given: str, place: str, value: object
) -> None:
    begin(plan, "a")
    assert say("runs", "answer", FILE, "a", "--plan", spec(plan), "--", given)[0] == 0
    found = data(say("runs", "resume", FILE, "a", "--plan", spec(plan)))[place]
    assert (type(found), found) == (type(value), value)


def test_an_answer_for_a_class_of_the_users_has_that_class(begin: Say, say: Say, spec: Spec) -> None:
    begin("wants_tags", "a")
    say("runs", "answer", FILE, "a", '["a"]', "--plan", spec("wants_tags"))
    say("runs", "resume", FILE, "a", "--plan", spec("wants_tags"))
    [taken] = (each["value"] for each in entries("a") if each["kind"] == "answer")
    assert Codecs().from_tree(taken) == ("a",)


@pytest.mark.parametrize(
    ("plan", "given", "message"),
    [
        ("wants_words", "many", "Page.words holds int, and the answer is 'many'"),
        ("wants_words", "5.0", "Page.words holds int, and the answer is 5.0"),
        ("wants_words", "9" * 5000, "Page.words holds int"),
        ("wants_good", "1", "Page.good holds bool, and the answer is 1"),
        ("wants_tags", '["a"]', "Page.tags may hold a class of its own; name the plan with --plan"),
        ("wants_tags --plan", '"a"', "Page.tags wants tuple[str, ...], not 'a'"),
        ("wants_tags --plan", "[1]", "Page.tags[0] wants str, not 1"),
        ("wants_tone --plan", "PALE", "Page.tone: 'PALE' is not a valid Tone"),
        ("strange", "maybe", "the answer is yes or no, not 'maybe'"),
    ],
)
def test_an_answer_of_another_type_is_one_line(
    begin: Say, say: Say, spec: Spec, plan: str, given: str, message: str
) -> None:
    name, _, named = plan.partition(" ")
    begin(name, "a")
    one_line(say("runs", "answer", FILE, "a", given, *((named, spec(name)) if named else ())), 2, message)
    assert run_in(FILE, "a").status == "waiting"


def test_a_question_is_answered_by_the_key_it_has(begin: Say, say: Say, spec: Spec) -> None:
    begin("two", "a")
    one_line(say("runs", "answer", FILE, "a", "0/2", "x"), 2, "has not asked '0/2'; did you mean '0/")
    begin("chain", "b")
    one_line(say("runs", "answer", FILE, "b", "9", "x"), 2, "has not asked '9'; it has asked nothing")
    one_line(say("runs", "answer", FILE, "b", "x"), 2, "run 'b' asks nothing; its status is success")
    one_line(say("runs", "answer", FILE, "a", "0/0", "x", "--plan", spec("nothing")), 2, "is no plan")


def test_a_question_that_a_race_withdrew_is_not_asked(begin: Say, say: Say) -> None:
    begin("race", "a")
    assert [each["text"] for each in data(say("runs", "show", FILE, "a", "--json"))["open"]] == ["go on?"]
    assert runs_in(FILE)[0].questions == 1
    one_line(say("runs", "answer", FILE, "a", "0/0", "x"), 2, "has gone on without an answer to '0/0' (what title?)")
    assert say("runs", "answer", FILE, "a", "yes")[0] == 0


def test_another_plan_is_refused_before_anything_is_done(begin: Say, say: Say, spec: Spec) -> None:
    """R-J8: the first differing step, and zero effects."""
    begin("publish", "a")
    before = FILE.read_bytes(), done()
    message = "it has ask [-> Page.title], this plan has judge [Page.words -> Page.score] (at 1); nothing was run"
    one_line(say("runs", "resume", FILE, "a", "--plan", spec("chain")), 2, message)
    assert (FILE.read_bytes(), done()) == before or done() == before[1]
    assert say("runs", "resume", FILE, "a", "--plan", spec("publish"))[0] == 3


def test_a_run_of_another_version_goes_on_with_the_codecs_that_are_named(begin: Say, say: Say, spec: Spec) -> None:
    begin("publish", "a")
    say("runs", "answer", FILE, "a", "T")
    resumed = say("runs", "resume", FILE, "a", "--plan", spec("publish"), "--codecs", spec("codecs"))
    assert (resumed[0], "publish T?" in resumed[1]) == (3, True)
    one_line(
        say("runs", "resume", FILE, "a", "--plan", spec("publish"), "--codecs", spec("codec")),
        2,
        "did you mean 'codecs'?",
    )
    one_line(say("runs", "resume", FILE, "a", "--plan", spec("publish"), "--codecs", spec("nothing")), 2, "no codecs")


# --- looking ---------------------------------------------------------------------------------------------------------


def test_list_and_show_say_what_there_is(begin: Say, say: Say, spec: Spec) -> None:
    for plan, name in (("publish", "a"), ("chain", "b"), ("faulty", "c"), ("turns", "d")):
        begin(plan, name)
    lines = say("runs", "list", FILE)[1].splitlines()
    assert [line.split()[:4] for line in lines[1:5]] == [
        ["a", "waiting", "1", "1"],
        ["b", "success", "3", "0"],
        ["c", "failure", "3", "0"],
        ["d", "success", "4", "0"],
    ]
    listed = data(say("runs", "list", FILE, "--json"))
    assert [(each["run"], each["status"]) for each in listed["runs"]] == [
        ("a", "waiting"),
        ("b", "success"),
        ("c", "failure"),
        ("d", "success"),
    ]
    shown = say("runs", "show", FILE, "c")[1]
    assert shown.splitlines()[6].split()[:6] == ["2", "done", "broken", "1/retry#a1", "attempt", "1"]
    assert "ValueError: no such luck" in shown
    assert "Page.words = 3" in say("runs", "show", FILE, "d")[1]
    assert data(say("runs", "show", FILE, "d", "--json"))["entries"] == entries("d")
    assert data(say("runs", "show", FILE, "d", "--json", "--last", "2"))["entries"] == entries("d")[-2:]


def test_show_holds_a_plan_against_the_run(begin: Say, say: Say, spec: Spec) -> None:
    begin("publish", "a")
    code, out, _ = say("runs", "show", FILE, "a", "--plan", spec("publish"))
    assert (code, "run 'a' can go on" in out, "└─ more" in out) == (0, True, True)
    assert "cannot go on: PlanChanged" in say("runs", "show", FILE, "a", "--plan", spec("chain"))[1]
    held = data(say("runs", "show", FILE, "a", "--plan", spec("chain"), "--json"))["plan"]
    assert (held["can_resume"], held["change"]["at"]) == (False, [1])


def test_what_a_journal_holds_cannot_command_a_terminal(begin: Say, say: Say) -> None:
    said = [begin("strange", "\x1b]0;title\x07name"), say("runs", "list", FILE)]
    said.append(say("runs", "show", FILE, "\x1b]0;title\x07name"))
    said.append(say("runs", "answer", FILE, "\x1b]0;title\x07name", "yes"))
    assert [each[0] for each in said] == [3, 0, 0, 0]
    assert all("\x1b" not in out + err for _, out, err in said)
    assert "a red question?" in said[0][1]


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


def test_a_run_can_be_looked_at_while_it_goes_on(say: Say) -> None:
    journal = SqliteJournal(FILE, run_id="a")
    journal.acquire()
    digest, entry = sealed(b"", {"n": 0, "kind": "begin", "format": 1, "run": "a"})
    journal.append(entry)
    journal.close()
    writer = os.fork()
    if writer == 0:
        for number in count(1):
            digest, entry = sealed(digest, {"n": number, "kind": "wait", "key": "", "until": 0.0})
            journal.append(entry)
    try:
        for _ in range(60):
            assert past_of(journal_at_rest(FILE, "a")) is not None
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        journal.release()
    assert run_in(FILE, "a").entries > 1


def content() -> dict[str, bytes]:
    """What is in the files of the folder, but for an index of a log, which any reader may make, and an empty log."""
    files = {path.name: path.read_bytes() for path in Path().glob("*") if path.is_file() and path.name != "done"}
    return {name: found for name, found in files.items() if not name.endswith("-shm") and (found or "-wal" not in name)}


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


# --- new runs out of old ones ----------------------------------------------------------------------------------------


def test_replay_performs_what_changed_and_what_lies_downstream(begin: Say, say: Say, spec: Spec) -> None:
    begin("chain", "a", "--input", '{"title": "T"}')
    Path("done").unlink()
    code, out, _ = say("runs", "replay", FILE, "a", "--plan", spec("chain"), "--changed", "more")
    assert (code, out.splitlines()[0]) == (0, out.splitlines()[0])
    assert out.startswith("ran more, judge; the journal answered for write, which took ")
    assert json.loads(out.partition("\n")[2])["words"] == 1
    assert done() == ["more", "judge"]
    made = data(say("runs", "replay", FILE, "a", "--plan", spec("chain"), "--changed", "write", "--json"))
    assert (made["performed"], made["answered"], made["status"]) == (["write"], ["more", "judge"], "success")
    assert [each.run for each in runs_in(FILE)] == ["a"]


def test_replay_into_a_new_run_keeps_it(begin: Say, say: Say, spec: Spec) -> None:
    begin("publish", "a")
    code, out, _ = say("runs", "replay", FILE, "a", "--plan", spec("publish"), "--changed", "more")
    assert (code, out.splitlines()[-1]) == (3, "it is not kept; give it a name with --into, so that it can be answered")
    words = ("runs", "replay", FILE, "a", "--plan", spec("publish"), "--changed", "more", "--into", "b")
    assert say(*words)[0] == 3
    say("runs", "answer", FILE, "b", "T")
    assert say("runs", "resume", FILE, "b", "--plan", spec("publish"))[0] == 3
    assert "made from run 'a'" in say("runs", "show", FILE, "b")[1]
    one_line(say(*words), 2, "has a run 'b' already")
    assert run_in(FILE, "a").questions == 1


@pytest.mark.parametrize("plan", ["chain", "turns"])
def test_a_fork_at_any_entry_goes_on_to_the_same_end(begin: Say, say: Say, spec: Spec, plan: str) -> None:
    whole = begin(plan, "a")
    kept = [each for each in entries("a") if "key" in each]
    for number, entry in enumerate(kept):
        made = data(say("runs", "fork", FILE, "a", f"f{number}", "--at", entry["key"], "--json"))
        assert made["steps"] == number
        Path("done").unlink()
        assert say("runs", "resume", FILE, f"f{number}", "--plan", spec(plan)) == whole
        assert len(done()) == len(kept) - number


def test_a_fork_needs_a_key_and_a_name_of_its_own(begin: Say, say: Say) -> None:
    begin("chain", "a")
    one_line(say("runs", "fork", FILE, "a", "b", "--at", "9"), 2, "run 'a' has no entry '9'")
    assert (
        "to go on: lambdacat runs resume runs.db b --plan PLAN" in say("runs", "fork", FILE, "a", "b", "--at", "1")[1]
    )
    one_line(say("runs", "fork", FILE, "a", "b", "--at", "1"), 2, "has a run 'b' already")
    one_line(say("runs", "fork", FILE, "a", " ", "--at", "1"), 2, "needs a name")


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


# --- owners ----------------------------------------------------------------------------------------------------------


def test_a_run_that_somebody_owns_is_busy(begin: Say, say: Say, spec: Spec) -> None:
    begin("publish", "a")
    journal = SqliteJournal(FILE, run_id="a")
    journal.acquire()
    said = say("runs", "resume", FILE, "a", "--plan", spec("publish"))
    one_line(said, 4, "run 'a' is going on in this process; if that says nothing more, it can be taken over in ")
    assert (runs_in(FILE)[0].status, runs_in(FILE)[0].owner) == ("running", os.getpid())
    assert "the run is going on and takes it up" in say("runs", "answer", FILE, "a", "T")[1]
    journal.release()
    assert runs_in(FILE)[0].status == "unfinished"


def test_a_run_that_ends_its_process_too_often_is_set_aside(begin: Say, say: Say, spec: Spec) -> None:
    """R-J11, from where it has crashed five times."""
    begin("publish", "a")
    say("runs", "answer", FILE, "a", "T")
    ended = evolve(Owner.this(), began="another")
    with closing(sqlite3.connect(FILE)) as database, database:
        database.execute("update runs set crashes=4, owner=?, reached=?", (str(ended), len(entries("a"))))
    assert (run_in(FILE, "a").status, run_in(FILE, "a").crashes) == ("set-aside", 5)
    message = (
        "set aside: its process ended 5 times in a row without getting past entry 4; see its last step with lambdacat"
        " runs show, and resume it with --again"
    )
    for words in (
        ["runs", "resume", FILE, "a", "--plan", spec("publish")],
        ["run", spec("publish"), "--journal", FILE, "--run-id", "a"],
    ):
        one_line(say(*words), 1, message)
    assert "set aside: its process ended 5 times" in say("runs", "show", FILE, "a")[1]
    assert say("runs", "resume", FILE, "a", "--plan", spec("publish"), "--again")[0] == 3
    assert run_in(FILE, "a").status == "waiting"


def test_a_run_that_has_not_begun_cannot_be_gone_on_with(say: Say, spec: Spec) -> None:
    journal = SqliteJournal(FILE, run_id="a")
    journal.acquire()
    journal.release()
    assert (runs_in(FILE)[0].status, say("runs", "show", FILE, "a")[0]) == ("unfinished", 0)
    one_line(say("runs", "resume", FILE, "a", "--plan", spec("chain")), 2, "run 'a' has not begun")
    one_line(say("runs", "fork", FILE, "a", "b", "--at", ""), 2, "run 'a' has not begun")


# --- refusing --------------------------------------------------------------------------------------------------------


def other_database() -> None:
    with closing(sqlite3.connect("other.db")) as database, database:
        database.execute("create table users (name)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "run.db"], "no such file: run.db; did you mean 'runs.db'?"),
        (["list", "."], ". is no file"),
        (["list", "text"], "text is no journal"),
        (["list", "other.db"], "other.db is no journal, it is another database"),
        (["show", "other.db", "a"], "other.db is no journal, it is another database"),
        (["prune", "other.db"], "other.db is no journal, it is another database"),
        (["answer", "other.db", "a", "yes"], "other.db is no journal, it is another database"),
        (["show", "empty", "a"], "empty has no run 'a'; it is empty"),
        (["show", "runs.db", "munday"], "runs.db has no run 'munday'; did you mean 'monday'?"),
        (["show", "runs.db", "x"], "runs.db has no run 'x'; it has 'monday'"),
        (["resume", "runs.db", "x", "--plan", "{publish}"], "runs.db has no run 'x'"),
        (["resume", "runs.db", "monday", "--plan", "{pablish}"], "has no 'pablish'; did you mean 'publish'?"),
        (["resume", "runs.db", "monday", "--plan", "{nothing}"], "is no plan, it is of type int"),
        (["replay", "runs.db", "monday", "--plan", "{publish}", "--changed", "mor"], "did you mean 'more'?"),
        (["fork", "runs.db", "x", "y", "--at", "0"], "runs.db has no run 'x'"),
    ],
)
def test_what_cannot_be_done_is_one_line(begin: Say, say: Say, spec: Spec, words: list[str], message: str) -> None:
    begin("publish", "monday")
    other_database()
    Path("text").write_text("no journal", encoding="utf-8")
    Path("empty").touch()
    before = content()
    given = [spec(word[1:-1]) if word.startswith("{") else word for word in words]
    one_line(say("runs", *given), 2, message)
    assert content() == before


@pytest.mark.parametrize("name", ["other.db", "text"])
def test_a_run_is_not_begun_in_a_file_of_another_kind(begin: Say, say: Say, spec: Spec, name: str) -> None:
    other_database()
    Path("text").write_text("no journal", encoding="utf-8")
    before = Path(name).read_bytes()
    one_line(say("run", spec("chain"), "--journal", name, "--run-id", "a"), 2, f"{name} is no journal")
    assert (Path(name).read_bytes(), done()) == (before, [])


@pytest.mark.parametrize(
    "words",
    [
        ["prune", "x", "--older-than", "soon"],
        ["prune", "x", "--older-than", "-1d"],
        ["prune", "x", "--status", "gone"],
        ["show", "x", "y", "--last", "0"],
        ["resume", "x", "y"],
        ["replay", "x", "y", "--plan", "z"],
        ["fork", "x", "y", "z"],
        ["list", "a\0b"],
        ["nonsense"],
        [],
    ],
)
def test_words_that_make_no_sense_are_refused(say: Say, words: Sequence[str]) -> None:
    code, out, err = say("runs", *words)
    assert (code, out) == (2, "")
    assert "error: " in err.splitlines()[-1]
    assert "Traceback" not in err


def test_help_says_every_exit_code(say: Say) -> None:
    code, out, _ = say("runs", "--help")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line.split()[0].isdigit()] == [
        "0", "1", "2", "3", "4", "130",
    ]  # fmt: skip


# --- progress --------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "b", "other"]), max_size=30))
def test_progress_shows_what_is_running_and_counts_what_has_ended(names: list[str]) -> None:
    running = Running({"a", "b"})
    for number, name in enumerate(names):
        running(Started(id=number, parent=None, time=0.0, attempt=1, name=name))
    shown = running.lines(time.monotonic())
    assert {line.partition(",")[0].partition(" ")[0] for line in shown[1:]} == set(names) - {"other"}
    for number in range(len(names)):
        running(Finished(id=number, parent=None, time=0.0, status="succeeded", value=None, fault=None))
    steps = sum(name != "other" for name in names)
    assert running.lines(time.monotonic()) == [f"{steps} step{'' if steps == 1 else 's'} done"]


@pytest.mark.parametrize("rich", [True, False])
def test_progress_leaves_nothing_behind(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    to = StringIO()
    with progress(to, {"a"}) as observer:
        observer(Started(id=0, parent=None, time=0.0, attempt=1, name="a"))
    assert to.getvalue().endswith("\r\x1b[K") or "\n" not in to.getvalue().strip()


# --- as a process ----------------------------------------------------------------------------------------------------


class Process:
    """The command line as a process of its own."""

    def __init__(self, *argv: object) -> None:
        command = [sys.executable, "-m", "lambdacat", *map(str, argv)]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def until(self, line: str) -> Process:
        """Wait for a line of output."""
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == line + "\n"
        return self

    def told(self, number: signal.Signals) -> Process:
        """Send a signal."""
        self.popen.send_signal(number)
        return self

    def ended(self) -> Said:
        """Exit code, the rest of stdout, stderr."""
        out, err = self.popen.communicate(timeout=20)
        return self.popen.returncode, out, err


@pytest.fixture
def processes(say: Say) -> Iterator[Callable[..., Process]]:
    """Processes in the current folder, none of which outlives a test."""
    made: list[Process] = []

    def start(*argv: object) -> Process:
        made.append(Process(*argv))
        return made[-1]

    yield start
    for process in made:
        process.popen.kill()
        process.popen.communicate()


def test_a_signal_wakes_a_loop_that_sleeps() -> None:
    begun, cleaned = Event(), Event()
    seen: list[bool] = []

    @task
    async def nap(value: int) -> int:
        try:
            begun.set()
            await anyio.sleep(60)
        finally:
            cleaned.set()
        return value

    @task
    def tell(value: int) -> int:
        begun.wait()
        time.sleep(0.02)  # the loop has nothing left to do
        signal.pthread_kill(get_ident(), signal.SIGTERM)
        seen.append(cleaned.wait(10))
        return value

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(Interrupted) as stopped:
            until_stopped(lambda: arun(gather(nap, tell), 0), seconds=60.0, hint="to go on: sleep")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (seen, stopped.value.code, stopped.value.__notes__) == ([True], 143, ["to go on: sleep"])


LEFT = "what did not stop in time was left behind; "


def test_sigterm_cleans_up_and_the_run_can_be_resumed(say: Say, spec: Spec, processes: Callable[..., Process]) -> None:
    """R-C8. A step that waits is cancelled; one in a thread, or one that never gives way, is left behind."""
    shapes = {"naps": "", "blocks": LEFT, "stands": LEFT}
    started = {plan: processes("run", spec(plan), "--journal", f"{plan}.db", "--run-id", "a") for plan in shapes}
    for process in started.values():
        process.until("asleep").told(signal.SIGTERM)
    Path("awake").touch()
    for plan, left in shapes.items():
        hint = f"to go on: lambdacat runs resume {plan}.db a --plan {spec(plan)}"
        assert started[plan].ended() == (143, "", f"lambdacat: interrupted; {left}{hint}\n")
        found = run_in(Path(f"{plan}.db"), "a")
        assert (found.status, found.steps, found.crashes, found.owner) == ("unfinished", 1, 0, None)
        code, out, err = say("runs", "resume", f"{plan}.db", "a", "--plan", spec(plan))
        assert (code, json.loads(out.removeprefix("asleep\n"))["words"], err) == (0, 2, "")
    assert done() == ["more"] * 3 + ["cleaned"] + ["cleaned", "more", "more", "more"] or done().count("more") == 6


@pytest.mark.sweep
@pytest.mark.parametrize("plan", ["naps", "blocks", "stands", "turns"])
def test_sigterm_at_any_moment_leaves_a_run_that_can_be_resumed(
    say: Say, spec: Spec, processes: Callable[..., Process], plan: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-C8."""
    source, began, trials = random.Random(8), time.perf_counter(), 0
    while trials < 100 and time.perf_counter() - began < float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60")):
        Path("awake").unlink(missing_ok=True)
        Path("done").unlink(missing_ok=True)
        file = Path(f"{plan}{trials}.db")
        process = processes("run", spec(plan), "--journal", file, "--run-id", "a")
        time.sleep(source.random() * 0.8)
        code, _, err = process.told(signal.SIGTERM).ended()
        assert code in (0, 143, -signal.SIGTERM), err
        assert "Traceback" not in err or code == -signal.SIGTERM
        Path("awake").touch()
        ended = say("run", spec(plan), "--journal", file, "--run-id", "a")
        assert ended[0] == 0, ended
        kept = [each for each in entries("a", file) if each["kind"] == "done"]
        assert len(kept) == len({each["key"] for each in kept})
        assert len(done()) <= len(kept) + 2, "more than the step in flight was done again"
        trials += 1
    with capsys.disabled():
        print(f"\n{plan}: {trials} signals in {time.perf_counter() - began:.1f} s", end="")
