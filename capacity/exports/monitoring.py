"""How a finding is watched in production, read from `data/monitoring.yaml` and validated."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from capacity.objectives import LIMIT
from capacity.units import read_unit
from capacity.validation.model import Place, Strict, refuse, unknown_names
from capacity.yaml_file import read_model

PARAMETER = re.compile(r"\$\{(\w+)\}")
Text = Annotated[str, Field(min_length=1)]
OPERATION = "$operation"  # in an expression: the labels of the operation whose finding it shows
Name = Annotated[str, Field(pattern=r"^[a-z]\w*(\.(\w+|\*))+$", examples=["redis.response_p99"])]
Identifier = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]*$", examples=["waiting"])]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$", examples=["CacheCluster"])]
Source = Annotated[str, Field(min_length=1, description="Who says so.")]
MetricUnit = Annotated[str, Field(description="The unit of its value, as in `objectives.yaml`; a `share` is 0 to 1.")]


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

    expression: Text = Field(description="The PromQL.")
    unit: MetricUnit
    exporter: Text = Field(description="Whose metric it is, by its name under `exporters`.")


class Series(Strict):
    """A CloudWatch metric with its dimensions and statistic."""

    namespace: Text = Field(description="Its namespace.", examples=["AWS/RDS"])
    metric: Text = Field(description="Its name.", examples=["ReadLatency"])
    dimensions: dict[Text, Text] = Field(description="Its dimensions; `${Name}` is one of `parameters`.")
    statistic: str = Field(
        pattern=r"^(Average|Maximum|Minimum|Sum|SampleCount|p\d+(\.\d+)?)$",
        examples=["Average", "p99"],
        description="Average, Maximum, Minimum, Sum, SampleCount or a percentile.",
    )


class Metrics(Strict):
    """CloudWatch metrics by the name that `expression` has for them; a single one needs no expression."""

    series: dict[Identifier, Series] = Field(min_length=1, description="Metrics by a name of their own.")
    expression: str = Field("", description="What makes one of several, in CloudWatch's words.")
    unit: MetricUnit

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

    title: str = Field("", description="What it is, in words: only of a metric that no finding has.")
    note: str = Field("", description="In what it differs from the finding.")
    no_alert: str = Field("", description="Why it is drawn, and a promise on it raises no alert.")
    unseen: str = Field("", description="Why there is no metric of it.")
    prometheus: PrometheusQuery | None = Field(None, description="Where Prometheus sees it.")
    cloudwatch: Metrics | None = Field(None, description="Where CloudWatch sees it.")

    def of_operation(self, labels: str) -> "Metric | None":
        """The metric of an operation with these labels; None where it needs them and there are none."""
        if self.prometheus is None or OPERATION not in self.prometheus.expression:
            return self
        if not labels:
            return None
        expression = self.prometheus.expression.replace(OPERATION, labels)
        return self.model_copy(update={"prometheus": self.prometheus.model_copy(update={"expression": expression})})

    @model_validator(mode="after")
    def _seen(self) -> Self:
        if bool(self.unseen) == bool(self.prometheus or self.cloudwatch):
            raise ValueError("a metric has either `prometheus` or `cloudwatch`, or says in `unseen` why not")
        return self


class WatchedThreshold(Strict):
    """A threshold beside the objectives: the limit that `fires`, or the one that is held as a `promise`."""

    metric: Name = Field(description="The metric, by its name under `metrics`.")
    severity: Text = Field(description="How severe it is, by its name under `severities`.")
    source: Source
    fires: str = Field("", description="The limit that fires.", examples=["> 500 ms"])
    promise: str = Field("", description="The limit that is held, in place of `fires`.", examples=["< 300 ms"])
    scales: str = Field("", description="What is scaled by it, by its name under `scaling`.")

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

    minutes: PositiveInt = Field(description="For how many minutes a threshold is passed before it counts.")
    means: Text = Field(description="What it means, in words.")


class Parameter(Strict):
    """A parameter of the CloudFormation template; a text without a default may be left empty."""

    description: Text = Field(description="What it is.")
    type: Literal["String", "Number"] = Field("String", description="Its type.")
    default: str | int = Field("", description="What it is where nothing is given.")


class Scaling(Strict):
    """What is scaled by a watch: the resource, its bounds (names of parameters), how much is added, and the pause."""

    resource: Text = Field(description="What is scaled; `${Name}` is one of `parameters`.")
    namespace: Text = Field(description="The service's namespace.", examples=["ecs"])
    dimension: Text = Field(description="What of it is scaled.", examples=["ecs:service:DesiredCount"])
    least: ParameterName = Field(description="The parameter that is the fewest.")
    most: ParameterName = Field(description="The parameter that is the most.")
    needs: ParameterName = Field(description="The parameter without which nothing is scaled.")
    add: PositiveInt = Field(description="How many are added at a time.")
    cooldown_s: NonNegativeInt = Field(description="The pause until the next, in seconds.")
    source: Source

    @property
    def parameters(self) -> set[str]:
        """The parameters of the template that it names."""
        return {self.least, self.most, self.needs, *PARAMETER.findall(self.resource)}


class Review(Strict):
    """When the capacity is looked at again: so long after the measurement, and `every` so many months from then on."""

    title: Text = Field(description="What is looked at.")
    source: Source
    weeks: NonNegativeInt = Field(0, description="How many weeks after the measurement.")
    months: NonNegativeInt = Field(0, description="How many months after the measurement, beside the weeks.")
    every: NonNegativeInt = Field(0, description="How many months apart from then on; 0 is once.")


class Monitoring(Strict):
    """How promises are watched in production: metrics by finding, and thresholds beside the objectives."""

    exporters: dict[Text, Text] = Field(description="The pages of the exporters whose metrics are read, by name.")
    parameters: dict[ParameterName, Parameter] = Field(description="The parameters of the CloudFormation template.")
    severities: dict[Identifier, Severity] = Field(description="How severe it is; `objective` is that of promises.")
    scaling: dict[Identifier, Scaling] = Field(default_factory=dict, description="What is scaled by a watch.")
    watches: list[WatchedThreshold] = Field(description="The thresholds beside the objectives.")
    reviews: list[Review] = Field(default_factory=list, description="When the capacity is looked at again.")
    metrics: dict[Name, Metric] = Field(description="Where a finding is seen, by its name.")

    def metric_of(self, finding: str) -> Metric | None:
        """Where a finding is seen: by its name, else by the first pattern that has it."""
        patterns = (metric for name, metric in self.metrics.items() if fnmatch(finding, name))
        return self.metrics.get(finding) or next(patterns, None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(self._wrong())
        return self

    def _wrong(self) -> Iterator[tuple[Place, str]]:
        uses: list[tuple[Place, Metrics | Scaling]] = [(("scaling", name), each) for name, each in self.scaling.items()]
        uses += [(("metrics", name, "cloudwatch"), m.cloudwatch) for name, m in self.metrics.items() if m.cloudwatch]
        for place, each in uses:
            named = ((place, name) for name in sorted(each.parameters))
            yield from unknown_names("parameter", named, self.parameters)
        yield from unknown_names("exporter", self.values_of("exporter"), self.exporters)
        watched = [pair for pair in self.values_of("metric") if pair[0][0] == "watches" and not self.metric_of(pair[1])]
        yield from unknown_names("metric", watched, self.metrics)
        severities = [(("severities",), "objective"), *self.values_of("severity")]
        yield from unknown_names("severity", severities, self.severities)
        yield from unknown_names("scaling", self.values_of("scales"), self.scaling)
        pairs = [(watch.metric, watch.severity) for watch in self.watches]
        for number, (metric, severity) in enumerate(pairs):
            if (metric, severity) in pairs[:number]:
                yield ("watches", number), f"{metric} has more than one watch of the severity {severity!r}; keep one"


def named_parameters(parts: Iterable[Metrics | Scaling]) -> set[str]:
    """The parameters of the template that any of them names."""
    return {name for each in parts for name in each.parameters}


def read_monitoring(path: Path) -> Monitoring:
    """The contents of the YAML file `path`; CapacityError is one sentence naming the key and the value."""
    return read_model(path, Monitoring, "the file of metrics")
