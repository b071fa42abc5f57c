"""Worker processes on a real Redis: every job is accounted for, however the processes end."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pandas as pd
import psutil
import pytest
import redis
import yaml

from capacity.analysis.measured.ledger import reconcile
from capacity.system.application.consumer import connection_pool, open_queue
from capacity.system.application.jobs import JobDraws
from capacity.system.application.ledger import read_ledger
from capacity.system.application.worker import STOP_S, DeadLetters
from capacity.system.processes import application_command
from capacity.system.programs import redis_server
from capacity.workload import parse_workload

TYPE = "TokenRefresh"
OPTIONS: dict[str, Any] = {"attempts": 3, "backoff": {"type": "exponential", "delay": 60, "jitter": 0.5}}
FAILURES = {"timeout": {"percent": 8, "lasting": 0.25}, "expired token": {"percent": 6, "lasting": 0.25}}
READY_S = 30.0


def job_file(median_ms: float, p99_ms: float, failures: dict[str, Any]) -> dict[str, Any]:
    job = {"service_ms": {"median": median_ms, "p99": p99_ms}, "failures": failures}
    stages = [{"name": "sustain", "seconds": 1, "to": 1}]
    return {
        "name": "test",
        "target": "bullmq",
        "connections": 1,
        "seed": 5,
        "operations": [{"name": TYPE, "weight": 100, "job": job}],
        "shapes": {"smoke": {"kind": "rate", "stages": stages}},
    }


@dataclass
class Stage:
    """A queue of its own, its workers, and their ledger."""

    folder: Path
    redis_url: str
    queue: str = field(default_factory=lambda: f"test-{uuid4().hex}")
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self.jobs = self.folder / "jobs.yaml"
        self.write_jobs(5, 15, {})

    @property
    def given(self) -> dict[str, Path]:
        return {"directory": self.folder, "ledger": self.folder / "ledger", "jobs": self.jobs}

    def write_jobs(self, median_ms: float, p99_ms: float, failures: dict[str, Any]) -> None:
        self.jobs.write_text(yaml.safe_dump(job_file(median_ms, p99_ms, failures)))

    def start(self, count: int = 1, **options: float) -> list["subprocess.Popen[str]"]:
        """Worker processes that have said that they take jobs."""
        started = [self.launch(number, **options) for number in range(1, count + 1)]
        for each in started:
            assert each.stdout
            assert each.stdout.readline() == "ready\n", each.stderr and each.stderr.read()
        return started

    def launch(self, number: int = 1, **options: float) -> "subprocess.Popen[str]":
        command = application_command("worker", **self.given, number=number, **options)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
        environment |= {"CAPACITY_REDIS_URL": self.redis_url, "CAPACITY_QUEUE": self.queue}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.processes.append(subprocess.Popen(command, env=environment, text=True, **pipes))
        return self.processes[-1]

    def add(self, count: int) -> list[str]:
        async def enqueue() -> list[str]:
            pool = connection_pool(self.redis_url, 1)
            jobs = [{"name": TYPE, "data": {"owner": number}, "opts": OPTIONS} for number in range(count)]
            added = await open_queue(pool, self.queue).addBulk(jobs)
            await pool.disconnect()
            return [job.id for job in added]

        return asyncio.run(enqueue())

    def key(self, name: str, suffix: str = "") -> str:
        return f"bull:{self.queue}{suffix}:{name}"

    def finished(self) -> int:
        return int(self.client.zcard(self.key("completed")) + self.client.zcard(self.key("failed")))

    def ledger(self) -> pd.DataFrame:
        return read_ledger(self.folder / "ledger")

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        self.client.close()


@pytest.fixture
def stage(tmp_path: Path, redis_url: str) -> Iterator[Stage]:
    made = Stage(tmp_path, redis_url)
    yield made
    for key in made.client.scan_iter(f"bull:{made.queue}*"):
        made.client.delete(key)
    made.end()


def wait_until(true: Callable[[], bool], within_s: float = 30.0) -> float:
    """How long it took from now on."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < within_s, f"not within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - begin


def stopped(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    """The exit status of a process that was told to stop, and what it said of errors."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=STOP_S + 10)
    return process.returncode, errors


def test_500_jobs_are_all_accounted_for(stage: Stage) -> None:
    """What each job does is drawn from its id, so everything that must have happened is known beforehand."""
    stage.write_jobs(3, 12, FAILURES)
    draws = JobDraws(parse_workload(yaml.safe_load(stage.jobs.read_text())))
    workers = stage.start(2, concurrency=20)
    ids = stage.add(500)
    wait_until(lambda: stage.finished() == 500)
    dead = {each: reason for each in ids if (reason := draws.attempt(TYPE, each, 3).failure)}
    failed_once = {each for each in ids if draws.attempt(TYPE, each, 1).failure} - dead.keys()
    assert len(dead) > 5
    assert len(failed_once) > 20

    assert {(status, errors) for status, errors in map(stopped, workers)} == {(0, "")}
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(stage.folder) in (each.info["cmdline"] or [])]

    ledger = stage.ledger()
    found = reconcile(ids, ledger.loc[ledger["event"] == "completed", "job"])
    assert (found.acknowledged, found.ok, found.unexpected, found.duplicated) == (500, 500 - len(dead), 0, 0)
    assert set(found.ids("lost")) == set(dead)
    failed = ledger[ledger["event"] == "failed"]
    assert failed.groupby("job")["attempt"].apply(list).to_dict() == {
        each: [1, 2, 3] if each in dead else [1] for each in [*dead, *failed_once]
    }
    assert set(failed["reason"]) == set(FAILURES)
    started, ended = ledger[ledger["event"] == "started"], ledger[ledger["event"] != "started"]
    attempts = [set(zip(part["job"], part["attempt"], strict=True)) for part in (started, ended)]
    assert attempts[0] == attempts[1]
    assert len(started) == len(ended) == len(attempts[0])
    assert ledger["worker"].nunique() == 2

    assert set(stage.client.zrange(stage.key("failed"), 0, -1)) == set(dead)
    letters = {each: stage.client.hgetall(stage.key(each, "-dead")) for each in dead}
    assert stage.client.llen(stage.key("wait", "-dead")) == len(dead)
    for each, reason in dead.items():
        assert letters[each]["name"] == TYPE
        owner = ids.index(each)
        assert yaml.safe_load(letters[each]["data"]) == {"data": {"owner": owner}, "reason": reason, "attempts": 3}
        assert stage.client.hget(stage.key(each), "failedReason") == reason


def test_the_jobs_of_a_killed_worker_are_done_by_another(stage: Stage) -> None:
    """At most as many as it worked at are done twice, after the lock and two looks for stalled jobs."""
    stage.write_jobs(300, 300, {})
    (killed,) = stage.start(1, concurrency=5, lock_s=1, stalled_s=0.5)
    ids = stage.add(10)
    wait_until(lambda: stage.client.zcard(stage.key("completed")) >= 5)
    wait_until(lambda: stage.client.llen(stage.key("active")) == 5)
    killed.kill()
    killed.wait()
    stage.start(1, concurrency=5, lock_s=1, stalled_s=0.5)
    took = wait_until(lambda: stage.finished() == 10, within_s=10)
    assert took < 1 + 2 * 0.5 + 0.3 + 2
    ledger = stage.ledger()
    found = reconcile(ids, ledger.loc[ledger["event"] == "completed", "job"])
    assert (found.ok, found.lost, found.unexpected, found.duplicated) == (10, 0, 0, 0)
    started = ledger[ledger["event"] == "started"]["job"].value_counts()
    assert sorted(started) == [1] * 5 + [2] * 5


def test_a_job_that_stalled_too_often_is_a_dead_letter_with_that_reason(stage: Stage) -> None:
    """`defa` is what BullMQ notes of such a job before it gives it out once more."""
    first, second = stage.add(2)
    stage.client.hset(stage.key(first), "defa", "job stalled more than allowable limit")
    stage.start(1)
    wait_until(lambda: stage.finished() == 2)
    assert stage.client.zrange(stage.key("failed"), 0, -1) == [first]
    letter = yaml.safe_load(stage.client.hget(stage.key(first, "-dead"), "data") or "")
    assert letter == {"data": {"owner": 0}, "reason": "stalled", "attempts": 1}
    lines = stage.ledger()[["event", "job", "reason"]].astype(object).fillna("").to_numpy().tolist()
    assert ["failed", first, "stalled"] in lines
    assert ["completed", second, ""] in lines
    assert ["started", first, ""] not in lines


def test_a_job_of_an_unknown_type_is_a_dead_letter_with_that_reason(stage: Stage) -> None:
    stage.jobs.write_text(stage.jobs.read_text().replace(TYPE, "Another"))
    (job,) = stage.add(1)
    stage.start(1)
    wait_until(lambda: stage.finished() == 1)
    assert yaml.safe_load(stage.client.hget(stage.key(job, "-dead"), "data") or "")["reason"] == "unknown type"


def test_a_job_that_is_given_up_again_is_a_dead_letter_once(stage: Stage) -> None:
    async def give_up() -> None:
        pool = connection_pool(stage.redis_url, 1)
        letters = DeadLetters(pool, stage.queue, "bull")
        for reason in ("timeout", "stalled"):
            await letters.add(SimpleNamespace(id="outbox-7", name=TYPE, data={"owner": 1}), reason, 3)
        await pool.disconnect()

    asyncio.run(give_up())
    assert stage.client.lrange(stage.key("wait", "-dead"), 0, -1) == ["outbox-7"]
    letter = yaml.safe_load(stage.client.hget(stage.key("outbox-7", "-dead"), "data") or "")
    assert letter == {"data": {"owner": 1}, "reason": "timeout", "attempts": 3}


def test_a_worker_that_is_told_to_stop_ends_the_jobs_under_way(stage: Stage) -> None:
    stage.write_jobs(500, 500, {})
    (worker,) = stage.start(1, concurrency=5)
    stage.add(20)
    wait_until(lambda: stage.client.llen(stage.key("active")) == 5)
    begin = time.monotonic()
    assert stopped(worker, signal.SIGINT) == (0, "")
    assert time.monotonic() - begin < 2.5
    assert stage.client.zcard(stage.key("completed")) == 5
    assert stage.client.llen(stage.key("active")) == 0
    assert stage.client.llen(stage.key("wait")) == 15


@dataclass
class OwnRedis:
    """A Redis that a test may kill and hang."""

    folder: Path

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        words = ["--port", str(self.port), "--save", "", "--appendonly", "yes", "--dir", str(self.folder)]
        words += ["--appendfsync", "always", "--bind", "127.0.0.1"]
        self.process = subprocess.Popen([redis_server(), *words], stdout=subprocess.DEVNULL, cwd="/")
        with redis.Redis.from_url(self.url) as client:
            wait_until(lambda: answers(client))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    made = OwnRedis(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def own_stage(tmp_path: Path, own_redis: OwnRedis) -> Iterator[Stage]:
    made = Stage(tmp_path, own_redis.url)
    yield made
    made.end()


@pytest.mark.thorough
def test_a_redis_that_is_away_for_a_while_is_waited_for_quietly(own_stage: Stage, own_redis: OwnRedis) -> None:
    """Killed in mid-work, with every write on its disk: what is under way is reported later, and none is lost."""
    stage = own_stage
    own_redis.kill()
    stage.write_jobs(200, 200, {})
    worker = stage.launch(concurrency=5)
    assert worker.stderr
    assert worker.stdout
    assert worker.stderr.readline().startswith("worker: Redis does not answer: ")
    own_redis.start()
    assert worker.stdout.readline() == "ready\n"
    ids = stage.add(50)
    for _ in range(2):
        wait_until(lambda: stage.client.llen(stage.key("active")) == 5)
        own_redis.kill()
        time.sleep(0.5)
        own_redis.start()
        begin = time.monotonic()
        finished = stage.finished()
        wait_until(lambda before=finished: stage.finished() > before)
        assert time.monotonic() - begin < 2
    wait_until(lambda: stage.finished() + stage.client.llen(stage.key("active")) == 50)
    without_answer = set(
        stage.client.lrange(stage.key("active"), 0, -1)
    )  # given out as Redis died: until the lock ends
    status, errors = stopped(worker)
    assert status == 0
    assert all(line.startswith("worker: ") for line in errors.splitlines()), errors
    assert len(errors.splitlines()) <= 4, errors
    ledger = stage.ledger()
    found = reconcile(ids, ledger.loc[ledger["event"] == "completed", "job"])
    assert set(found.ids("lost")) <= without_answer
    assert (found.unexpected, found.duplicated) == (0, 0)


@pytest.mark.thorough
def test_a_worker_ends_in_time_where_redis_hangs(own_stage: Stage, own_redis: OwnRedis) -> None:
    stage = own_stage
    (worker,) = stage.start(1, concurrency=5)
    stage.add(50)
    own_redis.process.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    status, errors = stopped(worker)
    took = time.monotonic() - begin
    own_redis.process.send_signal(signal.SIGCONT)
    assert took < STOP_S + 3
    assert status == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("environment", "words", "message"),
    [
        ({}, {}, "worker: a worker needs a queue; set CAPACITY_REDIS_URL"),
        (
            {"CAPACITY_REDIS_URL": "redis://redis.example/0"},
            {},
            "worker: CAPACITY_REDIS_URL is on the host redis.example, and only this machine is loaded unless a host is "
            "allowed by name; set CAPACITY_ALLOW_HOSTS=redis.example if that host is yours to load",
        ),
        ({}, {"concurrency": 0}, "Error: Invalid value for '--concurrency': 0 is not in the range x>=1."),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    stage: Stage, environment: dict[str, str], words: dict[str, float], message: str
) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    command = application_command("worker", **stage.given, **words)
    ran = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=False, timeout=READY_S)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1] == message


def test_a_redis_that_refuses_is_one_sentence(stage: Stage) -> None:
    stage.redis_url = stage.redis_url.replace("redis://", "redis://nobody:wrong@")
    worker = stage.launch()
    _, errors = worker.communicate(timeout=READY_S)
    assert worker.returncode == 2
    assert len(errors.splitlines()) == 1
    assert errors.startswith("worker: Redis refuses the worker: ")
    assert errors.endswith("; correct the address in CAPACITY_REDIS_URL\n")
