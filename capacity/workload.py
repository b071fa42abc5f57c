"""A workload: weighted operations and the shapes of their load, read from YAML and validated."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from capacity.errors import CapacityError
from capacity.objectives import ObjectiveEntry
from capacity.operation import Operation, Target
from capacity.shape import Shape
from capacity.validation.model import Place, Strict, refuse
from capacity.yaml_file import parse_model, read_model

WEIGHT_TOTAL = 100.0
FILES = {  # the workloads of each part, by the names of their files; the first is the part's own
    "database": ("database", "row_security"),
    "redis": ("redis", "redis_reconnection"),
    "queue": ("queue",),
    "gateway": ("gateway",),
}


class Workload(Strict):
    """Weighted operations, the pool of connections that they share, and one shape a profile.

    `order` is mix (each operation is drawn by its weight) or cycle (they take turns forwards and backwards, whatever
    their weights, so that drift and warmth of a cache fall on all of them alike). `dataset` is what is prepared before:
    nothing (none), or the tables, keys or application of the suite's own workloads (reference).
    """

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", max_length=40, examples=["my_orders"], description="Its name in recordings."
    )
    title: str = Field("", description="What it is, in words.")
    target: Target = Field(description="What it is sent to.")
    connections: PositiveInt = Field(description="How many connections all operations share.")
    timeout_ms: PositiveFloat = Field(5000.0, description="How long an answer is waited for, in ms.")
    seed: int = Field(1, description="The same seed gives the same arrivals and values.")
    order: Literal["mix", "cycle"] = Field(
        "mix", description="`mix`: drawn by weight; `cycle`: they take turns forwards and backwards."
    )
    dataset: Literal["none", "reference"] = Field(
        "none", description="What is prepared before: nothing, or what the suite's own workloads use (`reference`)."
    )
    operations: list[Operation] = Field(min_length=1, description="What is sent.")
    shapes: dict[str, Shape] = Field(
        min_length=1, description="The load over time of each profile: `smoke`, `standard`, `full`."
    )
    objectives: list[ObjectiveEntry] = Field(
        [], exclude=True, description="What is promised of this load, as in `objectives.yaml`, beside what is there."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Workload":
        refuse(self._wrong())
        return self

    def _wrong(self) -> Iterator[tuple[Place, str]]:
        total = math.fsum(operation.weight for operation in self.operations)
        if abs(total - WEIGHT_TOTAL) > 1e-6:
            yield ("operations",), f"the weights add up to {total:g} and must add up to {WEIGHT_TOTAL:g}"
        names = [operation.name for operation in self.operations]
        for number, operation in enumerate(self.operations):
            if operation.name in names[:number]:
                yield ("operations", number, "name"), f"the name {operation.name!r} is there twice; give it another one"
            if operation.target != self.target:
                yield (
                    ("operations", number),
                    f"is for {operation.target}, and the target of the workload is {self.target}",
                )

    def shape(self, profile: str) -> Shape:
        """The shape of `profile`; CapacityError names the accepted ones."""
        if profile not in self.shapes:
            raise CapacityError(
                f"the workload {self.name} has no shape for the profile {profile!r}; it has {', '.join(self.shapes)}"
            )
        return self.shapes[profile]


def is_load_of(recorded: Mapping[str, Any], workload: Workload) -> bool:
    """Whether a manifest's workload has the operations of this one, in its mix."""
    told = [(each.get("name"), each.get("weight")) for each in recorded.get("operations", ())]
    return told == [(each.name, each.weight) for each in workload.operations]


def read_workload(path: Path) -> Workload:
    """The workload in the YAML file `path`; CapacityError is one sentence naming the key and the value."""
    return read_model(path, Workload, "the workload")


def parse_workload(values: Any, source: str = "workload") -> Workload:
    """The workload in parsed YAML or JSON; `source` names where it came from in errors."""
    return parse_model(values, Workload, source)
