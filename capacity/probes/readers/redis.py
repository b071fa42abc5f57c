"""Redis's own figures, from INFO."""

import math
from typing import Any

import redis

from capacity.errors import CapacityError
from capacity.probes.readers import TIMEOUT_S, Reader
from capacity.system.clients import redis_client

DOWN = redis.RedisError


def redis_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads Redis's gauges, and the facts of the server; CapacityError where it is down."""
    client = redis_client(url, TIMEOUT_S)
    try:
        info: dict[str, Any] = client.info("everything")
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}") from None
    server = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    facts = {"server": server, "allocator": info.get("mem_allocator", "")}
    facts |= {name: info.get(name) for name in ("maxmemory", "maxmemory_policy", "maxclients")}

    def read() -> dict[str, float]:
        info: dict[str, Any] = client.info("everything")
        # Redis forgets what it counted by kind of error once there were too many kinds, until CONFIG RESETSTAT.
        forgotten = "errorstat_ERRORSTATS_DISABLED" in info
        refused = math.nan if forgotten else info.get("errorstat_OOM", {}).get("count", 0)
        return {
            "redis.memory_bytes": info["used_memory"],
            "redis.memory_limit_bytes": info["maxmemory"],
            "redis.fragmentation": info["mem_fragmentation_ratio"],
            "redis.cpu_s": info["used_cpu_sys"] + info["used_cpu_user"],
            "redis.evictions": info["evicted_keys"],
            "redis.out_of_memory": refused,
            "redis.connections": info["connected_clients"] - 1,
            "redis.refused": info["rejected_connections"],
            "redis.commands": info["total_commands_processed"],
        }

    return read, facts
