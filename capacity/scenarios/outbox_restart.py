"""Redis is stopped or killed behind a gateway that writes a job into PostgreSQL before Redis: none may be lost.

When Redis ends, each slot of the worker is at a job. These jobs cannot take effect before Redis holds every unfinished
job again: a lock on their rows keeps them waiting. So all acknowledged jobs are unfinished when Redis ends, and how
many must be enqueued again is known before. Where Redis forgets, those under way are done twice, with one effect each.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from capacity.analysis.faults.outbox import Outage, enqueued_again, when_written
from capacity.analysis.measured.ledger import Reconciliation, reconcile
from capacity.findings import Finding, Objective
from capacity.probes.measurement import Measurement
from capacity.probes.readers.gateway import gateway_reader
from capacity.scenarios.fault_injection import FaultRecording, numbered, trial_load
from capacity.scenarios.redis_restart import CONNECTIONS, RedisServerRestart
from capacity.scenarios.trial import Observed, Ready, account_findings, counted
from capacity.scenarios.trial_application import (
    BODY,
    HELD,
    PATH,
    effects,
    jobs_under_way,
    note_effects,
    request_operation,
    restored,
    start_servers,
    undone,
    write_jobs,
)
from capacity.system.addresses import System
from capacity.system.application.database import Dataset
from capacity.system.application.job_queue import LIMIT_S
from capacity.system.application.ledger import read_ledger
from capacity.system.application.outbox import BATCH, INTERVAL_S, OLDER_THAN_S
from capacity.system.embedded import RunningServer
from capacity.system.processes import Application, start_gateway, start_workers

EXCHANGES = 3  # with Redis, at most, for a batch of the reconciler's
TITLES = {
    "pending": "jobs in Redis when Redis ended",
    "away": "jobs acknowledged while Redis was away",
    "later": "jobs acknowledged when Redis was back",
    "between": "jobs acknowledged at one of these moments",
}


@dataclass(frozen=True, slots=True)
class OutboxRestart(RedisServerRestart):
    """A Redis behind the reference gateway is restarted, while writes that each ask for a job come at an even rate."""

    kind = "outbox"

    @property
    def writes(self) -> int:
        """How many are made, or a few less."""
        return HELD + math.ceil(self.rate_per_s * self.seconds) + 1

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """None is lost, and each takes effect once; what is enqueued again follows from what Redis's settings keep."""
        with self.redis() as (directory, server, kept, why):
            system = start_servers(directory, Dataset(self.writes, 1), server.url)  # each caller can make one write
            jobs = write_jobs(directory.folder, 1, 2)
            note_effects(system)
            gateway = start_gateway(directory, Application(system), workload=jobs)
            work = partial(start_workers, directory, gateway, jobs, 1, concurrency=HELD)
            observe = partial(self._observe, gateway.system, work, server)
            yield Ready(tuple(self._expectations(kept, why)), observe)

    def _expectations(self, kept: bool, why: str) -> Iterator[Objective]:
        passes_s = 2 * math.ceil(self.writes / BATCH) * EXCHANGES * LIMIT_S
        restored_ms = (OLDER_THAN_S + INTERVAL_S + passes_s) * 1000
        when = (
            f"a job is passed over until it is {OLDER_THAN_S:g} s old; passes are {INTERVAL_S:g} s apart, and two take "
            f"{passes_s:g} s at most"
        )
        under_way = f"{HELD} jobs are under way when Redis ends, and it {'keeps' if kept else 'forgets'} them"
        yield self.expects("jobs_lost", "==", 0, "each is in PostgreSQL before it is acknowledged")
        yield self.expects("jobs_unexpected", "==", 0, "nothing is done that was not asked for")
        yield self.expects("jobs_duplicated", "==", 0 if kept else HELD, under_way)
        yield self.expects("effects_lost", "==", 0, "each job is done")
        yield self.expects("effects_duplicated", "==", 0, "a job's row is marked once, whoever does the job")
        yield self.expects("jobs_reenqueued_of_pending", "==", 0 if kept else 100, why, unit="%")
        yield self.expects(
            "jobs_reenqueued_of_away", "==", 100, "Redis has nothing of what was written while it was away", unit="%"
        )
        yield self.expects("jobs_reenqueued_of_later", "==", 0, "the Redis that took them lives on", unit="%")
        yield self.expects("jobs_restored", "<=", restored_ms, when, unit="ms")
        yield self.expects("writes_refused", "==", 0, "a write does not need Redis")
        yield self.expects("internal_errors", "==", 0, "a server that is away is no error of the gateway's own")

    def _observe(
        self, system: System, work: Callable[[], Application], server: RunningServer, folder: Path
    ) -> Observed:
        url = system.gateway_url
        with jobs_under_way(system, work) as ledger:
            recorded, proof = self.measure(self._load(), url, folder, server)
            rows = restored(system)
        left = undone(system)
        reenqueued = gateway_reader(url)[0]()["gateway.jobs_reenqueued_total"]
        completed = read_ledger(ledger).query("event == 'completed'")["job"].tolist()
        writes = _writes(recorded)
        took_effect, tried = _reconciled(writes, rows, effects(system)), int((writes["outcome"] == "ok").sum())
        findings = (
            *self._refused(writes),
            *self._reenqueued(recorded, writes, rows),
            counted(self.name, "reenqueued_by_gateway", reenqueued, title="jobs enqueued again, as the gateway counts"),
            *account_findings(self.name, "jobs", _reconciled(writes, rows, completed), tried),
            *account_findings(self.name, "effects", took_effect, tried, ("ok", "lost", "duplicated")),
            *recorded.course(self.name, self.objective_ms),
        )
        return Observed(proof, findings, left)

    def _load(self) -> Measurement:
        """Writes by the callers HELD + 1, HELD + 2, …, each once."""
        operation = request_operation("publish", 100, PATH, BODY, owner={"kind": "sequence", "start": HELD + 1})
        return trial_load("http", [operation], self.rate_per_s, self.seconds, connections=CONNECTIONS)

    def _refused(self, writes: pd.DataFrame) -> Iterator[Finding]:
        refused, internal = writes["outcome"] != "ok", writes["error"] == "500"
        give = partial(counted, self.name, count=len(writes))
        yield give("writes_refused", int(refused.sum()), title="writes not acknowledged")
        yield give("internal_errors", int(internal.sum()), title="writes answered with 500")

    def _reenqueued(self, recorded: FaultRecording, writes: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Finding]:
        """Which jobs came to the queue again, of those acknowledged before, within and after the outage."""
        gone_ns, started_ns = (each - recorded.origin_ns for each in recorded.applied)
        outage = Outage(recorded.begin_ns, gone_ns, started_ns, recorded.end_ns)
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
        took_ms = last_ms - (recorded.origin_ns + recorded.end_ns) / 1e6
        value = None if math.isnan(took_ms) else max(0.0, took_ms)
        title = "time until all unfinished jobs were queued again"
        yield counted(self.name, "jobs_restored", value, unit="ms", title=title, count=int(again.sum()))


def _writes(recorded: FaultRecording) -> pd.DataFrame:
    """All writes by the number of their caller, as samples; those that hold the slots came before the load."""
    sent = numbered(recorded.samples, HELD + 1)[["outcome", "error", "sent_ns", "finished_ns"]]
    held = {"outcome": "ok", "error": None, "sent_ns": -1, "finished_ns": -1}
    return pd.concat([pd.DataFrame(held, index=range(1, HELD + 1)), sent.astype({"outcome": str, "error": object})])


def _reconciled(writes: pd.DataFrame, rows: pd.DataFrame, jobs: list[str]) -> Reconciliation:
    """Writes beside what was done for them, `jobs` being the ids of the jobs that were done, each as often as that."""
    writer = dict(zip(rows["job"], rows.index.tolist(), strict=True))
    return reconcile(writes["outcome"] == "ok", [writer.get(job, job) for job in jobs])
