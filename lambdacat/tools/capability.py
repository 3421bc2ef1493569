"""What a tool may reach outside the process: ``net:api.example.org``, ``fs:/srv/reports``, ``llm``, ``exec``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, final

from attrs import frozen

from lambdacat.place import PlanError

_KIND: Final = re.compile(r"[a-z][a-z0-9_]*")
_HOST: Final = re.compile(r"\[[0-9a-f:.%]+\]|\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_NEED: Final = {
    "net": "net:api.example.org, net:*.example.org or net:*",
    "fs": "fs:/srv/reports, which is the folder and all in it",
}
"""Kinds that mean nothing without saying of what, and how that is said."""


@final
@frozen
class Capability:
    """One thing that may be reached: a kind, and of what; an empty ``target`` is all of the kind.

    Kinds are words. ``net`` has a host, with a port or for all of them, and ``*.example.org`` is every name below that
    one; ``fs`` an absolute path, with all that lies below it; others are compared as they are written.

    >>> capability("net:*.example.org").covers(capability("net:API.example.org:443"))
    True
    """

    kind: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}" if self.target else self.kind

    def covers(self, asked: Capability) -> bool:
        """Whether who has this one may do what is asked. Paths are compared where their links lead at this moment."""
        if self.kind != asked.kind:
            return False
        match self.kind:
            case "net":
                return _host_covers(self.target, asked.target)
            case "fs":
                return _path_covers(self.target, asked.target)
            case _:
                return self.target in ("", asked.target)


def capability(text: object) -> Capability:
    """The capability that is written ``kind`` or ``kind:target``. Errors: ``PlanError``."""
    if isinstance(text, Capability):
        return text
    kind, colon, target = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not _KIND.fullmatch(kind) or (colon and not target.strip()) or "\0" in target:
        raise PlanError(f"a capability is written 'llm', 'exec', 'net:api.example.org' or 'fs:/path', not {text!r}")
    if not target and kind in _NEED:
        raise PlanError(f"the capability {kind!r} says of what: {_NEED[kind]}")
    if kind == "net":
        return Capability(kind, _host(target))
    if kind == "fs" and not Path(target).is_absolute():
        raise PlanError(f"a capability of files has an absolute path, not {target!r}")
    return Capability(kind, target)


def capabilities(given: str | Capability | Iterable[str | Capability]) -> tuple[Capability, ...]:
    """A row of capabilities, each once, from one or several. Errors: ``PlanError``."""
    if not isinstance(given, Iterable) and not isinstance(given, Capability):
        raise PlanError(f"capabilities are written as text, such as 'net:api.example.org', not {given!r}")
    row = (given,) if isinstance(given, (str, Capability)) else tuple(given)
    return tuple(dict.fromkeys(capability(one) for one in row))


def _host(text: str) -> str:
    """A host in the one form in which hosts are compared. Errors: ``PlanError``."""
    host, port = _split(text)
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise PlanError(f"{text!r} is no name of a host") from None
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise PlanError(f"{text!r} is no host: write api.example.org, *.example.org, [::1], with :port or without")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise PlanError(f"{text!r} has no port from 1 to 65535 behind its colon")
    return f"{host}:{port}" if port else host


def _path_covers(declared: str, asked: str) -> bool:
    try:
        return Path(asked).resolve().is_relative_to(Path(declared).resolve())
    except (OSError, RuntimeError):
        # Links that lead round in a circle lead nowhere.
        return False


def _split(text: str) -> tuple[str, str]:
    """Host and port; a bare address with several colons has no port, and gets its brackets."""
    if text.startswith("["):
        host, _, rest = text.partition("]")
        return f"{host}]", rest.removeprefix(":") if not rest or rest.startswith(":") else "?"
    if text.count(":") > 1:
        return f"[{text}]", ""
    host, colon, port = text.partition(":")
    return host, port or ("?" if colon else "")


def _host_covers(declared: str, asked: str) -> bool:
    (pattern, port), (host, at) = _split(declared), _split(asked)
    if port and port != at:
        return False
    # What is asked for is one host: a pattern there is covered by nothing but itself and the pattern of all.
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]) and "*" not in host)
