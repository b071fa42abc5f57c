"""A Grafana dashboard: a panel for each finding that Prometheus sees, with its limits as lines."""

import html
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from capacity.exports.watches import OBJECTIVE, Watch, by_finding

SCHEMA = 39  # Grafana 11; newer versions migrate it
COLUMNS, WIDTH, HEIGHT = 2, 12, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"s": "s", "ms": "ms", "us": "µs", "share": "percentunit", "%": "percent", "": "none"}
CHOICE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
GOOD = "green"
COLOURS = {OBJECTIVE: "red", "page": "dark-red", "alert": "orange", "review": "orange", "target": "blue"}
OTHER = "yellow"


def dashboard(watches: Sequence[Watch], title: str) -> dict[str, Any]:
    """The dashboard as JSON values, to be imported; the data source is chosen in it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for section, ofs in groupby(_by_metric(watches), key=lambda each: each[0].objective.section):
        head = {"x": 0, "y": top, "w": COLUMNS * WIDTH, "h": 1}
        panels.append({"type": "row", "title": section.capitalize(), "collapsed": False, "gridPos": head, "panels": []})
        top += 1
        for place, group in enumerate(ofs):
            x, y = place % COLUMNS * WIDTH, top + place // COLUMNS * HEIGHT
            panels.append(_panel(group, {"x": x, "y": y, "w": WIDTH, "h": HEIGHT}))
        top = panels[-1]["gridPos"]["y"] + HEIGHT
    if unseen := [watch for watch in watches if watch.severity == OBJECTIVE and not watch.metric.prometheus]:
        panels.append(_unseen(unseen, top))
    return {
        "uid": "capacity",
        "title": title,
        "tags": ["capacity"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [CHOICE]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def _by_metric(watches: Sequence[Watch]) -> list[list[Watch]]:
    """The watches that Prometheus sees, together where they are of one finding, in order of the parts of the system."""
    groups = by_finding([watch for watch in watches if watch.metric.prometheus])
    sections = [group[0].objective.section for group in groups]
    return sorted(groups, key=lambda group: sections.index(group[0].objective.section))


def _panel(group: Sequence[Watch], place: Mapping[str, int]) -> dict[str, Any]:
    watch = group[0]
    seen = watch.metric.prometheus
    assert seen is not None
    lines = [f"- {each.severity}: {each.objective.promise} ({each.objective.source})" for each in group]
    metric = f"Metric of {seen.exporter}{f': {watch.metric.note}' if watch.metric.note else ''}."
    said = [f"Load test: {watch.measured}.", metric, "", *lines]
    custom = {"thresholdsStyle": {"mode": "line"}, "lineWidth": 2, "fillOpacity": 0, "axisSoftMin": 0}
    defaults = {"unit": UNITS.get(seen.unit, f"suffix: {seen.unit}"), "thresholds": _steps(group), "custom": custom}
    return {
        "type": "timeseries",
        "title": watch.objective.title or watch.objective.finding,
        "description": html.escape("\n".join(said), quote=False),
        "datasource": SOURCE,
        "gridPos": dict(place),
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": seen.expression, "legendFormat": watch.name}],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"}},
    }


def _steps(group: Sequence[Watch]) -> dict[str, Any]:
    """The limits in ascending order; the colour below each is what is good for a lower limit, above for an upper."""
    lower = group[0].objective.relation.startswith(">")
    steps: dict[float, str] = {}
    for watch in sorted(group, key=lambda each: each.severity == OBJECTIVE):
        assert watch.metric.prometheus is not None
        colour = GOOD if lower else COLOURS.get(watch.severity, OTHER)
        steps[watch.threshold(watch.metric.prometheus)] = colour
    base = COLOURS.get(group[0].severity, OTHER) if lower else GOOD
    ordered = [{"color": colour, "value": value} for value, colour in sorted(steps.items())]
    return {"mode": "absolute", "steps": [{"color": base, "value": None}, *ordered]}


def _unseen(watches: Sequence[Watch], top: int) -> dict[str, Any]:
    """What is promised and no panel shows."""
    lines = [
        f"- {each.objective.section}: {each.objective.title or each.objective.finding} {each.objective.promise}"
        for each in watches
    ]
    content = html.escape("Only a load test sees these promises:\n\n" + "\n".join(lines), quote=False)
    return {
        "type": "text",
        "title": "Promised and not shown here",
        "gridPos": {"x": 0, "y": top, "w": COLUMNS * WIDTH, "h": HEIGHT},
        "options": {"mode": "markdown", "content": content},
    }
