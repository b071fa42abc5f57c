"""The pictures hold what they were given: lines, limits, stages and labels."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.latency import latency_distribution, latency_over_time
from capacity.display import charts
from capacity.findings import Finding, Objective, Verdict
from capacity.recording import Recording, open_recording

mpl.use("Agg")
RECORDED = Path(__file__).parents[2] / "data" / "recorded"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return open_recording(RECORDED / "redis")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_throughput_and_latency_over_the_stages(recording: Recording) -> None:
    course, stages = latency_over_time(recording.samples), recording.manifest["stages"]
    for ax in (charts.throughput_over_time(course, stages), charts.latency_over_time(course, stages, 10)):
        assert len(ax.patches) == len(stages)
        assert ax.get_xlabel() == "seconds from the start"
        assert ax.get_title(loc="left") or ax.get_title()
        assert ax.get_ylabel()
    assert "objective 10 ms" in [text.get_text() for text in ax.texts]
    assert ax.get_yscale() == "log"


def test_censored_seconds_are_marks_and_not_a_hole() -> None:
    course = pd.DataFrame({"second": [0.0, 1.0, 2.0], "p50_ms": [1.0, 1.0, 1.0], "p99_ms": [2.0, np.inf, 2.0]})
    stage = {"name": "s", "ramp": False, "start_s": 0.0, "end_s": 3.0}
    ax = charts.latency_over_time(course, [stage])
    marks = [line for line in ax.lines if line.get_marker() == "^"]
    assert [len(line.get_xdata()) for line in marks] == [0, 1]  # type: ignore[arg-type]


def test_the_distribution_has_a_curve_an_operation(recording: Recording) -> None:
    ax = charts.latency_distribution(latency_distribution(recording.samples), 10)
    legend = ax.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"GET", "SET", "LPUSH", "LPOP", "INCR"}
    assert ax.get_xticklabels()[0].get_text() == "p50"


def test_gauges_are_scaled_and_named(recording: Recording) -> None:
    labels = {"redis.memory_bytes": "used"}
    ax = charts.gauges_over_time(recording.gauges, labels, [], title="Memory", ylabel="MB", scale=1e-6)
    used = recording.gauges.loc[recording.gauges["gauge"] == "redis.memory_bytes", "value"]
    assert np.max(ax.lines[0].get_ydata()) == pytest.approx(used.max() * 1e-6)


@pytest.mark.parametrize(
    ("relation", "limit", "unit", "value", "used"),
    [("<", 10.0, "ms", 5.0, 0.5), (">", 99.0, "%", 99.5, 0.5), ("==", 0.0, "", 0.0, 0.0), ("<", 10.0, "ms", 80.0, 1.5)],
)
def test_a_promise_is_drawn_as_the_share_that_is_used(
    relation: str, limit: float, unit: str, value: float, used: float
) -> None:
    objective = Objective("a.x", relation, limit, unit, "T", "S")
    ax = charts.promises_used([(objective, Finding("a.x", value, unit, value, value, 9), Verdict.PASS)])
    marks = [line for line in ax.lines if line.get_marker() in ("o", ">")]
    assert [float(np.asarray(line.get_xdata())[0]) for line in marks] == [pytest.approx(used)]
    assert "PASS" in [text.get_text() for text in ax.texts]
