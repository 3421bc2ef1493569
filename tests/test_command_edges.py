"""The command line at its edges: closed streams, contexts, modules that raise, narrow terminals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from lambdacat.cli import main
from lambdacat.law_table import matrix
from lambdacat.terminal import one_line
from lambdacat.testing import LawResult, run_suites

PLANS = """
from lambdacat import Context, Key, task

WORD = Key("word")

@task
def say(n, ctx):
    return f"{ctx['word']} {n}"

@task
def double(n):
    return n * 2

as_context = Context().provide(WORD, "a context")
as_mapping = {"word": "a mapping"}
number = 3

def made():
    return {"word": "a function"}

def broken():
    raise OSError("no service\\nat all")

async def later():
    return {}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Callable[[str], str]:
    """Names in a file of plans."""
    (tmp_path / "edge_plans.py").write_text(PLANS)
    return lambda name: f"{tmp_path / 'edge_plans.py'}:{name}"


@pytest.mark.parametrize("mode", ["--async", "--sync"])
@pytest.mark.parametrize(
    ("context", "said"), [("as_context", "a context 7"), ("as_mapping", "a mapping 7"), ("made", "a function 7")]
)
def test_a_plan_gets_the_context_that_is_named(spec: Any, capsys: Any, mode: str, context: str, said: str) -> None:
    assert main(["run", spec("say"), "--input", "7", "--context", spec(context), mode]) == 0
    assert capsys.readouterr().out == f'"{said}"\n'


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("number", "is no context: context is a Context or a mapping with names, not 3"),
        ("broken", "raised OSError: no service at all"),
        ("later", "is async; a function that gives a context is a plain one"),
        ("as_contxt", "has no 'as_contxt'; did you mean 'as_context'?"),
    ],
)
def test_what_is_no_context_is_refused_in_one_line(spec: Any, capsys: Any, context: str, message: str) -> None:
    assert main(["run", spec("say"), "--input", "7", "--context", spec(context)]) == 2
    err = capsys.readouterr().err
    assert (err.count("\n"), message in err) == (1, True), err


def test_a_module_that_raises_is_quoted_with_its_line(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "raising_plans.py"
    file.write_text("from lambdacat import task, when\n\n@task\ndef up(n):\n    return n\n\nplan = when(up, up)\n")
    assert main(["show", f"{file}:plan"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"lambdacat: importing {file} raised PlanError: when wants ")
    assert err.endswith(" (line 7)\n")
    assert err.count("\n") == 1


def test_help_keeps_its_capitals(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "print its result, as JSON where" in " ".join(capsys.readouterr().out.split())


SHELL = {
    "closed stdin": ("run {} --input - <&-", 2, "lambdacat: cannot read '-': stdin is closed\n"),
    "closed stdout": ("run {} --input 4 >&-", 0, ""),
    "closed stderr": ("run {} 2>&-", 2, ""),
    "all closed": ("run {} --input 4 <&- >&- 2>&-", 0, ""),
}


@pytest.mark.parametrize("streams", SHELL)
def test_closed_streams_are_no_traceback(spec: Any, streams: str) -> None:
    words, code, err = SHELL[streams]
    command = f"{sys.executable} -m lambdacat {words.format(spec('double'))}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, err)


# --- laws ------------------------------------------------------------------------------------------------------------


def test_each_law_is_told_before_it_is_tried() -> None:
    said: list[str] = []
    results = run_suites(["merge", "optics"], examples=1, tell=said.append)
    assert len(said) == len(results)
    assert said[0].startswith(f"1 of {len(results)}: merge, ")
    assert said[-1].startswith(f"{len(results)} of {len(results)}: optics, ")


def test_a_line_on_a_terminal_gives_way_to_the_next_and_is_cleared() -> None:
    to = StringIO()
    with one_line(to) as show:
        show("one")
        show("\x1b[31mtwo")
    assert to.getvalue() == "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K"
    with one_line(None) as show:
        show("nothing")


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_of_laws_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    names = [f"interpreter {i} of many" for i in range(8)]
    rows = tuple(LawResult("plans", "associativity", name, 100, name[12] != "3", "no") for name in names)
    lines = matrix(rows).splitlines()
    assert max(map(len, lines[:2])) <= columns
    if columns == 200:
        assert lines[0].split()[0] == "plans"
        assert "interpreter 0 of many" in lines[0]
    else:
        assert lines[0].split() == ["plans", *"abcdefgh"]
        assert lines[2].startswith("  a interpreter 0 of many, b interpreter 1 of many")
    assert lines[1].split() == ["associativity", *(["100"] * 3), "BROKEN", *(["100"] * 4)]
