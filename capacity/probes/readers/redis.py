"""Redis's own figures, from those sections of INFO that have them."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import redis

from capacity.errors import CapacityError
from capacity.probes.readers import TIMEOUT_S, Reader
from capacity.system.clients import io_threads, redis_client, redis_product, runs_on_several

DOWN = redis.RedisError
# One section a command: below 7.0 INFO takes no more, and all that there is takes Redis twenty times as long.
SECTIONS = ("clients", "memory", "stats", "cpu", "errorstats")
TOLD = {  # each gauge, and the line of INFO that has it
    "redis.memory_bytes": "used_memory",
    "redis.memory_limit_bytes": "maxmemory",
    "redis.fragmentation": "mem_fragmentation_ratio",
    "redis.evictions": "evicted_keys",
    "redis.refused": "rejected_connections",
    "redis.commands": "total_commands_processed",
    "redis.connections": "connected_clients",
    "redis.cpu_s": "used_cpu_user",
    "redis.main_thread_cpu_s": "used_cpu_user_main_thread",
}
COUNTED = "redis.memory_counted_bytes"  # towards maxmemory: without the buffers of replicas and of the append-only file
OUT_OF_MEMORY, MAIN_THREAD = "redis.out_of_memory", "redis.main_thread_cpu_s"
COUNT_ERRORS = {"Redis": (6, 2), "Valkey": (7, 2), "KeyDB": (6, 2)}  # by kind in INFO, from that version of Redis's on
RIGHTLESS = "NOPERM for INFO: the user of the address may not ask Redis for its figures"


def redis_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads Redis's gauges, and the facts of the server; CapacityError where it is down.

    What the user may not ask for, or the server does not tell, is not read; the fact `not_given` says why. The fact
    `io_threads` is how many threads read and write for its clients, the main one among them; None where it is not told.
    """
    client = redis_client(url, TIMEOUT_S)
    try:
        info: dict[str, Any] = client.info("everything")
    except redis.exceptions.NoPermissionError:
        return dict, _nothing(RIGHTLESS)
    except redis.exceptions.ResponseError as error:  # as where the command has another name
        return dict, _nothing(f"INFO is refused: {error}")
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}") from None
    facts = {"server": redis_product(info), "allocator": info.get("mem_allocator", "")}
    facts |= {name: info.get(name) for name in ("maxmemory", "maxmemory_policy", "maxclients")}
    facts |= {"io_threads": _io_threads(client, info), "cluster": bool(info.get("cluster_enabled"))}
    not_given = not_told(info)

    def read() -> dict[str, float]:
        asked = client.pipeline(transaction=False)
        for section in SECTIONS:
            asked.info(section)
        told = {name: value for section in asked.execute() for name, value in section.items()}
        return {gauge: value for gauge, value in gauges_of_info(told).items() if gauge not in not_given}

    return read, {**facts, "not_given": not_given}


def gauges_of_info(info: Mapping[str, Any]) -> dict[str, float]:
    """The gauges that an answer to INFO has."""
    found = {gauge: float(info[line]) for gauge, line in TOLD.items() if line in info}
    for gauge in ("redis.cpu_s", MAIN_THREAD):
        if gauge in found:
            found[gauge] += info[TOLD[gauge].replace("_user", "_sys")]
    if "redis.memory_bytes" in found:
        found[COUNTED] = found["redis.memory_bytes"] - info.get("mem_not_counted_for_evict", 0)
    if "redis.connections" in found:
        found["redis.connections"] -= 1  # its own
    # Redis forgets what it counted by kind of error once there were too many kinds, until CONFIG RESETSTAT.
    forgotten = "errorstat_ERRORSTATS_DISABLED" in info
    found[OUT_OF_MEMORY] = math.nan if forgotten else info.get("errorstat_OOM", {}).get("count", 0)
    return found


def not_told(info: Mapping[str, Any]) -> dict[str, str]:
    """Why each gauge is missing that an answer to INFO does not have, or of which it does not tell what we ask."""
    told = {gauge: f"the server's INFO has no {line}" for gauge, line in TOLD.items() if line not in info}
    product, version = redis_product(info), str(info.get("redis_version", ""))
    if MAIN_THREAD in told:
        told[MAIN_THREAD] = f"{product} does not tell the CPU of its main thread (Redis 6.2 on Linux does)"
    elif runs_on_several(info):
        told[MAIN_THREAD] = f"{product} runs commands on several threads, and tells the CPU of one"
    name = product.partition(" ")[0]
    since = COUNT_ERRORS.get(name)
    if since is None:
        told[OUT_OF_MEMORY] = f"{name} does not count errors by kind as Redis does"
    elif tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < since:
        told[OUT_OF_MEMORY] = f"Redis {version} does not count errors by kind ({'.'.join(map(str, since))} does)"
    return told


def _nothing(why: str) -> dict[str, Any]:
    return {"server": "Redis, which does not tell its version", "not_given": {"redis": why}}


def _io_threads(client: redis.Redis, info: Mapping[str, Any]) -> int | None:
    """As INFO tells it, else as the setting does, which a user may not be allowed to read."""
    if told := io_threads(info):
        return told
    if runs_on_several(info):
        return None
    with suppress(redis.ResponseError, ValueError):
        return int(client.config_get("io-threads").get("io-threads") or 1)  # older than 6.0 have no such setting
    return None
