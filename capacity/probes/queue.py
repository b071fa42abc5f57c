"""The queue probe: adds jobs at their rate, watches the queue until it is drained, and closes the account."""

import secrets
import time
from pathlib import Path

import pandas as pd
import redis

from capacity.analysis.measured.jobs import job_samples
from capacity.analysis.measured.queue import queue_findings
from capacity.findings import Finding
from capacity.load.bullmq import Queue
from capacity.places import WORKLOADS, in_project
from capacity.probes.live import run_probe
from capacity.probes.measurement import Measurement, Progress, Watcher, gauges_of, measure, quiet
from capacity.probes.observer import URL as QUEUE_URL
from capacity.probes.observer import Observer
from capacity.recording import Recording, add_ledger, open_recording
from capacity.system.addresses import REDIS_URL, System, require
from capacity.system.application.ledger import read_ledger
from capacity.system.clients import redis_client
from capacity.system.processes import WORKERS, open_application
from capacity.workload import read_workload

FILE = "queue.yaml"
UNFINISHED = ("wait", "paused", "prioritized", "active", "delayed")
DRAIN_SECONDS = 120.0  # two of BullMQ's own passes over stalled jobs
POLL_SECONDS = 0.2
TIMEOUT_S = 5


def measure_queue(
    system: System, jobs: Path, profile: str, folder: Path, progress: Progress = quiet, *, workers: int = WORKERS
) -> Path:
    """Measure a BullMQ queue into a new recording in `folder`, until every job has ended.

    `jobs` is the workload file. Where the system names no queue, `workers` processes of the reference application serve
    one and keep a ledger. Raises CapacityError for an unknown profile or a server that is down.
    """
    workload = read_workload(jobs)
    workload.shape(profile)
    require(REDIS_URL, system.redis_url)
    with open_application(system, jobs, workers=workers, gateway=False) as application:
        url, running = application.system.redis_url, application.system
        queue = Queue(running.queue, running.queue_prefix)
        more = {"queue": {"name": queue.name, "prefix": queue.prefix}, "token": f"c{secrets.token_hex(4)}"}
        sources = {"redis": url} | ({"processes": application.processes} if application.pids else {})
        watchers = [gauges_of(**sources), Watcher("capacity.probes.observer", secrets={QUEUE_URL: url})]

        def settle() -> None:
            wait_until_drained(url, queue, progress)
            if running.ledger:
                add_ledger(folder, read_ledger(Path(running.ledger)))

        measurement = Measurement(workload, profile, more=more)
        return measure(measurement, url, watchers, folder, progress, settle=settle)


def wait_until_drained(url: str, queue: Queue, progress: Progress = quiet, seconds: float = DRAIN_SECONDS) -> bool:
    """Wait until nothing waits or is under way in a queue; returns whether that came within `seconds`."""
    begun = time.monotonic()
    with redis_client(url, TIMEOUT_S) as client:
        observer = Observer(client, queue, "")
        while (waited := time.monotonic() - begun) < seconds:
            try:
                counts = observer.counts()
            except redis.RedisError:
                counts = {}
            if counts and not any(counts[name] for name in UNFINISHED):
                return True
            progress(waited, seconds)
            time.sleep(POLL_SECONDS)
    return False


def run_queue_probe(
    live: bool, profile: str, workloads: Path | str, folder: Path | str, *, workers: int = WORKERS
) -> Path:
    """Where `live`, measure the queue into `folder`; see `run_probe`, and `measure_queue` for `workers`.

    `workloads` is the folder (empty: the project's) of queue.yaml.
    """

    def probe(system: System, into: Path, progress: Progress) -> None:
        measure_queue(system, in_project(workloads or WORKLOADS) / FILE, profile, into, progress, workers=workers)

    return run_probe(live, "queue", folder, probe)


def read_queue_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_queue`."""
    main = open_recording(folder)
    return queue_findings(folder.name, (main.samples, main.gauges, main.jobs), main.manifest, main.ledger)


def read_job_samples(recording: Recording) -> pd.DataFrame:
    """The jobs of a recording made by `measure_queue` as samples, as `job_samples` gives them."""
    return job_samples(recording.samples, recording.jobs, recording.manifest)
