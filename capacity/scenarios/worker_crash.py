"""Workers are killed, or stopped for longer than the lock of a job, while jobs wait and more keep coming."""

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.analysis.faults.recovery import FaultSpan, backlog, drain, drain_seconds, recovery, recovery_findings
from capacity.analysis.measured.job_runs import begun_again, retaken, runs_of
from capacity.analysis.measured.jobs import job_ids, job_samples
from capacity.analysis.measured.ledger import reconcile
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.probes.measurement import Measurement, Watcher
from capacity.probes.observer import URL as QUEUE_URL
from capacity.recording import Recording, add_ledger
from capacity.scenarios.course import span_findings
from capacity.scenarios.crew import Crash, Crew, open_crew
from capacity.scenarios.load import PROFILE, Through, even_load, measure_through
from capacity.scenarios.trial import Observed, Ready, counted, expected
from capacity.system.addresses import System
from capacity.system.application.worker import STALLED
from capacity.system.processes import QUEUE
from capacity.workload import parse_workload

NAMES = {signal.SIGKILL: "kill", signal.SIGSTOP: "stop", None: "undisturbed"}
CONNECTIONS = 8
TIMEOUT_MS = 3000
AFTER_S = 1.5  # of load after the fault, of which a whole second is looked at
TERMS = ("acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered")


@dataclass(frozen=True, slots=True)
class WorkerCrash:
    """`crashed` of `workers` are ended with SIGKILL, or stopped with SIGSTOP, for `down_s`, while `pending` jobs wait.

    The others go on; then killed ones are replaced, and stopped ones continued. `how` None leaves them alone. Jobs come
    at `rate_per_s` all the time and take `service_ms`; a worker has `concurrency` at a time. `lock_s` and `stalled_s`
    are BullMQ's lockDuration and stalledInterval.
    """

    how: signal.Signals | None
    workers: int = 3
    crashed: int = 1
    concurrency: int = 20
    pending: int = 500
    lock_s: float = 1.0
    stalled_s: float = 0.5
    service_ms: float = 100.0
    rate_per_s: float = 60.0
    at_s: float = 1.0
    down_s: float = 2.2
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
        shared = (self.workers, self.crashed, self.concurrency, self.lock_s, self.stalled_s, self.down_s)
        with open_crew(Crash(self.how, *shared), self._workload(0.0), self.pending) as crew:
            yield Ready(tuple(self.expectations()), lambda folder: self._observe(crew, folder))

    def expectations(self) -> Iterator[Objective]:
        """What is expected, by the settings."""
        expects = partial(expected, self.name)
        again = self.crashed * self.concurrency
        under_way = f"{self.crashed} worker{'s' * (self.crashed > 1)} × {self.concurrency} jobs at a time"
        locks = f"{self.lock_s:g} s lock + 2 × {self.stalled_s:g} s between checks for stalled jobs"
        yield expects("jobs_lost", "==", 0, "a job leaves Redis when it is done")
        yield expects("jobs_unexpected", "==", 0, "nothing is done that was not added")
        yield expects("jobs_reprocessed", "<=", again, under_way)
        yield expects("jobs_duplicated", "<=", again, under_way)
        yield expects("jobs_given_up", "==", 0, "a job stalls once, and is given up where it stalls more often")
        yield expects("effects", "==", self.pending, "each job that waits is marked in the database")
        yield expects("effects_duplicated", "==", 0, "a job that is marked is not marked again")
        yield expects("retaken", "<=", self.retaken_s, locks, unit="s")

    def _observe(self, crew: Crew, folder: Path) -> Observed:
        more = {"queue": {"name": QUEUE, "prefix": "bull"}, "token": f"c{secrets.token_hex(4)}"}
        measurement = Measurement(parse_workload(self._workload(crew.start_s)), PROFILE, more=more)
        watchers = [Watcher("capacity.probes.observer", secrets={QUEUE_URL: crew.redis_url})]
        settled = [False]

        def settle() -> None:
            settled[0] = crew.settled()
            add_ledger(folder, crew.ledger())

        fault = (self.at_s, crew.take_away)
        found = measure_through(measurement, crew.redis_url, folder, fault, watchers, settle=settle)
        origin = int(found.recording.manifest["origin_unix_ns"])
        crash = replace(found, begin_ns=crew.crashed_ns - origin)
        parts = (self._account, self._runs, self._course, self._drain)
        findings = tuple(each for part in parts for each in part(crash, crew))
        return Observed(crew.proof, findings, "" if settled[0] else "jobs still wait or are under way")

    def _workload(self, start_s: float) -> dict[str, Any]:
        """Jobs until some time after the fault; what was killed takes `start_s` to start again."""
        job = {"attempts": 1, "service_ms": {"median": self.service_ms, "p99": self.service_ms}}
        operation = {"name": "TokenRefresh", "weight": 100, "job": job}
        back_s = start_s if self.how is signal.SIGKILL else 0.0
        seconds = self.at_s + self.down_s + back_s + AFTER_S
        more = {"connections": CONNECTIONS, "timeout_ms": TIMEOUT_MS}
        return even_load("bullmq", [operation], self.rate_per_s, seconds, **more)

    def _account(self, crash: Through, crew: Crew) -> Iterator[Finding]:
        """What became of the jobs, and of what those of the outbox do to the database."""
        ledger, samples = _ledger(crash.recording), crash.recording.samples
        ids = job_ids(samples, crash.recording.manifest).dropna()
        added = dict(zip(ids, samples.loc[ids.index, "outcome"] == "ok", strict=True)) | dict.fromkeys(crew.jobs, True)
        found = reconcile(added, ledger.loc[ledger["event"] == "completed", "job"].tolist())
        for name in TERMS:
            yield counted(self.name, f"jobs_{name}", getattr(found, name), title=f"jobs {name}", count=len(added))
        given_up = int((ledger["reason"] == STALLED).sum())
        yield counted(self.name, "jobs_given_up", given_up, title="stalled more often than allowed", count=len(added))
        marks, jobs = crew.effects()
        yield counted(self.name, "effects", jobs, title="jobs that took effect", count=len(crew.jobs))
        yield counted(self.name, "effects_duplicated", marks - jobs, title="effects beyond the first", count=marks)

    def _runs(self, crash: Through, crew: Crew) -> Iterator[Finding]:
        """What was begun again, and how soon after the crash."""
        runs = runs_of(_ledger(crash.recording))
        found = retaken(runs, crew.crashed_ns, crew.gone(runs["worker"]))
        first_s, all_s = (None if each is None else each / 1e9 for each in (found.first_ns, found.all_ns))
        held = found.under_way
        yield counted(self.name, "jobs_under_way", held, title="under way on the crashed workers", count=held)
        yield counted(self.name, "jobs_reprocessed", begun_again(runs), title="begun more than once", count=len(runs))
        yield counted(self.name, "first_retaken", first_s, unit="s", title="until the first is taken again", count=held)
        yield counted(self.name, "retaken", all_s, unit="s", title="until all are taken again or done", count=held)

    def _course(self, crash: Through, crew: Crew) -> Iterator[Finding]:
        """How the jobs of the load came through, each from when it was due until it was done."""
        recording = crash.recording
        course = job_samples(recording.samples, recording.jobs, recording.manifest)
        found = recovery(course, FaultSpan(crash.begin_ns, crash.end_ns, self.objective_ms))
        others = {f"failover.{self.name}.{each}" for each in ("drained", "backlog")}  # `_drain` gives those of all jobs
        yield from (
            each for each in recovery_findings(self.name, recording.path.name, found) if each.name not in others
        )
        yield from span_findings(self.name, crash)

    def _drain(self, crash: Through, crew: Crew) -> Iterator[Finding]:
        """The jobs not done when workers crashed, and how long they took beside the time by theory."""
        course, origin = _all_jobs(crash.recording, crew), int(crash.recording.manifest["origin_unix_ns"])
        found = drain(backlog(course), FaultSpan(crew.added_ns - origin, crash.begin_ns, self.objective_ms))
        down_s, due = (crash.end_ns - crash.begin_ns) / 1e9, crash.recording.samples["scheduled_ns"]
        arrivals = (len(due) - 1) / (float(due.max() - due.min()) / 1e9)
        slot_per_s = 1 / self._run_s(crash, crew, down_s if found.seconds is None else found.seconds)
        left, whole = ((each * self.concurrency * slot_per_s) for each in (self.workers - self.crashed, self.workers))
        theory = drain_seconds(found.left, left, arrivals)
        if theory > down_s:
            theory = down_s + drain_seconds(found.left - (left - arrivals) * down_s, whole, arrivals)
        figures = {
            "backlog": (found.left, "", "jobs not done at the crash"),
            "backlog_peak": (found.peak, "", "jobs not done, at most"),
            "arrivals": (arrivals, "1/s", "jobs that came, λ"),
            "capacity_left": (left, "1/s", "jobs that the other workers can do, μ"),
            "drained": (found.seconds, "s", "from the crash until no more were left than before"),
            "drained_in_theory": (theory, "s", "backlog / (μ − λ)"),
        }
        for name, (value, unit, title) in figures.items():
            yield counted(self.name, name, value, unit=unit, title=title, count=len(course))

    def _run_s(self, crash: Through, crew: Crew, seconds: float) -> float:
        """The mean time of a run that another worker began so soon after the crash, else that by the setting."""
        runs = runs_of(_ledger(crash.recording)).dropna()
        others = ~runs["worker"].isin(crew.gone(runs["worker"]))
        within = runs[others & runs["began_ns"].between(crew.crashed_ns, crew.crashed_ns + seconds * 1e9)]
        return float((within["ended_ns"] - within["began_ns"]).mean()) / 1e9 if len(within) else self.service_ms / 1e3


def _ledger(recording: Recording) -> pd.DataFrame:
    assert recording.ledger is not None  # `settle` has put it there
    return recording.ledger


def _all_jobs(recording: Recording, crew: Crew) -> pd.DataFrame:
    """When each job was due and when it was done first, on the recording's clock; one that never was is left out."""
    origin, samples, ledger = int(recording.manifest["origin_unix_ns"]), recording.samples, _ledger(recording)
    ids = job_ids(samples, recording.manifest).dropna()
    load = pd.Series(samples.loc[ids.index, "scheduled_ns"].to_numpy(), index=ids.to_numpy())
    due = pd.concat([load, pd.Series(crew.added_ns - origin, index=[*crew.jobs])])
    done = ledger[ledger["event"] == "completed"].groupby("job")["at_ns"].min() - origin
    return pd.DataFrame({"scheduled_ns": due, "finished_ns": done}).dropna().astype("int64")
