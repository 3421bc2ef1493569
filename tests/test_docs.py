"""Every page runs: its Python blocks in order, in one namespace, and what it shows is what comes out.

A ``text`` block right after a ``python`` block is what that block prints, with ``...`` for any text. A ``console``
block has commands after ``$`` and what each prints. Blocks of other kinds are not run. Docstrings run as well.
"""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from services import needed

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "lambdacat").rglob("*.py") if path.name != "__main__.py")
PROGRAMS = {"sandbox.md": ("bwrap", "bubblewrap")}
"""Pages whose snippets start a program, and the package that it is in."""
PROMPT = re.compile(r"^ *>>> ", re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    """One fenced block: its kind, its text, and the line that it starts on."""

    kind: str
    text: str
    line: int
    after: str
    """The kind of the block right before it, with only a blank line between."""


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    last_end, last_kind = -1, ""
    for match in FENCE.finditer(text):
        adjacent = last_end >= 0 and not text[last_end : match.start()].strip()
        yield Block(match[1], match[2], text.count("\n", 0, match.start()) + 2, last_kind if adjacent else "")
        last_end, last_kind = match.end(), match[1]


def same(wanted: str, got: str, where: str) -> None:
    """Compare what a page shows with what came out."""
    tidy = "\n".join(line.rstrip() for line in got.splitlines()).strip("\n") + "\n"
    shown = wanted.strip("\n") + "\n"
    matches = doctest.OutputChecker().check_output(shown, tidy, doctest.ELLIPSIS)
    assert matches, f"{where} shows\n{shown}\nand there came\n{tidy}"


def executed(block: Block, page: Path, module: ModuleType) -> str:
    """What a Python block prints."""
    printed = StringIO()
    # The blank lines give tracebacks, and faults, the line of the page.
    code = compile("\n" * (block.line - 1) + block.text, page.name, "exec", dont_inherit=True)
    with redirect_stdout(printed):
        exec(code, module.__dict__)
    return printed.getvalue()


def commanded(line: str) -> str:
    """What a command prints; ``lambdacat`` and ``python`` are the ones of this environment."""
    words = shlex.split(line)
    known = {"lambdacat": [sys.executable, "-m", "lambdacat"], "python": [sys.executable]}
    command = [*known[words[0]], *words[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_snippet_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.name in PROGRAMS:
        needed(*PROGRAMS[page.name])
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    # Classes look up their annotations in the module that they name.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = ""
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.kind == "python":
            printed = executed(block, page, module)
        elif block.kind == "text" and block.after == "python":
            same(block.text, printed, where)
        elif block.kind == "console":
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
                same(shown, commanded(command), where)


def test_the_first_program_fits_on_a_hand() -> None:
    first = next(block for block in blocks(ROOT / "README.md") if block.kind == "python")
    assert len(first.text.splitlines()) <= 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["index.md", "tutorial.md", "tutorial-2.md"])
def test_the_first_pages_need_no_category_theory(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").lower()
    assert [word for word in ("monad", "functor", "kleisli", "monoid", "morphism") if word in text] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.with_suffix("").as_posix())
def test_what_docstrings_show_is_what_comes_out(module: Path) -> None:
    found = import_module(".".join(module.with_suffix("").parts).removesuffix(".__init__"))
    # Doctest looks for docstrings of modules, classes and functions: what stands elsewhere would only look like one.
    wanted = len(PROMPT.findall((ROOT / module).read_text(encoding="utf-8")))
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(found):
        if test.examples:  # for each docstring that shows nothing a debugger would be set up
            runner.run(test)
    assert (runner.failures, runner.tries) == (0, wanted)
