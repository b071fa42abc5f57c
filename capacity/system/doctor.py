"""What this machine has of what a measurement needs, each with what to do where it is missing."""

import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from capacity.errors import CapacityError
from capacity.system.machine import NEEDS_LINUX, machine_facts
from capacity.system.programs import postgres_programs, redis_server

CORES = 2  # one for a generator process and one for the rest
DESCRIPTORS = 4096
FREE_GIB = 4.0  # the standard profile's tables with their log, and its recordings
UNSEEN = "the kernel does not tell it, so a starved generator is seen by delay alone"
TOOLS = {
    "pgbouncer": "the test of the pooler needs it",
    "pgbench": "make bench compares with it",
    "redis-benchmark": "make bench compares with it",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is fine, whether nothing works without it, and a sentence."""

    name: str
    fine: bool
    needed: bool
    said: str


def examined() -> list[Check]:
    """All checks, those that are needed first."""
    facts = machine_facts()
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    tells = os.access("/proc/self/schedstat", os.R_OK)
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    return [
        _system(),
        _program("PostgreSQL", lambda: postgres_programs() / "postgres"),
        _program("Redis", redis_server),
        Check("cores", facts["cpus"] >= CORES, False, f"{facts['cpus']}; {CORES} or more, or load makes itself slow"),
        Check("open files", descriptors >= DESCRIPTORS, False, f"{descriptors:,}; {DESCRIPTORS:,} for many users"),
        Check("free disk", free_gib >= FREE_GIB, False, f"{free_gib:.1f} GiB; {FREE_GIB:g} or more for standard"),
        Check("time without a core", tells, False, "the kernel tells it" if tells else UNSEEN),
        *(_tool(name, why) for name, why in TOOLS.items()),
    ]


def _system() -> Check:
    linux = sys.platform == "linux"
    there = f"{platform.system()} {platform.release()}"
    said = there if linux else f"{NEEDS_LINUX}, and this is {there}; what was recorded can be read"
    return Check("system", linux, True, said)


def _program(name: str, find: Callable[[], Path]) -> Check:
    try:
        said = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except CapacityError as error:
        return Check(name, False, True, str(error))
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name, False, True, f"it was found and does not run: {error}")
    return Check(name, True, True, said.strip().split(" sha=")[0])


def _tool(name: str, why: str) -> Check:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    return Check(name, bool(found), False, "installed" if found else f"not installed; {why}")
