"""The CPU time of processes on this machine, by role."""

import contextlib
from typing import Any

import psutil

from capacity.probes.readers import Reader


def processes_reader(roles: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads the CPU seconds of each role's processes together; `roles` as `workers=12,13 gateway=14`.

    A process that has ended keeps the last time that was read of it.
    """
    pids = {
        role: list(map(int, numbers.split(","))) for role, _, numbers in (each.partition("=") for each in roles.split())
    }
    spent: dict[int, float] = {}

    def read() -> dict[str, float]:
        for pid in (pid for each in pids.values() for pid in each):
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                spent[pid] = times.user + times.system
        return {f"{role}.cpu_s": sum(spent.get(pid, 0.0) for pid in each) for role, each in pids.items()}

    return read, {"processes": {role: len(each) for role, each in pids.items()}}
