"""Mistakes with servers and searches: every marked line must be an error, and no other line."""

from attrs import frozen

from lambdacat import lens, task
from lambdacat.tools.http import Http, Response
from lambdacat.tools.search import Hit, SearxNG, fused, searched


@frozen
class Page:
    url: str
    count: int = 0
    response: Response | None = None


URL = lens(Page, lambda p: p.url)
COUNT = lens(Page, lambda p: p.count)
RESPONSE = lens(Page, lambda p: p.response)


@task
def count(text: str) -> int:
    return len(text)


class Nameless:
    def search(self, query: str, limit: int) -> tuple[Hit, ...]:
        return ()


class Texts:
    name = "texts"

    def search(self, query: str, limit: int) -> tuple[str, ...]:
        return ()


class Unlimited:
    name = "unlimited"

    def search(self, query: str) -> tuple[Hit, ...]:
        return ()


http = Http(("api.example.org",))

number_of_hosts = Http(3)  # MISTAKE: hosts are a tuple of texts
text_seconds = Http(("api.example.org",), seconds="10")  # MISTAKE: seconds are a number
by_position = Http(("api.example.org",), 10)  # MISTAKE: only the hosts go by position
misspelt = Http(host=("api.example.org",))  # MISTAKE: misspelt hosts
dict_store = Http(("api.example.org",), store={})  # MISTAKE: a dict is not a store
response_as_text = http.task() >> count  # MISTAKE: a response is not text
url_of_a_number = http.task(url=COUNT, into=RESPONSE)  # MISTAKE: a URL is text
into_a_number = http.task(url=URL, into=COUNT)  # MISTAKE: a response does not fit there
nowhere = http.task(url=URL)  # MISTAKE: where the response goes must be said
misspelt_option = http.blocking.get("https://api.example.org/", header={})  # MISTAKE: misspelt headers
number_header = http.blocking.get("https://api.example.org/", headers={"n": 3})  # MISTAKE: a header is text
no_name = searched(Nameless())  # MISTAKE: a provider has a name
no_hits = searched(Texts())  # MISTAKE: a provider gives hits
no_limit = fused(Unlimited())  # MISTAKE: a provider is told how many
a_class = fused(SearxNG)  # MISTAKE: a provider is made, with where it is
hits_as_text = searched(SearxNG(http, "https://api.example.org")) >> count  # MISTAKE: hits are not text
