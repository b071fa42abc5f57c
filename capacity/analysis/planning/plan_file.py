"""The plan's own data: projected loads, growth, thresholds and parts."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from capacity.analysis.planning.loads import MOST, MOST_MONTHS, Growth, Headroom, Load, Positive, Share, Source, Text
from capacity.validation.model import Strict, given_twice, refuse, unknown_names
from capacity.yaml_file import read_model

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", examples=["redis_memory"])]
Title = Annotated[str, Field(min_length=1, description="What it is, in words.")]
OwnName = Annotated[Name, Field(description="Its name in findings, in small letters and digits.")]
OneLoad = Annotated[Name, Field(description="The load, by its name under `loads`, that it grows with.")]
Column = Literal[
    "iops", "storage_gib", "memory_gib", "max_connections", "pooler_clients", "network_gbps", "sustained_vcpu"
]
Resource = Literal["cpu", "memory_gib", "connections", "pooler_clients", "network_gbps", "iops", "storage_gib"]
QUARTER = 3  # months
MOST_PIECES = 64


class Use(Strict):
    """One term of a use: a finding (or a constant) times `scale`, times the load where one is named."""

    finding: str = Field("", description="A finding, by its name.")
    constant: Positive | None = Field(None, description="A number in place of a finding.")
    load: Name | None = Field(None, description="The load, by its name under `loads`, that it is multiplied by.")
    scale: Positive = Field(1.0, description="What it is multiplied by, to come to the unit that is wanted.")
    pieces: int | None = Field(
        None, ge=1, le=MOST_PIECES, description="Into how many equal pieces it can be cut: a queue of BullMQ is 1."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.finding) == (self.constant is not None):
            raise ValueError("a term has either a finding or a constant")
        return self


class Limit(Strict):
    """What a use may reach: a value, a finding (or at least another finding), or a column of the size that runs."""

    why: Text = Field(description="Why it is the limit.")
    value: Positive | None = Field(None, description="A number, in the unit of the resource.")
    finding: str = Field("", description="A finding, by its name.")
    at_least: str = Field("", description="A finding that the limit is not below.")
    part: Name | None = Field(None, description="A part, by its name under `parts`, whose size has the limit.")
    column: Column | None = Field(None, description="The column of the catalogue that is the limit of that size.")
    scale: Positive = Field(1.0, description="What the column is multiplied by, to come to the resource's unit.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.part is None) != (self.column is None):
            raise ValueError("a part and a column are given together")
        if sum((self.value is not None, bool(self.finding), self.part is not None)) != 1:
            raise ValueError("a limit is one of a value, a finding, and a part with a column")
        return self


class Trigger(Strict):
    """What is done when a use passes `at`."""

    title: Text = Field(description="What is done.")
    at: Positive = Field(description="The use at which it is done, in the unit of the resource.")
    source: Source


class ResourceEntry(Strict):
    """What grows until its limit; `of` is the part that it belongs to, by its name in breaking_point.yaml."""

    name: OwnName
    title: Title
    unit: str = Field(description="The unit of its use and limit.")
    use: list[Use] = Field(min_length=1, description="What its use is the sum of.")
    limit: Limit = Field(description="What its use may reach.")
    of: str = Field("", description="The part that it belongs to, by its name in `breaking_point.yaml`.")
    triggers: list[Trigger] = Field(default_factory=list, description="What is done on the way to the limit.")

    @property
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        return [*(use.finding for use in self.use), self.limit.finding, self.limit.at_least]


class Signal(Strict):
    """What does not grow in proportion, and the threshold on it; `measured` is the load it was measured at."""

    name: OwnName
    title: Title
    finding: Text = Field(description="The finding, by its name.")
    above: Positive = Field(description="The threshold, in the unit of the finding.")
    unit: str = Field(description="The unit of the threshold.")
    load: OneLoad
    does: Text = Field(description="What is done then.")
    source: Source
    measured: str = Field("", description="The finding that is the load it was measured at.")


class MarginEntry(Strict):
    """A row of the comparison: a finding over a projected load, or a limit over a finding."""

    name: OwnName
    title: Title
    load: OneLoad
    source: Source
    finding: str = Field("", description="A finding, by its name.")
    limit: Positive | None = Field(None, description="The limit, in the unit of the finding.")
    measured: str = Field("", description="The finding that is the load it was measured at.")
    grows: bool = Field(False, description="Whether the finding grows with the load.")


class ServiceFindings(Strict):
    """Findings in ms that give a mean: the mean itself, or three percentiles."""

    mean: str = Field("", description="The finding that is the mean, in ms.")
    p50: str = Field("", description="The finding that is the median, in ms.")
    p95: str = Field("", description="The finding that is the 95th percentile, in ms.")
    p99: str = Field("", description="The finding that is the 99th percentile, in ms.")


class Wait(Strict):
    """How many servers keep `probability` of waits within `wait_ms`."""

    name: OwnName
    title: Title
    rate: Use = Field(description="How many come a second.")
    service_ms: ServiceFindings = Field(description="How long a server takes for one, in ms.")
    wait_ms: Positive = Field(description="How long one may wait, in ms.")
    probability: Share = Field(gt=0, description="The share that waits no longer, 0 to 1.")
    source: Source

    @property
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        times = self.service_ms
        return [self.rate.finding, times.mean, times.p50, times.p95, times.p99]


class PartEntry(Strict):
    """A part of the system, the service it runs on, and what it uses by resource."""

    name: OwnName
    title: Title
    service: Name = Field(description="The service it runs on, as the catalogue has it.")
    current: str = Field(description="The size that runs now; empty where it is not known.")
    uses: dict[Resource, list[Use]] = Field(
        description="What it uses of a size: cores, GiB, connections, Gbit/s, operations a second."
    )
    volume: Name | None = Field(None, description="The service of the volume that is chosen with its size.")
    current_volume: str = Field("", description="The volume that it has now; empty where it is not known.")
    counted: bool = Field(True, description="Whether its cost is in the total.")
    servers: int = Field(1, ge=1, le=64, description="Among how many servers it can be spread.")
    threads: Positive | None = Field(None, description="How many cores one server can use.")

    @property
    def terms(self) -> list[Use]:
        """All terms of its uses."""
        return [use for uses in self.uses.values() for use in uses]

    @property
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        return [use.finding for use in self.terms]

    @model_validator(mode="after")
    def _volume_is_of_one(self) -> Self:
        if self.current_volume and not self.volume:
            raise ValueError("a current_volume is of the `volume` that is given beside it")
        return self


class PlanFile(Strict):
    """What the capacity plan reckons with beside the findings of a run."""

    months: PositiveInt = Field(le=MOST_MONTHS, description="How many months are planned.")
    region: Text = Field(description="The region of the catalogue whose sizes are chosen from.")
    headroom: Headroom = Field(description="The share of a size that stays free.")
    growth: Growth = Field(description="The monthly rate of growth.")
    loads: dict[Name, Load] = Field(description="The projected peaks, by name.")
    resources: list[ResourceEntry] = Field(description="What grows until its limit.")
    signals: list[Signal] = Field(description="Thresholds on what does not grow in proportion.")
    margins: list[MarginEntry] = Field(description="What was measured over what is projected or promised.")
    waits: list[Wait] = Field(description="How many servers keep waiting within an objective.")
    parts: list[PartEntry] = Field(description="What runs where, and the size that runs now.")
    example: bool = Field(False, description="Whether its numbers are an example: nothing is planned by them then.")
    change_cost: float = Field(
        0.0, ge=0, le=MOST, description="What a move to another size costs, in the prices' currency."
    )

    @property
    def quarters(self) -> int:
        """How many quarters are planned, the last one possibly not whole."""
        return -(-self.months // QUARTER)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        resources, parts = ([each.name for each in entries] for entries in (self.resources, self.parts))
        refuse(
            [
                *unknown_names("load", self.values_of("load"), self.loads),
                *unknown_names("part", self.values_of("part"), parts),
                *given_twice("resources", resources),
                *given_twice("parts", parts),
            ]
        )
        return self


def read_plan(path: Path) -> PlanFile:
    """The plan of a YAML file; CapacityError with the first problem where it is none."""
    return read_model(path, PlanFile, "the plan")
