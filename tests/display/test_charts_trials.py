"""The picture of a trial holds every operation by its fate, the fault, its moments and the objective."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from capacity.analysis.faults.course import EVERY_S, FaultCourse, Moment
from capacity.display import charts_trials
from capacity.scenarios.trials import read_course, read_trials

mpl.use("Agg")
RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "failover"


@pytest.fixture(scope="module")
def course() -> FaultCourse:
    kept = next(each for each in read_trials(RECORDED) if each.trial.scenario == "database_kill")
    found = read_course(kept)
    assert found is not None
    return found


@pytest.fixture
def axes(course: FaultCourse) -> Iterator[tuple[Axes, Axes]]:
    drawn = charts_trials.fault_timeline(course)
    assert drawn is not None
    yield drawn
    plt.close("all")


def test_each_operation_is_a_mark_of_its_fate(course: FaultCourse, axes: tuple[Axes, Axes]) -> None:
    marks = {str(line.get_label()): line for line in axes[0].lines if line.get_marker() in (".", "D", "x", "^")}
    counts = course.operations["fate"].value_counts()
    assert {name: len(np.asarray(line.get_xdata())) for name, line in marks.items()} == {
        f"{charts_trials.FATES[fate].label} ({count:,})": count for fate, count in counts.items()
    }
    assert len({line.get_color() for line in marks.values()}) == len(counts)


def test_the_fault_is_shaded_and_its_moments_are_named_in_rows_of_their_own(
    course: FaultCourse, axes: tuple[Axes, Axes]
) -> None:
    for ax in axes:
        shaded = [
            each for each in ax.patches if each.get_facecolor()[:3] == mpl.colors.to_rgb(charts_trials.FAULT_COLOUR)
        ]
        (left, _), (right, _) = shaded[0].get_extents().transformed(ax.transData.inverted()).get_points()
        assert (left, right) == (pytest.approx(course.begin_s), pytest.approx(course.end_s))
    named = {text.get_text().strip(): text.get_position() for text in axes[0].texts}
    assert len(course.moments) == 3
    for moment in course.moments:
        assert named[moment.label][0] == moment.at_s
    assert len({named[moment.label][1] for moment in course.moments}) == 3
    assert "objective 100 ms" in named


def test_the_bars_add_up_to_what_ended(course: FaultCourse, axes: tuple[Axes, Axes]) -> None:
    bars = [bar for container in axes[1].containers for bar in container]  # type: ignore[attr-defined]
    assert sum(bar.get_height() for bar in bars) * EVERY_S == pytest.approx(len(course.operations))
    top = axes[1].get_ylim()[1]
    assert all(bar.get_y() + bar.get_height() < top for bar in bars)


@pytest.mark.parametrize("at_s", [(0.1, 0.2, 0.4), (2.0, 2.3, 2.4), (2.0, 4.7, 4.9), (1.2, 3.6, 3.65), (4.0, 5.0, 5.9)])
def test_no_name_lies_over_the_line_of_another_moment(course: FaultCourse, at_s: tuple[float, ...]) -> None:
    labels = (
        "first sign, 199 ms after its begin",
        "first good answer, 1 ms after its end",
        "within 100 ms for good, 2 ms",
    )
    moments = tuple(Moment(each, label) for each, label in zip(at_s, labels, strict=True))
    drawn = charts_trials.fault_timeline(replace(course, moments=moments))
    assert drawn is not None
    ax = drawn[0]
    ax.figure.canvas.draw()
    names = [text.get_window_extent() for text in ax.texts if text.get_text().strip() in labels]
    leads = [line for line in ax.lines if len(line.get_xdata()) == 2 and not line.get_clip_on()]  # type: ignore[arg-type]
    assert len(names) == len(leads) == 3
    for name in names:
        for line in leads:
            (x, low), (_, high) = line.get_transform().transform(line.get_xydata())
            assert not (name.x0 < x < name.x1 and low < (name.y0 + name.y1) / 2 < high)
    plt.close("all")


def test_without_a_course_nothing_is_drawn() -> None:
    assert charts_trials.fault_timeline(None) is None
    assert plt.get_fignums() == []
