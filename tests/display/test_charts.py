"""The pictures hold what they were given: lines, limits, stages and labels."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from capacity.analysis.measured.latency import latency_distribution, latency_over_time
from capacity.display import charts
from capacity.display.charts_limits import LIMIT_COLOUR
from capacity.findings import Finding, Objective, Verdict
from capacity.manifest import StageSpan
from capacity.objectives import read_objectives
from capacity.recording import Recording, open_recording

mpl.use("Agg")
DATA = Path(__file__).parents[2] / "data"
LIMIT = "redis.memory_limit_bytes"
RECORDED = DATA / "recorded"


def promised(*sections: str) -> list[Objective]:
    return read_objectives(DATA / "objectives.yaml", *sections)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return open_recording(RECORDED / "redis")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_throughput_and_latency_over_the_stages(recording: Recording) -> None:
    course, stages = latency_over_time(recording.samples), recording.facts.stages
    pictures = (
        charts.throughput_over_time(course, stages),
        charts.latency_over_time(course, stages, promised("redis")),
    )
    for ax in pictures:
        assert len(ax.patches) == len(stages)
        assert ax.get_xlabel() == "seconds from the start"
        assert ax.get_title(loc="left") or ax.get_title()
        assert ax.get_ylabel()
    assert "objective 10 ms, p99 and longest" in [text.get_text() for text in ax.texts]
    assert ax.get_yscale() == "log"


def test_censored_seconds_are_marks_and_not_a_hole() -> None:
    course = pd.DataFrame({"second": [0.0, 1.0, 2.0], "p50_ms": [1.0, 1.0, 1.0], "p99_ms": [2.0, np.inf, 2.0]})
    stage = StageSpan(name="s", step=0, to=1.0, start_s=0.0, end_s=3.0)
    ax = charts.latency_over_time(course, [stage])
    marks = [line for line in ax.lines if line.get_marker() == "^"]
    assert [len(line.get_xdata()) for line in marks] == [1]  # type: ignore[arg-type]


def test_the_distribution_has_a_curve_an_operation(recording: Recording) -> None:
    ax = charts.latency_distribution(latency_distribution(recording.samples), promised("redis"))
    legend = ax.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"GET", "SET", "LPUSH", "LPOP", "INCR"}
    assert ax.get_xticklabels()[0].get_text() == "p50"


def test_an_endpoints_promise_is_a_bar_in_its_colour_at_the_percentile_that_it_limits() -> None:
    objectives = promised("gateway")
    ax = charts.latency_distribution(latency_distribution(open_recording(RECORDED / "gateway").samples), objectives)
    limits = [each for each in objectives if each.finding.endswith("response_p99")]
    drawn = {
        (round(float(segment[0][1])), tuple(bars.get_colors()[0]))  # type: ignore[index]
        for bars in ax.collections
        if isinstance(bars, LineCollection)
        for segment in bars.get_segments()
        if (segment[0][0] + segment[1][0]) / 2 == pytest.approx(2)  # p99 has two nines
    }
    legend = ax.get_legend()
    assert legend is not None
    labels = {text.get_text(): line.get_color() for text, line in zip(legend.get_texts(), ax.lines, strict=True)}
    assert drawn == {
        (each.limit, (*labels[label], 1.0))
        for each in limits
        for label in labels
        if label.endswith(f"p99 {each.promise}")
    }
    assert len(drawn) == 5
    assert not [line for line in ax.lines if line.get_color() == LIMIT_COLOUR]


def test_the_lower_of_two_limits_is_named_below_its_line() -> None:
    course = pd.DataFrame({"second": [0.0, 1.0], "p50_ms": [1.0, 1.0], "p99_ms": [2.0, 2.0]})
    ax = charts.latency_over_time(course, [], promised("queue"))
    named = {text.get_text(): text.get_verticalalignment() for text in ax.texts}
    assert named == {"objective 3,000 ms, p99": "bottom", "objective 2,000 ms, p95": "top"}
    lines = [line for line in ax.lines if line.get_color() == LIMIT_COLOUR]
    assert sorted(float(np.asarray(line.get_ydata())[0]) for line in lines) == [2000, 3000]


def test_a_limit_far_beyond_the_differences_is_named_at_the_edge() -> None:
    pairs = pd.DataFrame({"with": np.linspace(0.1, 0.2, 100), "without": np.full(100, 0.1)})
    cost = Finding("database.row_security_cost", 0.05, "ms", 0.04, 0.06, 100)
    ax = charts.paired_differences(pairs, cost, promised("database"))
    assert [text.get_text().strip() for text in ax.texts] == ["objective < 2 ms, far to the right"]
    near = [replace(each, limit=0.07) for each in promised("database") if each.finding == cost.name]
    ax = charts.paired_differences(pairs, cost, near)
    assert [text.get_text().strip() for text in ax.texts] == ["objective < 0.07 ms"]
    (line,) = (line for line in ax.lines if line.get_color() == LIMIT_COLOUR)
    assert float(np.asarray(line.get_xdata())[0]) == 0.07


def test_no_legend_lies_over_the_data(recording: Recording) -> None:
    above, below = charts.stacked(2)
    course, stages = latency_over_time(recording.samples), recording.facts.stages
    charts.throughput_over_time(course.assign(errors_per_s=1.0), stages, above)
    charts.latency_over_time(course, stages, promised("redis"), below)
    curve = charts.latency_distribution(latency_distribution(recording.samples), promised("redis"))
    for ax in (above, below, curve):
        legend = ax.get_legend()
        assert legend is not None
        ax.figure.canvas.draw()  # type: ignore[union-attr]
        assert not legend.get_window_extent().overlaps(ax.get_window_extent())


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


def test_a_figure_that_no_server_told_is_not_drawn_and_a_limit_of_none_is_no_line(recording: Recording) -> None:
    gauges = recording.gauges.assign(value=recording.gauges["value"].where(recording.gauges["gauge"] != LIMIT, 0.0))
    labels = {LIMIT: "maxmemory", "redis.memory_bytes": "used", "redis.unheard_of": "other"}
    ax = charts.gauges_over_time(gauges, labels, [], title="Memory", ylabel="MB")
    assert [line.get_label() for line in ax.lines] == ["used"]
    pool = {"gateway.pool_limit": "limit", "gateway.pool_in_use": "in use"}
    ax = charts.gauges_over_time(gauges, pool, [], title="Pool", ylabel="number")
    assert [text.get_text() for text in ax.texts] == ["not told by the server"]


def test_no_share_is_said_to_be_none() -> None:
    assert [text.get_text() for text in charts.shares([], "Dead letters").texts] == ["none"]
