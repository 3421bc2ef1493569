"""Values and exceptions of users in a few words: whatever they do, a message comes out."""

from __future__ import annotations

import re
from itertools import dropwhile
from types import FrameType, TracebackType

from lambdacat.redaction import active, redacted

_KERNEL = re.compile(
    r"lambdacat\.(?!research|testing|tools)|lambdacat\.tools\.(?:acting|arguments|calling|checking|grants|mcp)$"
).match
"""Modules of the kernel, by name, and those that stand between it and a tool."""


def is_kernel(frame: FrameType) -> bool:
    """Whether a frame runs the kernel's own code, and not a user's."""
    return _KERNEL(frame.f_globals.get("__name__", "")) is not None


def is_all_kernel(trace: TracebackType | None) -> bool:
    """Whether nothing of a user's was running when an exception was raised."""
    while trace is not None:
        if not is_kernel(trace.tb_frame):
            return False
        trace = trace.tb_next
    return True


def trimmed(error: Exception) -> Exception:
    """The exception with its traceback from the user's own code on: the frames of the kernel that lead there are gone.

    One that no code of the user's is part of keeps all of it.
    """
    trace = error.__traceback__
    while trace is not None and is_kernel(trace.tb_frame):
        trace = trace.tb_next
    if trace is not None:
        error.__traceback__ = trace
    return error


def shortened(value: object, width: int = 100) -> str:
    """The value's own text, cut to ``width`` characters on one line."""
    from reprlib import Repr

    short = Repr()
    short.maxstring = short.maxother = width
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = 6
    try:
        # What is cut in the middle of a secret still shows the rest of it.
        text = " ".join((redacted(repr(value)) if active() else short.repr(value)).split())
    except Exception as error:  # noqa: BLE001  a value whose repr raises must not hide the fault that it explains
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= width else text[: width - 3] + "..."


def listed(values: tuple[object, ...], most: int = 10) -> str:
    """The first few of some values, and how many there are."""
    shown = ", ".join(shortened(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown}, ... ({len(values)} in all)"


def said_by(error: BaseException) -> str:
    """What an exception says of itself, in as many lines as it does."""
    try:
        return redacted(str(error))
    except Exception as worse:  # noqa: BLE001  the message must come out whatever the exception does
        return f"<its str raised {type(worse).__name__}>"


def origins(error: BaseException) -> list[str]:
    """Where an exception was raised: in the file of the step, and the innermost line where that is elsewhere."""
    rows = []
    trace = error.__traceback__
    while trace is not None:
        rows.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    theirs = list(dropwhile(lambda row: is_kernel(row[0]), rows))
    if not theirs:
        return []  # the message says what was wrong with what the user's code gave
    file = theirs[0][0].f_code.co_filename
    found = [next(row for row in reversed(theirs) if row[0].f_code.co_filename == file)]
    if theirs[-1] is not found[0] and not is_kernel(theirs[-1][0]):
        found.append(theirs[-1])
    return [f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in found]
