"""The course of each job by the events of its queue: when it was added, taken by a worker, and how it ended."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from capacity.probes.jobs.events import Event

JobRow = tuple[str | int, ...]  # in the order of JOB_SCHEMA
OWN = r"{}-\d{{1,4}}-\d{{1,4}}-\d{{1,9}}"  # the id of a job of ours: token, process, operation, number
ENDS = {b"completed": "completed", b"failed": "failed", b"removed": "removed"}
FOLLOWED = {b"added", b"active", b"delayed", *ENDS}
REASON = b"failedReason"
UNKNOWN = "unknown"
UNSEEN, THERE, IN_DOUBT, GONE, ENDED = range(5)  # what is known of a job of ours, in a byte


@dataclass(slots=True)
class Course:
    """What is known of a job under way: times in ms of Redis' clock, 0 where they are not known; so are attempts."""

    added_ms: int = 0
    started_ms: int = 0
    attempts: int = 0
    delay_ms: int = 0
    name: str = ""


class OwnJobs:
    """What is known of each job with ids of a token, in one byte each; `unfinished` is how many have not ended."""

    def __init__(self) -> None:
        self._series: dict[bytes, bytearray] = {}
        self.unfinished = 0

    def state(self, job: bytes) -> int:
        """What is known of a job."""
        series, _, number = job.rpartition(b"-")
        known = self._series.get(series, b"")
        place = int(number)
        return known[place] if place < len(known) else UNSEEN

    def note(self, job: bytes, state: int) -> None:
        """Remember what is known of a job now."""
        series, _, number = job.rpartition(b"-")
        known, place = self._series.setdefault(series, bytearray()), int(number)
        if place >= len(known):
            known.extend(bytes(place + 1 - len(known)))
        self.unfinished += (state in (THERE, IN_DOUBT)) - (known[place] in (THERE, IN_DOUBT))
        known[place] = state

    def doubt(self) -> None:
        """What happened to the jobs that have not ended was missed in part."""
        for known in self._series.values():
            known[:] = known.replace(bytes([THERE]), bytes([IN_DOUBT]))

    def of(self, *states: int) -> Iterator[bytes]:
        """The ids of the jobs of these states."""
        for series, known in self._series.items():
            yield from (b"%b-%d" % (series, place) for place, state in enumerate(known) if state in states)


class Courses:
    """Follows the jobs with ids of a token, or of all where it is empty; each that ends becomes a row.

    A row's times are ms of this machine's clock: Redis' is `clock_ms` ahead of it. `delays_ms` and `names` are those
    of the operations whose jobs are ours, by their codes. `others` counts the jobs that others added.
    """

    def __init__(self, token: str, names: Sequence[str] = (), delays_ms: Sequence[int] = ()) -> None:
        self._own = re.compile(OWN.format(re.escape(token)).encode()) if token else None
        self._names, self._delays_ms = names, delays_ms
        self._under_way: dict[bytes, Course] = {}
        self.own = OwnJobs()
        self.clock_ms = 0
        self.others = 0

    def take(self, events: Iterable[Event]) -> list[JobRow]:
        """Follow the jobs through these events, and return the rows of those that ended."""
        rows: list[JobRow] = []
        for at_ms, event, job, fields in events:
            if event not in FOLLOWED:
                continue
            if self._own is not None and not self._own.fullmatch(job):
                self.others += event == b"added"
            elif event == b"active":
                self._started(at_ms, job)
            elif event == b"added":
                self._added(at_ms, job, fields)
            elif event == b"delayed" and self._own is None and job in self._under_way:
                self._delayed(job, fields)
            elif event in ENDS and job:
                rows += self._ended(at_ms, ENDS[event], job, fields)
        return rows

    def doubt(self) -> None:
        """Events were missed: how often each job was begun, and when, is not known from here on."""
        self.own.doubt()
        if self._own is None:
            self._under_way.clear()
        for course in self._under_way.values():
            course.started_ms = course.attempts = 0

    def row(self, job: bytes, outcome: str) -> JobRow:
        """The row of a job of ours that has not ended."""
        name, delay_ms = self._of_operation(job)
        return (job.decode(), name, 0, delay_ms, 0, 0, 0, outcome, "")

    def _added(self, at_ms: int, job: bytes, fields: list[bytes]) -> None:
        if self._own is not None:
            self.own.note(job, THERE)
        elif job:
            self._under_way[job] = Course(at_ms, name=fields[1].decode() if len(fields) > 1 else "")

    def _delayed(self, job: bytes, fields: list[bytes]) -> None:
        """A delay that was wanted, and no wait before a further attempt."""
        course = self._under_way[job]
        if not course.attempts and len(fields) > 1:
            course.delay_ms = max(0, int(fields[1]) - course.added_ms)

    def _started(self, at_ms: int, job: bytes) -> None:
        if (course := self._under_way.get(job)) is None:
            course = self._under_way[job] = Course()
        sure = bool(course.attempts or course.added_ms)
        if self._own is not None:
            state = self.own.state(job)
            sure = bool(course.attempts) or (state == THERE and not course.started_ms)
            if state == UNSEEN:
                self.own.note(job, IN_DOUBT)
        course.started_ms, course.attempts = at_ms, course.attempts + 1 if sure else 0

    def _ended(self, at_ms: int, outcome: str, job: bytes, fields: list[bytes]) -> Iterator[JobRow]:
        course = self._under_way.pop(job, None) or Course()
        if self._own is not None:
            if self.own.state(job) == ENDED:
                return
            self.own.note(job, ENDED)
            course.name, course.delay_ms = self._of_operation(job)
        reason = fields[fields.index(REASON) + 1] if outcome == "failed" and REASON in fields else b""
        times = (each - self.clock_ms if each else 0 for each in (course.added_ms, course.started_ms, at_ms))
        added_ms, started_ms, ended_ms = times
        values = (added_ms, course.delay_ms, started_ms, ended_ms, course.attempts, outcome)
        yield (job.decode(errors="replace"), course.name, *values, reason.decode(errors="replace"))

    def _of_operation(self, job: bytes) -> tuple[str, int]:
        code = int(job.split(b"-")[-2])
        return (self._names[code], self._delays_ms[code]) if code < len(self._names) else ("", 0)
