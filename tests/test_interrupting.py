"""Ctrl-C on a command: what a person is told, and that a second press leaves at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import asyncio, sys, time
from lambdacat import arun, lens, task
from lambdacat.stopping import until_stopped

@task
def slow(n):
    print("asleep", flush=True)
    time.sleep(60)

@task(blocking="inline")
def hogging(n):
    print("asleep", flush=True)
    time.sleep(60)

@task(reads=lens(tuple[int, ...], lambda row: row[0]), writes=())
def looking(n):
    print("asleep", flush=True)
    time.sleep(60)

@task
async def tidy(n):
    try:
        print("asleep", flush=True)
        await asyncio.sleep(60)
    finally:
        print("tidied", flush=True)

if __name__ == "__main__":
    until_stopped(lambda: arun(globals()[sys.argv[1]], (1,)), seconds=float(sys.argv[2]))
"""


def next_line(stream: Any) -> str:
    """What comes next, a byte at a time: what a reader had buffered, ``communicate`` would never see."""
    said = b""
    while not said.endswith(b"\n") and (byte := os.read(stream.fileno(), 1)):
        said += byte
    return said.decode()


class Program:
    """A program whose step has begun."""

    def __init__(self, *argv: object) -> None:
        words = [sys.executable, *map(str, argv)]
        self.popen = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        assert next_line(self.popen.stdout) == "asleep\n"

    def press(self) -> None:
        """Ctrl-C."""
        os.kill(self.popen.pid, signal.SIGINT)

    def line(self) -> str:
        """The next line that a person sees."""
        return next_line(self.popen.stderr)

    def ended(self) -> tuple[int, str, str]:
        """The exit code, and what else was printed."""
        out, err = self.popen.communicate(timeout=20)
        return self.popen.returncode, out, err


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Programs in a folder of their own; none outlives its test."""
    monkeypatch.chdir(tmp_path)
    Path("program.py").write_text(PROGRAM)
    made: list[Program] = []

    def start(*argv: object) -> Program:
        made.append(Program(*argv))
        return made[-1]

    yield start
    for program in made:
        program.popen.kill()
        program.popen.communicate()


@pytest.mark.parametrize("step", ["looking", "hogging"])
def test_the_first_press_says_what_is_waited_for_and_the_second_leaves_at_once(begun: Any, step: str) -> None:
    program = begun("program.py", step, 60)
    program.press()
    assert program.line() == f"lambdacat: waiting for {step} to end; press Ctrl-C again to leave it\n"
    program.press()
    code, out, err = program.ended()
    assert (code, out) == (130, "")
    assert err == "lambdacat: interrupted; what did not stop in time was left behind\n"


def test_a_command_that_nobody_presses_again_leaves_after_its_patience(begun: Any) -> None:
    """R-C8."""
    program = begun("-m", "lambdacat", "run", "program.py:slow", "--input", "1")
    program.press()
    code, out, err = program.ended()
    assert (code, out) == (130, "")
    assert [line.split(";")[0] for line in err.splitlines()] == [
        "lambdacat: waiting for slow to end",
        "lambdacat: interrupted",
    ]


def test_a_quick_clean_up_is_not_announced(begun: Any) -> None:
    program = begun("-m", "lambdacat", "run", "program.py:tidy", "--input", "1")
    program.press()
    assert program.ended() == (130, "tidied\n", "lambdacat: interrupted\n")


def test_nothing_is_announced_of_a_run_that_has_ended(begun: Any) -> None:
    Path("after.py").write_text(
        "import time\n"
        "from program import arun, tidy, until_stopped\n"
        "from lambdacat.shown import Interrupted\n"
        "try:\n"
        "    until_stopped(lambda: arun(tidy, 1), seconds=60)\n"
        "except Interrupted as error:\n"
        "    time.sleep(0.4)\n"
        "    print(error.code)\n"
    )
    program = begun("after.py")
    program.press()
    assert program.ended() == (0, "tidied\n130\n", "")


def test_a_press_before_the_loop_is_there_leaves_no_pieces(begun: Any) -> None:
    Path("early.py").write_text(
        "import asyncio, os, signal\n"
        "from lambdacat.shown import Interrupted\n"
        "from lambdacat.stopping import until_stopped\n"
        "whole = asyncio.BaseEventLoop.__init__\n"
        "def pressed(loop):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    whole(loop)\n"
        "asyncio.BaseEventLoop.__init__ = pressed\n"
        "async def main():\n"
        "    raise AssertionError('it began')\n"
        "print('asleep', flush=True)\n"
        "try:\n"
        "    until_stopped(main)\n"
        "except Interrupted as error:\n"
        "    print(error.code)\n"
    )
    assert begun("early.py").ended() == (0, "130\n", "")
