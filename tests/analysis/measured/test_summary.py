"""What a counter rose by counts where it was the system's own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.summary import connection_findings
from capacity.analysis.measured.sustained import Sustained
from capacity.findings import Objective, Verdict, judge
from capacity.manifest import parse_manifest
from capacity.recording import open_recording

RECORDED = Path(__file__).parents[3] / "data" / "recorded" / "redis"
NS_PER_S = 1e9


def test_what_a_counter_rose_by_between_two_stages_is_in_no_second() -> None:
    stages = [{"step": step, "to": 1, "start_s": begin, "end_s": begin + 3.0} for step, begin in enumerate((0.0, 10.0))]
    manifest = parse_manifest({"stages": stages, "sustained_steps": [0, 1]})
    at_s = np.array([0.5, 1.5, 2.5, 10.5, 11.5, 12.5])
    gauges = pd.DataFrame(
        {"at_ns": (at_s * NS_PER_S).astype(int), "gauge": "redis.cpu_s", "value": [1.0, 2, 3, 50, 51, 53]}
    )
    samples = open_recording(RECORDED).samples.iloc[:0]
    part = Sustained("redis", "r", manifest, samples, gauges, samples, gauges, 6.0, ())
    assert part.rises("redis.cpu_s")[0].tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("counted", "after", "verdict"),
    [(0, 0, Verdict.PASS), (3, 0, Verdict.FAIL), (3, 3, Verdict.VOID), (3, 2, Verdict.FAIL), (3, None, Verdict.FAIL)],
)
def test_a_pool_that_was_exhausted_after_the_generators_own_pauses_alone_is_void(
    counted: int, after: int | None, verdict: Verdict
) -> None:
    """A recording that was made before that was counted has no such gauge."""
    recorded = open_recording(RECORDED)
    rises = {"generator.exhaustions": counted} | ({} if after is None else {"generator.exhaustions_after_pause": after})
    rows = [(at, name, value) for name, most in rises.items() for at, value in ((0, 0.0), (int(NS_PER_S), most))]
    gauges = pd.DataFrame(rows, columns=["at_ns", "gauge", "value"])
    samples = recorded.samples.iloc[:400]
    part = Sustained("redis", "r", recorded.facts, samples, gauges, samples, gauges, 1.0, ())
    found = next(each for each in connection_findings(part) if each.name == "redis.pool_exhaustions")
    assert judge(found, Objective(found.name, "==", 0.0)) is verdict
    assert (found.void is None) == (not after)


def test_what_a_counter_rose_by_during_a_look_is_left_out_where_the_load_itself_was_disturbed() -> None:
    spans = [("sustain", 0.0, 60.0), ("look", 60.0, 75.0), ("sustain, on", 75.0, 135.0)]
    stages = [
        {"step": step, "to": 1, "start_s": begin, "end_s": end, "look": name == "look"}
        for step, (name, begin, end) in enumerate(spans)
    ]
    manifest = parse_manifest({"stages": stages, "sustained_steps": [0, 2]})
    at_s, values = np.array([1.0, 59.9, 60.1, 74.0, 75.1, 76.0, 130.0]), [0.0, 1, 3, 7, 15, 15, 31]
    gauges = pd.DataFrame({"at_ns": (at_s * NS_PER_S).astype(int), "gauge": "generator.exhaustions", "value": values})
    samples = open_recording(RECORDED).samples.iloc[:0]
    part = Sustained("redis", "r", manifest, samples, gauges, samples, gauges, 120.0, ())
    assert part.total("generator.exhaustions").value == 31
    assert part.total("generator.exhaustions", but_looks=True).value == 1 + 16
    assert part.total("generator.in_use").value is None
