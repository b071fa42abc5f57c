"""Redis is stopped or killed under a queue and started again; every acknowledged job is looked for in the ledger.

While jobs are added nobody takes them, so that all that were acknowledged are in Redis when it ends: what its
persistence keeps of them is then a number that is known before.
"""

import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import redis
import yaml

from capacity.analysis.faults.recovery import FaultSpan, recovery, recovery_findings
from capacity.analysis.measured.ledger import reconcile
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.load.bullmq import Queue
from capacity.load.engine import clock, unix_ns_of
from capacity.load.pool import REOPEN_NS
from capacity.probes.measurement import Measurement
from capacity.probes.queue import wait_until_drained
from capacity.scenarios.load import Through, measure_through, numbered
from capacity.scenarios.trial import Observed, Proof, Ready, counted
from capacity.system.addresses import System
from capacity.system.application.ledger import read_ledger
from capacity.system.clients import redis_client
from capacity.system.embedded import RunningServer, redis_url, run_redis
from capacity.system.home import Home, open_home
from capacity.system.processes import QUEUE, Application, start_workers
from capacity.workload import parse_workload

NAMES = {signal.SIGTERM: "stop", signal.SIGKILL: "kill", None: "undisturbed"}
CONNECTIONS = 8
TIMEOUT_MS = 3000
CLIENT_SECONDS = 5
DRAIN_SECONDS = 60.0
UNSETTLED = "jobs still wait or are under way"


class Persistence(StrEnum):
    """What Redis writes to its disk: nothing, snapshots by Redis's own default rules, or every command."""

    NONE = "none"
    RDB = "rdb"
    AOF = "aof"


SETTINGS: dict[Persistence, dict[str, str]] = {
    Persistence.NONE: {},
    Persistence.RDB: {"save": "3600 1 300 100 60 10000"},
    Persistence.AOF: {"appendonly": "yes", "appendfsync": "everysec"},
}


@dataclass(frozen=True, slots=True)
class RedisRestart:
    """A Redis of its own is ended with a signal at `at_s`, and started again `down_s` later.

    `how` is SIGTERM, SIGKILL, or None for no fault. Jobs are added at an even rate all the time; workers take them when
    all have been added.
    """

    persistence: Persistence
    how: signal.Signals | None
    rate_per_s: float = 100.0
    seconds: float = 5.0
    at_s: float = 2.0
    down_s: float = 0.3
    objective_ms: float = 100.0
    destructive: bool = True

    @property
    def name(self) -> str:
        """By what Redis keeps and the way in which it ends."""
        return f"redis_{self.persistence}_{NAMES[self.how]}"

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Of the jobs in Redis at its end all or none are lost, by its settings and the way in which it ends."""
        with open_home() as home:
            server = run_redis(home, **SETTINGS[self.persistence])
            with redis_client(redis_url(server.port), CLIENT_SECONDS) as client:
                kept, why = keeps(client.config_get("save", "appendonly"), self.how, self.at_s)
            first_ms = REOPEN_NS / 1e6 + TIMEOUT_MS
            expected = (
                self._expected("jobs_lost_of_pending", "==", 0 if kept else 100, "%", why),
                self._expected("jobs_lost_of_later", "==", 0, "", "the server that acknowledged them lives on"),
                self._expected("jobs_unexpected", "==", 0, "", "nothing is done that was not added"),
                self._expected("jobs_duplicated", "==", 0, "", "no worker ends"),
                self._expected("first_success", "<=", first_ms, "ms", "between two tries, and the limit of a connect"),
            )
            yield Ready(expected, lambda folder: self._observe(home, server, folder))

    def _expected(self, name: str, relation: str, limit: float, unit: str, why: str) -> Objective:
        return Objective(f"failover.{self.name}.{name}", relation, limit, unit, source="Redis's settings", why=why)

    def _observe(self, home: Home, server: RunningServer, folder: Path) -> Observed:
        url, queue, moments = redis_url(server.port), Queue(QUEUE), list[int]()
        before = identity(server)
        values = self._workload()
        more = {"queue": {"name": queue.name, "prefix": queue.prefix}, "token": f"c{secrets.token_hex(4)}"}
        measurement = Measurement(parse_workload(values), "trial", more=more)
        fault = (self.at_s, lambda: moments.extend(restart(server, self.how, self.down_s)))
        through = measure_through(measurement, url, folder, fault)
        after = identity(server)
        jobs = home.folder / "jobs.yaml"
        jobs.write_text(yaml.safe_dump(values), encoding="utf-8")
        workers = start_workers(home, Application(System(redis_url=url)), jobs, 1)
        drained = wait_until_drained(url, queue, seconds=DRAIN_SECONDS)
        ledger = read_ledger(Path(workers.system.ledger))
        away_ns = sum(moments) // 2 - int(through.recording.manifest["origin_unix_ns"])
        findings = (*self._account(through, ledger, away_ns), *course(self.name, through, self.objective_ms))
        return Observed(proof(before, after), findings, UNSETTLED if not drained else "")

    def _workload(self) -> dict[str, Any]:
        job = {"data": "{}", "attempts": 1, "service_ms": {"median": 1, "p99": 2}}
        stage = {"name": "sustain", "seconds": self.seconds, "to": self.rate_per_s}
        shapes = {"trial": {"kind": "rate", "arrivals": "uniform", "stages": [stage]}}
        operations = [{"name": "TokenRefresh", "weight": 100, "job": job}]
        values = {"name": "jobs", "target": "bullmq", "connections": CONNECTIONS, "timeout_ms": TIMEOUT_MS}
        return values | {"operations": operations, "shapes": shapes}

    def _account(self, through: Through, ledger: pd.DataFrame, away_ns: int) -> Iterator[Finding]:
        """All jobs, and those apart that were acknowledged before a moment at which the server was away, and after.

        Nothing is acknowledged while it is, but what the server said last may be read a moment after it is gone.
        """
        sent, token = numbered(through.recording.samples), through.recording.manifest["token"]
        sent.index = pd.Index([f"{token}-0-0-{number}" for number in sent.index])
        taken, early = sent["outcome"] == "ok", sent["finished_ns"] < away_ns
        found = reconcile(taken, ledger.loc[ledger["event"] == "completed", "job"].tolist())
        pending, lost = int((early & taken).sum()), found.ids("lost")
        lost_pending = int(early[early.index.isin(lost)].sum())
        share = 100 * lost_pending / pending if pending else None
        yield counted(self.name, "jobs_lost_of_pending", share, unit="%", title="jobs in Redis, lost", count=pending)
        yield counted(self.name, "jobs_lost_of_later", len(lost) - lost_pending, title="jobs added later, lost")
        yield counted(self.name, "jobs_pending", pending, title="jobs in Redis when it ended", count=len(taken))
        for name in ("acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered"):
            yield counted(self.name, f"jobs_{name}", getattr(found, name), title=f"jobs {name}", count=len(taken))


def keeps(settings: dict[str, str], how: signal.Signals | None, at_s: float) -> tuple[bool, str]:
    """Whether a Redis with these settings has after its end what it acknowledged, and why; it has run for `at_s`.

    An append-only file is written before the answer; what its fsync has not reached is lost with the machine and not
    with the process. Rules for snapshots have it written at SIGTERM too, and else when one of them applies. Raises
    CapacityError where one could have applied by then, so that some part would be kept.
    Source: Redis's manual, Persistence, and its SHUTDOWN.
    """
    rules = list(map(int, settings["save"].split()))[::2]
    said = f"save '{settings['save']}', appendonly {settings['appendonly']}"
    if how is None:
        return True, "it does not end"
    if settings["appendonly"] == "yes":
        return True, f"{said}: each command is written before it is answered"
    if not rules:
        return False, f"{said}: nothing is written"
    if how is signal.SIGTERM:
        return True, f"{said}: a snapshot is written at SIGTERM"
    if at_s >= min(rules):
        raise CapacityError(
            f"a snapshot may be written within {at_s:g} s by the rules '{settings['save']}', so what a kill loses is "
            f"not known before; let the fault begin before {min(rules)} s"
        )
    return False, f"{said}: no snapshot within {at_s:g} s of load"


def restart(server: RunningServer, how: signal.Signals | None, down_s: float) -> tuple[int, int]:
    """End a server with a signal, and start it again `down_s` later; with None nothing is done.

    Returns between which moments it was away for certain, in ns since 1970.
    """
    if how is not None:
        server.end(how)
    gone_ns = unix_ns_of(clock())
    if how is None:
        return gone_ns, gone_ns
    time.sleep(down_s)
    back_ns = unix_ns_of(clock())
    server.start_again()
    return gone_ns, back_ns


def course(scenario: str, through: Through, objective_ms: float) -> Iterator[Finding]:
    """How the load came through the fault, and when that was."""
    span = FaultSpan(through.begin_ns, through.end_ns, objective_ms)
    recording = through.recording
    yield from recovery_findings(scenario, recording.path.name, recovery(recording.samples, span))
    down_ms = (through.end_ns - through.begin_ns) / 1e6
    yield counted(scenario, "began", through.begin_ns / 1e9, unit="s", title="from the load's begin", count=1)
    yield counted(scenario, "down", down_ms, unit="ms", title="from the signal until it answered again", count=1)


def identity(server: RunningServer) -> tuple[int, str]:
    """The process that serves, and what it calls this life of its own."""
    try:
        with redis_client(redis_url(server.port), CLIENT_SECONDS) as client:
            return server.pid, str(client.info("server")["run_id"])
    except redis.RedisError as error:
        raise CapacityError(f"the scenario's Redis failed: {error}") from None


def proof(before: tuple[int, str], after: tuple[int, str]) -> Proof:
    """It is another process now, and says so itself."""
    if before[0] != after[0] and before[1] != after[1] and not psutil.pid_exists(before[0]):
        return Proof(True, f"process {before[0]} is gone, and the run_id is {after[1]} and not {before[1]}")
    return Proof(False, f"process {before[0]} still serves, with the run_id {before[1]}")
