"""The CPU time of processes on this machine, by role."""

import contextlib
from collections.abc import Iterable
from typing import Any

import psutil

from capacity.probes.readers import Reader


def processes_reader(roles: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads the CPU seconds of each role's processes together; `roles` as `workers=12,13 gateway=14`.

    A process that has ended keeps the last time that was read of it. Of a process with a `+`, as `postgres=15+`, its
    children count too, those that have ended as well.
    """
    pids = {role: numbers.split(",") for role, _, numbers in (each.partition("=") for each in roles.split())}
    spent: dict[str, float] = {}

    def read() -> dict[str, float]:
        for pid in (pid for each in pids.values() for pid in each):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(int(pid.rstrip("+")))
                spent[pid] = with_children(process, process.children()) if pid.endswith("+") else _own(process)
        return {f"{role}.cpu_s": sum(spent.get(pid, 0.0) for pid in each) for role, each in pids.items()}

    return read, {"processes": {role: len(each) for role, each in pids.items()}}


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def with_children(process: psutil.Process, children: Iterable[psutil.Process]) -> float:
    """The CPU seconds of a process and these children; the kernel adds those of a child that has ended to it."""
    times, total = process.cpu_times(), 0.0
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += _own(child)
    return total + times.user + times.system + times.children_user + times.children_system
