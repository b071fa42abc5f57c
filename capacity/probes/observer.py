"""A process that watches a BullMQ queue from outside: its counts as gauges, and the course of its jobs by its events.

It reads what every BullMQ writes, whatever language its workers are written in. The jobs that the measurement itself
added leave nothing when they end; those that have not begun when it is over are taken out again. Others are left alone.
"""

import contextlib
import os
import resource
import select
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis

from capacity.clock import cpu_s, monotonic_ns, unix_ns
from capacity.errors import CapacityError
from capacity.load.bullmq import LISTS, SETS, Queue
from capacity.load.child import read_line, run_child, say
from capacity.probes.jobs.courses import ENDED, GONE, IN_DOUBT, THERE, UNKNOWN, UNSEEN, Courses, JobRow
from capacity.probes.jobs.events import EventStream
from capacity.probes.jobs.left import ACTIVE, JobsLeft, Loads, WatchedLoad, text_of
from capacity.probes.readers import TIMEOUT_S
from capacity.streams import GaugeWriter, JobWriter
from capacity.system.clients import redis_client
from capacity.units import NS_PER_MS, NS_PER_S

URL = "CAPACITY_QUEUE_URL"
INTERVAL_S = 0.1
DEAD = ("wait", "id", "meta")  # one of these is there of each queue that ever had a job
ROUNDS = 5  # a job may move on while it is looked for
ENDING_NS = 2 * NS_PER_S  # for what a worker has at the end
LOOK_NS = 2 * NS_PER_S  # between two looks for jobs that are gone, or LOOK_SHARE times as long as one takes
LOOK_SHARE = 50
STATM = Path("/proc/self/statm")  # the largest that resource tells is that of the parent as well
CLOCKS = 100  # answers of Redis' clock of which the quickest counts


def main(task: dict[str, Any]) -> None:
    """Watch the task's queue until stdin ends; then account for what has not ended by then, and take it out."""
    folder = Path(task["folder"])
    client = redis_client(os.environ[URL], TIMEOUT_S)
    try:
        observer = Observer(client, Queue(**task["queue"]), task)
        counts = observer.counts()
    except redis.exceptions.NoPermissionError as error:
        raise CapacityError(f"Redis refuses what the queue is watched by: {error}") from None
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}") from None
    gauges, jobs = GaugeWriter(folder, "queue"), JobWriter(folder)
    say({"queue_before": counts})
    origin_ns = int(read_line())
    ended = False
    while not ended:
        ended = bool(select.select([0], [], [], INTERVAL_S)[0])
        with contextlib.suppress(redis.RedisError):  # a server that is down has nothing to read
            read = observer.counts()
            gauges.write(
                monotonic_ns() - origin_ns, {f"queue.{name}": count for name, count in read.items()} | observer.own()
            )
            for rows in observer.finished():
                jobs.write(rows)
    with contextlib.suppress(redis.RedisError):
        for rows in observer.close():
            jobs.write(rows)
        gauges.write(monotonic_ns() - origin_ns, observer.own() | {"observer.closed": 1.0})
    gauges.close()
    jobs.close()


class Observer:
    """Reads a queue's counts and the jobs that finished since the last reading.

    Its task has the `token` of the measurement's own jobs, empty where all are to be followed, and its `workload`;
    `dead_letters` says that the workers have such a queue, though there is nothing of it yet.
    """

    def __init__(self, client: redis.Redis, queue: Queue, task: Mapping[str, Any]) -> None:
        self._client, self._queue, self._token = client, queue, str(task["token"])
        operations = task.get("workload", {}).get("operations", [])
        delays_ms = [int((each["job"] or {}).get("delay_ms", 0)) for each in operations]
        self._courses = Courses(self._token, [each["name"] for each in operations], delays_ms)
        self._left, self._loads = JobsLeft(client, queue, self._token), Loads(client, queue)
        self._dead = bool(task.get("dead_letters"))
        self._events, self._missed = EventStream(client, queue), 0
        self._clock, self._load = RedisClock(), WatchedLoad(0.0, 0)
        self._looked_ns, self._look_ns = monotonic_ns(), LOOK_NS

    def counts(self) -> dict[str, float]:
        """How many jobs are in each state, and in the dead letter queue beside it, where there is one.

        The same exchange asks Redis for its time, and tells it that the load is watched.
        """
        dead = Queue(f"{self._queue.name}-dead", self._queue.prefix)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.time()
        for part in LISTS:
            pipeline.llen(self._queue.key(part))
        for part in SETS:
            pipeline.zcard(self._queue.key(part))
        pipeline.exists(*map(dead.key, DEAD))
        pipeline.llen(dead.key("wait"))
        if self._token:
            pipeline.hset(self._loads.key, self._token, text_of(self._load))
        begun_ns = unix_ns()
        told = pipeline.execute(raise_on_error=False)
        states = [*LISTS, *SETS]
        clock, *read = told[: 1 + len(states)]
        if refused := next((each for each in (clock, *read) if isinstance(each, redis.RedisError)), None):
            raise refused
        self._courses.clock_ms = self._clock.ahead_ms(clock, begun_ns, unix_ns())
        found, (exists, in_dead) = dict(zip(states, map(float, read), strict=True)), told[1 + len(states) :][:2]
        if isinstance(in_dead, int) and (self._dead or exists):  # a user may have no right to another queue
            found["dead"] = float(in_dead)
        return found

    def own(self) -> dict[str, float]:
        """What is known of the load's own jobs and of those of others, and what watching takes."""
        courses = self._courses
        numbers = {"missed": self._missed, "unfinished": courses.own.unfinished, "others": courses.others}
        takes = {"cpu_s": cpu_s(), "memory_bytes": int(STATM.read_text().split()[1]) * resource.getpagesize()}
        return {f"observer.{name}": float(number) for name, number in (numbers | takes).items()}

    def finished(self) -> Iterator[list[JobRow]]:
        """The jobs that finished since the last reading, some at a time, each in the order of JOB_SCHEMA."""
        at_s = unix_ns() / NS_PER_S + self._clock.ahead_s
        yield from self._read()
        if self._courses.own.unfinished and monotonic_ns() - self._looked_ns >= self._look_ns:
            yield from self._look_for_gone()
        self._load = WatchedLoad(at_s, self._courses.own.unfinished)

    def _read(self) -> Iterator[list[JobRow]]:
        for events in self._events.read():
            if self._events.missed > self._missed:
                self._missed = self._events.missed
                self._courses.doubt()
            if rows := self._courses.take(events):
                yield rows

    def close(self) -> Iterator[list[JobRow]]:
        """The jobs that finished last, and a row for each that has not, of its state; those that wait are taken out.

        One that is in no state and of whose end no event tells has no row; where events were missed it is unknown.
        """
        if not self._token:
            yield from self.finished()
            return
        time.sleep(INTERVAL_S)  # for what was under way to Redis when the load was broken off
        yield from self.finished()
        courses, own, active = self._courses, self._courses.own, set[bytes]()
        begun_ns, rounds = monotonic_ns(), 0
        while own.unfinished or (self._missed and not rounds):
            active.clear()
            for state, jobs in self._left.take_out():
                if state == ACTIVE:
                    active.update(jobs)
                    continue
                for job in jobs:
                    own.note(job, ENDED)
                yield [courses.row(job, state) for job in jobs]
            yield from self._look_for_gone()
            rounds += 1
            moving = rounds < ROUNDS and not active.issuperset(own.of(THERE, IN_DOUBT))
            if not moving and (not active or monotonic_ns() - begun_ns > ENDING_NS):
                break
            time.sleep(INTERVAL_S)
        yield from self._accounted(active)

    def _accounted(self, active: set[bytes]) -> Iterator[list[JobRow]]:
        """A row for each that a worker still has, and for each of which nothing is known."""
        own = self._courses.own
        under_way = [job for job in own.of(THERE, IN_DOUBT) if job in active or self._left.is_locked(job)]
        nowhere = {*own.of(THERE, IN_DOUBT)}.difference(under_way)
        self._left.remove([*nowhere])
        yield [self._courses.row(job, ACTIVE) for job in under_way]
        if self._missed:
            yield [self._courses.row(job, UNKNOWN) for job in (*nowhere, *own.of(GONE, UNSEEN))]
        if under_way:
            self._client.hset(self._loads.key, self._token, text_of(WatchedLoad(0.0, len(under_way))))
        else:
            self._client.hdel(self._loads.key, self._token)

    def _look_for_gone(self) -> Iterator[list[JobRow]]:
        """Look which of the jobs that have not ended are in Redis no more, as somebody may empty a queue.

        Those of whose end the events tell by then have ended. It takes no more than a part of the time.
        """
        own, begun_ns = self._courses.own, monotonic_ns()
        gone = [*self._left.gone([*own.of(THERE, IN_DOUBT)])]
        yield from self._read()
        for job in gone:
            if own.state(job) in (THERE, IN_DOUBT):
                own.note(job, GONE)
        self._looked_ns = monotonic_ns()
        self._look_ns = max(LOOK_NS, LOOK_SHARE * (self._looked_ns - begun_ns))


class RedisClock:
    """How far Redis' clock is ahead of this machine's, by the quickest of the last answers."""

    def __init__(self) -> None:
        self._answers: deque[tuple[int, float]] = deque(maxlen=CLOCKS)
        self.ahead_s = 0.0

    def ahead_ms(self, told: tuple[int, int], begun_ns: int, ended_ns: int) -> int:
        """By the time that it told in an exchange of so long, in whole ms; 0 where that may be all of the exchange."""
        ahead_ns = told[0] * NS_PER_S + told[1] * 1000 - (begun_ns + ended_ns) / 2
        self._answers.append((ended_ns - begun_ns, ahead_ns))
        took_ns, ahead_ns = min(self._answers)
        self.ahead_s = ahead_ns / NS_PER_S
        return 0 if abs(ahead_ns) < took_ns + NS_PER_MS else round(ahead_ns / NS_PER_MS)


if __name__ == "__main__":
    run_child(main)
