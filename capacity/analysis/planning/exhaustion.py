"""When each resource is outgrown and which one first: one growth and one set of loads, drawn for all of them."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.planning.growth import (
    DRAWS,
    Exhaustion,
    Known,
    exhaustion,
    growth_factor,
    log_draws,
    months_until,
)
from capacity.analysis.statistics.conventions import CONFIDENCE
from capacity.analysis.statistics.estimates import Estimate

SMALLEST = 1e-6  # of a value: an interval that reaches 0 is drawn from here, since what grows by a share is above 0
ROUNDING = 1e-9
RATE = "growth a month"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a use: an amount, in the resource's unit at the load named by `load` (as large as it is without).

    `name` is the finding that it is, for the reader.
    """

    amount: Estimate
    load: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What happens when a use reaches `at`, in the resource's unit: a trigger of the plan, or the limit itself."""

    title: str
    at: Estimate
    source: str = ""


@dataclass(frozen=True, slots=True)
class GrowingResource:
    """What grows until it is used up: the sum of its terms, its limit, and the triggers on the way.

    `limit` None is not known. Where `floor` is true the limit is only known to lie no lower, because a load up to there
    was held. `why` says what the limit is, or why there is no use or limit.
    """

    name: str
    title: str
    unit: str
    terms: tuple[Term, ...]
    limit: Estimate | None
    floor: bool = False
    triggers: tuple[Threshold, ...] = ()
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether the month in which it is used up can be told."""
        return bool(self.terms) and self.limit is not None and not self.floor


@dataclass(frozen=True, slots=True)
class Event:
    """One threshold of one resource and the months until it; at least as many where `at_least` is true."""

    resource: str
    title: str
    threshold: float
    months: Exhaustion
    at_least: bool
    limit: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the load to come: `loads` by name, as multiples of the load that was measured, and growth."""

    loads: Mapping[str, Known]
    rate: Known
    seed: int = 1
    draws: int = DRAWS

    def drawn(self, name: str, given: Known, offset: float = 0.0) -> Floats:
        """Draws of what is known, the same for a name whatever else is drawn."""
        return _drawn(name, given, offset, self.seed, self.draws)

    def growth(self) -> Floats:
        """Draws of the monthly rate."""
        return self.drawn(RATE, self.rate, offset=1.0)


@lru_cache(maxsize=64)  # growth and loads are drawn for each resource anew; 160 kB each
def _drawn(name: str, given: Known, offset: float, seed: int, draws: int) -> Floats:
    if not offset and _nothing(given):
        return np.zeros(draws)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    drawn: Floats = np.exp(log_draws(_above_zero(given) if not offset else given, generator, draws, offset)) - offset
    drawn.flags.writeable = False
    return drawn


def use_today(resource: GrowingResource, outlook: Outlook) -> Estimate:
    """The use at the projected peak, with its interval, in the resource's unit. Raises ValueError without terms."""
    value = _value_of(resource, outlook)
    low, high = _interval(_use_draws(resource, outlook))
    if low == high:
        low = high = value
    return Estimate(value, min(low, value), max(high, value), min(term.amount.count for term in resource.terms))


def use_over_time(resource: GrowingResource, outlook: Outlook, months: int) -> pd.DataFrame:
    """One row for each of the months 0 to `months`: month, value, low, high, in the resource's unit."""
    use, growth = _use_draws(resource, outlook), 1 + outlook.growth()
    value, rate = _value_of(resource, outlook), _middle(outlook.rate)
    rows = []
    for month in range(months + 1):
        low, high = _interval(use * growth**month)
        rows.append((month, value * growth_factor(month, rate), low, high))
    return pd.DataFrame(rows, columns=["month", "value", "low", "high"])


def events(resources: Sequence[GrowingResource], outlook: Outlook) -> list[Event]:
    """Every trigger and limit of resources whose use and limit are known, in the resources' order."""
    found = []
    for resource in resources:
        if not resource.terms or resource.limit is None:
            continue
        limit = Threshold("limit", resource.limit, resource.why)
        for threshold in (*resource.triggers, limit):
            months = _until(resource, threshold, outlook)
            is_limit = threshold is limit
            at = threshold.at.value or 0.0
            reached = Event(
                resource.name, threshold.title, at, months, resource.floor and is_limit, is_limit, threshold.source
            )
            found.append(reached)
    return found


def first_limit(resources: Sequence[GrowingResource], outlook: Outlook) -> tuple[Exhaustion, dict[str, float]]:
    """Months until the first of the limits is reached, and for each resource the share of draws in which it is first.

    By one growth and one set of loads for all. Resources whose limit is not known, or only from below, take no part;
    where no limit is ever reached, none is first. Raises ValueError where none of them is known.
    """
    known = [each for each in resources if each.known]
    if not known:
        raise ValueError("no resource has a use and a limit that are known; measure up to the limits first")
    drawn = np.array([_month_draws(each, each.limit, outlook) for each in known])
    value = min(month_value(each, outlook) for each in known)
    first = drawn.argmin(axis=0)
    finite = np.isfinite(drawn.min(axis=0))
    shares = {each.name: float(((first == place) & finite).mean()) for place, each in enumerate(known)}
    return _summary(value, drawn.min(axis=0)), shares


def held_until(load: Known, outlook: Outlook) -> Exhaustion:
    """Months until the projected load, a multiple of the one that was measured, has grown to the measured one.

    Until then what was not exceeded in the measurement need not be feared: it holds for latencies, evictions and
    backlogs, which do not grow in proportion.
    """
    return exhaustion(_above_zero(load), 1.0, outlook.rate, outlook.seed, outlook.draws)


def month_value(resource: GrowingResource, outlook: Outlook) -> float:
    """Months until the limit of a resource by the values alone, without intervals."""
    limit = resource.limit
    return _months(_value_of(resource, outlook), (limit.value if limit else None) or 0.0, _middle(outlook.rate))


def _until(resource: GrowingResource, threshold: Threshold, outlook: Outlook) -> Exhaustion:
    value = _months(_value_of(resource, outlook), threshold.at.value or 0.0, _middle(outlook.rate))
    return _summary(value, _month_draws(resource, threshold.at, outlook))


def _months(use: float, limit: float, rate: float) -> float:
    """As `months_until`; nothing grows to nothing, and is over where nothing is allowed."""
    if use <= 0:
        return math.inf
    return months_until(use, limit, rate) if limit > 0 else 0.0


def _month_draws(resource: GrowingResource, limit: Estimate | None, outlook: Outlook) -> Floats:
    use = _use_draws(resource, outlook)
    if limit is None or (limit.value or 0.0) <= 0:
        return np.zeros(outlook.draws)
    goal = outlook.drawn(f"{resource.name} limit {limit.value:g}", limit)
    growth = np.log1p(outlook.growth())
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.log(goal) - np.log(use)
        months: Floats = np.where(room <= 0, 0.0, np.where(growth > 0, room / growth, np.inf))
    return months


def _use_draws(resource: GrowingResource, outlook: Outlook) -> Floats:
    total = np.zeros(outlook.draws)
    for number, term in enumerate(resource.terms):
        part = outlook.drawn(f"{resource.name} use {number}", term.amount)
        total += part * (outlook.drawn(f"load {term.load}", outlook.loads[term.load]) if term.load else 1.0)
    return total


def _value_of(resource: GrowingResource, outlook: Outlook) -> float:
    if not resource.terms:
        raise ValueError(f"the use of {resource.title} is not known: {resource.why}")
    return sum(
        (term.amount.value or 0.0) * (_middle(outlook.loads[term.load]) if term.load else 1.0)
        for term in resource.terms
    )


def _summary(value: float, months: Floats) -> Exhaustion:
    low, high = _interval(months)
    return Exhaustion(value, min(low, value), max(high, value), float(np.isinf(months).mean()))


def _interval(drawn: Floats) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail), method="inverted_cdf")
    if np.isfinite(high) and high - low <= ROUNDING * abs(high):  # exact stays exact: drawing goes through logarithms
        return float(high), float(high)
    return float(low), float(high)


def _nothing(given: Known) -> bool:
    return given == 0 if not isinstance(given, Estimate) else given.high == 0


def _above_zero(given: Known) -> Known:
    """An estimate whose ends are above 0, so that it can be drawn on the scale on which growth adds up."""
    if not isinstance(given, Estimate) or given.value is None or given.low is None or given.high is None:
        return given if isinstance(given, Estimate) else max(given, SMALLEST)
    value = max(given.value, SMALLEST * (given.high or 1.0), math.ulp(1.0))
    return Estimate(value, max(given.low, SMALLEST * value), max(given.high, value), given.count)


def _middle(given: Known) -> float:
    return given if not isinstance(given, Estimate) else given.value or 0.0
