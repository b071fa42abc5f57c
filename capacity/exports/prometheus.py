"""Alert rules for Prometheus, one a watch whose metric an exporter has, in a group for each part of the system."""

from collections.abc import Sequence
from typing import Any

import yaml

from capacity.exports.watches import Watch

WIDTH = 1000  # a wrapped expression is harder to read than a long line
VALUE = '{{ printf "%.4g" $value }}'
SHARE = "{{ humanizePercentage $value }}"


def alert_rules(watches: Sequence[Watch], made_from: str) -> str:
    """The rules as YAML for `rule_files`; `made_from` is said in a comment above them."""
    seen = [watch for watch in watches if not watch.unseen_by_prometheus]
    groups = [
        {"name": f"capacity_{name}", "rules": [_rule(each) for each in seen if each.objective.section == name]}
        for name in sorted({each.objective.section for each in seen})
    ]
    comment = "".join(f"# {line}\n" for line in made_from.splitlines())
    return comment + yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=WIDTH)


def literal(text: str) -> str:
    """Text within which Prometheus finds no template."""
    return text.replace("{{", '{{ "{{" }}')


def _rule(watch: Watch) -> dict[str, Any]:
    seen = watch.metric.prometheus
    assert seen is not None
    value = SHARE if seen.unit == "share" else f"{VALUE} {literal(seen.unit)}".rstrip()
    return {
        "alert": watch.name,
        "expr": f"({seen.expression}) {watch.broken_by} {watch.threshold(seen):.12g}",
        "for": f"{watch.minutes}m",
        "labels": {"severity": watch.severity, "section": watch.objective.section, "finding": watch.objective.finding},
        "annotations": {"summary": literal(watch.summary), "description": literal(watch.description), "value": value},
    }
