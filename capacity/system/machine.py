"""The machine that measures, so that a number can be read beside it."""

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from capacity.errors import CapacityError

NEEDS_LINUX = "measuring needs Linux, whose epoll, timerfd and /proc it uses"


def machine_facts() -> dict[str, Any]:
    """Cores, memory in GiB, processor, operating system and Python."""
    memory_gib = round(psutil.virtual_memory().total / 2**30, 1)
    system = f"{platform.system()} {platform.machine()}"
    facts = {"cpus": os.cpu_count(), "memory_gib": memory_gib, "system": system, "python": platform.python_version()}
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts["processor"] = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return facts


def require_linux() -> None:
    """Refuse to measure elsewhere, with CapacityError; what was recorded can be read on any system."""
    if sys.platform != "linux":
        raise CapacityError(
            f"{NEEDS_LINUX}, and this is {platform.system()}; measure on Linux or in a container, and read what was "
            "recorded here: live = False in a notebook, or capacity report, verdict, compare, export or audit"
        )
