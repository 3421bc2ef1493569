"""SIGTERM, for programs that do nothing about it themselves: their durable runs clean up and can go on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from lambdacat import SqliteJournal, can_resume, identity
from lambdacat.interpreters.journal import past_of

PROGRAM = """
import asyncio, os, signal, sys, time
import anyio, trio
from lambdacat import SqliteJournal, arun, gather, run, task

how, path = sys.argv[1:]

def say(mark):
    os.write(1, mark.encode() + b"\\n")

@task
def first(n):
    return n + 1

@task
async def slow(n):
    say("+")
    try:
        await anyio.sleep(30)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
        say("-")

@task
def slow_here(n):
    try:
        say("+")
        time.sleep(30)
    finally:
        say("-")

def journal(name="a"):
    return SqliteJournal(path, run_id=name)

plan = first >> slow
try:
    if how == "run":
        run(first >> slow_here, 0, journal=journal())
    elif how == "asyncio":
        asyncio.run(arun(plan, 0, journal=journal()))
    elif how == "trio":
        trio.run(lambda: arun(plan, 0, journal=journal()))
    elif how == "two":
        async def both():
            await asyncio.gather(arun(plan, 0, journal=journal()), arun(plan, 0, journal=journal("b")))
        asyncio.run(both())
    elif how == "its own":
        async def minded():
            running = asyncio.current_task()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
            await arun(plan, 0, journal=journal())
        asyncio.run(minded())
    elif how == "after":
        run(first, 0, journal=journal())
        say("+")
        time.sleep(30)
finally:
    say("the program cleans up")
"""


def told(how: str, path: Path, marks: int = 1) -> tuple[int, list[str]]:
    """How a program ends that gets the signal once ``marks`` of its steps have begun, and what it said after that."""
    command = [sys.executable, "-c", PROGRAM, how, str(path)]
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        said: Any = process.stdout
        assert [said.readline() for _ in range(marks)] == ["+\n"] * marks
        os.kill(process.pid, signal.SIGTERM)
        rest = said.read().splitlines()
        process.wait(30)
        errors.seek(0)
        written = errors.read()
    assert "Traceback" not in written or how == "its own", written
    return process.returncode, rest


def owners(path: Path) -> list[tuple[str, int]]:
    database = sqlite3.connect(path)
    try:
        return database.execute("select owner, crashes from runs").fetchall()
    finally:
        database.close()


@pytest.mark.parametrize(("how", "steps"), [("run", 1), ("asyncio", 1), ("trio", 1), ("two", 2)])
def test_sigterm_ends_durable_runs_and_then_the_program(how: str, steps: int, tmp_path: Path) -> None:
    """R-C8: steps clean up, nobody owns the run, and its process has not crashed."""
    path = tmp_path / "runs.db"
    assert told(how, path, steps) == (-signal.SIGTERM, ["-"] * steps)
    assert owners(path) == [("", 0)] * steps
    past = past_of(SqliteJournal(path, run_id="a"))
    assert past is not None
    assert [document["kind"] for document in past.documents] == ["begin", "done"]
    assert not can_resume(identity, SqliteJournal(path, run_id="a"))


def test_a_program_that_minds_the_signal_itself_is_left_alone(tmp_path: Path) -> None:
    code, said = told("its own", tmp_path / "runs.db")
    assert (code, said) == (1, ["-", "the program cleans up"])
    assert owners(tmp_path / "runs.db") == [("", 0)]


def test_after_a_run_the_signal_means_what_it_meant_before(tmp_path: Path) -> None:
    assert told("after", tmp_path / "runs.db") == (-signal.SIGTERM, [])
