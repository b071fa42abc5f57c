"""Clients of the servers that say at once what is wrong, where their libraries would try again first."""

from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# Who speaks the protocol of Redis under a version of Redis's that it is not: by what only its own INFO has.
PRODUCTS = {"valkey_version": "Valkey", "dragonfly_version": "Dragonfly", "garnet_version": "Garnet"}
SERVICES = {"Amazon ElastiCache": "ElastiCache", "Amazon MemoryDB": "MemoryDB"}  # as INFO names their system
SEVERAL = ("Dragonfly", "Garnet")  # run commands on as many threads as there are cores
IO_THREAD = ("io_thread_", "used_active_time_io_thread_")  # a line each: Redis 8's main thread is 0, Valkey's has none


def redis_client(url: str, timeout_s: float) -> redis.Redis:
    """A Redis client without retries: they would hide a fault for seconds."""
    limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **limits)


def redis_product(info: Mapping[str, Any]) -> str:
    """Name and version of a server by its INFO, as `Valkey 9.1.2`; with the service that runs it, where it says so."""
    known = (f"{name} {str(info[key]).removeprefix('df-v')}" for key, name in PRODUCTS.items() if key in info)
    keydb = "mvcc_depth" in info or "keydb" in str(info.get("executable", ""))
    product = next(known, f"{'KeyDB' if keydb else 'Redis'} {info.get('redis_version', 'of an unknown version')}")
    service = next((name for system, name in SERVICES.items() if system in str(info.get("os", ""))), "")
    return f"{product} ({service})" if service else product


def runs_on_several(info: Mapping[str, Any]) -> bool:
    """Whether a server runs commands on more than one thread, by its INFO."""
    return redis_product(info).startswith(SEVERAL) or int(info.get("server_threads", 1)) > 1  # the latter is KeyDB's


def io_threads(info: Mapping[str, Any]) -> int | None:
    """How many threads read and write for clients, the main one among them, by its INFO; None where it has no lines."""
    numbers = [int(line.rpartition("_")[2]) for line in info if line.startswith(IO_THREAD)]
    return max(numbers) + 1 if numbers else None
