"""The plan's own data: projected loads, growth, thresholds and parts; and what a run says of itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.manifest import manifests_beside
from capacity.operation import Strict
from capacity.yaml_file import read_model

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=-1)]
Text = Annotated[str, Field(min_length=1)]
Ranged = TypeVar("Ranged", "Growth", "Load")


class Headroom(Strict):
    """The share of a size's capacity that stays free, and who says so."""

    value: Share
    source: Text


class Growth(Strict):
    """The monthly rate with its low and high end, and where they come from."""

    value: Rate
    low: Rate
    high: Rate
    source: Text

    @model_validator(mode="after")
    def _ordered(self) -> "Growth":
        return _in_order(self)


class Load(Strict):
    """A projected peak with its low and high end; as a multiple of what was `tested`, where that is given."""

    value: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat
    unit: Text
    source: Text
    tested: PositiveFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Load":
        return _in_order(self)


class Use(Strict):
    """One term of a use: a finding (or a constant) times `scale`, times the load where one is named."""

    finding: str = ""
    constant: PositiveFloat | None = None
    load: Name | None = None
    scale: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _one_of_two(self) -> "Use":
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
    def _one(self) -> "Limit":
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
    def findings(self) -> list[str]:
        """The names of the findings that it comes from."""
        bound = [self.bound.finding] if self.bound else []
        return [*(use.finding for terms in self.uses.values() for use in terms), *bound]


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

    @model_validator(mode="after")
    def _loads_exist(self) -> "PlanFile":
        terms = [term for each in self.resources for term in each.use]
        terms += [term for part in self.parts for uses in part.uses.values() for term in uses]
        terms += [part.bound for part in self.parts if part.bound] + [wait.rate for wait in self.waits]
        used = (
            [term.load for term in terms] + [each.load for each in self.signals] + [each.load for each in self.margins]
        )
        if unknown := [name for name in used if name is not None and name not in self.loads]:
            raise ValueError(f"there is no load {unknown[0]!r}; given are {', '.join(self.loads)}")
        parts = [each.name for each in self.parts]
        if unknown := [each.limit.part for each in self.resources if each.limit.part and each.limit.part not in parts]:
            raise ValueError(f"there is no part {unknown[0]!r}; given are {', '.join(parts)}")
        for names in ([each.name for each in self.resources], parts):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"the name {twice[0]!r} is there twice; keep one of them")
        return self


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """The findings by name, the day they were measured, and the cores of the machine by recording."""

    findings: Mapping[str, Finding]
    day: date
    cores: Mapping[str, int]


def read_plan(path: Path) -> PlanFile:
    """The plan of a YAML file; CapacityError with the first problem where it is none."""
    return read_model(path, PlanFile, "the plan")


def read_basis(folder: Path, findings: Iterable[Finding]) -> PlanBasis:
    """What was found, and by the manifests of the recordings beside the `folder` of findings when and on what machine.

    Findings of the plan itself are left out; void ones are kept, and make void what comes from them. Raises
    CapacityError where no recording is there, since the plan begins on the day of the run.
    """
    kept = {each.name: each for each in findings if each.section != "plan"}
    manifests = manifests_beside(folder, {each.recording for each in kept.values()})
    started = [facts.started_at for facts in manifests.values() if facts.started_at]
    if not started:
        raise CapacityError(
            f"no recording of the findings in {folder} is beside them, so the day of the run is unknown"
        )
    cores = {name: facts.machine["cpus"] for name, facts in manifests.items() if facts.machine.get("cpus")}
    return PlanBasis(kept, date.fromisoformat(max(started)[:10]), cores)


def _in_order(given: Ranged) -> Ranged:
    if not given.low <= given.value <= given.high:
        raise ValueError(f"the value {given.value:g} is not between low {given.low:g} and high {given.high:g}")
    return given
