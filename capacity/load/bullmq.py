"""One producer of a BullMQ queue: an operation adds one job, by the very script that BullMQ's own producers call."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

import msgpack

from capacity.clock import unix_ns
from capacity.load.arguments import argument_streams
from capacity.load.redis import RedisConnection, packed_command
from capacity.operation import PLACEHOLDER, Job, Operation
from capacity.workload import Workload

STANDARD = ("addStandardJob-9", ("wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker"))
DELAYED = ("addDelayedJob-6", ("marker", "meta", "id", "delayed", "completed", "events"))
JITTER = 0.5  # of the wait before a further attempt, so that jobs that failed together do not come back together


@dataclass(frozen=True, slots=True)
class Queue:
    """A BullMQ queue in Redis: its name and the prefix of its keys."""

    name: str
    prefix: str = "bull"

    def key(self, part: str) -> str:
        """The key of a part of the queue, or of the job with that id."""
        return f"{self.prefix}:{self.name}:{part}"


class BullmqJobs:
    """The jobs of a workload as calls of BullMQ's scripts, endless, one stream an operation.

    The id of a job is `token`, the number of the generator process, the code of the operation, and how many jobs of
    that operation the process had added before, as `f00d-0-3-17`.
    """

    def __init__(self, workload: Workload, queue: Queue, token: str, shard: int = 0, shards: int = 1) -> None:
        self.scripts = sorted({_script(operation.job) for operation in workload.operations if operation.job})
        self.streams = [
            packed_jobs(operation, queue, f"{token}-{shard}-{code}", (workload.seed, shard, shards))
            for code, operation in enumerate(workload.operations)
        ]


def packed_jobs(operation: Operation, queue: Queue, series: str, draw: tuple[int, int, int]) -> Iterator[bytes]:
    """The calls that add the operation's job with its data drawn, endless; each says the wall clock's time.

    Ids are `series` and a number from 0. `draw` is the seed, this generator process, and how many there are.
    """
    if operation.job is None:
        raise ValueError(f"the operation {operation.name!r} has no job")
    job = operation.job
    _, parts = DELAYED if job.delay_ms else STANDARD
    keys = [queue.key(part) for part in parts]
    head = ["EVALSHA", hashlib.sha1(_script(job).encode()).hexdigest(), str(len(keys)), *keys]
    options = msgpack.packb(job_options(job))
    data = PLACEHOLDER.split(job.data)
    template = b"%b".join(text.replace("%", "%%").encode() for text in data[::2])
    streams = argument_streams(operation, [(name, None) for name in data[1::2]], *draw)
    arguments = zip(*streams, strict=True) if len(data) > 1 else itertools.repeat(())
    for number, values in enumerate(arguments):
        now_ms = unix_ns() // 1_000_000
        described = msgpack.packb([queue.key(""), f"{series}-{number}", operation.name, now_ms, *[None] * 5])
        yield packed_command([*head, described, template % values, options, str(now_ms)])


def _script(job: Job) -> str:
    name, _ = DELAYED if job.delay_ms else STANDARD
    return files("bullmq").joinpath("commands", f"{name}.lua").read_text(encoding="utf-8")


def job_options(job: Job) -> dict[str, object]:
    """As BullMQ's producers write them; its workers wait for `delay`, doubled each time, before a further attempt."""
    backoff = {"type": "exponential", "delay": int(job.backoff_ms), "jitter": JITTER}
    # Kept, whatever the worker's own rule is, until what watches the queue has read how they ended.
    options: dict[str, object] = {"attempts": job.attempts, "backoff": backoff}
    options |= {"removeOnComplete": False, "removeOnFail": False}
    return options | ({"delay": job.delay_ms} if job.delay_ms else {})


class BullmqConnection(RedisConnection):
    """A connection to the Redis at `url` that knows BullMQ's scripts; `error_code` numbers a class of failure."""

    def __init__(self, url: str, jobs: BullmqJobs, error_code: Callable[[str], int], timeout_s: float) -> None:
        super().__init__(url, jobs, error_code, timeout_s)
        self._scripts = jobs.scripts

    def _greeting(self) -> Iterator[tuple[str, ...]]:
        yield from super()._greeting()
        for script in self._scripts:
            yield ("SCRIPT", "LOAD", script)
