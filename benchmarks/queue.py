"""Jobs per second of the reference workers and of Node's BullMQ on the same Redis, each job accounted for."""

import asyncio
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import psutil
import redis
import yaml
from bullmq import Queue

from capacity.analysis.measured.ledger import Reconciliation, reconcile
from capacity.system.application.consumer import connection_pool, open_queue
from capacity.system.application.ledger import read_ledger
from capacity.system.processes import application_command
from capacity.workload import Workload, read_workload

PROJECT = Path(__file__).parents[1]
NODE = PROJECT / "tests" / "node"
INSTALL = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(NODE)]
REPEATS = 3
JOBS = {"no work": 20_000, "queue.yaml's times": 6_000}
NO_WORK = {"median": 0.001, "p99": 0.001}
BULK = 250
PACED_PER_S = 1100  # somewhat more than the report's 1,050
PACED_SECONDS = 10.0
PACE_S = 0.002
WARM_UP_MS = 1000
DRAIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Workers:
    """So many processes of a kind, Python or Node."""

    kind: str
    processes: int
    concurrency: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.processes} × {self.concurrency}"

    def command(self, folder: Path, number: int) -> list[str]:
        """How one of them starts; the jobs' times are in the workload file that `folder` holds."""
        jobs = folder / "jobs.yaml"
        if self.kind == "Python":
            given = {"ledger": folder / "ledger", "jobs": jobs, "number": number, "concurrency": self.concurrency}
            return application_command("worker", **given)
        times = {each.name: each.job.service_ms.model_dump() for each in read_workload(jobs).operations if each.job}
        known = {name: each for name, each in times.items() if each != NO_WORK}
        return ["node", str(NODE / "worker.mjs"), str(folder / "ledger"), str(self.concurrency), json.dumps(known)]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took, and what became of its jobs; `times_ms` are when each was added, taken and done."""

    times_ms: npt.NDArray[np.int64]
    worker_cpu_ms: float
    redis_cpu_ms: float
    found: Reconciliation
    unfinished: int

    @property
    def per_s(self) -> float:
        """Jobs over the time from the first one's arrival to the last one's end."""
        return len(self.times_ms) / (self.times_ms[:, 2].max() - self.times_ms[:, 0].min()) * 1000

    def within(self, column: int, begin_ms: int, end_ms: int) -> float:
        """Jobs added (0), taken (1) or done (2) a second between two moments."""
        inside = (self.times_ms[:, column] > begin_ms) & (self.times_ms[:, column] <= end_ms)
        return float(inside.sum()) / (end_ms - begin_ms) * 1000


def kinds() -> list[Workers]:
    """Python's workers and, where it can be had, Node's with as many slots as the first of them."""
    return [
        Workers("Python", 2, 50),
        Workers("Python", 4, 50),
        *([Workers("Node", 1, 100)] if node_installed() else []),
    ]


def node_installed() -> bool:
    """Whether Node's BullMQ is there; it is installed beside the tests' scripts where it is missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    if (NODE / "node_modules" / "bullmq").exists():
        return True
    return subprocess.run(INSTALL, capture_output=True, check=False).returncode == 0


def queue_rates(redis_url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """Everything enqueued at once: a row for each kind of job and of workers, the median of alternating runs."""
    for jobs, count in JOBS.items():
        at_once = partial(_at_once, count=count)
        runs = [(each, _run(redis_url, scratch, each, jobs, at_once)) for _ in range(REPEATS) for each in kinds()]
        for workers in kinds():
            made = [run for each, run in runs if each == workers]
            rates = sorted(run.per_s for run in made)
            speed = {"jobs_per_s": median(rates), "lowest": rates[0], "highest": rates[-1]}
            yield {"jobs": jobs, "workers": str(workers), **speed, **_costs(made)}


def queue_at_a_rate(redis_url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """Poisson arrivals above the report's rate, with queue.yaml's times: a row for each kind of workers."""
    for workers in kinds():
        run = _run(redis_url, scratch, workers, "queue.yaml's times", _paced)
        added, taken = run.times_ms[:, 0], run.times_ms[:, 1]
        window = (added.min() + WARM_UP_MS, added.max())
        wait = float(np.quantile(taken - added, 0.99, method="inverted_cdf"))
        rates = {"added_per_s": run.within(0, *window), "done_per_s": run.within(2, *window)}
        yield {"workers": str(workers), **rates, "wait_p99_ms": wait, **_costs([run])}


def _costs(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "worker_cpu_ms": median(run.worker_cpu_ms for run in runs),
        "redis_cpu_ms": median(run.redis_cpu_ms for run in runs),
        "lost": sum(run.found.lost for run in runs),
        "duplicated": sum(run.found.duplicated for run in runs),
        "unaccounted": sum(run.unfinished + run.found.unexpected for run in runs),
    }


def _run(url: str, scratch: Path, workers: Workers, jobs: str, produce: Callable[[Queue], Any]) -> Run:
    """One run on a queue of its own: from the first job's arrival until the last one is done."""
    folder = Path(mkdtemp(dir=scratch))
    values = read_workload(PROJECT / "data" / "workloads" / "queue.yaml").model_dump()
    for operation in values["operations"]:
        operation["job"] |= {"failures": {}} | ({"service_ms": NO_WORK} if jobs == "no work" else {})
    workload = Workload.model_validate(values)
    (folder / "jobs.yaml").write_text(yaml.safe_dump(workload.model_dump(mode="json", exclude_defaults=True)))
    name = f"bench-{uuid4().hex}"
    with redis.Redis.from_url(url) as client, _running(workers, url, name, folder) as processes:
        before = _cpu(processes), _redis_cpu(client)
        ids, times_ms = asyncio.run(_produced(url, name, produce))
        spent = _cpu(processes) - before[0], _redis_cpu(client) - before[1]
    ledger = read_ledger(folder / "ledger")
    events = ledger["event"].value_counts()
    found = reconcile(ids, ledger.loc[ledger["event"] == "completed", "job"])
    cost = [each / len(ids) * 1000 for each in spent]
    return Run(times_ms, *cost, found, int(events["started"] - events["completed"]))


@contextmanager
def _running(workers: Workers, url: str, queue: str, folder: Path) -> Iterator[list[psutil.Process]]:
    environment = {**os.environ, "CAPACITY_REDIS_URL": url, "CAPACITY_QUEUE": queue}
    started = [
        subprocess.Popen(workers.command(folder, number), env=environment, stdout=subprocess.PIPE, text=True)
        for number in range(1, workers.processes + 1)
    ]
    try:
        for each in started:
            if each.stdout is None or each.stdout.readline() != "ready\n":
                raise RuntimeError(f"a worker did not start: {workers}")
        yield [psutil.Process(each.pid) for each in started]
        for each in started:
            each.terminate()
            each.wait(15)
    finally:
        for each in started:
            each.kill()
            each.wait()


async def _produced(url: str, name: str, produce: Callable[[Queue], Any]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The ids of the jobs, once all are done, and their times."""
    pool = connection_pool(url, 1)
    queue = open_queue(pool, name)
    ids = await produce(queue)
    deadline = time.monotonic() + DRAIN_S
    while await queue.getCompletedCount() < len(ids):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{await queue.getJobCounts()} after {DRAIN_S:g} s")
        await asyncio.sleep(0.02)
    times_ms = np.array([row for first in range(0, len(ids), BULK) for row in await _times(queue, ids[first:][:BULK])])
    await queue.obliterate(force=True)
    await pool.disconnect()
    return ids, times_ms.astype(np.int64)


async def _times(queue: Queue, ids: Sequence[str]) -> list[list[str]]:
    pipeline = queue.client.pipeline(transaction=False)
    for each in ids:
        pipeline.hmget(queue.toKey(each), "timestamp", "processedOn", "finishedOn")
    rows: list[list[str]] = await pipeline.execute()
    return rows


async def _at_once(queue: Queue, count: int) -> list[str]:
    jobs = _jobs(count)
    return [job.id for first in range(0, count, BULK) for job in await queue.addBulk(jobs[first : first + BULK])]


async def _paced(queue: Queue) -> list[str]:
    draw = np.random.default_rng(1)
    due = np.cumsum(draw.exponential(1 / PACED_PER_S, round(PACED_PER_S * PACED_SECONDS)))
    jobs, ids, begin = _jobs(len(due)), [], time.monotonic()
    while len(ids) < len(jobs):
        reached = int(np.searchsorted(due, time.monotonic() - begin))
        if reached > len(ids):
            ids += [job.id for job in await queue.addBulk(jobs[len(ids) : reached])]
        await asyncio.sleep(PACE_S)
    return ids


def _jobs(count: int) -> list[dict[str, Any]]:
    """Jobs of the workload's mix."""
    operations = read_workload(PROJECT / "data" / "workloads" / "queue.yaml").operations
    names = random.Random(1).choices(
        [each.name for each in operations], weights=[each.weight for each in operations], k=count
    )
    return [{"name": name, "data": {"owner": 1}, "opts": {"attempts": 3}} for name in names]


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


def _redis_cpu(client: redis.Redis) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def main() -> None:
    """Both tables as lines of JSON, on a Redis of their own."""
    import tempfile

    from capacity.system.embedded import run_redis
    from capacity.system.server_directory import open_server_directory

    with open_server_directory() as directory, tempfile.TemporaryDirectory() as place:
        url = run_redis(directory).url
        for measured in (queue_at_a_rate, queue_rates):
            for row in measured(url, Path(place)):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
