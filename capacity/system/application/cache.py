"""The cache under test: values of 1 kB that fill a good part of the embedded server's memory, and lists."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import redis

from capacity.errors import CapacityError
from capacity.system.clients import redis_client
from capacity.units import MB

ITEMS = {"smoke": 50_000, "standard": 150_000, "full": 150_000}
VALUE_BYTES = 1000
LISTS = 100
LIST_LENGTH = 200
TIMEOUT_S = 5
CHUNK = 1000
TAKES = 1.5  # of its values' bytes, with the keys and what the allocator adds
SEED = 20251111
BELOW, MADE = "capacity:*", "capacity:made"
MARK = "by capacity prepare, which removes all keys below capacity:"


def prepare_cache(url: str, items: int) -> None:
    """Set `capacity:item:1` to `capacity:item:items` and fill `capacity:list:1` to `capacity:list:100` anew.

    The key `capacity:made` says that all keys below `capacity:` are the suite's; those are removed first. Raises
    CapacityError where the server is down, hangs, refuses or has no memory left, where such keys are there without that
    one, and where keys of others would be evicted for them.
    """
    draw = np.random.default_rng(SEED)
    with _connected(url) as client:
        _remove(client)
        _check_room(client, items * VALUE_BYTES * TAKES)
        client.set(MADE, MARK)
        for first in range(1, items + 1, CHUNK):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, min(first + CHUNK, items + 1)):
                pipeline.set(f"capacity:item:{number}", draw.bytes(VALUE_BYTES))
            pipeline.execute()
        for number in range(1, LISTS + 1):
            client.rpush(f"capacity:list:{number}", *(f"job {place}" for place in range(LIST_LENGTH)))


def remove_cache(url: str) -> bool:
    """Remove every key below `capacity:`; returns whether there were any. Raises CapacityError as `prepare_cache`."""
    with _connected(url) as client:
        return _remove(client)


def _remove(client: redis.Redis) -> bool:
    """Remove all keys below `capacity:`, last that which says whose they are; CapacityError where that is missing."""
    ours = client.get(MADE) == MARK.encode()
    keys = (key for key in client.scan_iter(BELOW, count=CHUNK) if key != MADE.encode())
    while chunk := [*itertools.islice(keys, CHUNK)]:
        if not ours:
            raise CapacityError(
                f"Redis has keys below capacity: that capacity prepare did not make, as {chunk[0].decode()}, and "
                "none of them is touched; name another database number in the address, or remove them yourself"
            )
        client.unlink(*chunk)
    return bool(client.unlink(MADE)) if ours else False


def _check_room(client: redis.Redis, wanted_bytes: float) -> None:
    """CapacityError where a Redis that evicts keys has those of others, and not so much memory free."""
    try:
        memory, others = client.info("memory"), client.info("keyspace")
    except redis.ResponseError:  # a user without that right fills the cache all the same
        return
    policy, limit = str(memory.get("maxmemory_policy", "")), float(memory.get("maxmemory", 0))
    free = limit - memory["used_memory"]
    if others and limit and policy not in ("noeviction", "") and free < wanted_bytes:
        raise CapacityError(
            f"Redis would evict keys of others for the cache, which takes up to {wanted_bytes / MB:,.0f} MB: "
            f"{free / MB:,.0f} MB are free, and maxmemory-policy is {policy}; name a Redis that has more memory"
        )


@contextmanager
def _connected(url: str) -> Iterator[redis.Redis]:
    try:
        with redis_client(url, TIMEOUT_S) as client:
            yield client
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CapacityError(f"Redis does not answer: {error}; start it, or correct its address") from None
    except redis.RedisError as error:
        raise CapacityError(f"the cache could not be filled in Redis: {error}") from None
