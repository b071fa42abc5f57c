"""What this machine has of what a measurement needs: programs, cores, memory, files, ports and disk."""

import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.machine import NEEDS_LINUX, machine_facts
from capacity.system.preflight.check import Check, fact, missing, note
from capacity.system.programs import postgres_programs, redis_server
from capacity.workload import Workload

PART = "this machine"
CORES = 2  # one for a generator process and one for the rest
MEMORY_GIB = 2.0  # what the notebooks and processes of a run take at their most, with what they read
DESCRIPTORS = 4096
OWN_DESCRIPTORS = 256  # of a generator beside its connections
PORTS = 10_000
FREE_GIB = 4.0  # the standard profile's tables with their log, and its recordings
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
UNSEEN = "the kernel does not tell how long a process waited for one"
TOOLS = {
    "pgbouncer": "the test of the pooler needs it",
    "pgbench": "make bench compares with it",
    "redis-benchmark": "make bench compares with it",
}


def machine_checks(workloads: Sequence[Workload]) -> list[Check]:
    """What this machine leaves a load of these workloads."""
    connections = max((each.connections for each in workloads), default=0)
    files, ports = _open_files(connections), _ports(connections)
    return _here([_system(), _cores(), _memory(), files, *ports, _disk(), _starvation()])


def _here(checks: Iterable[Check]) -> list[Check]:
    return [replace(each, part=PART) for each in checks]


def program_checks(system: System, *, tools: bool) -> list[Check]:
    """The programs of the servers that are started beside what a system names, and where wanted the tools."""
    alone = system.gateway_url or system.queue  # nothing is started beside these
    started = [
        *([] if system.postgres_url or alone else [("PostgreSQL", lambda: postgres_programs() / "postgres")]),
        *([] if system.redis_url or alone else [("Redis", redis_server)]),
    ]
    return _here([*(_program(*each) for each in started), *(_tool(name, why) for name, why in TOOLS.items() if tools)])


def _system() -> Check:
    there = f"{platform.system()} {platform.release()}"
    if sys.platform == "linux":
        return fact("system", there)
    return missing(
        "system", f"{NEEDS_LINUX}, and this is {there}", "nothing can be measured; what was recorded can be read",
        "measure on Linux or in a container",
    )  # fmt: skip


def _cores() -> Check:
    facts = machine_facts()
    whole, usable = facts["cpus"], facts["usable_cpus"]
    held = usable < whole
    said = f"{usable:g} of {whole}: affinity or a cgroup holds this process to that" if held else f"{whole}"
    if usable >= CORES:
        return fact("cores", said)
    means = "the load makes itself slow: response times are too long, and a late generator makes a measurement VOID"
    return note("cores", said, means, f"give it {CORES} or more" + (" (taskset, cpu.max)" if held else ""))


def _memory() -> Check:
    facts = machine_facts()
    whole, usable = facts["memory_gib"], facts["usable_memory_gib"]
    said = f"{usable:g} GiB of {whole:g}: a cgroup holds this process to that" if usable < whole else f"{whole:g} GiB"
    if usable >= MEMORY_GIB:
        return fact("memory", said)
    means = "the kernel may end the generator or a notebook in the middle of a measurement"
    return note("memory", said, means, f"give it {MEMORY_GIB:g} GiB or more")


def _open_files(connections: int) -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN_DESCRIPTORS if connections else DESCRIPTORS
    many = soft == resource.RLIM_INFINITY or soft >= wanted
    said = "without limit" if soft == resource.RLIM_INFINITY else f"{soft:,}, and {wanted:,} are enough"
    if many:
        return fact("open files", said)
    said = f"{soft:,} allowed, {wanted:,} wanted: {connections:,} connections and the generator's own"
    to_do = f"ulimit -n {wanted}" + ("" if hard == resource.RLIM_INFINITY or hard >= wanted else " (as root)")
    return note("open files", said, "connections beyond the limit do not open: fewer carry the load", to_do)


def ephemeral_ports() -> int | None:
    """How many ports a client here may have at a time; None where the kernel does not tell."""
    with suppress(OSError, ValueError):
        first, last = map(int, PORT_RANGE.read_text(encoding="utf-8").split())
        return last - first + 1
    return None


def _ports(connections: int) -> list[Check]:
    ports = ephemeral_ports()
    if ports is None:
        return []
    if ports >= max(PORTS, connections):
        return [fact("ports", f"{ports:,} for connections of ours")]
    means = "new connections fail (Cannot assign requested address) where many open and close"
    to_do = f"widen {PORT_RANGE}, as 32768 60999"
    return [note("ports", f"{ports:,} for connections of ours", means, to_do)]


def _disk() -> Check:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    said = f"{free_gib:.1f} GiB free here"
    if free_gib >= FREE_GIB:
        return fact("disk", said)
    means = "a full disk breaks a measurement off; what was flushed stays"
    return note("disk", said, means, f"free {FREE_GIB:g} GiB for the profile standard, or measure with smoke")


def _starvation() -> Check:
    if os.access("/proc/self/schedstat", os.R_OK):
        return fact("waits for a core", "the kernel tells them")
    means = "a starved generator is seen by its dispatch delay alone"
    return note("waits for a core", UNSEEN, means, "nothing; a kernel with CONFIG_SCHED_INFO tells it")


def _program(name: str, find: Callable[[], Path]) -> Check:
    means = f"no {name} can be started here; one of your own, named by its address, needs none"
    try:
        said = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except CapacityError as error:
        found, _, to_do = str(error).partition("; ")
        return missing(name, found, means, to_do)
    except (OSError, subprocess.SubprocessError) as error:
        return missing(name, f"it was found and does not run: {error}", means, "install it again")
    return fact(name, said.strip().split(" sha=")[0])


def _tool(name: str, why: str) -> Check:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    return (
        fact(name, "installed") if found else note(name, "not installed", why, f"install {name}, where you want that")
    )
