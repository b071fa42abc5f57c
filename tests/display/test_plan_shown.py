"""The plan in words, tables and pictures: the right word at each limit, and nothing left out."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import ipywidgets
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from capacity.analysis.planning.basis import PlanBasis, read_basis
from capacity.analysis.planning.catalog import Size, read_catalog
from capacity.analysis.planning.growth import Exhaustion
from capacity.analysis.planning.plan import CapacityPlan, make_plan, varied
from capacity.analysis.planning.plan_file import PlanFile, read_plan
from capacity.analysis.planning.sizing import choose_sizes
from capacity.display import charts_plan, tables_plan
from capacity.display.what_if import VIEW, _sliders, scenarios_table, what_if
from capacity.findings import read_findings

mpl.use("Agg")
DATA = Path(__file__).parents[2] / "data"
UNREAD = {"database.cpu_share", "database.memory", "database.memory_utilisation"}  # as of a server elsewhere


@pytest.fixture(scope="module")
def inputs() -> tuple[PlanFile, PlanBasis, list[Size]]:
    folder = DATA / "recorded" / "findings"
    found = [each for each in read_findings(folder) if each.name not in UNREAD]
    run = read_basis(folder, found)
    return read_plan(DATA / "plan.yaml"), run, read_catalog(DATA / "catalog")


@pytest.fixture(scope="module")
def plan(inputs: tuple[PlanFile, PlanBasis, list[Size]]) -> CapacityPlan:
    return make_plan(*inputs)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("months", "at_least", "words"),
    [
        (Exhaustion(4.0, 2.7, 6.3), False, "4.0 months (2.7 to 6.3)"),
        (Exhaustion(4.0, 2.7, math.inf), False, "4.0 months (2.7 to never)"),
        (Exhaustion(math.inf, 9.0, math.inf), False, "never"),
        (Exhaustion(0.0, 0.0, 0.0), False, "already exceeded"),
        (Exhaustion(0.0, 0.0, 2.0), False, "already exceeded (or within 2.0 months)"),
        (Exhaustion(2.6, 1.5, 4.0), True, "at least 2.6 months (at 95 %: 1.5)"),
    ],
)
def test_months_have_the_right_word(months: Exhaustion, at_least: bool, words: str) -> None:
    assert tables_plan.months_text(months, at_least) == words


def test_dates_count_from_the_day_of_the_run(plan: CapacityPlan) -> None:
    start = plan.run.day
    assert tables_plan.date_text(plan, Exhaustion(12.0, 6.0, 24.0)).startswith(f"{start.year + 1}-{start:%m-%d} (")
    assert tables_plan.date_text(plan, Exhaustion(1.0, 0.0, 2.0), at_least=True).startswith("not before ")
    assert tables_plan.date_text(plan, Exhaustion(math.inf, 1.0, math.inf)) == "never"
    assert tables_plan.date_text(plan, Exhaustion(0.0, 0.0, 0.0)) == "already exceeded"


def test_every_resource_signal_margin_and_wait_has_its_row(plan: CapacityPlan) -> None:
    table = tables_plan.exhaustion_table(plan)
    assert list(table.index) == [each.title for each in plan.file.resources]
    assert table.loc["Database CPU", "use at the projected peak"] == "not measured"
    assert table.loc["Database CPU", "used up"] == "not known"
    assert table.loc["Queue throughput", "limit"] == "750"  # the load that held in the search for the breaking point
    assert table.loc["Database I/O", "limit is"] == (
        "database.device_operations is not given: the server's processes are elsewhere, or their storage was not read"
    )
    assert table.loc["Redis CPU", "limit is"] == "what one thread sustains on the size that runs: cache.t3.small"
    assert table.loc["Redis CPU", "limit"] == "40"
    triggers = tables_plan.triggers_table(plan)
    assert sorted(triggers.index) == ["Gateway's pool", "Redis memory", "Redis memory"]
    assert triggers.loc["Redis memory", "at"].tolist() == ["85 % of maxmemory", "95 % of maxmemory"]
    assert "2028\N{NON-BREAKING HYPHEN}" in tables_plan.shown(table).to_html()
    assert len(tables_plan.signals_table(plan)) == len(plan.file.signals)
    assert list(tables_plan.margins_table(plan).index) == [each.title for each in plan.file.margins]
    assert list(tables_plan.servers_table(plan).index) == [each.title for each in plan.file.waits]


def test_the_sizes_have_a_row_a_quarter_and_say_where_none_holds(plan: CapacityPlan) -> None:
    table = tables_plan.sizes_table(plan)
    assert len(table) == 8
    assert table["Redis"].iloc[-1] == "none holds it"
    assert table["Database"].iloc[-1].startswith("≥ ")  # its CPU was not measured
    assert all(re.fullmatch(r"at least [\d,]+ USD", each) for each in table["in all"])


def test_what_speaks_against_the_sizes_is_said_once_with_its_quarter(plan: CapacityPlan) -> None:
    lines = tables_plan.problems_text(plan).splitlines()
    assert len(lines) == len(set(lines))
    assert sum("is burstable" in line for line in lines if line.startswith("- Gateway")) == 1
    assert any("CPU, I/O operations not judged (" in line and "the least that it needs" in line for line in lines)
    assert any("no server holds what cannot be spread" in line and "give `pieces: 2`" in line for line in lines)
    assert any("connections bind: no size has enough" in line and "Supabase" in line for line in lines)


def test_the_summary_names_what_binds_and_what_it_costs(plan: CapacityPlan) -> None:
    text = tables_plan.summary_text(plan)
    assert "15% a month (10% to 20%)" in text
    assert plan.title_of(max(plan.binds, key=lambda name: plan.binds[name])) in text
    assert re.search(r"^quarter 1 +at least [\d,]+ USD a month$", text, re.MULTILINE)
    assert re.search(r"^quarter 8 +at least [\d,]+ USD a month, without Redis on ElastiCache$", text, re.MULTILINE)


def test_the_picture_of_use_has_a_panel_a_resource_with_limit_and_triggers(plan: CapacityPlan) -> None:
    shown = [each for each in plan.resources if each.terms and each.limit]
    axes = [ax for ax in charts_plan.outgrown(plan).axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in axes] == [each.title for each in shown]
    for ax, resource in zip(axes, shown, strict=True):
        words = [text.get_text() for text in ax.texts]
        assert words[0] == ("held in the test" if resource.floor else "limit")
        assert len(words) == 1 + len(resource.triggers)
        assert ax.collections, "the band is missing"


def test_the_picture_of_sizes_has_a_bar_a_stretch_and_dates(plan: CapacityPlan) -> None:
    ax = charts_plan.sizes_by_quarter(plan)
    words = [text.get_text() for text in ax.texts]
    assert "none\nholds it" in words
    assert "m6g.large\n109" in words and "2 ×\nm6g.large\n218" in words
    assert any("\n+ 20 GiB\n" in word for word in words)
    assert sum(bar.get_width() for bar in ax.patches) == len(plan.parts) * 24  # type: ignore[attr-defined]


def test_the_swings_are_drawn_from_the_first_limit(plan: CapacityPlan) -> None:
    ax = charts_plan.swings(plan)
    moving = [each for each in plan.swings if each.span > 0]
    assert [text.get_text() for text in ax.get_yticklabels()] == [each.name for each in moving]
    assert len(ax.patches) == 2 * len(moving)
    assert charts_plan.swings(replace(plan, swings=[])).texts[0].get_text() == "no input has an interval"


def test_the_cost_is_stacked_and_says_where_it_is_not_whole(plan: CapacityPlan) -> None:
    ax = charts_plan.cost_over_time(plan)
    words = [text.get_text() for text in ax.texts]
    assert len(words) == 8
    assert all(word.endswith("+ unknown") for word in words)  # of the database CPU and operations were not measured
    parts = [replace(part, missing={}) for part in plan.parts]
    known = [text.get_text() for text in charts_plan.cost_over_time(replace(plan, parts=parts)).texts]
    assert known[-1].endswith("+ unknown") and not known[0].endswith("unknown")


def test_a_scenario_is_a_plan_made_anew(inputs: tuple[PlanFile, PlanBasis, list[Size]]) -> None:
    table = scenarios_table(*inputs, peaks=(1,))
    assert list(table.index) == [f"{growth}% a month, peak × 1" for growth in (10, 15, 20)]
    file, run, sizes = inputs
    same = make_plan(varied(file, growth=0.2, headroom=0.3, peak=1), run, sizes)
    assert table.loc["20% a month, peak × 1", "first limit"] == tables_plan.date_text(same, same.first)


def test_the_sliders_make_a_plan_and_fall_back_to_text(
    inputs: tuple[PlanFile, PlanBasis, list[Size]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run, sizes = inputs
    plan = make_plan(varied(file, growth=0.05, headroom=0.5, peak=2.0, database="db.r5.2xlarge"), run, sizes)
    assert (plan.file.growth.value, plan.file.headroom.value) == (0.05, 0.5)
    assert plan.parts[0].current is not None and plan.parts[0].current.size.size == "db.r5.2xlarge"
    bundles: list[dict[str, object]] = []
    monkeypatch.setattr("capacity.display.what_if.display", lambda bundle, raw: bundles.append(bundle))
    what_if(file, run, sizes)
    assert set(bundles[0]) == {VIEW, "text/plain"}
    assert "first limit" in str(bundles[0]["text/plain"])
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    what_if(file, run, sizes)
    assert "first limit" in capsys.readouterr().out


def test_a_run_of_redis_alone_is_shown_whole(inputs: tuple[PlanFile, PlanBasis, list[Size]]) -> None:
    file, run, sizes = inputs
    redis = {name: each for name, each in run.findings.items() if each.section == "redis"}
    plan = make_plan(file, replace(run, findings=redis), sizes)
    for name in ("exhaustion", "triggers", "signals", "margins", "sizes", "servers"):
        assert tables_plan.shown(getattr(tables_plan, f"{name}_table")(plan)).to_html()
    assert tables_plan.servers_table(plan).empty
    assert "Redis on ElastiCache" in tables_plan.summary_text(plan)
    shown = tables_plan.exhaustion_table(plan)
    assert list(shown.index) == ["Redis memory", "Redis CPU", "Redis connections"]
    for draw in (charts_plan.outgrown, charts_plan.sizes_by_quarter, charts_plan.swings, charts_plan.cost_over_time):
        draw(plan).figure.canvas.draw()  # type: ignore[operator]


def test_a_load_that_held_and_was_not_searched_further_is_a_limit_from_below(
    inputs: tuple[PlanFile, PlanBasis, list[Size]],
) -> None:
    file, run, sizes = inputs
    held = {name: each for name, each in run.findings.items() if each.section != "breaking_point"}
    table = tables_plan.exhaustion_table(make_plan(file, replace(run, findings=held), sizes))
    assert table.loc["Queue throughput", "limit"].startswith("≥ ")
    assert table.loc["Queue throughput", "used up"].startswith("not before ")


def test_a_moved_slider_makes_the_plan_anew(inputs: tuple[PlanFile, PlanBasis, list[Size]]) -> None:
    box = _sliders(ipywidgets, *inputs)
    growth, text, picture = box.children[0], box.children[-2], box.children[-1]
    before = (text.value, bytes(picture.value))
    assert "first limit" in before[0]
    assert before[1].startswith(b"\x89PNG")
    growth.value = 0.4
    assert "40% a month" in text.value
    assert bytes(picture.value) != before[1]


def test_a_moved_slider_chooses_each_parts_sizes_once_and_draws_its_picture_once(
    inputs: tuple[PlanFile, PlanBasis, list[Size]],
) -> None:
    """Which is what answers within 0.3 s: sizes were chosen three times, and fourteen panels drawn and laid out."""
    box = _sliders(ipywidgets, *inputs)
    watched = patch("capacity.analysis.planning.plan.choose_sizes", wraps=choose_sizes)
    with watched as chosen, patch.object(Figure, "draw", autospec=True, side_effect=Figure.draw) as drawn:
        box.children[0].value = 0.3
    assert chosen.call_count == len(inputs[0].parts)
    assert drawn.call_count == 1


def test_limits_are_dates_the_soonest_on_top_each_with_its_interval(plan: CapacityPlan) -> None:
    ax = charts_plan.limits_as_dates(plan)
    reached = sorted((each for each in plan.events if each.limit), key=lambda each: each.months.value)
    assert [text.get_text() for text in ax.get_yticklabels()] == [plan.title_of(each.resource) for each in reached]
    bars = [line for line in ax.lines if len(line.get_xdata()) == 2]  # type: ignore[arg-type]
    ends = [(min(each.months.low, 24), min(each.months.high, 24)) for each in reached]
    assert [tuple(np.asarray(line.get_xdata())) for line in bars] == ends
    assert charts_plan.limits_as_dates(plan, ax) is ax
    assert len(ax.lines) == 2 * len(reached)
