"""Jobs go into BullMQ as its workers expect them, each id once, and a Redis that is down or hangs costs no time."""

import asyncio
import functools
import re
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from bullmq import Queue

from capacity.errors import CapacityError
from capacity.load.bullmq import JITTER
from capacity.operation import Job
from capacity.system.addresses import System
from capacity.system.application.job_queue import (
    CONNECTIONS,
    JOB_TYPES,
    KEPT,
    LIMIT_S,
    JobQueue,
    QueuedJob,
    QueueDownError,
    job_options,
    read_jobs,
)
from capacity.system.embedded import run_redis
from capacity.system.server_directory import open_server_directory

JOBS = read_jobs()
PREFIX = "jobqueue"


@pytest.fixture
def client(application: System) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(application.redis_url, decode_responses=True) as opened:
        opened.flushdb()
        yield opened


def within(url: str, use: Callable[[JobQueue], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        queue = JobQueue(url, JOBS, prefix=PREFIX)
        try:
            return await use(queue)
        finally:
            await queue.close()

    return asyncio.run(run())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many calls wait for each other, a slow machine may exceed a limit that the test is not about."""
    monkeypatch.setattr("capacity.system.application.job_queue.LIMIT_S", 30.0)


def job(number: int, kind: str = "TokenRefresh") -> QueuedJob:
    return QueuedJob(f"outbox-{number}", kind, {"owner": number})


def test_options_are_those_of_the_workload_file() -> None:
    kept = {"removeOnComplete": {"count": KEPT}, "removeOnFail": {"count": KEPT}}
    backoff = {"type": "exponential", "delay": 500, "jitter": JITTER}
    assert job_options(JOBS["TokenRefresh"]) == {"attempts": 3, "backoff": backoff, **kept}
    given = job_options(Job(attempts=1, backoff_ms=0, delay_ms=40))
    assert given == {"attempts": 1, "backoff": {**backoff, "delay": 0}, "delay": 40, **kept}


def test_the_workload_file_is_found_from_anywhere_and_has_every_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(read_jobs()) == set(JOB_TYPES)


def test_a_workload_without_a_type_is_refused(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "data" / "workloads" / "queue.yaml"
    changed = tmp_path / "queue.yaml"
    changed.write_text(source.read_text(encoding="utf-8").replace("DataCleanup", "Other"), encoding="utf-8")
    with pytest.raises(CapacityError) as refused:
        read_jobs(changed)
    assert str(refused.value) == f"the workload {changed} has no jobs DataCleanup; the application needs each type"


def test_a_job_has_its_type_data_and_options_in_redis(application: System, client: redis.Redis) -> None:
    within(application.redis_url, lambda queue: queue.add([job(1), job(2, "PostPublication")]))
    assert client.lrange(f"{PREFIX}:capacity:wait", 0, -1) == ["outbox-2", "outbox-1"]
    stored = client.hgetall(f"{PREFIX}:capacity:outbox-2")
    assert (stored["name"], stored["data"]) == ("PostPublication", '{"owner":2}')
    assert '"attempts":3' in stored["opts"]


def test_an_id_is_taken_once_one_by_one_and_in_bulk(application: System, client: redis.Redis) -> None:
    async def use(queue: JobQueue) -> None:
        for jobs in ([job(1)], [job(1)], [job(1), job(2)], [job(1), job(2)]):
            await queue.add(jobs)

    within(application.redis_url, use)
    assert client.lrange(f"{PREFIX}:capacity:wait", 0, -1) == ["outbox-2", "outbox-1"]


def test_what_the_queue_does_not_hold_is_missing(application: System, client: redis.Redis) -> None:
    async def use(queue: JobQueue) -> tuple[list[str], list[str]]:
        await queue.add([job(number) for number in range(1, 6)])
        held = await queue.missing([f"outbox-{number}" for number in range(1, 6)])
        return held, await queue.missing([f"outbox-{number}" for number in (7, 3, 6, 1)])

    assert within(application.redis_url, use) == ([], ["outbox-7", "outbox-6"])


def test_depth_is_what_could_run_and_waits_paused_or_not(application: System, client: redis.Redis) -> None:
    async def use(queue: JobQueue) -> list[int]:
        port = client.connection_pool.connection_kwargs["port"]
        others = Queue("capacity", {"connection": {"port": port, "db": 7}, "prefix": PREFIX})
        await others.add("ConnectorSync", {}, {"delay": 60_000})
        depths = [await queue.depth()]
        await queue.add([job(number) for number in range(3)])
        await others.add("ConnectorSync", {}, {"priority": 2})
        depths.append(await queue.depth())
        await others.pause()
        depths.append(await queue.depth())
        client.rename(f"{PREFIX}:capacity:wait", f"{PREFIX}:capacity:paused")  # as earlier versions pause
        depths.append(await queue.depth())
        await others.close()
        return depths

    assert within(application.redis_url, use) == [0, 4, 4, 4]


@pytest.mark.usefixtures("patient")
def test_many_calls_at_once_share_a_few_connections(application: System, client: redis.Redis) -> None:
    async def use(queue: JobQueue) -> int:
        await asyncio.gather(*(queue.add([job(number)]) for number in range(64)))
        return await queue.depth()

    before = client.info("stats")["total_connections_received"]
    assert within(application.redis_url, use) == 64
    assert client.info("stats")["total_connections_received"] - before <= 8


@pytest.mark.usefixtures("patient")
def test_connections_that_redis_closed_when_it_ended_are_opened_again_and_cost_no_call() -> None:
    with open_server_directory() as directory:
        server = run_redis(directory)

        async def use(queue: JobQueue) -> int:
            await asyncio.gather(*(queue.add([job(number)]) for number in range(CONNECTIONS)))
            await asyncio.to_thread(server.end, signal.SIGKILL)
            await asyncio.to_thread(server.start_again)
            await asyncio.gather(*(queue.add([job(number)]) for number in range(100, 100 + CONNECTIONS)))
            return await queue.depth()

        assert within(server.url, use) == CONNECTIONS


def seconds_to_fail(url: str, calls: int = 1, reason: str = "") -> float:
    async def use(queue: JobQueue) -> float:
        began = time.monotonic()
        outcomes = await asyncio.gather(*(queue.add([job(number)]) for number in range(calls)), return_exceptions=True)
        assert all(isinstance(outcome, QueueDownError) and reason in str(outcome) for outcome in outcomes), outcomes
        return time.monotonic() - began

    return float(within(url, use))


def test_a_redis_that_is_down_fails_at_once() -> None:
    assert seconds_to_fail("redis://127.0.0.1:1/0", reason="Redis does not answer: Error 111") < 0.1


def test_a_redis_that_hangs_fails_within_the_limit_for_more_calls_than_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        assert seconds_to_fail(url, 40, "Redis does not answer: nothing within 0.25 s") < LIMIT_S + 0.1


def test_a_connection_that_was_reset_just_before_is_a_redis_that_is_down_and_another_error_stays_one(
    application: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(text: str, queue: JobQueue) -> None:
        async def fail(*_: Any) -> None:
            raise RuntimeError(text)

        monkeypatch.setattr(queue._queue, "add", fail)
        await queue.add([job(1)])

    said = "unable to perform operation on <TCPTransport closed=True reading=False 0x5>; the handler is closed"
    with pytest.raises(QueueDownError, match=f"^{re.escape(f'Redis does not answer: {said}')}$"):
        within(application.redis_url, functools.partial(failing, said))
    with pytest.raises(RuntimeError, match=r"^dictionary changed size during iteration$"):
        within(application.redis_url, functools.partial(failing, "dictionary changed size during iteration"))
