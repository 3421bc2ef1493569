"""What cases are called: the same in every process, where the order of sets and places in memory differ."""

from __future__ import annotations

import re


def named_by(value: object) -> str:
    """The repr of a value, without what differs between processes."""
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(named_by, value))) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(named_by, value)) + ")"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
