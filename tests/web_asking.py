"""URLs and addresses that nobody should be sent to, and ways to ask for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest
from web_servers import Scripted

from lambdacat import Denied, Unanswered
from lambdacat.tools.http import Http, Response

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
NAME = "api.example.org"
LISTED = Http((NAME, "*.wild.example"))

FOREIGN = [
    # a user name that looks like a host, and a host that looks like a user name
    f"https://{NAME}@evil.example/", f"https://{NAME}:443@evil.example/", f"https://user@{NAME}/",
    f"https://user:word@{NAME}/", f"https://@{NAME}/", f"https://evil.example@{NAME}/",
    f"https://{NAME}%40evil.example/", f"https://evil.example#@{NAME}/", f"https://evil.example?@{NAME}/",
    f"https://evil.example/@{NAME}/",
    # backslashes, which browsers take for slashes
    f"https://evil.example\\@{NAME}/", f"https:\\\\{NAME}/", f"https://{NAME}\\.evil.example/",
    f"https://{NAME}\\/", "https:/\\evil.example/",
    # letters that look or fold like others
    "https://api.ex\u0430mple.org/", "https://\uff41\uff50\uff49.example.org/", "https://api\u3002example\u3002org/",
    f"https://{NAME}\uff0eevil.example/", "https://api.example.\u24dfrg/", "https://api.ex\u00adample.org/",
    f"https://{NAME}\u2044.evil.example/", "https://xn--api-9za.example.org/", f"https://{NAME}\u200b/",
    "https://api.example.org\uff03@evil.example/", "https://\u212a.wild.example/", f"http\u017f://{NAME}/",
    f"https://{NAME}/\ud800",
    # dots
    f"https://{NAME}./", f"https://{NAME}../", f"https://.{NAME}/", "https://api..example.org/",
    # more or less of the name
    f"https://{NAME}.evil.example/", f"https://evil{NAME}/", f"https://evil-{NAME}/", f"https://{NAME}s/",
    "https://api.example.or/", "https://example.org/", f"https://a.{NAME}/", "https://wild.example/",
    "https://evilwild.example/", "https://.wild.example/", "https://a.wild.example.evil.example/",
    "https://*.wild.example/", "https://a.wild.example./", "https://-.wild.example/", "https://%61.wild.example/",
    # this machine, in all that resolvers take for its address
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/",
    "https://0177.0.0.1/", "https://127.1/", "https://127.0.1/", "https://127.0.0.1/", "https://127.0.0.1./",
    "https://0/", "https://0.0.0.0/", "https://localhost/", "https://[::1]/", "https://[::]/",
    "https://\u2460\u2461\u2466.0.0.1/", "https://127\u30020\u30020\u30021/",
    # addresses inside addresses, and those of clouds
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/", "https://[::127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[::1%lo]/",
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", f"https://[{NAME}]/", "https://[::1/",
    # ports
    f"https://{NAME}:80/", f"https://{NAME}:8443/", f"https://{NAME}:0443/", f"https://{NAME}:443x/",
    f"https://{NAME}:+443/", f"https://{NAME}:65979/", f"https://{NAME}:/", f"https://{NAME}:-1/",
    f"https://{NAME}:443:443/", f"https://{NAME}:\uff14\uff14\uff13/", f"https://{NAME}:4_43/",
    # schemes
    f"http://{NAME}/", f"ftp://{NAME}/", "file:///etc/passwd", f"file://{NAME}/etc/passwd", f"gopher://{NAME}/",
    "data:,x", f"//{NAME}/", NAME, f"https:{NAME}/", f"https:///{NAME}/", f"wss://{NAME}/", f"jar:https://{NAME}!/",
    f"https+unix://{NAME}/", f"https//{NAME}/", f"httpss://{NAME}/", "", "https://", "https:///",
    # what is no character of a URL
    f" https://{NAME}/", f"https://{NAME}/\r\nX: y", f"https://{NAME} /", f"htt\tps://{NAME}/", "https://api.exam\nple.org/",
    f"https://{NAME}\x00.evil.example/", f"https://{NAME}/{'a' * 9000}", "https://" + "a" * 300 + ".wild.example/",
]  # fmt: skip

INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.8", "192.0.0.170", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860::8888"]


def ask(http: Http, url: str, *, method: str = "GET", backend: str = "asyncio", **more: Any) -> Response:
    async def begin() -> Response:
        return await http.request(method, url, **more)

    return anyio.run(begin, backend=backend)


def refusal(http: Http, url: str, **more: Any) -> str:
    with pytest.raises(Denied) as raised:
        ask(http, url, **more)
    return raised.value.reason


def silence(http: Http, url: str, **more: Any) -> str:
    with pytest.raises(Unanswered) as raised:
        ask(http, url, **more)
    return raised.value.reason


def at(server: Scripted, **more: Any) -> Http:
    """A client for one server, with little patience."""
    return Http((server.url(path=""),), **{"seconds": 5, **more})


def leading(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives one answer after the other; the last one again and again."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve
