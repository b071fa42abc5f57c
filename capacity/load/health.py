"""The generator's own health as gauges: how late it sends, its CPU, and how its connections are used."""

import gc
import math
import os
from pathlib import Path

from capacity.clock import cpu_ns
from capacity.streams import GaugeWriter

PAUSE_NS = 5_000_000  # shorter, it is the scheduler of the operating system, on any machine
CATCHING_UP = 2  # times as long as the pause: what was overdue is then answered, by connections in use two thirds
UNUSED = "generator.reconnection_of_unused"  # the server ended a connection over which nothing had gone
LEAST_NS = 20_000_000  # a shorter interval would make shares of its own overhead


class Health:
    """Notes what happens between two writes, and writes it as the gauges `generator.…`."""

    def __init__(self, gauges: GaugeWriter) -> None:
        self._gauges = gauges
        self.origin_ns = 0
        self._lateness: list[int] = []
        self._connections: list[tuple[int, str, float]] = []
        self._least_idle = 0
        self._most_waiting = 0
        self._exhaustions = 0
        self._after_pause = 0
        self._behind_until = 0

    def begin(self, now: int, idle: int) -> None:
        """Start the first interval with so many free connections."""
        self._written, self._cpu, self._starved = now, cpu_ns(), _starved_ns()
        self._least_idle = idle

    def sent(self, lateness_ns: int, idle: int) -> None:
        """An operation found a free connection and was sent so late, which leaves so many free."""
        self._lateness.append(lateness_ns)
        self._least_idle = min(self._least_idle, idle)

    def paused(self, now: int, overdue_ns: int) -> None:
        """This process was away for longer than `PAUSE_NS`, and what was due meanwhile is sent at once."""
        self._behind_until = now + CATCHING_UP * overdue_ns

    def waits(self, now: int, waiting: int) -> None:
        """An operation found no free connection and is one of so many that wait."""
        if waiting == 1:
            self._exhaustions += 1
            self._after_pause += now < self._behind_until
        self._most_waiting = max(self._most_waiting, waiting)

    def reconnected(self, now: int, lost: int, used: bool) -> None:
        """A connection that was lost or given up is ready again; it had been used, or the server ended an idle one."""
        at = now - self.origin_ns
        self._connections.append((at, "generator.reconnection_ms", (now - lost) / 1e6))
        if not used:
            self._connections.append((at, UNUSED, 1.0))

    def refused(self, now: int) -> None:
        """A lost connection could not be opened."""
        self._connections.append((now - self.origin_ns, "generator.refused", 1.0))

    def write(self, now: int, connections: int, idle: int, waiting: int) -> None:
        """Write the interval that ends now, and begin the next."""
        cpu, starved, lateness = cpu_ns(), _starved_ns(), self._lateness
        elapsed = max(now - self._written, LEAST_NS)
        readings = {
            "generator.cpu_share": (cpu - self._cpu) / elapsed,
            "generator.in_use": connections - self._least_idle,
            "generator.waiting": self._most_waiting,
            "generator.exhaustions": self._exhaustions,
            "generator.exhaustions_after_pause": self._after_pause,
            "generator.starved_share": (starved - self._starved) / elapsed,
            "generator.collections": sum(each["collections"] for each in gc.get_stats()),
            "generator.descriptors": _descriptors(),
        }
        if lateness:
            lateness.sort()
            readings["generator.lateness_p99_ms"] = lateness[math.ceil(0.99 * len(lateness)) - 1] / 1e6
            readings["generator.lateness_max_ms"] = lateness[-1] / 1e6
        self._gauges.write(now, readings)
        self._gauges.write_all(self._connections)
        self._lateness, self._connections = [], []
        self._cpu, self._starved, self._written = cpu, starved, now
        self._least_idle, self._most_waiting = idle, waiting


def _starved_ns() -> int:
    """How long this process was runnable without a core, in nanoseconds; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0


def _descriptors() -> int:
    """How many files and sockets this process has open; 0 where the kernel does not say."""
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a fifth of the time of a Path
    except OSError:
        return 0
