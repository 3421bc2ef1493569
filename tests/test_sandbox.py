"""Code runs shut in: it reaches nothing, is ended at its limits with all it started, and its answer is mere JSON."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from platform import machine
from tempfile import TemporaryDirectory

import anyio
import pytest
from clocks import Runner, really_on_asyncio, really_on_both
from sandboxes import marked, mostly_swept, needs_bubblewrap, survivors

from lambdacat import ActionFailed, TimedOut, arun, run, task
from lambdacat.tools.sandbox import CodeFailed, LimitReached, Ran, Sandbox
from lambdacat.tools.syscalls import REFUSED

pytestmark = needs_bubblewrap

SLACK = 0.5
"""Units: seconds after its limit at which code must be over."""


# --- what it is for --------------------------------------------------------------------------------------------------


def test_main_gets_json_and_gives_json() -> None:
    code = "def main(given):\n    print('looking')\n    return {'sum': sum(given['numbers']), 'as given': given}"
    given = {"numbers": [1, 2.5], "text": "ünï\n", "none": None}
    assert Sandbox().run(code, given) == Ran({"sum": 3.5, "as given": given}, "looking\n")


@pytest.mark.parametrize(("code", "value"), [("result = [1]", [1]), ("print('no more')", None)])
def test_code_without_a_main_gives_its_result(code: str, value: object) -> None:
    assert Sandbox().run(code).value == value


def test_files_lie_in_the_scratch_folder() -> None:
    box = Sandbox(files={"data.csv": b"1,2", "module.py": b"here = 3"})
    code = "import module, tempfile\nresult = [open('data.csv').read(), module.here, tempfile.gettempdir()]"
    assert box.run(code).value == ["1,2", 3, "/tmp"]


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/b", "", ".", "..", "nul\0", "line\n"])
def test_a_file_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        Sandbox(files={name: b""})


@pytest.mark.parametrize(
    "limits", [{"seconds": 0}, {"memory": 1}, {"output": -1}, {"processes": 0}, {"seconds": float("inf")}]
)
def test_limits_are_numbers_that_leave_room(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is a number from"):
        Sandbox(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "reason"),
    mostly_swept(
        4,
        [
            ("x = 1\n1 / 0", "the code raised ZeroDivisionError: division by zero, in line 2"),
            ("def main(:", "the code raised SyntaxError: invalid syntax (program.py, line 1)"),
            ("raise SystemExit(0)", "the code raised SystemExit: 0, in line 1"),
            ("result = {1}", "the code raised TypeError: Object of type set is not JSON serializable"),
            ("result = float('nan')", "the code raised ValueError: Out of range float values are not JSON compliant"),
            ("import os\nos._exit(3)", "the code ended without an answer: exit 3"),
            ("import os\nos.kill(os.getpid(), 9)", "the code ended without an answer: it was killed"),
        ],
    ),
)
def test_code_that_fails_says_why_in_one_line(code: str, reason: str) -> None:
    with pytest.raises(CodeFailed) as failed:
        Sandbox().run(code)
    assert failed.value.reason.startswith(reason)


def test_a_traceback_shows_the_code_alone() -> None:
    with pytest.raises(CodeFailed) as failed:
        Sandbox().run("def main(given):\n    return given['nothing']", {})
    assert failed.value.stderr.splitlines() == [
        "Traceback (most recent call last):",
        '  File "/code/program.py", line 2, in main',
        "    return given['nothing']",
        "           ~~~~~^^^^^^^^^^^",
        "KeyError: 'nothing'",
    ]


def test_a_sandbox_is_a_step() -> None:
    box = Sandbox()
    for plan in (task(box.run), task(box.arun)):
        assert really_on_asyncio(lambda plan=plan: arun(plan, "result = 'a'")).unwrap() == Ran("a")
    assert run(task(box.run), "result = 'a'").unwrap() == Ran("a")
    fault = run(task(box.run), "1 / 0").failure()
    assert isinstance(fault, ActionFailed)
    assert isinstance(fault.error, CodeFailed)


def test_threads_share_one() -> None:
    box = Sandbox()
    with ThreadPoolExecutor(4) as pool:
        assert [ran.value for ran in pool.map(box.run, ["def main(n): return n"] * 4, range(4))] == list(range(4))


# --- nothing is reached ----------------------------------------------------------------------------------------------

REACH = """
import os, socket

def main(given):
    reached = []

    def attempt(what, work):
        try:
            reached.append([what, repr(work())])
        except (OSError, LookupError):
            pass

    for family, address in ((2, ("127.0.0.1", given["port"])), (10, ("::1", given["port"])), (40, (2, given["port"])),
                            (1, "\\0" + given["name"]), (16, (0, 0)), (38, ("hash", "sha1")), (17, ("lo", 0))):
        attempt(["family", family], lambda: socket.socket(family, 2 if family > 10 and family != 40 else 1))
        attempt(["connect", family], lambda: socket.socket(family).connect(address))
    for path in (given["file"], "/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/1/environ", "/sys",
                 "/home", "/run", "/var", "/usr/include", "/usr/local", "/dev/tty", "/dev/shm", "/dev/kmsg"):
        attempt(path, lambda: os.stat(path))
    for folder in given["folders"]:
        attempt(folder, lambda: os.listdir(folder))
    for path in ("/x", "/code/x", "/dev/x", "/usr/lib/x", os.__file__, "/code/program.py"):
        attempt(["write", path], lambda: open(path, "a"))
    attempt("environment", lambda: os.environ[given["variable"]])
    attempt("root", lambda: os.setuid(0))
    attempt("groups", lambda: os.setgroups([0]))
    for number in range(4, 300):
        attempt(["descriptor", number], lambda: os.fstat(number))
    return {"reached": reached, "environment": dict(os.environ), "who": [os.getuid(), os.getgid(), *os.getgroups()]}
"""


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """A listener, a file that everyone may read and a variable; nobody may have come to the listener."""
    monkeypatch.setenv("CANARY", "sings")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as named:
        port = listener.getsockname()[1]
        name = f"lambdacat-canary-{port}"
        named.bind(f"\0{name}")
        named.listen()
        with TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            file = Path(folder, "canary")
            file.write_text("sings")
            yield {
                "port": port,
                "name": name,
                "file": str(file),
                "folders": [folder, str(Path.home()), str(Path(__file__).parent)],
                "variable": "CANARY",
            }
        for each in (listener, named):
            each.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.accept()


def test_no_network_no_files_no_environment(canaries: dict[str, object]) -> None:
    found = Sandbox().run(REACH, canaries).value
    # A socket of the one allowed family can be made, and leads nowhere; a home may be on the way to the interpreter.
    empty = [["family", 1]]
    assert [one for one in found["reached"] if one[0] not in (*empty, str(Path.home()))] == []
    assert found["environment"] == {}
    assert 0 not in found["who"]


# --- limits ----------------------------------------------------------------------------------------------------------

FORKS = """
import os, time
born = 0
try:
    for _ in range(60):
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
        born += 1
except OSError:
    pass
result = born
"""


@pytest.mark.parametrize("processes", [1, 5])
def test_processes_are_counted_and_none_survives(processes: int) -> None:
    box = marked(processes=processes, seconds=30)
    assert box.run(FORKS).value == processes - 1
    assert survivors(box) == []


@pytest.mark.sweep
@pytest.mark.parametrize("seconds", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("code", ["while True: pass", "import os\nos.fork()\nwhile True: pass", "x = 9 ** 9 ** 9"])
def test_the_limit_of_time_is_kept(code: str, seconds: float) -> None:
    began = time.monotonic()
    with pytest.raises(LimitReached, match="ran longer"):
        Sandbox(seconds=seconds, processes=2).run(code)
    assert seconds <= time.monotonic() - began < seconds + SLACK


@pytest.mark.parametrize(
    ("code", "reason"),
    mostly_swept(
        4,
        [
            ("x = bytearray(10**9)", "wanted more than 2"),
            ("while True: pass", "ran longer than 0.15 s"),
            (
                "import signal\nfor n in range(1, 32):\n  if n not in (9, 19): signal.signal(n, 1)\nwhile 1: pass",
                "ran longer",
            ),
            ("while True: print('x' * 10**6)", "wrote more than 1000000 bytes"),
            ("import sys\nwhile True: sys.stderr.write('x' * 10**6)", "wrote more than 1000000 bytes"),
            ("result = 'x' * 2 * 10**6", "wrote more than 1000000 bytes"),
            (
                "import os, time\nwhile os.fork(): pass\nos.close(1)\nos.close(2)\nos.close(3)\ntime.sleep(60)",
                "ran longer",
            ),
        ],
    ),
)
def test_limits_end_the_code(code: str, reason: str) -> None:
    box = marked(seconds=0.15 if reason.startswith("ran longer") else 5.0, processes=3)
    with pytest.raises((LimitReached, CodeFailed)) as reached:
        box.run(code)
    assert survivors(box) == []
    assert reason in reached.value.reason or ("fork" in code and "BlockingIOError" in reached.value.reason)


@pytest.mark.parametrize(
    "code",
    mostly_swept(
        2,
        [
            "open('one', 'wb').write(bytes(5_000_000))",
            "for n in range(50): open(f'{n}', 'wb').write(bytes(100_000))",
            "import os\nos.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 5_000_000)",
        ],
    ),
)
def test_files_have_one_limit_together(code: str) -> None:
    with pytest.raises(CodeFailed, match=r"File too large|No space left"):
        Sandbox(scratch=1_000_000).run(code)


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["threading", "ctypes", "sqlite3", "decimal", "asyncio", "statistics"])
def test_the_library_is_there(name: str) -> None:
    assert Sandbox().run(f"import {name}\nresult = {name}.__name__").value == name


# --- the kernel ------------------------------------------------------------------------------------------------------

CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

def main(calls):
    found = {}
    for name, *given in calls:
        ctypes.set_errno(0)
        gave = libc.syscall(*map(ctypes.c_long, given))
        found[name] = os.strerror(ctypes.get_errno()) if gave < 0 else gave
    return found
"""
NUMBERS = {name: numbers[machine() == "aarch64"] for name, numbers in REFUSED.items()}
CLONE = 56 if machine() == "x86_64" else 220
NEW_USER = 0x10000000


def test_the_kernel_refuses_what_is_in_the_table() -> None:
    calls = [[name, number, 0, 0, 0, 0, 0] for name, number in NUMBERS.items() if number is not None]
    calls += [["clone", CLONE, NEW_USER | 17, 0, 0, 0, 0], ["unshare", NUMBERS["unshare"], NEW_USER, 0, 0, 0, 0]]
    found = Sandbox().run(CALLS, calls).value
    assert {name: said for name, said in found.items() if said != "Operation not permitted"} == {}
    assert {"ptrace", "unshare", "mount", "bpf", "io_uring_setup", "keyctl", "clone"} <= set(found)


def test_calls_that_nobody_has_looked_at_do_not_exist() -> None:
    calls = [[str(number), number, 0, 0, 0, 0, 0] for number in (435, 463, 467, 500, 100_000)]
    assert set(Sandbox().run(CALLS, calls).value.values()) == {"Function not implemented"}


OTHER_KIND = "import ctypes\nctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))"
INT_80 = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


@pytest.mark.skipif(machine() != "x86_64", reason="only x86_64 has other kinds of calls")
@pytest.mark.parametrize("code", [OTHER_KIND, INT_80], ids=["x32", "int 0x80"])
def test_calls_of_another_kind_of_machine_kill(code: str) -> None:
    with pytest.raises(CodeFailed, match="a system call of another kind of machine"):
        Sandbox().run(code)


# --- answers are not trusted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    mostly_swept(
        4,
        [
            b"{",
            b'{"value": NaN}',
            b'{"value": 1e999}',
            b'{"value": 1, "value": 2}',
            b'{"value": 1}{"value": 2}',
            b'{"value": "\\ud800"}',
            b'{"value": "\xff"}',
            b'{"value": ' + b"[" * 100_000,
            b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
            b"ready\n",
            b"[]",
            b'{"error": 1}',
        ],
    ),
)
def test_only_one_json_document_is_an_answer(said: bytes) -> None:
    with pytest.raises(CodeFailed, match=r"gave no JSON|without an answer"):
        Sandbox().run(f"import os\nos.write(3, {said!r})\nos._exit(0)")


def test_nothing_that_a_terminal_obeys_comes_out() -> None:
    evil = "\x1b]0;title\x07\x9b31m\x08\u202eright\x00\r"
    code = f"import sys\nevil = {evil!r}\nprint(evil)\nprint(evil, file=sys.stderr)\nresult = [evil, {{evil: evil}}]"
    clean = "]0;title31mright"
    assert Sandbox().run(code) == Ran([clean, {clean: clean}], clean + "\n", clean + "\n")
    with pytest.raises(CodeFailed) as failed:
        Sandbox().run(f"raise ValueError({evil!r})")
    assert failed.value.reason == f"the code raised ValueError: {clean}, in line 1"


def test_links_lead_nowhere(canaries: dict[str, object]) -> None:
    code = "import os\ndef main(given):\n    os.symlink(given['file'], 'link')\n    return open('link').read()"
    with pytest.raises(CodeFailed, match="FileNotFoundError"):
        Sandbox().run(code, canaries)


def test_nothing_is_left_on_disk() -> None:
    before = set(Path("/tmp").iterdir())
    Sandbox().run("open('left', 'w').write('here')")
    assert {path.name for path in set(Path("/tmp").iterdir()) - before} & {"left"} == set()


# --- waiting for it --------------------------------------------------------------------------------------------------


@really_on_both
def test_both_loops_wait_for_the_answer(on: Runner) -> None:
    assert on(lambda: Sandbox().arun("def main(n): return n + 1", 1)) == Ran(2)


@really_on_both
def test_cancelled_code_is_over_when_the_cancellation_is(on: Runner) -> None:
    box = marked(seconds=30, processes=4)

    async def main() -> None:
        with anyio.move_on_after(0.1):
            await box.arun("import os\nos.fork()\nos.setsid()\nos.fork()\nwhile True: pass")
        assert survivors(box) == []

    on(main)


def test_a_task_that_is_cancelled_twice_waits_all_the_same() -> None:
    box = marked(seconds=30)

    async def main() -> list[str]:
        running = asyncio.create_task(box.arun("while True: pass"))
        await asyncio.sleep(0.1)
        assert survivors(box) != []
        for _ in range(3):
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        return survivors(box)

    assert really_on_asyncio(main) == []


def test_cancelled_before_it_begins_it_never_runs() -> None:
    box = marked()

    async def main() -> None:
        running = asyncio.create_task(box.arun("while True: pass"))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    really_on_asyncio(main)
    assert survivors(box) == []


@really_on_both
def test_a_deadline_of_a_plan_ends_the_code(on: Runner) -> None:
    box = marked(seconds=30)
    outcome = on(lambda: arun(task(box.arun).timeout(0.1), "while True: pass"))
    assert isinstance(outcome.failure(), TimedOut)
    assert survivors(box) == []


HOST = """
import sys
from lambdacat.tools import Sandbox
box = Sandbox(memory=int(sys.argv[1]), seconds=60, processes=3)
box.run("import os, time\\nos.fork()\\nos.setsid()\\ntime.sleep(60)")
"""


@pytest.mark.sweep
def test_who_is_killed_takes_the_code_along() -> None:
    box = marked()
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", HOST, str(box.memory)], env=paths) as host:
        wait(lambda: len(survivors(box)) >= 4)
        host.kill()
    wait(lambda: survivors(box) == [])


def wait(done: Callable[[], bool]) -> None:
    """Until something is so."""
    give_up = time.monotonic() + 20
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.mark.sweep
def test_no_moment_of_cancelling_leaves_anything_behind() -> None:
    box = marked(seconds=30, processes=3)
    code = "import os\nos.fork()\nwhile True: pass"

    async def main() -> None:
        for step in range(60):
            with anyio.move_on_after(step / 500):
                await box.arun(code)
            assert survivors(box) == [], step

    really_on_asyncio(main)
    assert len(list(Path("/proc/self/fd").iterdir())) < 100


@pytest.mark.sweep
def test_a_billion_bytes_of_output_are_never_held() -> None:
    tracemalloc.start()
    with pytest.raises(LimitReached, match="wrote more than"):
        Sandbox(memory=3_000_000_000).run("import sys\nsys.stdout.write('x' * 10**9)")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
