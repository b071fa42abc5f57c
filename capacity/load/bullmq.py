"""One producer of a BullMQ queue: an operation adds one job, by the very script that BullMQ's own producers call."""

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgpack

from capacity.clock import unix_ns
from capacity.load.arguments import Draw, argument_streams, template
from capacity.load.connection import OK, PENDING, ConnectionLostError, Opens, why_lost
from capacity.load.redis import RedisConnection, packed_command
from capacity.operation import Job, Operation
from capacity.workload import Workload

STANDARD = ("addStandardJob-9", ("wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker"))
DELAYED = ("addDelayedJob-6", ("marker", "meta", "id", "delayed", "completed", "events"))
LISTS, SETS = ("wait", "paused", "active"), ("prioritized", "delayed", "completed", "failed")  # of jobs, by state
RECORDS = ("", ":logs", ":lock", ":dependencies", ":processed", ":failed", ":unsuccessful")  # of a job, after its id
LOADS = "capacity:loads"  # after the queue's name, what watches its loads: no job's id has a colon there
MAJORS = range(3, 7)  # the versions of BullMQ whose workers were seen to do the jobs that are added so
# The scripts are those of 6. What they did otherwise before a version, in their own words and in those of then.
OTHERWISE = {
    "addStandardJob-9": [
        # A paused queue had its jobs in another list, which takes the place of `wait` when the queue is resumed.
        (6, "(waitKey, KEYS[9],", '(rcall("HEXISTS", metaKey, "paused") == 1 and KEYS[2] or waitKey, KEYS[9],'),
        # Workers waited for the list itself, and not for a set of marks beside it.
        (5, 'rcall("ZADD", markerKey, 0, "0")', ""),
    ],
    "addDelayedJob-6": [
        # In that list a mark stood for the next delayed job, so that a worker did not wait for seconds.
        (5, 'rcall("ZADD", markerKey, nextTimestamp, "1")',
         'local first, mark = rcall("LINDEX", markerKey, 0), "0:" .. nextTimestamp '
         'if not first then rcall("LPUSH", markerKey, mark) '
         'elseif rcall("LLEN", markerKey) == 1 and (tonumber(first:match("^0:(.*)")) or 0) > nextTimestamp then '
         'rcall("LSET", markerKey, 0, mark) end'),
    ],
}  # fmt: skip
FORGOTTEN = "NOSCRIPT"
JITTER = 0.5  # of the wait before a further attempt, so that jobs that failed together do not come back together


@dataclass(frozen=True, slots=True)
class Queue:
    """A BullMQ queue in Redis: its name and the prefix of its keys."""

    name: str
    prefix: str = "bull"

    def key(self, part: str) -> str:
        """The key of a part of the queue, or of the job with that id."""
        return f"{self.prefix}:{self.name}:{part}"


@dataclass(frozen=True, slots=True)
class QueueMake:
    """Who made a queue, and of which version, as far as the queue, its jobs and its workers tell.

    Where the version is not noted, `major` is 4 for up to 4, and 5 for 5 and newer or where nothing tells, as BullMQ
    for Python leaves a queue.
    """

    product: str = "BullMQ"
    version: str = ""
    major: int = max(MAJORS)

    @property
    def said(self) -> str:
        """The make in words."""
        if self.version or self.product != "BullMQ":
            return f"{self.product} {self.version}".rstrip()
        return "BullMQ up to 4" if self.major < 5 else "BullMQ of a version that it does not note"


@dataclass(frozen=True, slots=True)
class _Script:
    """What adds a job to a queue: the script's text, and the keys that it is given."""

    text: str
    keys: tuple[str, ...]

    @property
    def call(self) -> list[str]:
        """How its call begins."""
        return ["EVALSHA", hashlib.sha1(self.text.encode()).hexdigest(), str(len(self.keys)), *self.keys]


def _scripts(queue: Queue, make: QueueMake) -> tuple[_Script, _Script]:
    """The scripts that add a job, and a delayed one, to a queue of that make."""
    marks = "wait" if make.major < 5 else "marker"
    standard, delayed = ((marks if part == "marker" else part for part in parts) for _, parts in (STANDARD, DELAYED))
    return (
        _Script(_text(STANDARD[0], make.major), tuple(map(queue.key, standard))),
        _Script(_text(DELAYED[0], make.major), tuple(map(queue.key, delayed))),
    )


@functools.cache
def _text(name: str, major: int) -> str:
    text = files("bullmq").joinpath("commands", f"{name}.lua").read_text(encoding="utf-8")
    for until, now, then in OTHERWISE[name]:
        if text.count(now) != 1:
            raise ValueError(f"{name} of the bullmq that is installed has not once {now!r}; install the locked one")
        text = text.replace(now, then) if major < until else text
    return text


def connection_of(workload: Workload, url: str, draw: Draw, told: Mapping[str, Any]) -> Opens:
    """What opens a connection that adds the workload's jobs to the `queue` told of, with ids that begin as `token`.

    `queue_make` is told where it is a queue of somebody's own.
    """
    queue, series = Queue(**told["queue"]), f"{told['token']}-{draw.shard}"
    standard, delayed = _scripts(queue, QueueMake(**told.get("queue_make", {})))
    jobs = [
        packed_jobs(each, queue, delayed if each.job and each.job.delay_ms else standard, f"{series}-{code}", draw)
        for code, each in enumerate(workload.operations)
    ]
    return functools.partial(BullmqConnection, (standard.text, delayed.text), url, jobs)


def packed_jobs(operation: Operation, queue: Queue, script: _Script, series: str, draw: Draw) -> Iterator[bytes]:
    """The calls that add the operation's job with its data drawn, endless; each says the wall clock's time.

    The id of a job is `series` and how many jobs of the operation this process had added before, as `f00d-0-3-17`.
    """
    if operation.job is None:
        raise ValueError(f"the operation {operation.name!r} has no job")
    job, head = operation.job, script.call
    options = msgpack.packb(job_options(job))
    data, names = template(job.data)
    streams = argument_streams(operation, [(name, None) for name in names], draw)
    arguments = zip(*streams, strict=True) if names else itertools.repeat(())
    for number, values in enumerate(arguments):
        now_ms = unix_ns() // 1_000_000
        described = msgpack.packb([queue.key(""), f"{series}-{number}", operation.name, now_ms, *[None] * 5])
        yield packed_command([*head, described, data % values, options, str(now_ms)])


def job_options(job: Job) -> dict[str, object]:
    """As BullMQ's producers write them; its workers wait for `delay`, doubled each time, before a further attempt."""
    backoff = {"type": "exponential", "delay": int(job.backoff_ms), "jitter": JITTER}
    # The queue's events tell how they ended. Those kept beside others' would push these out where a rule keeps so many.
    options: dict[str, object] = {"attempts": job.attempts, "backoff": backoff}
    options |= {"removeOnComplete": True, "removeOnFail": True}
    return options | ({"delay": job.delay_ms} if job.delay_ms else {})


class BullmqConnection(RedisConnection):
    """A connection to a Redis that knows these scripts.

    Where the server forgot them, as at a SCRIPT FLUSH, it is told them again, and the job is added all the same.
    """

    _request = b""

    def __init__(self, scripts: Sequence[str], url: str, streams: Sequence[Iterator[bytes]], *rest: Any) -> None:
        super().__init__(url, [self._remembered(each) for each in streams], *rest)
        self._scripts = scripts

    def receive(self) -> int:
        """Read one reply, as RedisConnection does."""
        outcome = super().receive()
        if outcome > OK and self._failed.startswith(FORGOTTEN):
            try:
                self._socket.settimeout(self._timeout_s)
                for command in self._loading():
                    self._greet(command)
                self._socket.sendall(self._request)
                self._socket.setblocking(False)
            except OSError as error:
                raise ConnectionLostError(why_lost(error)) from None
            return PENDING
        return outcome

    def _remembered(self, requests: Iterator[bytes]) -> Iterator[bytes]:
        for self._request in requests:
            yield self._request

    def _loading(self) -> Iterator[tuple[str, ...]]:
        for text in self._scripts:
            yield ("SCRIPT", "LOAD", text)

    def _greeting(self) -> Iterator[tuple[str, ...]]:
        yield from super()._greeting()
        yield from self._loading()
