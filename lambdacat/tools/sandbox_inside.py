"""The program that the interpreter inside a sandbox runs: it gives up what it has, makes sure, and loads the code.

Nothing of the package is there. What it is to do stands in its argument; it waits for a go, says that it is ready, and
gives one JSON document. From the first line of the code on, whatever it says may be a lie.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from types import TracebackType
from typing import Any

HOME = "/code"


def shut_in(order: dict[str, Any]) -> None:
    """Give up being root and whatever is over the limits. Errors: ``OSError`` when something of it does not hold."""
    import resource

    if order["user"] is not None:
        os.setgroups([])
        os.setresgid(*[order["user"]] * 3)
        os.setresuid(*[order["user"]] * 3)
    for name, most in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    if 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups()):
        raise OSError("it would still be root")
    if os.getppid() != 1:
        raise OSError("it would see other processes, and could outlive this run")
    try:
        os.chroot("/")
    except OSError as refusal:
        if refusal.errno == errno.ENOSYS:
            return
    raise OSError("the filter of system calls is not in force")


def called(given: Any) -> Any:
    """What the code gives: ``main(given)`` where it has a ``main``, or else its ``result``."""
    import program  # type: ignore[import-not-found]

    main = getattr(program, "main", None)
    return main(given) if callable(main) else getattr(program, "result", None)


def answered(given: Any) -> str:
    """The document for whoever asked: a value, or what went wrong; the traceback goes to standard error."""
    try:
        return json.dumps({"value": called(given)}, allow_nan=False)
    except BaseException as error:  # noqa: BLE001  the code's own, told to whoever asked
        # Without room for a traceback there may still be some for this.
        if isinstance(error, MemoryError):
            return '{"error": "MemoryError", "memory": true}'
        _print(error)
        return json.dumps({"error": _said(error)})


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  whatever its str does, a message comes out
        text = ""
    line = _line(error.__traceback__)
    where = f", in line {line}" if line and not isinstance(error, SyntaxError) else ""
    return type(error).__name__ + ": " * bool(text) + text + where


def _line(trace: TracebackType | None) -> int | None:
    """The last line of the code that led there."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == f"{HOME}/program.py":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _print(error: BaseException) -> None:
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def main() -> None:
    """One order, from the go to the answer."""
    order = json.loads(sys.argv[1])
    answer, go = order["answer"], order["go"]
    # Whoever would say go has died otherwise, and nobody would end this one.
    if os.read(go, 1) != b"g":
        os._exit(1)
    # Whatever else came along is nobody's business here.
    answer = os.dup2(answer, 3, inheritable=False)
    os.closerange(4, 65_536)
    shut_in(order)
    os.write(answer, b"ready\n")
    with open(f"{HOME}/given.json", encoding="utf-8") as file:
        given = json.load(file)
    os.environ.clear()
    sys.argv[:] = [f"{HOME}/program.py"]
    sys.path[:] = [HOME, *(path for path in sys.path if path != HOME), os.getcwd()]
    with os.fdopen(answer, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(answered(given))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Threads that are left over are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
