"""What type checkers tell whoever decorates a plain function that does not fit its lenses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MISTAKES = """
from attrs import frozen
from lambdacat import lens, task

@frozen
class S:
    a: int = 0
    b: str = ""

A, B = lens(S, lambda s: s.a), lens(S, lambda s: s.b)

@task(reads=A, writes=B)
def gives_another_type(a: int) -> int:
    return a

@task(reads=A, writes=B)
def takes_another_type(a: str) -> str:
    return a

@task(reads=(A, B), writes=B)
def takes_too_few(a: int) -> str:
    return ""

@task(reads=A, writes=())
def gives_what_nobody_takes(a: int) -> int:
    return a

@task(writes=A)
def makes_another_type() -> str:
    return ""
"""


def wanted_by(command: list[str], folder: Path, before: str) -> list[str]:
    """The types that a checker wants, which stand behind certain words."""
    (folder / "mistakes.py").write_text(MISTAKES)
    done = subprocess.run([*command, "mistakes.py"], cwd=folder, capture_output=True, text=True, check=False)
    return [line.rpartition(before)[2] for line in done.stdout.splitlines() if before in line]


def checker(name: str) -> str:
    """The program, which comes with the ``dev`` extra."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        pytest.skip(f"{name} is not installed; it comes with the dev extra")
    return str(found)


@pytest.mark.sweep
def test_mypy_expects_a_plain_function_of_whoever_wrote_one(tmp_path: Path) -> None:
    wanted = wanted_by([checker("mypy"), "--strict", "--config-file="], tmp_path, "expected ")
    assert [one.partition("  [")[0] for one in wanted] == [
        '"Callable[[int], str]"',
        '"Callable[[int], str]"',
        '"Callable[[int, str], str]"',
        '"Callable[[int], None]"',
        '"Callable[[], int]"',
    ]


@pytest.mark.sweep
def test_pyright_names_what_a_plain_function_gives_and_no_context(tmp_path: Path) -> None:
    command = [checker("basedpyright"), "--pythonpath", sys.executable]
    wanted = wanted_by(command, tmp_path, 'to parameter "action" of type ')
    assert [one.partition(" -> ")[0] for one in wanted] == ['"(int)', '"(int)', '"(int, str)', '"(int)', '"()']
