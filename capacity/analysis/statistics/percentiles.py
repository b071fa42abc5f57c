"""Percentiles with distribution-free intervals, for independent and for correlated values."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from capacity.analysis.statistics.conventions import CONFIDENCE
from capacity.analysis.statistics.estimates import Estimate

ROUNDING = 1e-12  # n·q and the ratio of two logarithms may miss a whole number by this share of themselves
BATCHES = 32  # long enough to be hardly correlated, and 31 degrees of freedom know a variance to about 25 %
LEAST_AUTOCORRELATION = 0.1  # at lag 1, between batches: less is chance
MOST_AUTOCORRELATION = 0.5  # more is a drift of the whole series, which no longer one would average out
MANY = 100.0  # from this variance of the rank on, one rank more or less changes the coverage by less than 0.6 %


def minimum_samples(quantile: float, confidence: float = CONFIDENCE) -> int:
    """The smallest n whose extreme value bounds the quantile: max(q, 1 − q)ⁿ <= 1 − confidence.

    Parameters
    ----------
    quantile, confidence : float
        Between 0 and 1, both excluded; p99 is 0.99.

    Returns
    -------
    int
        The number of independent values below which a percentile is not given.

    Raises
    ------
    ValueError
        For a quantile or confidence outside (0, 1).

    References
    ----------
    Wilks, Annals of Mathematical Statistics 12 (1941).

    Examples
    --------
    >>> from capacity import minimum_samples
    >>> [minimum_samples(quantile, confidence=0.95) for quantile in (0.95, 0.99, 0.999)]
    [59, 299, 2995]
    """
    _check_share("quantile", quantile)
    _check_share("confidence", confidence)
    exact = math.log(1 - confidence) / math.log(max(quantile, 1 - quantile))
    return max(1, math.ceil(exact * (1 - ROUNDING)))


def percentile_interval(
    values: npt.ArrayLike, quantile: float, confidence: float = CONFIDENCE, effective_count: float | None = None
) -> Estimate:
    """The value at rank ⌈n·q⌉ between the two order statistics that hold the true quantile with `confidence`.

    Of such pairs it takes the nearest. Ranks are whole numbers, so the pair holds the quantile somewhat more often than
    asked: 95.0 to 97.5 times in 100 for 95, and more often where many values are equal.

    Parameters
    ----------
    values : array_like
        In any order and unit; +inf (a censored value) sorts last.
    quantile, confidence : float
        Between 0 and 1, both excluded; p99 is 0.99.
    effective_count : float, optional
        How many independent values these are worth, from which the ranks come; the far side may then be unbounded.

    Returns
    -------
    Estimate
        low, value and high in the unit of `values`, and count; all three are None below `minimum_samples`.

    Raises
    ------
    ValueError
        For NaN, and for a quantile or confidence outside (0, 1).

    References
    ----------
    David and Nagaraja, Order Statistics (2003), 7.1.

    Examples
    --------
    >>> from capacity import percentile_interval
    >>> percentile_interval(range(1, 1001), 0.99, confidence=0.95)
    Estimate(value=990.0, low=983.0, high=996.0, count=1000)
    >>> percentile_interval(range(1, 299), 0.99, confidence=0.95).value is None
    True
    """
    return sorted_interval(np.sort(np.asarray(values, dtype=float)), quantile, confidence, effective_count)


def sorted_interval(
    ordered: npt.NDArray[np.float64],
    quantile: float,
    confidence: float = CONFIDENCE,
    effective_count: float | None = None,
) -> Estimate:
    """As `percentile_interval`, of values that are in ascending order."""
    count = len(ordered)
    if count and math.isnan(ordered[-1]):
        raise ValueError("a percentile needs numbers and got NaN; leave out what was not measured, or censor it as inf")
    if count < minimum_samples(quantile, confidence):
        return Estimate(None, None, None, count)
    worth = count if effective_count is None else max(1, min(count, math.floor(effective_count)))
    lower, upper = _ranks(worth, quantile, 1 - confidence)
    rank = value_rank(count, quantile)
    # The ranks are of `worth` values; the same shares of all `count` values are taken.
    low = ordered[min((lower - 1) * count // worth, rank - 1)] if lower >= 1 else -math.inf
    high = ordered[max(-(-upper * count // worth), rank) - 1] if upper <= worth else math.inf
    return Estimate(float(ordered[rank - 1]), float(low), float(high), count)


def median_difference(first: npt.ArrayLike, second: npt.ArrayLike) -> Estimate:
    """The median of second − first over pairs, with the interval of the sign test (6 pairs or more).

    Source: Conover, Practical Nonparametric Statistics, 3.4.
    """
    differences = np.subtract(second, first)
    found = percentile_interval(differences, 0.5)
    if found.low is None or math.isinf(found.low):
        return Estimate(None, None, None, len(differences))
    return replace(found, value=float(np.median(differences)))


def value_rank(count: int, quantile: float) -> int:
    """The rank ⌈n·q⌉, from 1, of the sample quantile (numpy's `inverted_cdf`), free of the rounding of n·q."""
    return max(1, math.ceil(count * quantile * (1 - ROUNDING)))


@lru_cache(maxsize=4096)
def _ranks(count: int, quantile: float, error: float) -> tuple[int, int]:
    """The lower and upper rank; 0 and count + 1 stand for none."""
    if quantile < 0.5:
        lower, upper = _ranks(count, 1 - quantile, error)
        return count + 1 - upper, count + 1 - lower
    if count * quantile * (1 - quantile) > MANY:
        return _lower_rank(count, quantile, error / 2), int(stats.binom.isf(error / 2, count, quantile)) + 1
    return _nearest_ranks(count, quantile, error) or (_lower_rank(count, quantile, error / 2), count + 1)


def _nearest_ranks(count: int, quantile: float, error: float) -> tuple[int, int] | None:
    """The ranks l < u nearest to each other with P(l <= values below the quantile < u) >= 1 − error.

    Of several, those whose tails are most alike; None where even the extreme value bounds it too rarely.
    """
    lowers = np.arange(_lower_rank(count, quantile, error) + 1)
    tails = stats.binom.cdf(lowers - 1, count, quantile)
    most = np.minimum(1 - error * (1 + ROUNDING) + tails, 1)
    uppers = stats.binom.ppf(most, count, quantile).astype(int) + 1
    apart = np.abs(tails - stats.binom.sf(uppers - 1, count, quantile))
    order = np.lexsort((apart, uppers - lowers, uppers > count))
    best = order[0]
    return (int(lowers[best]), int(uppers[best])) if uppers[best] <= count else None


def _lower_rank(count: int, quantile: float, error: float) -> int:
    """The largest l with P(fewer than l values below the quantile) <= error; 0 where there is none."""
    if error <= 0:
        return 0
    rank = int(stats.binom.ppf(error, count, quantile))
    return rank + int(stats.binom.cdf(rank, count, quantile) <= error)


def effective_count(values_in_time_order: npt.ArrayLike, quantile: float) -> float:
    """How many independent values these are worth for the quantile q: fewer than n where neighbours are alike.

    Cut the series into batches, and take the share of values x <= q in each. If the values were independent, these
    shares would have the variance p(1 − p) / batch size. Theirs is larger by some factor, and n over that factor is
    the answer, never above n. Where batches still have a lag-1 autocorrelation r, the factor is multiplied by
    (1 + r) / (1 − r). Fewer than two values a batch are taken as independent.
    A series must be much longer than the time over which its values are alike. From about 200 times as long on, the
    interval holds the quantile more than 90 times in 100.
    Source: Heidelberger and Lewis, Operations Research 32 (1984), with batch means after Schmeiser (1982), and for
    the autocorrelation of batches Fishman's autoregressive method, Management Science 18 (1971).
    """
    values = np.asarray(values_in_time_order, dtype=float)
    if len(values) < 2 * BATCHES:
        return float(len(values))
    rank = value_rank(len(values), quantile)
    return effective_count_at(values, np.partition(values, rank - 1)[rank - 1])


def effective_count_at(values: npt.NDArray[np.float64], threshold: float) -> float:
    """As `effective_count`, for the indicator x <= `threshold`."""
    count, size = len(values), len(values) // BATCHES
    if size < 2:
        return float(count)
    within = (values[count - size * BATCHES :] <= threshold).reshape(BATCHES, size).mean(axis=1)
    share = within.mean()
    if share in (0.0, 1.0):
        return float(count)
    inflation = within.var(ddof=1) * size / (share * (1 - share)) * _variance_factor(within - share)
    return float(count / max(1.0, inflation))


def _variance_factor(deviations: npt.NDArray[np.float64]) -> float:
    """How many times the variance of the mean is that of independent batches, by their lag-1 autocorrelation."""
    squares = float((deviations**2).sum())
    if not squares:
        return 1.0
    # Around their own mean, b independent values are correlated by −1/b.
    lag_1 = float((deviations[1:] * deviations[:-1]).sum()) / squares + 1 / len(deviations)
    lag_1 = min(lag_1, MOST_AUTOCORRELATION)
    return (1 + lag_1) / (1 - lag_1) if lag_1 > LEAST_AUTOCORRELATION else 1.0


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"the {name} must lie between 0 and 1, both excluded, and is {value:g}; p99 is 0.99")
