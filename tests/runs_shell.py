"""The command line of durable runs, from the side of the tests: plans in a folder of their own, and ways to ask."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lambdacat.cli import main
from lambdacat.interpreters.journal import past_of
from lambdacat.store.runs_at_rest import journal_at_rest

PLANS = '''
"""Plans for tests; what a step does outside is a line in the file ``done``."""
import os, time
from enum import Enum
from pathlib import Path
from attrs import frozen
import anyio
from lambdacat import FIRST_COMPLETED, Context, approve, ask, lens, parallel, task
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
    spare: int | None = 0
    label: str | None = ""

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
async def call(words: int, ctx: Context) -> int:
    note(ctx.idempotency_key)
    if words:
        print("asleep", flush=True)
        await anyio.sleep(60)
    return words + 1

@task(reads=WORDS, writes=WORDS)
def block(words: int) -> int:
    seconds = 0 if os.path.exists("awake") else 60
    print("asleep", flush=True)
    time.sleep(seconds)
    return words

@task(reads=WORDS, writes=WORDS, blocking="inline")
def stand_still(words: int) -> int:
    return block.action(words)

@task(reads=TITLE, writes=BODY)
def speak(title: str, ctx: Context) -> str:
    return ctx["voice"] + title

chain = more >> judge >> write
spoken = ask("what title?", into=TITLE) >> speak
voices = {"voice": "loudly: "}
publish = more >> ask("what title?", into=TITLE) >> write >> approve(lambda p: f"publish {p.title}?") >> more
two = (ask("what title?", into=TITLE) & ask("how many?", into=WORDS)) >> write
race = parallel(ask("what title?", into=TITLE), more, policy=FIRST_COMPLETED) >> approve("go on?")
turns = more.loop_while(WORDS.where(lambda n: n < 3)) >> write
keyed = call >> call
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
wants_spare = ask("?", into=lens(Page, lambda p: p.spare))
wants_label = ask("?", into=lens(Page, lambda p: p.label))
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


def saying(capsys: pytest.CaptureFixture[str]) -> Say:
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
def say(spec: object, capsys: pytest.CaptureFixture[str]) -> Say:
    """The command line, in the folder of the plans."""
    return saying(capsys)


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


def content() -> dict[str, bytes]:
    """What is in the files of the folder, but for an index of a log, which any reader may make, and an empty log."""
    files = {path.name: path.read_bytes() for path in Path().glob("*") if path.is_file() and path.name != "done"}
    return {name: found for name, found in files.items() if not name.endswith("-shm") and (found or "-wal" not in name)}


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
