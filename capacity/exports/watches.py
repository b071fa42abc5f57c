"""What is watched: every finding with a promise or a threshold of production, its metric and its levels of severity."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capacity.display.text import finding_text
from capacity.exports.levels import AlertLevel, given_level, is_least, levels_of
from capacity.exports.metrics import Metric
from capacity.exports.monitoring import Monitoring
from capacity.exports.selection import quoted
from capacity.findings import Finding, Judged
from capacity.objectives import asked_for
from capacity.operation import operation_slug

ROUTE = re.compile(r"^([A-Z]+) (/\S*)$")
VARIES = re.compile(r"\{[^{}]*\}")
NO_METRIC = Metric(unseen="no metric is known for it in data/monitoring.yaml")


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched of one finding: where it is seen, and its levels, of which the critical one is the last.

    `name` is as `DatabaseResponseP99`; `promise` is that of the objective on it, if there is one; `measured` is what
    the run found, as `4.5 ms (3.7 to 6.2), PASS`.
    """

    name: str
    finding: str
    title: str
    metric: Metric
    levels: tuple[AlertLevel, ...]
    promise: str
    measured: str

    @property
    def section(self) -> str:
        """The part of the system that it speaks of."""
        return self.finding.partition(".")[0]

    @property
    def alarms(self) -> list[AlertLevel]:
        """The levels that raise an alert, and are not only drawn."""
        return [each for each in self.levels if not (each.promised and self.metric.no_alert)]

    def description(self, level: AlertLevel) -> str:
        """What a level means, whose limit it is and what the run found."""
        source = f" ({level.holds.source})" if level.holds.source else ""
        note = f" The metric: {self.metric.note}." if self.metric.note else ""
        means = level.means[0].upper() + level.means[1:]
        return f"{means}. Limit: {level.fires}{source}. The load test found: {self.measured}.{note}"

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
        if all(each.broken_by == "!=" for each in self.levels):
            return "CloudWatch compares with > and <, and cannot tell that a value is not the promised one"
        return "" if self.alarms else f"drawn without an alarm: {self.metric.no_alert}"


def all_watches(
    judged: Sequence[Judged],
    monitoring: Monitoring,
    found: Sequence[Finding] | None = None,
    operations: Iterable[Mapping[str, Any]] = (),
) -> list[Watch]:
    """A watch for each finding with an objective, then for each further metric with a threshold, in their order.

    Where what was `found` is given, thresholds on what was not measured are left out. `operations` are those of the
    load, by which the metric of one of them is found.
    """
    labels = {operation_slug(each["name"]): operation_labels(each) for each in operations if each.get("request")}
    watched: dict[tuple[str, bool], tuple[list[Judged], list[AlertLevel]]] = {}
    for row in judged:
        watched.setdefault((row[0].finding, is_least(row[0])), ([], []))[0].append(row)
    given = [given_level(each, monitoring) for each in monitoring.watches]
    asked = [each.holds for each in given] if found is None else asked_for([each.holds for each in given], found)
    for level in given:
        key = (level.holds.finding, is_least(level.holds))
        if key in watched or level.holds in asked:
            watched.setdefault(key, ([], []))[1].append(level)
    watches = [_watch(name, *each, monitoring, labels) for (name, _), each in watched.items()]
    return _renamed(_told_once(watches))


def operation_labels(operation: Mapping[str, Any]) -> str:
    """The method and path of an HTTP operation as labels in PromQL; what varies in the path is one segment of it.

    The path is that of the operation's name where this is a method and a path, as `GET /orders/{id}`.
    """
    request = operation["request"]
    named = ROUTE.match(operation["name"])
    method, path = (named[1], named[2]) if named else (request["method"], request["path"])
    pieces = VARIES.split(path.partition("?")[0])
    relation = "=~" if len(pieces) > 1 else "="
    text = "[^/]+".join(quoted(each, relation) for each in pieces)
    return f'method="{quoted(method, "=")}", path{relation}"{text}"'


def _watch(
    finding: str,
    judged: Sequence[Judged],
    given: Sequence[AlertLevel],
    monitoring: Monitoring,
    labels: Mapping[str, str],
) -> Watch:
    metric = monitoring.metric_of(finding) or NO_METRIC
    metric = metric.of_operation(labels.get(finding.split(".")[1], "")) or NO_METRIC
    title = next((each.title for each, _, _ in judged), "") or metric.title or finding
    measured = "not measured"
    if judged:
        measured = f"{finding_text(judged[0][1])}, {', '.join(dict.fromkeys(str(verdict) for *_, verdict in judged))}"
    promise = ", ".join(dict.fromkeys(each.promise for each, _, _ in judged))
    levels = levels_of([objective for objective, _, _ in judged], given, monitoring)
    words = re.findall(r"[A-Za-z0-9]+", finding.replace("_", "."))
    name = "".join(word[0].upper() + word[1:] for word in words)
    return Watch(name, finding, title, metric, tuple(levels), promise, measured)


def _told_once(watches: Sequence[Watch]) -> Iterator[Watch]:
    """The same, where one symptom is seen in two findings with an alert on one of them."""
    alerting = {watch.finding: watch.title for watch in watches if not watch.unseen_by_prometheus}
    for watch in watches:
        title = alerting.get(watch.metric.told_by)
        update = {"no_alert": f"the alert on {title} tells of it"}
        yield replace(watch, metric=watch.metric.model_copy(update=update)) if title else watch


def _renamed(watches: Iterable[Watch]) -> list[Watch]:
    """The same with a number after each name that stands before already."""
    taken: Counter[str] = Counter()
    renamed = []
    for watch in watches:
        taken[watch.name] += 1
        number = taken[watch.name]
        renamed.append(watch if number == 1 else replace(watch, name=f"{watch.name}N{number}"))
    return renamed
