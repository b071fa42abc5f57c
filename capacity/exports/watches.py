"""What is watched: every finding with a promise or a threshold of production, its metric and its levels of severity."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capacity.display.text import finding_text
from capacity.errors import CapacityError
from capacity.exports.metrics import Metric, Metrics, PrometheusQuery, converted
from capacity.exports.monitoring import CRITICAL, WARNING, Monitoring, SeverityName, WatchedThreshold
from capacity.exports.selection import quoted
from capacity.findings import Finding, Judged, Objective
from capacity.objectives import LIMIT, asked_for
from capacity.operation import operation_slug

BROKEN_BY = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!="}
KEPT_BY = {broken: kept for kept, broken in BROKEN_BY.items()}
REACHED = {">=": "at or above", ">": "above", "<=": "at or below", "<": "below", "!=": "not"}
ROUTE = re.compile(r"^([A-Z]+) (/\S*)$")
VARIES = re.compile(r"\{[^{}]*\}")
NO_METRIC = Metric(unseen="no metric is known for it in data/monitoring.yaml")


@dataclass(frozen=True, slots=True)
class Level:
    """A limit of a watch: what must hold (with who says so), how severe it is else, and after how many minutes.

    `promised` says that it follows from a promise alone; `scales` names what is scaled by it, if anything.
    """

    severity: SeverityName
    holds: Objective
    minutes: int
    means: str
    promised: bool = True
    scales: str = ""

    @property
    def is_of_events(self) -> bool:
        """Whether it promises that something never happens, so that a single event breaks it."""
        return self.holds.limit == 0 and self.holds.relation in ("==", "<=")

    @property
    def broken_by(self) -> str:
        """The relation of a value to the limit when it fires."""
        return ">" if self.is_of_events else BROKEN_BY[self.holds.relation]

    @property
    def fires(self) -> str:
        """The same in words, as `at or above 500 ms`."""
        unit = f" {self.holds.unit}" if self.holds.unit else ""
        return f"{REACHED[self.broken_by]} {self.holds.limit:,g}{unit}"

    def threshold(self, seen: PrometheusQuery | Metrics) -> float:
        """The limit in the unit of the metric, without the last digits that a change of units leaves behind.

        CapacityError where they measure different things.
        """
        try:
            return float(f"{converted(self.holds.limit, self.holds.unit, seen.unit):.12g}")
        except ValueError as error:
            where = "correct the unit in data/monitoring.yaml"
            raise CapacityError(f"{self.holds.finding}: {error}; {where}") from None


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
    levels: tuple[Level, ...]
    promise: str
    measured: str

    @property
    def section(self) -> str:
        """The part of the system that it speaks of."""
        return self.finding.partition(".")[0]

    @property
    def alarms(self) -> list[Level]:
        """The levels that raise an alert, and are not only drawn."""
        return [each for each in self.levels if not (each.promised and self.metric.no_alert)]

    def description(self, level: Level) -> str:
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
    watched: dict[tuple[str, bool], tuple[list[Judged], list[Level]]] = {}
    for row in judged:
        watched.setdefault((row[0].finding, _is_least(row[0])), ([], []))[0].append(row)
    given = [_given_level(each, monitoring) for each in monitoring.watches]
    asked = [each.holds for each in given] if found is None else asked_for([each.holds for each in given], found)
    for level in given:
        key = (level.holds.finding, _is_least(level.holds))
        if key in watched or level.holds in asked:
            watched.setdefault(key, ([], []))[1].append(level)
    watches = [_watch(name, *each, monitoring, labels) for (name, _), each in watched.items()]
    return _renamed(_told_once(watches))


def _is_least(objective: Objective) -> bool:
    """Whether a limit is the least that is right, and not the most."""
    return objective.relation.startswith(">")


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
    finding: str, judged: Sequence[Judged], given: Sequence[Level], monitoring: Monitoring, labels: Mapping[str, str]
) -> Watch:
    metric = monitoring.metric_of(finding) or NO_METRIC
    metric = metric.of_operation(labels.get(finding.split(".")[1], "")) or NO_METRIC
    title = next((each.title for each, _, _ in judged), "") or metric.title or finding
    measured = "not measured"
    if judged:
        measured = f"{finding_text(judged[0][1])}, {', '.join(dict.fromkeys(str(verdict) for *_, verdict in judged))}"
    promise = ", ".join(dict.fromkeys(each.promise for each, _, _ in judged))
    levels = _levels([objective for objective, _, _ in judged], given, monitoring)
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


def _given_level(threshold: WatchedThreshold, monitoring: Monitoring) -> Level:
    matched = LIMIT.match(threshold.fires or threshold.promise)
    assert matched is not None  # a threshold without a limit is refused when it is read
    relation, limit, unit = matched.groups()
    kept = KEPT_BY[relation] if threshold.fires else relation
    holds = Objective(threshold.metric, kept, float(limit), unit, source=threshold.source)
    level = _level(threshold.severity, holds, monitoring)
    minutes = threshold.minutes or level.minutes
    return replace(level, minutes=minutes, promised=False, scales=threshold.scales)


def _level(severity: SeverityName, holds: Objective, monitoring: Monitoring) -> Level:
    kind = monitoring.severities.critical if severity == CRITICAL else monitoring.severities.warning
    return Level(severity, holds, kind.minutes, kind.means)


def _levels(promised: Sequence[Objective], given: Sequence[Level], monitoring: Monitoring) -> list[Level]:
    """A level for each severity, the milder one first: those given, and for what is missing that of the promise.

    A promise is critical, and a warning comes before it by the margin. Where a critical level is given that is passed
    later, the promise itself is the warning. Of several promises it is the one that is broken first.
    """
    levels: dict[SeverityName, Level] = {each.severity: each for each in given}
    first = sorted(promised, key=lambda each: -each.limit if _is_least(each) else each.limit)
    for promise in first[:1]:
        if any(_is_passed(promise, each.holds) == _is_passed(each.holds, promise) for each in given):
            continue  # that limit has a severity already
        if CRITICAL not in levels:
            levels[CRITICAL] = _level(CRITICAL, promise, monitoring)
        elif WARNING not in levels and _is_passed(promise, levels[CRITICAL].holds):
            levels[WARNING] = _level(WARNING, promise, monitoring)
    critical = levels.get(CRITICAL)
    if critical and critical.promised and WARNING not in levels:
        holds = _with_margin(critical.holds, monitoring.margin / 100)
        if holds != critical.holds:
            levels[WARNING] = _level(WARNING, holds, monitoring)
    return [levels[each] for each in (WARNING, CRITICAL) if each in levels]


def _is_passed(one: Objective, other: Objective) -> bool:
    """Whether a limit is passed before another, which is in a unit of the same kind."""
    try:
        limit = converted(one.limit, one.unit, other.unit)
    except ValueError:
        return False  # a rate is not passed before the first event is
    return limit > other.limit if _is_least(one) else limit < other.limit


def _with_margin(objective: Objective, margin: float) -> Objective:
    """The promise with a share of it to spare: of what may be used, or of what a share may lack to all of it."""
    limit = objective.limit
    if objective.relation.startswith("<"):
        limit *= 1 - margin
    elif objective.relation.startswith(">"):
        limit = 100 - (100 - limit) * (1 - margin) if objective.unit == "%" else limit * (1 + margin)
    source = f"{margin:.0%} before {objective.promise}{f', {objective.source}' if objective.source else ''}"
    return objective if limit == objective.limit else replace(objective, limit=float(f"{limit:.12g}"), source=source)
