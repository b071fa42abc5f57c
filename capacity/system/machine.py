"""The machine that measures, so that a number can be read beside it."""

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from capacity.errors import CapacityError
from capacity.system.cgroup import cgroup_limits

NEEDS_LINUX = "measuring needs Linux, whose epoll, timerfd and /proc it uses"
GIB = 2**30


def machine_facts() -> dict[str, Any]:
    """Cores, memory in GiB, processor, operating system and Python.

    Of the cores and the memory this process may use less: the cores that it may run on, and what its cgroups, as a
    container's, leave it; `usable_cpus` may be a fraction.
    """
    total, held, cpus = psutil.virtual_memory().total, cgroup_limits(), os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cpus
    system = f"{platform.system()} {platform.machine()}"
    facts = {"cpus": cpus, "memory_gib": round(total / GIB, 1), "system": system, "python": platform.python_version()}
    facts["usable_cpus"] = round(min(allowed, held.cores or allowed), 2)
    facts["usable_memory_gib"] = round(min(total, held.memory_bytes or total) / GIB, 1)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts["processor"] = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return facts


def machine_text(facts: Mapping[str, Any]) -> str:
    """The machine in a line; where a process could not use all of it, how much it could. Older facts do not tell."""
    said = []
    for name, unit in (("cpus", "cores"), ("memory_gib", "GiB")):
        whole, usable = facts[name], facts.get(f"usable_{name}", facts[name])
        said.append(f"{whole} {unit}" if usable >= whole else f"{usable:g} of {whole} {unit}")
    return f"{said[0]} {facts.get('processor') or facts['system']}, {said[1]}"


def require_linux() -> None:
    """Refuse to measure elsewhere, with CapacityError; what was recorded can be read on any system."""
    if sys.platform != "linux":
        raise CapacityError(
            f"{NEEDS_LINUX}, and this is {platform.system()}; measure on Linux or in a container, and read what was "
            "recorded here: live = False in a notebook, or capacity report, verdict, compare, export or audit"
        )
