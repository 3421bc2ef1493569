"""Every example prints exactly what its docstring promises, and soon."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path
from textwrap import dedent

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
OWN_TEST = {"research.py"}
"""Examples that want more than their own file; ``test_research.py`` has the index that this one searches."""
EXAMPLES = [path for path in sorted(FOLDER.glob("*.py")) if path.name not in OWN_TEST and path.name != "__init__.py"]
SECONDS = 2.0
"""How long an example may keep a processor busy, with the programs that it starts."""
ELAPSED_SECONDS = 10.0
"""How long it may take by the clock, which on a busy machine is longer; an example that sleeps is not soon."""


def promised(path: Path) -> str:
    """What the docstring says after ``Output:``; ``...`` stands for any text."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    _, found, output = said.partition("\nOutput:\n\n")
    assert found, f"{path.name} promises no output"
    return dedent(output).strip() + "\n"


def busy() -> float:
    """Seconds of processor time, of its own code, that programs which have ended took."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def check_output(
    path: Path, environment: Mapping[str, str] | None = None, *, elapsed_seconds: float = ELAPSED_SECONDS
) -> None:
    """Run an example and hold it to its promise. Errors: ``TimeoutExpired``, ``AssertionError``."""
    command = [sys.executable, "-W", "error", "-X", "utf8", str(path)]
    given, begin = {**os.environ, **(environment or {})}, busy()
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=elapsed_seconds, env=given
    )
    assert (done.returncode, done.stderr) == (0, "")
    wanted = promised(path)
    assert OutputChecker().check_output(wanted, done.stdout, ELLIPSIS), f"{done.stdout}\nand promised is\n{wanted}"
    assert busy() - begin < SECONDS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_promises(path: Path) -> None:
    check_output(path)


def test_an_example_that_sleeps_is_too_late(tmp_path: Path) -> None:
    """Though it keeps no processor busy."""
    path = tmp_path / "sleepy.py"
    path.write_text('"""Late.\n\nOutput:\n\n    awake\n"""\nimport time\ntime.sleep(20)\nprint("awake")\n')
    with pytest.raises(subprocess.TimeoutExpired):
        check_output(path, elapsed_seconds=0.5)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10
