"""The dashboard has a panel for every promise that Prometheus sees, with its limits as lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from capacity.display.text import finding_text
from capacity.exports import Source
from capacity.exports.grafana import dashboard
from capacity.exports.watches import OBJECTIVE, Watch
from capacity.findings import read_findings

FINDINGS = Path(__file__).parents[2] / "data" / "recorded" / "findings"


@pytest.fixture
def made(exported: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((exported / "grafana.json").read_text(encoding="utf-8"))
    return values


def panels(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The panels with a graph, by the name of the watch that they draw."""
    return {each["targets"][0]["legendFormat"]: each for each in made["panels"] if each["type"] == "timeseries"}


def steps(panel: dict[str, Any]) -> list[tuple[str, float | None]]:
    return [(step["color"], step["value"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_every_panel_has_what_grafana_needs(made: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"]: variable for variable in made["templating"]["list"]}
    for panel in panels(made).values():
        assert (
            panel["datasource"] == panel["targets"][0]["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        )
        assert panel["targets"][0]["expr"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "line"}
        values = [value for _, value in steps(panel)]
        assert values[0] is None and len(values) > 1
        assert values[1:] == sorted(values[1:])
    assert variables["datasource"]["type"] == "datasource"
    assert "id" not in made  # Grafana gives the dashboard a number when it is imported


def test_panels_lie_beside_each_other_within_the_grid(made: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in made["panels"]):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize(
    ("watch", "unit", "expected"),
    [
        ("DatabaseResponseP99Objective", "s", [("green", None), ("blue", 0.3), ("red", 0.5)]),
        ("DatabaseSuccessRateObjective", "percentunit", [("red", None), ("green", 0.99)]),
        ("DatabaseDiskReadObjective", "ms", [("green", None), ("red", 5.0)]),
        (
            "QueueDepthPeakObjective",
            "suffix: jobs",
            [("green", None), ("yellow", 5000.0), ("red", 10000.0)],
        ),
        ("QueueThroughputObjective", "suffix: /s", [("red", None), ("green", 500.0)]),
        ("RedisMemoryUtilisationObjective", "percentunit", [("green", None), ("blue", 0.85), ("red", 0.95)]),
        (
            "QueueDeadLetterGrowthAlert",
            "suffix: jobs/min",
            [("green", None), ("blue", 10.0), ("orange", 100.0)],
        ),
        ("RedisFragmentationObjective", "none", [("green", None), ("red", 1.5)]),
    ],
)
def test_limits_are_lines_in_the_unit_of_the_panel(
    made: dict[str, Any], watch: str, unit: str, expected: list[tuple[str, float | None]]
) -> None:
    panel = panels(made)[watch]
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    assert steps(panel) == expected


def test_every_promise_is_drawn_or_named_as_not_shown(made: dict[str, Any], source: Source) -> None:
    (text,) = [panel["options"]["content"] for panel in made["panels"] if panel["type"] == "text"]
    drawn = panels(made)
    promised = [watch for watch in source.watches if watch.severity == OBJECTIVE]
    assert len(promised) == len(source.judged)
    for watch in promised:
        listed = f"- {watch.objective.section}: {watch.objective.title} " in text
        assert (watch.name in drawn) != listed


def test_a_panel_says_what_the_load_test_found_and_every_limit_with_its_source(made: dict[str, Any]) -> None:
    depth = next(each for each in read_findings(FINDINGS) if each.name == "queue.depth_peak")
    said = panels(made)["QueueDepthPeakObjective"]["description"].splitlines()
    assert said == [
        f"Load test: {finding_text(depth)}, PASS.",
        "Metric of BullMQ.",
        "",
        "- objective: &lt; 10,000 jobs (report section 2)",
        "- scale: ≤ 5,000 jobs (report section 6)",
        "- alert: ≤ 10,000 jobs (report section 7)",
        "- page: ≤ 10,000 jobs (report section 12)",
    ]


def test_a_text_is_no_markup(hostile: Watch) -> None:
    made = dashboard([hostile], "Capacity")
    (panel,) = panels(made).values()
    assert "<" not in panel["description"]
    assert panel["title"] == hostile.objective.title
    assert json.loads(json.dumps(made)) == made
