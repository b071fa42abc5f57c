"""A value with its interval: shares, rates, ratios, differences and counts."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from capacity.analysis.statistics.conventions import CONFIDENCE

BATCHES = 20  # between 10 and 30 batches, more add little (Schmeiser 1982) and longer ones are less correlated


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value from `count` observations, between `low` and `high`; None where the data do not give it.

    An infinite bound says that the values do not bound that side; an infinite value is a censored one. `why` is the
    cause where there is no value.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int
    why: str = field(default="", repr=False)


def times(estimate: Estimate, factor: float) -> Estimate:
    """An estimate in another unit, or of a load that is so many times as large: all its ends times the factor."""
    value, low, high = (None if end is None else end * factor for end in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.count, estimate.why)


def proportion(successes: float, total: float) -> Estimate:
    """The share of successes, 0–1, with the exact interval of Clopper and Pearson, Biometrika 26 (1934).

    Numbers that are not whole are what correlated observations are worth in independent ones.

    Raises ValueError where successes lie outside 0 to total.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"a proportion needs 0 <= successes <= total and got {successes} of {total}")
    if total == 0:
        return Estimate(None, None, None, 0)
    from scipy import stats  # takes longer to load than all else that reads a plan

    tail = (1 - CONFIDENCE) / 2
    low = float(stats.beta.ppf(tail, successes, total - successes + 1)) if successes else 0.0
    high = float(stats.beta.isf(tail, successes + 1, total - successes)) if successes < total else 1.0
    return Estimate(successes / total, low, high, int(total))


def clustered_proportion(successes: npt.ArrayLike, totals: npt.ArrayLike) -> Estimate:
    """As `proportion`, of observations that may be like their neighbours: the successes and the totals of each reading.

    Both counts are divided by how much more the successes of up to 20 batches scatter than independent ones would
    (the design effect: Kish, Survey Sampling (1965), 5.4; never below 1). Where none or all succeeded nothing scatters,
    and the observations are taken as independent. Raises ValueError for series of unlike length.
    """
    hit, seen = _paired(successes, totals)
    estimate = proportion(float(hit.sum()), float(seen.sum()))
    if not estimate.value or estimate.value == 1 or len(hit) < 2:
        return estimate
    starts = np.linspace(0, len(hit), min(BATCHES, len(hit)), endpoint=False).astype(int)
    hits, sizes = np.add.reduceat(hit, starts), np.add.reduceat(seen, starts)
    scatter = float(((hits - estimate.value * sizes) ** 2).sum()) / (len(starts) - 1)
    effect = max(1.0, scatter / (estimate.value * (1 - estimate.value) * float(sizes.mean())))
    bounds = proportion(float(hit.sum()) / effect, float(seen.sum()) / effect)
    return replace(bounds, value=estimate.value, count=estimate.count)


def mean_rate(counts_per_interval: npt.ArrayLike, seconds: float) -> Estimate:
    """Events per second from the counts of successive intervals of `seconds`; none from fewer than two intervals.

    Student's t on the means of up to 20 batches of successive intervals, since neighbours are correlated (batch means:
    Law, Simulation Modeling and Analysis, 9.5.3).
    """
    rates = np.asarray(counts_per_interval, dtype=float) / seconds
    if len(rates) < 2:
        return Estimate(None, None, None, len(rates))
    size = -(-len(rates) // BATCHES)
    batches = len(rates) // size
    means = rates[len(rates) - batches * size :].reshape(batches, size).mean(axis=1)
    margin = margin_of_mean(means)
    value = float(rates.mean())
    return Estimate(value, max(0.0, value - margin), value + margin, len(rates))


def margin_of_mean(values: npt.ArrayLike) -> float:
    """Half of the interval of the mean of independent values, by Student's t; it takes two or more."""
    given = np.asarray(values, dtype=float)
    return student(len(given) - 1) * float(given.std(ddof=1)) / math.sqrt(len(given))


def ratio(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> Estimate:
    """Sum over sum, as I/O time per read from the differences of two counters in successive intervals.

    The delete-one jackknife gives the standard error and Student's t the interval (Efron and Tibshirani, An
    Introduction to the Bootstrap, 11.5); no interval where all of the denominator lies in one interval.
    Raises ValueError for series of unlike length.
    """
    above, under = _paired(numerators, denominators)
    count, total = len(above), float(under.sum())
    if count < 2 or total == 0:
        return Estimate(None, None, None, count)
    value = float(above.sum()) / total
    rest = total - under
    if (rest == 0).any():
        return Estimate(value, None, None, count)
    left_out = (above.sum() - above) / rest
    error = math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))
    margin = student(count - 1) * error
    floor = 0.0 if (above >= 0).all() and (under >= 0).all() else -math.inf
    return Estimate(value, max(floor, value - margin), value + margin, count)


def as_share(estimate: Estimate) -> Estimate:
    """The estimate of a part of a whole, whose interval by Student's t may reach beyond what a share can be: 0 to 1."""
    low, high = (None if end is None else min(1.0, max(0.0, end)) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def backlog_slope(at_s: npt.ArrayLike, depth: npt.ArrayLike) -> Estimate:
    """By how many jobs per second a backlog grows, from its `depth` read at the times `at_s` in seconds, ascending.

    A slope wholly above 0 says that more arrives than is served: the queue is unstable, whatever its latency so far.
    It is the ratio of what was gained to the time that passed, over up to 20 batches of readings. Successive depths are
    alike, because each is the one before plus a change; the changes of whole batches are not. In a stable queue a batch
    gives back what the one before gained, so there the interval is wider than need be.
    """
    at, depths = _paired(at_s, depth)
    if len(at) < 3:
        return Estimate(None, None, None, len(at))
    edges = np.linspace(0, len(at) - 1, min(BATCHES, len(at) - 1) + 1).round().astype(int)
    return replace(ratio(np.diff(depths[edges]), np.diff(at[edges])), count=len(at))


def exactly(value: float | None, count: int, why: str = "") -> Estimate:
    """A value without uncertainty, from `count` readings; None where there is none, and `why`."""
    return Estimate(value, value, value, count, "" if value is not None else why)


def explained(estimate: Estimate, why: str) -> Estimate:
    """The estimate, which says `why` where it has no value and says nothing yet."""
    return estimate if estimate.value is not None or estimate.why else replace(estimate, why=why)


def peak(values: npt.ArrayLike) -> Estimate:
    """The highest of the readings, which is what it is: its interval is the value itself; none without readings."""
    readings = np.asarray(values, dtype=float)
    readings = readings[~np.isnan(readings)]
    return exactly(float(readings.max()) if len(readings) else None, len(readings))


def student(degrees: int) -> float:
    """How many standard errors the interval of a mean reaches to either side, by Student's t."""
    from scipy import stats

    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


def _paired(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if len(one) != len(other):
        raise ValueError(f"the two series must be equally long and have {len(one)} and {len(other)} values")
    return one, other
