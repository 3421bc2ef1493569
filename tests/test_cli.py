"""Exit codes, one-line errors and input as JSON; interruptions and pipes as a real process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from runs_shell import Say, saying

from lambdacat.law_table import matrix
from lambdacat.testing import LawResult

CHAINED = "how are comparisons chained?"

PLANS = '''
"""Plans for tests."""
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from attrs import frozen
from lambdacat import each, lens, parallel, pure, task

class Kind(Enum):
    SHORT = 1
    LONG = 2

@frozen
class Part:
    name: str
    weight: float = 1.0

@frozen
class Box:
    label: str
    parts: tuple[Part, ...] = ()
    kinds: frozenset[Kind] = frozenset()
    pair: tuple[int, str] = (0, "")
    named: dict[str, Part] = {}
    where: Path | None = None
    total: float = 0.0

@dataclass(frozen=True)
class Note:
    text: str = "none"
    tags: list[str] = field(default_factory=list)
    length: int = 0

@task(reads=lens(Box, lambda b: b.parts), writes=lens(Box, lambda b: b.total))
def weigh(parts):
    return sum(part.weight for part in parts)

@task(reads=lens(Note, lambda n: n.text), writes=lens(Note, lambda n: n.length))
async def measure(text):
    return len(text)

@task
def double(n):
    return n * 2

@task
def odd(n):
    return object()

@task
def broken(n):
    raise ValueError("no such luck")

nested = (weigh & pure(lambda box: box)) >> pure(lambda box: box.total)
endless = double.loop_while(lambda n: True)
number = 7
'''


@pytest.fixture
def cache(library: Path) -> Path:
    """A cache with the library in it."""
    return library


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of plans in the current folder."""
    name = f"plans_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(PLANS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return saying(capsys)


def started(*argv: object) -> "subprocess.Popen[str]":
    """The command line as a process of its own."""
    command = [sys.executable, "-m", "lambdacat", *map(str, argv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- run -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["--async", "--sync"])
def test_result_is_json(say: Say, plans: str, mode: str) -> None:
    assert say("run", f"{plans}:double", "--input", "21", mode) == (0, "42\n", "")


def test_result_without_a_json_form_is_its_repr(say: Say, plans: str) -> None:
    code, out, err = say("run", f"{plans}:odd", "--input", "1")
    assert (code, out[:16], err) == (0, "<object object a", "")


def test_a_fault_is_its_message(say: Say, plans: str) -> None:
    code, out, err = say("run", f"{plans}:broken", "--input", "1")
    assert (code, out) == (1, "")
    assert err.startswith("ActionFailed: broken raised ValueError: no such luck\n")
    assert "Traceback" not in err
    assert "Traceback" in say("run", f"{plans}:broken", "--input", "1", "--debug")[2]


def test_input_becomes_the_state(say: Say, plans: str) -> None:
    given = {
        "label": "a",
        "parts": [{"name": "x", "weight": 2}, {"name": "y"}],
        "kinds": ["SHORT", 2],
        "pair": [1, "one"],
        "named": {"z": {"name": "z"}},
        "where": "/tmp",
    }
    code, out, _ = say("run", f"{plans}:weigh", "--input", json.dumps(given))
    made = json.loads(out)
    assert (code, made["total"], made["pair"], made["where"]) == (0, 3.0, [1, "one"], "/tmp")
    assert made["parts"] == [{"name": "x", "weight": 2.0}, {"name": "y", "weight": 1.0}]
    assert (sorted(made["kinds"]), made["named"]["z"]["name"]) == (["LONG", "SHORT"], "z")


def test_input_reaches_the_first_lenses_through_other_nodes(say: Say, plans: str) -> None:
    assert say("run", f"{plans}:nested", "--input", '{"label": "a", "parts": [{"name": "x"}]}')[:2] == (0, "1.0\n")


def test_a_state_of_defaults_needs_no_input(say: Say, plans: str) -> None:
    code, out, _ = say("run", f"{plans}:measure")
    assert (code, json.loads(out)) == (0, {"text": "none", "tags": [], "length": 4})


def test_input_comes_from_a_file_or_stdin(say: Say, plans: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in.json").write_text("4", encoding="utf-8")
    assert say("run", f"{plans}:double", "--input", "@in.json")[1] == "8\n"
    with Path("in.json").open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert say("run", f"{plans}:double", "--input", "-")[1] == "8\n"


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("weigh", '{"lable": "a"}', "Box has no field 'lable'; did you mean 'label'?"),
        ("weigh", "{}", "Box needs 'label': give --input with it, as JSON"),
        ("weigh", "[]", "Box wants Box, not []"),
        ("weigh", '{"label": 1}', "Box.label wants str, not 1"),
        ("weigh", '{"label": "", "parts": 1}', "Box.parts wants"),
        ("weigh", '{"label": "", "parts": [{}]}', "Box.parts[0] needs 'name'"),
        ("weigh", '{"label": "", "parts": [{"name": "", "weight": "1"}]}', "Box.parts[0].weight wants float, not '1'"),
        ("weigh", '{"label": "", "pair": [1]}', "Box.pair wants"),
        ("weigh", '{"label": "", "kinds": ["HUGE"]}', "Box.kinds[0]: 'HUGE' is not a valid Kind"),
        ("weigh", '{"label": "", "where": 1}', "Box.where wants Path or None, not 1"),
        ("weigh", "{label}", "--input is no JSON: "),
        ("weigh", "@nowhere.json", "cannot read 'nowhere.json': No such file"),
        ("weigh", "[" * 100_000, "--input is no JSON: "),
    ],
)
def test_wrong_input_is_one_line(say: Say, plans: str, name: str, given: str, message: str) -> None:
    code, out, err = say("run", f"{plans}:{name}", "--input", given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"lambdacat: {message}")


# --- naming a plan ---------------------------------------------------------------------------------------------------


def test_a_file_names_a_plan(say: Say, plans: str, tmp_path: Path) -> None:
    assert say("run", f"{tmp_path / plans}.py:double", "--input", "2")[1] == "4\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}", "names no plan; write package.module:plan"),
        ("{}x:double", "no module named '{}x'; did you mean '{}'?"),
        ("no.such.module:plan", "no module named 'no'"),
        ("no/such/file.py:plan", "no such file: no/such/file.py"),
        ("{}:doubel", "has no 'doubel'; did you mean 'double'?"),
        ("{}:double.x", "has no 'double.x'"),
        ("{}:number", "is no plan, it is of type int"),
        ("{}:Kind", "is no plan, it is of type EnumType; wrap it in task(...)"),
        ("raises:plan", "importing raises raised ZeroDivisionError: division by zero"),
        ("exits:plan", "importing exits raised SystemExit: 3"),
        ("imports:plan", "importing imports failed: No module named 'nowhere'"),
        ("syntax.py:plan", "importing syntax.py raised SyntaxError"),
        ("twice:plan", "importing twice raised PlanError: timeout"),
    ],
)
def test_a_wrong_name_is_one_line(say: Say, plans: str, spec: str, message: str) -> None:
    sources = {
        "raises": "1 / 0",
        "exits": "raise SystemExit(3)",
        "imports": "import nowhere",
        "syntax": "def",
        "twice": "from lambdacat import PlanError\nraise PlanError('timeout\\nis odd')",
    }
    for name, source in sources.items():
        Path(f"{name}.py").write_text(source, encoding="utf-8")
    code, out, err = say("show", spec.replace("{}", plans))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message.replace("{}", plans) in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback_too(say: Say, plans: str) -> None:
    Path("fails.py").write_text("1 / 0", encoding="utf-8")
    for argv in (["--debug", "show", "fails:plan"], ["show", "fails:plan", "--debug"]):
        code, _, err = say(*argv)
        assert code == 2
        assert "Traceback" in err
        assert err.endswith("lambdacat: importing fails raised ZeroDivisionError: division by zero (line 1)\n")


# --- looking at a plan -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "start"), [("text", "weigh"), ("mermaid", "flowchart"), ("dot", "digraph")])
def test_show_draws(say: Say, plans: str, form: str, start: str) -> None:
    code, out, _ = say("show", f"{plans}:weigh", "--as", form)
    assert (code, out[: len(start)]) == (0, start)


def test_dry_run_names_what_may_run(say: Say, plans: str) -> None:
    code, out, _ = say("dry-run", "lambdacat.research:research")
    assert code == 0
    assert "search topics" in out


def test_findings_are_exit_code_one(say: Say, plans: str) -> None:
    assert say("check", f"{plans}:double") == (0, "no findings\n", "")
    code, out, _ = say("check", f"{plans}:endless")
    assert code == 1
    assert "loop" in out


def test_the_research_plan_has_no_findings(say: Say) -> None:
    assert say("check", "lambdacat.research:research") == (0, "no findings\n", "")


# --- laws ------------------------------------------------------------------------------------------------------------


def law(interpreter: str, *, passed: bool = True, suite: str = "plans", name: str = "identity") -> LawResult:
    return LawResult(suite, name, interpreter, 100, passed, "" if passed else "left is not right")


def test_matrix_has_laws_down_and_interpreters_across() -> None:
    results = (law("run"), law("arun"), law("run", name="associativity"), law("", suite="merge"))
    lines = matrix(results).splitlines()
    assert lines[0].split() == ["plans", "run", "arun"]
    assert lines[1].split() == ["identity", "100", "100"]
    assert lines[2].split() == ["associativity", "100", "-"]
    assert [line.split() for line in lines[4:6]] == [["merge", "values"], ["identity", "100"]]
    assert lines[-1] == "all 3 laws hold; 400 examples"


def test_a_broken_law_is_quoted_and_exit_code_one(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    results = (law("run"), law("arun", passed=False))
    monkeypatch.setattr("lambdacat.testing.run_suites", lambda names, **_: results)
    code, out, _ = say("laws")
    assert code == 1
    assert "BROKEN" in out
    assert "left is not right" in out
    code, out, _ = say("laws", "--format", "json")
    assert (code, json.loads(out)["passed"], len(json.loads(out)["laws"])) == (1, False, 2)


def test_laws_hold_in_few_examples(say: Say) -> None:
    code, out, _ = say("laws", "--suite", "merge", "--examples", "2")
    assert code == 0
    assert out.startswith("merge ")


def test_an_unknown_suite_is_one_line(say: Say) -> None:
    code, _, err = say("laws", "--suite", "nonsense")
    assert (code, err.count("\n")) == (2, 1)
    assert say("laws", "--examples", "0")[0] == 2


# --- research --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["?!", "c++", '"unbalanced', "\N{PILE OF POO}", "a\0b", "x " * 5000, "\ud800"])
def test_odd_questions_are_answered(say: Say, cache: Path, question: str) -> None:
    code, out, _ = say("research", question, "--cache", cache)
    assert code == 0
    assert "Confidence" in out


def test_a_question_may_start_with_a_dash_or_be_many_words(say: Say, cache: Path) -> None:
    assert say("research", "--cache", cache, "--", "-how are comparisons chained")[0] == 0
    shown = json.loads(say("research", "--json", "--cache", cache, *CHAINED.split())[1])
    assert (shown["question"], shown["sources"][0]["locator"]) == (CHAINED, "topic:comparisons")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["research", ""], 2),
        (["research"], 2),
        (["research", "x", "--cache", "a\0b"], 2),
        (["research", "x", "--corpus", "/nowhere/at/all"], 2),
        (["research", "x", "--cache", f"{__file__}/x"], 2),
        ([], 2),
        (["nonsense"], 2),
        (["show", "x:y", "--as", "poem"], 2),
        (["--version"], 0),
        (["--help"], 0),
        (["laws", "--help"], 0),
    ],
)
def test_exit_codes(say: Say, argv: Sequence[str], code: int) -> None:
    found, out, err = say(*argv)
    assert (found, bool(out), bool(err)) == (code, code == 0, code != 0)
    assert "Traceback" not in err


def test_help_says_exit_codes_and_examples(say: Say) -> None:
    out = say("--help")[1]
    assert "exit codes:" in out
    assert "examples:" in out
    assert "130" in out


# --- as a process ----------------------------------------------------------------------------------------------------


def wait_for(path: Path, pattern: str) -> None:
    deadline = time.monotonic() + 10
    while not list(path.glob(pattern)):
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_while_the_index_is_built(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = started("research", CHAINED, "--cache", tmp_path)
    wait_for(tmp_path, "*.partial")
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (code, "", "lambdacat: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_interrupt_during_a_search_leaves_the_index(cache: Path) -> None:
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    program = """
import os, signal, sys
import lambdacat.research
from lambdacat.cli import main
search = lambdacat.research.search
def killing(*args, **options):
    os.kill(os.getpid(), signal.SIGINT)
    return search(*args, **options)
lambdacat.research.search = killing
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", program, "research", CHAINED, "--cache", str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == "lambdacat: interrupted"
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before


def test_interrupt_of_a_run_is_one_line(tmp_path: Path) -> None:
    program = """
import anyio
from lambdacat import task
@task
async def wait(n):
    print("waiting", flush=True)
    await anyio.sleep(60)
"""
    (tmp_path / "waits.py").write_text(program, encoding="utf-8")
    process = started("run", f"{tmp_path / 'waits.py'}:wait", "--input", "1")
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == "lambdacat: interrupted\n"
    assert process.returncode == 130


def test_closed_pipe_is_quiet(cache: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lambdacat", "research", CHAINED, "--cache", str(cache)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_full_disk_is_one_line(cache: Path) -> None:
    command = [sys.executable, "-m", "lambdacat", "research", CHAINED, "--cache", str(cache)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "lambdacat: cannot write: No space left on device\n"


@pytest.mark.sweep
def test_two_at_once_share_a_fresh_cache(tmp_path: Path) -> None:
    both = [started("research", CHAINED, "--json", "--no-memory", "--cache", tmp_path) for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=20)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0]["answer"] == answers[1]["answer"]
    assert len(list(tmp_path.iterdir())) == 1


def test_another_encoding_loses_no_answer(cache: Path) -> None:
    command = [sys.executable, "-m", "lambdacat", "research", CHAINED, "--cache", str(cache)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_loads_neither_event_loops_nor_the_corpus() -> None:
    heavy = "{'asyncio', 'sqlite3', 'rich'}"
    program = f"import sys; from lambdacat.cli import _parser; _parser(); print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
