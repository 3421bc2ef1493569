"""A module of tools, as a user would write one: what it makes public is a toolbox."""

from __future__ import annotations

import math
from typing import Annotated, Any

import anyio
from attrs import frozen
from typing_extensions import TypedDict

from lambdacat import Context, Estimate, Lens, lens
from lambdacat.tools import tool


@frozen
class Trip:
    """A state with what the tools read and write."""

    city: str = "Turin"
    report: str = ""
    days: Any = 2
    total: float = 0.0


CITY: Lens[Trip, str] = lens(Trip, lambda s: s.city)
REPORT: Lens[Trip, str] = lens(Trip, lambda s: s.report)
DAYS: Lens[Trip, Any] = lens(Trip, lambda s: s.days)
TOTAL: Lens[Trip, float] = lens(Trip, lambda s: s.total)


class Address(TypedDict):
    """Where somebody lives."""

    street: str
    number: int


@tool(
    "weather.get",
    reads="weather",
    idempotent=True,
    latency="medium",
    estimate=Estimate(tokens=(0, 0), money=(0, 0.01)),
    capabilities="net:api.example.org",
    timeout=5,
)
async def weather(city: Annotated[str, "The city's own name."], days: int = 1) -> str:
    """The weather in a city.

    This second paragraph is for people.
    """
    await anyio.sleep(1)
    return f"{city}: rain for {days} days"


@tool("math.add", reads=(), idempotent=True, estimate=Estimate(), blocking="inline")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool("math.root", blocking="inline")
def root(of: float) -> float:
    """The square root."""
    return math.sqrt(of)


@tool("mail.send", writes=("mail", "log"), idempotent=False, limit=2)
async def send(to: Address, text: str, ctx: Context) -> None:
    """Send a letter."""
    await anyio.sleep(1)
    ctx["sent"].append((to["street"], text))


plain = math.sqrt
_hidden = tool("math.hidden")(lambda of: of)
