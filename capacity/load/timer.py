"""A timer with nanoseconds that epoll can wait on; epoll's own timeout has whole milliseconds."""

import ctypes
import os
import time

NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
ABSOLUTE = 1


class Timespec(ctypes.Structure):
    """The C struct itimerspec: an interval that stays 0 and the moment of expiry."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


class Timer:
    """A Linux timerfd; register `descriptor` edge-triggered, so that an expiry needs no read."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)  # here, since only Linux's has a timerfd, and others read recordings
        self._settime = libc.timerfd_settime
        self.descriptor = libc.timerfd_create(time.CLOCK_MONOTONIC, NONBLOCK_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "cannot make a timer")
        self._spec = Timespec()
        self._pointer = ctypes.byref(self._spec)

    def set(self, at_ns: int) -> None:
        """Expire at that moment of the monotonic clock, in place of any moment set before."""
        self._spec.value_s, self._spec.value_ns = divmod(at_ns, 1_000_000_000)
        self._settime(self.descriptor, ABSOLUTE, self._pointer, None)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)
