"""Programs with tools that must type-check exactly as written, as in ``good.py``. Checked, never run."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from typing_extensions import assert_type

from lambdacat import Context, Estimate, Plan, lens, run, task
from lambdacat.state import AgentState
from lambdacat.tools import Held, Tool, Toolbox, grants, memory_tools, model_name, name_of_model, tool


@frozen
class Trip:
    city: str = ""
    days: int = 1
    report: str = ""


CITY = lens(Trip, lambda t: t.city)
DAYS = lens(Trip, lambda t: t.days)
REPORT = lens(Trip, lambda t: t.report)


@tool(
    "weather.get",
    reads="weather",
    idempotent=True,
    limit=4,
    timeout=5,
    latency="fast",
    estimate=Estimate(money=(0, 0.01)),
    capabilities=("net:api.example.org", "llm"),
    metadata={"team": "sky"},
)
async def weather(city: str, days: int = 1) -> str:
    return f"{city}: rain for {days}"


@tool("text.count")
def count(text: str, ctx: Context) -> int:
    grants.require("fs:/srv")
    return len(text)


async def called() -> str:
    return await weather("Turin", days=3)


assert_type(weather.task(city=CITY, into=REPORT), Plan[Trip, Trip])
assert_type(count.task(text=REPORT, into=DAYS), Plan[Trip, Trip])
assert_type(weather.task(city="Turin"), Plan[Any, str])
assert_type(count.task({"text": REPORT}), Plan[Any, int])

box: Toolbox = Toolbox(weather, count).with_plan("text.short", task(len), takes=str, gives=int, limit=3)
whole = (box | memory_tools()).without("text.count").strict()

assert_type(whole.task("weather.get", city=CITY, into=REPORT), Plan[Trip, Trip])
assert_type(whole.from_arguments("weather.get"), Plan[Mapping[str, Any], Any])
assert_type(box["weather.get"], Tool[Any, Any])
assert_type(box.get("weather.get"), Tool[Any, Any] | None)
assert_type(box.listing(), list[dict[str, Any]])
assert_type(name_of_model(model_name("weather.get")), str)

chain = whole.task("weather.get", city=CITY, into=REPORT) >> whole.task("text.short", input=REPORT, into=DAYS)
assert_type(chain.retry(2).timeout(3), Plan[Trip, Trip])
saved: Plan[AgentState, AgentState] = memory_tools().task("memory.save", key="a", value=1)


def names(toolbox: Toolbox) -> list[str]:
    return [one.name for one in toolbox if "math" in toolbox.categories]


def ended(trip: Trip) -> Trip:
    return run(chain, trip, context={"users": Held("users", {}, reads=("get",))}).unwrap()
