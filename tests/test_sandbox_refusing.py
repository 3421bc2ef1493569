"""Where anything of the sandbox is missing nothing runs, and all of it is said; and the filter says what it should."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from sandboxes import needs_bubblewrap

from lambdacat import Refused, run, task
from lambdacat.tools import sandbox_command
from lambdacat.tools.sandbox import Sandbox, SandboxUnavailable
from lambdacat.tools.syscalls import CHROOT, LAST, MACHINES, REFUSED, instructions

ROOT = Path(__file__).parent.parent


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process may be started."""

    def start(*_: object, **__: object) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", start)


def lacking() -> tuple[str, ...]:
    """What a sandbox says is missing."""
    with pytest.raises(SandboxUnavailable) as refusal:
        Sandbox().run("result = 1")
    return refusal.value.missing


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("system", ["Darwin", "Windows", "FreeBSD", ""])
def test_on_another_system_nothing_runs(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    # What only Linux has must not be wanted before.
    for name in ("pipe2", "memfd_create", "pidfd_open"):
        monkeypatch.delattr(os, name, raising=False)
    assert [one.partition(":")[0] for one in lacking()] == ["Linux"]
    with pytest.raises(SandboxUnavailable):
        anyio.run(Sandbox().arun, "result = 1", backend="trio")


@pytest.mark.usefixtures("nothing_starts")
def test_everything_that_is_missing_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(platform, "release", lambda: "5.4.0-generic")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(sandbox_command, "_read", lambda path: "0" if path.endswith("namespaces") else "")
    assert lacking() == (
        "a 64-bit machine of the kinds x86_64, aarch64: this is riscv64",
        "Linux 5.14 or later: this is 5.4.0-generic",
        "bubblewrap: apt-get install bubblewrap",
        "seccomp: this kernel filters no system calls",
        "user namespaces: they are switched off",
    )


@pytest.mark.usefixtures("nothing_starts")
def test_in_a_plan_it_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    outcome = run(task(Sandbox().run).retry(3), "result = 1").failure()
    assert isinstance(outcome, Refused)
    assert (outcome.by, outcome.reason) == ("the sandbox", "this machine lacks Linux: this is Darwin")


def another_bubblewrap(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Put a program in the place of bubblewrap."""
    folder.chmod(0o755)
    fake = folder / "bwrap"
    fake.write_text(f"#!{sys.executable} -I\nimport os, sys\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox_command, "program", lambda: str(fake))


LEAVE_OUT = """
real, given = {real!r}, sys.argv[1:]
at = given.index({option!r})
os.execv(real, [real, *given[:at], *{instead!r}, *given[at + {words}:]])
"""


@needs_bubblewrap
@pytest.mark.parametrize(
    ("option", "words", "instead", "said"),
    [
        ("--seccomp", 2, [], "the filter of system calls is not in force"),
        ("--unshare-pid", 1, [], "it would see other processes"),
        ("--unshare-pid", 1, ["--no-such-option"], "Unknown option --no-such-option"),
        ("--ro-bind", 3, ["--ro-bind", "/no such folder", "/x"], "source path /no such folder"),
    ],
)
def test_a_bubblewrap_that_does_less_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, words: int, instead: list[str], said: str
) -> None:
    real = shutil.which("bwrap")
    another_bubblewrap(tmp_path, monkeypatch, LEAVE_OUT.format(real=real, option=option, instead=instead, words=words))
    (only,) = lacking()
    assert said in only


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux comes so far")
def test_what_bubblewrap_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_command, "missing", lambda: ())
    said = "bwrap: No permissions to create new namespace, likely because the kernel does not allow it"
    another_bubblewrap(tmp_path, monkeypatch, f"sys.stderr.write({said!r}); sys.exit(1)")
    assert lacking() == (f"what bubblewrap needs: {said}",)


UNPRIVILEGED = """
import sys
sys.path[:0] = sys.argv[1:]
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "/", "-W", "ignore", sys.argv[2] +
    "/test_sandbox.py"]))
"""


@pytest.mark.sweep
@needs_bubblewrap
def test_whoever_is_not_root_is_shut_in_as_well() -> None:
    import attrs

    python = Path("/usr/bin/python3")
    if os.getuid() != 0 or not python.exists():
        pytest.skip("the plain tests are run by somebody else than root already")
    paths = [str(ROOT), str(ROOT / "tests"), str(Path(attrs.__file__).parent.parent)]
    command = [str(python), "-B", "-c", UNPRIVILEGED, *paths]
    options: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={}, **options)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


# --- the filter, as the kernel reads it ------------------------------------------------------------------------------

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
X86, ARM = MACHINES["x86_64"], MACHINES["aarch64"]


def judged(machine: str, number: int, first: int = 0, kind: int | None = None) -> int:
    """What the filter says of one call."""
    data = {0: number, 4: MACHINES[machine] if kind is None else kind, 16: first & 0xFFFFFFFF}
    program = list(instructions(machine))
    at, register = 0, 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        match code:
            case 0x20:
                register = data[k]
            case 0x06:
                return k
            case 0x15:
                at += yes if register == k else no
            case 0x25:
                at += yes if register > k else no
            case 0x35:
                at += yes if register >= k else no
            case 0x45:
                at += yes if register & k else no
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_refuses_its_table_on_either_machine(machine: str) -> None:
    column = tuple(MACHINES).index(machine)
    numbers = {name: numbers[column] for name, numbers in REFUSED.items()}
    assert {
        name for name, number in numbers.items() if number is not None and judged(machine, number) != EPERM
    } == set()
    assert len({number for number in numbers.values() if number is not None}) == sum(
        number is not None for number in numbers.values()
    )
    assert judged(machine, CHROOT[machine]) == judged(machine, 435) == judged(machine, LAST + 1) == ENOSYS
    assert judged(machine, 0x3FFFFFFF) == ENOSYS


@pytest.mark.parametrize(("machine", "clone", "sockets"), [("x86_64", 56, (41, 53)), ("aarch64", 220, (198, 199))])
def test_some_calls_are_judged_by_their_first_argument(machine: str, clone: int, sockets: tuple[int, int]) -> None:
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert judged(machine, clone, flag | 17) == EPERM
    assert judged(machine, clone, 0x003D0F00) == ALLOW, "a thread"
    assert judged(machine, clone, 0x01200011) == ALLOW, "a fork"
    for number in sockets:
        assert [judged(machine, number, family) for family in (1, 2, 10, 16, 17, 38, 40)] == [ALLOW] + [EPERM] * 6


@pytest.mark.parametrize(
    ("machine", "numbers"),
    # read, write, openat, mmap, execve, exit_group, futex, getrandom
    [("x86_64", (0, 1, 257, 9, 59, 231, 202, 318)), ("aarch64", (63, 64, 56, 222, 221, 94, 98, 278))],
)
def test_what_every_program_needs_passes(machine: str, numbers: tuple[int, ...]) -> None:
    assert {judged(machine, number) for number in numbers} == {ALLOW}


def test_other_kinds_of_calls_kill() -> None:
    assert judged("x86_64", 0, kind=0x40000003) == judged("aarch64", 0, kind=0x40000028) == KILL
    assert judged("x86_64", 0, kind=ARM) == judged("aarch64", 0, kind=X86) == KILL
    assert judged("x86_64", 0x40000000) == judged("x86_64", 0x40000000 | 101) == judged("x86_64", 0xFFFFFFFF) == KILL
