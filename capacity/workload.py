"""A workload: weighted operations and the shapes of their load, read from YAML and validated."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from capacity.errors import CapacityError
from capacity.operation import Operation, Strict, Target
from capacity.shape import Shape
from capacity.yaml_file import parse_model, read_model

WEIGHT_TOTAL = 100.0


class Workload(Strict):
    """Weighted operations, the pool of connections that they share, and one shape a profile.

    `order` is mix (each operation is drawn by its weight) or cycle (they take turns forwards and backwards, whatever
    their weights, so that drift and warmth of a cache fall on all of them alike).
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    title: str = ""
    target: Target
    connections: PositiveInt
    timeout_ms: PositiveFloat = 5000.0
    seed: int = 1
    order: Literal["mix", "cycle"] = "mix"
    operations: Annotated[list[Operation], Field(min_length=1)]
    shapes: Annotated[dict[str, Shape], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Workload":
        total = math.fsum(operation.weight for operation in self.operations)
        if abs(total - WEIGHT_TOTAL) > 1e-6:
            raise ValueError(f"the weights of the operations add up to {total:g} and must add up to {WEIGHT_TOTAL:g}")
        names = [operation.name for operation in self.operations]
        if len(set(names)) < len(names):
            raise ValueError(f"the operations {', '.join(names)} must have different names")
        for operation in self.operations:
            if operation.target != self.target:
                raise ValueError(f"the operation {operation.name!r} is not one for {self.target}")
        return self

    def shape(self, profile: str) -> Shape:
        """The shape of `profile`; CapacityError names the accepted ones."""
        if profile not in self.shapes:
            raise CapacityError(
                f"the workload {self.name} has no shape for the profile {profile!r}; it has {', '.join(self.shapes)}"
            )
        return self.shapes[profile]


def read_workload(path: Path) -> Workload:
    """The workload in the YAML file `path`; CapacityError is one sentence naming the key and the value."""
    return read_model(path, Workload, "the workload")


def parse_workload(values: Any, source: str = "workload") -> Workload:
    """The workload in parsed YAML or JSON; `source` names where it came from in errors."""
    return parse_model(values, Workload, source)
