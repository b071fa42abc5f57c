"""CPU that others took is a problem of the measurement, where it is known that it was others."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.validity.neighbours import neighbours_problem
from capacity.analysis.measured.validity.problems import Problem
from capacity.manifest import parse_manifest

NS_PER_S = 1_000_000_000
SAMPLES = pd.DataFrame({"scheduled_ns": np.arange(10) * NS_PER_S, "step": 0})
FACTS = {"workload": {"target": "postgres"}, "machine": {"cpus": 4}, "generators": 2, "prepared": True}
COUNTERS = {"postgres.cpu_s": 1.0, "gauges.cpu_s": 0.04}  # cores


def found(others: float, busy: float, facts: dict[str, Any] | None = None, **cores: float) -> Problem | None:
    """What is said of a machine of 4 cores of which others took so many: two generators of 0.5, PostgreSQL of 1."""
    counters = COUNTERS | {name.replace("_cpu_s", ".cpu_s"): rate for name, rate in cores.items()}
    counters = {name: rate for name, rate in counters.items() if rate >= 0}
    counters["machine.cpu_s"] = others + 1.0 + sum(counters.values())
    at_s = np.arange(0, 9.1, 0.2)
    shares = {"machine.cpu_share": busy, "generator.cpu_share": 0.5}
    rows = [(name, at_s * rate + 7) for name, rate in counters.items()]
    rows += [(name, np.full(len(at_s), share)) for name, share in shares.items()]
    frames = [pd.DataFrame({"at_ns": (at_s * NS_PER_S).astype(int), "gauge": name, "value": row}) for name, row in rows]
    return neighbours_problem(SAMPLES, pd.concat(frames), parse_manifest(FACTS | (facts or {})))


def test_a_machine_that_others_had_is_named_with_their_share_and_what_to_do() -> None:
    said = found(2.48, 1.0)
    assert said is not None and said.void
    assert said.seen == (
        "others than the load and the servers under test took 62% of the machine's CPU, 100% of which was in use"
    )
    assert said.remedy == "stop what else runs on this machine, or measure on one of its own"


@pytest.mark.parametrize(
    ("others", "busy", "void"),
    [
        (0.2, 1.0, None),
        (0.6, 1.0, False),
        (0.96, 1.0, False),
        (1.04, 1.0, True),
        (1.04, 0.85, False),
        (2.4, 0.7, False),
    ],
)
def test_it_voids_where_they_took_a_quarter_and_nothing_was_left(others: float, busy: float, void: bool | None) -> None:
    said = found(others, busy)
    assert (None if said is None else said.void) == void


@pytest.mark.parametrize(
    ("facts", "cores"),
    [
        ({}, {"postgres_cpu_s": -1.0}),  # its processes are elsewhere, or cannot be seen: it may be what took them
        ({"prepared": False}, {}),  # a pooler is before it, which is one of the servers under test
        ({"workload": {"target": "http"}}, {}),  # nobody sees what is behind it
        ({"workload": {"target": "bullmq"}}, {"redis_cpu_s": 0.3}),  # workers of somebody else
        ({"workload": {}}, {}),
        ({"machine": {}}, {}),
    ],
)
def test_what_is_not_known_to_be_another_is_none(facts: dict[str, Any], cores: dict[str, float]) -> None:
    assert found(2.48, 1.0, facts, **cores) is None


def test_a_recording_that_did_not_read_the_machine_says_nothing() -> None:
    gauges = pd.DataFrame({"at_ns": [0, NS_PER_S], "gauge": "postgres.cpu_s", "value": [0.0, 1.0]})
    assert neighbours_problem(SAMPLES, gauges, parse_manifest(FACTS)) is None
    assert neighbours_problem(SAMPLES, gauges, None) is None


def test_all_that_is_behind_a_gateway_is_under_test() -> None:
    http = {"workload": {"target": "http"}}
    cores = {"gateway_cpu_s": 0.9, "workers_cpu_s": 0.2, "redis_cpu_s": 0.2}
    assert found(0.1, 1.0, http, **cores) is None
    said = found(1.2, 1.0, http, **cores)
    assert said is not None and said.seen.startswith("others than the load and the servers under test took 30%")
