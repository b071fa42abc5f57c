"""A process that watches a BullMQ queue from outside: its counts as gauges, and its finished jobs by their hashes.

It reads what every BullMQ keeps, whatever language its workers are written in. Jobs that the measurement itself added
are removed once they have been read, so that a long measurement does not fill the server; others are left alone.
"""

import contextlib
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from capacity.clock import cpu_s, monotonic_ns
from capacity.errors import CapacityError
from capacity.load.bullmq import Queue
from capacity.load.child import read_line, run_child, say
from capacity.probes.readers import TIMEOUT_S
from capacity.streams import GaugeWriter, JobWriter
from capacity.system.clients import redis_client

URL = "CAPACITY_QUEUE_URL"
INTERVAL_S = 0.1
OVERLAP_MS = 5000.0  # a worker notes when a job ended before the queue learns of it, and clocks differ
CHUNK = 2000  # jobs read at a time: some tens of milliseconds
LISTS, SETS = ("wait", "paused", "active"), ("prioritized", "delayed", "completed", "failed")
FINISHED = ("completed", "failed")
FIELDS = ("name", "timestamp", "opts", "processedOn", "finishedOn", "atm", "failedReason")
LEFT_OVERS = ("", ":logs", ":lock")


def main(task: dict[str, Any]) -> None:
    """Watch the task's queue until stdin ends, and read once more what has finished by then."""
    folder = Path(task["folder"])
    observer = Observer(redis_client(os.environ[URL], TIMEOUT_S), Queue(**task["queue"]), task["token"])
    try:
        counts = observer.counts()
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}") from None
    gauges, jobs = GaugeWriter(folder, "queue"), JobWriter(folder)
    say({"queue_before": counts})
    origin_ns = int(read_line())
    ended = False
    while not ended:
        ended = bool(select.select([0], [], [], INTERVAL_S)[0])
        with contextlib.suppress(redis.RedisError):  # a server that is down has nothing to read
            gauges.write(
                monotonic_ns() - origin_ns,
                {f"queue.{name}": count for name, count in observer.counts().items()} | {"observer.cpu_s": cpu_s()},
            )
            for found in observer.finished():
                jobs.write(found)
                observer.remove_own(found)
    gauges.close()
    jobs.close()


class Observer:
    """Reads a queue's counts and the jobs that finished since the last reading."""

    def __init__(self, client: redis.Redis, queue: Queue, token: str) -> None:
        self._client = client
        self._queue = queue
        self._own = f"{token}-" if token else None
        self._seen = {outcome: self._scored(outcome, 0) for outcome in FINISHED}  # what finished before is not ours

    def counts(self) -> dict[str, float]:
        """How many jobs are in each state, and in the dead letter queue beside it."""
        pipeline = self._client.pipeline(transaction=False)
        for part in LISTS:
            pipeline.llen(self._queue.key(part))
        for part in SETS:
            pipeline.zcard(self._queue.key(part))
        pipeline.llen(Queue(f"{self._queue.name}-dead", self._queue.prefix).key("wait"))
        return dict(zip((*LISTS, *SETS, "dead"), map(float, pipeline.execute()), strict=True))

    def finished(self) -> Iterator[list[tuple[str | int, ...]]]:
        """The jobs that finished since the last reading, some at a time, each in the order of JOB_SCHEMA."""
        for outcome in FINISHED:
            seen = self._seen[outcome]
            since = max(seen.values(), default=0.0) - OVERLAP_MS
            scored = self._scored(outcome, since)
            fresh = [number for number in scored if number not in seen]
            for start in range(0, len(fresh), CHUNK):
                yield self._read(fresh[start : start + CHUNK], outcome)
            self._seen[outcome] = {number: score for number, score in (seen | scored).items() if score >= since}

    def remove_own(self, jobs: list[tuple[str | int, ...]]) -> None:
        """Remove those of these jobs that the measurement added itself."""
        if self._own is None:
            return
        pipeline = self._client.pipeline(transaction=False)
        for job in jobs:
            number, outcome = str(job[0]), str(job[7])
            if number.startswith(self._own):
                pipeline.zrem(self._queue.key(outcome), number)
                pipeline.unlink(*(self._queue.key(number + part) for part in LEFT_OVERS))
        pipeline.execute()

    def _scored(self, outcome: str, since: float) -> dict[str, float]:
        """The ids of jobs that ended so at `since` or later, with when they did, in ms of the workers' clocks."""
        found: Any = self._client.zrangebyscore(self._queue.key(outcome), since, "+inf", withscores=True)
        return {number.decode(): score for number, score in found}

    def _read(self, numbers: list[str], outcome: str) -> list[tuple[str | int, ...]]:
        pipeline = self._client.pipeline(transaction=False)
        for number in numbers:
            pipeline.hmget(self._queue.key(number), *FIELDS)
        return [
            _job(number, values, outcome)
            for number, values in zip(numbers, pipeline.execute(), strict=True)
            if values[0] is not None  # removed by its own producer's wish before it was read
        ]


def _job(number: str, values: list[bytes | None], outcome: str) -> tuple[str | int, ...]:
    name, added, options, started, finished, attempts, reason = ((value or b"").decode() for value in values)
    delay = json.loads(options or "{}").get("delay") or 0
    times = (int(added or 0), int(delay), int(float(started or 0)), int(float(finished or 0)))
    return (number, name, *times, int(attempts or 0), outcome, reason if outcome == "failed" else "")


if __name__ == "__main__":
    run_child(main)
