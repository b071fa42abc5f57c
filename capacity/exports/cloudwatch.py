"""CloudWatch's own formats: the properties of an alarm, and the body of a dashboard."""

import json
from collections.abc import Sequence
from typing import Any

from capacity.exports.levels import AlertLevel
from capacity.exports.metrics import PARAMETER, Series
from capacity.exports.watches import Watch

PERIOD_S = 60
OPERATORS = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}
DESCRIPTION_LENGTH = 1024
COLUMNS, WIDTH, HEIGHT = 2, 12, 6


def substituted(text: str) -> Any:
    """A text with parameters as CloudFormation puts them in: as a reference where it is nothing else."""
    whole = PARAMETER.fullmatch(text)
    if whole:
        return {"Ref": whole.group(1)}
    return {"Fn::Sub": text} if PARAMETER.search(text) else text


def literal(text: str) -> str:
    """Text in which CloudFormation substitutes nothing."""
    return text.replace("${", "${!")


def alarm(watch: Watch, level: AlertLevel) -> dict[str, Any]:
    """The properties of a level's alarm, without what it starts."""
    seen = watch.metric.cloudwatch
    assert seen is not None
    minutes = 1 if level.is_of_events else level.minutes
    action = f" {watch.metric.action[0].upper()}{watch.metric.action[1:]}." if watch.metric.action else ""
    said = {
        "AlarmName": {"Fn::Sub": f"${{AWS::StackName}}-{alarm_name(watch, level)}"},
        "AlarmDescription": f"{watch.title} is {level.fires}.{action} {watch.description(level)}"[:DESCRIPTION_LENGTH],
        "ComparisonOperator": OPERATORS[level.broken_by],
        "Threshold": level.threshold(seen),
        "EvaluationPeriods": minutes,
        "DatapointsToAlarm": minutes,
        "TreatMissingData": seen.without_data,
    }
    if seen.expression:
        combined = {"Id": "watched", "Expression": substituted(seen.expression), "ReturnData": True}
        return {**said, "Metrics": [combined, *(_query(name, each) for name, each in seen.series.items())]}
    ((_, only),) = seen.series.items()
    statistic = {"Statistic": only.statistic}
    if only.statistic.startswith("p"):  # a percentile of a few values is none
        statistic = {"ExtendedStatistic": only.statistic, "EvaluateLowSampleCountPercentile": "ignore"}
    return {**said, **_metric(only), **statistic, "Period": PERIOD_S}


def alarm_name(watch: Watch, level: AlertLevel) -> str:
    """As `DatabaseResponseP99Critical`."""
    return f"{watch.name}{level.severity.capitalize()}"


def _metric(series: Series) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": substituted(value)} for name, value in series.dimensions.items()]
    return {"Namespace": substituted(series.namespace), "MetricName": series.metric, "Dimensions": dimensions}


def _query(name: str, series: Series) -> dict[str, Any]:
    stat = {"Metric": _metric(series), "Period": PERIOD_S, "Stat": series.statistic}
    return {"Id": name, "MetricStat": stat, "ReturnData": False}


def dashboard_body(watches: Sequence[Watch]) -> str:
    """The dashboard as text for `Fn::Sub`: a widget a finding, with its limits as lines."""
    widgets = [_widget(watch, place) for place, watch in enumerate(watches)]
    return json.dumps({"widgets": widgets}, ensure_ascii=False, separators=(",", ":"))


def _widget(watch: Watch, place: int) -> dict[str, Any]:
    seen = watch.metric.cloudwatch
    assert seen is not None
    lines = [
        {"label": literal(f"{each.severity}: {each.fires}"), "value": each.threshold(seen)} for each in watch.levels
    ]
    metrics = [_line(name, each, hidden=bool(seen.expression)) for name, each in seen.series.items()]
    if seen.expression:
        metrics.append([{"id": "watched", "expression": seen.expression, "label": literal(watch.title)}])
    properties = {
        "title": literal(f"{watch.section}: {watch.title}"),
        "region": "${AWS::Region}",
        "view": "timeSeries",
        "period": PERIOD_S,
        "metrics": metrics,
        "annotations": {"horizontal": lines},
        "yAxis": {"left": {"label": seen.unit or "count", "showUnits": False, "min": 0}},
    }
    x, y = place % COLUMNS * WIDTH, place // COLUMNS * HEIGHT
    return {"type": "metric", "x": x, "y": y, "width": WIDTH, "height": HEIGHT, "properties": properties}


def _line(name: str, series: Series, *, hidden: bool) -> list[Any]:
    dimensions = [part for pair in series.dimensions.items() for part in pair]
    return [series.namespace, series.metric, *dimensions, {"id": name, "stat": series.statistic, "visible": not hidden}]
