"""The parts of a system looked at together, each beside the workloads that are to load it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from capacity.errors import CapacityError
from capacity.load.bullmq import Queue
from capacity.places import WORKLOADS, is_own, project_folder, workloads_of
from capacity.system.addresses import GATEWAY_URL, POSTGRES_URL, REDIS_URL, System
from capacity.system.preflight.check import Check, Look
from capacity.system.preflight.gateway import gateway_checks
from capacity.system.preflight.postgres import postgres_checks
from capacity.system.preflight.queue import queue_checks
from capacity.system.preflight.redis import redis_checks
from capacity.system.preflight.this_machine import machine_checks, program_checks
from capacity.system.reference import missing_rights
from capacity.workload import FILES, Workload, read_workload


def parts_of(project: Path) -> list[str]:
    """The parts that a project has workloads for; all of them where it is not somebody's own."""
    own = is_own(project)
    return [name for name in FILES if not own or (project / WORKLOADS / f"{name}.yaml").exists()]


def read_workloads(part: str, folder: Path | str = "") -> list[Workload]:
    """The workloads of a part that are in a folder (empty: the project's); CapacityError where one is wrong."""
    within = workloads_of(part, folder)
    files = (within / f"{name}.yaml" for name in FILES[part])
    return [read_workload(file) for file in files if file.exists()]


def stack_checks(system: System, wanted: Mapping[str, Sequence[Workload]]) -> list[Check]:
    """What is to be known of the servers that a system names before the `wanted` workloads of its parts load them.

    Nothing is loaded or written. A server that is down is one line that says so.
    """
    return [check for look in _looks(system, wanted) for check in look.found()]


def local_checks(system: System, wanted: Mapping[str, Sequence[Workload]]) -> list[Check]:
    """What this machine has for them."""
    loads = [workload for workloads in wanted.values() for workload in workloads]
    return [*machine_checks(loads), *program_checks(system, tools=not is_own(project_folder()))]


def _looks(system: System, wanted: Mapping[str, Sequence[Workload]]) -> list[Look]:
    """Looks at the servers that are named, all at the same time."""
    database, requests, jobs = (wanted.get(name, ()) for name in ("database", "gateway", "queue"))
    looks = []
    if system.postgres_url and database:
        looks.append(Look("PostgreSQL", POSTGRES_URL, lambda: _database(system, database)))
    if system.redis_url and (of_redis := [*wanted.get("redis", ()), *jobs]):
        looks.append(Look("Redis", REDIS_URL, lambda: redis_checks(system.redis_url, of_redis)))
    if system.redis_url and system.queue and jobs:
        named = Queue(system.queue, system.queue_prefix)
        looks.append(Look("queue", REDIS_URL, lambda: queue_checks(system.redis_url, named)))
    if system.gateway_url and requests:
        looks.append(Look("API", GATEWAY_URL, lambda: gateway_checks(system.gateway_url, requests[0])))
    return looks


def _database(system: System, workloads: Sequence[Workload]) -> list[Check]:
    """What PostgreSQL is, and what its roles may not do that these workloads want."""
    checks, reference = postgres_checks(system, workloads), any(each.dataset == "reference" for each in workloads)
    try:
        for each in missing_rights(system.postgres_url, system.postgres_admin_url, reference=reference):
            statement = f"let a superuser run: {each.statement}"
            checks.append(Check("rights", False, each.needed, each.what, each.why, statement))
    except CapacityError as error:  # a schema that is somebody else's
        checks.append(Check("rights", False, True, str(error)))
    return checks
