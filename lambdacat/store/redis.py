"""A store on a Redis server: for many machines, and values that change often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, final
from urllib.parse import urlsplit

from lambdacat.codec import StateCorrupt
from lambdacat.fault import Unanswered
from lambdacat.store.cells import Cell, after, seconds_of
from lambdacat.store.store import VersionConflict
from lambdacat.store.values import Classes, Sealed, ValueStore

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImportError("RedisStore needs a client: pip install 'lambdacat[redis]'") from error

_LOAD = """
return {redis.call('HMGET', KEYS[1], 'version', 'mark', 'digest', 'data'), redis.call('ZSCORE', KEYS[2], ARGV[1])}
"""
_SAVE = """
local found = redis.call('HGET', KEYS[1], 'version') or '0'
if ARGV[2] ~= '' and ARGV[2] ~= found or tonumber(found) >= tonumber(ARGV[3]) then
    return {0, found}
end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'mark', ARGV[4], 'digest', ARGV[5], 'data', ARGV[6])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('PUBLISH', KEYS[3], '')
return {1, ARGV[3]}
"""
_REMOVE = """
redis.call('ZREM', KEYS[2], ARGV[1])
local gone = redis.call('DEL', KEYS[1])
if gone == 1 then redis.call('PUBLISH', KEYS[3], '') end
return gone
"""
_BATCH = 500


@final
class RedisStore(ValueStore):
    """Values on a Redis server, under names that begin with ``space``.

    What was written lasts as long as the server keeps it: give it ``appendonly yes`` and ``appendfsync always`` for
    values that must outlive it. Units: ``seconds`` is how long an answer is waited for.
    """

    def __init__(self, url: str, *, codecs: Classes = (), space: str = "lambdacat", seconds: float = 10.0) -> None:
        super().__init__(codecs)
        self.space = space
        self.seconds = seconds_of(seconds)
        # A swap that is sent twice conflicts with itself, so that no command is ever repeated.
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=self.seconds, socket_connect_timeout=self.seconds, retry=Retry(NoBackoff(), 0)
        )
        self._place = _public(url)
        self._keys, self._counter, self._channel = f"{space}:keys", f"{space}:version", f"{space}:changed"
        self._load_script = self._client.register_script(_LOAD)
        self._save_script = self._client.register_script(_SAVE)
        self._remove_script = self._client.register_script(_REMOVE)
        self._trusted = False

    @property
    def name(self) -> str:
        """The address of its server, without a password, and its space."""
        return f"{self._place} {self.space}"

    def _cell(self, key: bytes) -> bytes:
        """What the server calls the cell of a key."""
        return f"{self.space}:cell:".encode() + key

    def _touched(self, key: bytes) -> list[bytes | str]:
        """The names that a script is given."""
        return [self._cell(key), self._keys, self._channel]

    # Reading -------------------------------------------------------------------------------------------------------

    def _load(self, key: str) -> Cell | None:
        raw = key.encode()
        with self._asking():
            row, listed = self._load_script(self._touched(raw), [raw])
        if None not in row:
            return _read(row, self._where(key))
        if listed is not None or row != [None] * 4:
            raise StateCorrupt("the server has dropped a part of it", self._where(key))
        return None

    def _names(self, prefix: str) -> Iterable[str]:
        with self._asking() as client:
            return [raw.decode() for raw in self._listed(client, prefix.encode())]

    def _listed(self, client: Any, prefix: bytes) -> list[bytes]:
        low, high = (b"[" + prefix, b"(" + after(prefix)) if prefix else (b"-", b"+")
        found: list[bytes] = client.zrangebylex(self._keys, low, high)
        return found

    def _versions(self, prefix: str) -> Mapping[str, int]:
        found: dict[str, int] = {}
        with self._asking() as client:
            every = iter(self._listed(client, prefix.encode()))
            while some := tuple(islice(every, _BATCH)):
                with client.pipeline(transaction=False) as row:
                    for raw in some:
                        row.hget(self._cell(raw), "version")
                    pairs = zip(some, row.execute(), strict=True)
                    found |= {raw.decode(): int(version) for raw, version in pairs if version is not None}
        return found

    # Writing -------------------------------------------------------------------------------------------------------

    def _save(self, key: str, sealed: Sealed, expected: int | None) -> int:
        raw = key.encode()
        with self._asking() as client:
            while True:
                made = sealed(int(client.incr(self._counter)))
                wanted = "" if expected is None else str(expected)
                row: list[bytes | str | int] = [raw, wanted, made.version, made.mark.encode(), made.digest, made.data]
                done, found = self._save_script(self._touched(raw), row)
                if done:
                    return made.version
                if expected is not None and int(found) != expected:
                    raise VersionConflict(key, expected, int(found))
                # Another put was told a later version and wrote first: this one is the later of the two.

    def _remove(self, key: str) -> bool:
        raw = key.encode()
        with self._asking():
            return bool(self._remove_script(self._touched(raw), [raw]))

    # The server ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """The client; what goes wrong with it, by name."""
        with self._named():
            if not self._trusted:
                self._check()
            yield self._client

    def _check(self) -> None:
        """A server that drops what it has no room for is a cache: what it dropped would seem never to have been."""
        try:
            memory = self._client.info("memory")
        except redis.exceptions.NoPermissionError:
            memory = {}
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if memory.get("maxmemory") and policy.startswith("allkeys"):
            what = f"it drops values when its memory is full (maxmemory-policy {policy}); set it to noeviction"
            raise Unanswered(f"the store {self.name}", what)
        self._trusted = True

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as error:
            if "WRONGTYPE" in str(error):
                raise StateCorrupt(
                    "something else has its names on this server; use another space", self.name
                ) from error
            raise Unanswered(f"the store {self.name}", str(error)) from error
        except (redis.RedisError, OSError) as error:
            raise Unanswered(f"the store {self.name}", str(error) or type(error).__name__) from error
        except ValueError as error:
            raise StateCorrupt(f"what is there is not what was written: {error}", self.name) from error

    def _signal(self) -> _Published:
        return _Published(self)

    def _subscribed(self) -> Any:
        """What hears of every change from here on."""
        with self._asking() as client:
            heard = client.pubsub()
            try:
                heard.subscribe(self._channel)
                if heard.get_message(timeout=self.seconds) is None:
                    raise redis.TimeoutError("no subscription was confirmed")
            except BaseException:
                heard.close()
                raise
        return heard

    def close(self) -> None:
        """Let go of the connections; the next use makes others."""
        self._client.close()


@final
class _Published:
    """The signal of a Redis server: its scripts publish."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._heard = store._subscribed()

    def wait(self, seconds: float) -> None:
        if self._heard is None:
            # Nothing was heard since the connection was lost, so that it is time to look.
            self._heard = self._store._subscribed()
            return
        with self._store._named():
            try:
                found = self._heard.get_message(timeout=seconds)
                while found is not None:
                    found = self._heard.get_message(timeout=0)
            except (redis.RedisError, OSError):
                self.close()
                raise

    def close(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard.close()


def _read(row: list[bytes], where: str) -> Cell:
    version, mark, digest, data = row
    try:
        return Cell(int(version), mark.decode(), digest.decode(), data)
    except ValueError as error:
        raise StateCorrupt(f"what is there is not what was written: {error}", where) from error


def _public(url: str) -> str:
    """An address without the name and password of a user."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
