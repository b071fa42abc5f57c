"""What a process may use of the machine is told beside what the machine has."""

import json
import os
import subprocess
import sys

import pytest

from capacity.system.machine import machine_facts, machine_text

TELL = "import json; from capacity.system.machine import machine_facts; print(json.dumps(machine_facts()))"


def test_a_process_that_is_held_to_one_core_says_so() -> None:
    first = min(os.sched_getaffinity(0))
    ran = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{first}}}); {TELL}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    facts = json.loads(ran.stdout)
    assert facts["cpus"] == os.cpu_count()
    assert facts["usable_cpus"] <= 1


def test_the_machine_of_this_test_can_be_used() -> None:
    facts = machine_facts()
    assert 0 < facts["usable_cpus"] <= facts["cpus"]
    assert 0 < facts["usable_memory_gib"] <= facts["memory_gib"]


@pytest.mark.parametrize(
    ("usable", "text"),
    [
        ({}, "8 cores EPYC, 31.0 GiB"),
        ({"usable_cpus": 8, "usable_memory_gib": 31.0}, "8 cores EPYC, 31.0 GiB"),
        ({"usable_cpus": 1.5, "usable_memory_gib": 4.0}, "1.5 of 8 cores EPYC, 4 of 31.0 GiB"),
    ],
)
def test_a_machine_in_a_line(usable: dict[str, float], text: str) -> None:
    assert machine_text({"cpus": 8, "memory_gib": 31.0, "processor": "EPYC", **usable}) == text
