"""One part of the system made ready to be loaded at one level after another, each from rest."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from capacity.analysis.limits.levels import Frames
from capacity.analysis.measured.jobs import job_samples
from capacity.errors import CapacityError
from capacity.load.bullmq import Queue
from capacity.load.fork_server import ForkServer
from capacity.places import WORKLOADS, in_project
from capacity.probes.measurement import GENERATOR, Measurement, Progress, Watcher, gauges_of, measure, quiet
from capacity.probes.observer import URL as QUEUE_URL
from capacity.probes.queue import wait_until_drained
from capacity.probes.searches import SearchSettings
from capacity.recording import open_recording
from capacity.shape import Shape, Stage
from capacity.system.addresses import POSTGRES_URL, REDIS_URL, System, require
from capacity.system.application.cache import ITEMS, prepare_cache
from capacity.system.application.database import DATASETS, connect_as_administrator, prepare_database
from capacity.system.home import open_home
from capacity.system.postmaster import find_postmaster
from capacity.system.processes import Application, start_gateway, start_workers
from capacity.workload import Workload, parse_workload, read_workload

OBSERVER = "capacity.probes.observer"
MODULES = (GENERATOR, "capacity.probes.gauges", OBSERVER)
PROFILE = "level"  # the one shape of a level's workload
REST_S = 5.0  # what is still busy then, is so for reasons of its own
POLL_S = 0.05
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type IN ('client backend', 'autovacuum worker') AND pid <> pg_backend_pid()
"""
# What filling the tables left to be done later would be done during the first levels.
TIDY = ("VACUUM capacity.posts, capacity.connectors, capacity.job_logs, capacity.tokens", "CHECKPOINT")


@dataclass(frozen=True, slots=True)
class Rig:
    """A part ready to be loaded: where, by what, what is read beside it, and how it comes to rest."""

    workload: Workload
    url: str
    watchers: Sequence[Watcher]
    fork_server: ForkServer
    generators: int = 1
    more: dict[str, Any] = field(default_factory=dict)
    rest: Callable[[], object] = bool
    token: bool = False

    def measure(self, rate: float, seconds: float, warm_up_s: float, folder: Path, progress: Progress = quiet) -> Path:
        """Hold `rate` operations a second for `seconds`, from rest and after a warm-up, into a new recording."""
        self.rest()
        more = {"settle_s": 0.0, **self.more} | ({"token": f"c{secrets.token_hex(4)}"} if self.token else {})
        measurement = Measurement(
            at_level(self.workload, rate, seconds, warm_up_s), PROFILE, self.generators, more=more
        )

        return measure(
            measurement, self.url, self.watchers, folder, progress, settle=self.rest, start=self.fork_server.start
        )


def at_level(workload: Workload, rate: float, seconds: float, warm_up_s: float) -> Workload:
    """The workload with one shape: up to `rate` operations a second in `warm_up_s`, then held for `seconds`."""
    stages = [
        Stage(name="warm up", seconds=warm_up_s, to=rate, ramp=True),
        Stage(name=f"{rate:g}/s", seconds=seconds, to=rate),
    ]
    return workload.model_copy(update={"shapes": {PROFILE: Shape(kind="rate", stages=stages)}})


def read_frames(folder: Path) -> Frames:
    """The frames of a level's recording; the operations of a queue are its jobs, from due to done."""
    recording = open_recording(folder)
    operations = recording.samples
    if "queue" in recording.manifest:
        operations = job_samples(recording.samples, recording.jobs, recording.manifest)
    return Frames(operations, recording.samples, recording.gauges, recording.manifest)


@contextmanager
def open_rig(
    name: str, part: SearchSettings, system: System, workloads: Path | str = "", profile: str = "smoke"
) -> Iterator[Rig]:
    """Make a part ready: its tables or keys are filled, and what the system does not name is started until the end.

    `workloads` is the folder of the workload files (empty: the project's). Raises CapacityError for a part that there
    is not, and a server that is down.
    """
    if name not in RIGS:
        raise CapacityError(f"there is no part {name!r} to load; accepted are {', '.join(RIGS)}")
    folder = in_project(workloads or WORKLOADS)
    workload = read_workload(folder / f"{part.workload}.yaml")
    workload = parse_workload(workload.model_dump() | {"connections": part.connections})
    with ExitStack() as stack:
        fork_server = ForkServer(*MODULES)
        stack.callback(fork_server.close)
        yield RIGS[name](Loaded(part, workload, folder / f"{part.workload}.yaml", profile, fork_server), system, stack)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a rig is made of: the part's settings, its workload and that one's file, and the size of what it reads."""

    part: SearchSettings
    workload: Workload
    file: Path
    profile: str
    fork_server: ForkServer


def _database(loaded: Loaded, system: System, stack: ExitStack) -> Rig:
    url = require(POSTGRES_URL, system.postgres_url)
    prepare_database(system.postgres_admin_url, DATASETS[loaded.profile])
    tidy(system.postgres_admin_url)
    sources = {"postgres": system.postgres_admin_url, "processes": postgres_processes(system.postgres_admin_url)}
    return Rig(
        loaded.workload,
        url,
        [_watched(sources)],
        loaded.fork_server,
        loaded.part.generators,
        rest=lambda: wait_until_idle(system.postgres_admin_url),
    )


def _redis(loaded: Loaded, system: System, stack: ExitStack) -> Rig:
    url = require(REDIS_URL, system.redis_url)
    prepare_cache(url, ITEMS[loaded.profile])
    return Rig(loaded.workload, url, [gauges_of(redis=url)], loaded.fork_server, loaded.part.generators)


def _queue(loaded: Loaded, system: System, stack: ExitStack) -> Rig:
    url, part = require(REDIS_URL, system.redis_url), loaded.part
    application = Application(system)
    if not system.queue:
        home = stack.enter_context(open_home())
        options = ("--concurrency", str(part.slots_per_worker))
        application = start_workers(home, application, loaded.file, part.workers, *options)
    queue = Queue(application.system.queue, application.system.queue_prefix)
    watchers = [
        _watched({"redis": url, "processes": application.processes}),
        Watcher(OBSERVER, secrets={QUEUE_URL: url}),
    ]
    more: dict[str, Any] = {"queue": {"name": queue.name, "prefix": queue.prefix}}
    if application.pids:
        more["slots"] = part.workers * part.slots_per_worker
    rest = lambda: wait_until_drained(url, queue)  # noqa: E731
    return Rig(loaded.workload, url, watchers, loaded.fork_server, part.generators, more, rest, token=True)


def _gateway(loaded: Loaded, system: System, stack: ExitStack) -> Rig:
    application = Application(system)
    if not system.gateway_url:
        prepare_database(system.postgres_admin_url, DATASETS[loaded.profile])
        tidy(system.postgres_admin_url)
        home = stack.enter_context(open_home())
        jobs = loaded.file.with_name("queue.yaml")
        application = start_gateway(home, start_workers(home, application, jobs, loaded.part.workers))
    running = application.system
    processes = [application.processes, postgres_processes(running.postgres_admin_url)]
    sources = {
        "gateway": running.gateway_url,
        "postgres": running.postgres_admin_url,
        "redis": running.redis_url,
        "processes": " ".join(filter(None, processes)),
    }
    queue = Queue(running.queue, running.queue_prefix)
    rest = (lambda: wait_until_drained(running.redis_url, queue)) if running.redis_url and running.queue else bool
    return Rig(
        loaded.workload, running.gateway_url, [_watched(sources)], loaded.fork_server, loaded.part.generators, rest=rest
    )


RIGS: dict[str, Callable[[Loaded, System, ExitStack], Rig]] = {
    "database": _database,
    "redis": _redis,
    "queue": _queue,
    "gateway": _gateway,
}


def tidy(postgres_url: str) -> None:
    """Have PostgreSQL vacuum the tables and write its buffers out, as far as the administrator may ask for that."""
    with connect_as_administrator(postgres_url) as connection:
        for statement in TIDY:
            with suppress(psycopg.Error):
                connection.execute(statement)


def wait_until_idle(postgres_url: str, seconds: float = REST_S) -> bool:
    """Wait until PostgreSQL runs no statement, and vacuums no table; returns whether that came within `seconds`."""
    deadline = time.monotonic() + seconds
    with connect_as_administrator(postgres_url) as connection:
        while time.monotonic() < deadline:
            if connection.execute(BUSY).fetchone() == (0,):
                return True
            time.sleep(POLL_S)
    return False


def postgres_processes(postgres_url: str) -> str:
    """The processes of a PostgreSQL on this machine as the reader of gauges takes them; empty where it is elsewhere."""
    pid = find_postmaster(postgres_url)
    return "" if pid is None else f"postgres={pid}+"


def _watched(sources: dict[str, str]) -> Watcher:
    return gauges_of(**{kind: where for kind, where in sources.items() if where})
