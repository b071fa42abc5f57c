"""The plan's own data: projected loads, growth, thresholds and parts."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from capacity.analysis.statistics.estimates import Estimate
from capacity.operation import Strict
from capacity.yaml_file import read_model, refuse_unknown

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
QUARTER = 3  # months


class Headroom(Strict):
    """The share of a size's capacity that stays free, and who says so."""

    value: Annotated[float, Field(ge=0, lt=1)]
    source: Text


class Ranged(Strict):
    """A number with its low and high end, and where they come from."""

    value: float
    low: float
    high: float
    source: Text

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"the value {self.value:g} is not between low {self.low:g} and high {self.high:g}")
        return self

    def over(self, base: float) -> Estimate:
        """It as a multiple of a base."""
        return Estimate(self.value / base, self.low / base, self.high / base, 0)


class Growth(Ranged):
    """The monthly rate."""

    low: Annotated[float, Field(gt=-1)]


class Load(Ranged):
    """A projected peak; as a multiple of what was `tested`, where that is given."""

    low: PositiveFloat
    unit: Text
    tested: PositiveFloat | None = None

    @property
    def factor(self) -> Estimate:
        """What a term is multiplied by: the load over what was tested where that is given, else as it is."""
        return self.over(self.tested or 1.0)


class Use(Strict):
    """One term of a use: a finding (or a constant) times `scale`, times the load where one is named."""

    finding: str = ""
    constant: PositiveFloat | None = None
    load: Name | None = None
    scale: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.finding) == (self.constant is not None):
            raise ValueError("a term has either a finding or a constant")
        return self


class Limit(Strict):
    """What a use may reach: a value, a finding (or at least another finding), or a column of the size that runs."""

    why: Text
    value: PositiveFloat | None = None
    finding: str = ""
    at_least: str = ""
    part: Name | None = None
    column: Literal["iops", "memory_gib", "max_connections", "sustained_vcpu"] | None = None
    scale: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.part is None) != (self.column is None):
            raise ValueError("a part and a column are given together")
        if sum((self.value is not None, bool(self.finding), self.part is not None)) != 1:
            raise ValueError("a limit is one of a value, a finding, and a part with a column")
        return self


class Trigger(Strict):
    """What is done when a use passes `at`."""

    title: Text
    at: PositiveFloat
    source: Text


class ResourceEntry(Strict):
    """What grows until its limit; `of` is the part that it belongs to, by its name in breaking_point.yaml."""

    name: Name
    title: Text
    unit: str
    use: Annotated[list[Use], Field(min_length=1)]
    limit: Limit
    of: str = ""
    triggers: list[Trigger] = Field(default_factory=list)

    @property
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        return [*(use.finding for use in self.use), self.limit.finding, self.limit.at_least]


class Signal(Strict):
    """What does not grow in proportion, and the threshold on it; `measured` is the load it was measured at."""

    name: Name
    title: Text
    finding: Text
    above: PositiveFloat
    unit: str
    load: Name
    does: Text
    source: Text
    measured: str = ""


class MarginEntry(Strict):
    """A row of the comparison: a finding over a projected load, or a limit over a finding."""

    name: Name
    title: Text
    load: Name
    source: Text
    finding: str = ""
    limit: PositiveFloat | None = None
    measured: str = ""
    grows: bool = False


class ServiceFindings(Strict):
    """Findings in ms that give a mean: the mean itself, or three percentiles."""

    mean: str = ""
    p50: str = ""
    p95: str = ""
    p99: str = ""


class Wait(Strict):
    """How many servers keep `probability` of waits within `wait_ms`."""

    name: Name
    title: Text
    rate: Use
    service_ms: ServiceFindings
    wait_ms: PositiveFloat
    probability: Annotated[float, Field(gt=0, lt=1)]
    source: Text

    @property
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        times = self.service_ms
        return [self.rate.finding, times.mean, times.p50, times.p95, times.p99]


class PartEntry(Strict):
    """A part of the system, the service it runs on, and what it uses by resource."""

    name: Name
    title: Text
    service: Name
    current: str
    uses: dict[Literal["cpu", "memory_gib", "connections", "iops"], list[Use]]
    counted: bool = True
    servers: Annotated[int, Field(ge=1, le=64)] = 1
    threads: PositiveFloat | None = None
    bound: Use | None = None

    @property
    def terms(self) -> list[Use]:
        """All terms of its uses, and its bound."""
        return [*(use for uses in self.uses.values() for use in uses), *([self.bound] if self.bound else [])]

    @property
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        return [use.finding for use in self.terms]


class PlanFile(Strict):
    """The whole file; see its own comments for the words."""

    months: PositiveInt
    region: Text
    headroom: Headroom
    growth: Growth
    loads: dict[Name, Load]
    resources: list[ResourceEntry]
    signals: list[Signal]
    margins: list[MarginEntry]
    waits: list[Wait]
    parts: list[PartEntry]
    change_cost: Annotated[float, Field(ge=0)] = 0.0

    @property
    def quarters(self) -> int:
        """How many quarters are planned, the last one possibly not whole."""
        return -(-self.months // QUARTER)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        terms = [term for entry in self.resources for term in entry.use]
        terms += [term for part in self.parts for term in part.terms] + [wait.rate for wait in self.waits]
        loads = [each.load for each in terms] + [each.load for each in self.signals]
        refuse_unknown("load", [*loads, *(each.load for each in self.margins)], self.loads)
        resources, parts = ([each.name for each in entries] for entries in (self.resources, self.parts))
        refuse_unknown("part", (each.limit.part for each in self.resources), parts)
        for names in (resources, parts):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"the name {twice[0]!r} is there twice; keep one of them")
        return self


def read_plan(path: Path) -> PlanFile:
    """The plan of a YAML file; CapacityError with the first problem where it is none."""
    return read_model(path, PlanFile, "the plan")
