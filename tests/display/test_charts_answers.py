"""The picture of the answers has a panel a part, its axes have names, and only what is known is drawn."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from capacity.analysis.planning.answers import Answers
from capacity.display.charts_answers import load_against_limits
from capacity.run import Run
from capacity.suite.answers import read_answers

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers(Run(RECORDED / "findings", RECORDED, PROJECT))


def drawn(answers: Answers, *, narrow: bool = False) -> Figure:
    assert answers.plan is not None
    return load_against_limits(answers, answers.plan, narrow=narrow)


def line(ax: Axes, label: str) -> float | None:
    return next((float(each.get_ydata()[0]) for each in ax.get_lines() if each.get_label() == label), None)  # type: ignore[index]


@pytest.mark.parametrize("narrow", [False, True])
def test_each_part_has_a_panel_with_what_it_holds_in_multiples_of_its_projected_peak(
    answers: Answers, narrow: bool
) -> None:
    figure = drawn(answers, narrow=narrow)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert list(panels) == ["Database", "Redis", "Queue", "Gateway"]
    queue = next(part for part in answers.parts if part.name == "queue")
    assert queue.held.value and queue.recommended.value and queue.projected.value
    assert line(panels["Queue"], "holds, until it breaks") == queue.held.value / queue.projected.value
    assert line(panels["Queue"], "recommended") == queue.recommended.value / queue.projected.value
    assert line(panels["Redis"], "holds, until it breaks") is None
    assert "no load is projected in the unit that it holds" in [each.get_text() for each in panels["Redis"].texts]
    assert figure.get_supylabel() == "load, × the projected peak"
    assert [each.get_text() for each in figure.legends[0].get_texts()] == [
        "projected load and its interval",
        "holds, until it breaks",
        "recommended",
        "a limit, with its interval",
    ]


def test_limits_that_are_near_each_other_share_a_name(answers: Answers) -> None:
    database = drawn(answers).axes[0]
    named = [each.get_text() for each in database.texts]
    assert named == ["CPU", "connections, throughput", "storage"]
    marks = [each for each in database.get_lines() if each.get_marker() == "D"]
    assert len(marks) == len([each for each in answers.parts[0].limits if each.months.value <= 24])


def test_a_part_that_was_not_searched_says_so_in_its_panel(answers: Answers) -> None:
    part = answers.parts[0]
    unknown = replace(part, held=replace(part.held, value=None, low=None, high=None, note="not measured"))
    figure = drawn(replace(answers, parts=[unknown]))
    assert "not measured" in [each.get_text() for each in figure.axes[0].texts]


def test_a_run_of_one_part_has_one_panel_and_says_that_no_plan_names_it(answers: Answers) -> None:
    (redis,) = [part for part in answers.parts if part.name == "redis"]
    unplanned = replace(redis, limits=(), projected=replace(redis.projected, note="no plan names it"))
    (panel,) = drawn(replace(answers, parts=[unplanned])).axes
    assert "no plan names it" in [each.get_text() for each in panel.texts]
