"""When each resource is outgrown and which one first: one growth and one set of loads, drawn for all of them."""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from capacity.analysis.planning.growth import (
    DRAWS,
    Exhaustion,
    Floats,
    drawn_interval,
    drawn_months,
    ends_of,
    exhaustion,
    exhaustion_by_draws,
    growth_factor,
    log_draws,
    months_until,
)
from capacity.analysis.planning.plan_file import Trigger
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.errors import NothingPlanned

SMALLEST = 1e-6  # of a value: an interval that reaches 0 is drawn from here, since what grows by a share is above 0
RATE = "growth a month"


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a use: an amount, in the resource's unit at the load named by `load` (as large as it is without).

    `name` is the finding that it is, for the reader.
    """

    amount: Estimate
    load: str | None = None
    name: str = ""


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
    triggers: Sequence[Trigger] = ()
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

    loads: Mapping[str, Estimate]
    rate: Estimate
    seed: int = 1


@lru_cache(maxsize=64)  # growth and loads are drawn for each resource anew; 160 kB each
def _drawn(name: str, given: Estimate, seed: int, offset: float = 0.0) -> Floats:
    """Draws of an estimate above −`offset`, the same for a name whatever else is drawn."""
    if not offset and given.high == 0:
        return np.zeros(DRAWS)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    ends = ends_of(name, given if offset else _above_zero(given))
    drawn: Floats = np.exp(log_draws(ends, generator, offset=offset)) - offset
    drawn.flags.writeable = False
    return drawn


def use_today(resource: GrowingResource, outlook: Outlook) -> Estimate:
    """The use at the projected peak, with its interval, in the resource's unit. Raises ValueError without terms."""
    value = _value_of(resource, outlook)
    low, high = drawn_interval(_use_draws(resource, outlook))
    if low == high:
        low = high = value
    return Estimate(value, min(low, value), max(high, value), min(term.amount.count for term in resource.terms))


def use_over_time(resource: GrowingResource, outlook: Outlook, months: int) -> pd.DataFrame:
    """One row for each of the months 0 to `months`: month, value, low, high, in the resource's unit."""
    use, growth = _use_draws(resource, outlook), 1 + _drawn(RATE, outlook.rate, outlook.seed, 1.0)
    value, rate = _value_of(resource, outlook), outlook.rate.value or 0.0
    rows = [
        (month, value * growth_factor(month, rate), *drawn_interval(use * growth**month)) for month in range(months + 1)
    ]
    return pd.DataFrame(rows, columns=["month", "value", "low", "high"])


def events(resources: Sequence[GrowingResource], outlook: Outlook) -> list[Event]:
    """Every trigger and limit of resources whose use and limit are known, in the resources' order."""
    found = []
    for resource in resources:
        if not resource.terms or resource.limit is None:
            continue
        thresholds = [(each.title, exactly(each.at, 0), each.source, False) for each in resource.triggers]
        for title, at, source, last in [*thresholds, ("limit", resource.limit, resource.why, True)]:
            months = exhaustion_by_draws(month_value(resource, at, outlook), _month_draws(resource, at, outlook))
            found.append(Event(resource.name, title, at.value or 0.0, months, resource.floor and last, last, source))
    return found


def first_limit(resources: Sequence[GrowingResource], outlook: Outlook) -> tuple[Exhaustion, dict[str, float]]:
    """Months until the first of the limits is reached, and for each resource the share of draws in which it is first.

    By one growth and one set of loads for all; the largest share comes first. Resources whose limit is not known, or
    only from below, take no part; where no limit is ever reached, none is first.
    Raises NothingPlanned where none of them is known.
    """
    known = [each for each in resources if each.known]
    if not known:
        raise NothingPlanned(
            "the findings have no use with a limit that the plan knows, so nothing can be planned; "
            "run the notebooks that measure first"
        )
    drawn = np.array([_month_draws(each, each.limit, outlook) for each in known])
    first, soonest = drawn.argmin(axis=0), drawn.min(axis=0)
    shares = {each.name: float(((first == place) & np.isfinite(soonest)).mean()) for place, each in enumerate(known)}
    return exhaustion_by_draws(first_value(known, outlook), soonest), dict(
        sorted(shares.items(), key=lambda pair: -pair[1])
    )


def first_value(resources: Iterable[GrowingResource], outlook: Outlook) -> float:
    """Months until the first of their limits by the values alone, without intervals."""
    return min(month_value(each, each.limit, outlook) for each in resources)


def months_left(use: Estimate, limit: Estimate, outlook: Outlook) -> Exhaustion:
    """Months until a use has grown to its limit, each drawn by itself; for ever where nothing is used."""
    if not use.value:
        return Exhaustion(math.inf, math.inf, math.inf)
    return exhaustion(_above_zero(use), _above_zero(limit), outlook.rate, outlook.seed)


def month_value(resource: GrowingResource, limit: Estimate | None, outlook: Outlook) -> float:
    """Months until a use reaches a limit by the values alone: nothing grows to nothing, and where nothing is allowed
    it is over.
    """
    use, most = _value_of(resource, outlook), (limit.value if limit else None) or 0.0
    if use <= 0:
        return math.inf
    return months_until(use, most, outlook.rate.value or 0.0) if most > 0 else 0.0


def _month_draws(resource: GrowingResource, limit: Estimate | None, outlook: Outlook) -> Floats:
    use = _use_draws(resource, outlook)
    if limit is None or (limit.value or 0.0) <= 0:
        return np.zeros(DRAWS)
    goal = _drawn(f"{resource.name} limit {limit.value:g}", limit, outlook.seed)
    with np.errstate(divide="ignore"):
        room = np.log(goal) - np.log(use)
    return drawn_months(room, np.log1p(_drawn(RATE, outlook.rate, outlook.seed, 1.0)))


def _use_draws(resource: GrowingResource, outlook: Outlook) -> Floats:
    total = np.zeros(DRAWS)
    for number, term in enumerate(resource.terms):
        load = _drawn(f"load {term.load}", outlook.loads[term.load], outlook.seed) if term.load else 1.0
        total += load * _drawn(f"{resource.name} use {number}", term.amount, outlook.seed)
    return total


def _value_of(resource: GrowingResource, outlook: Outlook) -> float:
    if not resource.terms:
        raise ValueError(f"the use of {resource.title} is not known: {resource.why}")
    loads = [outlook.loads[term.load].value if term.load else 1.0 for term in resource.terms]
    return sum((term.amount.value or 0.0) * (load or 0.0) for term, load in zip(resource.terms, loads, strict=True))


def _above_zero(given: Estimate) -> Estimate:
    """An estimate whose ends are above 0, so that it can be drawn on the scale on which growth adds up."""
    low, value, high = ends_of("value", given)
    value = max(value, SMALLEST * (high or 1.0), math.ulp(1.0))
    return Estimate(value, max(low, SMALLEST * value), max(high, value), given.count)
