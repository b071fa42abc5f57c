"""PostgreSQL is stopped or killed under writes and started again; every acknowledged write is looked for afterwards."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg

from capacity.analysis.measured.ledger import reconcile
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.load.pool import REOPEN_NS
from capacity.probes.measurement import Measurement
from capacity.scenarios.course import course_findings
from capacity.scenarios.load import PROFILE, Through, acknowledged, even_load, measure_through
from capacity.scenarios.trial import Observed, Proof, Ready, counted, expected, wait_until
from capacity.system.addresses import System
from capacity.system.embedded import RunningServer, postgres_url, run_postgres
from capacity.system.home import open_home
from capacity.workload import Workload, parse_workload

NAMES = {signal.SIGINT: "fast_stop", signal.SIGKILL: "kill", None: "undisturbed"}
TIMEOUT_MS = 3000
CONNECTIONS = 10
CONNECT_SECONDS = 5
SETTLE_SECONDS = 20.0
TABLE = "CREATE TABLE writes (number bigint PRIMARY KEY); CREATE ROLE writer LOGIN; GRANT INSERT ON writes TO writer"
SEQUENCE = {"kind": "sequence", "start": 1}
UNWRITTEN_DELAYS = 3  # of wal_writer_delay: what PostgreSQL's manual gives as the most that asynchronous commits lose
SETTINGS = """
SELECT current_setting('synchronous_commit'), current_setting('fsync'),
       (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'wal_writer_delay')
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class DatabaseRestart:
    """A PostgreSQL of its own is ended with a signal at `at_s`, and started again `down_s` later.

    `how` is SIGINT (the fast stop), SIGKILL, or None for no fault. `synchronous_commit` is the server's setting; off
    acknowledges before the log is written.
    """

    how: signal.Signals | None
    synchronous_commit: str = "on"
    rate_per_s: float = 200.0
    seconds: float = 6.0
    at_s: float = 2.0
    down_s: float = 0.3
    objective_ms: float = 100.0
    destructive: bool = True

    @property
    def name(self) -> str:
        """By the way in which the server ends."""
        way = NAMES[self.how]
        return f"database_{way}" if self.synchronous_commit == "on" else f"database_{way}_asynchronous"

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Acknowledged writes that may be lost: none, but by a kill with asynchronous commits what was not written yet.

        Of the operations only those under way may fail, one a connection; the others wait for the server. The first
        good answer comes when a connection is tried again, within the time limit of a connect.
        """
        with open_home() as home:
            server = run_postgres(home, synchronous_commit=self.synchronous_commit)
            with _connected(server) as connection:
                connection.execute(TABLE)
                synchronous, fsync, delay_s = _row(connection, SETTINGS)
            unwritten = self.how is signal.SIGKILL and synchronous == "off"
            lost = self.rate_per_s * UNWRITTEN_DELAYS * delay_s if unwritten else 0.0
            why = f"synchronous_commit {synchronous}, fsync {fsync}"
            if unwritten:
                why += f": {self.rate_per_s:g}/s × {UNWRITTEN_DELAYS} × wal_writer_delay {delay_s:g} s"
            first_ms = REOPEN_NS / 1e6 + TIMEOUT_MS
            expects, tries = partial(expected, self.name), "between two tries, and the limit of a connect"
            expectations = (
                expects("lost_writes", "<=" if unwritten else "==", lost, why),
                expects("unexpected_writes", "==", 0, "nothing is written that was not sent"),
                expects("failed", "<=", CONNECTIONS, f"{CONNECTIONS} connections, one operation each"),
                expects("first_success", "<=", first_ms, tries, unit="ms"),
            )
            yield Ready(expectations, lambda folder: self._observe(server, folder))

    def _observe(self, server: RunningServer, folder: Path) -> Observed:
        before = _identity(server)
        measurement = Measurement(self._workload(), PROFILE)
        url = postgres_url("writer", server.port)
        through = measure_through(measurement, url, folder, (self.at_s, lambda: self._restart(server)))
        after = _identity(server)
        settled = wait_until(lambda: _others(server) == 0, SETTLE_SECONDS)
        with _connected(server) as connection:
            written = [number for (number,) in connection.execute("SELECT number FROM writes").fetchall()]
        findings = (
            *self._account(through, written),
            *course_findings(self.name, through, self.objective_ms, CONNECTIONS),
        )
        return Observed(_proof(before, after), findings, "" if settled else "connections of the load are still there")

    def _restart(self, server: RunningServer) -> None:
        if self.how is not None:
            server.end(self.how)
            time.sleep(self.down_s)
            server.start_again()

    def _workload(self) -> Workload:
        """Inserts of the numbers 1, 2, 3, … at an even rate, each once."""
        insert = {"sql": "INSERT INTO writes VALUES ($1::bigint)", "parameters": ["number"]}
        operation = {"name": "insert", "weight": 100, "statements": [insert], "parameters": {"number": SEQUENCE}}
        more = {"connections": CONNECTIONS, "timeout_ms": TIMEOUT_MS}
        return parse_workload(even_load("postgres", [operation], self.rate_per_s, self.seconds, **more))

    def _account(self, through: Through, written: list[int]) -> Iterator[Finding]:
        found = reconcile(acknowledged(through.recording.samples, first=1), written)
        tried = len(through.recording.samples)
        figures = {
            "acknowledged_writes": (found.acknowledged, "writes acknowledged"),
            "lost_writes": (found.lost, "acknowledged and not there afterwards"),
            "recovered_writes": (found.recovered, "there although their answer was lost"),
            "unexpected_writes": (found.unexpected, "there and never sent"),
        }
        for name, (value, title) in figures.items():
            yield counted(self.name, name, value, title=title, count=tried)


@contextmanager
def _connected(server: RunningServer) -> "Iterator[psycopg.Connection]":
    url = postgres_url("postgres", server.port)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            yield connection
    except psycopg.Error as error:
        raise CapacityError(f"the scenario's PostgreSQL failed: {' '.join(str(error).split())}") from None


def _row(connection: "psycopg.Connection", query: str) -> tuple[Any, ...]:
    return connection.execute(query.encode()).fetchone() or ()


def _others(server: RunningServer) -> int:
    with _connected(server) as connection:
        (count,) = _row(connection, OTHERS)
    return int(count)


def _identity(server: RunningServer) -> tuple[int, str]:
    """The process that serves, and when it says that it started."""
    with _connected(server) as connection:
        (started,) = _row(connection, "SELECT pg_postmaster_start_time()::text")
    return server.pid, started


def _proof(before: tuple[int, str], after: tuple[int, str]) -> Proof:
    gone = before[0] != after[0] and not psutil.pid_exists(before[0])
    if gone and before[1] != after[1]:
        return Proof(True, f"process {before[0]} is gone, and the server started at {after[1]} and not at {before[1]}")
    return Proof(False, f"process {before[0]} still serves, since {before[1]}")
