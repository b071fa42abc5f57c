"""A queue is watched from outside: its counts, and each finished job once, whoever added it."""

import time
from collections.abc import Iterator

import pytest
import redis

from capacity.load.bullmq import Queue
from capacity.probes.observer import Observer

QUEUE = Queue("watched", "test")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened
        opened.unlink(*opened.keys("test:watched*"), "test:none")


def finish(client: redis.Redis, number: str, at_ms: float, outcome: str = "completed", **fields: str) -> None:
    """What BullMQ leaves of a job that ended."""
    values = {"name": "Greet", "timestamp": "1000", "processedOn": "1010", "finishedOn": str(int(at_ms)), "atm": "1"}
    client.hset(QUEUE.key(number), mapping=values | {"opts": "{}"} | fields)
    client.zadd(QUEUE.key(outcome), {number: at_ms})


def read(observer: Observer) -> list[tuple[str | int, ...]]:
    return [job for part in observer.finished() for job in part]


def test_each_finished_job_is_read_once_with_its_times(client: redis.Redis) -> None:
    observer = Observer(client, QUEUE, {"token": ""})
    finish(client, "1", 1030)
    finish(client, "2", 1040, "failed", failedReason="timeout", atm="3", opts='{"delay": 5}')
    assert read(observer) == [
        ("1", "Greet", 1000, 0, 1010, 1030, 1, "completed", ""),
        ("2", "Greet", 1000, 5, 1010, 1040, 3, "failed", "timeout"),
    ]
    assert read(observer) == []


def test_a_job_whose_end_is_noted_late_is_read_all_the_same(client: redis.Redis) -> None:
    """A worker takes the time before it tells the queue, so an earlier end may appear after a later one."""
    observer = Observer(client, QUEUE, {"token": ""})
    finish(client, "1", 2000)
    assert len(read(observer)) == 1
    finish(client, "2", 1990)
    finish(client, "3", 2000)
    assert sorted(str(job[0]) for job in read(observer)) == ["2", "3"]


def test_what_finished_before_is_not_read(client: redis.Redis) -> None:
    finish(client, "old", time.time() * 1000)
    observer = Observer(client, QUEUE, {"token": ""})
    finish(client, "new", time.time() * 1000)
    assert [job[0] for job in read(observer)] == ["new"]


def test_only_the_measurements_own_jobs_are_removed(client: redis.Redis) -> None:
    observer = Observer(client, QUEUE, "c1")
    finish(client, "c1-0-0-0", 1030)
    finish(client, "c10-theirs", 1031)
    for part in observer.finished():
        observer.remove_own(part)
    assert client.exists(QUEUE.key("c1-0-0-0")) == 0
    assert client.zrange(QUEUE.key("completed"), 0, -1) == [b"c10-theirs"]
    assert client.exists(QUEUE.key("c10-theirs")) == 1


def test_the_counts_are_the_queues(client: redis.Redis) -> None:
    client.rpush(QUEUE.key("wait"), "a", "b", "c")
    client.zadd(QUEUE.key("delayed"), {"d": 1})
    client.rpush("test:watched-dead:wait", "e")
    finish(client, "1", 1030)
    counts = Observer(client, QUEUE, {"token": ""}).counts()
    assert {name: count for name, count in counts.items() if count} == {
        "wait": 3, "delayed": 1, "completed": 1, "dead": 1,
    }  # fmt: skip
