"""A server of tools over standard input and output, as a program of its own: ``python mcp_programs.py``."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import anyio
from attrs import frozen

from lambdacat import task
from lambdacat.tools import Toolbox, tool
from lambdacat.tools.mcp import serve_mcp


@frozen
class Forecast:
    """What a tool gives."""

    city: str
    days: int


@tool("weather.get", idempotent=True, limit=2, timeout=5)
async def weather(city: str, days: Annotated[int, "how many"] = 1) -> Forecast:
    """The weather in a city.

    Not told to models.
    """
    print("what a tool prints is no message")
    return Forecast(city, days)


@tool("echo.back", idempotent=False)
def echo(text: str) -> str:
    """The same text."""
    return text


@tool("echo.fail")
def fail(n: int) -> int:
    """Fails."""
    raise ValueError(f"never {n}\nnever")


@tool("process.die")
def die() -> None:
    """Ends the server."""
    os._exit(3)


@tool("process.sleep")
def sleep(seconds: float) -> None:
    """Takes its time."""
    time.sleep(seconds)


@tool("several.rows")
def rows(n: int) -> list[int]:
    """No object."""
    return list(range(n))


@task
def double(n: int) -> int:
    """A step of a plan that is a tool."""
    return 2 * n


def toolbox() -> Toolbox:
    """What it serves."""
    tools: Any = Toolbox(weather, echo, fail, die, sleep, rows)
    box: Toolbox = tools.with_plan("plan.double", double >> double, takes=int, description="Four times.")
    return box


if __name__ == "__main__":
    anyio.run(serve_mcp, toolbox())
