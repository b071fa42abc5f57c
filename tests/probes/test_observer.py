"""A queue is watched from outside: its counts, and each finished job once, by the events that BullMQ writes."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import redis

from capacity.load.bullmq import Queue
from capacity.probes.observer import Observer, RedisClock

NAMES = count()
TOKEN = "c00000001"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
def queue(client: redis.Redis) -> Iterator[Queue]:
    made = Queue(f"watched-{next(NAMES)}", "test")
    yield made
    client.unlink("test:none", *client.keys(f"test:{made.name}*"))


def event(client: redis.Redis, queue: Queue, what: str, job: str, at: str = "*", **fields: str) -> None:
    client.xadd(queue.key("events"), {"event": what, "jobId": job, **fields}, id=at)


def add(client: redis.Redis, queue: Queue, job: str) -> None:
    """As BullMQ's script leaves a job that it adds."""
    client.hset(queue.key(job), "name", "Greet")
    client.lpush(queue.key("wait"), job)
    event(client, queue, "added", job, name="Greet")
    event(client, queue, "waiting", job)


def end(client: redis.Redis, queue: Queue, job: str) -> None:
    """As a worker leaves a job that is not kept."""
    client.lrem(queue.key("wait"), 1, job)
    event(client, queue, "active", job, prev="waiting")
    client.unlink(queue.key(job))
    event(client, queue, "completed", job, returnvalue="null", prev="active")


def read(rows: Iterator[list[Any]]) -> list[tuple[str, str, int]]:
    """Jobs with outcome and attempts."""
    return [(row[0], row[7], row[6]) for part in rows for row in part]


def test_each_finished_job_is_read_once_with_its_times(client: redis.Redis, queue: Queue) -> None:
    observer = Observer(client, queue, {"token": ""})
    for at, name, fields in (
        ("1000-1", "added", {"name": "Greet"}),
        ("1000-2", "delayed", {"delay": "1005"}),
        ("1010-1", "active", {"prev": "waiting"}),
        ("1012-1", "delayed", {"delay": "1015"}),
        ("1020-1", "active", {"prev": "waiting"}),
        ("1040-1", "failed", {"failedReason": "timeout", "prev": "active"}),
    ):
        event(client, queue, name, "7", at, **fields)
    rows = [row for part in observer.finished() for row in part]
    assert rows == [("7", "Greet", 1000, 5, 1020, 1040, 2, "failed", "timeout")]
    assert [*observer.finished()] == []


def test_what_finished_before_is_not_read(client: redis.Redis, queue: Queue) -> None:
    add(client, queue, "old")
    end(client, queue, "old")
    observer = Observer(client, queue, {"token": ""})
    add(client, queue, "new")
    end(client, queue, "new")
    assert read(observer.finished()) == [("new", "completed", 1)]


def test_of_others_jobs_it_is_counted_only_how_many_were_added(client: redis.Redis, queue: Queue) -> None:
    observer = Observer(client, queue, {"token": TOKEN})
    for job in (f"{TOKEN}-0-0-0", f"{TOKEN}-theirs", "c00000002-0-0-1", "12"):
        add(client, queue, job)
        end(client, queue, job)
    assert read(observer.finished()) == [(f"{TOKEN}-0-0-0", "completed", 1)]
    assert observer.own()["observer.others"] == 3


def test_the_counts_are_the_queues_and_a_dead_letter_queue_is_counted_where_there_is_one(
    client: redis.Redis, queue: Queue
) -> None:
    client.rpush(queue.key("wait"), "a", "b", "c")
    client.zadd(queue.key("delayed"), {"d": 1})
    client.zadd(queue.key("completed"), {"e": 1})
    observer = Observer(client, queue, {"token": ""})
    counts = observer.counts()
    assert {name: count for name, count in counts.items() if count} == {"wait": 3, "delayed": 1, "completed": 1}
    assert "dead" not in counts
    assert Observer(client, queue, {"token": "", "dead_letters": True}).counts()["dead"] == 0
    client.rpush(f"test:{queue.name}-dead:wait", "e")
    assert observer.counts()["dead"] == 1


def test_jobs_that_have_not_begun_are_taken_out_at_the_end_and_each_says_its_state(
    client: redis.Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capacity.probes.observer.ENDING_NS", 0)
    client.rpush(queue.key("wait"), "12", f"{TOKEN}-theirs")
    observer = Observer(client, queue, {"token": TOKEN})
    observer.counts()
    own = [f"{TOKEN}-0-0-{number}" for number in range(6)]
    for job in own:
        add(client, queue, job)
    end(client, queue, own[0])
    for job, kind in zip(own[1:4], ("delayed", "prioritized", "waiting-children"), strict=True):
        client.lrem(queue.key("wait"), 1, job)
        client.zadd(queue.key(kind), {job: 1})
    client.lrem(queue.key("wait"), 1, own[4])
    client.lpush(queue.key("active"), own[4])
    event(client, queue, "active", own[4])
    states = {job: state for job, state, _ in read(observer.close())}
    assert states == {
        own[0]: "completed", own[1]: "delayed", own[2]: "prioritized", own[3]: "waiting-children", own[4]: "active",
        own[5]: "wait",
    }  # fmt: skip
    assert client.lrange(queue.key("wait"), 0, -1) == [b"12", f"{TOKEN}-theirs".encode()]
    assert {key.decode() for key in client.keys(queue.key(f"{TOKEN}-0*"))} == {queue.key(own[4])}
    assert client.hkeys(queue.key("capacity:loads")) == [TOKEN.encode()]  # the next start looks what became of it


def test_events_that_were_dropped_before_they_were_read_leave_what_they_told_unknown(
    client: redis.Redis, queue: Queue
) -> None:
    observer = Observer(client, queue, {"token": TOKEN})
    own = [f"{TOKEN}-0-0-{number}" for number in range(5)]
    for job in own[:4]:
        add(client, queue, job)
    assert read(observer.finished()) == []
    end(client, queue, own[0])
    client.lrem(queue.key("wait"), 1, own[1])
    event(client, queue, "active", own[1])
    client.xtrim(queue.key("events"), maxlen=0, approximate=False)
    event(client, queue, "completed", own[1])
    client.unlink(queue.key(own[1]))
    add(client, queue, own[4])
    end(client, queue, own[4])
    end(client, queue, own[2])
    assert read(observer.finished()) == [(own[1], "completed", 0), (own[4], "completed", 1), (own[2], "completed", 0)]
    assert observer.own()["observer.missed"] == 1
    assert sorted(read(observer.close())) == [(own[0], "unknown", 0), (own[3], "wait", 0)]


def test_jobs_that_somebody_drained_have_no_row(
    client: redis.Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capacity.probes.observer.LOOK_NS", 0)
    observer = Observer(client, queue, {"token": TOKEN})
    add(client, queue, f"{TOKEN}-0-0-0")
    add(client, queue, f"{TOKEN}-0-0-1")
    client.delete(queue.key("wait"), *client.keys(queue.key(f"{TOKEN}-*")))
    assert read(observer.finished()) == []
    assert observer.own()["observer.unfinished"] == 0  # so that nobody waits for them
    assert read(observer.close()) == []


def test_a_clock_of_redis_that_is_apart_is_laid_on_this_machines() -> None:
    clock = RedisClock()
    assert clock.ahead_ms((1_000, 61_500), 1_000_000_000_000, 1_000_003_000_000) == 60
    assert clock.ahead_ms((1_000, 500), 1_000_000_000_000, 1_000_001_000_000) == 0
