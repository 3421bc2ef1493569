"""Tools over the Model Context Protocol: those of a server as a toolbox, and a toolbox as a server."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, final

from returns.result import Failure

from lambdacat.context import Context
from lambdacat.fault import Unanswered, headline
from lambdacat.place import PlanError
from lambdacat.tools.capability import Capability
from lambdacat.tools.declaring import Tool
from lambdacat.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from lambdacat.bound import Limits

try:
    import mcp_types as types
    from mcp import Client, MCPError, StdioServerParameters
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
except ImportError as error:
    raise ImportError("tools over MCP need its package: pip install 'lambdacat[mcp]'") from error


class ToolFailed(Exception):
    """A tool of a server said that it failed; the text is the server's."""


@asynccontextmanager
async def mcp_tools(
    server: str | Sequence[str] | StdioServerParameters | Server[Any],
    *,
    category: str = "mcp",
    seconds: float = 60.0,
    trusted: bool = False,
    capabilities: Sequence[str | Capability] = (),
) -> AsyncGenerator[Toolbox]:
    """The tools of a server, while the connection is open: ``async with mcp_tools(["my-server", "--flag"]) as tools``.

    The server is a command and its arguments, which is started and ended with the block, the address of one that speaks
    HTTP, or whatever the package ``mcp`` connects to. Each tool is ``category.name``. What a server says of itself is
    believed only if ``trusted``: that its tools are idempotent. Units: ``seconds`` that one call may take. Errors of a
    call: ``ToolFailed`` with what the server says, ``Unanswered`` where it says nothing.
    """
    where: Any = server
    if not isinstance(server, (str, StdioServerParameters, Server)):
        command = tuple(server)
        if not command or not all(isinstance(part, str) for part in command):
            raise PlanError(f"a server is a command with its arguments, or an address, not {server!r}")
        where = StdioServerParameters(command=command[0], args=list(command[1:]))
    async with Client(where) as client:
        told = await _all_told(client)
        yield Toolbox(*(_tool(client, one, category, seconds, trusted, capabilities) for one in told))


async def _all_told(client: Client) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found.extend(page.tools)
        cursor = page.next_cursor
        if not cursor:
            return found


def _tool(
    client: Client, told: types.Tool, category: str, seconds: float, trusted: bool, capabilities: Sequence[Any]
) -> Tool[Any, Any]:
    hints = told.annotations
    twice = bool(hints and (hints.idempotent_hint or hints.read_only_hint))
    return Tool(
        name=f"{category}.{re.sub(r'[^A-Za-z0-9_]+', '_', told.name)}",
        action=_Remote(client, told.name),
        description=told.description or "",
        input=told.input_schema,
        idempotent=True if trusted and twice else None,
        timeout=seconds,
        capabilities=tuple(capabilities),
        metadata={"server": getattr(client.server_info, "name", ""), "tool": told.name},
    )


@final
class _Remote:
    """The action of a tool that is elsewhere."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.__name__ = name

    async def __call__(self, **arguments: Any) -> Any:
        try:
            result = await self._client.call_tool(self.__name__, arguments)
        except (MCPError, OSError) as error:
            raise Unanswered(self.__name__, str(error)) from error
        texts = [one.text for one in result.content if isinstance(one, types.TextContent)]
        if result.is_error:
            raise ToolFailed("\n".join(texts) or "it says no more")
        if result.structured_content is not None:
            return result.structured_content
        if len(texts) == len(result.content):
            return "\n".join(texts)
        return [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in result.content]


async def serve_mcp(
    tools: Toolbox,
    *,
    name: str = "lambdacat",
    context: Context | Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve a toolbox on standard input and output, until that ends: ``anyio.run(serve_mcp, tools)``.

    A call is a run of the tool's own plan, with its checks, limit and timeout; a fault is an answer that says so in one
    line. What tools print goes to standard error. Tools that work on a state are not served.
    """
    server = mcp_server(tools, name=name, context=context, limits=limits)
    async with stdio_server() as (reads, writes):
        with redirect_stdout(sys.stderr):
            await server.run(reads, writes, server.create_initialization_options())


def mcp_server(
    tools: Toolbox,
    *,
    name: str = "lambdacat",
    context: Context | Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> Server[Any]:
    """The server of ``serve_mcp``, for another way to connect to it."""
    served = {tool.name: tool for tool in tools if not tool.on_state}

    async def listed(_: object, __: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_told(tool) for tool in served.values()])

    async def called(_: object, asked: types.CallToolRequestParams) -> types.CallToolResult:
        from lambdacat.bound import Limits
        from lambdacat.interpreters.arun import arun

        if asked.name not in served:
            return _answer(tools._missing(asked.name), is_error=True)
        plan = tools.from_arguments(asked.name)
        outcome = await arun(plan, dict(asked.arguments or {}), context=context, limits=limits or Limits())
        if isinstance(outcome, Failure):
            return _answer(headline(outcome.failure()), is_error=True)
        return _answer(outcome.unwrap())

    return Server(name, on_list_tools=listed, on_call_tool=called)


def _told(tool: Tool[Any, Any]) -> types.Tool:
    hints = None if tool.idempotent is None else types.ToolAnnotations(idempotent_hint=tool.idempotent)
    return types.Tool(
        name=tool.name,
        description=tool.description or None,
        input_schema=tool.listing()["function"]["parameters"],
        annotations=hints,
    )


def _answer(value: Any, *, is_error: bool = False) -> types.CallToolResult:
    """A result as text, and as data where it is an object."""
    import msgspec

    tree = value if isinstance(value, str) else msgspec.to_builtins(value, str_keys=True)
    text = tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=tree if isinstance(tree, dict) else None,
        is_error=is_error,
    )
