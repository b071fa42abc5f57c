"""How a finding is watched in production, read from `data/monitoring.yaml` and validated."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from capacity.objectives import LIMIT
from capacity.operation import Strict
from capacity.units import read_unit
from capacity.yaml_file import read_model, refuse_unknown

PARAMETER = re.compile(r"\$\{(\w+)\}")
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z]\w*(\.\w+)+$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]*$")]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]


def converted(limit: float, unit: str, into: str) -> float:
    """A limit in another unit of the same kind; ValueError where they measure different things.

    Units are written as in objectives.yaml; a `share` is 0 to 1.
    """
    one, other = (read_unit("" if word == "share" else word) for word in (unit, into))
    if one.powers != other.powers:
        raise ValueError(f"a limit in {unit or 'no unit'!r} cannot be given in {into or 'no unit'!r}")
    return limit * one.factor / other.factor


class PrometheusQuery(Strict):
    """A PromQL expression, the unit of its value and whose metrics it reads."""

    expression: Text
    unit: str
    exporter: Text


class Series(Strict):
    """A CloudWatch metric with its dimensions and statistic."""

    namespace: Text
    metric: Text
    dimensions: dict[Text, Text]
    statistic: Annotated[str, Field(pattern=r"^(Average|Maximum|Minimum|Sum|SampleCount|p\d+(\.\d+)?)$")]


class Metrics(Strict):
    """CloudWatch metrics by the name that `expression` has for them; a single one needs no expression."""

    series: Annotated[dict[Identifier, Series], Field(min_length=1)]
    expression: str = ""
    unit: str

    @property
    def parameters(self) -> set[str]:
        """The parameters of the template that it names."""
        texts = [self.expression]
        for each in self.series.values():
            texts += [each.namespace, *each.dimensions.values()]
        return {name for text in texts for name in PARAMETER.findall(text)}

    @model_validator(mode="after")
    def _combined(self) -> Self:
        if len(self.series) > 1 and not self.expression:
            raise ValueError(f"the series {', '.join(self.series)} need an expression that makes them one")
        return self


class Metric(Strict):
    """Where a finding is seen: in Prometheus, in CloudWatch, in both, or nowhere, and then why."""

    title: str = ""
    note: str = ""
    no_alert: str = ""
    unseen: str = ""
    prometheus: PrometheusQuery | None = None
    cloudwatch: Metrics | None = None

    @model_validator(mode="after")
    def _seen(self) -> Self:
        if bool(self.unseen) == bool(self.prometheus or self.cloudwatch):
            raise ValueError("a metric has either `prometheus` or `cloudwatch`, or says in `unseen` why not")
        return self


class WatchedThreshold(Strict):
    """A threshold beside the objectives: the limit that `fires`, or the one that is held as a `promise`."""

    metric: Name
    severity: Text
    source: Text
    fires: str = ""
    promise: str = ""
    scales: str = ""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if bool(self.fires) == bool(self.promise):
            raise ValueError(f"a watch on {self.metric} has either `fires` or `promise`")
        matched = LIMIT.match(self.fires or self.promise)
        if matched is None or (self.fires and matched.group(1) == "=="):
            raise ValueError(f"the limit {self.fires or self.promise!r} of {self.metric} is not one as '> 500 ms'")
        return self


class Severity(Strict):
    """How many minutes a threshold is passed before it counts, and what it means."""

    minutes: PositiveInt
    means: Text


class Parameter(Strict):
    """A parameter of the CloudFormation template; a text without a default may be left empty."""

    description: Text
    type: Literal["String", "Number"] = "String"
    default: str | int = ""


class Scaling(Strict):
    """What is scaled by a watch: the resource, its bounds (names of parameters), how much is added, and the pause."""

    resource: Text
    namespace: Text
    dimension: Text
    least: ParameterName
    most: ParameterName
    needs: ParameterName
    add: PositiveInt
    cooldown_s: NonNegativeInt
    source: Text

    @property
    def parameters(self) -> set[str]:
        """The parameters of the template that it names."""
        return {self.least, self.most, self.needs, *PARAMETER.findall(self.resource)}


class Review(Strict):
    """When the capacity is looked at again: so long after the measurement, and `every` so many months from then on."""

    title: Text
    source: Text
    weeks: NonNegativeInt = 0
    months: NonNegativeInt = 0
    every: NonNegativeInt = 0


class Monitoring(Strict):
    """Metrics by the finding that they show, the thresholds beside the objectives, and what both refer to."""

    exporters: dict[Text, Text]
    parameters: dict[ParameterName, Parameter]
    severities: dict[Identifier, Severity]
    scaling: dict[Identifier, Scaling] = Field(default_factory=dict)
    watches: list[WatchedThreshold]
    reviews: list[Review] = Field(default_factory=list)
    metrics: dict[Name, Metric]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen = [metric.cloudwatch for metric in self.metrics.values() if metric.cloudwatch]
        exporters = {metric.prometheus.exporter for metric in self.metrics.values() if metric.prometheus}
        refuse_unknown("parameter", named_parameters([*seen, *self.scaling.values()]), self.parameters)
        refuse_unknown("exporter", exporters, self.exporters)
        refuse_unknown("metric", (watch.metric for watch in self.watches), self.metrics)
        refuse_unknown("severity", ("objective", *(watch.severity for watch in self.watches)), self.severities)
        refuse_unknown("scaling", (watch.scales for watch in self.watches), self.scaling)
        pairs = [(watch.metric, watch.severity) for watch in self.watches]
        if repeated := [pair for pair in pairs if pairs.count(pair) > 1]:
            raise ValueError(f"{repeated[0][0]} has more than one watch of the severity {repeated[0][1]!r}")
        return self


def named_parameters(parts: Iterable[Metrics | Scaling]) -> set[str]:
    """The parameters of the template that any of them names."""
    return {name for each in parts for name in each.parameters}


def read_monitoring(path: Path) -> Monitoring:
    """The contents of the YAML file `path`; CapacityError is one sentence naming the key and the value."""
    return read_model(path, Monitoring, "the file of metrics")
