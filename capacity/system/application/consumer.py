"""A BullMQ worker that waits, limits, takes and ends as Node's does, and that waits for a Redis that is away.

The package `bullmq` (3.4.4) falls short in these; each is put right where its name stands:

- an idle worker never sees a job delayed by more than redis-py's time limit: `connection_pool` sets none;
- delays are rounded up to whole seconds until the server's version is known: `start` asks for it first;
- a rate limit is waited for as if the queue were empty: `nextJobFromJobData`;
- closing can hang and cannot be cancelled: `stop`;
- a job that arrives while all slots are free is looked for by every one of them: `getNextJob`;
- a completion does not bring the next job with it, which costs an exchange for each job: `processJob`;
- exponential backoff has no jitter: `jittered_backoff`.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import hiredis
from bullmq import Job, Queue, Worker
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

from capacity.clock import monotonic_s, unix_s

SPARE_CONNECTIONS = 16  # beside one for each slot: the waiting one, the locks, other queues
RECONNECT_FIRST_S = 0.02
RECONNECT_S = 0.5
JITTERED = "exponential with jitter"

Processor = Callable[[Job, str], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How a worker process serves a queue.

    A job is taken to have stalled where its lock has not been renewed for `lock_s` when the check that runs every
    `stalled_s` looks for the second time; it is given to another worker `stalled_limit` times. `limiter` is a number of
    jobs and the milliseconds in which all workers together take no more.
    """

    queue: str
    prefix: str = "bull"
    name: str = "worker"
    concurrency: int = 50
    lock_s: float = 30.0
    stalled_s: float = 30.0
    stalled_limit: int = 1
    limiter: tuple[int, int] | None = None

    def as_options(self) -> dict[str, Any]:
        """BullMQ's own options."""
        options: dict[str, Any] = {
            "prefix": self.prefix,
            "name": self.name,
            "concurrency": self.concurrency,
            "lockDuration": round(self.lock_s * 1000),
            "stalledInterval": round(self.stalled_s * 1000),
            "maxStalledCount": self.stalled_limit,
            "runRetryDelay": round(RECONNECT_S * 1000),
            "settings": {"backoffStrategy": jittered_backoff},
            "autorun": False,
        }
        if self.limiter:
            options["limiter"] = {"max": self.limiter[0], "duration": self.limiter[1]}
        return options


class PackedConnection(Connection):
    """A connection whose commands are packed in C; redis-py's own packing took a third of a worker's time."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """A command as it is sent; its name may be two words."""
        name, *rest = args
        return [hiredis.pack_command((*name.split(), *rest))]


def connection_pool(url: str, slots: int) -> ConnectionPool:
    """Connections for a worker with so many slots, without a limit on an answer's time, trying again without end.

    As in Node, a command is held back while Redis is away, so that what a job has done can still be reported.
    """
    return ConnectionPool.from_url(
        url,
        connection_class=PackedConnection,
        max_connections=slots + SPARE_CONNECTIONS,
        decode_responses=True,
        socket_timeout=None,
        retry=Retry(ExponentialBackoff(cap=RECONNECT_S, base=RECONNECT_FIRST_S), -1),
        retry_on_error=[BusyLoadingError, ConnectionError, TimeoutError],
    )


def open_queue(pool: ConnectionPool, name: str, prefix: str = "bull") -> Queue:
    """A queue to add jobs to, on connections of the pool."""
    queue = Queue(name, {"connection": {"connection_pool": pool}, "prefix": prefix})
    queue.client.single_connection_client = False
    return queue


def jittered_backoff(attempts_made: int, kind: str, error: Exception, job: Job) -> int:
    """Milliseconds until the next attempt: drawn from the last part, `jitter`, of a wait that doubles each time."""
    backoff = job.opts["backoff"]
    longest = math.ldexp(backoff["delay"], attempts_made - 1)
    return math.floor(longest * (1 - float(backoff["jitter"]) * random.random()))


class Consumer(Worker):  # type: ignore[misc]
    """Takes jobs of a queue and gives them to `processor`, a coroutine of the job and its lock's token."""

    def __init__(self, pool: ConnectionPool, settings: ConsumerSettings, processor: Processor) -> None:
        options = settings.as_options() | {"connection": {"connection_pool": pool}}
        super().__init__(settings.queue, processor, options)
        self.client.single_connection_client = False
        self._report_completed = self.backend.moveToCompleted
        self.backend.moveToCompleted = self._report_and_take
        self._followers: dict[str, list[Any]] = {}
        self._fetching = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> "asyncio.Task[None]":
        """Take jobs from now on; returns the work under way, which only ends when it is stopped or fails."""
        await self.blockingRedisConnection.getRedisVersion()
        self._loop = asyncio.create_task(self.run())
        return self._loop

    async def stop(self, within_s: float) -> int:
        """Take no more jobs, and end those under way; returns how many had to be left unfinished after `within_s`.

        Another worker takes these when their locks have expired.
        """
        self.closing = True
        if self.waiting:
            self.waiting.cancel()
        end = monotonic_s() + within_s
        while (open_tasks := self._open_tasks()) and (left := end - monotonic_s()) > 0:
            await asyncio.wait(open_tasks, timeout=left)
        unfinished = len(self.jobs)
        self.forceClosing = True
        for task in self._open_tasks():
            task.cancel()
        return unfinished

    def _open_tasks(self) -> "list[asyncio.Task[Any]]":
        return [task for task in (self._loop, *self.processing) if task is not None and not task.done()]

    async def getNextJob(self, token: str) -> Job | None:
        """The next job, looked for by one slot at a time: the others would find the queue empty."""
        async with self._fetching:
            job = None if self.closing else await super().getNextJob(token)
        return await self._done_if_closing(job)

    async def processJob(self, job: Job, token: str) -> Job | None:
        """Process a job; returns the next one, which came with the answer to its completion."""
        backoff = job.opts.get("backoff") or {}
        if backoff.get("type") == "exponential" and backoff.get("jitter"):
            job.opts["backoff"] = {**backoff, "type": JITTERED}  # of this copy, and not of the job in Redis
        await super().processJob(job, token)
        if (follower := self._followers.pop(token, None)) is None:
            return None
        data, job_id, limit_until, delay_until = follower
        return await self._done_if_closing(await self.nextJobFromJobData(data, job_id, limit_until, delay_until, token))

    async def nextJobFromJobData(
        self,
        job_data: dict[str, str] | None = None,
        job_id: str | None = None,
        limit_until: int | None = 0,
        delay_until: int | None = 0,
        token: str | None = None,
    ) -> Job | None:
        """The job in an answer of the server; without one the next look is when the limit's milliseconds are over."""
        job = await super().nextJobFromJobData(job_data, job_id, limit_until or 0, delay_until or 0, token)
        if job is None and limit_until:
            self.blockUntil = round(unix_s() * 1000) + limit_until
        return job

    async def _report_and_take(
        self, job: Job, value: Any, remove: Any, token: str, fetch_next: bool = False
    ) -> dict[str, Any]:
        answer: dict[str, Any] = await self._report_completed(job, value, remove, token, fetch_next=not self.closing)
        self._followers[token] = answer["result"]
        return answer

    async def _done_if_closing(self, job: Job | None) -> Job | None:
        """The job, or None where this worker is closing: then it is done at once, because its loop may take no more."""
        if job is None or not self.closing:
            return job
        await self.processJob(job, job.token)
        return None
