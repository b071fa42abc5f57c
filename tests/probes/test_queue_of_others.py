"""The queue probe on queues whose workers are others', of each make and with clocks of their own: the same figures."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import yaml

from capacity.clock import unix_ns, wait_until
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.load.bullmq import Queue, QueueMake
from capacity.probes.queue import measure_queue, read_job_samples, read_queue_findings
from capacity.recording import Recording, open_recording
from capacity.system.addresses import System
from capacity.system.preflight.queue_make import read_make

pytestmark = pytest.mark.thorough
Make = Callable[..., AbstractContextManager[None]]
AHEAD_MS = 60_000
WEIGHTS = {"Plain": 40, "Again": 20, "Never": 20, "Later": 20}
LATER_MS = 300
STAGES = [{"name": "sustain", "seconds": 4, "to": 60}]
PYTHON = "python"
PAGE = Path(__file__).parents[2] / "docs" / "what_is_given.md"
HEADS = {"bullmq-3": "BullMQ 3", "bullmq-4": "BullMQ 4", "bullmq-5": "BullMQ 5", "bullmq": "BullMQ 6"}
HEADS |= {PYTHON: "BullMQ for Python"}
PYTHON_WORKER = """
import asyncio, os, signal, sys, time
from urllib.parse import urlsplit
now = time.time
time.time = lambda: now() + float(sys.argv[1]) / 1000
from bullmq import Worker

seen = {}

async def work(job, token):
    seen[job.id] = seen.get(job.id, 0) + 1
    if job.name == "Never" or (job.name == "Again" and seen[job.id] == 1):
        raise RuntimeError("timeout")

async def main():
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    connection = {"port": urlsplit(os.environ["CAPACITY_REDIS_URL"]).port, "socket_timeout": None}
    options = {"connection": connection, "concurrency": 5, "autorun": False}
    worker = Worker(os.environ["CAPACITY_QUEUE"], work, options)
    await worker.blockingRedisConnection.getRedisVersion()
    running = asyncio.create_task(worker.run())
    print("ready", flush=True)
    await ended.wait()
    await asyncio.wait_for(worker.close(True), 10)

asyncio.run(main())
"""


@contextmanager
def python_worker(theirs: System, shift_ms: int) -> Iterator[None]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    command = [sys.executable, "-c", PYTHON_WORKER, str(shift_ms)]
    environment |= theirs.as_environment()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            with redis.Redis.from_url(theirs.redis_url) as client:
                assert wait_until(lambda: read_make(client, Queue(theirs.queue)) == QueueMake(major=5), 20)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.fixture
def theirs(system: System) -> Iterator[System]:
    """A queue of somebody's own, of which nothing is left afterwards but what its workers made."""
    queue = f"others-{uuid4().hex}"
    yield System(redis_url=system.redis_url, queue=queue)
    with redis.Redis.from_url(system.redis_url) as client:
        if keys := [*client.scan_iter(f"bull:{queue}:*")]:
            client.delete(*keys)


def measured(theirs: System, folder: Path) -> tuple[Recording, dict[str, Finding]]:
    job = {"data": "{}", "attempts": 3, "backoff_ms": 50}
    operations: list[dict[str, Any]] = [
        {"name": name, "weight": weight, "job": job | ({"delay_ms": LATER_MS} if name == "Later" else {})}
        for name, weight in WEIGHTS.items()
    ]
    shapes = {"smoke": {"kind": "rate", "arrivals": "uniform", "stages": STAGES}}
    values = {"name": "queue", "target": "bullmq", "connections": 2, "operations": operations, "shapes": shapes}
    (folder / "queue.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    recorded = measure_queue(theirs, folder, "smoke", folder / "recording")
    found = {each.name.removeprefix("queue."): each for each in read_queue_findings(recorded)}
    return open_recording(recorded), found


def check_account(recording: Recording, found: dict[str, Finding]) -> None:
    """All that was added was done, as often as its type has it."""
    added = len(recording.samples)
    many = recording.samples["operation"].value_counts()
    assert [found[name].value for name in ("acknowledged", "ok", "lost", "unexpected")] == [added, added, 0, 0]
    assert found["failed_rate"].value == pytest.approx(100 * many["Never"] / added)
    assert found["retried_rate"].value == pytest.approx(100 * (many["Again"] + many["Never"]) / added)
    assert found["retry_success_rate"].value == pytest.approx(100 * many["Again"] / (many["Again"] + many["Never"]))
    assert found["dead_letters.timeout"].value == 100
    course = read_job_samples(recording)
    attempts = course.groupby("operation", observed=True)["attempts"].agg(["min", "max"])
    assert attempts.T.to_dict("list") == {"Plain": [1, 1], "Again": [2, 2], "Never": [3, 3], "Later": [1, 1]}


@contextmanager
def served(theirs: System, any_make: Make, make: str, *shifts_ms: int) -> Iterator[None]:
    """The queue with a worker of that make for each of the clocks, which are so far ahead."""
    with ExitStack() as stack:
        if make != PYTHON:
            stack.enter_context(any_make(theirs, make, "open"))
        for shift_ms in shifts_ms:
            if make == PYTHON:
                stack.enter_context(python_worker(theirs, shift_ms))
            else:
                stack.enter_context(any_make(theirs, make, "work", "5", shift_ms=shift_ms))
        yield


def page_column(head: str) -> dict[str, tuple[str, str]]:
    """What the page says of each finding in a column: its letter where it is not given, and what the finding says."""
    section = PAGE.read_text(encoding="utf-8").partition("## Queues")[2].partition("\n## ")[0]
    causes = dict(re.findall(r"^- \*\*(\w)\*\* .*: `(.+)`$", section, re.MULTILINE))
    rows = [
        [cell.strip(" `*") for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"
    ]
    place = rows[0].index(head)
    cells = {row[0].removeprefix("queue."): row[place] for row in rows[2:]}
    return {name: ("", "") if cell == "given" else (cell, causes[cell]) for name, cell in cells.items()}


@pytest.mark.parametrize(("make", "head"), HEADS.items())
def test_the_jobs_of_each_make_are_accounted_for_and_given_is_what_the_page_says(
    theirs: System, any_make: Make, tmp_path: Path, make: str, head: str
) -> None:
    with served(theirs, any_make, make, 0):
        recording, found = measured(theirs, tmp_path)
    check_account(recording, found)
    for name, (letter, cause) in page_column(head).items():
        assert (found[name].value is None, cause in found[name].note) == (bool(letter), True), found[name]


def test_of_bull_nothing_is_given(theirs: System, any_make: Make, tmp_path: Path) -> None:
    (cell,) = set(page_column("Bull 4").values())
    with any_make(theirs, "bull", "add"), any_make(theirs, "bull", "work"):
        with pytest.raises(CapacityError, match=re.escape(cell[1])):
            measured(theirs, tmp_path)
        assert not (tmp_path / "recording").exists()


@pytest.mark.parametrize(
    ("make", "shifts_ms"),
    [("bullmq", [AHEAD_MS]), ("bullmq-4", [-1000]), (PYTHON, [-1000]), ("bullmq-5", [0, AHEAD_MS])],
)
def test_the_clocks_of_workers_are_in_no_time_of_a_job(
    theirs: System, any_make: Make, tmp_path: Path, make: str, shifts_ms: list[int]
) -> None:
    """Whatever they are, or however far apart: each job was begun and ended while the load went on, and took a time.

    But a job that is delayed is begun by the worker's clock, and one that is ahead begins it before it is due.
    """
    begun_ms = unix_ns() // 1_000_000
    with served(theirs, any_make, make, *shifts_ms):
        recording, found = measured(theirs, tmp_path)
    ended_ms = unix_ns() // 1_000_000
    jobs = recording.jobs
    assert jobs["started_ms"].between(begun_ms, ended_ms).all()
    assert (jobs["finished_ms"].between(jobs["started_ms"], ended_ms)).all()
    assert [found[name].value for name in ("ok", "lost")] == [len(recording.samples), 0]
    assert 0 < (found["plain.response_p50"].value or 0) < AHEAD_MS / 10
    for name in ("later.response_p50", "later.wait_p50", "response_p50", "wait_p50"):
        if AHEAD_MS in shifts_ms:
            assert found[name].value is None
            assert "begun before they were due: the clock of a worker is ahead" in found[name].note
        else:
            assert (found[name].value or 0) > 0
