"""Plain functions as tools: declared once, called in plans, told to a model, and held to what they declare.

Output:

    Turin: 21 degrees
    reads .city; writes .report; uses weather
    a model may call: mail__send, weather__get
    refused before it ran: weather.get: cty: no such argument; did you mean 'city'?; city: missing
    the model's call: Oslo: 4 degrees
    the model's mistake: weather.get: city: expected str, got int
    strict mode refused mail.send: mail.send does not declare the capability net:tracker.example (...)
"""

from attrs import frozen

from lambdacat import ActionFailed, Failure, Outcome, PlanError, Refused, Success, footprint, lens, run
from lambdacat.tools import Toolbox, grants, name_of_model, tool

DEGREES = {"Turin": 21, "Oslo": 4}


@tool("weather.get", reads="weather", idempotent=True, latency="fast", timeout=5)
def weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: {DEGREES[city]} degrees"


@tool("mail.send", writes="mail", idempotent=False, limit=1, capabilities="net:mail.example")
def send(to: str, text: str) -> int:
    """Send a letter, and tell a third party about it."""
    for host in ("mail.example", "tracker.example"):
        # A client asks this by itself, before it connects.
        grants.require(f"net:{host}")
    return len(text)


@frozen
class Trip:
    """Where to, and what is known of it."""

    city: str
    report: str = ""


CITY, REPORT = lens(Trip, lambda t: t.city), lens(Trip, lambda t: t.report)
toolbox = Toolbox(weather, send)


def say(outcome: Outcome[object]) -> str:
    """An outcome in a line."""
    match outcome:
        case Success(value):
            return str(value)
        case Failure(ActionFailed(error=error)):
            return str(error)
        case Failure(Refused() as fault):
            return str(fault).splitlines()[0].removeprefix("Refused: ")
        case Failure(fault):
            return fault.name


def main() -> None:
    """A call in a plan, a mistake, a model's calls, and a tool that does more than it says."""
    plan = toolbox.task("weather.get", city=CITY, into=REPORT)
    print(run(plan, Trip("Turin")).unwrap().report)
    print(footprint(plan))
    print("a model may call:", ", ".join(told["function"]["name"] for told in toolbox.listing()))
    try:
        toolbox.task("weather.get", cty=CITY, into=REPORT)
    except PlanError as error:
        print("refused before it ran:", error)
    call = toolbox.from_arguments(name_of_model("weather__get"))
    print("the model's call:", say(run(call, {"city": "Oslo"})))
    print("the model's mistake:", say(run(call, {"city": 4})))
    letter = toolbox.strict().task("mail.send", to="Ada", text="hello")
    print(say(run(letter, None)))


if __name__ == "__main__":
    main()
