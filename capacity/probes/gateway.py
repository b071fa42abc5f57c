"""The gateway probe: requests at their rate against an HTTP API, with its database, queue and workers behind it."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import redis

from capacity.analysis.measured.gateway import gateway_findings
from capacity.clock import unix_s
from capacity.findings import Finding
from capacity.load.bullmq import Queue
from capacity.probes.database import postgres_processes, tidy
from capacity.probes.measurement import Measurement, Watcher, gauges_of, measure
from capacity.probes.probe import Probe, SystemUnderTest
from capacity.probes.promises import for_what_is_undecided
from capacity.probes.queue import DRAIN_SECONDS, TIMEOUT_S, jobs_to_do, wait_until_drained
from capacity.probes.searches import SearchSettings
from capacity.recording import open_recording
from capacity.system.addresses import GATEWAY_URL, POSTGRES_URL, REDIS_URL, System, require
from capacity.system.clients import redis_client
from capacity.system.processes import open_application
from capacity.system.reference import prepare_tables
from capacity.workload import Workload, read_workload

FILE, JOBS = "gateway.yaml", "queue.yaml"
WORKERS = 2  # enough for the jobs that the requests make


def measure_gateway(system: System, workloads: Path, profile: str, folder: Path) -> Path:
    """Measure an API gateway into a new recording in `folder`.

    `workloads` is the folder of gateway.yaml and queue.yaml. Where the system names no gateway, and the workload says
    `dataset: reference`, the tables are filled and the reference application is started. Raises CapacityError for an
    unknown profile, a server that is down, and where no other gateway is named.
    """
    workload = read_workload(workloads / FILE)
    workload.shape(profile)
    _made_ready(system, workload, profile)
    with open_application(system, workloads / JOBS, workers=0 if system.gateway_url else WORKERS) as application:
        postgres = postgres_processes(application.system.postgres_admin_url)
        watchers = [watcher_of(application.system, application.processes, postgres)]
        promises = for_what_is_undecided("gateway", read_gateway_findings, workloads)
        url, measurement = application.system.gateway_url, Measurement(workload, profile)
        return measure(measurement, url, watchers, folder, goes_on_for=promises)


def _made_ready(system: System, workload: Workload, profile: str, *, tidied: bool = False) -> None:
    """Fill the tables of the reference application where it is to be started.

    Raises CapacityError where there is no gateway and the workload is not of that application, and where an address is
    not given that it needs.
    """
    if workload.dataset != "reference":
        require(GATEWAY_URL, system.gateway_url)
    if not system.gateway_url:
        require(POSTGRES_URL, system.postgres_url)  # an empty one would be the server that libpq finds by itself
        require(REDIS_URL, system.redis_url)
        prepare_tables(system, profile)
        if tidied:
            tidy(system.postgres_admin_url)


def watcher_of(system: System, *processes: str) -> Watcher:
    """What reads the gauges of a gateway, of what is behind it, and of these processes."""
    return gauges_of(
        gateway=system.gateway_url,
        postgres=system.postgres_admin_url,
        redis=system.redis_url,
        processes=" ".join(filter(None, processes)),
    )


def read_gateway_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_gateway`."""
    main = open_recording(folder)
    return gateway_findings(folder.name, main.samples, main.gauges, main.facts)


def ready_gateway(
    system: System, search: SearchSettings, file: Path, profile: str, stack: ExitStack
) -> SystemUnderTest:
    """A gateway with its database, queue and workers, which is at rest when its queue is drained."""
    _made_ready(system, read_workload(file), profile, tidied=True)
    workers = 0 if system.gateway_url else search.workers
    application = stack.enter_context(open_application(system, file.with_name(JOBS), workers=workers))
    running, queue = application.system, Queue(application.system.queue, application.system.queue_prefix)
    watcher = watcher_of(running, application.processes, postgres_processes(running.postgres_admin_url))
    return SystemUnderTest(
        running.gateway_url,
        [watcher],
        rest_of(running.redis_url, queue) if running.redis_url and running.queue else bool,
    )


def rest_of(url: str, queue: Queue) -> Callable[[], object]:
    """What waits until no more is to be done in a queue than there is now: it may be others' too."""
    before = 0
    with suppress(redis.RedisError), redis_client(url, TIMEOUT_S) as client:
        before = jobs_to_do(client, queue, (unix_s() + DRAIN_SECONDS) * 1000)
    return lambda: wait_until_drained(url, queue, than=before)


def has_gateway(system: System) -> bool:
    """Whether there is one, or there is what one needs that is started."""
    return bool(system.gateway_url or (system.postgres_url and system.redis_url))


PROBE = Probe("gateway", measure_gateway, read_gateway_findings, has_gateway, ready_gateway)
run_gateway_probe = PROBE.run
