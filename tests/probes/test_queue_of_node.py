"""The queue probe on a queue whose workers are Node's: it sees every job, by the records that BullMQ keeps."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import yaml

from capacity.probes.queue import measure_queue, read_queue_findings
from capacity.recording import open_recording
from capacity.system.addresses import System

JOBS = 1000
PROJECT = Path(__file__).parents[2]
NODE = PROJECT / "tests" / "node"


@pytest.fixture
def served(system: System, node: str, tmp_path: Path) -> Iterator[System]:
    """A queue with a Node worker, which does nothing with a job."""
    queue = f"node-{uuid4().hex}"
    theirs = replace(system, queue=queue)
    command = [node, str(NODE / "worker.mjs"), str(tmp_path / "their ledger"), "50", "{}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    with subprocess.Popen(
        command, env=environment | theirs.as_environment(), stdout=subprocess.PIPE, text=True
    ) as worker:
        try:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
            yield theirs
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(15)
    with redis.Redis.from_url(system.redis_url) as client:
        client.delete(*client.scan_iter(f"bull:{queue}:*"))


@pytest.mark.thorough
def test_the_probe_sees_every_job_that_node_workers_did(served: System, tmp_path: Path) -> None:
    values = yaml.safe_load((PROJECT / "data" / "workloads" / "queue.yaml").read_text(encoding="utf-8"))
    stages = [{"name": "sustain", "seconds": 4, "to": JOBS / 4}]
    values["shapes"] = {"smoke": {"kind": "rate", "arrivals": "uniform", "stages": stages}}
    (tmp_path / "queue.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    folder = measure_queue(served, tmp_path, "smoke", tmp_path / "recording")
    recording = open_recording(folder)
    assert len(recording.samples) == len(recording.jobs) == JOBS
    assert set(recording.jobs["outcome"]) == {"completed"}
    found = {each.name.removeprefix("queue."): each for each in read_queue_findings(folder)}
    assert [found[name].value for name in ("acknowledged", "ok", "lost", "unexpected")] == [JOBS, JOBS, 0, 0]
    assert found["duplicated"].value is None
    assert "keeps no second end" in found["duplicated"].note
    assert 0 < (found["response_p50"].value or 0) < 1000
