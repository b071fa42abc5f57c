"""The CPU time and memory of a server's processes on this machine, read so seldom that it does not disturb them."""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil

from capacity.clock import cpu_s, monotonic_s
from capacity.probes.readers import Reader
from capacity.probes.readers.processes import with_children

CPU_SHARE, MEMORY_SHARE = 0.01, 0.02  # of one core, that reading them may take
PSS, RSS = "PSS", "RSS"


def server_reader(word: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads a server by the process that started all its others; `word` as `postgres=12`.

    Gauges are `postgres.cpu_s` in seconds, and `postgres.memory_bytes` of `postgres.memory_limit_bytes`, which is the
    memory of the machine. The kernel adds the CPU time of a child that has ended to its parent's. Memory is resident,
    with what processes share counted once: the sum of their proportional set sizes (PSS), or where the kernel does not
    give these, what each has for itself and the most that one of them sees of what is shared (RSS). Where it gives
    neither, memory is not read; the fact `memory_by` says which. A server that is gone has no figures.
    """
    role, _, pid = word.partition("=")
    parent = psutil.Process(int(pid))
    way = _way(parent)
    known: list[psutil.Process] = []

    def memory() -> dict[str, float]:
        known[:] = [parent, *parent.children()]
        if not way:
            return {}
        limit = float(psutil.virtual_memory().total)
        return {f"{role}.memory_bytes": _resident(known, way), f"{role}.memory_limit_bytes": limit}

    def cpu() -> dict[str, float]:
        return {f"{role}.cpu_s": with_children(parent, known[1:])}

    parts = [sparing(memory, MEMORY_SHARE), sparing(cpu, CPU_SHARE)]

    def read() -> dict[str, float]:
        found: dict[str, float] = {}
        for part in parts:
            with suppress(psutil.Error):
                found |= part()
        return found

    return read, {"processes": {role: 1}, "memory_by": way}


def sparing(read: Reader, share: float) -> Reader:
    """The same reader, which gives nothing while reading again would take more than `share` of one core."""
    due = -math.inf

    def seldom() -> dict[str, float]:
        nonlocal due
        now, spent = monotonic_s(), cpu_s()
        if now < due:
            return {}
        found = read()
        due = now + (cpu_s() - spent) / share
        return found

    return seldom


def _way(process: psutil.Process) -> str:
    """How memory can be read of a process: PSS, RSS, or not at all."""
    with suppress(psutil.Error, OSError):
        if hasattr(process.memory_full_info(), "pss"):
            return PSS
    with suppress(psutil.Error):
        if hasattr(process.memory_info(), "shared"):
            return RSS
    return ""


def _resident(processes: Sequence[psutil.Process], way: str) -> float:
    own, shared = 0.0, 0.0
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            if way == PSS:
                own += each.memory_full_info().pss
            else:
                told = each.memory_info()
                own, shared = own + told.rss - told.shared, max(shared, told.shared)
    return own + shared
