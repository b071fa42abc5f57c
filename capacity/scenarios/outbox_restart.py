"""Redis is stopped or killed behind a gateway that writes a job into PostgreSQL before Redis: none may be lost.

Each slot of the worker is at a job when Redis ends, and the effect of these jobs is kept waiting by a lock on their
rows until Redis holds every unfinished job again. So all acknowledged jobs are unfinished when it ends, how many must
be enqueued again is known before, and those under way are done twice where it forgets them: with one effect each.
"""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.analysis.faults.outbox import Outage, enqueued_again, when_written
from capacity.analysis.measured.ledger import Reconciliation, reconcile
from capacity.findings import Finding, Objective
from capacity.load.bullmq import Queue
from capacity.probes.measurement import Measurement
from capacity.probes.queue import wait_until_drained
from capacity.probes.readers.gateway import gateway_reader
from capacity.scenarios.load import Through, measure_through, numbered
from capacity.scenarios.outbox_system import BODY, HELD, PATH, Served, effects, jobs_under_way, restored, serve
from capacity.scenarios.redis_restart import (
    CLIENT_SECONDS,
    CONNECTIONS,
    DRAIN_SECONDS,
    NAMES,
    SETTINGS,
    TIMEOUT_MS,
    UNSETTLED,
    Persistence,
    course,
    identity,
    keeps,
    proof,
    restart,
)
from capacity.scenarios.trial import Observed, Ready, counted
from capacity.system.addresses import System
from capacity.system.application.job_queue import LIMIT_S
from capacity.system.application.ledger import read_ledger
from capacity.system.application.outbox import BATCH, INTERVAL_S, OLDER_THAN_S
from capacity.system.application.requests import OWNER_HEADER
from capacity.system.clients import redis_client
from capacity.system.embedded import redis_url, run_redis
from capacity.system.home import open_home
from capacity.system.processes import QUEUE
from capacity.workload import Workload, parse_workload

EXCHANGES = 3  # with Redis, at most, for a batch of the reconciler's
TITLES = {
    "pending": "jobs in Redis when it ended",
    "away": "jobs acknowledged while it was away",
    "later": "jobs acknowledged when it was back",
    "between": "jobs acknowledged at one of these moments",
}


@dataclass(frozen=True, slots=True)
class OutboxRestart:
    """A Redis behind the reference gateway is ended with a signal at `at_s`, and started again `down_s` later.

    `how` is SIGTERM, SIGKILL, or None for no fault. Writes that each ask for a job come at an even rate all the time.
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
        return f"outbox_{self.persistence}_{NAMES[self.how]}"

    @property
    def writes(self) -> int:
        """How many are made, or a few less."""
        return HELD + math.ceil(self.rate_per_s * self.seconds) + 1

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """None is lost, and each takes effect once; what is enqueued again follows from what Redis's settings keep."""
        with open_home() as home:
            server = run_redis(home, **SETTINGS[self.persistence])
            with redis_client(redis_url(server.port), CLIENT_SECONDS) as client:
                kept, why = keeps(client.config_get("save", "appendonly"), self.how, self.at_s)
            served = serve(home, server, self.writes)
            yield Ready(self._expectations(kept, why), lambda folder: self._observe(served, folder))

    def _expectations(self, kept: bool, why: str) -> tuple[Objective, ...]:
        passes_s = 2 * math.ceil(self.writes / BATCH) * EXCHANGES * LIMIT_S
        restored_ms = (OLDER_THAN_S + INTERVAL_S + passes_s) * 1000
        when = f"{OLDER_THAN_S:g} s old, {INTERVAL_S:g} s between passes, and two of at most {passes_s / 2:g} s"
        under_way = f"{HELD} jobs are under way when it ends, and " + ("it keeps them" if kept else "it forgets them")
        away = "what is written while it is away is not in it"
        return (
            self._expected("jobs_lost", "==", 0, "", "each is in PostgreSQL before it is acknowledged"),
            self._expected("jobs_unexpected", "==", 0, "", "nothing is done that was not asked for"),
            self._expected("jobs_duplicated", "==", 0 if kept else HELD, "", under_way),
            self._expected("effects_lost", "==", 0, "", "each job is done"),
            self._expected("effects_duplicated", "==", 0, "", "a job's row is marked once, whoever does the job"),
            self._expected("jobs_reenqueued_of_pending", "==", 0 if kept else 100, "%", why),
            self._expected("jobs_reenqueued_of_away", "==", 100, "%", away),
            self._expected("jobs_reenqueued_of_later", "==", 0, "%", "the server that took them lives on"),
            self._expected("jobs_restored", "<=", restored_ms, "ms", when),
            self._expected("writes_refused", "==", 0, "", "a write does not need Redis"),
            self._expected("internal_errors", "==", 0, "", "a server that is away is no error of the gateway's own"),
        )

    def _expected(self, name: str, relation: str, limit: float, unit: str, why: str) -> Objective:
        return Objective(f"failover.{self.name}.{name}", relation, limit, unit, source="the settings", why=why)

    def _observe(self, served: Served, folder: Path) -> Observed:
        before, away = identity(served.server), list[int]()
        fault = (self.at_s, lambda: away.extend(restart(served.server, self.how, self.down_s)))
        measurement, url = Measurement(self._workload(), "trial"), served.system.gateway_url
        with jobs_under_way(served) as ledger:
            through = measure_through(measurement, url, folder, fault)
            rows = restored(served.system)
        drained = wait_until_drained(served.system.redis_url, Queue(QUEUE), seconds=DRAIN_SECONDS)
        reenqueued = gateway_reader(url)[0]()["gateway.jobs_reenqueued_total"]
        completed = read_ledger(ledger).query("event == 'completed'")["job"].tolist()
        writes = _writes(through)
        findings = (
            *self._refused(writes),
            *self._reenqueued(through, away, writes, rows),
            counted(self.name, "reenqueued_by_gateway", reenqueued, title="jobs enqueued again, as the gateway counts"),
            *self._account(_reconciled(writes, rows, completed), _reconciled(writes, rows, effects(served.system))),
            *course(self.name, through, self.objective_ms),
        )
        return Observed(proof(before, identity(served.server)), findings, "" if drained else UNSETTLED)

    def _workload(self) -> Workload:
        """Writes by the callers HELD + 1, HELD + 2, …, each once."""
        request = {"method": "POST", "path": PATH, "headers": {OWNER_HEADER: "{owner}"}, "body": BODY}
        sequence = {"owner": {"kind": "sequence", "start": HELD + 1}}
        operation = {"name": "publish", "weight": 100, "request": request, "parameters": sequence}
        stage = {"name": "sustain", "seconds": self.seconds, "to": self.rate_per_s}
        shapes = {"trial": {"kind": "rate", "arrivals": "uniform", "stages": [stage]}}
        values: dict[str, Any] = {"name": "writes", "target": "http", "connections": CONNECTIONS}
        return parse_workload(values | {"timeout_ms": TIMEOUT_MS, "operations": [operation], "shapes": shapes})

    def _refused(self, writes: pd.DataFrame) -> Iterator[Finding]:
        refused, internal = writes["outcome"] != "ok", writes["error"] == "500"
        yield counted(self.name, "writes_refused", int(refused.sum()), title="not acknowledged", count=len(writes))
        yield counted(self.name, "internal_errors", int(internal.sum()), title="answered with 500", count=len(writes))

    def _reenqueued(
        self, through: Through, away: list[int], writes: pd.DataFrame, rows: pd.DataFrame
    ) -> Iterator[Finding]:
        """Which jobs came to the queue again, of those acknowledged before, within and after the outage."""
        origin_ns = int(through.recording.manifest["origin_unix_ns"])
        gone_ns, started_ns = (each - origin_ns for each in away)
        outage = Outage(through.begin_ns, gone_ns, started_ns, through.end_ns)
        moments = when_written(writes[writes["outcome"] == "ok"], outage)
        again = enqueued_again(rows["created_ms"], rows["queued_ms"], OLDER_THAN_S)
        for name, title in TITLES.items():
            jobs = again.reindex(moments.index[moments == name], fill_value=False)
            share = 100 * float(jobs.mean()) if len(jobs) else None
            yield counted(self.name, f"jobs_{name}", len(jobs), title=title, count=len(moments))
            again_name, again_title = f"jobs_reenqueued_of_{name}", f"{title}, enqueued again"
            yield counted(self.name, again_name, share, unit="%", title=again_title, count=len(jobs))
        yield counted(self.name, "jobs_reenqueued", int(again.sum()), title="jobs enqueued again", count=len(rows))
        last_ms = float(rows["queued_ms"].where(again).max()) if rows["queued_ms"].notna().all() else math.nan
        took_ms = last_ms - (origin_ns + through.end_ns) / 1e6
        value, title = None if math.isnan(took_ms) else max(0.0, took_ms), "until all unfinished jobs were queued again"
        yield counted(self.name, "jobs_restored", value, unit="ms", title=title, count=int(again.sum()))

    def _account(self, jobs: Reconciliation, effects: Reconciliation) -> Iterator[Finding]:
        tried = jobs.acknowledged
        for name in ("acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered"):
            yield counted(self.name, f"jobs_{name}", getattr(jobs, name), title=f"jobs {name}", count=tried)
        for name in ("ok", "lost", "duplicated"):
            yield counted(self.name, f"effects_{name}", getattr(effects, name), title=f"effects {name}", count=tried)


def _writes(through: Through) -> pd.DataFrame:
    """All writes by the number of their caller, as samples; those that hold the slots came before the load."""
    sent = numbered(through.recording.samples, HELD + 1)[["outcome", "error", "sent_ns", "finished_ns"]]
    held = {"outcome": "ok", "error": None, "sent_ns": -1, "finished_ns": -1}
    return pd.concat([pd.DataFrame(held, index=range(1, HELD + 1)), sent.astype({"outcome": str, "error": object})])


def _reconciled(writes: pd.DataFrame, rows: pd.DataFrame, jobs: list[str]) -> Reconciliation:
    """Writes beside what was done for them, `jobs` being the ids of the jobs that were done, each as often as that."""
    writer = dict(zip(rows["job"], rows.index.tolist(), strict=True))
    return reconcile(writes["outcome"] == "ok", [writer.get(job, job) for job in jobs])
