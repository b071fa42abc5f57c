"""Where the loop's operations come from: the schedule (open loop) or users who wait for their answers (closed).

Both kinds say in `next_due` when the next operation is due on the monotonic clock, in nanoseconds; NEVER when none is.
Before `steady_until` what follows an operation is due when that one ends: its seq and code are the next of `numbers`
and `operations`, its step is `step`. The loop takes them itself, which spares a call for each operation.
"""

import bisect
import heapq
import itertools
from collections.abc import Iterator

from capacity.load.schedule import Arrival, Schedule
from capacity.units import NS_PER_S

NEVER = 1 << 62


class OpenArrivals:
    """The arrivals of a rate: due whatever becomes of the ones before."""

    steady_until, step = 0, 0

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.numbers: Iterator[int] = iter(())
        self.operations: Iterator[int] = iter(())
        self.next_due = self._end = NEVER

    def begin(self, origin_ns: int) -> None:
        """The schedule starts at that moment of the clock."""
        self._arrivals = self._schedule.arrivals(origin_ns)
        self._advance()

    def end_at(self, end_ns: int) -> None:
        """Nothing is due from that moment of the clock on; it may come from another thread than the loop's."""
        self._end = end_ns
        if self.next_due >= end_ns:
            self.next_due = NEVER

    def take(self) -> Arrival:
        """The operation that is due next."""
        arrival = self._next
        self._advance()
        return arrival

    def finished(self, now: int) -> None:
        """Nothing: a rate does not wait."""

    def following(self, now: int) -> Arrival | None:
        """One operation has ended: the next one where it is due by now, else None."""
        return self.take() if self.next_due <= now else None

    def _advance(self) -> None:
        following = next(self._arrivals, None)
        self.next_due = NEVER if following is None or following[1] >= self._end else following[1]
        if following is not None:
            self._next = following


class ClosedArrivals:
    """The operations of users: each sends, waits for the answer, thinks, and sends again until it goes."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.numbers: Iterator[int] = itertools.count()
        self.operations = schedule.operations()
        self._think = schedule.think_times_ns() if schedule.shape.think_ms else None
        self.step, self.next_due, self.steady_until = 0, NEVER, 0

    def begin(self, origin_ns: int) -> None:
        """The schedule starts at that moment of the clock."""
        changes = [(origin_ns + at, change) for at, change in self._schedule.user_changes()]
        self._ready = [at for at, change in changes if change > 0]
        heapq.heapify(self._ready)
        self._leaving = [at for at, change in changes if change < 0]
        self._end = origin_ns + int(self._schedule.shape.seconds * NS_PER_S)
        self._steps = [origin_ns + int(end * NS_PER_S) for end in self._schedule.shape.ends]
        self._refresh()

    def end_at(self, end_ns: int) -> None:
        """Nothing is due from that moment of the clock on: who is ready later does not send; from any thread."""
        self._end, self.steady_until = end_ns, 0

    def take(self) -> Arrival:
        """The operation of the user who has been ready longest."""
        due = heapq.heappop(self._ready)
        self.step = min(bisect.bisect_right(self._steps, due), len(self._steps) - 1)
        self._refresh()
        return next(self.numbers), due, next(self.operations), self.step

    def finished(self, now: int) -> None:
        """Its user thinks and will be ready again, or goes where the shape says that one has to."""
        if self._leaving and now >= self._leaving[0]:
            self._leaving.pop(0)
            return
        ready = now + next(self._think) if self._think else now
        if ready < self._end:
            heapq.heappush(self._ready, ready)
            self._refresh()

    def following(self, now: int) -> Arrival | None:
        """As `finished`, and then the operation of the user who has been ready longest, where one is ready."""
        if now < self.steady_until:
            return next(self.numbers), now, next(self.operations), self.step
        self.finished(now)
        return self.take() if self.next_due <= now else None

    def _refresh(self) -> None:
        """Note when the next is due, and until when a user who does not think is simply the next himself."""
        self.next_due = self._ready[0] if self._ready and self._ready[0] < self._end else NEVER
        if self._think or self._ready:
            self.steady_until = 0
        else:
            self.steady_until = min(self._end, self._steps[self.step], *self._leaving[:1])


Arrivals = OpenArrivals | ClosedArrivals


def arrivals_of(schedule: Schedule) -> Arrivals:
    """The arrivals of a schedule by the kind of its shape."""
    return OpenArrivals(schedule) if schedule.shape.kind == "rate" else ClosedArrivals(schedule)
