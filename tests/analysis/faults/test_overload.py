"""What an overload did is read from frames with known answers."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.faults.overload import (
    WITH,
    WITHOUT,
    Half,
    closed_after_s,
    dry_s,
    fates_of_writes,
    overload_course,
    overload_findings,
    queue_depth,
    served_per_s,
)
from capacity.findings import Finding
from capacity.manifest import parse_manifest

MS, SECOND = 1_000_000, 1_000_000_000
SHED = "503, retry after 2"


def make_samples(finished_ms: Any, error: Any = None, operation: Any = "write") -> pd.DataFrame:
    finished = np.asarray(finished_ms, dtype=np.int64) * MS
    errors = pd.Series(error, index=range(len(finished)), dtype=object)
    times = {"scheduled_ns": finished - 5 * MS, "sent_ns": finished - 4 * MS, "finished_ns": finished}
    values = {"operation": operation, **times, "outcome": np.where(errors.isna(), "ok", "error"), "error": errors}
    return pd.DataFrame({**values, "step": 0, "worker": 0, "seq": np.arange(len(finished))})


def make_gauges(**readings: list[tuple[float, float]]) -> pd.DataFrame:
    rows = [
        (round(at_s * SECOND), name.replace("__", "."), value)
        for name, each in readings.items()
        for at_s, value in each
    ]
    return pd.DataFrame(rows, columns=["at_ns", "gauge", "value"])


def test_a_refusal_with_a_time_to_come_again_is_shed_and_one_without_failed() -> None:
    samples = make_samples([10, 20, 30, 40], [None, SHED, "503", "500"])
    assert fates_of_writes(samples).tolist() == ["admitted", "shed", "failed", "failed"]


def test_the_course_has_every_interval_with_the_deepest_queue() -> None:
    gauges = make_gauges(queue__wait=[(0.1, 3), (0.15, 9), (0.3, 4)], queue__paused=[(0.1, 1), (0.15, 0), (0.3, 0)])
    course = overload_course(make_samples([50, 100, 450, 460], [None, SHED, None, "500"]), gauges)
    assert course["at_s"].tolist() == pytest.approx([0.1, 0.3, 0.5])
    assert course["depth"].tolist()[:2] == [9, 4]
    assert math.isnan(course["depth"].iloc[2])
    assert course["admitted_per_s"].tolist() == [5, 0, 5]
    assert course["shed_per_s"].tolist() == [5, 0, 0]
    assert course["failed_per_s"].tolist() == [0, 0, 5]
    assert overload_course(make_samples([]), gauges)["depth"].tolist() == [9, 4]


def test_jobs_are_counted_as_served_only_while_others_wait() -> None:
    """Waiting from 1 to 3 s, in which 6 ended; the ends before and after say nothing of what workers can do."""
    depth = pd.Series([0.0, 5, 5, 2, 0], index=np.array([0, 1, 2, 3, 4]) * SECOND)
    ends = np.array([0.5, 1.2, 1.5, 1.8, 2.1, 2.2, 2.9, 3.5, 3.7]) * SECOND
    assert served_per_s(ends.astype(np.int64), depth) == 3.0
    assert served_per_s(ends.astype(np.int64), depth * 0) is None


@pytest.mark.parametrize(
    ("states", "after_s"),
    [
        ([(1, 0), (2, 1), (4, 0), (5, 0)], 1.0),
        ([(1, 1), (3, 1), (4, 0), (5, 1), (6, 0)], 3.0),
        ([(2, 1), (2.8, 0), (4, 0)], 0.0),
        ([(2, 0), (4, 1)], None),
        ([(2, 1)], None),
    ],
    ids=["open at the end", "opened again", "closed by then", "still open", "never read again"],
)
def test_the_breaker_is_closed_when_it_stays_closed(states: list[tuple[float, float]], after_s: float | None) -> None:
    assert closed_after_s(make_gauges(gateway__breaker_state=states), 3 * SECOND) == after_s


def test_a_queue_is_dry_between_readings_that_found_nothing() -> None:
    depth = pd.Series([0.0, 4, 0, 0, 0, 7, 0, 0], index=np.arange(8) * SECOND)
    assert dry_s(depth, 1 * SECOND, 6 * SECOND) == 2.0


def half(name: str) -> Half:
    """Ten writes of which four were shed, a read that failed, and two jobs that waited for 1 and 2 s."""
    samples = pd.concat(
        [
            make_samples(range(100, 1100, 100), [None] * 6 + [SHED] * 4),
            make_samples([150, 250], [None, "500"], operation="read"),
        ],
        ignore_index=True,
    ).assign(seq=range(12))
    gauges = make_gauges(
        queue__wait=[(0, 0), (0.5, 4), (1, 3), (1.5, 0)], gateway__breaker_state=[(0, 0), (1, 1), (2, 1), (2.5, 0)]
    )
    times = {"added_ms": [1000, 1000], "started_ms": [2000, 3000], "finished_ms": [2600, 3100]}
    return Half(
        name, samples, gauges, pd.DataFrame(times), parse_manifest({"origin_unix_ns": 2000 * MS}), 1.0, "write", 5.0
    )


def figures(findings: list[Finding]) -> dict[str, float | None]:
    return {each.name.rpartition(".")[2]: each.value for each in findings}


def test_the_figures_of_a_half() -> None:
    found = figures(overload_findings(half(WITH)))
    depths = {"depth_peak": 4, "depth_end": 3, "dry": 0}
    writes = {"admitted": 6, "shed": 4, "failed": 0, "reads_refused": 1, "admitted_p95": None, "admitted_within": 100}
    waits = {"served": 2.0, "wait_longest": 2000, "waited_behind": 4.0, "closed_after": 1.5}
    assert found == depths | writes | waits
    assert "closed_after" not in figures(overload_findings(half(WITHOUT)))


def test_the_depth_is_of_all_jobs_that_could_run() -> None:
    gauges = make_gauges(
        queue__wait=[(0, 1)], queue__paused=[(0, 2)], queue__prioritized=[(0, 3)], queue__delayed=[(0, 9)]
    )
    assert queue_depth(gauges).tolist() == [6]
