"""A worker process of the reference application: `python -m capacity.system.application.worker --help`.

It takes jobs of the BullMQ queue in the Redis that the environment names, works at each by waiting as long as the
workload file says, fails as often as it says, and notes each start and finish in the ledger. It says `ready` when it
takes jobs. SIGTERM and SIGINT let it finish the jobs under way.
"""

import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import click
import redis
import uvloop
from bullmq import Job
from redis.asyncio import ConnectionPool

from capacity.clock import monotonic_s
from capacity.errors import CapacityError
from capacity.system.addresses import OWN_QUEUE, System, system_from
from capacity.system.application.consumer import Consumer, ConsumerSettings, connection_pool, open_queue
from capacity.system.application.effects import Effects
from capacity.system.application.jobs import JobDraws
from capacity.system.application.ledger import LedgerWriter
from capacity.system.clients import redis_client
from capacity.workload import read_workload

DEAD_SUFFIX = "-dead"
STALLED = "stalled"  # the reason for which a job fails whose workers died or hung too often
STOP_S = 5.0
CLOSE_S = 1.0
CHECK_S = 5.0
SAY_S = 1.0
AT_LEAST_ONE, ABOVE_ZERO = click.IntRange(min=1), click.FloatRange(min=0, min_open=True)

LOG = logging.getLogger(__name__)


class JobFailedError(Exception):
    """An attempt at a job failed; the text is the category."""


class DeadLetters:
    """The queue of jobs that were given up: their type and data, the category of the failure, and the attempts made.

    A job keeps its id there, and BullMQ takes an id once, so a job that is given up again is there once.
    """

    def __init__(self, pool: ConnectionPool, queue: str, prefix: str) -> None:
        self._queue = open_queue(pool, queue + DEAD_SUFFIX, prefix)

    async def add(self, job: Job, reason: str, attempts: int) -> None:
        """Keep a job with the reason."""
        letter = {"data": job.data, "reason": reason, "attempts": attempts}
        await self._queue.add(job.name, letter, {"jobId": job.id})


class ReferenceWorker(Consumer):
    """Does the reference application's jobs: waits as drawn, fails as drawn, marks the outbox, keeps the ledger."""

    def __init__(
        self, pool: ConnectionPool, settings: ConsumerSettings, draws: JobDraws, ledger: LedgerWriter, effects: Effects
    ) -> None:
        super().__init__(pool, settings, self.work)
        self._draws = draws
        self._ledger = ledger
        self._effects = effects
        self._dead_letters = DeadLetters(pool, settings.queue, settings.prefix)
        self._said_at = -SAY_S
        self.on("error", self._say)

    async def work(self, job: Job, token: str) -> None:
        """One attempt at a job. Raises JobFailedError with the category of the failure."""
        number = job.attemptsMade + 1
        drawn = self._draws.attempt(job.name, job.id, number)
        self._ledger.write("started", job.id, job.name, number)
        await asyncio.sleep(drawn.seconds)
        if (failure := drawn.failure) is None:
            failure = await self._take_effect(job)
        if failure is None:
            self._ledger.write("completed", job.id, job.name, number)
            return
        if number >= (job.opts.get("attempts") or 1):
            await self._give_up(job, failure, number)
        self._ledger.write("failed", job.id, job.name, number, failure)
        raise JobFailedError(failure)

    async def processJob(self, job: Job, token: str) -> Job | None:
        """Process a job; one that stalled too often is given up without an attempt."""
        if job.deferredFailure:
            number = job.attemptsMade + 1
            await self._give_up(job, STALLED, number)
            self._ledger.write("failed", job.id, job.name, number, STALLED)
        following: Job | None = await super().processJob(job, token)
        return following

    async def _take_effect(self, job: Job) -> str | None:
        """The class of the error where the database refuses."""
        try:
            await self._effects.finish(job.id)
        except Exception as error:
            return type(error).__name__
        return None

    def _say(self, error: Exception, job: Job | None = None) -> None:
        """Log an error that BullMQ met, at most one a second."""
        if monotonic_s() - self._said_at >= SAY_S:
            self._said_at = monotonic_s()
            LOG.warning("%s", error)

    async def _give_up(self, job: Job, reason: str, attempts: int) -> None:
        """Keep the job among the dead letters, and have it enqueued no more."""
        await self._dead_letters.add(job, reason, attempts)
        await self._take_effect(job)


@click.command()
@click.option("--directory", help="The folder of the system that it belongs to; only names it.", expose_value=False)
@click.option("--ledger", type=Path, required=True, help="The folder of the ledger.")
@click.option("--jobs", type=Path, required=True, help="The workload file that says what the jobs take.")
@click.option("--number", default=1, show_default=True, help="Which of the workers it is.")
@click.option("--concurrency", type=AT_LEAST_ONE, default=50, show_default=True, help="Jobs at once.")
@click.option("--lock-s", type=ABOVE_ZERO, default=30.0, show_default=True, help="How long a job's lock holds.")
@click.option("--stalled-s", type=ABOVE_ZERO, default=30.0, show_default=True, help="Between checks for stalled jobs.")
@click.option("--stalled-limit", type=AT_LEAST_ONE, default=1, show_default=True, help="How often a job may stall.")
def main(ledger: Path, jobs: Path, number: int, **options: Any) -> None:
    """Do the jobs of the reference application's queue until a signal comes."""
    logging.basicConfig(format="worker: %(message)s")
    try:
        system = system_from()
        if not system.redis_url:
            raise CapacityError("a worker needs a queue; set CAPACITY_REDIS_URL")
        draws = JobDraws(read_workload(jobs))
        _check_redis(system.redis_url)
        settings = ConsumerSettings(system.queue or OWN_QUEUE, system.queue_prefix, f"worker-{number}", **options)
        uvloop.run(_serve(system, settings, draws, ledger))
    except CapacityError as error:
        print(f"worker: {error}", file=sys.stderr)
        sys.exit(2)


async def _serve(system: System, settings: ConsumerSettings, draws: JobDraws, ledger_folder: Path) -> None:
    """Work until a signal comes. CapacityError where the work ends by itself."""
    stopping = _stop_signals()
    ledger = LedgerWriter(ledger_folder, settings.name)
    pool, effects = connection_pool(system.redis_url, settings.concurrency), Effects(system.postgres_url)
    worker = ReferenceWorker(pool, settings, draws, ledger, effects)
    gc.collect()
    gc.freeze()  # what was imported is never garbage
    starting, ended = asyncio.create_task(worker.start()), False
    if await _first(starting, stopping):
        working = starting.result()
        print("ready", flush=True)
        ended = await _first(working, stopping)
    signal.alarm(round(STOP_S + 3 * CLOSE_S))  # ends what hangs in spite of everything
    if unfinished := await worker.stop(STOP_S):
        LOG.warning("left %d jobs unfinished; another worker takes them when their locks have expired", unfinished)
    closing = [asyncio.create_task(effects.close()), asyncio.create_task(pool.disconnect())]
    await asyncio.wait(closing, timeout=CLOSE_S)
    ledger.close()
    if ended:
        raise CapacityError("the worker took no more jobs, for a reason of its own; start it again")


async def _first(work: "asyncio.Task[Any]", stopping: "asyncio.Future[None]") -> bool:
    """Whether the work was done before a signal came."""
    await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
    return not stopping.done()


def _stop_signals() -> "asyncio.Future[None]":
    """Done at the first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopping = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: None if stopping.done() else stopping.set_result(None))
    return stopping


def _check_redis(url: str) -> None:
    """Refuse a Redis that refuses us; one that is away is waited for."""
    try:
        with redis_client(url, CHECK_S) as client:
            client.ping()
    except (redis.AuthenticationError, redis.ResponseError) as error:
        raise CapacityError(f"Redis refuses the worker: {error}; correct the address in CAPACITY_REDIS_URL") from None
    except redis.RedisError as error:
        LOG.warning("Redis does not answer: %s; waiting for it", error)


if __name__ == "__main__":
    main()
