"""The queue probe: adds jobs at their rate, watches the queue until it is drained, and closes the account."""

import secrets
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import redis

from capacity.analysis.measured.jobs import job_samples
from capacity.analysis.measured.queue import queue_findings
from capacity.clock import unix_s, wait_until
from capacity.findings import Finding
from capacity.load.bullmq import LISTS, Queue
from capacity.probes.jobs.left import Loads, clear_left_jobs
from capacity.probes.measurement import Measurement, Watcher, gauges_of, measure
from capacity.probes.observer import URL as QUEUE_URL
from capacity.probes.probe import Probe, SystemUnderTest
from capacity.probes.promises import for_what_is_undecided
from capacity.probes.searches import SearchSettings
from capacity.recording import Recording, add_ledger, open_recording
from capacity.system.addresses import REDIS_URL, System, require
from capacity.system.application.ledger import read_ledger
from capacity.system.clients import redis_client
from capacity.system.preflight.queue_make import require_jobs_taken
from capacity.system.processes import WORKERS, Application, open_application
from capacity.workload import read_workload

FILE = "queue.yaml"
OBSERVER = "capacity.probes.observer"
SCORE_MS = 0x1000  # of a delayed job, times the ms of its moment
DRAIN_SECONDS = 120.0  # two of BullMQ's own passes over stalled jobs
POLL_SECONDS = 0.2
TIMEOUT_S = 5


def measure_queue(
    system: System,
    workloads: Path,
    profile: str,
    folder: Path,
    *,
    workers: int = WORKERS,
    drain_s: float = DRAIN_SECONDS,
) -> Path:
    """Measure a BullMQ queue into a new recording in `folder`, until every job of ours has ended, or `drain_s` longer.

    `workloads` is the folder of queue.yaml. Where the system names no queue, `workers` processes of the reference
    application serve one and keep a ledger. Jobs of ours that have not begun by then are taken out again, as are those
    of a measurement that was killed. Raises CapacityError for an unknown profile or a server that is down.
    """
    jobs = workloads / FILE
    workload = read_workload(jobs)
    workload.shape(profile)
    require(REDIS_URL, system.redis_url)
    with open_application(system, jobs, workers=workers, gateway=False) as application:
        url, running = application.system.redis_url, application.system
        queue = Queue(running.queue, running.queue_prefix)
        told = told_of(queue)

        def settle() -> None:
            wait_until_done(url, queue, told["token"], drain_s)
            if running.ledger:
                add_ledger(folder, read_ledger(Path(running.ledger)))

        made_by = _made_by(application)
        remove_left_jobs(url, queue)
        measurement = Measurement(workload, profile, more=told | made_by)
        promises = for_what_is_undecided("queue", read_queue_findings, workloads)
        watchers = watchers_of(application)
        return measure(measurement, url, watchers, folder, settle=settle, goes_on_for=promises)


def told_of(queue: Queue) -> dict[str, Any]:
    """What a measurement is told of a queue, and a new token by which its jobs are known."""
    return {"queue": {"name": queue.name, "prefix": queue.prefix}, "token": f"c{secrets.token_hex(4)}"}


def _made_by(application: Application) -> dict[str, Any]:
    """What a measurement is told of who made somebody's own queue; CapacityError where no jobs can be added to it."""
    if application.pids:
        return {}
    system = application.system
    return {"queue_make": asdict(require_jobs_taken(system.redis_url, Queue(system.queue, system.queue_prefix)))}


def watchers_of(application: Application) -> list[Watcher]:
    """What reads the gauges of Redis and of the workers, and what watches the queue."""
    url = application.system.redis_url
    watched = queue_watcher(url, dead_letters=bool(application.pids))
    return [gauges_of(redis=url, processes=application.processes), watched]


def queue_watcher(url: str, *, dead_letters: bool = False) -> Watcher:
    """What watches the queue in the Redis at `url`; the reference workers have a queue of `dead_letters`."""
    return Watcher(OBSERVER, {"dead_letters": dead_letters}, secrets={QUEUE_URL: url})


def remove_left_jobs(url: str, queue: Queue) -> bool:
    """Take out what loads that were killed have left in a queue; whether nothing of ours is in it then."""
    with suppress(redis.RedisError), redis_client(url, TIMEOUT_S) as client:
        return clear_left_jobs(client, queue)
    return False


def wait_until_done(url: str, queue: Queue, token: str, seconds: float = DRAIN_SECONDS) -> bool:
    """Wait until the jobs of a load have ended, which is watched; returns whether that came within `seconds`."""
    with redis_client(url, TIMEOUT_S) as client:
        loads, since_s = Loads(client, queue), list[float]()

        def settled() -> bool:
            with suppress(redis.RedisError):
                if not since_s:
                    since_s.append(loads.now_s())
                return loads.settled(token, since_s[0])
            return False

        return wait_until(settled, seconds, POLL_SECONDS)


def wait_until_drained(url: str, queue: Queue, seconds: float = DRAIN_SECONDS, than: int = 0) -> bool:
    """Wait until no more jobs are to be done in a queue `than` so many; returns whether that came within `seconds`.

    One that is delayed beyond that is not waited for.
    """
    with redis_client(url, TIMEOUT_S) as client:
        until_ms = (unix_s() + seconds) * 1000

        def drained() -> bool:
            with suppress(redis.RedisError):
                return jobs_to_do(client, queue, until_ms) <= than
            return False

        return wait_until(drained, seconds, POLL_SECONDS)


def jobs_to_do(client: redis.Redis, queue: Queue, until_ms: float) -> int:
    """How many jobs wait, are under way, or are delayed until that moment of the wall clock at most."""
    pipeline = client.pipeline(transaction=False)
    for part in LISTS:
        pipeline.llen(queue.key(part))
    pipeline.zcard(queue.key("prioritized"))
    pipeline.zcount(queue.key("delayed"), "-inf", until_ms * SCORE_MS)
    return sum(pipeline.execute())


def read_queue_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_queue`."""
    main = open_recording(folder)
    return queue_findings(folder.name, (main.samples, main.gauges, main.jobs), main.facts, main.ledger)


def read_job_samples(recording: Recording) -> pd.DataFrame:
    """The jobs of a recording made by `measure_queue` as samples, as `job_samples` gives them."""
    return job_samples(recording.samples, recording.jobs, recording.facts)


def ready_queue(system: System, search: SearchSettings, file: Path, profile: str, stack: ExitStack) -> SystemUnderTest:
    """A queue with its workers, which is at rest when it is drained."""
    require(REDIS_URL, system.redis_url)
    slots = search.slots_per_worker
    opened = open_application(system, file, workers=search.workers, gateway=False, concurrency=slots)
    application = stack.enter_context(opened)
    url, queue = system.redis_url, Queue(application.system.queue, application.system.queue_prefix)
    last: dict[str, Any] = {"slots": search.workers * slots} if application.pids else {}
    last |= _made_by(application)
    remove_left_jobs(url, queue)

    def told() -> dict[str, Any]:
        last.update(told_of(queue))
        return dict(last)

    def rest() -> bool:
        return wait_until_done(url, queue, last.get("token", ""))

    return SystemUnderTest(url, watchers_of(application), rest, told)


PROBE = Probe("queue", measure_queue, read_queue_findings, lambda system: bool(system.redis_url), ready_queue)
run_queue_probe = PROBE.run
