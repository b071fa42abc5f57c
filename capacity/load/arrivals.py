"""Where the loop's operations come from: the schedule (open loop) or users who wait for their answers (closed)."""

import bisect
import heapq
import itertools
from typing import Protocol

from capacity.load.schedule import Arrival, Schedule

NEVER = 1 << 62


class Arrivals(Protocol):
    """The next operation and when it is due, in nanoseconds from the start; NEVER when none is."""

    next_due: int

    def take(self) -> Arrival:
        """The operation that is due next."""

    def finished(self, now: int) -> None:
        """One operation has ended, however it ended."""

    def following(self, now: int) -> Arrival | None:
        """One operation has ended: the next one where it is due by now, else None."""


class OpenArrivals:
    """The arrivals of a rate: due whatever becomes of the ones before."""

    def __init__(self, schedule: Schedule) -> None:
        self._arrivals = schedule.arrivals()
        self._advance()

    def take(self) -> Arrival:
        """The operation that is due next."""
        arrival = self._next
        self._advance()
        return arrival

    def finished(self, now: int) -> None:
        """Nothing: a rate does not wait."""

    def following(self, now: int) -> Arrival | None:
        """The next operation where it is due by now, else None."""
        return self.take() if self.next_due <= now else None

    def _advance(self) -> None:
        following = next(self._arrivals, None)
        self.next_due = NEVER if following is None else following[1]
        if following is not None:
            self._next = following


class ClosedArrivals:
    """The operations of users: each sends, waits for the answer, thinks, and sends again until it goes."""

    def __init__(self, schedule: Schedule) -> None:
        self._ready = [at for at, change in schedule.user_changes() if change > 0]
        heapq.heapify(self._ready)
        self._leaving = [at for at, change in schedule.user_changes() if change < 0]
        self._end = schedule.end_ns
        self._steps = schedule.step_ends_ns
        self._step = 0
        self._numbered = zip(itertools.count(), schedule.operations(), strict=True)
        self._think = schedule.think_times_ns() if schedule.shape.think_ms else None
        self._refresh()

    def take(self) -> Arrival:
        """The operation of the user who has been ready longest."""
        due = heapq.heappop(self._ready)
        self._step = min(bisect.bisect_right(self._steps, due), len(self._steps) - 1)
        self._refresh()
        seq, operation = next(self._numbered)
        return seq, due, operation, self._step

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
        if now < self._steady_until:
            seq, operation = next(self._numbered)
            return seq, now, operation, self._step
        self.finished(now)
        return self.take() if self.next_due <= now else None

    def _refresh(self) -> None:
        """Note when the next is due, and until when a user who does not think is simply the next himself."""
        self.next_due = self._ready[0] if self._ready else NEVER
        if self._think or self._ready:
            self._steady_until = 0
        else:
            self._steady_until = min(self._end, self._steps[self._step], *self._leaving[:1])


def arrivals_of(schedule: Schedule) -> Arrivals:
    """The arrivals of a schedule by the kind of its shape."""
    return OpenArrivals(schedule) if schedule.shape.kind == "rate" else ClosedArrivals(schedule)
