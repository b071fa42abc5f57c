"""Jobs that are in PostgreSQL before they are in the queue, so that a lost Redis loses none of them.

A job is a row, written in the transaction of what asks for it, with its id in the queue made of the row's number: the
queue takes each id once. A row without `finished_at` whose id the queue does not hold is a job that never arrived there
or that Redis forgot, and is enqueued again.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from capacity.system.application.job_queue import JobQueue, QueuedJob, QueueDownError

JOB_ID = re.compile(r"outbox-([0-9]{1,18})")
OLDER_THAN_S = 1.0  # a younger job may be on its way into the queue
INTERVAL_S = 1.0
BATCH = 100
CONNECT_SECONDS = 2

MARK = """
UPDATE capacity.outbox SET finished_at = now() WHERE id = ANY(%s::bigint[]) AND finished_at IS NULL RETURNING id
"""
LEADS = "SELECT pg_try_advisory_xact_lock(hashtext('capacity.outbox'))"
UNFINISHED = """
SELECT id FROM capacity.outbox
WHERE finished_at IS NULL AND id > %s AND created_at < now() - make_interval(secs => %s) ORDER BY id LIMIT %s
"""
STILL_UNFINISHED = """
SELECT id, kind, data FROM capacity.outbox WHERE finished_at IS NULL AND id = ANY(%s::bigint[]) ORDER BY id
"""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def job_id(number: int) -> str:
    """The id in the queue of the job in the outbox's row with that number."""
    return f"outbox-{number}"


def _numbers(job_ids: Sequence[str]) -> list[int]:
    return [int(match[1]) for match in map(JOB_ID.fullmatch, job_ids) if match]


async def mark_finished(connection: Connection, job_ids: Sequence[str]) -> list[str]:
    """Note that jobs are done or given up for good; returns the ids of those of which that was not known before.

    What a job does belongs into the same transaction, and is done only for the ids returned: then it takes effect once,
    however often the job runs. `connection` acts as service_role. Ids that are not the outbox's are passed over.
    """
    cursor = await connection.execute(MARK, [_numbers(job_ids)])
    return [job_id(number) for (number,) in await cursor.fetchall()]


class Reconciler:
    """Enqueues again what is unfinished and what the queue does not hold; `reenqueued` counts the jobs."""

    def __init__(self, queue: JobQueue, older_than_s: float = OLDER_THAN_S) -> None:
        self.reenqueued = 0
        self._queue = queue
        self._older_than_s = older_than_s

    async def run(self, url: str, interval_s: float = INTERVAL_S) -> None:
        """Reconcile at that interval until cancelled; what fails is made up for when PostgreSQL or Redis is back."""
        while True:
            with suppress(psycopg.Error):
                async with await Connection.connect(
                    url, autocommit=True, prepare_threshold=None, connect_timeout=CONNECT_SECONDS
                ) as connection:
                    while True:
                        await asyncio.sleep(interval_s)
                        with suppress(QueueDownError):
                            await self.reconcile(connection)
            await asyncio.sleep(interval_s)

    async def reconcile(self, connection: Connection) -> None:
        """Go through the outbox once, in batches, unless another process does; `connection` is in autocommit.

        Raises QueueDownError and psycopg.Error.
        """
        async with connection.transaction():
            await connection.execute("SELECT capacity.act_as_service(0)")
            (leads,) = await (await connection.execute(LEADS)).fetchone() or (False,)
            if leads:
                async for numbers in self._unfinished(connection):
                    await self._restore(connection, numbers)

    async def _unfinished(self, connection: Connection) -> AsyncIterator[list[int]]:
        last = 0
        while True:
            rows = await (await connection.execute(UNFINISHED, [last, self._older_than_s, BATCH])).fetchall()
            if not rows:
                return
            yield [number for (number,) in rows]
            last = rows[-1][0]

    async def _restore(self, connection: Connection, numbers: Sequence[int]) -> None:
        """Enqueue those of a batch that the queue does not hold.

        Workers mark a job before the queue may forget that it is done, so what is missing there is looked up once more.
        """
        missing = await self._queue.missing([job_id(number) for number in numbers])
        if missing:
            rows = await (await connection.execute(STILL_UNFINISHED, [_numbers(missing)])).fetchall()
            jobs = [QueuedJob(job_id(number), kind, data) for number, kind, data in rows]
            await self._queue.add(jobs)
            self.reenqueued += len(jobs)
