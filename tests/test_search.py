"""Searches as plans: one provider, several fused, the first to find anything; local indexes and a server."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from web_servers import Scripted, answer, drip, saying

from lambdacat import AllFailed, Outcome, PlanError, Success, Unavailable, arun, value_or_raise
from lambdacat.codec import Codecs
from lambdacat.testing import virtual_run
from lambdacat.tools.corpus import search
from lambdacat.tools.http import Http
from lambdacat.tools.search import (
    Found,
    Hit,
    LocalSearch,
    SearxNG,
    by_reciprocal_rank,
    first_found,
    fused,
    searched,
)

A, B, C, D = (Hit(name, f"https://example.org/{name}", f"about {name}") for name in "abcd")


@frozen
class Fixed:
    """Finds what it is told to, after a while; or fails."""

    name: str
    hits: tuple[Any, ...] = ()
    seconds: float = 0.0
    error: str = ""

    async def search(self, query: str, limit: int) -> tuple[Hit, ...]:
        await anyio.sleep(self.seconds)
        if self.error:
            raise ConnectionError(self.error)
        return self.hits


@frozen
class Waiting:
    """A provider that is not async."""

    hits: tuple[Hit, ...]
    name: str = "waiting"

    def search(self, query: str, limit: int) -> tuple[Hit, ...]:
        return self.hits


Backend = Literal["asyncio", "trio"]


def went(plan: Any, query: str = "tea", backend: Backend = "asyncio") -> Outcome[Any]:
    return virtual_run(arun, plan, query, backend=backend)


def test_hits_can_be_kept() -> None:
    found = Found((A, B), (("archive", "closed"),))
    codecs = Codecs(Found, Hit)
    assert codecs.decode(codecs.encode(found)) == found


def test_one_provider_is_a_step_with_its_name() -> None:
    assert searched(Fixed("web", (A, B))).name == "search web"
    assert went(searched(Fixed("web", (A, B, C)), limit=2)) == Success((A, B))


def test_a_provider_may_wait() -> None:
    assert anyio.run(arun, searched(Waiting((A,))), "tea") == Success((A,))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_several_are_fused_and_who_failed_is_told(backend: Backend) -> None:
    plan = fused(Fixed("one", (A, B)), Fixed("two", error="no route"), Fixed("three", (B, C)), limit=2)
    found = value_or_raise(went(plan, backend=backend))
    assert [hit.title for hit in found.hits] == ["b", "a"]
    assert found.failed == (("two", "search two raised ConnectionError: no route"),)


def test_who_takes_too_long_counts_as_failed() -> None:
    found = value_or_raise(went(fused(Fixed("quick", (A,), 1.0), Fixed("slow", (B,), 60.0), seconds=2)))
    assert [hit.title for hit in found.hits] == ["a"]
    assert [name for name, _ in found.failed] == ["slow"]


def test_nothing_found_is_an_answer_and_all_failed_is_none() -> None:
    assert went(fused(Fixed("one"), Fixed("two"))) == Success(Found(()))
    fault = went(fused(Fixed("one", error="down"), Fixed("two", error="away"))).failure()
    assert isinstance(fault, Unavailable)
    assert "one:" in fault.reason
    assert "away" in fault.reason


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_first_that_finds_anything_wins(backend: Backend) -> None:
    providers = (
        Fixed("empty", (), 0.1),
        Fixed("broken", error="down"),
        Fixed("good", (A,), 1),
        Fixed("late", (B,), 60),
    )
    assert went(first_found(*providers), backend=backend) == Success((A,))
    assert isinstance(went(first_found(*providers[:2]), backend=backend).failure(), AllFailed)


def test_what_is_no_hit_is_told() -> None:
    found = value_or_raise(went(fused(Fixed("odd", ("text",)), Fixed("good", (A,)))))
    assert "gives hits" in found.failed[0][1]


@pytest.mark.parametrize("limit", [0, -1, True, 1.5])
def test_a_limit_is_at_least_one(limit: Any) -> None:
    with pytest.raises(PlanError, match="limit"):
        searched(Fixed("web"), limit=limit)


def test_what_is_no_provider_is_refused() -> None:
    nobody: Any = object()
    for build in (searched, fused, first_found):
        with pytest.raises((PlanError, AttributeError)):
            build(nobody)
    for build in (fused, first_found):
        with pytest.raises(PlanError, match="wants a provider"):
            build()


ANSWERS = st.lists(st.lists(st.sampled_from([A, B, C, D]), max_size=5).map(tuple), max_size=4)


@given(ANSWERS, st.randoms())
def test_fusing_knows_no_order_but_that_of_ranks(answers: list[tuple[Hit, ...]], random: Any) -> None:
    ranked = by_reciprocal_rank(answers)
    shuffled = answers.copy()
    random.shuffle(shuffled)
    assert {hit.locator: pytest.approx(hit.score) for hit in by_reciprocal_rank(shuffled)} == {
        hit.locator: hit.score for hit in ranked
    }
    assert {hit.locator for hit in ranked} == {hit.locator for hits in answers for hit in hits}
    assert [hit.score for hit in ranked] == sorted((hit.score for hit in ranked), reverse=True)


def test_a_hit_that_is_there_twice_counts_once_and_is_shown_at_its_best() -> None:
    better = Hit("better", A.locator, "the same place in other words")
    [first, second] = by_reciprocal_rank([(B, A, A), (better,)])
    assert (first.title, first.score) == ("better", 1 / 61 + 1 / 62)
    assert second.score == 1 / 61


# On this machine -----------------------------------------------------------------------------------------------------


def test_a_folder_is_searched_as_the_research_command_searches_it(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "tea.md").write_text("# Green tea\n\nSteep for three minutes.\n", encoding="utf-8")
    local = LocalSearch.of_folder(notes, cache=tmp_path / "cache")
    [hit] = value_or_raise(anyio.run(arun, searched(local), "how long does green tea steep?"))
    assert (hit.title, hit.locator, hit.passage) == ("Green tea", "file:tea.md:3", "Steep for three minutes.")
    [passage] = search(local.index, ["steep"], source=local.source)
    assert passage.locator == hit.locator
    assert local.search("c++ AND NEAR( \0") == ()


def test_the_library_is_searched(library: Path) -> None:
    assert "topic:comparisons" in [
        hit.locator for hit in LocalSearch.of_topics(cache=library).search("chained comparisons")
    ]
    found = LocalSearch.of_docstrings(cache=library).search("statistics.median", 3)
    assert len(found) <= 3
    assert any("median" in hit.title for hit in found)


# On a server ---------------------------------------------------------------------------------------------------------


def results(*rows: Any) -> bytes:
    return json.dumps({"query": "tea", "results": rows}).encode()


def web(server: Scripted, **more: Any) -> SearxNG:
    return SearxNG(Http((server.url(path=""),), seconds=5), server.url(), **more)


def found_by(provider: SearxNG, query: str = "tea") -> Any:
    return anyio.run(arun, searched(provider, limit=3), query)


def test_a_server_is_asked_and_what_it_says_is_cleaned() -> None:
    rows = (
        {"title": " Tea\n\u202etime ", "url": "https://example.org/t\u00e9?a=b#c", "content": "x" * 9000, "score": 2},
        {"title": "script", "url": "javascript:alert(1)"},
        {"title": "file", "url": "file:///etc/passwd"},
        {"title": "user", "url": "https://a@example.org/"},
        {"title": "", "url": "https://example.org/untitled"},
        "no result",
        {"title": "more", "url": "https://example.org/2", "content": None, "score": 1e300},
        {"title": "more", "url": "https://example.org/3", "score": "high"},
        {"title": "too many", "url": "https://example.org/4"},
    )
    with Scripted(saying(200, "content-type: application/json", body=results(*rows))) as server:
        first, second, third = value_or_raise(
            found_by(web(server, language="en", categories=("it", "news")), "tea & milk")
        )
        asked = server.heads[0].split(b" ")[1]
    assert asked == b"/search?q=tea+%26+milk&format=json&language=en&categories=it%2Cnews"
    assert (first.title, first.locator, len(first.passage), first.score) == (
        "Tea time",
        "https://example.org/t%C3%A9?a=b",
        2000,
        2.0,
    )
    assert (second.locator, second.passage, second.score, third.score) == ("https://example.org/2", "", 0.0, 0.0)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"results": 3}', b'{"results": [], "results": []}', b"NaN"]
)
def test_what_is_no_answer_to_a_search_is_unavailable(body: bytes) -> None:
    with Scripted(saying(200, body=body)) as server:
        assert isinstance(found_by(web(server)).failure(), Unavailable)


def test_a_server_without_json_says_so_by_its_status() -> None:
    with Scripted(saying(403)) as server:
        assert "answered 403" in str(found_by(web(server)).failure())


def test_a_server_that_leads_elsewhere_is_refused_and_the_others_are_not_lost() -> None:
    def elsewhere(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer(302, "location: http://169.254.169.254/latest/meta-data/"))

    with Scripted(elsewhere) as bad, Scripted(saying(200, body=results({"title": "a", "url": A.locator}))) as good:
        plan = fused(web(bad, name="bad"), web(good, name="good"), Waiting((A, B)))
        found = value_or_raise(anyio.run(arun, plan, "tea"))
    assert [hit.locator for hit in found.hits] == [A.locator, B.locator]
    assert [name for name, _ in found.failed] == ["bad"]
    assert "refused" in found.failed[0][1].lower()


def test_who_is_not_needed_any_more_is_left() -> None:
    with Scripted(drip) as slow, Scripted(saying(200, body=results({"title": "a", "url": A.locator}))) as good:
        [hit] = value_or_raise(anyio.run(arun, first_found(web(slow), web(good)), "tea"))
    assert hit.locator == A.locator
    assert slow.left_alone == slow.connections


@pytest.mark.parametrize("more", [{"url": ""}, {"url": 3}, {"url": "https://example.org", "name": ""}])
def test_a_server_has_a_url_and_a_name(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is a text"):
        SearxNG(Http(), **more)
