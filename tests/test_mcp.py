"""Tools over MCP: a real server in a process of its own, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest
from clocks import Runner, really_on_both
from mcp_programs import toolbox
from untyped import arun

from lambdacat import ActionFailed, PlanError, Success, Unavailable, keep_secret
from lambdacat.secret import forget_secrets
from lambdacat.tools import Toolbox, UnknownTool, tool
from lambdacat.tools.mcp import ToolFailed, mcp_server, mcp_tools

SERVER = [sys.executable, str(Path(__file__).with_name("mcp_programs.py"))]


def with_server(on: Runner, body: Callable[[Toolbox], Coroutine[Any, Any, Any]], server: Any = None) -> Any:
    """What a body makes of the tools of a server."""

    async def main() -> Any:
        async with mcp_tools(SERVER if server is None else server, category="far") as tools:
            return await body(tools)

    return on(main)


@really_on_both
def test_the_tools_of_a_server_are_a_toolbox(on: Runner) -> None:
    async def body(tools: Toolbox) -> None:
        assert len(tools) == 7
        far = tools["far.weather_get"]
        assert far.description == "The weather in a city."
        assert far.idempotent is None
        assert far.listing()["function"]["parameters"]["required"] == ["city"]
        assert far.metadata == {"server": "lambdacat", "tool": "weather.get"}
        call = tools.from_arguments
        assert await arun(call("far.weather_get"), {"city": "Turin", "days": 2}) == Success(
            {"city": "Turin", "days": 2}
        )
        assert await arun(call("far.echo_back"), {"text": "é\n"}) == Success("é\n")
        assert await arun(call("far.several_rows"), {"n": 3}) == Success("[0, 1, 2]")
        assert await arun(call("far.plan_double"), {"input": 3}) == Success("12")
        outcomes = await at_once([lambda n=n: arun(call("far.echo_back"), {"text": str(n)}) for n in range(20)])
        assert outcomes == [Success(str(n)) for n in range(20)]

    with_server(on, body)


async def at_once(calls: list[Any]) -> list[Any]:
    """The results of several calls at once, in order."""
    found: list[Any] = [None] * len(calls)

    async def one(index: int) -> None:
        found[index] = await calls[index]()

    async with anyio.create_task_group() as group:
        for index in range(len(calls)):
            group.start_soon(one, index)
    return found


def test_what_goes_wrong_is_a_fault() -> None:
    async def body(tools: Toolbox) -> None:
        call = tools.from_arguments
        bad = (await arun(call("far.weather_get"), {"city": 5})).failure()
        assert "far.weather_get: city: expected str" in str(bad)
        failed = (await arun(call("far.echo_fail"), {"n": 5})).failure()
        assert isinstance(failed, ActionFailed)
        assert isinstance(failed.error, ToolFailed)
        assert str(failed.error) == "echo.fail raised ValueError: never 5 never"
        slow = tools["far.process_sleep"].task({"seconds": 30}).timeout(0.2)
        assert type((await arun(slow, None)).failure()).__name__ == "TimedOut"
        gone = (await arun(call("far.process_die"), {})).failure()
        assert isinstance(gone, Unavailable)

    with_server(asyncio_run, body)


def test_nothing_of_a_server_is_left() -> None:
    found: list[int] = []

    async def body(tools: Toolbox) -> None:
        listing = await anyio.run_process(["pgrep", "-f", SERVER[1]])
        found.extend(map(int, listing.stdout.split()))
        raise ValueError("out")

    with pytest.raises(BaseExceptionGroup) as caught:
        with_server(asyncio_run, body)
    assert "out" in repr(caught.value)
    assert found
    assert not any(Path(f"/proc/{pid}").exists() for pid in found)


def asyncio_run(main: Callable[..., Any]) -> Any:
    """A real run of a loop."""
    return asyncio.run(main())


@pytest.mark.sweep
def test_hints_are_believed_when_the_server_is_trusted() -> None:
    async def main(trusted: bool) -> dict[str, bool | None]:
        async with mcp_tools(SERVER, category="far", trusted=trusted, capabilities=["exec"]) as tools:
            assert [str(one) for one in tools["far.echo_back"].capabilities] == ["exec"]
            return {name: tools[name].idempotent for name in ("far.weather_get", "far.echo_back")}

    assert asyncio.run(main(True)) == {"far.weather_get": True, "far.echo_back": None}
    assert asyncio.run(main(False)) == {"far.weather_get": None, "far.echo_back": None}


def test_a_server_that_is_none_is_refused() -> None:
    for wrong in ([], [1]):
        with pytest.raises(PlanError, match="a server is a command"):
            with_server(asyncio_run, lambda tools: asyncio.sleep(0), wrong)
    with pytest.raises((OSError, BaseExceptionGroup)):
        with_server(asyncio_run, lambda tools: asyncio.sleep(0), ["/nowhere/at/all"])


def test_a_client_that_writes_rubbish_does_not_end_a_server() -> None:
    ask = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}  # fmt: skip
    said = b"rubbish\n{}\n\xff\xfe\n" + json.dumps(ask).encode() + b"\n"
    done = subprocess.run(SERVER, input=said, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(one.get("id") == 1 and "result" in one for one in answers)


def test_what_a_server_answers_has_no_secrets_and_knows_its_tools() -> None:
    keep_secret("sk-very-secret")

    @tool("leak.now")
    def leak() -> str:
        """Fails with a secret."""
        raise ValueError("sk-very-secret")

    async def main() -> None:
        async with mcp_tools(mcp_server(toolbox().with_(leak)), category="near") as tools:
            fault = (await arun(tools.from_arguments("near.leak_now"), {})).failure()
            assert "[redacted]" in str(fault)
            assert "very-secret" not in str(fault)
            with pytest.raises(UnknownTool):
                tools.from_arguments("near.leak_no")

    try:
        asyncio.run(main())
    finally:
        forget_secrets()
