"""A queue that is somebody's: its speed, its settings and its other jobs, which stay as they are."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml
from bullmq import Queue as BullmqQueue
from bullmq import Worker
from click.testing import CliRunner

from capacity.cli.prepare import prepare
from capacity.clock import monotonic_s, unix_s, wait_until
from capacity.findings import Finding, Objective, Verdict, judge
from capacity.load.bullmq import Queue
from capacity.probes.jobs import left
from capacity.probes.jobs.left import WatchedLoad, text_of
from capacity.probes.queue import (
    DRAIN_SECONDS,
    measure_queue,
    read_queue_findings,
    remove_left_jobs,
    wait_until_drained,
)
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.embedded import run_redis
from capacity.system.server_directory import open_server_directory

QUEUE = Queue("theirs")
NONE_LOST = Objective("queue.lost", "==", 0, "jobs")
KEPT, RATE, SECONDS = 100, 200, 2
START_S = 120  # at most, on a machine that does much else
TOMORROW_MS = 86_400_000
BOOKKEEPING = ("events", "id", "meta", "marker", "stalled-check")  # which BullMQ's own scripts write at each add


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with open_server_directory() as directory:
        yield run_redis(directory).url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """Somebody's queue: jobs that were done, jobs that wait, one of tomorrow, and ids that look like ours."""
    with redis.Redis.from_url(url) as connected:
        connected.flushall()
        added = [{}] * 5 + [{"delay": TOMORROW_MS}, {"jobId": "c1234abcd-0-0-1", "delay": TOMORROW_MS}]
        asyncio.run(_add(url, added))
        for number in range(KEPT):
            connected.hset(QUEUE.key(f"done-{number}"), mapping={"name": "pay", "returnvalue": "1"})
            connected.zadd(QUEUE.key("completed"), {f"done-{number}": unix_s() * 1000 - number})
        yield connected


async def _add(url: str, options: list[dict[str, Any]]) -> None:
    queue = BullmqQueue(QUEUE.name, {"connection": url})
    for each in options:
        await queue.add("pay", {"amount": 1}, each)
    await queue.close()


def theirs(client: redis.Redis) -> dict[str, bytes | None]:
    """Everything that is there but BullMQ's own bookkeeping."""
    kept = {QUEUE.key(each) for each in BOOKKEEPING}
    return {key.decode(): client.dump(key) for key in client.scan_iter("*") if key.decode() not in kept}


@contextmanager
def worked(url: str, seconds: float, concurrency: int = 1) -> Iterator[None]:
    """A worker of BullMQ's that takes so long for each job."""
    ended = threading.Event()

    async def work() -> None:
        async def process(job: Any, token: str) -> None:
            await asyncio.sleep(seconds)

        address = urlsplit(url)
        connection = {"host": address.hostname, "port": address.port, "socket_timeout": None}
        worker = Worker(QUEUE.name, process, {"connection": connection, "concurrency": concurrency})
        while not ended.is_set():
            await asyncio.sleep(0.02)
        await asyncio.wait_for(worker.close(force=True), 10)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def workloads(folder: Path, rate: float = RATE, seconds: float = SECONDS) -> Path:
    job = {"data": '{"owner": 1}', "attempts": 1}
    shape = {"kind": "rate", "stages": [{"name": "sustain", "seconds": seconds, "to": rate}]}
    values = {"name": "w", "target": "bullmq", "connections": 2, "shapes": {"smoke": shape}}
    operations = [{"name": "pay", "weight": 100, "job": job}]
    (folder / "queue.yaml").write_text(yaml.safe_dump(values | {"operations": operations}), encoding="utf-8")
    return folder


def measured(url: str, folder: Path, drain_s: float) -> dict[str, Finding]:
    system = System(redis_url=url, queue=QUEUE.name)
    made = measure_queue(system, workloads(folder), "smoke", folder / "recording", drain_s=drain_s)
    return {each.name.removeprefix("queue."): each for each in read_queue_findings(made)}


def test_jobs_that_nobody_took_are_not_lost_and_are_taken_out_again(
    url: str, client: redis.Redis, tmp_path: Path
) -> None:
    before = theirs(client)
    found = measured(url, tmp_path, drain_s=0.5)
    taken = found["acknowledged"].value
    assert taken
    assert (found["ok"].value, found["not_done_yet"].value) == (0, taken)
    assert found["not_done_yet"].note.startswith(f"by state: {taken:,.0f} wait;")
    assert (
        found["lost"].note
        == f"{taken:,.0f} of {taken:,.0f} jobs are not done yet, and whether they would be is not known"
    )
    assert judge(found["lost"], NONE_LOST) is Verdict.NO_DATA
    assert found["run_p50"].value is None
    assert (found["wait_p50"].value or 0) > 500  # as long as they were watched
    assert found["failed_rate"].note == "no job ended in the stages at a constant load"
    assert found["dead_letters"].note == "there is no queue of dead letters, which has the queue's name and -dead"
    assert found["depth_peak"].title == "jobs waiting, peak, those of others too"
    assert theirs(client) == before


@pytest.mark.thorough
def test_what_a_slow_worker_did_is_done_and_the_rest_is_not_done_yet(
    url: str, client: redis.Redis, tmp_path: Path
) -> None:
    with worked(url, 0.02):
        assert wait_until(lambda: not client.llen(QUEUE.key("wait")), 20)
        before = theirs(client)
        found = measured(url, tmp_path, drain_s=0.5)
        assert wait_until(lambda: theirs(client) == before, 20)
    taken, done, waiting = (found[name].value or 0 for name in ("acknowledged", "ok", "not_done_yet"))
    assert 20 < done < taken
    assert done + waiting == taken
    assert found["lost"].value is None
    assert found["failed_rate"].value == 0
    assert (found["run_p50"].value or 0) >= 20


@pytest.mark.thorough
def test_others_who_keep_their_last_jobs_keep_them_all_and_none_of_ours_is_lost(
    url: str, client: redis.Redis, tmp_path: Path
) -> None:
    """Their jobs end beside ours, each with the rule that all but so many that were done are removed."""
    begun = monotonic_s()
    with worked(url, 0, concurrency=20):
        rule = {"removeOnComplete": {"count": KEPT}}
        adding = threading.Thread(target=lambda: asyncio.run(_add(url, [rule] * 600)))
        adding.start()
        found = measured(url, tmp_path, drain_s=DRAIN_SECONDS)
        adding.join()
        assert wait_until(lambda: not client.llen(QUEUE.key("wait")), 20)
    assert monotonic_s() - begun < DRAIN_SECONDS  # tomorrow's job was not waited for
    assert found["ok"].value == found["acknowledged"].value
    assert [found[name].value for name in ("lost", "not_done_yet", "unexpected", "failed_rate")] == [0, 0, 0, 0]
    kept = client.zrange(QUEUE.key("completed"), 0, -1)
    assert len(kept) == KEPT
    assert not [job for job in kept if job.startswith(b"c")]
    assert client.zcard(QUEUE.key("delayed")) == 2


MEASURES = """
import sys
from pathlib import Path
from capacity.probes.queue import measure_queue
from capacity.recording import open_recording
from capacity.system.addresses import System
measure_queue(System(redis_url=sys.argv[1], queue=sys.argv[2]), Path(sys.argv[3]), "smoke", Path(sys.argv[4]))
"""


@contextmanager
def broken_off(url: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A measurement under way, some of whose jobs wait."""
    words = [sys.executable, "-c", MEASURES, url, QUEUE.name, str(workloads(folder, seconds=60)), str(folder / "r")]
    with subprocess.Popen(words, start_new_session=True) as process, redis.Redis.from_url(url) as client:
        try:
            assert wait_until(lambda: client.llen(QUEUE.key("wait")) > 100, START_S)
            yield process
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(each) for each in found.split()]


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_who_measures_is_ended_and_what_watches_takes_the_jobs_out(
    url: str, client: redis.Redis, tmp_path: Path, number: signal.Signals
) -> None:
    before = theirs(client)
    with broken_off(url, tmp_path) as process:
        process.send_signal(number)
        assert wait_until(lambda: theirs(client) == before, START_S)


@pytest.mark.thorough
def test_all_is_killed_at_once_and_the_next_start_takes_the_jobs_out(
    url: str, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left, "DEAD_S", 1.0)
    before = theirs(client)
    with broken_off(url, tmp_path) as process:
        for pid in (process.pid, *children(process.pid)):
            os.kill(pid, signal.SIGKILL)
    assert theirs(client) != before
    assert remove_left_jobs(url, QUEUE)
    assert theirs(client) == before


def test_what_is_due_tomorrow_and_what_waited_before_is_not_waited_for(url: str, client: redis.Redis) -> None:
    assert wait_until_drained(url, QUEUE, seconds=DRAIN_SECONDS, than=5)
    assert not wait_until_drained(url, QUEUE, seconds=0)
    client.delete(QUEUE.key("wait"))
    assert client.zcard(QUEUE.key("delayed")) == 2
    assert wait_until_drained(url, QUEUE, seconds=DRAIN_SECONDS)


def test_prepare_takes_out_what_was_left(url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CAPACITY_REDIS_URL": url, "CAPACITY_QUEUE": QUEUE.name}.items():
        monkeypatch.setenv(name, value)
    before = theirs(client)
    job = "c0123abcd-0-0-7"
    client.hset(QUEUE.key(job), "name", "pay")
    client.lpush(QUEUE.key("wait"), job)
    client.hset(QUEUE.key("capacity:loads"), "c0123abcd", text_of(WatchedLoad(0.0, 1)))
    said = CliRunner().invoke(prepare, ["--remove"])
    assert said.output.splitlines() == [
        f"queue {QUEUE.name}: no job of a load is left",
        "Redis: there are no keys below capacity:",
    ]
    assert theirs(client) == before


MANY, WAITING, PIECE = 1_000_000, 200_000, 20_000
MOST_US = 5_000  # of Redis' time for a command of ours
FILLS = "for number = ARGV[1], ARGV[2] do redis.call(ARGV[3], KEYS[1], {} 'x' .. number) end"


@pytest.mark.thorough
def test_beside_a_queue_of_a_million_jobs_it_takes_little_of_anything(
    url: str, client: redis.Redis, tmp_path: Path
) -> None:
    client.config_set("maxmemory", 0)
    for part, many, fill in (("completed", MANY, ("ZADD", "number,")), ("wait", WAITING, ("RPUSH", ""))):
        for start in range(0, many, PIECE):
            client.eval(FILLS.format(fill[1]), 1, QUEUE.key(part), start, start + PIECE - 1, fill[0])
    client.config_set("slowlog-log-slower-than", MOST_US)
    client.slowlog_reset()
    client.config_resetstat()
    found = measured(url, tmp_path, drain_s=0.5)
    assert found["not_done_yet"].value == found["acknowledged"].value
    assert client.llen(QUEUE.key("wait")) == WAITING + 5
    slow: Any = client.slowlog_get()
    assert len(slow) <= 2, slow  # such as when the machine gave Redis' core to others
    each_us = {name: told["usec_per_call"] for name, told in client.info("commandstats").items()}
    assert max(each_us.values()) < MOST_US / 2, each_us
    gauges = open_recording(tmp_path / "recording").gauges
    cpu_s, at_ns = (gauges.loc[gauges["gauge"] == "observer.cpu_s", name] for name in ("value", "at_ns"))
    assert (cpu_s.iloc[-2] - cpu_s.iloc[0]) / (at_ns.iloc[-2] - at_ns.iloc[0]) * 1e9 < 0.05  # the last is of the end
    assert gauges.loc[gauges["gauge"] == "observer.memory_bytes", "value"].max() < 100 * 1024**2


async def _emptied(url: str, how: str) -> None:
    queue = BullmqQueue(QUEUE.name, {"connection": url})
    await (queue.drain() if how == "drain" else queue.obliterate(force=True))
    await queue.close()


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["drain", "obliterate"])
def test_jobs_that_somebody_took_away_are_lost_unless_the_events_went_with_them(
    url: str, client: redis.Redis, tmp_path: Path, how: str
) -> None:
    def away() -> None:
        with redis.Redis.from_url(url) as own:
            assert wait_until(lambda: own.llen(QUEUE.key("wait")) > 100, START_S)
        asyncio.run(_emptied(url, how))

    thread = threading.Thread(target=away)
    thread.start()
    found = measured(url, tmp_path, drain_s=0.5)
    thread.join()
    gone = (found["acknowledged"].value or 0) - (found["not_done_yet"].value or 0)
    assert gone > 50
    lost = found["lost"]
    if how == "drain":
        assert (lost.value, judge(lost, NONE_LOST)) == (gone, Verdict.FAIL)
        assert "as where somebody drains" in lost.note
    else:
        assert judge(lost, NONE_LOST) is Verdict.NO_DATA
        assert (
            lost.note == f"what became of {gone:,.0f} jobs is not known: the queue dropped events before they were read"
        )
    assert not _ours(client)


def _ours(client: redis.Redis) -> list[bytes]:
    return [key for key in client.scan_iter(QUEUE.key("c*-*")) if b"c1234abcd" not in key]
