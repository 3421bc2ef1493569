"""Canaries: registered secrets and secret fields are in nothing that is kept or shown, however they are written."""

from __future__ import annotations

import base64
import html
import json
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from clocks import on_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from untyped import arun, run, sequence, traced

from lambdacat import Failure, SqliteJournal, Stopped, Success, at, fail, identity, keep_secret, lens, render, task
from lambdacat.redaction import MARK, redacted
from lambdacat.secret import Redacting, forget_secrets
from lambdacat.store import FileStore, MemoryStore, SqliteStore, persisted

CANARY = "sk-c4n4ry/+é:0123456789&<tail>"


def in_base64(ahead: int, behind: int) -> Callable[[str], str]:
    """A text in base64, with so many bytes before and after it."""
    return lambda s: base64.b64encode(b"x" * ahead + s.encode() + b"y" * behind).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "itself": str,
    "json": json.dumps,
    "json, not ascii": lambda s: json.dumps(s, ensure_ascii=False),
    "repr": repr,
    "bytes": lambda s: repr(s.encode()),
    "percent": lambda s: urllib.parse.quote(s, safe=""),
    "percent, slashes left": urllib.parse.quote,
    "percent, small": lambda s: urllib.parse.quote(s, safe="").lower() if s.islower() else urllib.parse.quote_plus(s),
    "html": html.escape,
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    **{
        f"base64, {ahead} ahead, {behind} behind": in_base64(ahead, behind) for ahead in range(4) for behind in range(3)
    },
    "base64 for addresses": lambda s: base64.urlsafe_b64encode(b"k=" + s.encode()).decode(),
}


@pytest.fixture(autouse=True)
def _no_secrets() -> Iterator[None]:
    yield
    forget_secrets()


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    written = FORMS[form](CANARY)
    assert redacted(written) == written
    keep_secret(CANARY)
    assert MARK in redacted(f"before {written} after")
    assert not canaries(redacted(f"before {written} after"))


def canaries(text: str) -> list[str]:
    """Which forms of the canary stand in a text; of base64 what no shift of its neighbours changes."""
    data = CANARY.encode()
    cores = [base64.b64encode(b"\0" * n + data).decode()[4:-4] for n in range(3)]
    forms = [CANARY, repr(CANARY)[1:-1], json.dumps(CANARY)[1:-1], urllib.parse.quote(CANARY, safe=""), data.hex()]
    return [form for form in (*forms, *cores) if form in text]


@settings(max_examples=40)
@given(st.text(min_size=4), st.text(), st.text())
def test_any_text_can_be_kept_secret(secret: str, before: str, after: str) -> None:
    keep_secret(secret)
    try:
        for written in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert secret not in redacted(before + written + after).replace(MARK, "") or secret in MARK + before + after
    finally:
        forget_secrets()


@pytest.mark.parametrize("wrong", ["", "abc", b"ab", 5, None, identity, at("k")])
def test_what_is_no_secret_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="a secret"):
        keep_secret(wrong)


@frozen
class Login:
    """A record with a secret in it."""

    user: str = "me"
    token: str = ""


@frozen
class Session:
    """One around it."""

    login: Login = Login()
    notes: tuple[str, ...] = ()


TOKEN = lens(Session, lambda s: s.login.token)
NOTES = lens(Session, lambda s: s.notes)


@task(reads=TOKEN, writes=NOTES)
def leak(token: str) -> tuple[str, ...]:
    """A step that writes the secret down in several ways."""
    return tuple(form(token) for form in FORMS.values())


@task(writes=TOKEN, reads=())
def log_in() -> str:
    """A step that learns the secret on the way."""
    return CANARY


@task
def blurt(state: Session) -> Session:
    """A step that fails with the secret in its message."""
    raise ValueError(f"cannot log in with {state.login.token} ({state.login.token.encode().hex()})")


def every_byte(folder: Path) -> str:
    """All files of a folder, as one text."""
    return "\n".join(file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("declared", ["text", "field"])
def test_no_artefact_has_the_canary(tmp_path: Path, declared: str) -> None:
    """R-Z1: journal with its log, stores, traces, drawings and faults."""
    keep_secret(CANARY if declared == "text" else TOKEN)
    session = Session(Login(token="" if declared == "field" else CANARY))
    plan = sequence(log_in, leak, blurt.attempt())
    journal = SqliteJournal(tmp_path / "runs.db", run_id="r", codecs=[Session, Login])
    outcome = on_asyncio(lambda: arun(plan, session, journal=journal))
    fault = outcome.unwrap().failure()
    said = [str(fault), str(outcome), str(traced(plan)(session).log), render(traced(plan)(session).log, "mermaid")]
    kept = Session(Login(token=CANARY), (CANARY, CANARY.encode().hex()))
    known = [Session, Login]
    for store in (SqliteStore(tmp_path / "kept.db", codecs=known), FileStore(tmp_path / "json", codecs=known)):
        with store:
            run(persisted(identity, store, "state"), kept)
            store.put("more", {"deep": [kept]})
    cached = task(idempotent=True)(lambda text: text + CANARY).cached(MemoryStore())
    run(cached, "x")
    said.append(repr(fail(Stopped(reason=CANARY))))
    said.append(str(run(fail(Stopped(reason=f"bad key {CANARY}")), 1).failure()))
    assert not canaries(every_byte(tmp_path))
    assert not canaries("\n".join(said))
    assert MARK in every_byte(tmp_path)


def test_what_runs_is_not_changed() -> None:
    keep_secret(CANARY)
    assert run(task(lambda text: text + CANARY), "x") == Success("x" + CANARY)


def test_logs_are_clean_and_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    """R-Z2."""
    keep_secret(CANARY)
    caplog.handler.addFilter(Redacting())
    logger = logging.getLogger("lambdacat.tests")
    try:
        raise ValueError(CANARY)
    except ValueError:
        logger.exception("with %s\nINFO forged", CANARY)
    assert len(caplog.records) == 1
    assert not canaries(caplog.text)
    assert "\nINFO forged" not in caplog.text
    caplog.handler.filters.clear()


def test_a_long_value_is_not_cut_through_a_secret() -> None:
    keep_secret(CANARY)

    @task
    def refuse(value: Any) -> Any:
        raise ValueError("no")

    for pad in range(0, 120, 3):
        outcome = run(refuse, "x" * pad + CANARY + "y" * 300)
        assert isinstance(outcome, Failure)
        text = str(outcome.failure())
        assert not any(CANARY[n : n + 8] in text for n in range(len(CANARY) - 8)), text
