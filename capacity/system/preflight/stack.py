"""The parts of a system looked at together, each beside the workloads that are to load it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from capacity.load.bullmq import Queue
from capacity.project import WORKLOADS, is_own, project_folder, workloads_of
from capacity.system.addresses import GATEWAY_URL, POSTGRES_URL, REDIS_URL, System, system_from
from capacity.system.preflight import gateway, postgres, queue, redis, this_machine
from capacity.system.preflight.check import Check, Look
from capacity.workload import Workload, read_workload

# The workloads of each part, by the names of their files; the first is the part's own.
FILES = {
    "database": ("database", "row_security"),
    "redis": ("redis", "redis_reconnection"),
    "queue": ("queue",),
    "gateway": ("gateway",),
}


def parts_of(project: Path) -> list[str]:
    """The parts that a project has workloads for; all of them where it is not somebody's own."""
    own = is_own(project)
    return [name for name in FILES if not own or (project / WORKLOADS / f"{name}.yaml").exists()]


def stack_checks(
    parts: Sequence[str] = (), workloads: Path | str = "", environment: Mapping[str, str] = os.environ
) -> list[Check]:
    """What is to be known of the addresses in the environment before these parts (all of the project's) are loaded.

    `workloads` is the folder of the workload files (empty: the project's). Nothing is loaded or written. Raises
    CapacityError where an address is refused, or a workload cannot be read.
    """
    system = system_from(environment)
    wanted = {name: read_workloads(name, workloads) for name in parts or parts_of(project_folder())}
    return [check for look in _looks(system, wanted) for check in look.found()]


def read_workloads(part: str, folder: Path | str = "") -> list[Workload]:
    """The workloads of a part that are there; CapacityError where one cannot be read."""
    within = workloads_of(part, folder)
    files = (within / f"{name}.yaml" for name in FILES[part])
    return [read_workload(file) for file in files if file.exists()]


def _looks(system: System, wanted: Mapping[str, Sequence[Workload]]) -> list[Look]:
    """Looks at the servers that are named, all at the same time."""
    looks = []
    if system.postgres_url and (database := wanted.get("database")):
        looks.append(Look(postgres.PART, POSTGRES_URL, lambda: postgres.postgres_checks(system, database)))
    of_redis = [*wanted.get("redis", ()), *(wanted.get("queue", ()) if system.queue else ())]
    if system.redis_url and of_redis:
        looks.append(Look(redis.PART, REDIS_URL, lambda: redis.redis_checks(system.redis_url, of_redis)))
    if system.redis_url and system.queue and wanted.get("queue"):
        named = Queue(system.queue, system.queue_prefix)
        looks.append(Look(queue.PART, REDIS_URL, lambda: queue.queue_checks(system.redis_url, named)))
    if system.gateway_url and (requests := wanted.get("gateway")):
        looks.append(Look(gateway.PART, GATEWAY_URL, lambda: gateway.gateway_checks(system.gateway_url, requests[0])))
    return looks


def machine_and_program_checks(parts: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[Check]:
    """What this machine has for these parts."""
    loads = [workload for name in parts for workload in read_workloads(name)]
    programs = this_machine.program_checks(system_from(environment), tools=not is_own(project_folder()))
    return [*this_machine.machine_checks(loads), *programs]
