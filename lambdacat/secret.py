"""Secrets that are kept out of journals, stores, traces, drawings, messages and logs."""

from __future__ import annotations

import logging
from typing import Any

from lambdacat.optics import Lens
from lambdacat.path import lens_parent
from lambdacat.redaction import forget, learn_field, learn_text, redacted


def keep_secret(*what: str | bytes | Lens[Any, Any]) -> None:
    """Keep secrets out of all that is kept or shown, from now on and in the whole process.

    A secret is a text, bytes, or what a lens reaches in a record: ``keep_secret(os.environ["KEY"], TOKEN)``. It is
    found as itself, escaped, in percent-encoding, hexadecimal and base64, and inside other texts. Law: nothing that a
    journal or store keeps, and nothing that a fault, trace or drawing says, contains it. What a run reads back from a
    journal has ``[redacted]`` in its place, so steps should get secrets from their context, and not from the state.
    Errors: ``ValueError`` for a text of less than 4 characters, and for a lens that ends in no field of a declared
    class.
    """
    for one in what:
        if not isinstance(one, Lens):
            learn_text(one)
            continue
        found = lens_parent(one)
        if found is None:
            raise ValueError(f"a secret lens ends in a field of a class that is declared, and {one!r} does not")
        learn_field(*found)


def forget_secrets() -> None:
    """Know of no secret any more; for tests."""
    forget()


class Redacting(logging.Filter):
    """A filter for handlers of ``logging``: no secret in a record, and one line for each."""

    def filter(self, record: logging.LogRecord) -> bool:
        """The record, cleaned."""
        if record.exc_info:
            record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        text = redacted(record.getMessage())
        record.msg, record.args = text if text.isprintable() else text.encode("unicode_escape").decode(), ()
        return True
