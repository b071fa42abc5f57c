"""Jobs that a load left are found by its token in every state, and nothing else is touched."""

import json
from collections.abc import Iterator

import pytest
import redis

from capacity.load.bullmq import Queue
from capacity.probes.jobs import left
from capacity.probes.jobs.left import JobsLeft, Loads, clear_left_jobs
from capacity.system.embedded import run_redis
from capacity.system.server_directory import open_server_directory

QUEUE = Queue("theirs")
TOKEN = "c0123abcd"
LIKE_OURS = ["c0123abce-0-0-1", f"{TOKEN}-0-0", f"x{TOKEN}-0-0-1", f"{TOKEN}-0-0-1x", "1"]
SETS, LISTS = ("delayed", "waiting-children", "prioritized", "completed", "failed"), ("wait", "paused", "active")


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    with open_server_directory() as directory, redis.Redis.from_url(run_redis(directory).url) as client:
        yield client


@pytest.fixture
def client(server: redis.Redis) -> redis.Redis:
    """A queue with somebody's jobs in every state, some with ids that look like ours."""
    server.flushall()
    for job in LIKE_OURS:
        server.hset(QUEUE.key(job), "name", "theirs")
    for kind in SETS:
        server.zadd(QUEUE.key(kind), {f"{kind}-{job}": 1 for job in LIKE_OURS})
        server.zadd(QUEUE.key(kind), dict.fromkeys(LIKE_OURS, 2))
    for kind in LISTS:
        server.rpush(QUEUE.key(kind), *LIKE_OURS)
    return server


def everything(client: redis.Redis) -> dict[bytes, bytes | None]:
    return {key: client.dump(key) for key in client.scan_iter("*")}


def leave(client: redis.Redis, *, since_s: float = 0.0) -> None:
    """What a load that was killed leaves: jobs that have not begun in all states, with their records."""
    for number, kind in enumerate((*SETS[:3], *LISTS[:2])):
        job = f"{TOKEN}-0-1-{number}"
        client.hset(QUEUE.key(job), "name", "ours")
        client.sadd(QUEUE.key(f"{job}:dependencies"), "x")
        client.zadd(QUEUE.key(kind), {job: 1}) if kind in SETS else client.lpush(QUEUE.key(kind), job)
    client.hset(QUEUE.key("capacity:loads"), TOKEN, json.dumps({"at_s": since_s, "unfinished": 5}))


def test_the_next_start_takes_out_what_was_left_and_touches_nothing_else(client: redis.Redis) -> None:
    before = everything(client)
    leave(client)
    assert clear_left_jobs(client, QUEUE)
    assert everything(client) == before


def test_jobs_of_a_load_that_is_watched_are_left_alone(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left, "CLEAR_S", 0.05)
    loads = Loads(client, QUEUE)
    leave(client, since_s=loads.now_s() + 3600)
    before = everything(client)
    loads.clear()
    assert everything(client) == before
    assert not loads.settled(TOKEN, loads.now_s())


def test_a_job_that_a_worker_has_is_left_to_it_and_remembered(client: redis.Redis) -> None:
    leave(client)
    client.lpush(QUEUE.key("active"), f"{TOKEN}-0-1-9")
    Loads(client, QUEUE).clear()
    assert list(Loads(client, QUEUE).all()) == [TOKEN]
    client.lrem(QUEUE.key("active"), 1, f"{TOKEN}-0-1-9")
    Loads(client, QUEUE).clear()
    assert not client.exists(QUEUE.key("capacity:loads"))


@pytest.mark.parametrize("theirs", ["a text", {"not a token": "1"}, {TOKEN: "not ours"}])
def test_a_key_of_that_name_that_others_made_is_left_alone(client: redis.Redis, theirs: str | dict[str, str]) -> None:
    key = QUEUE.key("capacity:loads")
    client.set(key, theirs) if isinstance(theirs, str) else client.hset(key, mapping=theirs)
    before = everything(client)
    assert clear_left_jobs(client, QUEUE)
    assert everything(client) == before


@pytest.mark.parametrize("place", ["head", "middle", "tail"])
def test_ours_are_found_wherever_they_are_among_many_of_others(client: redis.Redis, place: str) -> None:
    theirs, ours = [f"{number}" for number in range(4000)], [f"{TOKEN}-0-0-{number}" for number in range(250)]
    at = {"head": 0, "middle": 2100, "tail": 4000}[place]
    client.delete(QUEUE.key("wait"))
    client.rpush(QUEUE.key("wait"), *theirs[:at], *ours, *theirs[at:])
    taken = [job.decode() for state, jobs in JobsLeft(client, QUEUE, TOKEN).take_out() for job in jobs]
    assert sorted(taken) == sorted(ours)
    assert client.lrange(QUEUE.key("wait"), 0, -1) == [each.encode() for each in theirs]
