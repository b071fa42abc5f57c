"""What a report can claim: a handful of kinds, each as data, on named values and quantities."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from capacity.audit.expressions import Expression, Operand, Operands
from capacity.objectives import LIMIT
from capacity.validation.model import Strict

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Quantile = Annotated[float, Field(gt=0, lt=1)]


class Claim(Strict):
    """What all kinds of claim have: a title in the auditor's words, and what must be assumed to hold it against."""

    title: str = ""
    assuming: str = ""


class Derived(Claim):
    """`stated` is what the expression `by` gives."""

    kind: Literal["derived"]
    stated: Operand
    by: Expression


class Same(Claim):
    """All of these are statements of one quantity."""

    kind: Literal["same"]
    of: Operands


class Order(Claim):
    """Each of these is at most the next one, as percentiles and dates are."""

    kind: Literal["order"]
    of: Operands


class LimitCheck(Claim):
    """A value against a `limit` as '< 500 ms', with the report's own verdict where it gives one.

    `low` and `high` are the ends of the value's interval, where the report gives that.
    """

    kind: Literal["check"]
    limit: str
    value: Operand | None = None
    low: Operand | None = None
    high: Operand | None = None
    stated: Literal["PASS", "FAIL"] | None = None

    @field_validator("limit")
    @classmethod
    def _has_relation(cls, limit: str) -> str:
        if LIMIT.match(limit) is None or ".." in limit:
            raise ValueError("it must be a relation, a number and a unit, as '< 500 ms',")
        return limit

    @property
    def parts(self) -> tuple[str, str]:
        """The relation in which the value must stand to the bound, and the bound."""
        bound = self.limit.lstrip("<>=")
        return self.limit.removesuffix(bound), bound.strip()


class Lasts(Claim):
    """A margin (capacity over use) lasts as long as stated at a monthly growth."""

    kind: Literal["lasts"]
    stated: Operand
    margin: Operand
    monthly_rate: Operand


class Group(Strict):
    """One part of a mixture: its percentiles by their quantile, and its weight."""

    quantiles: dict[Quantile, Operand]
    weight: Operand | None = None


class Mixture(Claim):
    """A percentile of the whole against those of its parts, with their weights where these are stated."""

    kind: Literal["mixture"]
    stated: Operand
    quantile: Quantile
    groups: Annotated[list[Group], Field(min_length=2)]


class Samples(Claim):
    """A percentile stands on enough samples; no `count` says that the report does not give their number."""

    kind: Literal["samples"]
    quantile: Quantile
    count: Operand | None = None


class Evidence(Claim):
    """A statement that needs something measured: the values that `shown_by` names, or nothing."""

    kind: Literal["evidence"]
    needs: Annotated[str, Field(min_length=1)]
    shown_by: list[Operand] = Field(default_factory=list)


class OverallVerdict(Claim):
    """A good verdict on all checks that the report judges, in the named sections or in all of them."""

    kind: Literal["conclusion"]
    sections: list[Name] = Field(default_factory=list)


AnyClaim = Annotated[
    Derived | Same | Order | LimitCheck | Lasts | Mixture | Samples | Evidence | OverallVerdict,
    Field(discriminator="kind"),
]
