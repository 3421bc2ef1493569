"""Real servers for the tests that need one, each started when the first test asks for it and stopped with the run.

Import ``redis_server`` or ``postgres_server`` where a test uses it, as pytest fixtures go.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import psycopg
import pytest
import redis
from attrs import field, frozen

S = TypeVar("S")

PATIENCE = 30.0
"""Units: seconds after which a server is taken not to start."""


def free_port() -> int:
    """A port of this machine that nobody listens on, and that no connection nor another process of the tests takes."""
    # Below the ports that connections are given, and in a range of this process's own.
    first = 15_000 + 1_000 * int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
    while True:
        found = first + secrets.randbelow(1_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", found))
            return found


def needed(program: str, package: str) -> str:
    """Where a program lies; without it the test is skipped, and says what to install."""
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *_postgres_folders()]))
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return found


def _postgres_folders() -> list[str]:
    """Where Debian keeps the programs of its PostgreSQL versions, newest first."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    return [str(folder) for folder in sorted(folders, key=lambda f: float(f.parent.name), reverse=True)]


# --- Redis -----------------------------------------------------------------------------------------------------------


@contextmanager
def running_redis(folder: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """A Redis server as long as a block lasts; its address."""
    program, port = needed("redis-server", "redis-server"), port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *options]
    url = f"redis://127.0.0.1:{port}/0"
    with _running(command, folder / "redis.log"), redis.Redis.from_url(url) as client:
        _until(client.ping, redis.ConnectionError, folder / "redis.log")
        yield url


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> str:
    """The address of a Redis server that keeps nothing on disk."""
    return _once(request.config, _REDIS, running_redis)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@frozen
class Postgres:
    """A running PostgreSQL server."""

    port: int
    _numbers: Iterator[int] = field(factory=count, eq=False, repr=False)

    @property
    def dsn(self) -> str:
        """How its first database is connected to."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=5"

    def fresh(self) -> str:
        """How to connect to tables of one's own: a new schema, which nobody else looks into."""
        schema = f"test_{next(self._numbers)}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"create schema {schema}".encode())
        return f"{self.dsn} options='-c search_path={schema}'"


@contextmanager
def running_postgres(folder: Path, *options: str, port: int | None = None) -> Iterator[Postgres]:
    """A PostgreSQL server as long as a block lasts, its data in ``folder``, which may hold those of an earlier one."""
    data, user = folder / "data", unprivileged()
    if not data.exists():
        if user is not None:
            shutil.chown(folder, user)
        made = ["--pgdata", str(data), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        command = [needed("initdb", "postgresql"), *made, "--no-sync", "--no-instructions"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)
    server = Postgres(port or free_port())
    settings = ("listen_addresses=127.0.0.1", f"port={server.port}", "unix_socket_directories=", *options)
    command = [needed("postgres", "postgresql"), "-D", str(data), *(word for one in settings for word in ("-c", one))]
    with _running(command, folder / "postgres.log", user):
        _until(lambda: psycopg.connect(server.dsn).close(), psycopg.OperationalError, folder / "postgres.log")
        yield server


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Postgres:
    """A PostgreSQL server that nobody relies on after the tests, so that it need not flush."""
    return _once(request.config, _POSTGRES, lambda folder: running_postgres(folder, "fsync=off"))


def unprivileged() -> str | None:
    """Whom PostgreSQL runs as, which refuses to be root; None is whoever runs the tests."""
    if os.getuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


_REDIS, _POSTGRES = pytest.StashKey[str](), pytest.StashKey[Postgres]()


def _once(config: pytest.Config, key: pytest.StashKey[S], start: Callable[[Path], AbstractContextManager[S]]) -> S:
    """What was started for the first test of the run, whichever modules import the fixture."""
    if key not in config.stash:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        folder = Path(stack.enter_context(TemporaryDirectory()))
        config.stash[key] = stack.enter_context(start(folder))
    return config.stash[key]


# --- both ------------------------------------------------------------------------------------------------------------


@contextmanager
def _running(command: Sequence[str], log: Path, user: str | None = None) -> Iterator[None]:
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, user=user, cwd=log.parent)
    try:
        yield
    finally:
        # PostgreSQL does not wait for its clients then; Redis takes it like SIGTERM.
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()


def _until(answered: Callable[[], object], refusal: type[Exception], log: Path) -> None:
    """Ask again until a server answers."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            answered()
        except refusal:
            if time.monotonic() > give_up:
                raise AssertionError(f"a server did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.01)
        else:
            return
