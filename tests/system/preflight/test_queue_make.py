"""Who made a queue is told by what it, its jobs and its workers show, and where no jobs can be added, that is said."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import redis

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.load.bullmq import Queue, QueueMake
from capacity.system.addresses import System
from capacity.system.embedded import free_port, run_redis
from capacity.system.preflight.queue import queue_checks
from capacity.system.preflight.queue_make import read_make, require_jobs_taken, worker_connections
from capacity.system.server_directory import open_server_directory

Make = Callable[..., AbstractContextManager[None]]
NAMES = iter(f"makes {{{number}}} é" for number in range(100))  # names as odd as they may be
LEFT_OUT = "leave the queue out: capacity run --only database,redis,gateway"
NO_BULLMQ = "no job is added, for they are added to queues of BullMQ 3 to 6"
VERSIONS = {"bullmq-3": "3.16.2", "bullmq-4": "4.18.3", "bullmq-5": "5.81.5", "bullmq": "6.7.0"}


@pytest.fixture
def queue() -> Queue:
    return Queue(next(NAMES), "their:prefix")


def refusal(url: str, queue: Queue) -> str:
    """The sentence, which the preflight says too, as the only thing of it and as one without which nothing works."""
    with pytest.raises(CapacityError) as refused:
        require_jobs_taken(url, queue)
    (check,) = queue_checks(url, queue)
    assert check.needed
    assert str(refused.value) == f"{check.said}; {check.means}: {check.to_do}"
    return str(refused.value)


def theirs(url: str, queue: Queue) -> System:
    return System(redis_url=url, queue=queue.name, queue_prefix=queue.prefix)


@pytest.mark.parametrize(
    ("version", "make"),
    [
        ("bullmq:5.81.5", QueueMake(version="5.81.5", major=5)),
        ("bullmq:6.0.0-rc.1", QueueMake(version="6.0.0-rc.1", major=6)),
        ("bullmq:4.18.3", QueueMake(version="4.18.3", major=4)),
    ],
)
def test_a_version_that_is_noted_is_taken(
    url: str, client: redis.Redis, queue: Queue, version: str, make: QueueMake
) -> None:
    client.hset(queue.key("meta"), "version", version)
    assert require_jobs_taken(url, queue) == make
    assert make.said == f"BullMQ {make.version}"


@pytest.mark.parametrize("version", ["bullmq:7.0.0", "bullmq:2.4.0", "bullmq-pro:7.36.1", "ours:next"])
def test_a_version_whose_workers_were_not_seen_with_our_jobs_is_refused(
    url: str, client: redis.Redis, queue: Queue, version: str
) -> None:
    client.hset(queue.key("meta"), "version", version)
    said = version.replace("bullmq:", "BullMQ ").replace(":", " ")
    assert refusal(url, queue) == f"{queue.key('')[:-1]} is a queue of {said}; {NO_BULLMQ}: {LEFT_OUT}"


@pytest.mark.parametrize(("field", "major"), [("attemptsMade", 4), ("atm", 5)])
def test_where_no_version_is_noted_the_jobs_tell_it(
    url: str, client: redis.Redis, queue: Queue, field: str, major: int
) -> None:
    client.hset(queue.key("meta"), "opts.maxLenEvents", 10_000)
    client.zadd(queue.key("completed"), {"1": 1})
    client.hset(queue.key("1"), mapping={"name": "Plain", field: 1})
    assert require_jobs_taken(url, queue).major == major


def test_a_queue_of_bull_is_refused_and_keeps_what_it_has(url: str, client: redis.Redis, queue: Queue) -> None:
    client.lpush(queue.key("wait"), "1")
    assert refusal(url, queue) == f"{queue.key('')[:-1]} is a queue of Bull; {NO_BULLMQ}: {LEFT_OUT}"
    assert client.keys(f"{queue.prefix}:{queue.name}:*") == [queue.key("wait").encode()]


def test_a_name_that_no_queue_has_is_refused(url: str, client: redis.Redis, queue: Queue) -> None:
    assert refusal(url, queue) == (
        f"there is no queue {queue.key('')[:-1]} in this Redis; jobs would be added to a queue that nobody has: "
        "correct CAPACITY_QUEUE or CAPACITY_QUEUE_PREFIX, or start the workers"
    )
    assert not client.keys(f"{queue.prefix}:{queue.name}:*")


def test_a_paused_queue_is_refused(url: str, client: redis.Redis, queue: Queue) -> None:
    client.hset(queue.key("meta"), mapping={"opts.maxLenEvents": 10_000, "paused": 1})
    assert refusal(url, queue) == (
        f"{queue.key('')[:-1]} is paused; no job is added, for none would be done: resume it, as by queue.resume()"
    )


def test_a_redis_that_is_down_is_one_sentence() -> None:
    with pytest.raises(CapacityError, match="Redis does not answer: "):
        require_jobs_taken("redis://127.0.0.1:1/0", Queue("orders"))


def test_the_keys_of_a_queue_are_in_one_slot_of_a_cluster_or_no_job_is_added() -> None:
    with open_server_directory() as directory:
        url = run_redis(directory, **{"cluster-enabled": "yes", "cluster-port": str(free_port())}).url
        with redis.Redis.from_url(url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            assert wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"), 20)
            assert refusal(url, Queue("orders")) == (
                "the keys of bull:orders are in several slots of the cluster; no job is added: BullMQ's scripts take "
                "keys of one slot alone: name a queue whose prefix or name has braces, as CAPACITY_QUEUE_PREFIX={bull}"
            )
            within = Queue("orders", "{bull}")
            client.hset(within.key("meta"), "version", "bullmq:5.81.5")
            assert require_jobs_taken(url, within).major == 5


@pytest.mark.thorough
@pytest.mark.parametrize(("module", "version"), VERSIONS.items())
def test_each_bullmq_is_told_by_its_queue_and_refused_while_it_is_paused(
    url: str, queue: Queue, any_make: Make, module: str, version: str
) -> None:
    system, make = theirs(url, queue), QueueMake(version=version, major=int(version[0]))
    with any_make(system, module, "open"):
        assert require_jobs_taken(url, queue) == make
    with any_make(system, module, "pause"):
        assert " is paused; " in refusal(url, queue)
    with any_make(system, module, "resume"):
        assert require_jobs_taken(url, queue) == make


@pytest.mark.thorough
@pytest.mark.parametrize("module", VERSIONS)
def test_workers_alone_tell_whether_they_are_of_bullmq_5_or_newer(
    url: str, client: redis.Redis, queue: Queue, any_make: Make, module: str
) -> None:
    """As long as no producer has noted a version."""
    with any_make(theirs(url, queue), module, "work"):
        if VERSIONS[module] >= "5":
            assert wait_until(lambda: read_make(client, queue) == QueueMake(major=5), 10)
            assert require_jobs_taken(url, queue) == QueueMake(major=5)
        else:
            assert wait_until(lambda: read_make(client, queue) is not None, 10)
            assert "its workers are of Bull, or BullMQ up to 4, which keep jobs otherwise" in refusal(url, queue)
            client.hset(queue.key("meta"), "opts.maxLenEvents", 10_000)
            assert require_jobs_taken(url, queue).said == "BullMQ up to 4"
        assert len(worker_connections(client, queue) or []) == 1


@pytest.mark.thorough
def test_bull_is_refused_in_each_state(url: str, queue: Queue, any_make: Make) -> None:
    system, said = theirs(url, queue), f"{queue.key('')[:-1]} is a queue of Bull; {NO_BULLMQ}: {LEFT_OUT}"
    with any_make(system, "bull", "pause"):
        assert refusal(url, queue) == said
    with any_make(system, "bull", "add"):
        assert refusal(url, queue) == said
    with any_make(system, "bull", "resume"), any_make(system, "bull", "work"):
        assert refusal(url, queue) == said
    assert refusal(url, queue) == said


@pytest.mark.thorough
def test_who_only_listens_to_the_events_is_no_worker_and_makes_no_queue(url: str, queue: Queue, any_make: Make) -> None:
    with any_make(theirs(url, queue), "bullmq-5", "listen"):
        assert refusal(url, queue).startswith("there is no queue ")
