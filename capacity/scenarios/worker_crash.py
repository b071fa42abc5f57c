"""Workers are killed, or stopped for longer than the lock of a job, while jobs wait and more keep coming."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from capacity.analysis.faults.job_runs import begun_again, retaken, runs_of
from capacity.analysis.faults.recovery import FaultSpan, backlog, drain, drain_seconds, recovery, recovery_findings
from capacity.analysis.measured.jobs import job_ids, job_samples
from capacity.analysis.measured.ledger import reconcile
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.load.bullmq import Queue
from capacity.probes.measurement import Measurement
from capacity.probes.queue import queue_watcher, told_of
from capacity.scenarios.fault_injection import FaultRecording, measure_with_fault, trial_load
from capacity.scenarios.trial import Observed, Ready, account_findings, counted
from capacity.scenarios.trial_application import effects
from capacity.scenarios.worker_pool import Crash, WorkerPool
from capacity.system.addresses import OWN_QUEUE, System
from capacity.system.application.worker import STALLED
from capacity.system.server_directory import open_server_directory

NAMES = {signal.SIGKILL: "kill", signal.SIGSTOP: "stop", None: "undisturbed"}
CONNECTIONS = 8
AFTER_S = 1.5  # of load after the fault, of which a whole second is looked at


@dataclass(frozen=True, slots=True)
class WorkerCrash(Crash):
    """Workers crash while jobs come at `rate_per_s`. Then killed ones are replaced, and stopped ones continued."""

    rate_per_s: float = 60.0
    at_s: float = 1.0
    objective_ms: float = 500.0
    destructive: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.crashed < self.workers:
            raise CapacityError(
                f"{self.crashed} of {self.workers} workers cannot crash and leave others that go on; "
                f"let 1 to {self.workers - 1} of them crash"
            )
        if self.down_s <= self.retaken_s:
            raise CapacityError(
                f"workers that are away for {self.down_s:g} s may be back before others take up their jobs, which may "
                f"take {self.retaken_s:g} s; let them be away for longer"
            )

    @property
    def name(self) -> str:
        """By what is done to how many."""
        way = f"worker_{NAMES[self.how]}"
        return way if self.crashed == 1 else f"{way}_{self.crashed}"

    @property
    def retaken_s(self) -> float:
        """The longest time until the jobs of a worker that is away are taken up again.

        A lock was renewed just before, at most; after it has ended one check marks the job, and the next one finds it
        marked. Source: BullMQ's script moveStalledJobsToWait.
        """
        return self.lock_s + 2 * self.stalled_s

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Nothing is lost; what is done again is at most what the crashed workers had under way."""
        with open_server_directory() as directory:
            pool = WorkerPool(directory, self)
            yield Ready(tuple(self.expectations()), lambda folder: self._observe(pool, folder))

    def expectations(self) -> Iterator[Objective]:
        """What is expected, by the settings."""
        again = self.crashed * self.concurrency
        under_way = f"{self.crashed} worker{'s' * (self.crashed > 1)} × {self.concurrency} jobs at a time"
        locks = f"{self.lock_s:g} s lock + 2 × {self.stalled_s:g} s between checks for stalled jobs"
        yield self.expects("jobs_lost", "==", 0, "a job leaves Redis when it is done")
        yield self.expects("jobs_unexpected", "==", 0, "nothing is done that was not added")
        yield self.expects("jobs_reprocessed", "<=", again, under_way)
        yield self.expects("jobs_duplicated", "<=", again, under_way)
        yield self.expects("jobs_given_up", "==", 0, "a job stalls once, and is given up where it stalls more often")
        yield self.expects("effects", "==", self.pending, "each job that waits is marked in the database")
        yield self.expects("effects_duplicated", "==", 0, "a job that is marked is not marked again")
        yield self.expects("retaken", "<=", self.retaken_s, locks, unit="s")

    def _observe(self, pool: WorkerPool, folder: Path) -> Observed:
        url, load, fault = pool.system.redis_url, self._load(pool.start_s), (self.at_s, pool.take_away)
        watchers, settle = [queue_watcher(url)], pool.settled
        found = measure_with_fault(load, url, folder, fault, watchers, settle=settle, ledger=pool.ledger)
        crash = replace(found, begin_ns=pool.crashed_ns - found.origin_ns)
        parts = (self._account, self._runs, self._course, self._drain)
        findings = tuple(each for part in parts for each in part(crash, pool))
        return Observed(pool.proof, findings, "" if found.settled else "jobs still wait or are under way")

    def _load(self, start_s: float) -> Measurement:
        """Jobs until some time after the fault; what was killed takes `start_s` to start again."""
        operation = {"name": "TokenRefresh", "weight": 100, "job": {"attempts": 1}}
        back_s = start_s if self.how is signal.SIGKILL else 0.0
        seconds = self.at_s + self.down_s + back_s + AFTER_S
        told = told_of(Queue(OWN_QUEUE))
        return trial_load("bullmq", [operation], self.rate_per_s, seconds, connections=CONNECTIONS, told=told)

    def _account(self, crash: FaultRecording, pool: WorkerPool) -> Iterator[Finding]:
        """What became of the jobs, and of what those of the outbox do to the database."""
        ledger, samples = crash.ledger, crash.samples
        ids = job_ids(samples, crash.recording.facts).dropna()
        added = dict(zip(ids, samples.loc[ids.index, "outcome"] == "ok", strict=True)) | dict.fromkeys(pool.jobs, True)
        found = reconcile(added, ledger.loc[ledger["event"] == "completed", "job"].tolist())
        yield from account_findings(self.name, "jobs", found, len(added))
        given_up, marks = int((ledger["reason"] == STALLED).sum()), effects(pool.system)
        again, give = len(marks) - len({*marks}), partial(counted, self.name)
        yield give("jobs_given_up", given_up, title="jobs stalled more often than allowed", count=len(added))
        yield give("effects", len({*marks}), title="jobs that took effect", count=len(pool.jobs))
        yield give("effects_duplicated", again, title="effects beyond a job's first", count=len(marks))

    def _runs(self, crash: FaultRecording, pool: WorkerPool) -> Iterator[Finding]:
        """What was begun again, and how soon after the crash."""
        runs = runs_of(crash.ledger)
        found = retaken(runs, pool.crashed_ns, pool.gone(runs["worker"]))
        first_s, all_s = (None if each is None else each / 1e9 for each in (found.first_ns, found.all_ns))
        give, held = partial(counted, self.name), found.under_way
        yield give("jobs_under_way", held, title="jobs under way on the crashed workers", count=held)
        yield give("jobs_reprocessed", begun_again(runs), title="jobs begun more than once", count=len(runs))
        yield give("first_retaken", first_s, unit="s", title="time until the first of these is taken again", count=held)
        title = "time until all jobs of crashed workers are taken again or done"
        yield give("retaken", all_s, unit="s", title=title, count=held)

    def _course(self, crash: FaultRecording, pool: WorkerPool) -> Iterator[Finding]:
        """How the jobs of the load came through, each from when it was due until it was done."""
        recording = crash.recording
        course = job_samples(recording.samples, recording.jobs, recording.facts)
        found = recovery(course, FaultSpan(crash.begin_ns, crash.end_ns, self.objective_ms))
        others = {f"failover.{self.name}.{each}" for each in ("drained", "backlog")}  # `_drain` gives those of all jobs
        yield from (
            each for each in recovery_findings(self.name, recording.path.name, found) if each.name not in others
        )
        yield from crash.span(self.name)

    def _drain(self, crash: FaultRecording, pool: WorkerPool) -> Iterator[Finding]:
        """The jobs not done when workers crashed, and how long they took beside the time by theory."""
        course, added_ns = _all_jobs(crash, pool), pool.added_ns - crash.origin_ns
        found = drain(backlog(course), FaultSpan(added_ns, crash.begin_ns, self.objective_ms))
        down_s, arrivals = (crash.end_ns - crash.begin_ns) / 1e9, crash.arrivals_per_s
        slot_per_s = 1 / self._run_s(crash, pool, down_s if found.seconds is None else found.seconds)
        left, whole = ((each * self.concurrency * slot_per_s) for each in (self.workers - self.crashed, self.workers))
        theory = drain_seconds(found.left, left, arrivals)
        if theory > down_s:
            theory = down_s + drain_seconds(found.left - (left - arrivals) * down_s, whole, arrivals)
        figures = {
            "backlog": (found.left, "", "jobs not done at the crash"),
            "backlog_peak": (found.peak, "", "jobs not done, at most"),
            "arrivals": (arrivals, "1/s", "jobs that came, λ"),
            "capacity_left": (left, "1/s", "jobs that the other workers can do, μ"),
            "drained": (found.seconds, "s", "time from the crash until no more were left than before"),
            "drained_in_theory": (theory, "s", "time to drain in theory, backlog / (μ − λ)"),
        }
        for name, (value, unit, title) in figures.items():
            yield counted(self.name, name, value, unit=unit, title=title, count=len(course))

    def _run_s(self, crash: FaultRecording, pool: WorkerPool, seconds: float) -> float:
        """The mean time of a run that another worker began so soon after the crash, else that by the setting."""
        runs = runs_of(crash.ledger).dropna()
        others = ~runs["worker"].isin(pool.gone(runs["worker"]))
        within = runs[others & runs["began_ns"].between(pool.crashed_ns, pool.crashed_ns + seconds * 1e9)]
        return float((within["ended_ns"] - within["began_ns"]).mean()) / 1e9 if len(within) else self.service_ms / 1e3


def _all_jobs(crash: FaultRecording, pool: WorkerPool) -> pd.DataFrame:
    """When each job was due and when it was done first, on the recording's clock; one that never was is left out."""
    samples, ledger = crash.samples, crash.ledger
    ids = job_ids(samples, crash.recording.facts).dropna()
    load = pd.Series(samples.loc[ids.index, "scheduled_ns"].to_numpy(), index=ids.to_numpy())
    due = pd.concat([load, pd.Series(pool.added_ns - crash.origin_ns, index=[*pool.jobs])])
    done = ledger[ledger["event"] == "completed"].groupby("job")["at_ns"].min() - crash.origin_ns
    return pd.DataFrame({"scheduled_ns": due, "finished_ns": done}).dropna().astype("int64")
