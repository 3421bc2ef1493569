"""How a service says no, in this library's exceptions: without keys, requests or headers in any of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from math import inf
from typing import Any, Final, final

from lambdacat.fault import Unanswered
from lambdacat.tools.llm_values import ModelBusy, ModelError, ModelRefused

_LONGEST: Final = 300
_UNPRINTED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@final
class Secret:
    """A key that no repr shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key itself."""
        return self._text

    def kept_out_of(self, text: str) -> str:
        """A text as one line without the key, shortened; services quote what they were sent."""
        line = _UNPRINTED.sub(" ", text.replace(self._text, "[key]") if self._text else text).strip()
        return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."

    def __repr__(self) -> str:
        return "<a secret>"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not written anywhere: make the client where it is used")


def needs(*packages: str) -> None:
    """See to it that packages are installed. Errors: ``ImportError`` that says what to install."""
    for package in packages:
        if find_spec(package) is None:
            raise ImportError(f"this needs the package {package}: pip install 'lambdacat[openai]'", name=package)


def refusal(error: Exception, who: str, key: Secret, now: float) -> Exception:
    """What to raise for an exception of the ``openai`` package or of its transport. Units: ``now`` since 1970."""
    from openai import APIStatusError

    if isinstance(error, APIStatusError):
        return _status(error, who, key, now)
    cause = error.__cause__ or error
    said = key.kept_out_of(str(cause))
    return Unanswered(who, f"{type(cause).__name__}{': ' * bool(said)}{said}")


def _status(error: Any, who: str, key: Secret, now: float) -> Exception:
    status: int = error.status_code
    elsewhere = error.response.headers.get("location", "")
    unsaid = f"it points to {elsewhere}" if elsewhere else "it does not say why"
    said = key.kept_out_of(message_of(error.body) or unsaid)
    wait = retry_after(error.response.headers, now)
    # That nothing is left of what was paid for comes as 429 too, and waiting does not help.
    if status == 429 and error.code == "insufficient_quota":
        return ModelRefused(f"{who} refused (429): {said}", status=429)
    if status == 429 or (status == 503 and wait is not None):
        return ModelBusy(f"{who} is busy ({status}): {said}", retry_after=wait or 0.0, status=status)
    if status >= 500 or status == 408:
        return Unanswered(who, f"status {status}: {said}")
    made: ModelError = ModelRefused(f"{who} refused ({status}): {said}", status=status)
    return made


def message_of(body: object) -> str:
    """What a service says of an error, in any of the forms that are around."""
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        for found in (inner, *(inner.get(word) for word in ("message", "detail") if isinstance(inner, Mapping))):
            if isinstance(found, str):
                return found
    return "" if body is None else str(body)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How long a service wants to be left alone: by ``retry-after-ms``, seconds, or a date. Units: seconds."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < inf:
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except (ValueError, OverflowError):
        return None
