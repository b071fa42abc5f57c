"""The load engine: one loop over epoll, and the only module that reads the clock."""

import gc
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from capacity.load.arrivals import NEVER, Arrivals
from capacity.load.connection import CLOSES, PENDING, Connection, ConnectionLostError
from capacity.load.health import Health
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
ERROR = int(Outcome.ERROR)  # a code of a class of failure is above 0, and 0 is both OK and Outcome.OK
pack_row = ROW.pack_into
clock = time.monotonic_ns


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one connection: what is under way on it, when it was sent and answered; or when it was lost."""

    connection: Connection
    send: Callable[[int], None]
    receive: Callable[[], int]
    descriptor: int = -1
    arrival: Arrival | None = None
    sent: int = 0
    finished: int = 0
    lost: int = 0
    reopen_at: int = NEVER


class Engine:
    """Drives `arrivals` over `connections`, writing every operation's three clocks and outcome.

    An operation whose connection is not free yet waits, and its response time counts from the schedule; after
    `timeout_s` of waiting it is dropped, after `timeout_s` without an answer it timed out and its connection is opened
    anew. Free connections take turns, as those of separate clients do: the one used last would be the warmest.
    Times are nanoseconds of the monotonic clock, in the recording from `origin_ns`.
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
        self._timeout_ns = int(timeout_s * 1e9)
        self._slots = [Slot(each, each.send, each.receive) for each in connections]
        self._by_descriptor: dict[int, Slot] = {}
        self._idle: deque[Slot] = deque()
        self._waiting: deque[Arrival] = deque()
        self._health = Health(gauges)
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
        gc.collect()
        gc.freeze()
        return len(self._slots)

    def run(self, origin_ns: int) -> None:
        """Drive every planned operation to its end, without garbage collections meanwhile."""
        self._origin = self._samples.origin_ns = origin_ns
        self._arrivals.begin(origin_ns)
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

    def _loop(self) -> None:  # noqa: PLR0912, PLR0915
        """Wait, take all answers that are there, then send what is due next on their connections: one page.

        Answers are taken before anything is sent, so that none waits while we send; and a server that sleeps is woken
        once for all of them, which costs a system call more than anything else here. What nearly every operation
        passes through stands here in full, because a call of a function costs as much as all the rest of its line. A
        slot's function is bound to a name before its call: called as an attribute it is looked up in its class first.
        """
        timer, origin, waiting, samples = Timer(), self._origin, self._waiting, self._samples
        self._epoll.register(timer.descriptor, select.EPOLLIN | select.EPOLLET)
        self._epoll.register(self._reopener.descriptor, select.EPOLLIN)
        arrivals, slot_of, poll, buffer = self._arrivals, self._by_descriptor.get, self._epoll.poll, samples.buffer
        numbers, operations, armed = arrivals.numbers, arrivals.operations, 0
        answered: list[Slot] = []
        self._health.begin(clock() - origin, len(self._idle))
        next_tick = next_flush = clock()  # before the origin: first times are slow
        while True:
            now = clock()
            due = arrivals.next_due
            while due <= now:
                self._dispatch(arrivals.take())
                due = arrivals.next_due
            if now >= next_tick:
                if due == NEVER and not waiting and all(slot.arrival is None for slot in self._slots):
                    break
                self._expire(now)
                next_tick = now + TICK_NS
                if now >= next_flush:
                    self._flush(now)
                    next_flush = now + FLUSH_NS
            if due - now > SPIN_NS:
                if due not in (armed, NEVER):
                    timer.set(due)
                    armed = due
                events = poll(TICK_NS / 1e9)
            else:
                events = poll(0)
            for descriptor, _ in events:
                slot = slot_of(descriptor)
                if slot is None:
                    if descriptor == self._reopener.descriptor:
                        self._reopened()
                    continue
                receive = slot.receive
                try:
                    code = receive()
                except ConnectionLostError as error:
                    self._lose(slot, str(error))
                    continue
                if code < 0:
                    if code != PENDING:
                        self._close(slot, CLOSES - code)
                    continue
                slot.finished = now = clock()
                arrival = slot.arrival
                if arrival is None:
                    self._lose(slot, "an answer that nobody asked for")
                    continue
                seq, scheduled, operation, step = arrival
                position = samples.position
                pack_row(buffer, position, seq, scheduled, slot.sent, now, operation, code and ERROR, code, step)
                samples.position = position = position + ROW_BYTES
                if position == samples.end:
                    samples.flush()
                answered.append(slot)
            if now >= arrivals.steady_until or waiting:
                self._follow(answered)
            else:
                step = arrivals.step
                for slot, seq, operation in zip(answered, numbers, operations, strict=False):
                    slot.arrival = (seq, slot.finished, operation, step)
                    send = slot.send
                    slot.sent = clock()
                    try:
                        send(operation)
                    except ConnectionLostError as error:
                        self._lose(slot, str(error))
            answered.clear()
        self._flush(clock())
        timer.close()

    def _follow(self, answered: Sequence[Slot]) -> None:
        """Send what waits longest, or else what those answers made due, on their connections; the others are free."""
        for slot in answered:
            following = self._arrivals.following(slot.finished)
            if self._waiting:
                if following is not None:
                    self._dispatch(following)
                following = self._waiting.popleft()
            if following is None:
                slot.arrival = None
                self._idle.append(slot)
            else:
                self._send(slot, following)

    def _dispatch(self, arrival: Arrival) -> None:
        """Send at once where a connection is free; the delay until then is the generator's own."""
        if self._idle and not self._waiting:
            slot = self._idle.popleft()
            self._send(slot, arrival)
            self._health.sent(slot.sent - arrival[1], len(self._idle))
        else:
            self._waiting.append(arrival)
            self._health.waits(len(self._waiting))

    def _send(self, slot: Slot, arrival: Arrival) -> None:
        slot.arrival = arrival
        slot.sent = clock()
        try:
            slot.send(arrival[2])
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

    def _close(self, slot: Slot, code: int) -> None:
        """Take an answer after which the server ends the connection, and open another."""
        now = clock()
        arrival, sent = slot.arrival, slot.sent
        self._away(slot, now)
        if arrival is not None:
            self._record(arrival, sent, now, code and ERROR, code)
            self._arrivals.finished(now)

    def _lose(self, slot: Slot, reason: str, outcome: Outcome = Outcome.ERROR) -> None:
        """Close a connection; what was under way on it failed for that reason."""
        now = clock()
        arrival, sent = slot.arrival, slot.sent
        self._away(slot, now)
        if arrival is not None:
            self._record(arrival, sent, now, outcome, self._samples.error_code(reason))
            self._arrivals.finished(now)

    def _away(self, slot: Slot, now: int) -> None:
        """Take a connection out of use, and open it again beside the loop."""
        with suppress(OSError):  # libpq closes a descriptor itself when the server ends the connection
            self._epoll.unregister(slot.descriptor)
        del self._by_descriptor[slot.descriptor]
        slot.connection.close()
        slot.descriptor, slot.lost = -1, now
        if slot.arrival is None:
            self._idle.remove(slot)
        slot.arrival = None
        self._reopen(slot)

    def _reopen(self, slot: Slot) -> None:
        slot.reopen_at = NEVER
        self._reopener.begin(slot, slot.connection)

    def _reopened(self) -> None:
        """Take the connections that opened again into use; the time without each is recorded."""
        for slot, descriptor in self._reopener.finished():
            now = clock()
            if descriptor is None:
                slot.reopen_at = now + REOPEN_NS
                continue
            self._opened(slot, descriptor)
            self._health.reconnected(now - self._origin, now - slot.lost)
        while self._waiting and self._idle:
            self._send(self._idle.popleft(), self._waiting.popleft())

    def _opened(self, slot: Slot, descriptor: int) -> None:
        slot.descriptor = descriptor
        self._by_descriptor[descriptor] = slot
        self._epoll.register(descriptor, select.EPOLLIN)
        self._idle.append(slot)

    def _flush(self, now: int) -> None:
        """Write the samples and the generator's own health since the last flush."""
        self._samples.flush()
        self._health.write(now - self._origin, len(self._slots), len(self._idle), len(self._waiting))


def unix_ns_of(monotonic_ns: int) -> int:
    """The wall clock's time at a moment of the monotonic clock, by which a recording is laid beside other records."""
    return time.time_ns() + monotonic_ns - clock()
