"""A job of the outbox is marked once, many by one statement, and waits while the database is away."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from capacity.system.addresses import System
from capacity.system.application.consumer import ConsumerSettings, connection_pool, open_queue
from capacity.system.application.database import DATASETS, prepare_database
from capacity.system.application.effects import Connection, Effects, mark_finished
from capacity.system.application.jobs import JobDraws
from capacity.system.application.ledger import LedgerWriter, read_ledger
from capacity.system.application.worker import ReferenceWorker
from capacity.workload import parse_workload

JOB_FILE = {
    "name": "test",
    "target": "bullmq",
    "connections": 1,
    "operations": [{"name": "TokenRefresh", "weight": 100, "job": {}}],
    "shapes": {"smoke": {"kind": "rate", "stages": [{"name": "sustain", "seconds": 1, "to": 1}]}},
}

OUTBOX = """
CREATE TABLE IF NOT EXISTS capacity.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner uuid NOT NULL, kind text NOT NULL, data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz
);
GRANT SELECT, UPDATE (finished_at) ON capacity.outbox TO service_role;
"""
ROWS = """
INSERT INTO capacity.outbox (owner, kind, data) SELECT capacity.owner_id(1), 'TokenRefresh', '{}'
FROM generate_series(1, %s) RETURNING id
"""
UNMARKED = "SELECT count(*) FROM capacity.outbox WHERE id = ANY(%s) AND finished_at IS NULL"
OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'"


class Outbox:
    """The table with new rows, and what was marked in it."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute(OUTBOX)
        self.groups: list[list[str]] = []
        self.first_time = 0

    def rows(self, count: int) -> list[int]:
        return [number for (number,) in self.connection.execute(ROWS, [count])]

    def unmarked(self, numbers: list[int]) -> int:
        (count,) = self.connection.execute(UNMARKED, [numbers]).fetchone() or (0,)
        return int(count)

    async def mark(self, connection: Connection, job_ids: Sequence[str]) -> list[str]:
        self.groups.append(list(job_ids))
        marked = await mark_finished(connection, job_ids)
        self.first_time += len(marked)
        return marked


@pytest.fixture
def outbox(system: System) -> Iterator[Outbox]:
    prepare_database(system.postgres_admin_url, DATASETS["smoke"])
    opened = Outbox(system.postgres_admin_url)
    yield opened
    opened.connection.close()


def test_jobs_that_end_together_are_marked_by_one_statement(system: System, outbox: Outbox) -> None:
    numbers = outbox.rows(200)

    async def run() -> None:
        effects = Effects(system.postgres_url, outbox.mark)
        await asyncio.gather(*(effects.finish(f"outbox-{number}") for number in numbers))
        await asyncio.gather(*(effects.finish(f"outbox-{number}") for number in outbox.rows(3)))
        assert outbox.first_time == 203
        await effects.close()

    asyncio.run(run())
    assert outbox.unmarked(numbers) == 0
    assert [len(group) for group in outbox.groups] == [200, 3]


def test_a_job_that_runs_again_takes_effect_once(system: System, outbox: Outbox) -> None:
    (number,) = outbox.rows(1)

    async def run() -> None:
        effects, others = Effects(system.postgres_url, outbox.mark), Effects(system.postgres_url, outbox.mark)
        for _ in range(2):
            await asyncio.gather(*(each.finish(f"outbox-{number}") for each in (effects, effects, others)))
        assert outbox.first_time == 1
        await effects.close()
        await others.close()

    asyncio.run(run())
    assert outbox.unmarked([number]) == 0


def test_a_lost_connection_is_opened_again_and_nothing_is_lost(system: System, outbox: Outbox) -> None:
    numbers = outbox.rows(50)

    async def run() -> None:
        effects = Effects(system.postgres_url, outbox.mark)
        for number in numbers:
            marked = asyncio.create_task(effects.finish(f"outbox-{number}"))
            if number % 10 == 0:
                outbox.connection.execute(OTHERS)
            await marked
        await effects.close()

    asyncio.run(run())
    assert outbox.unmarked(numbers) == 0


def test_a_database_that_is_away_is_waited_for(
    system: System, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    (number,) = outbox.rows(1)
    down = "postgresql://authenticator@127.0.0.1:1/postgres"

    async def run() -> None:
        effects = Effects(down, outbox.mark)
        marked = asyncio.create_task(effects.finish(f"outbox-{number}"))
        await asyncio.sleep(0.8)
        assert not marked.done()
        effects._url = system.postgres_url
        await asyncio.wait_for(marked, 5)
        await effects.close()

    asyncio.run(run())
    assert outbox.unmarked([number]) == 0
    (said,) = caplog.messages
    assert said.startswith("PostgreSQL does not answer: ")
    assert said.endswith("; waiting for it")


def test_the_worker_marks_what_it_has_done_and_what_it_has_given_up(
    system: System, outbox: Outbox, tmp_path: Path
) -> None:
    """Two jobs at their last attempt, of a known type and an unknown one, and one that will be tried again."""
    numbers = outbox.rows(3)
    name = f"test-{uuid4().hex}"

    async def run() -> None:
        pool, effects = connection_pool(system.redis_url, 5), Effects(system.postgres_url, outbox.mark)
        queue = open_queue(pool, name)
        for number, kind, attempts in zip(numbers, ("TokenRefresh", "Mystery", "Mystery"), (1, 1, 2), strict=True):
            backoff = {"type": "fixed", "delay": 60_000}
            await queue.add(kind, {}, {"jobId": f"outbox-{number}", "attempts": attempts, "backoff": backoff})
        draws = JobDraws(parse_workload(JOB_FILE))
        worker = ReferenceWorker(pool, ConsumerSettings(name), draws, LedgerWriter(tmp_path, "worker-1"), effects)
        await worker.start()
        async with asyncio.timeout(10):
            while await queue.getJobCountByTypes("completed", "failed", "delayed") < 3:
                await asyncio.sleep(0.02)
        await worker.stop(5)
        await effects.close()
        await queue.obliterate(force=True)
        await pool.disconnect()

    asyncio.run(run())
    assert outbox.unmarked(numbers[:2]) == 0
    assert outbox.unmarked(numbers[2:]) == 1
    assert list(read_ledger(tmp_path)["event"].value_counts()[["completed", "failed"]]) == [1, 2]


def test_a_refusal_reaches_every_job_of_the_group(system: System) -> None:
    async def refused(connection: Connection, job_ids: Sequence[str]) -> list[str]:
        await connection.execute("SELECT * FROM capacity.no_such_table")
        return []

    async def run() -> None:
        effects = Effects(system.postgres_url, refused)
        ends: list[Any] = await asyncio.gather(
            *(effects.finish(f"outbox-{number}") for number in (1, 2)), return_exceptions=True
        )
        assert [type(end) for end in ends] == [psycopg.errors.UndefinedTable] * 2
        await effects.close()

    asyncio.run(run())


def test_other_jobs_and_systems_without_a_database_are_left_alone(outbox: Outbox) -> None:
    async def run() -> None:
        await Effects("", outbox.mark).finish("outbox-1")
        await Effects("postgresql://nobody@127.0.0.1:1/nothing", outbox.mark).finish("17")

    asyncio.run(run())
    assert outbox.groups == []
