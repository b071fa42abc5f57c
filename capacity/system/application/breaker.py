"""A circuit breaker on the depth of a queue: while too much waits, what would add to it is refused at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

DEPTH_LIMIT = 10_000
COOLDOWN_S = 30.0


class State(IntEnum):
    """Whether calls go through; the numbers are those of the gateway's metrics."""

    CLOSED = 0
    OPEN = 1
    TRIAL = 2


class BreakerOpenError(Exception):
    """The call was refused: too much waits already."""


class Breaker:
    """Opens above a depth of `limit`, and after `cooldown_s` lets one call through to see whether it may close.

    `clock` counts seconds. The lock guards changes of the state; no call is made within it, and while the breaker is
    closed a call does not touch it.
    """

    def __init__(self, clock: Callable[[], float], limit: int = DEPTH_LIMIT, cooldown_s: float = COOLDOWN_S) -> None:
        self.limit = limit
        self.cooldown_s = cooldown_s
        self.state = State.CLOSED
        self.depth: int | None = None
        self.refusals = 0
        self._clock = clock
        self._open_until = 0.0
        self._lock = threading.Lock()

    def observe(self, depth: int | None) -> None:
        """Take note of the queue's depth; None, an unknown one, neither opens the breaker nor closes it."""
        self.depth = depth
        if depth is not None and depth > self.limit:
            with self._lock:
                if self.state is State.CLOSED:
                    self._open()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Make a call within a with-block; an exception in it is the call's failure. BreakerOpenError refuses it."""
        if self.state is State.CLOSED or not self._begins_trial():
            yield
            return
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            self._end_trial(succeeded)

    def _begins_trial(self) -> bool:
        """Whether this call is the trial; False where another call has closed the breaker in between."""
        with self._lock:
            if self.state is State.OPEN and self._clock() >= self._open_until:
                self.state = State.TRIAL
                return True
            if self.state is not State.CLOSED:
                self.refusals += 1
                raise BreakerOpenError
            return False

    def _end_trial(self, succeeded: bool) -> None:
        with self._lock:
            if succeeded and self.depth is not None and self.depth < self.limit:
                self.state = State.CLOSED
            else:
                self._open()

    def _open(self) -> None:
        self.state = State.OPEN
        self._open_until = self._clock() + self.cooldown_s
