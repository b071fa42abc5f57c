"""The load engine: one loop over epoll, and the only module that reads the clock."""

import gc
import math
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capacity.load.arrivals import NEVER, Arrivals
from capacity.load.connection import PENDING, Connection, ConnectionLostError
from capacity.load.reopening import Reopener
from capacity.load.schedule import Arrival
from capacity.load.timer import Timer
from capacity.samples import Outcome
from capacity.streams import ROW, GaugeWriter, SampleWriter

SPIN_NS = 20_000  # nearer than this, asking again costs less than setting the timer
TICK_NS = 20_000_000  # how late a time-out may be noticed
FLUSH_NS = 200_000_000  # with the tick and the write itself, a flushed sample is at most 250 ms old
REOPEN_NS = 100_000_000  # between two attempts to open a lost connection again
ROW_BYTES = ROW.size
OK, ERROR = int(Outcome.OK), int(Outcome.ERROR)
pack_row = ROW.pack_into
clock = time.monotonic_ns


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one connection: what is under way on it, and when it was sent; or when it was lost."""

    connection: Connection
    descriptor: int = -1
    arrival: Arrival | None = None
    sent: int = 0
    lost: int = 0
    reopen_at: int = NEVER


class Engine:
    """Drives `arrivals` over `connections`, writing every operation's three clocks and outcome.

    An operation whose connection is not free yet waits, and its response time counts from the schedule; after
    `timeout_s` of waiting it is dropped, after `timeout_s` without an answer it timed out and its connection is opened
    anew. Times in the recording are nanoseconds from `origin_ns` on the monotonic clock.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        connections: Sequence[Connection],
        samples: SampleWriter,
        gauges: GaugeWriter,
        timeout_s: float,
    ) -> None:
        self._arrivals = arrivals
        self._samples = samples
        self._gauges = gauges
        self._timeout_ns = int(timeout_s * 1e9)
        self._slots = [Slot(connection) for connection in connections]
        self._by_descriptor: dict[int, Slot] = {}
        self._idle: list[Slot] = []
        self._waiting: deque[Arrival] = deque()
        self._outgoing: list[tuple[Slot, Arrival]] = []
        self._lateness: list[int] = []
        self._reconnections: list[tuple[int, str, float]] = []
        self._least_idle = len(self._slots)
        self._most_waiting = 0
        self._exhaustions = 0
        self._epoll = select.epoll()
        self._reopener: Reopener[Slot] = Reopener()
        self.refused: list[str] = []

    def connect(self) -> int:
        """Open all connections and return how many opened; the reasons of the others are in `refused`.

        The heap is collected and frozen here, before the run's origin, because a collection stalls.
        """
        for slot in self._slots:
            try:
                self._opened(slot, slot.connection.open())
            except ConnectionLostError as error:
                self.refused.append(str(error))
        self._slots = [slot for slot in self._slots if slot.descriptor >= 0]
        self._least_idle = len(self._slots)
        gc.collect()
        gc.freeze()
        return len(self._slots)

    def run(self, origin_ns: int) -> None:
        """Drive every planned operation to its end, without garbage collections meanwhile."""
        self._origin = origin_ns
        gc.disable()
        try:
            self._loop()
        finally:
            gc.enable()
            gc.unfreeze()
            self._samples.flush()
            for slot in self._slots:
                if slot.descriptor >= 0:
                    slot.connection.close()
            self._reopener.close()
            self._epoll.close()

    def _loop(self) -> None:
        timer = Timer()
        self._epoll.register(timer.descriptor, select.EPOLLIN | select.EPOLLET)
        self._epoll.register(self._reopener.descriptor, select.EPOLLIN)
        origin, arrivals, by_descriptor, poll = self._origin, self._arrivals, self._by_descriptor, self._epoll.poll
        armed, outgoing, receive, send = 0, self._outgoing, self._receive, self._send
        self._cpu, self._starved = time.process_time_ns(), _starved_ns()
        self._flushed = next_tick = next_flush = clock() - origin  # before the origin: first times are slow
        while True:
            now = clock() - origin
            due = arrivals.next_due
            while due <= now:
                self._dispatch(arrivals.take())
                due = arrivals.next_due
            if now >= next_tick:
                if due == NEVER and not self._waiting and all(slot.arrival is None for slot in self._slots):
                    break
                self._expire(now)
                next_tick = now + TICK_NS
                if now >= next_flush:
                    self._flush(now)
                    next_flush = now + FLUSH_NS
            if due - now > SPIN_NS:
                if due not in (armed, NEVER):
                    timer.set(origin + due)
                    armed = due
                events = poll(TICK_NS / 1e9)
            else:
                events = poll(0)
            for descriptor, _ in events:
                slot = by_descriptor.get(descriptor)
                if slot is not None:
                    receive(slot)
                elif descriptor == self._reopener.descriptor:
                    self._reopened()
            for slot, arrival in outgoing:
                send(slot, arrival)
            outgoing.clear()
        self._flush(clock() - origin)
        timer.close()

    def _receive(self, slot: Slot) -> None:
        """Take an answer, and note what is due next on the same connection: the path of nearly every operation.

        It is sent when all answers that are there have been taken, so that none waits while we send; and a server that
        sleeps is woken once for all of them, which costs a system call more than anything else here.
        """
        try:
            code = slot.connection.receive()
        except ConnectionLostError as error:
            self._lose(slot, str(error))
            return
        if code == PENDING:
            return
        arrival = slot.arrival
        if arrival is None:
            self._lose(slot, "an answer that nobody asked for")
            return
        now = clock() - self._origin
        seq, scheduled, operation, step = arrival
        samples = self._samples
        position = samples.position
        pack_row(samples.buffer, position, seq, scheduled, slot.sent, now, operation, ERROR if code else OK, code, step)
        samples.position = position = position + ROW_BYTES
        if position == samples.end:
            samples.flush()
        following = self._arrivals.following(now)
        if self._waiting:
            if following is not None:
                self._dispatch(following)
            following = self._waiting.popleft()
        if following is None:
            slot.arrival = None
            self._idle.append(slot)
            return
        self._outgoing.append((slot, following))

    def _dispatch(self, arrival: Arrival) -> None:
        """Send at once where a connection is free; the delay until then is the generator's own."""
        if self._idle and not self._waiting:
            slot = self._idle.pop()
            self._least_idle = min(self._least_idle, len(self._idle))
            self._send(slot, arrival)
            self._lateness.append(slot.sent - arrival[1])
        else:
            self._exhaustions += not self._waiting
            self._waiting.append(arrival)
            self._most_waiting = max(self._most_waiting, len(self._waiting))

    def _send(self, slot: Slot, arrival: Arrival) -> None:
        slot.arrival = arrival
        slot.sent = clock() - self._origin
        try:
            slot.connection.send(arrival[2])
        except ConnectionLostError as error:
            self._lose(slot, str(error))

    def _record(self, arrival: Arrival, sent: int, finished: int, outcome: int, error: int) -> None:
        seq, scheduled, operation, step = arrival
        samples = self._samples
        pack_row(samples.buffer, samples.position, seq, scheduled, sent, finished, operation, outcome, error, step)
        samples.position += ROW_BYTES
        if samples.position == samples.end:
            samples.flush()

    def _expire(self, now: int) -> None:
        """Time out what was not answered, drop what waited too long, and open lost connections again."""
        for slot in self._slots:
            if now >= slot.reopen_at:
                self._reopen(slot)
            elif slot.arrival is not None and now - slot.sent > self._timeout_ns:
                self._lose(slot, "timed out", Outcome.TIMEOUT)
        while self._waiting and now - self._waiting[0][1] > self._timeout_ns:
            arrival = self._waiting.popleft()
            self._record(arrival, now, now, Outcome.DROPPED, self._samples.error_code("no free connection"))
            self._arrivals.finished(now)

    def _lose(self, slot: Slot, reason: str, outcome: Outcome = Outcome.ERROR) -> None:
        """Close a connection; what was under way on it failed for that reason."""
        now = clock() - self._origin
        self._epoll.unregister(slot.descriptor)
        del self._by_descriptor[slot.descriptor]
        slot.connection.close()
        slot.descriptor, slot.lost = -1, now
        self._reopen(slot)
        arrival, slot.arrival = slot.arrival, None
        if arrival is None:
            self._idle.remove(slot)
            return
        self._record(arrival, slot.sent, now, outcome, self._samples.error_code(reason))
        self._arrivals.finished(now)

    def _reopen(self, slot: Slot) -> None:
        slot.reopen_at = NEVER
        self._reopener.begin(slot, slot.connection)

    def _reopened(self) -> None:
        """Take the connections that opened again into use; the time without each is recorded."""
        for slot, descriptor in self._reopener.finished():
            now = clock() - self._origin
            if descriptor is None:
                slot.reopen_at = now + REOPEN_NS
                continue
            self._opened(slot, descriptor)
            self._reconnections.append((now, "generator.reconnection_ms", (now - slot.lost) / 1e6))
        while self._waiting and self._idle:
            self._send(self._idle.pop(), self._waiting.popleft())

    def _opened(self, slot: Slot, descriptor: int) -> None:
        slot.descriptor = descriptor
        self._by_descriptor[descriptor] = slot
        self._epoll.register(descriptor, select.EPOLLIN)
        self._idle.append(slot)

    def _flush(self, now: int) -> None:
        """Write the samples and the generator's own health since the last flush."""
        self._samples.flush()
        cpu, starved, lateness = time.process_time_ns(), _starved_ns(), self._lateness
        elapsed = max(now - self._flushed, TICK_NS)
        health = {
            "generator.cpu_share": (cpu - self._cpu) / elapsed,
            "generator.in_use": len(self._slots) - self._least_idle,
            "generator.waiting": self._most_waiting,
            "generator.exhaustions": self._exhaustions,
            "generator.starved_share": (starved - self._starved) / elapsed,
        }
        if lateness:
            lateness.sort()
            health["generator.lateness_p99_ms"] = lateness[math.ceil(0.99 * len(lateness)) - 1] / 1e6
            health["generator.lateness_max_ms"] = lateness[-1] / 1e6
        self._gauges.write(now, health)
        self._gauges.write_all(self._reconnections)
        self._lateness, self._reconnections = [], []
        self._cpu, self._starved, self._flushed = cpu, starved, now
        self._least_idle, self._most_waiting = len(self._idle), len(self._waiting)


def _starved_ns() -> int:
    """How long this process was runnable without a core, in nanoseconds; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
