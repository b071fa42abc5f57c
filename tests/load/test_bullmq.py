"""Jobs are added as BullMQ's own producers add them: the real library takes them from the queue."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from bullmq import Worker

from capacity.load.bullmq import Queue
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.recording import open_recording
from capacity.workload import parse_workload

COUNT = 200
STAGES = [{"name": "sustain", "seconds": 0.4, "to": COUNT / 0.4}]


def add_jobs(url: str, folder: Path, queue: Queue, token: str, major: int = 6, **job: Any) -> None:
    operation = {"name": "Greet", "weight": 100, "job": {"data": '{"owner": {owner}}', "attempts": 3, **job}}
    operation |= {"parameters": {"owner": {"kind": "sequence"}}}
    values = {"name": "w", "target": "bullmq", "connections": 2, "operations": [operation]}
    shape = {"kind": "rate", "arrivals": "uniform", "stages": STAGES}
    workload = parse_workload({**values, "shapes": {"test": shape}})
    more = {"queue": {"name": queue.name, "prefix": queue.prefix}, "token": token}
    more["queue_make"] = {"major": major}
    measure(Measurement(workload, "test", more=more), url, [gauges_of(redis=url)], folder)
    samples = open_recording(folder).samples
    assert (len(samples), set(samples["outcome"])) == (COUNT, {"ok"})


def taken(url: str, queue: Queue, count: int, seconds: float = 20.0) -> list[Any]:
    """The jobs that BullMQ's own worker is given."""
    jobs: list[Any] = []

    async def work() -> None:
        async def process(job: Any, token: str) -> None:
            jobs.append(job)

        address = urlsplit(url)
        connection = {"host": address.hostname, "port": address.port, "socket_timeout": None}
        worker = Worker(queue.name, process, {"connection": connection, "prefix": queue.prefix, "concurrency": 20})
        for _ in range(round(seconds / 0.05)):
            if len(jobs) >= count:
                break
            await asyncio.sleep(0.05)
        await asyncio.wait_for(worker.close(force=True), 10)

    asyncio.run(work())
    return jobs


def test_the_librarys_own_worker_takes_every_job_with_its_data_and_options(redis_url: str, tmp_path: Path) -> None:
    queue = Queue("load-standard", "test")
    add_jobs(redis_url, tmp_path / "r", queue, "c1", backoff_ms=250)
    jobs = taken(redis_url, queue, COUNT)
    assert sorted(job.id for job in jobs) == sorted(f"c1-0-0-{number}" for number in range(COUNT))
    assert sorted(job.data["owner"] for job in jobs) == list(range(1, COUNT + 1))
    assert {job.name for job in jobs} == {"Greet"}
    assert all((job.attempts, job.opts["backoff"]["delay"]) == (3, 250) for job in jobs)


def test_a_delayed_job_is_added_to_the_delayed_ones(redis_url: str, tmp_path: Path) -> None:
    queue = Queue("load-delayed", "test")
    add_jobs(redis_url, tmp_path / "r", queue, "c2", delay_ms=60_000)
    with redis.Redis.from_url(redis_url) as client:
        assert client.zcard(queue.key("delayed")) == COUNT
        options = client.hget(queue.key("c2-0-0-0"), "opts")
        assert isinstance(options, bytes)
        assert json.loads(options)["delay"] == 60_000
        client.unlink(*client.keys(f"{queue.prefix}:{queue.name}:*"))


@pytest.mark.thorough
def test_a_paused_queue_of_bullmq_5_has_the_jobs_where_it_looks_when_it_is_resumed(
    redis_url: str, tmp_path: Path
) -> None:
    """Its resume puts the list `paused` in the place of `wait`; 6 has one list only."""
    with redis.Redis.from_url(redis_url) as client:
        for major, there in ((5, "paused"), (6, "wait")):
            queue = Queue(f"load-paused-{major}", "test")
            client.hset(queue.key("meta"), "paused", 1)
            add_jobs(redis_url, tmp_path / there, queue, "c3", major)
            assert {part: client.llen(queue.key(part)) for part in ("wait", "paused")} == {
                "wait": 0, "paused": 0, there: COUNT
            }  # fmt: skip
            client.unlink(*client.keys(f"{queue.prefix}:{queue.name}:*"))


@pytest.mark.thorough
def test_up_to_bullmq_4_a_mark_for_a_delayed_job_is_in_the_list_and_no_other_key_is_made(
    redis_url: str, tmp_path: Path
) -> None:
    queue, parts = Queue("load-old", "test"), {"id", "meta", "events", "wait"}
    with redis.Redis.from_url(redis_url) as client:
        add_jobs(redis_url, tmp_path / "a", queue, "c4", 4)
        keys = [key.decode().rpartition(":")[2] for key in client.keys(f"{queue.prefix}:{queue.name}:*")]
        assert {key for key in keys if not key.startswith("c4-")} == parts
        client.delete(queue.key("wait"))
        add_jobs(redis_url, tmp_path / "b", queue, "c5", 4, delay_ms=60_000)
        first = client.zrange(queue.key("delayed"), 0, 0, withscores=True)[0][1] / 0x1000
        assert [float(each.removeprefix(b"0:")) for each in client.lrange(queue.key("wait"), 0, -1)] == [int(first)]
        client.unlink(*client.keys(f"{queue.prefix}:{queue.name}:*"))


def test_scripts_that_the_server_forgets_cost_no_job(redis_url: str, tmp_path: Path) -> None:
    """As at a SCRIPT FLUSH or after a failover, again and again under load."""
    queue, ended = Queue("load-forgotten", "test"), threading.Event()

    def forget() -> None:
        with redis.Redis.from_url(redis_url) as client:
            while not ended.wait(0.05):
                client.script_flush()

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    try:
        add_jobs(redis_url, tmp_path / "r", queue, "c6")
    finally:
        ended.set()
        forgetting.join()
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(queue.key("wait")) == COUNT
        client.unlink(*client.keys(f"{queue.prefix}:{queue.name}:*"))
