"""The dashboard has a panel for every promise that Prometheus sees, with its limits as lines."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.display.text import finding_text
from capacity.exports import Source
from capacity.exports.grafana import dashboard, unmarked
from capacity.exports.prometheus import SILENT
from capacity.exports.selection import Selection
from capacity.exports.watches import Watch
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
        ("DatabaseResponseP99", "s", [("green", None), ("orange", 0.3), ("red", 0.5)]),
        ("DatabaseSuccessRate", "percentunit", [("red", None), ("orange", 0.99), ("green", 0.992)]),
        ("DatabaseDeadlocks", "none", [("green", None), ("orange", 0.0)]),
        ("QueueDepthPeak", "suffix: jobs", [("green", None), ("orange", 5000.0), ("red", 10000.0)]),
        ("QueueThroughput", "suffix: /s", [("red", None), ("orange", 500.0), ("green", 600.0)]),
        ("RedisMemoryUtilisation", "percentunit", [("green", None), ("orange", 0.85), ("red", 0.95)]),
        ("QueueDeadLetterGrowth", "suffix: jobs/min", [("green", None), ("orange", 10.0), ("red", 100.0)]),
        ("RedisFragmentation", "none", [("green", None), ("orange", 1.2), ("red", 1.5)]),
    ],
)
def test_limits_are_lines_in_the_unit_of_the_panel(
    made: dict[str, Any], watch: str, unit: str, expected: list[tuple[str, float | None]]
) -> None:
    panel = panels(made)[watch]
    assert panel["fieldConfig"]["defaults"]["unit"] == unit
    assert steps(panel) == expected


def test_a_panel_draws_what_the_alert_compares(made: dict[str, Any], exported: Path) -> None:
    groups = yaml.safe_load((exported / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    drawn = {name: panel["targets"][0]["expr"] for name, panel in panels(made).items()}
    rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"] if rule["alert"] != SILENT}
    assert all(compared.startswith(f"({drawn[name]}) ") for name, compared in rules.items())


def test_every_promise_is_drawn_or_named_as_not_shown(made: dict[str, Any], source: Source) -> None:
    (text,) = [panel["options"]["content"] for panel in made["panels"] if panel["type"] == "text"]
    drawn = panels(made)
    promised = [watch for watch in source.watches if watch.promise]
    assert len(promised) == len(source.judged)
    for watch in promised:
        listed = f"- {unmarked(f'{watch.section}: {watch.title} {watch.promise}')}" in text.splitlines()
        assert (watch.name in drawn) != listed


def test_a_panel_says_what_the_load_test_found_and_every_limit_with_its_source(made: dict[str, Any]) -> None:
    depth = next(each for each in read_findings(FINDINGS) if each.name == "queue.depth_peak")
    said = html.unescape(panels(made)["QueueDepthPeak"]["description"]).splitlines()
    assert said == [
        f"Load test: {finding_text(depth)}, PASS.",
        "",
        "Metric of BullMQ.",
        "",
        "more workers; see whether the queue is paused, and whether workers are connected",
        "",
        "- warning: above 5,000 jobs (report section 6)",
        "- critical: above 10,000 jobs (report sections 7 and 12)",
    ]


def test_a_text_is_no_markup_no_link_and_no_variable(hostile: Watch, source: Source) -> None:
    made = dashboard([hostile], source.monitoring, source.selection)
    (panel,) = panels(made).values()
    assert not re.search(r"[<*`$\[\]@]|://|www\.", panel["description"])
    assert " ".join(hostile.title.split()) in html.unescape(panel["description"])  # people see it as it is
    assert panel["title"].replace("\u200b", "") == " ".join(hostile.title.split())
    assert not re.search(r"\$\w|\$\{|\[\[", panel["title"])
    assert json.loads(json.dumps(made)) == made


def test_a_system_has_one_dashboard_and_another_system_another(source: Source, made: dict[str, Any]) -> None:
    assert made["title"] == (
        "Capacity of db.shop.internal/shop, cache.shop.internal, api.shop.example, queue bull:posts"
    )
    again = dashboard(source.watches[:3], source.monitoring, source.selection)
    other = dashboard(source.watches, source.monitoring, Selection({}, "db.b.internal/mail"))
    assert again["uid"] == made["uid"] != other["uid"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", made["uid"])  # what Grafana takes
    assert other["title"] == "Capacity of db.b.internal/mail"
