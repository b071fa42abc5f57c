"""Workers of a trial's own, with a queue and a database, of which some are taken away while jobs wait, and come back.

The jobs that wait are rows of the outbox, so that what they do to the database is seen: a trigger that only this
database has notes each mark that a worker sets, and a job that takes effect twice is there twice.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml

from capacity.analysis.measured.job_runs import open_runs, runs_of
from capacity.errors import CapacityError
from capacity.load.bullmq import Queue, job_options
from capacity.load.engine import clock, unix_ns_of
from capacity.operation import Job
from capacity.probes.queue import wait_until_drained
from capacity.scenarios.trial import POLL_SECONDS, Proof, wait_until
from capacity.system.addresses import System
from capacity.system.application.consumer import connection_pool, open_queue
from capacity.system.application.database import Dataset, connect_as_administrator, prepare_database
from capacity.system.application.ledger import read_ledger
from capacity.system.application.outbox import job_id
from capacity.system.embedded import postgres_url, redis_url, run_postgres, run_redis
from capacity.system.home import Home, open_home
from capacity.system.processes import QUEUE, Application, start_workers

DRAIN_SECONDS = 60.0
BUSY_SECONDS = 20.0
EFFECTS = """
CREATE TABLE effects (job bigint NOT NULL);
CREATE FUNCTION note_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN INSERT INTO public.effects VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER noted AFTER UPDATE OF finished_at ON capacity.outbox FOR EACH ROW EXECUTE FUNCTION note_effect();
"""
PENDING = """
INSERT INTO capacity.outbox (owner, kind, data)
SELECT capacity.owner_id(1), %s, '{}' FROM generate_series(1, %s) RETURNING id
"""
SEEN = "SELECT count(*), count(DISTINCT job) FROM effects"


@dataclass(frozen=True, slots=True)
class Crash:
    """Which signal takes how many of how many workers away, for how long; None leaves them alone."""

    how: signal.Signals | None
    workers: int
    crashed: int
    concurrency: int
    lock_s: float
    stalled_s: float
    down_s: float

    @property
    def options(self) -> list[str]:
        """The workers' command line."""
        given = {"concurrency": self.concurrency, "lock-s": self.lock_s, "stalled-s": self.stalled_s}
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]


class Crew:
    """The workers, what they are to do, and what they did; moments are of the wall clock, in ns.

    `jobs` are the ids of the jobs that are to wait, `added_ns` is when these were added, `crashed_ns` when workers were
    taken away. `start_s` is how long it took until they took jobs.
    """

    def __init__(self, home: Home, crash: Crash, workload: dict[str, Any], burst: int) -> None:
        self.jobs: tuple[str, ...] = ()
        self.added_ns = self.crashed_ns = 0
        self.proof = Proof(False, "nothing was done to the workers")
        self._home, self._crash, self._file = home, crash, home.folder / "jobs.yaml"
        self._file.write_text(yaml.safe_dump(workload), encoding="utf-8")
        self._kind = workload["operations"][0]["name"]
        self.redis_url = redis_url(run_redis(home).port)
        self._make_database(burst)
        began = clock()
        system = System(redis_url=self.redis_url, postgres_url=postgres_url("authenticator", self._postgres))
        self._application = start_workers(home, Application(system), self._file, crash.workers, *crash.options)
        self.start_s = (clock() - began) / 1e9
        self._gone = self._application.pids["workers"][: crash.crashed]

    def take_away(self) -> None:
        """Add the jobs that are to wait, take workers away while they work at some of these, and bring them back."""
        self.added_ns = unix_ns_of(clock())
        asyncio.run(self._add())
        if self._crash.how is None:
            self.crashed_ns = unix_ns_of(clock())
            self.proof = Proof(False, f"the workers {_listed(self._gone)} were left alone")
            return
        try:
            if not wait_until(self._caught, BUSY_SECONDS):
                raise CapacityError(f"the workers did not come to the jobs that wait within {BUSY_SECONDS:g} s")
            (self._kill if self._crash.how is signal.SIGKILL else self._stop)()
        finally:
            self.bring_back()

    def bring_back(self) -> None:
        """Continue those that are stopped."""
        self._tell(signal.SIGCONT)

    def ledger(self) -> pd.DataFrame:
        """What the workers noted up to now."""
        return read_ledger(Path(self._application.system.ledger))

    def gone(self, names: Iterable[str]) -> set[str]:
        """Those of the ledger's names of workers that were taken away."""
        numbers = {f"worker-{number}" for number in range(self._crash.crashed)}
        return {each for each in names if each.rpartition("-")[0] in numbers}

    def settled(self) -> bool:
        """Wait until nothing waits or is under way, and each run has an end but those that a kill cut off."""
        drained = wait_until_drained(self.redis_url, Queue(QUEUE), seconds=DRAIN_SECONDS)
        return drained and wait_until(self._all_ended, DRAIN_SECONDS)

    def effects(self) -> tuple[int, int]:
        """How often a job was marked in the database, and how many jobs were."""
        with connect_as_administrator(self._administrator) as connection:
            marks, jobs = connection.execute(SEEN).fetchone() or (0, 0)
        return int(str(marks)), int(str(jobs))

    def _make_database(self, burst: int) -> None:
        self._postgres = run_postgres(self._home).port
        self._administrator = postgres_url("postgres", self._postgres)
        prepare_database(self._administrator, Dataset(1, 1))
        with connect_as_administrator(self._administrator) as connection:
            connection.execute(EFFECTS)
            rows = connection.execute(PENDING, (self._kind, burst)).fetchall()
        self.jobs = tuple(job_id(int(str(number))) for (number,) in rows)

    async def _add(self) -> None:
        pool, options = connection_pool(self.redis_url, 1), job_options(Job(attempts=1))
        jobs = [{"name": self._kind, "data": {}, "opts": {**options, "jobId": each}} for each in self.jobs]
        await open_queue(pool, QUEUE).addBulk(jobs)
        await pool.disconnect()

    def _caught(self) -> bool:
        """Stop the workers that are to be taken away; whether each works at half as many jobs as it can, or more.

        Else they go on, and may be stopped again when they have begun others.
        """
        self.crashed_ns = unix_ns_of(clock())
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
            self._home.end(pid, signal.SIGKILL)
        time.sleep(self._crash.down_s)
        self.proof = Proof(not any(map(psutil.pid_exists, gone)), f"the processes {_listed(gone)} are gone")
        crash, first = self._crash, self._crash.workers
        start_workers(self._home, self._application, self._file, crash.crashed, *crash.options, first=first)

    def _stop(self) -> None:
        """Leave those that were caught stopped, and look at them all the time."""
        stopped_s = seen_stopped(self._gone, self._crash.down_s)
        said = f"the processes {_listed(self._gone)} were seen stopped for {stopped_s:.1f} s"
        self.proof = Proof(stopped_s > self._crash.lock_s, f"{said}, with a lock of {self._crash.lock_s:g} s")


def seen_stopped(pids: Iterable[int], seconds: float) -> float:
    """Look at processes for so long, and return the seconds for which all were seen stopped without a break."""
    processes, end = [*map(psutil.Process, pids)], clock() + seconds * 1e9
    since, longest = None, 0
    while (now := clock()) < end:
        if all(each.status() == psutil.STATUS_STOPPED for each in processes):
            since = now if since is None else since
            longest = max(longest, now - since)
        else:
            since = None
        time.sleep(POLL_SECONDS)
    return longest / 1e9


@contextmanager
def open_crew(crash: Crash, workload: dict[str, Any], burst: int) -> Iterator[Crew]:
    """A crew with `burst` jobs that are to wait, for the time of a with-block.

    `workload` is the file that says what a job takes.
    """
    with open_home() as home:
        crew = Crew(home, crash, workload, burst)
        try:
            yield crew
        finally:
            crew.bring_back()


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(map(str, pids))
