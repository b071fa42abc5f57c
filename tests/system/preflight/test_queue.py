"""What a BullMQ queue says of itself, on a real Redis with queues made by BullMQ's own classes."""

import asyncio
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from bullmq import Queue as BullmqQueue
from bullmq import Worker

from capacity.clock import unix_ns
from capacity.load.bullmq import Queue
from capacity.system.addresses import System
from capacity.system.preflight.check import Check
from capacity.system.preflight.queue import queue_checks

NODE = Path(__file__).parents[2] / "node"
NAMES = iter(f"orders{number}" for number in range(100))


def made(url: str, *jobs: dict[str, Any]) -> Queue:
    """A queue of its own with these jobs, each its options."""
    name = next(NAMES)

    async def make() -> None:
        queue = BullmqQueue(name, {"connection": url})
        for options in jobs:
            await queue.add("pay", {}, options)
        await queue.close()

    asyncio.run(make())
    return Queue(name)


def looked(url: str, queue: Queue) -> dict[str, Check]:
    return {each.name: each for each in queue_checks(url, queue)}


def test_a_queue_of_bullmq_tells_version_backlog_and_that_no_worker_is_there(url: str) -> None:
    found = looked(url, made(url, {}, {"delay": 100_000}))
    assert re.fullmatch(r"BullMQ of a version that it does not note: bull:orders\d+, 2 jobs", found["reachable"].said)
    assert found["backlog"].said == "2 jobs are not done yet"
    assert found["workers"].said == "no connection bears the name of a worker of it"
    assert found["eviction"].fine
    assert found["retention"].fine
    assert "paused" not in found


def test_a_queue_that_is_held_by_limits_or_was_paused_by_another_version_is_told(url: str, client: redis.Redis) -> None:
    """The fields of `meta` are those that Node's BullMQ writes: its setGlobalRateLimit, and its own version."""
    queue = made(url, {})
    client.lpush(queue.key("paused"), "9")
    meta = {"max": 50, "duration": 1000, "concurrency": 3, "version": "bullmq:5.81.5"}
    client.hset(queue.key("meta"), mapping=meta)
    found = looked(url, queue)
    assert found["reachable"].said.startswith("BullMQ 5.81.5: ")
    assert found["paused"].said == "1 jobs are left in its list `paused`"
    assert found["rate limit"].said == "50 jobs each 1 s"
    assert found["concurrency"].said == "3 at a time in all workers together"


def test_jobs_that_remove_others_when_they_end_are_told(url: str) -> None:
    found = looked(url, made(url, {"removeOnComplete": True}, {"removeOnComplete": {"count": 100}}))
    said = "its jobs keep the last 100 that ended; those of the load are not among them"
    assert (found["retention"].fine, found["retention"].said) == (True, said)
    assert looked(url, made(url, {"removeOnComplete": True, "removeOnFail": {"age": 60}}))["retention"].fine


def test_a_queue_that_keeps_few_events_is_told(url: str, client: redis.Redis) -> None:
    queue = made(url, {})
    assert "events" not in looked(url, queue)
    client.hset(queue.key("meta"), "opts.maxLenEvents", "100")
    assert looked(url, queue)["events"].said == "it keeps its last 100 events"


def test_a_policy_that_evicts_jobs_is_told(url: str, client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        check = looked(url, made(url, {}))["eviction"]
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert (check.fine, check.said) == (False, "maxmemory-policy is allkeys-lru")


@pytest.mark.parametrize(("ahead_ms", "fine"), [(0, True), (-3000, False)])
def test_the_clocks_of_workers_are_told_by_jobs_that_ended(
    url: str, client: redis.Redis, ahead_ms: int, fine: bool
) -> None:
    """As a worker with such a clock leaves a job: it notes the end by its own, and Redis numbers the event by its."""
    queue = made(url, {})
    for job in ("7", "8"):
        client.hset(queue.key(job), "finishedOn", unix_ns() // 1_000_000 + ahead_ms)
        client.xadd(queue.key("events"), {"event": "completed", "jobId": job})
    check = looked(url, queue)["clock"]
    assert check.fine is fine
    assert fine or re.match(r"of the workers: (2\.9\d|3(\.0\d)?) s behind this machine's", check.said)


def test_rights_that_a_user_lacks_are_told(url: str, client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", "~bull:*", "+@all", "-evalsha")
    found = looked(url.replace("redis://", "redis://app:secret@"), Queue("any"))
    assert list(found) == ["rights"]
    assert found["rights"].said.startswith("EVALSHA x 1: ")
    assert found["rights"].means == "jobs are not added, or what became of them is not read"


def test_a_worker_in_python_and_its_clock_are_seen(url: str) -> None:
    queue = made(url, {}, {})

    async def look_beside_a_worker() -> dict[str, Check]:
        done = asyncio.Event()

        async def work(job: Any, token: str) -> None:
            if job.id == "2":
                done.set()

        worker = Worker(queue.name, work, {"connection": {"port": urlsplit(url).port, "socket_timeout": None}})
        try:
            await asyncio.wait_for(done.wait(), 20)
            return await looked_until_ended()
        finally:
            await asyncio.wait_for(worker.close(True), 10)

    async def looked_until_ended() -> dict[str, Check]:
        for _ in range(100):
            found = await asyncio.to_thread(looked, url, queue)
            if "backlog" not in found:
                break
            await asyncio.sleep(0.05)
        return found

    found = asyncio.run(look_beside_a_worker())
    assert found["workers"].fine
    assert found["clock"].fine
    assert found["clock"].said.startswith("of the workers: ")
    assert all(each.fine for each in found.values())


@pytest.mark.thorough
def test_a_worker_in_node_is_seen(url: str, node: str, tmp_path: Path) -> None:
    queue = made(url, {})
    command = [node, str(NODE / "worker.mjs"), str(tmp_path), "5", "{}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    theirs = System(redis_url=url, queue=queue.name).as_environment()
    with subprocess.Popen(command, env=environment | theirs, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
            assert looked(url, queue)["workers"].fine
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(15)
