"""Fetch pages concurrently with a plain blocking function; one bad page is a value, not the end of the run.

The pages come from a server in a thread of this process, on a free port of 127.0.0.1.

Output:

    Home
    fetch raised HTTPError: HTTP Error 503: Service Unavailable
    News
    2 of 3 pages
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from attrs import frozen

from lambdacat import Failure, Fixed, Outcome, Success, arun, each, lens, task, value_or_raise

PAGES = {"/": "<title>Home</title>", "/news": "<title>News</title>"}


@frozen
class Crawl:
    """The addresses, what each gave, and the titles found."""

    urls: tuple[str, ...]
    pages: tuple[Outcome[str], ...] = ()
    lines: tuple[str, ...] = ()


URLS = lens(Crawl, lambda c: c.urls)
FETCHED = lens(Crawl, lambda c: c.pages)
LINES = lens(Crawl, lambda c: c.lines)


@task
def fetch(url: str) -> str:
    """A blocking call: under ``arun`` it runs in a worker thread."""
    try:
        with build_opener(ProxyHandler({})).open(url) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        error.close()  # the exception holds a socket, and the fault holds the exception
        raise


def line(page: Outcome[str]) -> str:
    """The title of a page, or why there is none."""
    match page:
        case Success(text):
            return text.removeprefix("<title>").removesuffix("</title>")
        case Failure(fault):
            return str(fault).splitlines()[0].partition(": ")[2]


@task(reads=FETCHED, writes=LINES)
def summarise(pages: tuple[Outcome[str], ...]) -> tuple[str, ...]:
    """One line for each page, and one for all."""
    good = sum(isinstance(page, Success) for page in pages)
    return (*map(line, pages), f"{good} of {len(pages)} pages")


patient = fetch.retry(Fixed(0.01).times(1)).timeout(5)
scrape = patient.attempt().between(URLS >> each, FETCHED, limit=8) >> summarise


class Site(BaseHTTPRequestHandler):
    """A site on which one page is down."""

    def do_GET(self) -> None:
        """Answer with a page, or with 503."""
        body = PAGES.get(self.path, "").encode()
        self.send_response(200 if body else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """The address of the site while it is up."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def main() -> None:
    """Fetch three pages, of which one is down."""
    with serving() as site:
        crawl = Crawl(tuple(site + path for path in ("/", "/broken", "/news")))
        print(*value_or_raise(asyncio.run(arun(scrape, crawl))).lines, sep="\n")


if __name__ == "__main__":
    main()
