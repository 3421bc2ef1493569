"""Python that a model wrote, run where it can do no harm: no network, no files, no more than it was given."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files as package_files
from platform import machine
from typing import Any, final

import anyio
import anyio.to_thread
from attrs import field, frozen

from lambdacat.codec import StateCorrupt
from lambdacat.codec.text import json_bytes, json_tree
from lambdacat.fault import Denied
from lambdacat.tools.sandbox_command import HOME, SCRATCH, command, interpreter, missing, other_user
from lambdacat.tools.sandbox_process import Channels, Ending, Ends, Finished, NotBegun, Stop, supervised
from lambdacat.tools.syscalls import filter_program

MB = 1_000_000
_READY = b"ready\n"
_PLAIN_NAME = re.compile(r"\A(?!\.{1,2}\Z)[^/\0]{1,200}\Z")
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What a terminal obeys, and what makes text look like other text."""


class SandboxUnavailable(Denied):
    """This machine cannot shut code in, and none was run; raised by an action it becomes ``Refused``."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__("the sandbox", "this machine lacks " + "; ".join(missing))
        self.missing = missing
        """Everything that is not there, each in one line."""


class CodeFailed(Exception):
    """The code raised, ended without an answer, or gave what is not JSON."""

    def __init__(self, reason: str, stdout: str = "", stderr: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.stdout = stdout
        self.stderr = stderr
        """The traceback, where the code raised."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.stdout, self.stderr)


class LimitReached(CodeFailed):
    """The code was ended at a limit of its sandbox."""


@final
@frozen
class Ran:
    """What code came to, with nothing in it that a terminal would obey."""

    value: Any
    """Shape: what JSON can say."""
    stdout: str = ""
    stderr: str = ""


def _named(given: Mapping[str, bytes] | tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    found = tuple(dict(given).items())
    for name, content in found:
        if not isinstance(name, str) or not _PLAIN_NAME.match(name) or not name.isprintable():
            raise ValueError(f"a file of a sandbox has a plain name, without folders, not {name!r}")
        if not isinstance(content, bytes):
            raise TypeError(f"the file {name!r} is bytes, not {type(content).__name__}")
    return found


def _above(least: float) -> Any:
    def check(_: object, attribute: Any, value: object) -> None:
        kinds = (int, float) if attribute.name == "seconds" else int
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < math.inf:
            raise ValueError(f"{attribute.name} is a number from {least:g} on, not {value!r}")

    return check


@final
@frozen(kw_only=True)
class Sandbox:
    """Where code runs, and how much of everything it has. One may be used by any number of threads and tasks.

    Units: ``seconds`` of the clock, the rest in bytes but for ``processes``, which counts threads too. ``memory`` is
    for each process, ``output`` for each of answer, standard output and standard error, ``scratch`` for all files.
    """

    seconds: float = field(default=5.0, validator=_above(0.01))
    memory: int = field(default=256 * MB, validator=_above(32 * MB))
    output: int = field(default=MB, validator=_above(100))
    scratch: int = field(default=16 * MB, validator=_above(4096))
    processes: int = field(default=1, validator=_above(1))
    files: tuple[tuple[str, bytes], ...] = field(default=(), converter=_named, repr=False)
    """What lies in the scratch folder when the code begins, by plain names."""

    def run(self, code: str, given: object = None) -> Ran:
        """What ``main(given)`` of the code gives, or its ``result``; this thread waits.

        Errors: ``CodeFailed``, ``LimitReached``, ``SandboxUnavailable``; ``TypeError``, ``ValueError`` when ``given``
        is nothing that JSON can say.
        """
        source, data = _source(code), json_bytes(given)
        _complete()
        return self._ran(source, data, None)

    async def arun(self, code: str, given: object = None) -> Ran:
        """The same, waited for on asyncio or trio. Law: who cancels it goes on when everything in there has ended."""
        source, data = _source(code), json_bytes(given)
        _complete()
        stop = Stop()

        def work() -> Ran | None:
            if not stop.begin():
                return None
            try:
                return self._ran(source, data, stop.read)
            finally:
                stop.end()

        try:
            # A limiter of its own: what waits for a model's code must not keep all other threads busy.
            ran = await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
        except GeneratorExit:
            if stop.leave():
                stop.is_over(math.inf)
            raise
        except BaseException:
            if stop.leave():
                await _outlast(stop)
            raise
        finally:
            stop.close()
        assert ran is not None
        return ran

    def _ran(self, source: bytes, given: bytes, stop: int | None) -> Ran:
        with Channels() as channels:
            try:
                finished = self._finished(channels, source, given, stop)
            except NotBegun as said:
                raise SandboxUnavailable((f"what bubblewrap needs: {_clean(str(said))}",)) from None
            except FileNotFoundError:
                raise SandboxUnavailable(missing() or ("bubblewrap: it cannot be started",)) from None
        return self._told(finished)

    def _finished(self, channels: Channels, source: bytes, given: bytes, stop: int | None) -> Finished:
        runner = package_files("lambdacat.tools").joinpath("sandbox_inside.py").read_bytes()
        within = {"run.py": runner, "program.py": source, "given.json": given}
        paths = [(channels.data(content), f"{HOME}/{name}") for name, content in within.items()]
        paths += [(channels.data(content), f"{SCRATCH}/{name}") for name, content in self.files]
        filter_fd = channels.data(filter_program(machine()))
        (answer, its_answer), (info, its_info) = channels.from_sandbox(), channels.from_sandbox()
        (stdout, its_stdout), (stderr, its_stderr) = channels.from_sandbox(), channels.from_sandbox()
        go, its_go = channels.to_sandbox()
        order = {"answer": its_answer, "go": its_go, "user": other_user(), "limits": self._limits()}
        inside = [str(interpreter()), "-I", "-S", "-B", "-X", "utf8", f"{HOME}/run.py", json.dumps(order)]
        started = command(inside, filter_fd=filter_fd, info_fd=its_info, scratch=self.scratch, files=paths)

        def start() -> subprocess.Popen[bytes]:
            kept = tuple(channels.passed)
            null = subprocess.DEVNULL
            return subprocess.Popen(
                started, stdin=null, stdout=its_stdout, stderr=its_stderr, pass_fds=kept, env={}, cwd="/"
            )

        ends = Ends(go=go, info=info, answer=answer, stdout=stdout, stderr=stderr)
        return supervised(start, ends, channels, seconds=self.seconds, output=self.output, stop=stop)

    def _limits(self) -> dict[str, int]:
        # The first process of the namespace is one of the user's, unless root became somebody else after it.
        counted = self.processes + (os.getuid() != 0)
        return {
            "RLIMIT_AS": self.memory,
            "RLIMIT_CPU": math.ceil(self.seconds) + 1,
            "RLIMIT_FSIZE": self.scratch,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_NPROC": counted,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
        }

    def _told(self, finished: Finished) -> Ran:
        """The answer of code that is over. Errors: ``CodeFailed``, ``SandboxUnavailable``."""
        stdout, stderr = (_clean(each.decode(errors="replace")) for each in (finished.stdout, finished.stderr))
        match finished.ending:
            case Ending.SECONDS:
                raise LimitReached(f"the code ran longer than {self.seconds:g} s", stdout, stderr)
            case Ending.OUTPUT:
                raise LimitReached(f"the code wrote more than {self.output} bytes", stdout, stderr)
            case Ending.STOPPED | Ending.ITSELF:
                pass
        # Written before the first line of the code: without it nothing of the code has run.
        if not finished.answer.startswith(_READY) and finished.ending is Ending.ITSELF:
            raise SandboxUnavailable((f"a place for the interpreter: {_last(stderr) or f'exit {finished.code}'}",))
        try:
            answer = json_tree(finished.answer.removeprefix(_READY)) if finished.answer != _READY else {}
            value = _cleaned(answer)
        except (StateCorrupt, RecursionError) as refusal:
            raise CodeFailed(f"the code gave no JSON: {_clean(str(refusal))}", stdout, stderr) from None
        match value:
            case {"value": found}:
                return Ran(found, stdout, stderr)
            case {"error": _, "memory": True}:
                raise LimitReached(f"the code wanted more than {self.memory} bytes of memory", stdout, stderr)
            case {"error": str(said)}:
                raise CodeFailed(f"the code raised {said}", stdout, stderr)
            case _:
                raise CodeFailed(f"the code ended without an answer: {_exit(finished.code)}", stdout, stderr)


def _complete() -> None:
    """Errors: ``SandboxUnavailable``."""
    lacking = missing()
    if lacking:
        raise SandboxUnavailable(lacking)


def _source(code: str) -> bytes:
    if not isinstance(code, str):
        raise TypeError(f"code is a text, not {type(code).__name__}")
    # What UTF-8 has no form for is a syntax error in there, like any other.
    return code.encode(errors="surrogatepass")


async def _outlast(stop: Stop) -> None:
    """Wait for work that was told to end, however often this task is cancelled meanwhile."""
    while not stop.is_over():
        with anyio.CancelScope(shield=True), suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep(0.002)


def _exit(code: int) -> str:
    known = {137: "it was killed", 152: "it used up its time", 159: "a system call of another kind of machine"}
    return known.get(code, f"exit {code}")


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _clean(text: str) -> str:
    return _UNSAFE.sub("", text)


def _cleaned(value: Any) -> Any:
    """The same JSON value, each text in it clean. Its depth is bounded by what reads JSON."""
    match value:
        case str():
            return _clean(value)
        case list():
            return [_cleaned(one) for one in value]
        case dict():
            return {_clean(key): _cleaned(one) for key, one in value.items()}
        case float() if not math.isfinite(value):
            raise StateCorrupt("a number is larger than any")
        case _:
            return value
