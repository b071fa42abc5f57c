"""The limits of what is watched: a promise is critical, and a warning comes before it; others can be given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from capacity.errors import CapacityError
from capacity.exports.metrics import CRITICAL, WARNING, Metrics, PrometheusQuery, SeverityName, converted
from capacity.exports.monitoring import Monitoring, WatchedThreshold
from capacity.findings import Objective
from capacity.objectives import LIMIT

BROKEN_BY = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!="}
KEPT_BY = {broken: kept for kept, broken in BROKEN_BY.items()}
REACHED = {">=": "at or above", ">": "above", "<=": "at or below", "<": "below", "!=": "not"}


@dataclass(frozen=True, slots=True)
class AlertLevel:
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


def is_least(objective: Objective) -> bool:
    """Whether a limit is the least that is right, and not the most."""
    return objective.relation.startswith(">")


def given_level(threshold: WatchedThreshold, monitoring: Monitoring) -> AlertLevel:
    """The level of a threshold of production."""
    matched = LIMIT.match(threshold.fires or threshold.promise)
    assert matched is not None  # a threshold without a limit is refused when it is read
    relation, limit, unit = matched.groups()
    kept = KEPT_BY[relation] if threshold.fires else relation
    holds = Objective(threshold.metric, kept, float(limit), unit, source=threshold.source)
    level = _level(threshold.severity, holds, monitoring)
    minutes = threshold.minutes or level.minutes
    return replace(level, minutes=minutes, promised=False, scales=threshold.scales)


def _level(severity: SeverityName, holds: Objective, monitoring: Monitoring) -> AlertLevel:
    kind = monitoring.severities.of(severity)
    return AlertLevel(severity, holds, kind.minutes, kind.means)


def levels_of(promised: Sequence[Objective], given: Sequence[AlertLevel], monitoring: Monitoring) -> list[AlertLevel]:
    """A level for each severity, the milder one first: those given, and for what is missing that of the promise.

    A promise is critical, and a warning comes before it by the margin. Where a critical level is given that is passed
    later, the promise itself is the warning. Of several promises it is the one that is broken first.
    """
    levels: dict[SeverityName, AlertLevel] = {each.severity: each for each in given}
    first = sorted(promised, key=lambda each: -each.limit if is_least(each) else each.limit)
    for promise in first[:1]:
        if any(_is_same(promise, each.holds) for each in given):
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


def _is_same(one: Objective, other: Objective) -> bool:
    try:
        return converted(one.limit, one.unit, other.unit) == other.limit
    except ValueError:
        return False


def _is_passed(one: Objective, other: Objective) -> bool:
    """Whether a limit is passed before another; of limits of another kind it is so, and its threshold then says so."""
    try:
        limit = converted(one.limit, one.unit, other.unit)
    except ValueError:
        return True
    return limit > other.limit if is_least(one) else limit < other.limit


def _with_margin(objective: Objective, margin: float) -> Objective:
    """The promise with a share of it to spare: of what may be used, or of what a share may lack to all of it."""
    limit = objective.limit
    if objective.relation.startswith("<"):
        limit *= 1 - margin
    elif objective.relation.startswith(">"):
        limit = 100 - (100 - limit) * (1 - margin) if objective.unit == "%" else limit * (1 + margin)
    promised = f"{objective.limit:,g} {objective.unit}".rstrip()
    source = f"{100 * margin:g} % before {promised}{f', {objective.source}' if objective.source else ''}"
    return objective if limit == objective.limit else replace(objective, limit=float(f"{limit:.12g}"), source=source)
