"""Questions of runs, and their answers: from any process, whoever owns the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lambdacat.asking import agreed
from lambdacat.codec import Codecs
from lambdacat.fault import Question
from lambdacat.interpreters.history import NOT_NONE, OR_NONE
from lambdacat.interpreters.journal import Answerable, Journal, absence, called, check_there, past_of, sealed_answer


class NoQuestion(KeyError):
    """A run has not asked what was answered."""

    def __str__(self) -> str:
        # A KeyError shows the repr of its message.
        return str(self.args[0])


def questions(journal: Journal) -> dict[str, dict[str, Any]]:
    """What a run has asked and nobody has answered, by key: ``text``, ``into``, ``wants`` and ``name``.

    ``wants`` is ``yes or no``, a class (``int``, ``int or None``) or ``not None``; empty where any value will do.
    Errors: ``ValueError`` when there is no such run; ``JournalCorrupt``.
    """
    check_there(journal, "ask")
    past = past_of(journal)
    if past is None:
        return {}
    last = past.documents[-1]
    given = set(journal.answers()) if isinstance(journal, Answerable) else set()
    given |= {document["key"] for document in past.documents if document["kind"] == "answer"}
    asked = {d["key"]: d for d in past.documents if d["kind"] == "asked" and d["key"] not in given}
    if last["kind"] != "end":
        return asked
    # A race that was won has withdrawn its questions.
    return {key: asked[key] for key in last["questions"] if key in asked}


def answer(journal: Journal, question: Question | str, value: Any) -> bool:
    """Answer what a run has asked, from any process; False if it is answered already, and that answer stays.

    The run goes on when it is resumed. Errors: ``NoQuestion`` for a key it has not asked; ``ValueError`` for an answer
    of another type than the place has; ``TypeError`` for a journal that only its owner can write.
    """
    if not isinstance(journal, Answerable):
        raise TypeError(f"{called(journal)} takes no answers; it has no method answer(key, value)")
    key = question.key if isinstance(question, Question) else question
    if why := absence(journal):
        raise NoQuestion(f"there is no run that asked {key!r}: {why}")
    past = past_of(journal)
    asked = {} if past is None else {d["key"]: d for d in past.documents if d["kind"] == "asked"}
    if past is None or key not in asked:
        known = ", ".join(map(repr, sorted(asked))) or "nothing"
        raise NoQuestion(f"the run has not asked {key!r}; it has asked {known}")
    _check_answer(asked[key], value)
    codecs: Any = getattr(journal, "codecs", None)
    encoded = (codecs if isinstance(codecs, Codecs) else Codecs()).encode(value)
    return journal.answer(key, sealed_answer(past.run, key, encoded))


def _check_answer(asked: Mapping[str, Any], value: Any) -> None:
    wants = asked["wants"]
    if wants == "yes or no":
        agreed(value)
        return
    kind = wants.removesuffix(OR_NONE)
    if value is None:
        fits = kind == "" or kind != wants
    else:
        fits = kind in ("", NOT_NONE, type(value).__name__) or (kind == "float" and type(value) is int)
    if not fits:
        raise ValueError(f"{asked['into']} holds {wants}, and the answer is {value!r}")


def answer_of(asked: Mapping[str, Any], text: str) -> Any:
    """What a text says as an answer to a question; ``null`` is None wherever None will do. Errors: ``ValueError``."""
    wants = asked["wants"]
    if wants in ("str", "yes or no") or (wants == f"str{OR_NONE}" and text != "null"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if wants in ("", NOT_NONE):
            return text
        raise ValueError(f"{asked['into']} holds {wants}, and the answer is {text!r}") from None
    _check_answer(asked, value)
    return float(value) if wants.startswith("float") and value is not None else value
