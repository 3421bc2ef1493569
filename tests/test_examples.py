"""Every example prints exactly what its docstring promises."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
OWN_TEST = {"research.py"}
"""Examples whose output depends on the Python that runs them."""
EXAMPLES = [path for path in sorted(FOLDER.glob("*.py")) if path.name not in OWN_TEST and path.name != "__init__.py"]


def promised(path: Path) -> str:
    """What the docstring says after ``Output:``."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    _, found, output = said.partition("\nOutput:\n\n")
    assert found, f"{path.name} promises no output"
    return dedent(output).strip() + "\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_promises(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-X", "utf8", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == promised(path)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10
