"""An operation of a workload: what is sent, and the typed parameters that are drawn for it."""

import math
import re
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from capacity.validation.model import Strict, refuse
from capacity.validation.names import did_you_mean

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
FAILURES = "failures"  # the last part but one of the name of a finding on how often an operation failed for a reason
NOT_PLAIN = re.compile(r"[^a-z0-9]+")


Target = Literal["postgres", "redis", "http", "bullmq"]  # each spoken by the module of that name in capacity/load


def operation_slug(name: str) -> str:
    """An operation's name as a part of a finding's, as `get_api_posts` for GET /api/posts."""
    return NOT_PLAIN.sub("_", name.lower()).strip("_")


class Uniform(Strict):
    """A whole number between `low` and `high`, both included, each as likely."""

    kind: Literal["uniform"] = Field(description="`uniform`.")
    low: int = Field(description="The smallest number.")
    high: int = Field(description="The largest number.")

    @model_validator(mode="after")
    def _ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Zipf(Strict):
    """A whole number from `low`, number k of `count` with a chance proportional to k to the power −`exponent`."""

    kind: Literal["zipf"] = Field(description="`zipf`.")
    count: int = Field(ge=1, le=10_000_000, description="How many numbers there are.")
    exponent: PositiveFloat = Field(1.0, description="How much more frequent the first ones are; a cache has about 1.")
    low: int = Field(1, description="The most frequent number; the others follow it.")


class Sequence(Strict):
    """`start`, `start` + 1, …, no number twice, whatever the number of generator processes."""

    kind: Literal["sequence"] = Field(description="`sequence`.")
    start: int = Field(1, description="The first number.")


class Uuid(Strict):
    """A version 4 UUID from the workload's seed."""

    kind: Literal["uuid"] = Field(description="`uuid`.")


class Text(Strict):
    """`length` letters and digits."""

    kind: Literal["text"] = Field(description="`text`.")
    length: int = Field(ge=1, le=1_000_000, description="How many letters and digits.")


Parameter = Annotated[Uniform | Zipf | Sequence | Uuid | Text, Field(discriminator="kind")]


class Statement(Strict):
    """One SQL statement with `$1`, `$2`, … for the operation's parameters named in `parameters`, in that order."""

    sql: str = Field(min_length=1, description="The SQL, with `$1`, `$2`, … for its parameters.")
    parameters: list[str] = Field([], description="Names of the operation's `parameters`: the first is `$1`.")


class Request(Strict):
    """One HTTP request; names in braces in its path, headers and body, as `/api/posts?after={post}`, are parameters."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field("GET", description="The method.")
    path: str = Field(pattern=r"^/\S*$", examples=["/api/posts?after={post}"], description="The path, from its `/` on.")
    headers: dict[str, str] = Field({}, description="Further headers, by their names.")
    body: str = Field("", description="What is sent, as it is.")


class ServiceTime(Strict):
    """How long a reference worker works at a job, in ms: lognormal, by its median and its 99th percentile."""

    median: PositiveFloat = Field(description="Its median, in ms.")
    p99: PositiveFloat = Field(description="Its 99th percentile, in ms.")

    @model_validator(mode="after")
    def _ordered(self) -> "ServiceTime":
        if self.p99 < self.median:
            raise ValueError(f"p99 {self.p99:g} is below the median {self.median:g}")
        return self


class Failure(Strict):
    """A reason for which `percent` of jobs fail at first; `lasting` (0–1) of these fail at every attempt."""

    percent: float = Field(ge=0, le=100, description="The share of jobs whose first attempt fails, in percent.")
    lasting: float = Field(0.0, ge=0, le=1, description="The share of these that fail at every attempt, 0 to 1.")


class Job(Strict):
    """A job for a BullMQ queue: JSON `data`, with parameters in braces, and the options that its producer sets.

    Attempts after the first wait for `backoff_ms`, doubled each time. `service_ms` and `failures` are what the
    reference workers do with it; other workers do what is theirs.
    """

    data: str = Field("{}", description="JSON; names in braces are parameters.", examples=['{"owner": {owner}}'])
    attempts: PositiveInt = Field(3, description="How often it is tried before it has failed for good.")
    backoff_ms: float = Field(
        1000.0, ge=0, description="The pause before the second attempt, in ms; doubled each time."
    )
    delay_ms: int = Field(0, ge=0, description="How long it waits before it may be done, in ms.")
    service_ms: ServiceTime = Field(
        ServiceTime(median=1.0, p99=1.0), description="How long a reference worker works at it, in ms."
    )
    failures: dict[str, Failure] = Field({}, description="Why it fails at a reference worker, by reason.")

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

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_ /{}-]*$",
        max_length=60,
        examples=["GET /api/posts"],
        description="Its name, which its findings have in small letters: `get_api_posts` of GET /api/posts.",
    )
    weight: float = Field(ge=0, description="Its share of the mix, in percent; all add up to 100.")
    statements: list[Statement] = Field([], description="PostgreSQL: the statements of one transaction.")
    command: list[str] = Field([], description="Redis: a command and its arguments.", examples=[["GET", "item:{key}"]])
    request: Request | None = Field(None, description="HTTP: a request.")
    job: Job | None = Field(None, description="BullMQ: a job.")
    parameters: dict[str, Parameter] = Field({}, description="What is drawn for each operation, by name.")
    row_security: bool = Field(False, description="Whether row-level security filters its rows.")

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
        declared = {*self.parameters}
        meant = {name: did_you_mean(name, declared) for name in sorted(used - declared)}
        unused = [name for name in sorted(declared - used) if not any(repr(name) in said for said in meant.values())]
        refuse(
            [
                *(((), f"uses {name!r}, which is missing from its `parameters`{said}") for name, said in meant.items()),
                *((("parameters", name), "is declared, and nothing uses it") for name in unused),
            ]
        )
        return self

    def _texts(self) -> list[str]:
        """The texts that may name parameters."""
        request = [self.request.path, *self.request.headers.values(), self.request.body] if self.request else []
        return [*self.command, *request, *([self.job.data] if self.job else [])]
