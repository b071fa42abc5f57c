"""Where the package bullmq falls short of Node's, the consumer does not: each test fails where that comes back."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from bullmq import Job, Queue
from redis.asyncio.connection import AbstractConnection

from capacity.system.application.consumer import (
    JITTERED,
    Consumer,
    ConsumerSettings,
    connection_pool,
    jittered_backoff,
    open_queue,
)

LATE_S = 0.5  # what a busy machine may add; each defect adds more
Test = Callable[["Bench"], Awaitable[None]]


class Bench:
    """A queue of its own and what its consumers did."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"test-{uuid.uuid4().hex}"
        self.pool = connection_pool(url, 50)
        self.queue: Queue = open_queue(self.pool, self.name)
        self.done: list[str] = []
        self.done_at: list[float] = []

    def consumer(self, work_s: float = 0.0, **settings: Any) -> Consumer:
        async def work(job: Job, token: str) -> None:
            await asyncio.sleep(work_s)
            self.done.append(job.id)
            self.done_at.append(time.monotonic())

        return Consumer(self.pool, ConsumerSettings(self.name, **settings), work)

    async def add(self, count: int = 1, **options: Any) -> None:
        jobs = [{"name": "TokenRefresh", "data": {"owner": 1}, "opts": options} for _ in range(count)]
        await self.queue.addBulk(jobs)

    async def until_done(self, count: int, within_s: float) -> float:
        """How long it took from now on."""
        begin = time.monotonic()
        while len(self.done) < count:
            assert time.monotonic() - begin < within_s, f"{len(self.done)} of {count} after {within_s} s"
            await asyncio.sleep(0.005)
        return time.monotonic() - begin


def on_bench(url: str, test: Test) -> None:
    async def run() -> None:
        bench = Bench(url)
        try:
            async with asyncio.timeout(30):
                await test(bench)
        finally:
            await bench.queue.obliterate(force=True)
            await bench.pool.disconnect()

    asyncio.run(run())


def calls(url: str, command: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_an_idle_worker_sees_a_job_delayed_beyond_the_time_limit_of_redis_py(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py's limit of 5 s is made shorter, so that the job need not be delayed for longer than that."""
    made = AbstractConnection.__init__

    def make(connection: AbstractConnection, *, socket_timeout: float | None = 0.2, **others: Any) -> None:
        made(connection, socket_timeout=socket_timeout, **others)

    monkeypatch.setattr(AbstractConnection, "__init__", make)

    async def test(bench: Bench) -> None:
        consumer = bench.consumer()
        await consumer.start()
        await asyncio.sleep(0.5)
        await bench.add(delay=700)
        took = await bench.until_done(1, within_s=5)
        assert 0.7 - 0.02 <= took < 0.7 + LATE_S
        await consumer.stop(1)

    on_bench(redis_url, test)


def test_delays_are_not_rounded_up_to_whole_seconds(redis_url: str) -> None:
    async def test(bench: Bench) -> None:
        consumer = bench.consumer()
        await consumer.start()
        await asyncio.sleep(0.1)
        for delay_ms in (150, 300):
            await bench.add(delay=delay_ms)
        begin = time.monotonic()
        await bench.until_done(2, within_s=5)
        for delay_s, done_at in zip((0.15, 0.3), bench.done_at, strict=True):
            assert delay_s - 0.02 <= done_at - begin < delay_s + LATE_S < 1.0
        await consumer.stop(1)

    on_bench(redis_url, test)


def test_a_rate_limit_is_waited_for_as_long_as_it_holds(redis_url: str) -> None:
    """20 jobs, 5 in 250 ms: three waits. The package waits for 5 s each time."""

    async def test(bench: Bench) -> None:
        await bench.add(20)
        consumer = bench.consumer(limiter=(5, 250))
        await consumer.start()
        took = await bench.until_done(20, within_s=5)
        assert 0.75 - 0.05 <= took < 0.75 + 2 * LATE_S
        await consumer.stop(1)

    on_bench(redis_url, test)


def test_stopping_is_bounded_where_a_job_hangs(redis_url: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.add(3)
        consumer = bench.consumer(work_s=60)
        loop = await consumer.start()
        while len(consumer.jobs) < 3:
            await asyncio.sleep(0.01)
        begin = time.monotonic()
        assert await consumer.stop(0.3) == 3
        assert 0.3 <= time.monotonic() - begin < 0.3 + LATE_S
        await asyncio.wait({loop}, timeout=LATE_S)
        assert loop.done()

    on_bench(redis_url, test)


def test_stopping_is_bounded_where_redis_hangs(redis_url: str) -> None:
    async def test(bench: Bench) -> None:
        with redis.Redis.from_url(redis_url) as client:
            await bench.add(100)
            consumer = bench.consumer()
            await consumer.start()
            await bench.until_done(1, within_s=5)
            client.client_pause(1000)
            begin = time.monotonic()
            await consumer.stop(0.3)
            assert time.monotonic() - begin < 0.3 + LATE_S
        await asyncio.sleep(1.1 - (time.monotonic() - begin))

    on_bench(redis_url, test)


def test_an_idle_worker_stops_at_once(redis_url: str) -> None:
    async def test(bench: Bench) -> None:
        consumer = bench.consumer()
        await consumer.start()
        await asyncio.sleep(0.1)
        begin = time.monotonic()
        assert await consumer.stop(5) == 0
        assert time.monotonic() - begin < LATE_S

    on_bench(redis_url, test)


def test_every_job_that_was_taken_is_done_before_the_end(redis_url: str) -> None:
    """Stopped again and again in the midst of jobs that come with completions: none is left active, none done twice."""

    async def test(bench: Bench) -> None:
        await bench.add(1000)
        left = 1000
        while left:
            consumer = bench.consumer(work_s=0.001, concurrency=10)
            await consumer.start()
            await asyncio.sleep(0.03)
            assert await consumer.stop(5) == 0
            counts = await bench.queue.getJobCounts("active", "waiting", "completed")
            assert counts["active"] == 0
            assert counts["completed"] == len(bench.done) == 1000 - counts["waiting"]
            left = counts["waiting"]
        assert len(set(bench.done)) == 1000

    on_bench(redis_url, test)


def test_one_slot_at_a_time_looks_for_a_job(redis_url: str) -> None:
    """With 50 free slots, the package looks for each single job about 50 times."""

    async def test(bench: Bench) -> None:
        consumer = bench.consumer(concurrency=50)
        await consumer.start()
        before = calls(redis_url, "evalsha")
        for number in range(1, 21):
            await bench.add()
            await bench.until_done(number, within_s=5)
            await asyncio.sleep(0.01)
        assert calls(redis_url, "evalsha") - before <= 20 * 6
        await consumer.stop(1)

    on_bench(redis_url, test)


def test_a_completion_brings_the_next_job_with_it(redis_url: str) -> None:
    """A busy worker needs one exchange a job, and the package two."""

    async def test(bench: Bench) -> None:
        await bench.add(400)
        before = calls(redis_url, "evalsha")
        consumer = bench.consumer(concurrency=10)
        await consumer.start()
        await bench.until_done(400, within_s=10)
        await consumer.stop(1)
        assert calls(redis_url, "evalsha") - before <= 400 * 1.1

    on_bench(redis_url, test)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_backoff_is_drawn_from_the_last_part_of_a_doubling_wait(jitter: float) -> None:
    failed = SimpleNamespace(opts={"backoff": {"type": JITTERED, "delay": 200, "jitter": jitter}})
    for attempts_made, longest in ((1, 200), (2, 400), (3, 800)):
        waits = [jittered_backoff(attempts_made, JITTERED, Exception(), failed) for _ in range(500)]
        assert min(waits) >= longest * (1 - jitter)
        assert max(waits) <= longest
        assert max(waits) - min(waits) >= 0.9 * longest * jitter
        assert sum(waits) / len(waits) == pytest.approx(longest * (1 - jitter / 2), rel=0.1)


def test_retries_wait_as_the_jobs_own_options_say(redis_url: str) -> None:
    """Three attempts of 20 jobs at 100 and 200 ms, a half of it drawn, and of one that has no jitter."""
    attempts: dict[str, list[float]] = {}

    async def test(bench: Bench) -> None:
        async def fail(job: Job, token: str) -> None:
            attempts.setdefault(job.id, []).append(time.monotonic())
            raise RuntimeError("timeout")

        backoff = {"type": "exponential", "delay": 100, "jitter": 0.5}
        await bench.add(20, attempts=3, backoff=backoff)
        await bench.add(1, attempts=3, backoff={"type": "exponential", "delay": 100}, jobId="steady")
        consumer = Consumer(bench.pool, ConsumerSettings(bench.name), fail)
        await consumer.start()
        begin = time.monotonic()
        while (await bench.queue.getJobCounts("failed"))["failed"] < 21:
            assert time.monotonic() - begin < 5
            await asyncio.sleep(0.02)
        kept = await bench.queue.getJob(next(iter(attempts)))
        assert kept
        assert kept.opts["backoff"] == backoff
        await consumer.stop(1)

    on_bench(redis_url, test)
    steady = attempts.pop("steady")
    for (first, second, third), shortest in [(steady, 1.0), *((each, 0.5) for each in attempts.values())]:
        assert 0.1 * shortest - 0.005 <= second - first < 0.1 + LATE_S
        assert 0.2 * shortest - 0.005 <= third - second < 0.2 + LATE_S
    waits = [third - second for _, second, third in attempts.values()]
    assert max(waits) - min(waits) > 0.04
