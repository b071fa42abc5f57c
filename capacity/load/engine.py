"""The load engine: one loop over epoll, which writes down what it sees."""

import gc
import select
from collections import deque
from collections.abc import Sequence

from capacity.clock import monotonic_ns
from capacity.load.arrivals import NEVER, Arrivals
from capacity.load.connection import CLOSES, PENDING, Connection, ConnectionLostError, NotTakenError, SendsOnError
from capacity.load.health import PAUSE_NS, Health
from capacity.load.pool import ConnectionPool, Slot
from capacity.load.schedule import Arrival, SentBefore
from capacity.load.timer import Timer
from capacity.samples import Outcome
from capacity.streams import ROW, GaugeWriter, SampleWriter

SPIN_NS = 20_000  # nearer than this, asking again costs less than setting the timer
TICK_NS = 20_000_000  # how late a time-out may be noticed
FLUSH_NS = 200_000_000  # with the tick and the write itself, a flushed sample is at most 250 ms old
ROW_BYTES = ROW.size
ERROR = int(Outcome.ERROR)  # a code of a class of failure is above 0, and 0 is both OK and Outcome.OK
pack_row = ROW.pack_into


class Engine:
    """Drives `arrivals` over `connections`, writing every operation's three clocks and outcome.

    An operation whose connection is not free yet waits, and its response time counts from the schedule; after
    `timeout_s` of waiting it is dropped, after `timeout_s` without an answer it timed out and is given up. One whose
    connection the server had ended before it came there goes over another, and was sent when it was sent first. Times
    are nanoseconds of the monotonic clock, in the recording from `origin_ns`.
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
        self._health = Health(gauges)
        self._pool = ConnectionPool(connections, self._health)
        self._idle, self.refused, self.stop = self._pool.idle, self._pool.refused, self._pool.stop
        self._waiting: deque[Arrival] = deque()

    def connect(self) -> int:
        """Open all connections and return how many opened; the reasons of the others are in `refused`.

        The heap is collected and frozen here, before the run's origin, because a collection stalls.
        """
        opened = self._pool.connect()
        gc.collect()
        gc.freeze()
        return opened

    def run(self, origin_ns: int) -> None:
        """Drive every planned operation to its end, without garbage collections meanwhile."""
        self._origin = self._samples.origin_ns = self._health.origin_ns = origin_ns
        self._arrivals.begin(origin_ns)
        gc.disable()
        try:
            self._loop()
        finally:
            gc.enable()
            gc.unfreeze()
            self._samples.flush()
            self._pool.close()

    def _loop(self) -> None:  # noqa: PLR0912, PLR0915
        """Wait, take all answers that are there, then send what is due next on their connections: one page.

        Answers are taken before anything is sent, so that none waits while we send; and a server that sleeps is woken
        once for all of them, which costs a system call more than anything else here. What nearly every operation
        passes through stands here in full, because a call of a function costs as much as all the rest of its line. A
        slot's function is bound to a name before its call: called as an attribute it is looked up in its class first.
        """
        timer, origin, waiting, samples = Timer(), self._origin, self._waiting, self._samples
        arrivals, pool, buffer = self._arrivals, self._pool, samples.buffer
        pool.epoll.register(timer.descriptor, select.EPOLLIN | select.EPOLLET)
        slot_of, poll = pool.by_descriptor.get, pool.epoll.poll
        numbers, operations, armed = arrivals.numbers, arrivals.operations, 0
        answered: list[Slot] = []
        self._health.begin(monotonic_ns() - origin, len(self._idle))
        next_tick = next_flush = monotonic_ns()  # before the origin: first times are slow
        while True:
            now = monotonic_ns()
            due = arrivals.next_due
            if now - due > PAUSE_NS:
                self._health.paused(now, now - due)
            while due <= now:
                self._dispatch(arrivals.take())
                due = arrivals.next_due
            if now >= next_tick:
                if due == NEVER and not waiting and pool.rests:
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
                    pool.take_done()
                    continue
                receive = slot.receive
                try:
                    code = receive()
                except ConnectionLostError as error:
                    self._lost(slot, error)
                    continue
                if code < 0:
                    if code != PENDING:
                        self._end(slot, (CLOSES - code) and ERROR, CLOSES - code)
                    continue
                slot.finished = now = monotonic_ns()
                arrival = slot.arrival
                if arrival is None:
                    if not pool.is_free_again(slot):
                        pool.lose(slot, now)  # an answer that nobody asked for
                    continue
                seq, scheduled, operation, step = arrival
                if code:
                    samples.note_failure(operation, code, slot.connection.said)
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
                    slot.sent = monotonic_ns()
                    try:
                        send(operation)
                    except ConnectionLostError as error:
                        self._lost(slot, error)
                    except SendsOnError:
                        pool.send_rest(slot)
            answered.clear()
        self._flush(monotonic_ns())
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
        while self._waiting and self._idle:  # connections that opened, or operations that lost theirs
            self._send(self._idle.popleft(), self._waiting.popleft())

    def _dispatch(self, arrival: Arrival) -> None:
        """Send at once where a connection is free; the delay until then is the generator's own."""
        if self._idle and not self._waiting:
            slot = self._idle.popleft()
            self._send(slot, arrival)
            self._health.sent(slot.sent - arrival[1], len(self._idle))
        else:
            self._waiting.append(arrival)
            self._health.waits(monotonic_ns(), len(self._waiting))

    def _send(self, slot: Slot, arrival: Arrival) -> None:
        slot.arrival = arrival
        slot.sent = monotonic_ns()
        try:
            if isinstance(arrival, SentBefore):
                slot.sent = arrival.sent
                slot.connection.send_again(arrival.request)
            else:
                slot.send(arrival[2])
        except ConnectionLostError as error:
            self._lost(slot, error)
        except SendsOnError:
            self._pool.send_rest(slot)

    def _record(self, arrival: Arrival, sent: int, finished: int, outcome: int, error: int) -> None:
        """How an operation ended otherwise than by an answer, which its user goes on from."""
        seq, scheduled, operation, step = arrival
        samples = self._samples
        pack_row(samples.buffer, samples.position, seq, scheduled, sent, finished, operation, outcome, error, step)
        samples.position += ROW_BYTES
        if samples.position == samples.end:
            samples.flush()
        self._arrivals.finished(finished)

    def _expire(self, now: int) -> None:
        """Time out what was not answered, drop what waited too long, and tend the connections that are not in use."""
        for slot in self._pool.slots:
            if now >= slot.next_at:
                self._pool.tend(slot, now)
            elif slot.arrival is not None and now - slot.sent > self._timeout_ns:
                arrival, sent, code = slot.arrival, slot.sent, self._samples.error_code("timed out")
                self._pool.give_up(slot, now)
                self._record(arrival, sent, now, Outcome.TIMEOUT, code)
        while self._waiting and now - self._waiting[0][1] > self._timeout_ns:
            arrival = self._waiting.popleft()
            if isinstance(arrival, SentBefore):
                self._record(arrival, arrival.sent, now, Outcome.ERROR, self._samples.error_code(arrival.reason))
            else:
                code = self._samples.error_code(self._pool.why_none_is_free)
                self._record(arrival, now, now, Outcome.DROPPED, code)

    def _lost(self, slot: Slot, error: ConnectionLostError) -> None:
        """A connection was lost; what it had not taken goes over another one, as a client of that protocol does it."""
        arrival = slot.arrival
        if arrival is not None and isinstance(error, NotTakenError):
            self._waiting.appendleft(again := SentBefore(arrival))
            again.sent, again.request, again.reason = slot.sent, error.request, str(error)
            slot.sent = 0  # nothing was sent over it
            self._pool.lose(slot, monotonic_ns())
        else:
            self._end(slot, ERROR, 0 if arrival is None else self._samples.error_code(str(error)))

    def _end(self, slot: Slot, outcome: int, code: int) -> None:
        """Note how what was under way on a connection ended, and open another in its place."""
        now = monotonic_ns()
        arrival, sent = slot.arrival, slot.sent
        self._pool.lose(slot, now)
        if arrival is not None:
            self._record(arrival, sent, now, outcome, code)

    def _flush(self, now: int) -> None:
        """Write the samples and the generator's own health since the last flush."""
        self._samples.flush()
        self._health.write(now - self._origin, len(self._pool.slots), len(self._idle), len(self._waiting))
