"""The reference application's queue in somebody's own Redis: nobody else's is taken for it, and nothing of it stays."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import redis

from capacity.errors import CapacityError
from capacity.load.bullmq import LISTS, LOADS, RECORDS, SETS, Queue
from capacity.system.addresses import OWN_QUEUE
from capacity.system.clients import redis_client

TIMEOUT_S = 5
MADE, MARK = "made", "by capacity, which removes all keys of this queue and of that of its dead letters"
QUEUES = (Queue(OWN_QUEUE), Queue(f"{OWN_QUEUE}-dead"))
ORDERED = (*SETS, "waiting-children")
OTHERS = ("id", "meta", "events", "marker", "pc", "limiter", "stalled", "stalled-check", "repeat", LOADS)
CHUNK = 1000


@contextlib.contextmanager
def own_queue(url: str) -> Iterator[None]:
    """The queue `capacity` in the Redis at `url` is the suite's meanwhile, and gone afterwards.

    Raises CapacityError where somebody else made one by that name, and where the server is down.
    """
    with _connected(url) as client:
        for queue in QUEUES:
            parts = [queue.key(part) for part in (*LISTS, *ORDERED, *OTHERS)]
            if client.exists(*parts) and client.get(QUEUES[0].key(MADE)) != MARK.encode():
                raise CapacityError(
                    f"Redis has a queue {queue.key('')[:-1]} that the suite did not make, and nothing in it is "
                    "touched; name it in CAPACITY_QUEUE where it is to be measured, or another database number in the "
                    "address"
                )
        client.set(QUEUES[0].key(MADE), MARK)
    try:
        yield
    finally:
        with contextlib.suppress(CapacityError), _connected(url) as client:
            for queue in reversed(QUEUES):
                _remove(client, queue)
            client.unlink(QUEUES[0].key(MADE))


def _remove(client: redis.Redis, queue: Queue) -> None:
    """Remove a queue: the keys of its jobs, and its own."""
    for part in (*LISTS, *ORDERED):
        read: Callable[..., Any] = client.lrange if part in LISTS else client.zrange
        while jobs := read(queue.key(part), 0, CHUNK - 1):
            keys = [queue.key(each.decode()) + record for each, record in itertools.product(jobs, RECORDS)]
            client.unlink(*keys)
            if part in LISTS:
                client.ltrim(queue.key(part), len(jobs), -1)
            else:
                client.zremrangebyrank(queue.key(part), 0, len(jobs) - 1)
    client.unlink(*(queue.key(part) for part in OTHERS))


@contextlib.contextmanager
def _connected(url: str) -> Iterator[redis.Redis]:
    try:
        with redis_client(url, TIMEOUT_S) as client:
            yield client
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}; start it, or correct its address") from None
