"""The picture of a search shows its answer, and its tables say what was found."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from capacity.analysis.limits.search_result import SearchResult
from capacity.display import charts_levels, tables_levels
from capacity.findings import Verdict
from capacity.probes.breaking_point import read_search_result

mpl.use("Agg")
RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "breaking_point"


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return read_search_result(RECORDED / "queue")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_picture_shades_the_answer_and_draws_the_objective(found: SearchResult) -> None:
    figure = charts_levels.searched_picture(found)
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes]
    assert titles == ["Response time, p95", "Completed", "In use", "Scalability", "Highest load by three ways"]
    times, _, used, scalability, estimates = figure.axes
    assert "objective 200 ms" in [text.get_text() for text in times.texts]
    shaded = times.patches[-1].get_extents().transformed(times.transData.inverted())  # type: ignore[attr-defined]
    assert (shaded.x0, shaded.x1) == pytest.approx((found.answer.low, found.answer.high))
    legend = used.get_legend()
    assert legend is not None and legend.get_texts()[0].get_text() == found.ranked["resource"].iloc[0]
    assert all(ax.get_xlabel() for ax in (used, scalability, estimates))
    assert [label.get_text() for label in estimates.get_yticklabels()] == [knee.method for knee in found.knees]


def test_every_measurement_is_a_mark_in_the_colour_of_its_verdict(found: SearchResult) -> None:
    ax = plt.subplots()[1]
    charts_levels.throughput_by_load(found.table, ax)
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in marks) == len(found.levels)  # type: ignore[arg-type]
    assert len({line.get_color() for line in marks}) == found.table["verdict"].nunique()


def test_the_answer_in_words(found: SearchResult) -> None:
    text = tables_levels.answers_text([found])
    assert f"holds {found.answer.low:,.6g}/s, breaks at {found.answer.high:,.6g}/s" in text
    assert f"for production {0.75 * found.answer.low:,.6g}/s" in text
    assert found.broke in tables_levels.broke_text(found)
    rows = tables_levels.estimates_text([found, found]).splitlines()
    assert [row.split("  ")[:2] for row in rows[:3]] == [["queue", each.method] for each in found.knees]
    assert sum("× the measured" in row for row in rows[6:]) == 4


def test_what_has_no_interval_has_two_digits(found: SearchResult) -> None:
    shown = tables_levels.levels_style(found).data["Little's law, %"]  # type: ignore[attr-defined]
    digits = [each.lstrip("−0.").replace(".", "") for each in shown]
    assert all(1 <= len(each) <= 2 for each in digits), list(shown)


def test_several_rounds_are_shown_each_and_together(found: SearchResult) -> None:
    held, broke = (
        next(each for each in found.levels if each.rate == rate and each.verdict is verdict)
        for rate, verdict in ((found.answer.low, Verdict.PASS), (found.answer.high, Verdict.FAIL))
    )
    several = replace(found, rounds=((held, broke),))
    low, high = found.answer.low, found.answer.high
    assert "in 2 rounds" in tables_levels.answers_text([several])
    assert tables_levels.rounds_text(several).startswith(f"queue: {low:,.6g} to {high:,.6g}/s; {low:,.6g} to")
    assert "which says nothing of the next" in tables_levels.rounds_text(found)
    shown = tables_levels.levels_style(several).data  # type: ignore[attr-defined]
    assert shown["round"].tolist() == ["1"] * len(found.levels) + ["2", "2"]
    figure = charts_levels.searched_picture(several)
    shaded = figure.axes[0].patches[-1].get_extents().transformed(figure.axes[0].transData.inverted())  # type: ignore[attr-defined]
    assert (shaded.x0, shaded.x1) == pytest.approx((several.sustainable.low, several.sustainable.high))


def test_the_tables_have_a_row_for_each_level(found: SearchResult) -> None:
    shown = tables_levels.levels_style(found)
    assert len(shown.data) == len(found.levels)  # type: ignore[attr-defined]
    assert shown.data["verdict"].tolist() == [str(level.verdict) for level in found.levels]  # type: ignore[attr-defined]
    assert "<table" in shown.to_html()
    notes = tables_levels.notes_style(found).data
    broken = [level for level in found.levels if level.broke]
    assert [each for each in notes["why"] if each] == [level.broke for level in broken]
    assert set(notes["due, /s"]) >= {f"{level.rate:,.6g}" for level in broken}
    assert len(tables_levels.beyond_style(found).data) == len(found.beyond)  # type: ignore[attr-defined]


def test_levels_too_short_for_the_promised_percentile_are_drawn_below_the_objective(found: SearchResult) -> None:
    short, name = replace(found), found.promised_time[0]
    vars(short)["table"] = found.table.assign(**{f"{name}{end}": float("nan") for end in ("", "_low", "_high")})
    ax = plt.subplots()[1]
    charts_levels.times_by_load(short, ax)
    assert ax.get_ylim()[1] == 3 * found.promised_time[1]
