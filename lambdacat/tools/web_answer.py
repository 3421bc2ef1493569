"""What a server answered, as a plain value, and what it means that it gave none."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, final

from attrs import frozen

from lambdacat.codec.refusal import StateCorrupt
from lambdacat.codec.text import json_tree
from lambdacat.fault import Unanswered

Pairs = tuple[tuple[str, str], ...]

PATIENCE_MOST: Final = 3600.0
"""Units: seconds that a server may ask to be left alone; who asks for more is not believed."""

_CHARSETS: Final = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"), "windows-1252"),
    **dict.fromkeys(("iso-8859-15", "latin-9"), "iso-8859-15"),
}
"""The encodings of text that are read; some that Python knows take long, and some are programs."""
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([\w-]{1,20})", re.ASCII | re.IGNORECASE)


class TooBusy(Exception):
    """A server wants to be left alone for a while: status 429, or 503 with a ``Retry-After``.

    Units: ``retry_after`` in seconds, 0 where the server did not say; a retry waits at least so long.
    """

    def __init__(self, what: str, status: int, retry_after: float) -> None:
        super().__init__(f"{what} answered {status}, and asks to be left alone for {retry_after:g} s")
        self.status = status
        self.retry_after = retry_after


class BadStatus(Exception):
    """A server answered that it will not do what it was asked to."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url.partition('?')[0]} answered {status}")
        self.status = status


class NotJson(ValueError):
    """The body of a response is no strict JSON."""


@final
@frozen
class Response:
    """What a server answered: ``headers`` in its order, their names in lower case; ``url`` is what was asked last.

    What it says is a stranger's word: nothing in it was checked but its size.
    """

    status: int
    headers: Pairs
    body: bytes
    url: str

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    def header(self, name: str, default: str = "") -> str:
        """The values of a header, joined as HTTP joins them."""
        found = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(found) if found else default

    @property
    def text(self) -> str:
        """The body as text. What is no text in its encoding is shown as U+FFFD; an unknown encoding is UTF-8."""
        named = _CHARSET.search(self.header("content-type"))
        return self.body.decode(_CHARSETS.get(named[1].lower() if named else "", "utf-8"), "replace")

    def json(self) -> Any:
        """The value that the body says in JSON.

        Errors: ``NotJson`` for anything but one strict document: NaN, a key that is there twice, text after its end.
        """
        try:
            return json_tree(self.body)
        except StateCorrupt as error:
            raise NotJson(f"the answer of {self.url.partition('?')[0]} is not JSON: {error}") from None

    def good(self) -> Response:
        """This very response. Errors: ``BadStatus`` unless its status is 200 to 299."""
        if not self.ok:
            raise BadStatus(self.url, self.status)
        return self


def check_answered(response: Response, what: str, now: Callable[[], float]) -> None:
    """Let pass what is an answer. Errors: ``TooBusy``, ``Unanswered`` for a server that says it is broken."""
    said = response.header("retry-after")
    if response.status == 429 or (response.status == 503 and said):
        raise TooBusy(what, response.status, retry_after(said, response.header("date"), now))
    if response.status >= 500:
        raise Unanswered(what, f"its status was {response.status}")


def retry_after(said: str, date: str, now: Callable[[], float]) -> float:
    """How long a server wants to be left alone, as its ``Retry-After`` says: a number of seconds, or a date.

    A date is counted from the server's own, if it sent one: its clock need not be ours. Units: seconds, at most
    ``PATIENCE_MOST``; 0 for what cannot be read.

    >>> retry_after("120", "", lambda: 0.0), retry_after("soon", "", lambda: 0.0)
    (120.0, 0.0)
    """
    if said.isascii() and said.isdigit():
        return min(float(said[:9]), PATIENCE_MOST)
    until = _instant(said)
    if until is None:
        return 0.0
    sent = _instant(date)
    return min(max(0.0, until - (now() if sent is None else sent)), PATIENCE_MOST)


def _instant(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text[:64])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
