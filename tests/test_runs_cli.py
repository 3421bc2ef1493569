"""The commands of durable runs: what they do, what they say, and how they refuse."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from runs_shell import FILE, Say, Spec, begin, content, data, done, entries, one_line, say, spec

from lambdacat import SqliteJournal
from lambdacat.codec import Codecs
from lambdacat.store.leases import Owner
from lambdacat.store.runs_at_rest import run_in, runs_in

__all__ = ["begin", "say", "spec"]


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


BOTH = "needs both --journal, its file, and --run-id, its name"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--journal", "runs.db"], BOTH),
        (["--run-id", "a"], BOTH),
        (["--journal", "runs.db", "--run-id", ""], "cannot be empty"),
    ],
)
def test_a_durable_run_needs_a_file_and_a_name(say: Say, spec: Spec, words: list[str], said: str) -> None:
    one_line(say("run", spec("chain"), *words), 2, said)
    assert not FILE.exists()


def test_a_question_without_a_journal_is_exit_code_three_and_says_how_to_go_on(say: Say, spec: Spec) -> None:
    code, out, err = say("run", spec("publish"))
    assert (code, out) == (3, "")
    assert err.startswith("Waiting: ")
    assert err.endswith("to answer it and go on, keep the run: --journal FILE --run-id NAME\n")


def test_a_run_that_is_kept_may_give_what_json_has_no_form_for(begin: Say, say: Say, spec: Spec) -> None:
    assert begin("numbers", "a", "--input", "1")[:2] == (0, "2\n")
    assert data(say("runs", "resume", FILE, "a", "--plan", spec("numbers"), "--json"))["result"] == 2


@pytest.mark.parametrize("mode", ["--async", "--sync"])
def test_a_run_is_given_what_its_tasks_ask_for(begin: Say, say: Say, spec: Spec, mode: str) -> None:
    assert begin("spoken", "a", mode, "--context", spec("voices"))[0] == 3
    say("runs", "answer", FILE, "a", "Sheaves")
    assert "NotProvided" in begin("spoken", "a", mode)[2]
    say("runs", "fork", FILE, "a", "b", "--at", "1")
    resumed = say("runs", "resume", FILE, "b", "--plan", spec("spoken"), "--context", spec("voices"))
    assert data(resumed)["body"] == "loudly: Sheaves"
    replayed = ("runs", "replay", FILE, "b", "--plan", spec("spoken"), "--changed", "speak", "--json")
    assert data(say(*replayed, "--context", spec("voices")))["result"]["body"] == "loudly: Sheaves"
    one_line(say(*replayed, "--context", spec("voice")), 2, "did you mean 'voices'?")


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
        ("wants_spare", "null", "spare", None),
        ("wants_spare", "5", "spare", 5),
        ("wants_label", "null", "label", None),
        ("wants_label", "5", "label", "5"),
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
        ("wants_words", "null", "Page.words holds int, and the answer is None"),
        ("wants_spare", "many", "Page.spare holds int or None, and the answer is 'many'"),
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
    before = entries("a"), done()
    message = "it has ask [-> Page.title], this plan has judge [Page.words -> Page.score] (at 1); nothing was run"
    one_line(say("runs", "resume", FILE, "a", "--plan", spec("chain")), 2, message)
    assert (entries("a"), done()) == before
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
    told = data(say("runs", "show", FILE, "d", "--json"))["entries"]
    assert [{name: each[name] for name in each if name != "idempotency_key"} for each in told] == entries("d")
    assert data(say("runs", "show", FILE, "d", "--json", "--last", "2"))["entries"] == told[-2:]


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


@pytest.mark.parametrize("kept", [(), ("--into", "b")])
def test_replay_says_what_each_question_wants(begin: Say, say: Say, spec: Spec, kept: Sequence[str]) -> None:
    begin("two", "a")
    words = ("runs", "replay", FILE, "a", "--plan", spec("two"), "--changed", "write", *kept)
    if not kept:
        code, out, _ = say(*words)
        assert code == 3
        assert "0/0  what title?  str for Page.title\n0/1  how many?    int for Page.words\n" in out
    asked = data(say(*words, "--json"))["open"]
    assert [(each["into"], each["wants"]) for each in asked] == [("Page.title", "str"), ("Page.words", "int")]


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
    assert err.startswith("lambdacat runs")
    assert err.endswith("--help has the words\n")
    assert err.count("\n") == 1


def test_help_says_every_exit_code(say: Say) -> None:
    code, out, _ = say("runs", "--help")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line.split()[0].isdigit()] == [
        "0", "1", "2", "3", "4", "130",
    ]  # fmt: skip
