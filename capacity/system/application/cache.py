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


def prepare_cache(url: str, items: int) -> None:
    """Set `capacity:item:1` to `capacity:item:items` and fill `capacity:list:1` to `capacity:list:100` anew.

    Raises CapacityError where the server is down, hangs or has no memory left.
    """
    draw = np.random.default_rng(SEED)
    remove_cache(url)
    with _connected(url) as client:
        for first in range(1, items + 1, CHUNK):
            pipeline = client.pipeline(transaction=False)
            for number in range(first, min(first + CHUNK, items + 1)):
                pipeline.set(f"capacity:item:{number}", draw.bytes(VALUE_BYTES))
            pipeline.execute()
        for number in range(1, LISTS + 1):
            client.rpush(f"capacity:list:{number}", *(f"job {place}" for place in range(LIST_LENGTH)))


def remove_cache(url: str) -> None:
    """Remove every key below `capacity:`."""
    with _connected(url) as client:
        keys = client.scan_iter("capacity:*", count=CHUNK)
        while chunk := [*itertools.islice(keys, CHUNK)]:
            client.unlink(*chunk)


@contextmanager
def _connected(url: str) -> Iterator[redis.Redis]:
    try:
        with redis_client(url, TIMEOUT_S) as client:
            yield client
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CapacityError(f"Redis does not answer: {error}; start it, or correct its address") from None
    except redis.RedisError as error:
        raise CapacityError(f"the cache could not be filled in Redis: {error}") from None
