"""A job that is in the outbox reaches the queue whatever becomes of Redis, and takes effect once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
import pytest
import redis
from bullmq import Worker

from capacity.system.addresses import System
from capacity.system.application.database import Dataset, prepare_database
from capacity.system.application.job_queue import JobQueue, QueuedJob, QueueDownError, read_jobs
from capacity.system.application.outbox import BATCH, LEADS, Connection, Reconciler, job_id, mark_finished

Administrator = psycopg.Connection[tuple[Any, ...]]

WAITING = "outbox:capacity:wait"
FILL = """
INSERT INTO capacity.outbox (owner, kind, data, created_at)
SELECT capacity.owner_id(n), 'PostPublication', jsonb_build_object('owner', n), now() - interval '1 minute'
FROM generate_series(1, %s) AS n RETURNING id
"""


@pytest.fixture
def client(application: System) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(application.redis_url, decode_responses=True) as opened:
        opened.flushdb()
        yield opened


@pytest.fixture
def administrator(application: System) -> Iterator[Administrator]:
    with psycopg.connect(application.postgres_admin_url, autocommit=True) as connection:
        connection.execute("TRUNCATE capacity.outbox")
        yield connection


def filled(administrator: Administrator, count: int) -> list[str]:
    return [job_id(number) for (number,) in administrator.execute(FILL, [count])]


@asynccontextmanager
async def opened(system: System) -> AsyncIterator[tuple[JobQueue, Connection]]:
    queue = JobQueue(system.redis_url, read_jobs(), prefix="outbox")
    async with await Connection.connect(system.postgres_url, autocommit=True) as connection:
        try:
            yield queue, connection
        finally:
            await queue.close()


def within(system: System, use: Callable[[JobQueue, Connection], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with opened(system) as (queue, connection):
            return await use(queue, connection)

    return asyncio.run(run())


async def finish(connection: Connection, ids: Sequence[str]) -> list[str]:
    async with connection.transaction():
        await connection.execute("SELECT capacity.act_as_service(1)")
        return await mark_finished(connection, ids)


def reconciled(system: System, rounds: int = 1, older_than_s: float = 1.0) -> int:
    async def use(queue: JobQueue, connection: Connection) -> int:
        reconciler = Reconciler(queue, older_than_s)
        for _ in range(rounds):
            await reconciler.reconcile(connection)
        return reconciler.reenqueued

    return int(within(system, use))


def test_every_unfinished_job_comes_back_once_when_redis_was_emptied(
    application: System, client: redis.Redis, administrator: Administrator
) -> None:
    ids = filled(administrator, 2 * BATCH + 100)

    async def use(queue: JobQueue, connection: Connection) -> None:
        for first in range(0, len(ids), BATCH):
            await queue.add([QueuedJob(each, "PostPublication", {"owner": 1}) for each in ids[first : first + BATCH]])
        await finish(connection, ids[::3])

    within(application, use)
    client.flushdb()
    unfinished = [each for number, each in enumerate(ids) if number % 3]
    assert reconciled(application, rounds=3) == len(unfinished)
    assert client.lrange(WAITING, 0, -1)[::-1] == unfinished
    stored = client.hgetall(f"outbox:capacity:{unfinished[0]}")
    assert (stored["name"], stored["data"]) == ("PostPublication", '{"owner":2}')


def test_jobs_that_the_queue_holds_waiting_running_or_failed_are_left_alone(
    application: System, client: redis.Redis, administrator: Administrator
) -> None:
    ids = filled(administrator, 4)

    async def use(queue: JobQueue, connection: Connection) -> None:
        await queue.add([QueuedJob(each, "PostPublication", {}) for each in ids])

    within(application, use)
    for state in ("active", "failed"):  # the job's hash stays, whichever list names it
        client.lmove(WAITING, f"outbox:capacity:{state}")
    assert reconciled(application) == 0
    assert client.llen(WAITING) == 2


def test_a_job_younger_than_a_second_is_left_to_the_gateway(
    application: System, client: redis.Redis, administrator: Administrator
) -> None:
    filled(administrator, 1)
    administrator.execute("UPDATE capacity.outbox SET created_at = now()")
    assert reconciled(application) == 0
    assert reconciled(application, older_than_s=0.0) == 1


def test_of_several_reconcilers_one_works_at_a_time(
    application: System, client: redis.Redis, administrator: Administrator
) -> None:
    filled(administrator, 3 * BATCH)
    with administrator.transaction():
        assert administrator.execute(LEADS).fetchone() == (True,)
        assert reconciled(application) == 0

    async def at_once() -> int:
        async def one() -> int:
            async with opened(application) as (queue, connection):
                reconciler = Reconciler(queue)
                await reconciler.reconcile(connection)
                return reconciler.reenqueued

        return sum(await asyncio.gather(*(one() for _ in range(5))))

    assert asyncio.run(at_once()) == 3 * BATCH
    assert client.llen(WAITING) == 3 * BATCH


def test_a_job_finished_between_two_looks_is_not_enqueued_again(
    application: System, client: redis.Redis, administrator: Administrator
) -> None:
    ids = filled(administrator, 10)

    async def use(queue: JobQueue, connection: Connection) -> int:
        class Worked:
            """The queue, whose worker finishes one job, which is then removed, while it is being looked at."""

            add = queue.add

            async def missing(self, asked: Sequence[str]) -> list[str]:
                async with await Connection.connect(application.postgres_url) as worker:
                    await finish(worker, ids[:1])
                return await queue.missing(asked)

        reconciler = Reconciler(cast(JobQueue, Worked()))
        await reconciler.reconcile(connection)
        return reconciler.reenqueued

    assert within(application, use) == 9
    assert client.lrange(WAITING, 0, -1)[::-1] == ids[1:]


def test_what_redis_did_not_take_is_enqueued_when_it_is_back(
    application: System, client: redis.Redis, administrator: Administrator, wire: Callable[[str], Any]
) -> None:
    filled(administrator, BATCH + 1)
    line = wire(application.redis_url)

    async def use(_: JobQueue, connection: Connection) -> int:
        queue = JobQueue(line.url, read_jobs(), prefix="outbox")
        reconciler = Reconciler(queue)
        line.cut()
        with pytest.raises(QueueDownError):
            await reconciler.reconcile(connection)
        line.restore()
        await reconciler.reconcile(connection)
        await queue.close()
        return reconciler.reenqueued

    assert within(application, use) == BATCH + 1
    assert client.llen(WAITING) == BATCH + 1


def test_a_reconciler_goes_on_after_both_servers_were_away(
    application: System, client: redis.Redis, administrator: Administrator, wire: Callable[[str], Any]
) -> None:
    postgres, cache = wire(application.postgres_url), wire(application.redis_url)

    async def use(_: JobQueue, connection: Connection) -> int:
        queue = JobQueue(cache.url, read_jobs(), prefix="outbox")
        reconciler = Reconciler(queue)
        running = asyncio.create_task(reconciler.run(postgres.url, interval_s=0.05))
        for line in (postgres, cache):
            line.cut()
            filled(administrator, 10)
            await asyncio.sleep(0.3)
            line.restore()
            await asyncio.sleep(0.3)
        running.cancel()
        await queue.close()
        return reconciler.reenqueued

    assert within(application, use) == 20


def test_a_job_is_finished_once_however_often_and_by_whomever_it_is_marked(
    application: System, administrator: Administrator
) -> None:
    ids = filled(administrator, 50)

    async def at_once() -> list[list[str]]:
        async def one() -> list[str]:
            async with await Connection.connect(application.postgres_url, autocommit=True) as connection:
                return await finish(connection, ids)

        return await asyncio.gather(*(one() for _ in range(5)))

    marked = asyncio.run(at_once())
    assert sorted(each for one in marked for each in one) == ids


def test_ids_of_other_producers_and_of_no_row_are_passed_over(
    application: System, administrator: Administrator
) -> None:
    ids = filled(administrator, 1)
    asked = ["17", "repeat:5", "outbox-x", "outbox-", "outbox-1", "outbox-²", f"outbox-{2**70}", *ids]
    assert within(application, lambda _, connection: finish(connection, asked)) == ids


def test_numbers_go_on_above_all_earlier_ones_when_the_table_is_made_anew(
    application: System, administrator: Administrator
) -> None:
    before = filled(administrator, 5)
    administrator.execute("DROP TABLE capacity.outbox")
    dataset = administrator.execute("SELECT owners, posts_per_owner FROM capacity.dataset").fetchall()
    prepare_database(application.postgres_admin_url, Dataset(*dataset[0]))
    assert filled(administrator, 1)[0] > before[-1]


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE capacity.outbox SET finished_at = now()",
        "DELETE FROM capacity.outbox",
        "INSERT INTO capacity.outbox (owner, kind, data, finished_at) VALUES (capacity.owner_id(1), 'x', '{}', now())",
        "INSERT INTO capacity.outbox (owner, kind, data) VALUES (capacity.owner_id(2), 'x', '{}')",
    ],
)
def test_a_caller_may_only_add_own_jobs(application: System, administrator: Administrator, forbidden: str) -> None:
    filled(administrator, 3)
    with psycopg.connect(application.postgres_url) as connection:
        connection.execute("SELECT capacity.act_as(1)")
        assert connection.execute("SELECT count(*) FROM capacity.outbox").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(forbidden.encode())


def test_with_redis_emptied_under_a_worker_every_job_takes_effect_once(
    application: System, client: redis.Redis, administrator: Administrator
) -> None:
    ids, effects, runs = filled(administrator, 60), list[str](), list[str]()

    async def use(queue: JobQueue, connection: Connection) -> None:
        lock = asyncio.Lock()

        async def work(job: Any, token: str) -> None:
            runs.append(job.id)
            await asyncio.sleep(0.02)
            async with lock:
                effects.extend(await finish(connection, [job.id]))

        port = client.connection_pool.connection_kwargs["port"]
        address = {"port": port, "db": 7, "socket_timeout": None}
        worker = Worker("capacity", work, {"connection": address, "prefix": "outbox", "concurrency": 4})
        reconciler = Reconciler(queue)
        async with await Connection.connect(application.postgres_url, autocommit=True) as second:
            await reconciler.reconcile(second)
            while len(effects) < 20:
                await asyncio.sleep(0.01)
            client.flushdb()
            for _ in range(100):
                await reconciler.reconcile(second)
                await asyncio.sleep(0.05)
                if len(effects) == len(ids):
                    break
        await asyncio.wait_for(worker.close(force=True), 5)

    within(application, use)
    assert sorted(effects) == ids
    assert len(runs) >= len(ids)
