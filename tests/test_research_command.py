"""The research command with a model, a search endpoint, a journal and a memory, against servers on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server import KEY, Server, answered, events, nobody, piece, raw
from pytest_httpserver import HTTPServer
from runs_shell import Say, saying

from lambdacat import research_memory, research_model
from lambdacat.research_memory import FILE, Remembering
from lambdacat.schedule import Fixed
from lambdacat.secret import forget_secrets

CHAINED = "how are comparisons chained?"
GOOD = "Comparisons can be chained arbitrarily [1]. Each expression is evaluated at most once [1][2]."
WORDS = "comparisons: relational operators\nchained: linked"
COUNTED = {"prompt_tokens": 500, "completion_tokens": 40, "total_tokens": 540}


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Say]:
    """The command line in a folder and an environment without models; retries come soon."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(research_model, "AGAIN", Fixed(0.01).times(2))
    yield saying(capsys)
    forget_secrets()


@pytest.fixture
def cache(library: Path, tmp_path: Path) -> Path:
    """A cache of one's own with the library in it."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for file in library.glob("python-*.sqlite"):
        (folder / file.name).symlink_to(file)
    return folder


def whole(document: object, status: str = "200 OK") -> Iterator[bytes]:
    body = json.dumps(document).encode()
    yield f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def streamed(text: str) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    words = re.findall(r"\S+\s*", text)
    yield from events(*map(piece, words), piece(finish="stop"), {"choices": [], "usage": COUNTED})


def refusing(status: str, message: str) -> Callable[[Server, Any], Iterator[bytes]]:
    return lambda seen, asked: whole({"error": {"message": message, "code": None}}, status)


def speaking(*answers: str) -> Callable[[Server, Any], Iterator[bytes]]:
    """A model that gives words, and then these answers, the last one from then on."""
    rest = list(answers)

    def answer(seen: Server, asked: Any) -> Iterator[bytes]:
        if not asked.get("stream"):
            return whole(answered(WORDS, usage=COUNTED))
        return streamed(rest.pop(0) if len(rest) > 1 else rest[0])

    return answer


def asking(cache: Path, server: Server, *more: str) -> list[str]:
    return ["research", CHAINED, "--cache", str(cache), "--model", "m", "--base-url", server.url, *more]


# --- answers ---------------------------------------------------------------------------------------------------------


def test_the_answer_of_a_model(say: Say, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with raw(speaking(GOOD), b"") as server:
        code, out, err = say(*asking(cache, server, "--price", "2", "10"))
    assert (code, err) == (0, "")
    assert out.startswith(
        "Comparisons can be chained arbitrarily. [1] Each expression is evaluated at most once. [1][2]"
    )
    assert "Written by m from these sources; every sentence names its own." in out
    assert re.search(r"The model cost 2 calls, 1080 tokens, 0.0028 of money, \d+\.\d\d s, 0 retries\.", out)
    assert f"Bearer {KEY}" in server.headers[0]
    assert [asked["max_tokens"] for asked in server.asked] == [200, 600]


def test_the_document_has_the_keys_of_before_and_new_ones(say: Say, cache: Path) -> None:
    with raw(speaking(GOOD), b"") as server:
        shown = json.loads(say(*asking(cache, server, "--json"))[1])
    plain = json.loads(say("research", CHAINED, "--cache", cache, "--json", "--no-memory")[1])
    assert shown.keys() - plain.keys() == {"model", "extractive", "cost"}
    assert plain.keys() - shown.keys() == set()
    assert (shown["model"], shown["extractive"]) == ("m", False)
    assert shown["cost"].keys() == {"calls", "tokens", "money", "seconds", "retries"}
    assert shown["sources"][0].keys() == {"title", "locator", "passage", "score"}


def test_the_usual_environment_variables_name_a_model(say: Say, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(speaking("So it is.", GOOD), b"") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_MODEL", "m")
        shown = json.loads(say("research", CHAINED, "--cache", cache, "--json")[1])
    assert (shown["cost"]["calls"], shown["extractive"]) == (3, False)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (speaking("They are chained."), "its citations are wrong: no source is named by 'They are chained.'"),
        (refusing("429 Too Many", "slow down"), "is busy (429): slow down"),
        (refusing("500 Oops", "oops"), "did not answer: status 500: oops"),
        (refusing("401 No", f"wrong key {KEY}"), "refused (401): wrong key [key]"),
    ],
    ids=["ill cited", "429", "500", "401"],
)
def test_a_model_that_fails_is_one_line_beside_a_quoted_answer(
    say: Say, cache: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, why: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with raw(answer, b"") as server:
        code, out, err = say(*asking(cache, server, "--debug"))
    assert (code, err.count("\n"), "Traceback" in err) == (0, 1, False)
    assert err.startswith("warning: the answer was not written by m, so it is quoted: ")
    assert why in err
    assert "no model wrote it" in out
    assert KEY not in out + err


def test_a_wrong_address_is_one_line(say: Say, cache: Path) -> None:
    code, out, err = say("research", CHAINED, "--cache", cache, "--model", "m", "--base-url", nobody())
    assert (code, err.count("\n")) == (0, 1)
    assert "did not answer" in err
    assert "no model wrote it" in out


def test_a_model_that_hangs_is_quoted_without(say: Say, cache: Path) -> None:
    def hang(seen: Server, asked: Any) -> Iterator[bytes]:
        while seen.wait(1):
            yield b""
        yield from ()

    with raw(hang, b"") as server:
        code, out, err = say(*asking(cache, server, "--max-seconds", "0.4"))
    assert (code, err.count("\n")) == (0, 1)
    assert "so it is quoted: the run was not done within 0.4 s" in err
    assert "Comparisons can be chained arbitrarily" in out


@pytest.mark.parametrize("bound", [("--max-tokens", "50"), ("--max-money", "0.0001", "--price", "2", "10")])
def test_what_the_budget_does_not_bear_is_never_sent(say: Say, cache: Path, bound: tuple[str, ...]) -> None:
    with raw(speaking(GOOD), b"") as server:
        code, out, err = say(*asking(cache, server, *bound))
    assert (code, server.asked) == (0, [])
    assert "may need" in err
    assert "The model cost 0 calls, 0 tokens" in out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--model", "m"], "there is no key: set OPENAI_API_KEY, or give --base-url"),
        (["--model", "m", "--base-url", "nowhere"], "base_url is an address such as http://127.0.0.1:8000/v1"),
        (["--model", "m", "--max-money", "1"], "--max-money needs --price IN OUT: nobody knows what m costs"),
        (["--model", " "], "--model is the name of a model"),
        (["--max-tokens", "9"], "--max-tokens is for a model, and there is none"),
        (["--base-url", "http://x"], "--base-url is for a model, and there is none"),
        (["--model", "m", "--price", "-1", "2"], "'-1' is not a number above 0"),
        (["--web", "nowhere"], "--web is an address such as https://search.example.org, not 'nowhere'"),
        (["--trace", "--journal", "j.db"], "--trace draws a run that is made here and now"),
    ],
)
def test_what_cannot_be_asked_is_a_mistake_of_one_line(say: Say, cache: Path, argv: list[str], says: str) -> None:
    code, out, err = say("research", CHAINED, "--cache", cache, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_trace_shows_the_steps_that_ask(say: Say, cache: Path) -> None:
    with raw(speaking(GOOD), b"") as server:
        out = say(*asking(cache, server, "--trace"))[1]
    assert ["widen the question" in out, "write the answer" in out] == [True, True]


def test_a_search_endpoint_is_one_more_source(say: Say, cache: Path, httpserver: HTTPServer) -> None:
    hit = {"title": "Quokka hopping", "url": "https://example.org/q", "content": "A quokka does hopping at dusk."}
    query = {"q": "what does quokka do", "format": "json"}
    httpserver.expect_request("/search", query_string=query).respond_with_json({"results": [hit]})
    httpserver.expect_request("/none/search").respond_with_json({"results": []})

    def web(question: str, place: str) -> Any:
        return json.loads(say("research", question, "--cache", cache, "--json", "--web", httpserver.url_for(place))[1])

    assert web("what does quokka do", "")["sources"][0]["locator"] == "https://example.org/q"
    assert len(httpserver.log) == 1
    assert web("zebra moves", "/none")["rounds"] > 1
    assert len(httpserver.log) == 2
    code, _, err = say("research", CHAINED, "--cache", cache, "--web", nobody().removesuffix("/v1"))
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: the web could not be searched: ")


# --- journals --------------------------------------------------------------------------------------------------------


def spawned(*argv: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lambdacat", *map(str, argv)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment})


def stuck_once() -> Callable[[Server, Any], Iterator[bytes]]:
    """A model whose first answer stops in the middle."""
    asked_for = list[object]()

    def answer(seen: Server, asked: Any) -> Iterator[bytes]:
        if not asked.get("stream"):
            yield from whole(answered(WORDS, usage=COUNTED))
            return
        asked_for.append(asked)
        if len(asked_for) > 1:
            yield from streamed(GOOD)
            return
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        yield from events(piece("Comparisons "), done=False)
        while seen.wait(0.02):
            yield b": still there\n\n"

    return answer


def until_streaming(server: Server) -> None:
    while sum(bool(asked.get("stream")) for asked in server.asked) < 1:
        assert server.wait(0.01)


def test_a_killed_run_goes_on_and_pays_nothing_twice(say: Say, cache: Path, tmp_path: Path) -> None:
    journal = tmp_path / "runs.db"
    with raw(stuck_once(), b"") as server:
        process = spawned(*asking(cache, server, "--journal", str(journal)), OPENAI_API_KEY=KEY)
        until_streaming(server)
        process.kill()
        process.communicate()
        shown = json.loads(say(*asking(cache, server, "--journal", str(journal), "--json"))[1])
        assert (shown["extractive"], shown["cost"]["calls"]) == (False, 1)
        assert [bool(asked.get("stream")) for asked in server.asked] == [False, True, True]
        again = json.loads(say(*asking(cache, server, "--journal", str(journal), "--json"))[1])
        assert (again["answer"], again["cost"]["calls"], len(server.asked)) == (shown["answer"], 0, 3)
        say(*asking(cache, server, "--journal", str(journal), "--max-tokens", "9000"))
        assert len(server.asked) == 5
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("runs.db*"))


def test_a_file_that_is_no_journal_is_one_line(say: Say, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_text("no journal at all, " * 500)
    code, out, err = say("research", CHAINED, "--cache", cache, "--journal", tmp_path / "runs.db")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_ctrl_c_in_the_middle_of_an_answer_ends_it(cache: Path) -> None:
    with raw(stuck_once(), b"") as server:
        process = spawned(*asking(cache, server))
        until_streaming(server)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (130, "", "lambdacat: interrupted\n")
        assert server.closed.wait(5)


def test_a_key_that_a_model_repeats_is_not_repeated(
    say: Say, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with raw(speaking(f"It is {KEY} [1]."), b"") as server:
        for more in (("--journal", str(tmp_path / "runs.db")), ("--json",), ("--trace",)):
            code, out, err = say(*asking(cache, server, *more))
            assert (code, KEY in out + err, "It is [redacted]" in out) == (0, False, True)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


# --- memory ----------------------------------------------------------------------------------------------------------


def test_what_was_asked_before_is_told(say: Say, cache: Path) -> None:
    first = say("research", CHAINED, "--cache", cache)[1]
    second = say("research", f"  {CHAINED.upper()} ", "--cache", cache)[1]
    assert "Asked before" not in first
    assert re.search(r"^Asked before on \d{4}-\d\d-\d\d\.$", second, re.MULTILINE)
    assert "Asked before" not in say("research", CHAINED, "--cache", cache, "--no-memory")[1]
    assert "asked_before" in json.loads(say("research", CHAINED, "--cache", cache, "--json")[1])
    assert say("research", "--forget", "--cache", cache) == (0, "forgotten\n", "")
    assert "Asked before" not in say("research", CHAINED, "--cache", cache)[1]
    assert "Asked before" not in say("research", CHAINED, "--forget", "--no-memory", "--cache", cache)[1]
    assert say("research", "--forget", "--cache", cache) == (0, "nothing was remembered\n", "")


def test_sources_that_were_of_use_are_trusted_more(tmp_path: Path) -> None:
    memory = Remembering(tmp_path)
    assert memory.recalled("a", "", 0.0).trust == ()
    assert list(tmp_path.iterdir()) == []
    for now in range(3):
        memory.learn("a", "", ("topic:x", "topic:x", "topic:y")[now:], float(now))
    known = memory.recalled("A ", "", 3.0)
    assert known.before == 2.0
    assert [locator for locator, _ in known.trust] == ["topic:y", "topic:x"]
    assert memory.recalled("a", "/notes", 3.0).before is None
    assert memory.said == []


@pytest.mark.parametrize("damage", [b"no database at all, " * 500, b"SQLite format 3\0" + b"\7" * 9000])
def test_a_memory_that_cannot_be_read_is_set_aside(say: Say, cache: Path, damage: bytes) -> None:
    (cache / FILE).write_bytes(damage)
    code, out, err = say("research", CHAINED, "--cache", cache)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: the memory of earlier questions could not be read, and was set aside: ")
    assert "Comparisons can be chained" in out
    assert (cache / f"{FILE}.unreadable").read_bytes() == damage
    assert say("research", CHAINED, "--cache", cache)[2] == ""


def test_where_nothing_may_be_written_nothing_is_remembered(
    say: Say, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for _ in range(2):
        code, out, err = say("research", CHAINED, "--cache", cache)
        assert (code, err, "Asked before" in out) == (0, "", False)
    assert not (cache / FILE).exists()


def test_a_memory_that_is_in_use_is_left_out(say: Say, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say("research", CHAINED, "--cache", cache)
    monkeypatch.setattr(research_memory, "WAIT", 0.05)
    other = sqlite3.connect(cache / FILE, isolation_level=None)
    other.execute("begin exclusive")
    code, _, err = say("research", CHAINED, "--cache", cache)
    other.close()
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: the memory of earlier questions was left out: ")


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def learn(number: int) -> list[str]:
        memory = Remembering(tmp_path)
        memory.learn(f"question {number}", "", ("topic:x",), 1.0)
        return memory.said

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(learn, range(8))) == [[]] * 8
    memory = Remembering(tmp_path)
    assert all(memory.recalled(f"question {number}", "", 1.0).before == 1.0 for number in range(8))
    [(_, odds)] = memory.recalled("?", "", 1.0).trust
    assert odds == pytest.approx(8 * research_memory.OF_USE)
