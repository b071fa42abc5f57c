"""CloudWatch's own formats: the properties of an alarm, and the body of a dashboard."""

import json
from collections.abc import Sequence
from typing import Any

from capacity.exports.monitoring import PARAMETER, Series
from capacity.exports.watches import Watch, by_finding

PERIOD_S = 60
OPERATORS = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
    "!=": "GreaterThanThreshold",  # of a count that is promised to be 0; CloudWatch has no operator for others
}
NAME_LENGTH, DESCRIPTION_LENGTH = 255, 1024
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


def alarm(watch: Watch) -> dict[str, Any]:
    """The properties of the watch's alarm, without what it starts."""
    seen = watch.metric.cloudwatch
    assert seen is not None
    said = {
        "AlarmName": {"Fn::Sub": f"${{AWS::StackName}}-{watch.name}"},
        "AlarmDescription": f"{watch.summary}. {watch.description}"[:DESCRIPTION_LENGTH],
        "ComparisonOperator": OPERATORS[watch.broken_by],
        "Threshold": watch.threshold(seen),
        "EvaluationPeriods": watch.minutes,
        "TreatMissingData": "notBreaching",
    }
    if seen.expression:
        combined = {"Id": "watched", "Expression": substituted(seen.expression), "ReturnData": True}
        return {**said, "Metrics": [combined, *(_query(name, each) for name, each in seen.series.items())]}
    ((_, only),) = seen.series.items()
    statistic = {("ExtendedStatistic" if only.statistic.startswith("p") else "Statistic"): only.statistic}
    return {**said, **_metric(only), **statistic, "Period": PERIOD_S}


def _metric(series: Series) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": substituted(value)} for name, value in series.dimensions.items()]
    return {"Namespace": substituted(series.namespace), "MetricName": series.metric, "Dimensions": dimensions}


def _query(name: str, series: Series) -> dict[str, Any]:
    stat = {"Metric": _metric(series), "Period": PERIOD_S, "Stat": series.statistic}
    return {"Id": name, "MetricStat": stat, "ReturnData": False}


def dashboard_body(watches: Sequence[Watch]) -> str:
    """The dashboard as text for `Fn::Sub`: a widget a finding, with its limits as lines."""
    widgets = [_widget(group, place) for place, group in enumerate(by_finding(watches))]
    return json.dumps({"widgets": widgets}, ensure_ascii=False, separators=(",", ":"))


def _widget(group: Sequence[Watch], place: int) -> dict[str, Any]:
    seen = group[0].metric.cloudwatch
    assert seen is not None
    lines = [
        {"label": literal(f"{each.severity}: {each.objective.promise}"), "value": each.threshold(seen)}
        for each in group
    ]
    metrics = [_line(name, each, hidden=bool(seen.expression)) for name, each in seen.series.items()]
    if seen.expression:
        metrics.append([{"id": "watched", "expression": seen.expression, "label": literal(group[0].objective.title)}])
    properties = {
        "title": literal(f"{group[0].objective.section}: {group[0].objective.title}"),
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
