"""Redis's own figures, from INFO."""

import math
from collections.abc import Mapping
from typing import Any

import redis

from capacity.errors import CapacityError
from capacity.probes.readers import TIMEOUT_S, Reader
from capacity.system.clients import redis_client, redis_product

DOWN = redis.RedisError
TOLD = {  # each gauge, and the line of INFO that has it
    "redis.memory_bytes": "used_memory",
    "redis.memory_limit_bytes": "maxmemory",
    "redis.fragmentation": "mem_fragmentation_ratio",
    "redis.evictions": "evicted_keys",
    "redis.refused": "rejected_connections",
    "redis.commands": "total_commands_processed",
    "redis.connections": "connected_clients",
    "redis.cpu_s": "used_cpu_user",
}
OUT_OF_MEMORY = "redis.out_of_memory"
ERRORS_SINCE = (6, 2)  # from which version on INFO counts errors by kind
RIGHTLESS = "NOPERM for INFO: the user of the address may not ask Redis for its figures"


def redis_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads Redis's gauges, and the facts of the server; CapacityError where it is down.

    What the user may not ask for, or the server does not tell, is not read; the fact `not_given` says why.
    """
    client = redis_client(url, TIMEOUT_S)
    try:
        info: dict[str, Any] = client.info("everything")
    except redis.exceptions.NoPermissionError:
        return dict, {"server": "Redis, which does not tell its version", "not_given": {"redis": RIGHTLESS}}
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}") from None
    facts = {"server": redis_product(info), "allocator": info.get("mem_allocator", "")}
    facts |= {name: info.get(name) for name in ("maxmemory", "maxmemory_policy", "maxclients")}

    def read() -> dict[str, float]:
        return gauges_of_info(client.info("everything"))

    return read, {**facts, "not_given": not_told(info)}


def gauges_of_info(info: Mapping[str, Any]) -> dict[str, float]:
    """The gauges that an answer to INFO has."""
    found = {gauge: float(info[line]) for gauge, line in TOLD.items() if line in info}
    if "redis.cpu_s" in found:
        found["redis.cpu_s"] += info["used_cpu_sys"]
    if "redis.connections" in found:
        found["redis.connections"] -= 1  # its own
    if OUT_OF_MEMORY not in not_told(info):
        # Redis forgets what it counted by kind of error once there were too many kinds, until CONFIG RESETSTAT.
        forgotten = "errorstat_ERRORSTATS_DISABLED" in info
        found[OUT_OF_MEMORY] = math.nan if forgotten else info.get("errorstat_OOM", {}).get("count", 0)
    return found


def not_told(info: Mapping[str, Any]) -> dict[str, str]:
    """Why each gauge is missing that an answer to INFO does not have."""
    told = {gauge: f"the server's INFO has no {line}" for gauge, line in TOLD.items() if line not in info}
    version = str(info.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < ERRORS_SINCE:
        since = ".".join(map(str, ERRORS_SINCE))
        told[OUT_OF_MEMORY] = f"Redis {version} does not count errors by kind ({since} does)"
    return told
