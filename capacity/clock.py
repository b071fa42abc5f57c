"""The clocks, which no other module reads: a monotonic one, the wall clock, and the CPU time of this process.

The first ones are functions of C, since the engine's loop calls them for every operation.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from capacity.units import NS_PER_S

POLL_S = 0.02

monotonic_ns = time.monotonic_ns
monotonic_s = time.monotonic
unix_ns = time.time_ns
unix_s = time.time
cpu_ns = time.process_time_ns
cpu_s = time.process_time


def unix_ns_of(moment_ns: int) -> int:
    """The wall clock's time at a moment of the monotonic clock, by which a recording is laid beside other records."""
    return unix_ns() + moment_ns - monotonic_ns()


def seconds_since(moment_ns: int) -> float:
    """How long ago a moment of the monotonic clock was."""
    return (monotonic_ns() - moment_ns) / NS_PER_S


def wait_until(holds: Callable[[], bool], seconds: float, poll_s: float = POLL_S) -> bool:
    """Look every `poll_s` whether something holds, and return whether it came to that within `seconds`."""
    deadline = monotonic_s() + seconds
    while not holds():
        if monotonic_s() >= deadline:
            return False
        time.sleep(poll_s)
    return True


def utc_text() -> str:
    """The date and time in UTC, as 2026-11-25T09:50:00+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def utc_name() -> str:
    """The date and time in UTC as a folder may be called, as 2026-11-25T095000Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
