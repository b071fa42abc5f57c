"""What is watched: every objective and threshold with its metric, its severity and what the run found."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capacity.display.text import finding_text
from capacity.errors import CapacityError
from capacity.exports.monitoring import Metric, Metrics, Monitoring, PrometheusQuery, WatchedThreshold, converted
from capacity.findings import Finding, Judged, Objective
from capacity.objectives import LIMIT, asked_for
from capacity.operation import operation_slug

OBJECTIVE = "objective"
BROKEN_BY = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!="}
KEPT_BY = {broken: kept for kept, broken in BROKEN_BY.items()}
ROUTE = re.compile(r"^([A-Z]+) (/\S*)$")
VARIES = re.compile(r"\{[^{}]*\}")
NO_METRIC = Metric(unseen="no metric is known for it in data/monitoring.yaml")


@dataclass(frozen=True, slots=True)
class Watch:
    """A limit that is watched: its objective, where it is seen, how severe it is, and for how long it must be passed.

    `measured` is what the run found, as `4.5 ms (3.7 to 6.2): PASS`; `scales` names what is scaled by it, if anything.
    """

    name: str
    objective: Objective
    metric: Metric
    severity: str
    minutes: int
    means: str
    measured: str
    scales: str = ""

    @property
    def alarms(self) -> bool:
        """Whether it raises an alert, and is not only drawn."""
        return not (self.severity == OBJECTIVE and self.metric.no_alert)

    @property
    def broken_by(self) -> str:
        """The relation of a value to the threshold when it fires."""
        return BROKEN_BY[self.objective.relation]

    @property
    def summary(self) -> str:
        """What is wrong when it fires, in one sentence."""
        return f"{self.objective.title or self.objective.finding} ({self.objective.promise}) does not hold"

    @property
    def description(self) -> str:
        """What it means, whose limit it is and what the run found."""
        source = f" ({self.objective.source})" if self.objective.source else ""
        note = f" Metric: {self.metric.note}." if self.metric.note else ""
        means = self.means[0].upper() + self.means[1:]
        return f"{means}. Limit: {self.objective.promise}{source}. Load test: {self.measured}.{note}"

    @property
    def unseen_by_prometheus(self) -> str:
        """Why no rule is made of it; empty where one is."""
        if not self.metric.prometheus:
            return self.metric.unseen or "no metric of an exporter is known"
        return "" if self.alarms else f"drawn without an alert: {self.metric.no_alert}"

    @property
    def unseen_by_cloudwatch(self) -> str:
        """Why no alarm is made of it; empty where one is."""
        if not self.metric.cloudwatch:
            return self.metric.unseen or "no metric of CloudWatch is known"
        if self.broken_by == "!=" and self.objective.limit != 0:
            return "CloudWatch compares with > and <, and cannot tell that a value is not the promised one"
        return "" if self.alarms else f"drawn without an alarm: {self.metric.no_alert}"

    def threshold(self, seen: PrometheusQuery | Metrics) -> float:
        """The limit in the unit of the metric, without the last digits that a change of units leaves behind.

        CapacityError where they measure different things.
        """
        try:
            return float(f"{converted(self.objective.limit, self.objective.unit, seen.unit):.12g}")
        except ValueError as error:
            where = "correct the unit in data/monitoring.yaml"
            raise CapacityError(f"{self.objective.finding}: {error}; {where}") from None


def all_watches(
    judged: Sequence[Judged],
    monitoring: Monitoring,
    found: Sequence[Finding] | None = None,
    operations: Iterable[Mapping[str, Any]] = (),
) -> list[Watch]:
    """A watch for each objective, then for each threshold of `monitoring`, in their order and with different names.

    Where what was `found` is given, thresholds on what was not measured are left out. `operations` are those of the
    load, by which the metric of one of them is found.
    """
    labels = {operation_slug(each["name"]): operation_labels(each) for each in operations if each.get("request")}
    promised = [
        _watch(objective, OBJECTIVE, monitoring, f"{finding_text(finding)}, {verdict}", labels)
        for objective, finding, verdict in judged
    ]
    known = {watch.objective.finding: watch for watch in reversed(promised)}
    further = [_of_threshold(each, known.get(each.metric), monitoring, labels) for each in monitoring.watches]
    if found is not None:
        asked = asked_for([each.objective for each in further], found)
        further = [each for each in further if each.objective in asked]
    return _renamed([*promised, *further])


def operation_labels(operation: Mapping[str, Any]) -> str:
    """The method and path of an HTTP operation as labels in PromQL; what varies in the path is one segment of it.

    The path is that of the operation's name where this is a method and a path, as `GET /orders/{id}`.
    """
    request = operation["request"]
    named = ROUTE.match(operation["name"])
    method, path = (named[1], named[2]) if named else (request["method"], request["path"])
    pieces = VARIES.split(path.partition("?")[0])
    relation = "=~" if len(pieces) > 1 else "="
    text = "[^/]+".join(map(re.escape, pieces)) if len(pieces) > 1 else pieces[0]
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'method="{method}", path{relation}"{quoted}"'


def _of_threshold(
    threshold: WatchedThreshold, promised: Watch | None, monitoring: Monitoring, labels: Mapping[str, str]
) -> Watch:
    matched = LIMIT.match(threshold.fires or threshold.promise)
    assert matched is not None  # a threshold without a limit is refused when it is read
    relation, limit, unit = matched.groups()
    kept = KEPT_BY[relation] if threshold.fires else relation
    title = promised.objective.title if promised else (monitoring.metric_of(threshold.metric) or NO_METRIC).title
    objective = Objective(threshold.metric, kept, float(limit), unit, title or threshold.metric, threshold.source)
    measured = promised.measured.rpartition(", ")[0] if promised else "not measured"
    return replace(_watch(objective, threshold.severity, monitoring, measured, labels), scales=threshold.scales)


def _watch(
    objective: Objective, severity: str, monitoring: Monitoring, measured: str, labels: Mapping[str, str]
) -> Watch:
    metric = monitoring.metric_of(objective.finding) or NO_METRIC
    metric = metric.of_operation(labels.get(objective.finding.split(".")[1], "")) or NO_METRIC
    minutes, means = monitoring.severities[severity].minutes, monitoring.severities[severity].means
    words = re.findall(r"[A-Za-z0-9]+", f"{objective.finding}.{severity}".replace("_", "."))
    name = "".join(word[0].upper() + word[1:] for word in words)
    return Watch(name, objective, metric, severity, minutes, means, measured)


def _renamed(watches: Iterable[Watch]) -> list[Watch]:
    """The same with a number after each name that stands before already."""
    taken: Counter[str] = Counter()
    renamed = []
    for watch in watches:
        taken[watch.name] += 1
        number = taken[watch.name]
        renamed.append(watch if number == 1 else replace(watch, name=f"{watch.name}N{number}"))
    return renamed


def by_finding(watches: Iterable[Watch]) -> list[list[Watch]]:
    """The watches in groups of one finding each, in the order in which the findings come first."""
    groups: dict[str, list[Watch]] = {}
    for watch in watches:
        groups.setdefault(watch.objective.finding, []).append(watch)
    return list(groups.values())
