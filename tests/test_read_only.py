"""A file system that has become read-only: refused before the first effect, with one error and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import anyio, json, os, sys
from functools import partial
from pathlib import Path
from lambdacat import SqliteJournal, Unanswered, arun, resume, run, task
from lambdacat.store.runs_at_rest import runs_in

place, way = Path(sys.argv[1]), sys.argv[2]
calls = []

@task
def first(number: int) -> int:
    return number + 1

@task
def second(number: int) -> int:
    if way == "writable":
        raise KeyboardInterrupt  # stands for the end of the process
    calls.append(number)
    return number + 1

plan, there = first >> second, place / "there" / "runs.db"
if way == "writable":
    (place / "empty").mkdir()
    there.parent.mkdir()
    try:
        run(plan, 0, journal=SqliteJournal(there, run_id="monday"))
    except KeyboardInterrupt:
        sys.exit()
files = sorted(map(str, place.rglob("*")))
said = []
for path in (place / "empty" / "runs.db", there):
    journal = partial(SqliteJournal, path, run_id="monday")
    for act in (
        lambda: run(plan, 0, journal=journal()),
        lambda: anyio.run(partial(arun, journal=journal()), plan, 0),
        lambda: anyio.run(resume, plan, journal()),
    ):
        try:
            act()
        except (Unanswered, ValueError) as error:
            said.append([type(error).__name__, str(error)])
listed = [[each.run, each.status, each.steps] for each in runs_in(there)] if way == "mounted" else None
left = sorted(map(str, place.rglob("*")))
print(json.dumps({"said": said, "calls": calls, "left": [one for one in left if one not in files], "listed": listed}))
"""
MOUNTED = """
mount -t tmpfs -o size=2m tmpfs "$1" && "$0" -c "$2" "$1" writable && mount -o remount,ro "$1" &&
exec "$0" -c "$2" "$1" mounted
"""


def namespace() -> list[str] | None:
    """How a process gets file systems of its own to mount: as root, or as the root of users of its own."""
    for words in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        try:
            probe = subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if probe.returncode == 0:
            return words
    return None


def refused(place: Path) -> dict[str, Any]:
    """What a program is told that finds a file system read-only on which it has an unfinished run."""
    command = namespace()
    if command is not None:
        words = [*command, "sh", "-c", MOUNTED, sys.executable, str(place), PROGRAM]
    else:
        # Nobody may mount here: the system's own answer to whoever opens a file there, given by hand.
        subprocess.run([sys.executable, "-c", PROGRAM, str(place), "writable"], check=True)
        files = [place / folder / f"runs.db{end}" for folder in ("empty", "there") for end in ("", "-wal", "-heads")]
        named = [word for file in files for word in ("-P", str(file))]
        inject = ["-e", "trace=openat", "-e", "inject=openat:error=EROFS"]
        words = ["strace", "-f", "-qq", "-o", os.devnull, *named, *inject]
        words += [sys.executable, "-c", PROGRAM, str(place), "answered"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.sweep
def test_a_file_system_that_became_read_only_is_refused_before_anything_is_performed(tmp_path: Path) -> None:
    """R-J5."""
    found = refused(tmp_path)
    kinds = [kind for kind, _ in found["said"]]
    # That no run is there to be resumed is known without writing.
    assert kinds == ["Unanswered", "Unanswered", "ValueError", "Unanswered", "Unanswered", "Unanswered"], found
    for n, (_, text) in enumerate(found["said"]):
        assert str(tmp_path / ("empty" if n < 3 else "there")) in text
        assert "\n" not in text
    assert found["calls"] == [], "a step was performed"
    assert found["left"] == [], "something was left behind"
    assert found["listed"] in (None, [["monday", "unfinished", 1]]), "what is there can still be looked at"


@pytest.mark.sweep
def test_the_refusal_is_the_same_where_nobody_may_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-J5: so that the other way is known to work before it is needed."""
    monkeypatch.setitem(globals(), "namespace", lambda: None)
    test_a_file_system_that_became_read_only_is_refused_before_anything_is_performed(tmp_path)
