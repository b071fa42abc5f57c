"""The cache under test: values of 1 kB that fill a good part of the embedded server's memory, and lists."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import redis

from capacity.errors import CapacityError
from capacity.system.clients import redis_client

ITEMS = {"smoke": 50_000, "standard": 150_000, "full": 150_000}
VALUE_BYTES = 1000
LISTS = 100
LIST_LENGTH = 200
TIMEOUT_S = 5
CHUNK = 1000
SEED = 20251111
BELOW, MADE = "capacity:*", "capacity:made"
MARK = "by capacity prepare, which removes all keys below capacity:"


def prepare_cache(url: str, items: int) -> None:
    """Set `capacity:item:1` to `capacity:item:items` and fill `capacity:list:1` to `capacity:list:100` anew.

    The key `capacity:made` says that all keys below `capacity:` are the suite's; those are removed first. Raises
    CapacityError where the server is down, hangs, refuses or has no memory left, and where such keys are there without
    that one.
    """
    draw = np.random.default_rng(SEED)
    with _connected(url) as client:
        _remove(client)
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


@contextmanager
def _connected(url: str) -> Iterator[redis.Redis]:
    try:
        with redis_client(url, TIMEOUT_S) as client:
            yield client
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CapacityError(f"Redis does not answer: {error}; start it, or correct its address") from None
    except redis.RedisError as error:
        raise CapacityError(f"the cache could not be filled in Redis: {error}") from None
