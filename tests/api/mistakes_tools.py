"""Mistakes with tools: every marked line must be an error, and no other line."""

from attrs import frozen

from lambdacat import Plan, lens, run
from lambdacat.tools import Toolbox, tool


@frozen
class Trip:
    city: str = ""
    days: int = 1


CITY = lens(Trip, lambda t: t.city)
DAYS = lens(Trip, lambda t: t.days)


@tool("text.count")
def count(text: str) -> int:
    return len(text)


@tool("weather.get")
async def weather(city: str) -> str:
    return city


box = Toolbox(count, weather)

wrong_argument = count(3)  # MISTAKE: the function takes text
missing_argument = count()  # MISTAKE: the function takes text
misspelt = tool("a.b", idempotant=True)  # MISTAKE: there is no such option
no_latency = tool("a.b", latency="quick")  # MISTAKE: there is no such class of latency
text_limit = tool("a.b", limit="3")  # MISTAKE: a limit is a number
no_name = tool(len)  # MISTAKE: a tool has a name
bare_function = Toolbox(len)  # MISTAKE: a function is not declared
a_number = box.with_(3)  # MISTAKE: a number is no tool
wrong_place = count.task(text=CITY, into=CITY)  # MISTAKE: the result is a number, and the field is text
wrong_place_later = weather.task(city=CITY, into=DAYS)  # MISTAKE: the result is text, and the field is a number
into_a_name = box.task("text.count", text=CITY, into="days")  # MISTAKE: the place is a lens
no_plan = box.with_plan("a.b", len)  # MISTAKE: a function is no plan
a_row_of_names = box.without(["a.b"])  # MISTAKE: names are given one by one
joined = box | count  # MISTAKE: a tool is no toolbox
wrong_state: Plan[str, str] = box.task("text.count", text=CITY, into=DAYS)  # MISTAKE: a plan on another state
ran = run(box.task("text.count", text=CITY, into=DAYS), "Turin")  # MISTAKE: the plan starts from a trip
