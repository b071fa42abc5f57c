"""Workers with a queue and a database of a trial's own; some are taken away while jobs wait, and come back.

The jobs that wait are rows of the outbox, and the database notes each time that one takes effect. So a job that takes
effect twice is seen twice.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from capacity.analysis.faults.job_runs import open_runs, runs_of
from capacity.clock import POLL_S, monotonic_ns, unix_ns_of, wait_until
from capacity.errors import CapacityError
from capacity.load.bullmq import job_options
from capacity.operation import Job
from capacity.scenarios.trial import Proof, Scenario
from capacity.scenarios.trial_application import DRAIN_SECONDS, note_effects, start_servers, undone, write_jobs
from capacity.system.addresses import OWN_QUEUE
from capacity.system.application.consumer import connection_pool, open_queue
from capacity.system.application.database import Dataset, execute
from capacity.system.application.ledger import read_ledger
from capacity.system.application.outbox import job_id
from capacity.system.processes import Application, start_workers
from capacity.system.server_directory import ServerDirectory

BUSY_SECONDS = 20.0
PENDING = """
INSERT INTO capacity.outbox (owner, kind, data)
SELECT capacity.owner_id(1), 'TokenRefresh', '{}' FROM generate_series(1, %s) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Crash(Scenario):
    """`crashed` of `workers` are killed, or stopped, by the signal `how` for `down_s`; None leaves them alone.

    A worker has `concurrency` jobs at a time, and takes `service_ms` for each. `pending` jobs wait when workers crash.
    `lock_s` and `stalled_s` are BullMQ's lockDuration and stalledInterval.
    """

    how: signal.Signals | None
    workers: int = 3
    crashed: int = 1
    concurrency: int = 20
    pending: int = 500
    lock_s: float = 1.0
    stalled_s: float = 0.5
    service_ms: float = 100.0
    down_s: float = 2.2

    @property
    def options(self) -> dict[str, Any]:
        """Of the workers' command line."""
        return {"concurrency": self.concurrency, "lock_s": self.lock_s, "stalled_s": self.stalled_s}


class WorkerPool:
    """The workers, what they are to do, and what they did; moments are of the wall clock, in ns.

    `jobs` are the ids of the jobs that are to wait, `added_ns` is when these were added, `crashed_ns` when workers were
    taken away. `system` is where they are; `start_s` is how long it took until they took jobs.
    """

    def __init__(self, directory: ServerDirectory, crash: Crash) -> None:
        self.added_ns = self.crashed_ns = 0
        self.proof = Proof(False, "nothing was done to the workers")
        self._directory, self._crash = directory, crash
        self._file = write_jobs(directory.folder, crash.service_ms, crash.service_ms)
        system = start_servers(directory, Dataset(1, 1))
        note_effects(system)
        rows = execute(system.postgres_admin_url, PENDING, [crash.pending])
        self.jobs = tuple(job_id(number) for (number,) in rows)
        began = monotonic_ns()
        self._application = start_workers(directory, Application(system), self._file, crash.workers, **crash.options)
        self.system = self._application.system
        self.start_s = (monotonic_ns() - began) / 1e9
        self._gone = self._application.pids["workers"][: crash.crashed]

    def take_away(self) -> None:
        """Add the jobs that are to wait, take workers away while they work at some of these, and bring them back."""
        self.added_ns = unix_ns_of(monotonic_ns())
        asyncio.run(self._add())
        if self._crash.how is None:
            self.crashed_ns = unix_ns_of(monotonic_ns())
            self.proof = Proof(False, f"the workers {_listed(self._gone)} were left alone")
            return
        try:
            if not wait_until(self._caught, BUSY_SECONDS):
                raise CapacityError(f"the workers did not come to the jobs that wait within {BUSY_SECONDS:g} s")
            (self._kill if self._crash.how is signal.SIGKILL else self._stop)()
        finally:
            self._tell(signal.SIGCONT)

    def ledger(self) -> pd.DataFrame:
        """What the workers noted up to now."""
        return read_ledger(Path(self.system.ledger))

    def gone(self, names: Iterable[str]) -> set[str]:
        """Those of the ledger's names of workers that were taken away."""
        numbers = {f"worker-{number}" for number in range(self._crash.crashed)}
        return {each for each in names if each.rpartition("-")[0] in numbers}

    def settled(self) -> bool:
        """Wait until nothing waits or is under way, and each run has an end but those that a kill cut off."""
        return not undone(self.system) and wait_until(self._all_ended, DRAIN_SECONDS)

    async def _add(self) -> None:
        pool, options = connection_pool(self.system.redis_url, 1), job_options(Job(attempts=1))
        jobs = [{"name": "TokenRefresh", "data": {}, "opts": {**options, "jobId": each}} for each in self.jobs]
        await open_queue(pool, OWN_QUEUE).addBulk(jobs)
        await pool.disconnect()

    def _caught(self) -> bool:
        """Stop the workers that are to be taken away; whether each works at half as many jobs as it can, or more.

        Else they go on, and may be stopped again when they have begun others.
        """
        self.crashed_ns = unix_ns_of(monotonic_ns())
        self._tell(signal.SIGSTOP)
        runs = open_runs(runs_of(self.ledger()))
        held = runs[runs["job"].isin(self.jobs)]["worker"].value_counts()
        caught = self.gone(held[held >= self._crash.concurrency / 2].index)
        if len(caught) < self._crash.crashed:
            self._tell(signal.SIGCONT)
        return len(caught) == self._crash.crashed

    def _tell(self, said: signal.Signals) -> None:
        for pid in self._gone:
            with suppress(ProcessLookupError):
                os.kill(pid, said)

    def _all_ended(self) -> bool:
        left = open_runs(runs_of(self.ledger()))
        cut_off = self.gone(left["worker"]) if self._crash.how is signal.SIGKILL else set()
        return set(left["worker"]) <= cut_off

    def _kill(self) -> None:
        """Kill those that were caught; others take their places at the end."""
        gone, self._gone = self._gone, []
        for pid in gone:
            self._directory.end(pid, signal.SIGKILL)
        time.sleep(self._crash.down_s)
        self.proof = Proof(not any(map(psutil.pid_exists, gone)), f"the processes {_listed(gone)} are gone")
        crash, first = self._crash, self._crash.workers
        start_workers(self._directory, self._application, self._file, crash.crashed, first=first, **crash.options)

    def _stop(self) -> None:
        """Leave those that were caught stopped, and look at them all the time."""
        stopped_s = seen_stopped(self._gone, self._crash.down_s)
        said = f"the processes {_listed(self._gone)} were seen stopped for {stopped_s:.1f} s"
        self.proof = Proof(stopped_s > self._crash.lock_s, f"{said}, with a lock of {self._crash.lock_s:g} s")


def seen_stopped(pids: Iterable[int], seconds: float) -> float:
    """Look at processes for so long, and return the seconds for which all were seen stopped without a break."""
    processes, end = [*map(psutil.Process, pids)], monotonic_ns() + seconds * 1e9
    since, longest = None, 0
    while (now := monotonic_ns()) < end:
        if all(each.status() == psutil.STATUS_STOPPED for each in processes):
            since = now if since is None else since
            longest = max(longest, now - since)
        else:
            since = None
        time.sleep(POLL_S)
    return longest / 1e9


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(map(str, pids))
