"""Growth by the same share every month: how far a value gets, when it meets a limit, and how sure that is.

All of it is compound growth, value · (1 + rate)^months. Months are numbers; `date_after` turns them into dates from a
start that the caller gives. What is known with an interval is an `Estimate`; a plain number is taken as exact.
"""

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from capacity.analysis.statistics.conventions import CONFIDENCE
from capacity.analysis.statistics.estimates import Estimate

MONTHLY_RATE = 0.15  # the reference report's estimate, its section 6
DRAWS = 20_000  # the ends of a 95 % interval then lie within about 0.2 percentage points of 2.5 and 97.5 %

ROUNDING = 1e-9

Known = float | Estimate
Ends = tuple[float, float, float]  # low end, value and high end
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """Months until a limit is met: `value` by the values, between `low` and `high` by their intervals.

    0 is already over and inf is never.
    """

    value: float
    low: float
    high: float


def months_until(current: float, limit: float, monthly_rate: float = MONTHLY_RATE) -> float:
    """Months until `current` reaches `limit`: ln(limit / current) / ln(1 + rate).

    Parameters
    ----------
    current, limit : float
        In one unit, above 0.
    monthly_rate : float
        Growth a month; 15 % is 0.15.

    Returns
    -------
    float
        0.0 where it is there already, math.inf where it never gets there (a rate of 0 or below).

    Raises
    ------
    ValueError
        For a current or limit that is not above 0 and finite, and a rate that is not above −1 and finite.

    Examples
    --------
    >>> from capacity import months_until
    >>> round(months_until(1, 2, monthly_rate=0.15), 6)
    4.959484
    >>> months_until(3, 2), months_until(1, 2, monthly_rate=0)
    (0.0, inf)
    """
    _check_positive("current value", current)
    _check_positive("limit", limit)
    _check_rate(monthly_rate)
    if current >= limit:
        return 0.0
    if monthly_rate <= 0:
        return math.inf
    return (math.log(limit) - math.log(current)) / math.log1p(monthly_rate)


def growth_factor(months: float, monthly_rate: float = MONTHLY_RATE) -> float:
    """What a value is multiplied by in `months`, which need not be whole: 5.35 in 12 at 15 %; inf beyond all numbers.

    Raises ValueError for months below 0 or not finite, and a rate that is not above −1.
    """
    _check_rate(monthly_rate)
    if not 0 <= months < math.inf:
        raise ValueError(f"growth is projected over 0 or more months and got {months:g}; give a finite number")
    try:
        return math.exp(months * math.log1p(monthly_rate))
    except OverflowError:
        return math.inf


def project(current: Known, months: int, monthly_rate: Known = MONTHLY_RATE) -> pd.DataFrame:
    """A value and its interval in each of the coming months.

    `low` grows the low end of `current` by the low end of the rate and `high` the high ends, so the band holds whatever
    the two have to do with each other: each interval misses in CHANCE of cases, so both hold in all but twice that. A
    plain number is exact: where both are, low and high are the value, and what is not known of growth is not in it.

    Parameters
    ----------
    current : float or Estimate
        Above 0.
    months : int
        How far, from 0.
    monthly_rate : float or Estimate
        Growth a month; 15 % is 0.15.

    Returns
    -------
    DataFrame
        A row for each of the months 0 to `months`: month, value, low, high, in the unit of `current`.

    Raises
    ------
    ValueError
        As `months_until`, for an estimate without an interval and for months that are not whole.

    Examples
    --------
    >>> from capacity import project
    >>> project(100, 12, monthly_rate=0.15)["value"].round(3).iloc[[0, 1, 12]].tolist()
    [100.0, 115.0, 535.025]
    """
    if not isinstance(months, int | np.integer) or months < 0:
        raise ValueError(f"a projection is over a whole number of months from 0 and got {months}")
    ends = zip(("low", "value", "high"), _positive("current value", current), _rate(monthly_rate), strict=True)
    grown = {end: [use * growth_factor(month, rate) for month in range(months + 1)] for end, use, rate in ends}
    return pd.DataFrame({"month": range(months + 1), **grown})[["month", "value", "low", "high"]]


def exhaustion(
    current: Known, limit: Known, monthly_rate: Known = MONTHLY_RATE, seed: int = 1, draws: int = DRAWS
) -> Exhaustion:
    """Months until `limit` is met where current use, limit and rate are each known with an interval.

    By Monte Carlo: each is drawn by itself, on the scale on which growth adds up (the logarithm; of 1 + rate), from a
    split normal whose median is the value and whose 2.5 and 97.5 % points are the ends of its interval. The same seed
    gives the same answer. Raises ValueError as `months_until` does, and for an estimate without an interval.
    """
    use, goal, rate = _positive("current value", current), _positive("limit", limit), _rate(monthly_rate)
    generator = np.random.default_rng(seed)
    log_use, log_goal, log_growth = (
        log_draws(ends, generator, draws, offset) for ends, offset in ((use, 0.0), (goal, 0.0), (rate, 1.0))
    )
    return exhaustion_by_draws(months_until(use[1], goal[1], rate[1]), drawn_months(log_goal - log_use, log_growth))


def drawn_months(room: Floats, log_growth: Floats) -> Floats:
    """Months until a limit by draw: `room` is ln(limit / use), and `log_growth` ln(1 + rate)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        months: Floats = np.where(room <= 0, 0.0, np.where(log_growth > 0, room / log_growth, np.inf))
    return months


def exhaustion_by_draws(value: float, months: Floats) -> Exhaustion:
    """Months by the values, with the interval of their draws."""
    low, high = drawn_interval(months)
    return Exhaustion(value, min(low, value), max(high, value))


def drawn_interval(drawn: Floats) -> tuple[float, float]:
    """The low and high end of draws at CONFIDENCE; of draws that are all alike but for rounding, the same."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail), method="inverted_cdf")
    if np.isfinite(high) and high - low <= ROUNDING * abs(high):  # exact stays exact: drawing goes through logarithms
        low = high
    return float(low), float(high)


def log_draws(ends: Ends, generator: np.random.Generator, draws: int = DRAWS, offset: float = 0.0) -> Floats:
    """Draws of ln(offset + value) by a value's ends, which are above −offset.

    The median is the value, and the 2.5 and 97.5 % points are the low and high end.
    """
    low, middle, high = (math.log(offset + each) for each in ends)
    unit = generator.standard_normal(draws) / float(stats.norm.isf((1 - CONFIDENCE) / 2))
    return middle + np.where(unit < 0, (middle - low) * unit, (high - middle) * unit)


def date_after(start: date, months: float) -> date | None:
    """The day that lies `months` after `start`; None where it never comes or lies beyond the year 9999.

    Whole months by the calendar (a day that a month lacks is its last one), the rest as a share of the month after.
    Raises ValueError for months below 0 or NaN.
    """
    if not months >= 0:
        raise ValueError(f"a date lies 0 or more months after its start and got {months:g}")
    try:
        whole = math.floor(months)
        begin, end = (pd.Timestamp(start) + pd.DateOffset(months=whole + each) for each in (0, 1))
    except (ValueError, OverflowError):  # what pandas raises of a year above 9999, and `floor` of what is infinite
        return None
    return begin.date() + timedelta(days=math.floor((months - whole) * (end - begin).days))


def ends_of(name: str, given: Known) -> Ends:
    """Low end, value and high end, which are one for a number; ValueError for an estimate without an interval."""
    if not isinstance(given, Estimate):
        return given, given, given
    if given.value is None or given.low is None or given.high is None:
        raise ValueError(f"the {name} is an estimate without a value or an interval; give a number or measure longer")
    if not given.low <= given.value <= given.high:
        raise ValueError(
            f"the {name} {given.value:g} must lie within its interval, which is {given.low:g} to {given.high:g}"
        )
    return given.low, given.value, given.high


def _positive(name: str, given: Known) -> Ends:
    for end in (ends := ends_of(name, given)):
        _check_positive(name, end)
    return ends


def _rate(given: Known) -> Ends:
    for end in (ends := ends_of("monthly rate", given)):
        _check_rate(end)
    return ends


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(
            f"growth needs a {name} that is finite and above 0 and got {value:g}; "
            "a share of nothing stays nothing, so give what was measured or promised"
        )


def _check_rate(rate: float) -> None:
    if not -1 < rate < math.inf:
        raise ValueError(
            f"growth needs a finite monthly rate above -1 and got {rate:g}; "
            "15 % a month is 0.15, and -1 would lose everything"
        )
