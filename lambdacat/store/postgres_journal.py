"""The PostgreSQL journal: durable runs of many processes, on many machines, in one database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Literal, LiteralString, final

from lambdacat.codec import Codec, Codecs
from lambdacat.fault import Unanswered
from lambdacat.interpreters.journal import RunBusy, near
from lambdacat.store.kept import Kept
from lambdacat.store.leases import Heartbeat, Lease, Owner, check_terms

try:
    import psycopg
    from psycopg import sql

    from lambdacat.store.patient import Patient
    from lambdacat.store.postgres_tables import TABLES, called, digest, identifiers, patient, plainly, text, version
except ImportError as error:
    raise ImportError("PostgresJournal needs a client: pip install 'lambdacat[postgres]'") from error

_ENTRIES = "select entry from {entries} join {runs} on number = {entries}.run where id = %s order by seq"
_ANSWERS = "select key, value from {answers} join {runs} on number = {answers}.run where {runs}.id = %s"
_KNOWN = "select number from {runs} where id = %s"
_LATEST = "select run from {runs} order by number desc limit 1000"
_BEGIN = "insert into {runs} (id, run) values (%s, %s) on conflict do nothing"
# The row is locked, so that what is read of it holds until it is changed.
_LEASE = """
select number, extract(epoch from clock_timestamp())::float8, epoch, owner, deadline, crashes, reached, aside
from {runs} where id = %s for update
"""
_COUNT = "select count(*) from {entries} where run = %s"
_TAKE = """
update {runs} set epoch = %s, owner = %s, deadline = %s, crashes = %s, reached = %s, aside = %s,
    updated = clock_timestamp()
where number = %s
"""
_RENEW = """
update {runs} set deadline = extract(epoch from clock_timestamp()) + %s, updated = clock_timestamp()
where number = %s and epoch = %s
"""
_RELEASE = """
update {runs} set owner = '', deadline = 0, crashes = 0, updated = clock_timestamp() where number = %s and epoch = %s
"""
# The lock keeps others from taking the run over before what is appended is committed.
_APPEND = """
with owned as (select number from {runs} where number = %s and epoch = %s for share)
insert into {entries} (run, seq, entry)
select number, %s + place - 1, given from owned, unnest(%s::bytea[]) with ordinality as one (given, place)
"""
_ANSWER = """
insert into {answers} (run, id, key, value) select number, %s, %s, %s from {runs} where id = %s
on conflict do nothing
"""
_QUERIES: tuple[LiteralString, ...] = (
    TABLES, _ENTRIES, _ANSWERS, _KNOWN, _LATEST, _BEGIN, _LEASE, _COUNT, _TAKE, _RENEW, _RELEASE, _APPEND, _ANSWER,
)  # fmt: skip


@final
class PostgresJournal:
    """The journal of one run in a PostgreSQL database, which may hold many; its tables are made when they are missing.

    One process owns a run at a time, whatever machine it is on; each append checks in its own transaction that it still
    does. Leases are on the server's clock. Whether an owner on another machine still lives cannot be seen, so it is
    believed until its lease runs out. Every commit is flushed (``durability="full"``), or left to the server
    (``"normal"``: its crash may cost the last steps).

    Units: ``lease_seconds`` is how long an owner that says nothing is believed; ``seconds`` how long an answer of the
    server is waited for. Errors: ``JournalCorrupt`` for tables of another kind, ``Unanswered`` for a server that does
    not answer, or that does not flush though it should.
    """

    def __init__(
        self,
        dsn: str,
        *,
        run_id: str,
        codecs: Codecs | Sequence[type | Codec] = (),
        durability: Literal["full", "normal"] = "full",
        lease_seconds: float = 30.0,
        table: str = "lambdacat_runs",
        seconds: float = 10.0,
    ) -> None:
        check_terms(run_id, durability, lease_seconds)
        self.run_id = run_id
        self.codecs = codecs if isinstance(codecs, Codecs) else Codecs(*codecs)
        self.durability = durability
        self.lease_seconds = lease_seconds
        self.table = table
        self.seconds = seconds
        self._dsn = patient(dsn, seconds)
        names = identifiers(table)
        self._queries = {query: sql.SQL(query).format(**names) for query in _QUERIES}
        self._id = digest(run_id)
        self._kept = Kept(self._connected, psycopg.Connection.close)
        self._number = 0
        self._next = 0
        self._epoch = 0
        self._heartbeat: Heartbeat | None = None

    @property
    def name(self) -> str:
        """Server, database and table."""
        return called(self._dsn, self.table)

    def __repr__(self) -> str:
        return f"PostgresJournal({self.name!r}, run_id={self.run_id!r})"

    # Reading -------------------------------------------------------------------------------------------------------

    def entries(self) -> Iterable[bytes]:
        """Every entry so far."""
        with self._asking() as connection:
            if self._version(connection) is None:
                return []
            return [row[0] for row in connection.execute(self._queries[_ENTRIES], (self._id,))]

    def answers(self) -> Mapping[str, bytes]:
        """Every answer."""
        with self._asking() as connection:
            if self._version(connection) is None:
                return {}
            rows = connection.execute(self._queries[_ANSWERS], (self._id,)).fetchall()
        return {text(key): value for key, value in rows}

    def missing(self) -> str:
        """Why there is no such run; empty when there is one."""
        with self._asking() as connection:
            if self._version(connection) is None:
                return f"{self.name} has no runs"
            if connection.execute(self._queries[_KNOWN], (self._id,)).fetchall():
                return ""
            known = [row[0] for row in connection.execute(self._queries[_LATEST])]
        return f"{self.name} has no run {self.run_id!r}; {near(self.run_id, known)}"

    # Writing -------------------------------------------------------------------------------------------------------

    def append(self, entry: bytes) -> None:
        """Keep one more entry. Errors: ``RunBusy`` when another process has taken the run over."""
        self.append_all((entry,))

    def append_all(self, entries: Sequence[bytes]) -> None:
        """Keep several in one transaction."""
        with self._asking() as connection:
            if not self._epoch:
                raise RunBusy(f"run {self.run_id!r} is not owned: acquire() it before appending")
            given = (self._number, self._epoch, self._next, list(entries))
            if connection.execute(self._queries[_APPEND], given).rowcount != len(entries):
                raise RunBusy(
                    f"run {self.run_id!r} was taken over by another process while this one said nothing for longer than"
                    f" {self.lease_seconds:g} s; this one stops"
                )
            self._next += len(entries)

    def answer(self, key: str, value: bytes) -> bool:
        """Keep an answer, if it is the first."""
        raw = key.encode(errors="surrogatepass")
        with self._asking() as connection:
            self._make_tables(connection)
            with connection.transaction():
                connection.execute(self._queries[_BEGIN], (self._id, self.run_id))
                done = connection.execute(self._queries[_ANSWER], (digest(key), raw, value, self._id))
                return done.rowcount == 1

    # Owning --------------------------------------------------------------------------------------------------------

    def acquire(self, *, again: bool = False) -> int:
        """Own the run. Errors: ``RunBusy``, ``RunSetAside``."""
        with self._asking() as connection:
            self._make_tables(connection)
            with connection.transaction():
                connection.execute(self._queries[_BEGIN], (self._id, self.run_id))
                [(number, now, *row)] = connection.execute(self._queries[_LEASE], (self._id,)).fetchall()
                [(count,)] = connection.execute(self._queries[_COUNT], (number,)).fetchall()
                lease = Lease(*row, here=count)
                taken = lease.taken(self.run_id, Owner.this(), self.lease_seconds, again=again, now=now, far=True)
                connection.execute(self._queries[_TAKE], (*taken.row(), number))
            if taken.refusal is not None:
                raise taken.refusal
            self._number, self._epoch, self._next = number, taken.epoch, count
        self._heartbeat = Heartbeat(self._renew, self.lease_seconds / 3)
        return self._epoch

    def _renew(self) -> None:
        with self._asking() as connection:
            connection.execute(self._queries[_RENEW], (self.lease_seconds, self._number, self._epoch))

    def release(self) -> None:
        """Own it no longer."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()
        epoch, self._epoch = self._epoch, 0
        # A server that is gone must not hide why the run stopped; the lease then ends by itself.
        with suppress(Unanswered), self._asking() as connection:
            connection.execute(self._queries[_RELEASE], (self._number, epoch))
        self.close()

    def close(self) -> None:
        """Let go of the connection; the next use makes another."""
        self._kept.drop()

    # The server ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[Patient]:
        """The connection; what goes wrong with it, by name."""
        with plainly(self.name), self._kept.used() as connection:
            try:
                yield connection
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # Whatever it is in the middle of, it is of no more use.
                self._kept.drop()
                raise
            finally:
                # A handle that owns nothing holds nothing: nobody would close it.
                if not self._epoch:
                    self._kept.drop()

    def _connected(self) -> Patient:
        return Patient.to(self._dsn, self.seconds, self._make_durable)

    def _make_durable(self, connection: Patient) -> None:
        if self.durability == "normal":
            connection.execute("set synchronous_commit to off")
            return
        asked = "select current_setting('synchronous_commit'), current_setting('fsync')"
        if connection.execute(asked).fetchall()[0][0] == "off":
            connection.execute("set synchronous_commit to on")
        commit, flushed = connection.execute(asked).fetchall()[0]
        if commit == "off" or flushed == "off":
            raise Unanswered(
                f"the journal {self.name}",
                f"its server does not flush (synchronous_commit is {commit}, fsync is {flushed}); set both on, or say"
                ' durability="normal"',
            )

    def _make_tables(self, connection: Patient) -> None:
        """Whoever may not make tables can use those that are there."""
        if self._version(connection) is not None:
            return
        with connection.transaction():
            # Two that make one table at once would trip over each other, "if not exists" or not.
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"lambdacat {self.table}",))
            if self._version(connection) is None:
                connection.execute(self._queries[TABLES])

    def _version(self, connection: Patient) -> str | None:
        return version(connection, self.table, self.name)
