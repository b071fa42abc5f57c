"""How promises are watched in production, read from `data/monitoring.yaml` and validated."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from capacity.exports.metrics import CRITICAL, PARAMETER, Exporter, Identifier, Metric, Metrics, SeverityName, Text
from capacity.objectives import LIMIT
from capacity.validation.model import Place, Strict, refuse, unknown_names
from capacity.yaml_file import read_model

Name = Annotated[str, Field(pattern=r"^[a-z]\w*(\.(\w+|\*))+$", examples=["redis.response_p99"])]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$", examples=["CacheCluster"])]
Source = Annotated[str, Field(min_length=1, description="Who says so.")]


class WatchedThreshold(Strict):
    """A threshold of production: the limit that `fires`, or the one that is held as a `promise`.

    It stands in the place of the one that follows from what is promised of that metric.
    """

    metric: Name = Field(description="The metric, by its name under `metrics`.")
    severity: SeverityName = Field(description="How severe it is.")
    minutes: PositiveInt | None = Field(None, description="For how many minutes, where not as long as its severity.")
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


class Severities(Strict):
    """The two severities that there are."""

    warning: Severity = Field(description="Before a promise is broken.")
    critical: Severity = Field(description="A promise is broken.")

    def of(self, name: SeverityName) -> Severity:
        """The one of that name."""
        return self.critical if name == CRITICAL else self.warning


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

    exporters: dict[Text, Exporter] = Field(description="The exporters whose metrics are read, by name.")
    parameters: dict[ParameterName, Parameter] = Field(description="The parameters of the CloudFormation template.")
    severities: Severities = Field(description="How long what lasts, and what it means.")
    margin: Annotated[float, Field(ge=0, lt=100)] = Field(
        20.0, description="How far before a promised limit a warning comes, in % of it; 0: no warning follows from it."
    )
    scaling: dict[Identifier, Scaling] = Field(default_factory=dict, description="What is scaled by a watch.")
    watches: list[WatchedThreshold] = Field(description="The thresholds of production.")
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
        yield from unknown_names("metric", self.values_of("told_by"), self.metrics)
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
