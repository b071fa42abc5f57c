"""Alert rules for Prometheus: one alert a watch whose metric an exporter has, and one an exporter that is silent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from capacity.exports.levels import AlertLevel
from capacity.exports.metrics import CRITICAL, WARNING, Exporter
from capacity.exports.monitoring import Monitoring
from capacity.exports.selection import Selection, quoted
from capacity.exports.watches import Watch

WIDTH = 1000  # a wrapped expression is harder to read than a long line
VALUE = '{{ printf "%.4g" $value }}'
READABLE = {"share": "{{ humanizePercentage $value }}", "s": "{{ humanizeDuration $value }}"}
SILENT = "MetricsMissing"
FOUND_OUT = (
    "look at the target in Prometheus, and whether its labels are those of the rules; else correct `labels` of this "
    "exporter in data/monitoring.yaml, or leave out its metrics there, and export again"
)


def alert_rules(watches: Sequence[Watch], monitoring: Monitoring, selection: Selection, made_from: str) -> str:
    """The rules as YAML for `rule_files`; `made_from` is said in a comment above them, with what is not selected."""
    seen = [watch for watch in watches if not watch.unseen_by_prometheus]
    groups = [
        {
            "name": f"capacity_{name}",
            "rules": [rule for watch in seen if watch.section == name for rule in _rules(watch, monitoring, selection)],
        }
        for name in sorted({watch.section for watch in seen})
    ]
    used = exporters_of(seen, monitoring)
    silent = [_silent(name, each, monitoring, selection) for name, each in used.items()]
    if silent:
        groups.append({"name": "capacity_exporters", "rules": silent})
    head = [made_from, f"System: {selection.name}", *not_selected(seen, monitoring, selection)]
    comment = "".join(f"# {line}\n" for text in head for line in text.splitlines())
    return comment + yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=WIDTH)


def exporters_of(watches: Sequence[Watch], monitoring: Monitoring) -> dict[str, Exporter]:
    """The exporters whose metrics the watches read, by name."""
    names = dict.fromkeys(each.metric.prometheus.exporter for each in watches if each.metric.prometheus)
    return {name: monitoring.exporters[name] for name in names}


def expression_of(watch: Watch, monitoring: Monitoring, selection: Selection) -> str:
    """What is drawn, and compared with the limits: of this system alone."""
    seen = watch.metric.prometheus
    assert seen is not None
    return selection.of(seen.promql(monitoring.exporters[seen.exporter]))


def not_selected(watches: Sequence[Watch], monitoring: Monitoring, selection: Selection) -> Iterator[str]:
    """What the run does not know of its system, so that the rules read these series of every system."""
    for name, exporter in exporters_of(watches, monitoring).items():
        read = [watch.metric.prometheus for watch in watches]
        texts = [each.promql(exporter) for each in read if each and each.exporter == name]
        if unknown := selection.unknown(" ".join(texts)):
            yield (
                f"Not told from other systems: metrics of {name}, as the run does not know {', '.join(unknown)}; "
                "write labels of yours there in data/monitoring.yaml"
            )


def plain(text: str) -> str:
    """Text in one line, in which a chat finds no link and nobody to call."""
    return " ".join(text.split()).replace("<", "‹").replace(">", "›").replace("://", ":/\u200b/")


def literal(text: str) -> str:
    """The same, in which Prometheus finds no template either."""
    return plain(text).replace("{{", '{{ "{{" }}')


def _rules(watch: Watch, monitoring: Monitoring, selection: Selection) -> Iterator[dict[str, Any]]:
    """The critical rule first: while it fires the warning is silent, so that a symptom is one alert at a time."""
    expression = expression_of(watch, monitoring, selection)
    severities = [each.severity for each in watch.alarms]
    for level in reversed(watch.alarms):
        assert watch.metric.prometheus is not None
        condition = f"({expression}) {level.broken_by} {level.threshold(watch.metric.prometheus):.12g}"
        if level.severity == WARNING and CRITICAL in severities:
            labels = {
                "alertname": watch.name,
                "severity": CRITICAL,
                "alertstate": "firing",
                "system": plain(selection.name),
            }
            matchers = ", ".join(f'{name}="{quoted(text, "=")}"' for name, text in labels.items())
            condition += f" unless on () ALERTS{{{matchers}}}"
        yield _rule(watch, level, condition, selection)


def _rule(watch: Watch, level: AlertLevel, condition: str, selection: Selection) -> dict[str, Any]:
    seen = watch.metric.prometheus
    assert seen is not None
    value = READABLE.get(seen.unit) or f"{VALUE} {literal(seen.unit)}".rstrip()
    annotations = {
        "summary": f"{literal(watch.title)}: {value}, {literal(level.fires)}",
        "description": literal(watch.description(level)),
        "action": literal(watch.metric.action),
    }
    labels = {"severity": level.severity, "section": watch.section, "finding": watch.finding}
    return {
        "alert": watch.name,
        "expr": condition,
        **_lasting(0 if level.is_of_events else level.minutes),
        "labels": {**labels, "system": literal(selection.name)},
        "annotations": {name: text for name, text in annotations.items() if text},
    }


def _silent(name: str, exporter: Exporter, monitoring: Monitoring, selection: Selection) -> dict[str, Any]:
    """The alert that the others of an exporter cannot fire: it is not there, or its labels are others."""
    severity = monitoring.severities.of(exporter.severity)
    return {
        "alert": SILENT,
        "expr": selection.of(exporter.missing.replace("$labels", exporter.labels)),
        **_lasting(severity.minutes),
        "labels": {
            "severity": exporter.severity,
            "section": "exporters",
            "exporter": name,
            "system": literal(selection.name),
        },
        "annotations": {
            "summary": f"No metrics of {literal(name)}: its alerts cannot fire",
            "description": "Its target is gone, the labels of the rules are not its own, or it is not used at all.",
            "action": FOUND_OUT,
        },
    }


def _lasting(minutes: int) -> Mapping[str, str]:
    return {"for": f"{minutes}m"} if minutes else {}
