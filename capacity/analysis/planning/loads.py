"""The loads that a plan's file projects, their growth and the headroom, each within bounds that a plan can reckon with.

A share that is given in percent, as 15 for 0.15, is refused with a sentence: growth by 1,500 % a month is no plan.
"""

import re
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, WithJsonSchema, model_validator

from capacity.validation.model import Strict, refuse

if TYPE_CHECKING:
    from capacity.analysis.statistics.estimates import Estimate

MOST_GROWTH = 1.0  # a month: twice as much each month is beyond all that a plan can tell
MOST_MONTHS = 120  # ten years, beyond which no price and no size is known
MOST = 1e12  # of any number in the file: what is larger was mistyped, and its growth would pass what floats hold
PERCENT = re.compile(r"^\s*([\d.]+)\s*%\s*$")

Text = Annotated[str, Field(min_length=1)]
Source = Annotated[str, Field(min_length=1, description="Who says so.")]


def _no_percent(given: object) -> object:
    """Refuses `15 %`, and says what to write."""
    if found := PERCENT.match(given) if isinstance(given, str) else None:
        refuse([((), f"is {given!r}; write it as a share, {float(found[1]) / 100:g}")])
    return given


def _a_share(value: float) -> float:
    if not 0 <= value < 1:
        refuse([((), f"must be a share from 0 to below 1 and is {value:g}{_meant(value)}")])
    return value


def _a_rate(value: float) -> float:
    if not -1 < value <= MOST_GROWTH:
        meant = f", which would be {value:,.0%} a month{_meant(value)}" if value > 0 else ""
        bounds = f"must be more than -1 and {MOST_GROWTH:g} or less (15 % a month is 0.15)"
        refuse([((), f"{bounds} and is {value:g}{meant}")])
    return value


def _meant(value: float) -> str:
    return f"; did you mean {value / 100:g}, which is {value:g} %?" if 1 <= value <= 100 else ""


Share = Annotated[
    float,
    BeforeValidator(_no_percent),
    AfterValidator(_a_share),
    WithJsonSchema({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
]
Rate = Annotated[
    float,
    BeforeValidator(_no_percent),
    AfterValidator(_a_rate),
    WithJsonSchema({"type": "number", "exclusiveMinimum": -1, "maximum": MOST_GROWTH}),
]
Positive = Annotated[PositiveFloat, Field(le=MOST)]


class Headroom(Strict):
    """The share of a size's capacity that stays free, and who says so."""

    value: Share = Field(description="The share, 0 to 1.")
    source: Source


class Ranged(Strict):
    """A number with its low and high end, and where they come from."""

    value: float = Field(description="The number.")
    low: float = Field(description="The least that it may be.")
    high: float = Field(description="The most that it may be.")
    source: Source

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"the value {self.value:g} is not between low {self.low:g} and high {self.high:g}")
        return self

    def over(self, base: float) -> "Estimate":
        """It as a multiple of a base."""
        from capacity.analysis.statistics.estimates import Estimate  # loads NumPy, without which a plan is read

        return Estimate(self.value / base, self.low / base, self.high / base, 0)


class Growth(Ranged):
    """The monthly rate of growth, with its low and high end: 0.15 is 15 % a month."""

    value: Rate = Field(description="The number.")
    low: Rate = Field(description="The least that it may be.")
    high: Rate = Field(description="The most that it may be.")


class Load(Ranged):
    """A projected peak; as a multiple of the load that was measured, where `tested` or `measured` says which that was.

    `tested` is held against what the recordings say of their load, users or a rate a second; `measured` is that load
    whatever the profile.
    """

    value: Positive = Field(description="The number.")
    low: Positive = Field(description="The least that it may be.")
    high: Positive = Field(description="The most that it may be.")
    unit: Text = Field(description="What the numbers count: users, or a rate that ends with `/s`.")
    tested: Positive | None = Field(None, description="The load that was measured: findings are of that load.")
    measured: str = Field("", description="The finding that is the load that was measured, in place of `tested`.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.tested is not None and self.measured:
            raise ValueError("a load has either `tested` or `measured`, not both")
        return self

    @property
    def kind(self) -> str:
        """The kind of the workloads that it is a load of: `rate` of so many a second, or `users`."""
        return "rate" if self.unit.endswith("/s") else "users"
