"""An operation of a workload: what is sent, and the typed parameters that are drawn for it."""

import math
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


Target = Literal["postgres", "redis", "http", "bullmq"]  # each spoken by the module of that name in capacity/load


class Strict(BaseModel):
    """A part of a workload file: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Uniform(Strict):
    """A whole number between `low` and `high`, both included, each as likely."""

    kind: Literal["uniform"]
    low: int
    high: int

    @model_validator(mode="after")
    def _ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Zipf(Strict):
    """A whole number from `low`, number k of `count` with a chance proportional to k to the power −`exponent`."""

    kind: Literal["zipf"]
    count: Annotated[int, Field(ge=1, le=10_000_000)]
    exponent: PositiveFloat = 1.0
    low: int = 1


class Sequence(Strict):
    """`start`, `start` + 1, …, no number twice, whatever the number of generator processes."""

    kind: Literal["sequence"]
    start: int = 1


class Uuid(Strict):
    """A version 4 UUID from the workload's seed."""

    kind: Literal["uuid"]


class Text(Strict):
    """`length` letters and digits."""

    kind: Literal["text"]
    length: Annotated[int, Field(ge=1, le=1_000_000)]


Parameter = Annotated[Uniform | Zipf | Sequence | Uuid | Text, Field(discriminator="kind")]


class Statement(Strict):
    """One SQL statement with `$1`, `$2`, … for the operation's parameters named in `parameters`, in that order."""

    sql: Annotated[str, Field(min_length=1)]
    parameters: list[str] = []


class Request(Strict):
    """One HTTP request; names in braces in its path, headers and body, as `/api/posts?after={post}`, are parameters."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: Annotated[str, Field(pattern=r"^/\S*$")]
    headers: dict[str, str] = {}
    body: str = ""


class ServiceTime(Strict):
    """How long a reference worker works at a job: lognormal, by its median and its 99th percentile."""

    median: PositiveFloat
    p99: PositiveFloat

    @model_validator(mode="after")
    def _ordered(self) -> "ServiceTime":
        if self.p99 < self.median:
            raise ValueError(f"p99 {self.p99:g} is below the median {self.median:g}")
        return self


class Failure(Strict):
    """A reason for which `percent` of jobs fail at first; `lasting` (0–1) of these fail at every attempt."""

    percent: Annotated[float, Field(ge=0, le=100)]
    lasting: Annotated[float, Field(ge=0, le=1)] = 0.0


class Job(Strict):
    """A job for a BullMQ queue: JSON `data`, with parameters in braces, and the options that its producer sets.

    Attempts after the first wait for `backoff_ms`, doubled each time. `service_ms` and `failures` are what the
    reference workers do with it; other workers do what is theirs.
    """

    data: str = "{}"
    attempts: PositiveInt = 3
    backoff_ms: Annotated[float, Field(ge=0)] = 1000.0
    delay_ms: Annotated[int, Field(ge=0)] = 0
    service_ms: ServiceTime = ServiceTime(median=1.0, p99=1.0)
    failures: dict[str, Failure] = {}

    @model_validator(mode="after")
    def _at_most_all(self) -> "Job":
        total = math.fsum(failure.percent for failure in self.failures.values())
        if total > 100:
            raise ValueError(f"the percents of the failures add up to {total:g} and may add up to 100")
        return self


class Operation(Strict):
    """One kind of work: SQL `statements` in one transaction, a Redis `command`, an HTTP `request` or a queue's `job`.

    `weight` is its share of the mix in percent. Names in braces, as `item:{key}`, are parameters.
    `row_security` says that the operation's rows are filtered by row-level security.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_ /{}-]*$", max_length=60)]
    weight: Annotated[float, Field(ge=0)]
    statements: list[Statement] = []
    command: list[str] = []
    request: Request | None = None
    job: Job | None = None
    parameters: dict[str, Parameter] = {}
    row_security: bool = False

    @property
    def target(self) -> str:
        """What it can be sent to."""
        kinds = {"postgres": self.statements, "redis": self.command, "http": self.request, "bullmq": self.job}
        return next((target for target, work in kinds.items() if work), "")

    @model_validator(mode="after")
    def _complete(self) -> "Operation":
        if sum(map(bool, (self.statements, self.command, self.request, self.job))) != 1:
            raise ValueError(
                "an operation has one of `statements` (SQL), `command` (Redis), `request` (HTTP) and `job`"
            )
        used = {name for statement in self.statements for name in statement.parameters}
        used |= {name for text in self._texts() for name in PLACEHOLDER.findall(text)}
        for name in sorted(used - set(self.parameters)):
            raise ValueError(f"uses the parameter {name!r}, which is missing from its `parameters`")
        for name in sorted(set(self.parameters) - used):
            raise ValueError(f"declares the parameter {name!r} and does not use it")
        return self

    def _texts(self) -> list[str]:
        """The texts that may name parameters."""
        request = [self.request.path, *self.request.headers.values(), self.request.body] if self.request else []
        return [*self.command, *request, *([self.job.data] if self.job else [])]
