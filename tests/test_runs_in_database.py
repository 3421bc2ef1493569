"""Runs of a PostgreSQL database seen from outside: what is said and done is what is said and done of a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from runs_shell import FILE, IN_MEMORY, Say, Spec, done, one_line, say, spec
from services import Postgres, free_port, postgres_server, running_postgres
from test_clock_jumps import JUMPS

from lambdacat import JournalCorrupt, RunBusy, run, task
from lambdacat.interpreters.journal import past_of, sealed
from lambdacat.store.places import Database
from lambdacat.store.postgres_journal import PostgresJournal
from lambdacat.store.rows import NoJournal
from lambdacat.store.runs_at_rest import (
    NoRun,
    RunAtRest,
    journal_at_rest,
    old_runs,
    remove,
    run_in,
    runs_in,
)

__all__ = ["postgres_server", "say", "spec"]


@pytest.fixture(scope="module")
def flushing_server() -> Iterator[Postgres]:
    """A server that flushes, as the command line wants it."""
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        Path(folder).chmod(0o755)
        home = Path(folder, "server")
        home.mkdir()
        with running_postgres(home) as server:
            yield server


def address(server: Postgres, more: str = "") -> str:
    """Tables of one's own, as a command line names them."""
    schema = server.fresh().rpartition("=")[2].rstrip("'")
    option = quote(f"-csearch_path={schema}")
    return f"postgresql://postgres:secret@127.0.0.1:{server.port}/postgres?options={option}{more}"


COMMANDS = (
    "run {publish} --journal {place} --run-id a",
    "runs list {place}",
    "runs show {place} a",
    "runs show {place} a --plan {publish}",
    "runs show {place} b",
    "runs answer {place} a T",
    "runs answer {place} a T",
    "runs resume {place} a --plan {publish}",
    "runs answer {place} a yes",
    "runs resume {place} a --plan {publish} --json",
    "run {publish} --journal {place} --run-id a",
    "run {faulty} --journal {place} --run-id c",
    "runs replay {place} a --plan {publish} --changed write --into d --json",
    "runs replay {place} a --plan {publish} --changed write --into d",
    "runs fork {place} a e --at 2",
    "runs resume {place} e --plan {publish} --json",
    "runs show {place} e --json --plan {publish}",
    "runs list {place} --json",
    "runs prune {place} --run a --dry-run",
    "runs prune {place} --older-than 0s --status success",
    "runs list {place}",
)


FEW = [COMMANDS[n] for n in (0, 3, 5, 7, 18, 20)]
"""One that begins, looks, answers, goes on, looks what could go, and lists."""


@pytest.mark.parametrize("commands", [FEW, pytest.param(COMMANDS, marks=pytest.mark.sweep)], ids=["few", "all"])
def test_every_command_says_and_does_of_a_database_what_it_does_of_a_file(
    say: Say, spec: Spec, flushing_server: Postgres, commands: Sequence[str]
) -> None:
    told = []
    for place in (str(FILE), address(flushing_server)):
        shown = str(Database.parse(place)) if "://" in place else place
        assert "secret" not in shown
        said = []
        for command in commands:
            words = command.format(place=place, publish=spec("publish"), faulty=spec("faulty")).split(" ")
            said.append(tuple(plainer(each, shown) for each in say(*words)))
        told.append((said, done()))
        Path("done").unlink()
    for in_file, in_database, command in zip(told[0][0], told[1][0], commands, strict=True):
        assert in_file == in_database, command
    assert told[0][1] == told[1][1], "what steps did outside"


def plainer(said: object, place: str) -> object:
    """What was said, but for the place, times, sizes and durations."""
    if not isinstance(said, str):
        return said
    rows = []
    for line in said.replace(f"'{place}'", "PLACE").replace(place, "PLACE").splitlines():
        words = [w for w in line.split() if not any(c.isdigit() for c in w) or w.startswith(("'", "Page", "T"))]
        rows.append(" ".join(w for w in words if w not in ("B", "kB", "MB")))
    return [row for row in rows if not row.startswith(("PLACE took", "begun"))]


# --- what is not there -----------------------------------------------------------------------------------------------


def test_a_database_without_runs_says_so_and_stays_without(say: Say, postgres_server: Postgres) -> None:
    place = address(postgres_server)
    assert say("runs", "list", place)[:2] == (0, f"no runs in {Database.parse(place)}\n")
    one_line(say("runs", "show", place, "a"), 2, "has no run 'a'; it is empty")
    assert say("runs", "prune", place)[0] == 0
    with psycopg.connect(place) as connection:
        assert connection.execute("select to_regclass('lambdacat_runs')").fetchall() == [(None,)]


def test_an_address_that_leads_nowhere_is_one_line_without_its_password(say: Say) -> None:
    place = f"postgresql://me:secret@127.0.0.1:{free_port()}/here"
    said = say("runs", "list", place)
    assert (said[0], said[1], "secret" in said[2]) == (1, "", False)
    assert said[2].startswith("lambdacat: the journal postgresql://me@127.0.0.1:")
    for wrong in ("postgresql://here?nonsense=1", "postgresql://[me/here"):
        code, out, err = say("runs", "list", wrong)
        assert (code, out) == (2, "")
        assert "that is no address of a database: " in err


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@host:7/name", "postgresql://me@host:7/name"),
        ("postgresql://host/name?password=secret&sslmode=require", "postgresql://host/name?sslmode=require"),
        ("postgres://host/name#mine", "postgres://host/name#mine"),
        ("postgresql://a:1,b:2/name", "postgresql://a:1,b:2/name"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    database = Database.parse(address)
    assert str(database) == shown
    assert "secret" not in repr(database)


def test_tables_of_something_else_are_no_journal(postgres_server: Postgres) -> None:
    place = Database.parse(address(postgres_server))
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("create table lambdacat_runs (mine text)")
    with pytest.raises(NoJournal, match="a table of something else"):
        runs_in(place)


# --- while runs go on, and what may be removed -----------------------------------------------------------------------


@task
def more(number: int) -> int:
    return number + 1


@pytest.fixture
def place(postgres_server: Postgres) -> Database:
    """Tables of one's own, under a name of their own."""
    return Database.parse(address(postgres_server, "#runs of mine"))


def journal(place: Database, name: str) -> PostgresJournal:
    return PostgresJournal(place.dsn, run_id=name, durability="normal", table=place.table)


def named(runs: tuple[RunAtRest, ...]) -> list[str]:
    return [each.run for each in runs]


def test_a_run_is_looked_at_while_it_goes_on(place: Database) -> None:
    seen: list[Any] = []

    @task
    def look(number: int) -> int:
        found = run_in(place, "a")
        seen.append((found.status, found.steps, "going on in this process" in found.busy))
        assert old_runs(place, ["unfinished"], 0.0) == ()
        return number

    run(more >> look >> more, 0, journal=journal(place, "a"))
    assert seen == [("running", 1, True)]
    assert (run_in(place, "a").status, run_in(place, "a").owner) == ("success", None)
    with pytest.raises(NoRun, match="did you mean 'a'"):
        run_in(place, "aa")


def test_a_bit_that_flips_in_the_database_is_seen_from_outside(place: Database) -> None:
    run(more, 0, journal=journal(place, "a"))
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute('update "runs of mine_entries" set entry = set_byte(entry, 40, 7) where seq = 1')
    assert run_in(place, "a").status == "damaged"
    with pytest.raises(JournalCorrupt, match="entry 1 of run 'a'"):
        past_of(journal_at_rest(place, "a"))


def test_what_somebody_took_up_since_it_was_chosen_stays_and_the_rest_goes(place: Database) -> None:
    for name in ("a", "b", "c"):
        run(more, 0, journal=journal(place, name))
    chosen = old_runs(place, ["success"], 0.0)
    taken = journal(place, "b")
    taken.acquire()
    taken.release()
    removed = remove(place, chosen)
    assert (named(removed.runs), named(removed.kept), named(runs_in(place))) == (["a", "c"], ["b"], ["b"])
    assert "vacuums" in removed.large
    with psycopg.connect(place.dsn) as connection:
        assert connection.execute('select count(distinct run) from "runs of mine_entries"').fetchall() == [(1,)]


def test_the_owner_of_a_removed_run_stops_at_its_next_entry(place: Database) -> None:
    stalled = journal(place, "a")
    stalled.acquire()
    remove(place, [run_in(place, "a")])
    with pytest.raises(RunBusy):
        stalled.append(b"an entry")
    assert runs_in(place) == ()


# --- clocks that are set ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", JUMPS)
def test_a_client_whose_clock_is_set_harms_nobody(
    jump: float, place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-J9: leases, ages and the order of entries are the server's."""
    run(more, 0, journal=journal(place, "old"))
    first, second = journal(place, "a"), journal(place, "a")
    first.acquire()
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    digest, entry = sealed(b"", {"n": 0, "kind": "begin", "format": 1, "run": "a"})
    first.append(entry)
    with pytest.raises(RunBusy, match=r"can be taken over in (30|29) s"):
        second.acquire()
    found = run_in(place, "a")
    assert (found.status, abs(found.created - wall()) < 60) == ("running", True)
    assert found.busy.endswith(("taken over in 30 s", "taken over in 29 s"))
    assert old_runs(place, ["success"], 3_000.0) == (), "nothing has become old"
    assert named(old_runs(place, ["success"], 0.0)) == ["old"]
    first._renew()
    first.append(another := sealed(digest, {"n": 1, "kind": "resumed"})[1])
    first.release()
    assert second.acquire() == 2
    second.release()
    assert list(second.entries()) == [entry, another]
