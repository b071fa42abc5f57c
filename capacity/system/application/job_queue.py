"""The BullMQ queue as its producer sees it: jobs go in, within a time, and the depth is read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from bullmq import Queue
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from capacity.errors import CapacityError
from capacity.load import bullmq
from capacity.operation import Job
from capacity.places import WORKLOADS, defaults_folder
from capacity.system.addresses import OWN_QUEUE
from capacity.system.application.deadline import within
from capacity.workload import read_workload

CONNECTIONS = 8
LIMIT_S = 0.25  # for one exchange with Redis and for waiting for one of the connections
PROTOCOL = 2  # with 3 redis-py 8 takes up a connection that Redis closed, as after a restart, and a call fails for each
KEPT = 1000  # ended jobs to look at; the outbox knows of all of them, and the dead letters of those that failed
RESET = "the handler is closed"  # how uvloop's RuntimeError ends where a connection was reset a moment ago
JOB_TYPES = ("ConnectorSync", "PostPublication", "TokenRefresh", "DataCleanup")


class QueueDownError(Exception):
    """Redis is down, hangs or refuses: nothing is known of what was asked of it."""


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job of the outbox: its id in BullMQ, its type and its data."""

    id: str
    kind: str
    data: dict[str, Any]


def job_options(job: Job) -> dict[str, Any]:
    """BullMQ's options of a job as the workload file has it."""
    kept = {"removeOnComplete": {"count": KEPT}, "removeOnFail": {"count": KEPT}}
    return bullmq.job_options(job) | kept


def read_jobs(path: Path | None = None) -> dict[str, Job]:
    """The jobs of a workload file by their types; CapacityError where a type of the application's is missing.

    Without a path it is the one that comes with the package, whatever project is measured.
    """
    source = path or defaults_folder() / WORKLOADS / "queue.yaml"
    jobs = {operation.name: operation.job for operation in read_workload(source).operations if operation.job}
    missing = [kind for kind in JOB_TYPES if kind not in jobs]
    if missing:
        raise CapacityError(f"the workload {source} has no jobs {', '.join(missing)}; the application needs each type")
    return jobs


class JobQueue:
    """A queue in the Redis at `url`, over a few connections that are kept; nothing is tried twice.

    BullMQ's own set-up of a connection tries again for minutes, and its callers wait with it. Each call here ends
    within `LIMIT_S`, with QueueDownError where Redis is down or hangs.
    """

    def __init__(self, url: str, jobs: Mapping[str, Job], name: str = OWN_QUEUE, prefix: str = "bull") -> None:
        self._options = {kind: job_options(job) for kind, job in jobs.items()}
        self._free = asyncio.Semaphore(CONNECTIONS)
        options: dict[str, Any] = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), 4 * LIMIT_S)
        options |= {"decode_responses": True, "retry": Retry(NoBackoff(), 0), "protocol": PROTOCOL}
        pool = ConnectionPool.from_url(url, **options)
        self._client = Redis.from_pool(pool)
        self._queue = Queue(name, {"connection": self._client, "prefix": prefix})

    async def add(self, jobs: Sequence[QueuedJob]) -> None:
        """Enqueue `jobs`; one whose id the queue holds already is not enqueued again."""
        entries = [
            {"name": each.kind, "data": each.data, "opts": {**self._options[each.kind], "jobId": each.id}}
            for each in jobs
        ]
        if len(entries) == 1:
            await self._answer(self._queue.add, *entries[0].values())
        else:
            await self._answer(self._queue.addBulk, entries)

    async def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of `ids` of which the queue holds no job, waiting, running, done or failed."""
        keys = [self._queue.toKey(each) for each in ids]
        if await self._answer(self._client.exists, *keys) == len(keys):
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.exists(key)
        return [each for each, held in zip(ids, await self._answer(pipeline.execute), strict=True) if not held]

    async def depth(self) -> int:
        """How many jobs could run and wait for a worker.

        Those in a paused queue wait too. Delayed jobs are not due yet, and active ones have their worker.
        """
        keys = self._queue.keys
        pipeline = self._client.pipeline(transaction=False)
        pipeline.llen(keys["wait"])
        pipeline.llen(keys["paused"])
        pipeline.zcard(keys["prioritized"])
        return sum(await self._answer(pipeline.execute))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _answer(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        async def exchange() -> Any:
            async with self._free:
                return await call(*arguments)

        try:
            return await within(LIMIT_S, exchange())
        except (redis.RedisError, OSError, RuntimeError) as error:  # TimeoutError is an OSError
            if isinstance(error, RuntimeError) and RESET not in str(error):
                raise
            raise QueueDownError(f"Redis does not answer: {str(error) or f'nothing within {LIMIT_S:g} s'}") from None
