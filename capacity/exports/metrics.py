"""Where a finding is seen in production: PromQL with its exporter, series of CloudWatch, or why it is not seen."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from capacity.units import read_unit
from capacity.validation.model import Strict

PARAMETER = re.compile(r"\$\{(\w+)\}")
OPERATION = "$operation"  # in an expression: the labels of the operation whose finding it shows
LABELS = "$labels"  # in an expression: those of the exporter
EVENTS_WITHIN_MIN = 10  # an event is seen for so long, whatever scrapes fail
SEEN_WITHIN = "10m"  # a program that starts again has no series until the first operation
Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]*$", examples=["waiting"])]
MetricUnit = Annotated[str, Field(description="The unit of its value, as in `objectives.yaml`; a `share` is 0 to 1.")]


def converted(limit: float, unit: str, into: str) -> float:
    """A limit in another unit of the same kind; ValueError where they measure different things.

    Units are written as in objectives.yaml; a `share` is 0 to 1. None of something is none of it in every minute too.
    """
    one, other = (read_unit("" if word == "share" else word) for word in (unit, into))
    if limit == 0:
        return 0.0
    if one.powers != other.powers:
        raise ValueError(f"a limit in {unit or 'no unit'!r} cannot be given in {into or 'no unit'!r}")
    return limit * one.factor / other.factor


SeverityName = Literal["warning", "critical"]
WARNING: SeverityName = "warning"
CRITICAL: SeverityName = "critical"


class Exporter(Strict):
    """Whose metrics are read: where it is described, which of its series are the system's, and which show that it is
    there.
    """

    page: Text = Field(description="The page that describes it.")
    labels: str = Field(
        "",
        examples=['instance=~"$redis_host(:[0-9]+)?"'],
        description="The labels that select the system's series; they stand where an expression says `$labels`.",
    )
    up: str = Field("", description="The series that is 1 while it reaches its server.", examples=["pg_up{$labels}"])
    seen: str = Field("", description="In its place: a series that is there once there was anything to measure.")
    severity: SeverityName = Field("critical", description="How severe it is where nothing comes from it.")

    @model_validator(mode="after")
    def _known_to_be_there(self) -> Self:
        if bool(self.up) == bool(self.seen):
            raise ValueError("an exporter has either `up` or `seen`, by which is known that its alerts can fire")
        return self

    @property
    def missing(self) -> str:
        """What has a value while nothing comes from it."""
        return f"absent({self.up} == 1)" if self.up else f"absent(present_over_time({self.seen}[{SEEN_WITHIN}]))"


class PrometheusQuery(Strict):
    """What Prometheus shows: a PromQL expression or a counter of single events, its unit, and whose metrics it reads.

    In both `$labels` are those of the exporter, and `$operation` the method and path of the operation. A label that
    names what the run does not know (`$postgres_host`, `$database`, `$redis_host`, `$queue`, `$gateway_host`) is left
    out.
    """

    expression: str = Field("", description="The PromQL; its value has no labels.")
    events: str = Field(
        "",
        examples=['redis_errors_total{err="OOM", $labels}'],
        description="In its place: a counter of single events, which may begin to exist with the first.",
    )
    unit: MetricUnit
    exporter: Text = Field(description="Whose metric it is, by its name under `exporters`.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.expression) == bool(self.events):
            raise ValueError("a query has either `expression` or `events`")
        return self

    def promql(self, exporter: Exporter) -> str:
        """The expression with the labels of its exporter.

        Events are those of the last minutes, or so many a minute. Of a counter that was not there before them, while
        its target answered, all that it has counted is new: `increase` would leave out what it began with.
        """
        text = self.expression
        if self.events:
            counter, within, before = self.events, f"[{EVENTS_WITHIN_MIN}m]", f"offset {EVENTS_WITHIN_MIN}m"
            new = f"(max_over_time({counter}{within}) unless {counter} {before})"
            new += f" and on (job, instance) (up {before} == 1)"
            text = f"sum({new} or increase({counter}{within})) or vector(0)"
            if self.unit.endswith("/min"):
                text = f"({text}) / {EVENTS_WITHIN_MIN}"
        return text.replace(LABELS, exporter.labels)


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
    without_data: Literal["missing", "notBreaching"] = Field(
        "missing", description="What an alarm makes of a minute without a value; `notBreaching` where that is ordinary."
    )

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
    action: str = Field("", description="What to do where its limit is passed.")
    no_alert: str = Field("", description="Why it is drawn, and a promise on it raises no alert.")
    told_by: str = Field("", description="The metric whose alert tells of it too, so that it has none beside that.")
    unseen: str = Field("", description="Why there is no metric of it.")
    prometheus: PrometheusQuery | None = Field(None, description="Where Prometheus sees it.")
    cloudwatch: Metrics | None = Field(None, description="Where CloudWatch sees it.")

    def of_operation(self, labels: str) -> "Metric | None":
        """The metric of an operation with these labels; None where it needs them and there are none."""
        seen = self.prometheus
        if seen is None or OPERATION not in seen.expression + seen.events:
            return self
        if not labels:
            return None
        texts = {name: getattr(seen, name).replace(OPERATION, labels) for name in ("expression", "events")}
        return self.model_copy(update={"prometheus": seen.model_copy(update=texts)})

    @model_validator(mode="after")
    def _seen(self) -> Self:
        if bool(self.unseen) == bool(self.prometheus or self.cloudwatch):
            raise ValueError("a metric has either `prometheus` or `cloudwatch`, or says in `unseen` why not")
        return self
