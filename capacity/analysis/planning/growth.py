"""Growth by the same share every month: how far a value gets, when it meets a limit, and how sure that is.

All of it is compound growth, value · (1 + rate)^months. Months are numbers; `date_after` turns them into dates from a
start that the caller gives. What is known with an interval is an `Estimate`; a plain number is taken as exact.
"""

import calendar
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

Known = float | Estimate


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """Months until a limit is met: `value` by the values, between `low` and `high` by their intervals.

    0 is already over and inf is never; `never` is the share of the draws, 0–1, in which the limit is never met.
    """

    value: float
    low: float
    high: float
    never: float


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


def margin_lasts(margin: float, monthly_rate: float = MONTHLY_RATE) -> float:
    """Months that a safety margin lasts, given as capacity over use: 2.1 at 15 % a month lasts 5.3."""
    return months_until(1.0, margin, monthly_rate)


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
    use, rate = _positive("current value", current), _rate(monthly_rate)
    ends = ((use.value, rate.value), (use.low, rate.low), (use.high, rate.high))
    columns = [[start * growth_factor(month, each) for month in range(months + 1)] for start, each in ends]
    return pd.DataFrame({"month": range(months + 1), **dict(zip(("value", "low", "high"), columns, strict=True))})


def exhaustion(
    current: Known, limit: Known, monthly_rate: Known = MONTHLY_RATE, seed: int = 1, draws: int = DRAWS
) -> Exhaustion:
    """Months until `limit` is met where current use, limit and rate are each known with an interval.

    By Monte Carlo: each is drawn by itself, on the scale on which growth adds up (the logarithm; of 1 + rate), from a
    split normal whose median is the value and whose 2.5 and 97.5 % points are the ends of its interval. The same seed
    gives the same answer. Raises ValueError as `months_until` does, and for an estimate without an interval.
    """
    use, goal, rate = _positive("current value", current), _positive("limit", limit), _rate(monthly_rate)
    if draws < 1:
        raise ValueError(f"an exhaustion month is drawn at least once and got {draws} draws")
    generator = np.random.default_rng(seed)
    log_use, log_goal = _draw_log(use, 0.0, generator, draws), _draw_log(goal, 0.0, generator, draws)
    log_growth = _draw_log(rate, 1.0, generator, draws)
    room = log_goal - log_use
    with np.errstate(divide="ignore", invalid="ignore"):
        months = np.where(room <= 0, 0.0, np.where(log_growth > 0, room / log_growth, np.inf))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(months, (tail, 1 - tail), method="inverted_cdf")
    value = months_until(use.value, goal.value, rate.value)
    return Exhaustion(value, float(low), float(high), float(np.isinf(months).mean()))


def log_draws(
    given: Known, generator: np.random.Generator, draws: int = DRAWS, offset: float = 0.0
) -> npt.NDArray[np.float64]:
    """Draws of ln(offset + given) as `exhaustion` makes them, to draw several uses and limits with one growth.

    Raises ValueError for an estimate without an interval; offset + given must be above 0.
    """
    return _draw_log(_known("value", given), offset, generator, draws)


def date_after(start: date, months: float) -> date | None:
    """The day that lies `months` after `start`; None where it never comes or lies beyond the year 9999.

    Whole months by the calendar (a day that a month lacks is its last one), the rest as a share of the month after.
    Raises ValueError for months below 0 or NaN.
    """
    if not months >= 0:
        raise ValueError(f"a date lies 0 or more months after its start and got {months:g}")
    if math.isinf(months):
        return None
    whole = math.floor(months)
    begin, end = _months_later(start, whole), _months_later(start, whole + 1)
    if begin is None or end is None:
        return None
    return begin + timedelta(days=math.floor((months - whole) * (end - begin).days))


@dataclass(frozen=True, slots=True)
class _Between:
    low: float
    value: float
    high: float


def _months_later(start: date, months: int) -> date | None:
    years, place = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, place + 1
    if year > date.max.year:
        return None
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


def _known(name: str, given: Known) -> _Between:
    if not isinstance(given, Estimate):
        return _Between(given, given, given)
    if given.value is None or given.low is None or given.high is None:
        raise ValueError(f"the {name} is an estimate without a value or an interval; give a number or measure longer")
    if not given.low <= given.value <= given.high:
        raise ValueError(
            f"the {name} {given.value:g} must lie within its interval, which is {given.low:g} to {given.high:g}"
        )
    return _Between(given.low, given.value, given.high)


def _positive(name: str, given: Known) -> _Between:
    known = _known(name, given)
    for end in (known.low, known.value, known.high):
        _check_positive(name, end)
    return known


def _rate(given: Known) -> _Between:
    known = _known("monthly rate", given)
    for end in (known.low, known.value, known.high):
        _check_rate(end)
    return known


def _draw_log(known: _Between, offset: float, generator: np.random.Generator, draws: int) -> npt.NDArray[np.float64]:
    """Draws of ln(offset + known): the median is the value's, and the ends of the interval are its own."""
    low, middle, high = (math.log(offset + each) for each in (known.low, known.value, known.high))
    unit = generator.standard_normal(draws) / float(stats.norm.isf((1 - CONFIDENCE) / 2))
    return middle + np.where(unit < 0, (middle - low) * unit, (high - middle) * unit)


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
