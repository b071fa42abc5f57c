"""A Grafana dashboard: a panel for each finding that Prometheus sees, with its limits as lines."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from capacity.exports.metrics import CRITICAL, WARNING
from capacity.exports.monitoring import Monitoring
from capacity.exports.prometheus import expression_of
from capacity.exports.selection import Selection
from capacity.exports.watches import Watch

SCHEMA = 39  # Grafana 11; newer versions migrate it
COLUMNS, WIDTH, HEIGHT = 2, 12, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"s": "s", "ms": "ms", "us": "µs", "share": "percentunit", "%": "percent", "": "none"}
CHOICE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
GOOD = "green"
COLOURS = {WARNING: "orange", CRITICAL: "red"}
MARKUP = re.compile(r"[\\`*_\[\]<>|~&$:@]")  # of Markdown with links of their own, and of Grafana's variables
BARE_LINK = re.compile(r"www\.", re.IGNORECASE)


def dashboard(watches: Sequence[Watch], monitoring: Monitoring, selection: Selection) -> dict[str, Any]:
    """The dashboard as JSON values, to be imported; the data source is chosen in it.

    It is the same dashboard for each run of a system, and another for another system.
    """
    panels: list[dict[str, Any]] = []
    top = 0
    seen = [watch for watch in watches if watch.metric.prometheus]
    sections = [watch.section for watch in seen]
    ordered = sorted(seen, key=lambda each: sections.index(each.section))
    for section, shown in groupby(ordered, key=lambda each: each.section):
        head = {"x": 0, "y": top, "w": COLUMNS * WIDTH, "h": 1}
        panels.append({"type": "row", "title": section.capitalize(), "collapsed": False, "gridPos": head, "panels": []})
        top += 1
        for place, watch in enumerate(shown):
            x, y = place % COLUMNS * WIDTH, top + place // COLUMNS * HEIGHT
            expression = expression_of(watch, monitoring, selection)
            panels.append(_panel(watch, expression, {"x": x, "y": y, "w": WIDTH, "h": HEIGHT}))
        top = panels[-1]["gridPos"]["y"] + HEIGHT
    if unseen := [watch for watch in watches if watch.promise and not watch.metric.prometheus]:
        panels.append(_unseen(unseen, top))
    return {
        "uid": selection.identifier,
        "title": uninterpolated(f"Capacity of {selection.name}"),
        "tags": ["capacity"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [CHOICE]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def unmarked(text: str) -> str:
    """Text in one line that Markdown shows as it is, and in which Grafana finds no variable."""
    line = MARKUP.sub(lambda each: f"&#{ord(each[0])};", " ".join(text.split()))
    return BARE_LINK.sub(lambda each: f"{each[0][:-1]}&#46;", line)


def uninterpolated(text: str) -> str:
    """Text that is no Markdown, in which Grafana finds no variable: an invisible letter stands within its name."""
    return " ".join(text.split()).replace("$", "$\u200b").replace("[[", "[\u200b[")


def _panel(watch: Watch, expression: str, place: Mapping[str, int]) -> dict[str, Any]:
    seen = watch.metric.prometheus
    assert seen is not None
    lines = [f"- {each.severity}: {unmarked(f'{each.fires} ({each.holds.source})')}" for each in watch.levels]
    note = f"Metric of {seen.exporter}{f': {watch.metric.note}' if watch.metric.note else ''}."
    said = [f"Load test: {watch.measured}.", note, watch.metric.action]
    custom = {"thresholdsStyle": {"mode": "line"}, "lineWidth": 2, "fillOpacity": 0, "axisSoftMin": 0}
    defaults = {"unit": UNITS.get(seen.unit, f"suffix: {seen.unit}"), "thresholds": _steps(watch), "custom": custom}
    return {
        "type": "timeseries",
        "title": uninterpolated(watch.title),
        "description": "\n".join([*(f"{unmarked(each)}\n" for each in said if each), *lines]),
        "datasource": SOURCE,
        "gridPos": dict(place),
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": expression, "legendFormat": watch.name}],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"}},
    }


def _steps(watch: Watch) -> dict[str, Any]:
    """The limits in ascending order; the colour below each is what is good for a lower limit, above for an upper."""
    assert watch.metric.prometheus is not None
    limits = [(each.threshold(watch.metric.prometheus), COLOURS[each.severity]) for each in watch.levels]
    base = GOOD
    if watch.levels[0].holds.relation.startswith(">"):
        colours = [GOOD, *(colour for _, colour in limits)]  # of what is above the warning, between, and below
        limits = [(value, colours[number]) for number, (value, _) in enumerate(limits)]
        base = colours[-1]
    ordered = [{"color": colour, "value": value} for value, colour in sorted(limits)]
    return {"mode": "absolute", "steps": [{"color": base, "value": None}, *ordered]}


def _unseen(watches: Sequence[Watch], top: int) -> dict[str, Any]:
    """What is promised and no panel shows."""
    promised = [f"{each.section}: {each.title} {each.promise}" for each in watches]
    content = "\n".join(["Only a load test sees these promises:", "", *(f"- {unmarked(each)}" for each in promised)])
    return {
        "type": "text",
        "title": "Promised and not shown here",
        "gridPos": {"x": 0, "y": top, "w": COLUMNS * WIDTH, "h": HEIGHT},
        "options": {"mode": "markdown", "content": content},
    }
