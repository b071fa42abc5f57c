"""PostgreSQL is stopped or killed under writes and started again; then each acknowledged write is looked for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from capacity.analysis.measured.ledger import reconcile
from capacity.clock import wait_until
from capacity.findings import Finding, Objective
from capacity.scenarios.fault_injection import FaultRecording, numbered, trial_load
from capacity.scenarios.server_restart import FIRST_MS, WHY_FIRST, ServerRestart
from capacity.scenarios.trial import Observed, Ready, counted
from capacity.system.addresses import System
from capacity.system.application.database import execute
from capacity.system.embedded import RunningServer, postgres_url, run_postgres
from capacity.system.server_directory import open_server_directory

NAMES = {signal.SIGINT: "fast_stop", signal.SIGKILL: "kill", None: "undisturbed"}
CONNECTIONS = 10
SETTLE_SECONDS = 20.0
TABLE = "CREATE TABLE writes (number bigint PRIMARY KEY); CREATE ROLE writer LOGIN; GRANT INSERT ON writes TO writer"
INSERT = {"sql": "INSERT INTO writes VALUES ($1::bigint)", "parameters": ["number"]}
SEQUENCE = {"kind": "sequence", "start": 1}  # each number once
UNWRITTEN_DELAYS = 3  # of wal_writer_delay: what PostgreSQL's manual gives as the most that asynchronous commits lose
SETTINGS = """
SELECT current_setting('synchronous_commit'), current_setting('fsync'),
       (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'wal_writer_delay')
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class DatabaseRestart(ServerRestart):
    """A PostgreSQL of its own is restarted under inserts; `how` is SIGINT (the fast stop), SIGKILL, or None.

    `synchronous_commit` is the server's setting; off acknowledges a write before it is in the log on disk.
    """

    synchronous_commit: str = "on"
    rate_per_s: float = field(default=200.0, kw_only=True)
    seconds: float = field(default=6.0, kw_only=True)

    @property
    def name(self) -> str:
        """By the way in which the server ends."""
        way = NAMES[self.how]
        return f"database_{way}" if self.synchronous_commit == "on" else f"database_{way}_asynchronous"

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Start the server; what may be lost follows from its own settings."""
        with open_server_directory() as directory:
            server = run_postgres(directory, synchronous_commit=self.synchronous_commit)
            execute(server.url, TABLE)
            ((synchronous, fsync, delay_s),) = execute(server.url, SETTINGS)
            expectations = tuple(self._expectations(synchronous, fsync, delay_s))
            yield Ready(expectations, lambda folder: self._observe(server, folder))

    def _expectations(self, synchronous: str, fsync: str, delay_s: float) -> Iterator[Objective]:
        """No acknowledged write is lost. The exception is a kill with asynchronous commits.

        Then the last writes are not in the log yet. Each connection has one operation under way when the server ends,
        and only these may fail: the others wait.
        """
        settings = f"synchronous_commit {synchronous}, fsync {fsync}"
        if self.how is signal.SIGKILL and synchronous == "off":
            why = f"{settings}: {self.rate_per_s:g}/s × {UNWRITTEN_DELAYS} × wal_writer_delay {delay_s:g} s"
            yield self.expects("lost_writes", "<=", self.rate_per_s * UNWRITTEN_DELAYS * delay_s, why)
        else:
            yield self.expects("lost_writes", "==", 0.0, f"{settings}: a write is on disk before it is acknowledged")
        yield self.expects("unexpected_writes", "==", 0, "nothing is written that was not sent")
        yield self.expects("failed", "<=", CONNECTIONS, f"{CONNECTIONS} connections have one operation each under way")
        yield self.expects("first_success", "<=", FIRST_MS, WHY_FIRST, unit="ms")

    def identity(self, server: RunningServer) -> str:
        """When it was started."""
        ((started,),) = execute(server.url, "SELECT pg_postmaster_start_time()::text")
        return f"the server started at {started}"

    def _observe(self, server: RunningServer, folder: Path) -> Observed:
        insert = {"name": "insert", "weight": 100, "statements": [INSERT], "parameters": {"number": SEQUENCE}}
        load = trial_load("postgres", [insert], self.rate_per_s, self.seconds, connections=CONNECTIONS)
        recorded, proof = self.measure(load, postgres_url("writer", server.port), folder, server)
        settled = wait_until(lambda: execute(server.url, OTHERS) == [(0,)], SETTLE_SECONDS)
        written = [number for (number,) in execute(server.url, "SELECT number FROM writes")]
        findings = (
            *self._account(recorded, written),
            *recorded.course(self.name, self.objective_ms, CONNECTIONS),
        )
        return Observed(proof, findings, "" if settled else "connections of the load are still there")

    def _account(self, recorded: FaultRecording, written: list[int]) -> Iterator[Finding]:
        found = reconcile(numbered(recorded.samples, first=1)["outcome"] == "ok", written)
        figures = {
            "acknowledged_writes": (found.acknowledged, "writes acknowledged"),
            "lost_writes": (found.lost, "acknowledged writes that are not there afterwards"),
            "recovered_writes": (found.recovered, "writes that are there although their answer was lost"),
            "unexpected_writes": (found.unexpected, "writes that are there and were never sent"),
        }
        for name, (value, title) in figures.items():
            yield counted(self.name, name, value, title=title, count=len(recorded.samples))
