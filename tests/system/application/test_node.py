"""Jobs go from Node's BullMQ to our workers and from us to Node's, and none is lost on the way."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import yaml

from capacity.analysis.measured.ledger import reconcile
from capacity.system.application.consumer import connection_pool, open_queue
from capacity.system.application.ledger import read_ledger
from capacity.system.processes import application_command

NODE = Path(__file__).parents[2] / "node"
JOBS = 1000
TYPE = "TokenRefresh"
JOB_FILE = {
    "name": "test",
    "target": "bullmq",
    "connections": 1,
    "operations": [{"name": TYPE, "weight": 100, "job": {"service_ms": {"median": 1, "p99": 5}}}],
    "shapes": {"smoke": {"kind": "rate", "stages": [{"name": "sustain", "seconds": 1, "to": 1}]}},
}


@pytest.fixture
def environment(redis_url: str) -> Iterator[dict[str, str]]:
    """Where processes find the queue, which is of this test alone."""
    queue = f"test-{uuid4().hex}"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    yield plain | {"CAPACITY_REDIS_URL": redis_url, "CAPACITY_QUEUE": queue}
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*client.scan_iter(f"bull:{queue}:*"))


def completed(environment: dict[str, str]) -> int:
    with redis.Redis.from_url(environment["CAPACITY_REDIS_URL"]) as client:
        return int(client.zcard(f"bull:{environment['CAPACITY_QUEUE']}:completed"))


def until_done_by(command: list[str], environment: dict[str, str]) -> None:
    """Run a worker until it has completed all jobs, and let it end by itself at SIGTERM."""
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 30
        while completed(environment) < JOBS:
            assert time.monotonic() < deadline, f"{completed(environment)} of {JOBS}"
            time.sleep(0.05)
        worker.terminate()
        assert worker.wait(15) == 0
    finally:
        worker.kill()
        worker.wait()


def test_what_a_node_producer_enqueues_our_workers_do(node: str, environment: dict[str, str], tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(yaml.safe_dump(JOB_FILE))
    command = [node, str(NODE / "producer.mjs"), str(JOBS), TYPE]
    ids = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    until_done_by(application_command("worker", ledger=tmp_path / "ledger", jobs=jobs), environment)
    ledger = read_ledger(tmp_path / "ledger")
    found = reconcile(ids, ledger.loc[ledger["event"] == "completed", "job"])
    assert (found.acknowledged, found.ok, found.lost, found.unexpected, found.duplicated) == (JOBS, JOBS, 0, 0, 0)
    assert set(ledger["type"]) == {TYPE}


def test_what_we_enqueue_a_node_worker_does(node: str, environment: dict[str, str], tmp_path: Path) -> None:
    async def enqueue() -> list[str]:
        pool = connection_pool(environment["CAPACITY_REDIS_URL"], 1)
        options = {"attempts": 3, "backoff": {"type": "exponential", "delay": 100, "jitter": 0.5}}
        jobs = [{"name": TYPE, "data": {"owner": number}, "opts": options} for number in range(JOBS)]
        added = await open_queue(pool, environment["CAPACITY_QUEUE"]).addBulk(jobs)
        await pool.disconnect()
        return [job.id for job in added]

    ids = asyncio.run(enqueue())
    times = json.dumps({TYPE: {"median": 1, "p99": 5}})
    until_done_by([node, str(NODE / "worker.mjs"), str(tmp_path / "ledger"), "20", times], environment)
    ledger = read_ledger(tmp_path / "ledger")
    found = reconcile(ids, ledger.loc[ledger["event"] == "completed", "job"])
    assert (found.acknowledged, found.ok, found.lost, found.unexpected, found.duplicated) == (JOBS, JOBS, 0, 0, 0)
    assert set(ledger["type"]) == {TYPE}
