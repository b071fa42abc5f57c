"""The machine that measures, so that a number can be read beside it."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def machine_facts() -> dict[str, Any]:
    """Cores, memory in GiB, processor, operating system and Python."""
    memory_gib = round(psutil.virtual_memory().total / 2**30, 1)
    system = f"{platform.system()} {platform.machine()}"
    facts = {"cpus": os.cpu_count(), "memory_gib": memory_gib, "system": system, "python": platform.python_version()}
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts["processor"] = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return facts
