"""The PostgreSQL journal: the laws of journals, and many processes on one database, against a real server."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from durable_programs import Order
from processes import (
    CLOCKS,
    Nursery,
    Place,
    come_together,
    folder,
    judge_crowd,
    judge_kills,
    judge_takeover,
    needs_strace,
    nursery,
    report,
    seen,
    undisturbed,
    until,
    without_winner,
)
from services import Postgres, free_port, postgres_server, running_postgres

from lambdacat import JournalCorrupt, RunBusy, Unanswered, run, task
from lambdacat.store.postgres_journal import PostgresJournal
from lambdacat.testing.journal_laws import Law, journal_laws
from lambdacat.testing.proving import law_name, prove, rotating_seed

__all__ = ["folder", "nursery", "postgres_server"]

SWEEP_SECONDS = float(os.environ.get("LAMBDACAT_SWEEP_SECONDS", "60"))
LEAST = 8
"""How many kills a sweep survives at least, whatever its time."""
LAWS = journal_laws(PostgresJournal("dbname=none", run_id="a run"))


@pytest.fixture(scope="module")
def opens(postgres_server: Postgres) -> Callable[[str], PostgresJournal]:
    """Handles on runs in tables of their own; this server flushes nothing."""
    make = partial(PostgresJournal, postgres_server.fresh(), durability="normal")
    return lambda name: make(run_id=name)


@pytest.mark.parametrize("law", LAWS, ids=law_name)
def test_it_keeps_the_laws_of_journals(law: Law, opens: Callable[[str], PostgresJournal]) -> None:
    prove(law_name(law), partial(law, opens), max_examples=3)


@pytest.mark.sweep
@pytest.mark.parametrize("law", LAWS, ids=law_name)
def test_it_keeps_the_laws_of_journals_many_times(law: Law, opens: Callable[[str], PostgresJournal]) -> None:
    prove(law_name(law), partial(law, opens), max_examples=20)


# --- what it is made with --------------------------------------------------------------------------------------------


@task
def more(number: int) -> int:
    return number + 1


def test_a_server_that_does_not_flush_is_refused_before_anything_is_performed(postgres_server: Postgres) -> None:
    journal = PostgresJournal(postgres_server.fresh(), run_id="a")
    with pytest.raises(Unanswered, match=r"does not flush \(synchronous_commit is on, fsync is off\)"):
        run(more, 0, journal=journal)


def test_a_server_that_is_not_there_is_refused_in_words_without_its_password() -> None:
    journal = PostgresJournal(f"postgresql://me:secret@127.0.0.1:{free_port()}/here", run_id="a")
    with pytest.raises(Unanswered, match=r"the journal postgresql://127.0.0.1:\d+/here lambdacat_runs did not") as told:
        run(more, 0, journal=journal)
    assert "secret" not in f"{told.value}{journal!r}"


@pytest.mark.parametrize("comment", [None, "lambdacat journal 7"])
def test_tables_of_another_kind_are_left_alone(postgres_server: Postgres, comment: str | None) -> None:
    dsn = postgres_server.fresh()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table lambdacat_runs (mine text)")
        if comment is not None:
            connection.execute(f"comment on table lambdacat_runs is '{comment}'".encode())
    with pytest.raises(JournalCorrupt, match=f"is {comment or 'a table of something else'}, and this program wants"):
        run(more, 0, journal=PostgresJournal(dsn, run_id="a", durability="normal"))
    other = PostgresJournal(dsn, run_id="a", durability="normal", table="runs of mine")
    assert run(more, 0, journal=other).unwrap() == 1


def test_who_is_cut_off_goes_on_over_another_connection(postgres_server: Postgres) -> None:
    dsn = postgres_server.fresh()
    with psycopg.connect(postgres_server.dsn, autocommit=True) as killer:

        @task
        def cut(number: int) -> int:
            killer.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
            return number + 1

        journal = PostgresJournal(dsn, run_id="a", durability="normal")
        with pytest.raises(Unanswered):
            run(more >> cut >> more, 0, journal=journal)
    assert run(more >> more.named("cut") >> more, 0, journal=journal).unwrap() == 3


# --- many processes --------------------------------------------------------------------------------------------------


def order_on(server: Postgres, shape: str, folder: Path, **more: Any) -> Order:
    return Order(shape, str(folder), **{"dsn": server.fresh(), "durability": "normal", **more})


def test_of_processes_that_come_together_one_proceeds(
    nursery: Nursery, postgres_server: Postgres, folder: Path
) -> None:
    """R-J6."""
    order = order_on(postgres_server, "crowded", folder)
    judge_crowd(order, come_together(nursery, order, 4, CLOCKS), ["one", "crowded", "last"])


def test_an_owner_that_stood_still_is_fenced_out(nursery: Nursery, postgres_server: Postgres, folder: Path) -> None:
    """R-J7."""
    judge_takeover(nursery, order_on(postgres_server, "stalling", folder, lease_seconds=0.3))


@needs_strace
def test_a_run_whose_process_is_killed_goes_on(nursery: Nursery, postgres_server: Postgres, folder: Path) -> None:
    """R-J1."""
    assert survived(nursery, order_on(postgres_server, "chain", folder), Place("sendto", 14))


@needs_strace
@pytest.mark.sweep
@pytest.mark.parametrize("shape", ["chain", "parallel", "retry"])
def test_a_run_survives_a_kill_at_everything_it_says_to_the_server(
    nursery: Nursery, postgres_server: Postgres, shape: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-J1: from a seed that is printed."""
    began, start, kills = time.perf_counter(), rotating_seed(), 0
    places = [Place("sendto", n, thread) for n in range(1, 26) for thread in ("main", "any")]
    random.Random(start).shuffle(places)
    for n, place in enumerate(places):
        (folder / str(n)).mkdir()
        kills += survived(nursery, order_on(postgres_server, shape, folder / str(n)), place)
        if kills >= LEAST and time.perf_counter() - began > SWEEP_SECONDS:
            break
    assert kills >= LEAST
    with capsys.disabled():
        print(f"\n{shape}: {kills} kills survived in {time.perf_counter() - began:.1f} s, seed {start}", end="")


def survived(nursery: Nursery, order: Order, place: Place) -> bool:
    """A run whose process is killed, if it comes to that place, and gone on with."""
    killed = nursery.killed(order, place)
    before = seen(order)
    assert without_winner(order.shape, nursery.perform(order)) == undisturbed(order.shape)
    judge_kills(order, [before] * killed, seen(order))
    return killed


@pytest.mark.sweep
def test_a_run_survives_its_server(nursery: Nursery, folder: Path) -> None:
    """What was acknowledged is there when a server that was killed comes back; nothing is performed in between."""
    folder.chmod(0o755)
    home, port = folder / "server", free_port()
    home.mkdir()
    with running_postgres(home, port=port) as server:
        order = order_on(server, "crowded", folder, durability="full")
        Path(order.folder, "crowd").write_text("2")
        process = nursery.begin(order)
        until(lambda: order.traces.exists() and "crowded" in order.traces.read_text())
        postmaster = int((home / "data" / "postmaster.pid").read_text().split()[0])
        backends = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        os.kill(postmaster, signal.SIGKILL)
        until(lambda: not any(Path("/proc", backend).exists() for backend in backends))
        Path(order.folder, "crowd").unlink()
        assert nursery.ended(process) == 0
        assert report(order, process)["raised"] == "Unanswered"
    with running_postgres(home, port=port):
        before = seen(order)
        assert len(before.done) == len(before.in_flight) == 1
        assert "success" in nursery.perform(order)
        judge_kills(order, [before], seen(order))


def test_whoever_took_a_run_over_is_waited_for_by_an_append(postgres_server: Postgres) -> None:
    """A takeover that is not committed yet decides about what is appended meanwhile."""
    dsn = postgres_server.fresh()
    journal = PostgresJournal(dsn, run_id="a", durability="normal")
    journal.acquire()
    with psycopg.connect(dsn) as other:
        other.execute("update lambdacat_runs set epoch = epoch + 1")
        from threading import Timer

        Timer(0.05, other.commit).start()
        with pytest.raises(RunBusy, match="taken over"):
            journal.append(b"too late")
    assert list(journal.entries()) == []
    journal.release()
