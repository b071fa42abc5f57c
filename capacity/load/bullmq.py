"""One producer of a BullMQ queue: an operation adds one job, by the very script that BullMQ's own producers call."""

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgpack

from capacity.clock import unix_ns
from capacity.load.arguments import Draw, argument_streams, template
from capacity.load.connection import Opens
from capacity.load.redis import RedisConnection, packed_command
from capacity.operation import Job, Operation
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


def connection_of(workload: Workload, url: str, draw: Draw, told: Mapping[str, Any]) -> Opens:
    """What opens a connection that adds the workload's jobs to the `queue` told of, with ids that begin as `token`."""
    queue, series = Queue(**told["queue"]), f"{told['token']}-{draw.shard}"
    jobs = [packed_jobs(each, queue, f"{series}-{code}", draw) for code, each in enumerate(workload.operations)]
    return functools.partial(BullmqConnection, url, jobs)


def packed_jobs(operation: Operation, queue: Queue, series: str, draw: Draw) -> Iterator[bytes]:
    """The calls that add the operation's job with its data drawn, endless; each says the wall clock's time.

    The id of a job is `series` and how many jobs of the operation this process had added before, as `f00d-0-3-17`.
    """
    if operation.job is None:
        raise ValueError(f"the operation {operation.name!r} has no job")
    job = operation.job
    name, parts = DELAYED if job.delay_ms else STANDARD
    keys = [queue.key(part) for part in parts]
    head = ["EVALSHA", hashlib.sha1(_script(name).encode()).hexdigest(), str(len(keys)), *keys]
    options = msgpack.packb(job_options(job))
    data, names = template(job.data)
    streams = argument_streams(operation, [(name, None) for name in names], draw)
    arguments = zip(*streams, strict=True) if names else itertools.repeat(())
    for number, values in enumerate(arguments):
        now_ms = unix_ns() // 1_000_000
        described = msgpack.packb([queue.key(""), f"{series}-{number}", operation.name, now_ms, *[None] * 5])
        yield packed_command([*head, described, data % values, options, str(now_ms)])


@functools.cache
def _script(name: str) -> str:
    return files("bullmq").joinpath("commands", f"{name}.lua").read_text(encoding="utf-8")


def job_options(job: Job) -> dict[str, object]:
    """As BullMQ's producers write them; its workers wait for `delay`, doubled each time, before a further attempt."""
    backoff = {"type": "exponential", "delay": int(job.backoff_ms), "jitter": JITTER}
    # The queue's events tell how they ended. Those kept beside others' would push these out where a rule keeps so many.
    options: dict[str, object] = {"attempts": job.attempts, "backoff": backoff}
    options |= {"removeOnComplete": True, "removeOnFail": True}
    return options | ({"delay": job.delay_ms} if job.delay_ms else {})


class BullmqConnection(RedisConnection):
    """A connection to a Redis that knows BullMQ's scripts."""

    def _greeting(self) -> Iterator[tuple[str, ...]]:
        yield from super()._greeting()
        for name, _ in (STANDARD, DELAYED):
            yield ("SCRIPT", "LOAD", _script(name))
