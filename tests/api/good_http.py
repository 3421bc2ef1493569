"""Programs that ask servers and search, which must type-check exactly as written, as in ``good.py``. Checked, never run."""

from attrs import frozen

from typing_extensions import assert_type

from lambdacat import ActionFailed, Exponential, Plan, Unavailable, lens, task
from lambdacat.guard import Concurrency, Retries
from lambdacat.store import MemoryStore
from lambdacat.tools.http import Http, Response
from lambdacat.tools.search import Found, Hit, LocalSearch, Search, SearxNG, first_found, fused, searched


@frozen
class Page:
    url: str
    response: Response | None = None
    found: Found | None = None


URL = lens(Page, lambda p: p.url)
RESPONSE = lens(Page, lambda p: p.response)
FOUND = lens(Page, lambda p: p.found)

http = Http(
    ("api.example.org", "*.example.net", "http://10.1.2.3:8080"),
    seconds=5,
    size=200_000,
    headers={"authorization": "Bearer x"},
    private=("10.1.2.0/24",),
    store=MemoryStore(),
)

assert_type(http.task(), Plan[str, Response])
assert_type(http.task(url="https://api.example.org/"), Plan[object, Response])
assert_type(http.task(url=URL, into=RESPONSE), Plan[Page, Page])
patient = http.task().retry(Exponential(first=0.5).times(3), on=(ActionFailed, Unavailable), budget=Retries())
assert_type(patient.limited(Concurrency(3)).map(Response.good).map(lambda response: response.text), Plan[str, str])
assert_type(http.blocking.post("https://api.example.org/", json={"a": 1}, params={"n": 3}), Response)


@task
def ask(url: str) -> str:
    return http.blocking.get(url).good().text


async def header(url: str) -> str:
    response = await http.get(url, headers={"accept": "text/plain"})
    return response.header("content-type", "none")


class Mine:
    """Users may bring their own provider."""

    name = "mine"

    async def search(self, query: str, limit: int) -> tuple[Hit, ...]:
        return (Hit(query, "note:1", "a passage"),)[:limit]


class Waiting:
    name = "waiting"

    def search(self, query: str, limit: int) -> tuple[Hit, ...]:
        return ()


mine: Search = Mine()
web: Search = SearxNG(http, "https://api.example.org", language="en")
notes: Search = LocalSearch.of_folder("notes")

assert_type(searched(mine, limit=3), Plan[str, tuple[Hit, ...]])
assert_type(fused(mine, web, notes, Waiting(), limit=5, seconds=3), Plan[str, Found])
assert_type(first_found(Mine(), Waiting()), Plan[str, tuple[Hit, ...]])
assert_type(fused(mine, web).between(URL, FOUND), Plan[Page, Page])
