"""Percentiles with distribution-free intervals, for independent and for correlated values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

ROUNDING = 1e-12  # n·q and the ratio of two logarithms may miss a whole number by this share of themselves
BATCHES = 32  # long batches forget their neighbours, and 31 degrees of freedom know a variance to about 25 %


@dataclass(frozen=True, slots=True)
class PercentileInterval:
    """A percentile of `count` values between `low` and `high`; all three are None below the minimum count.

    An infinite bound says that the values bound that side not at all; an infinite value is a censored one.
    """

    low: float | None
    value: float | None
    high: float | None
    count: int


def minimum_samples(quantile: float, confidence: float = 0.95) -> int:
    """The smallest n whose extreme value bounds the quantile: max(q, 1 − q)ⁿ <= 1 − confidence.

    Raises ValueError for a quantile or confidence outside (0, 1). Source: Wilks, Ann. Math. Stat. 12 (1941).
    """
    _check_share("quantile", quantile)
    _check_share("confidence", confidence)
    exact = math.log(1 - confidence) / math.log(max(quantile, 1 - quantile))
    return max(1, math.ceil(exact * (1 - ROUNDING)))


def percentile_interval(
    values: npt.ArrayLike, quantile: float, confidence: float = 0.95, effective_count: float | None = None
) -> PercentileInterval:
    """The value at rank ⌈n·q⌉ between the two order statistics that hold the true quantile with `confidence`.

    `values` in any order and unit; +inf (a censored value) sorts last. Each tail takes half of the error; where a tail
    would need a value beyond the extreme one it takes the extreme and the other tail has the rest of the error.
    `effective_count` is the number of independent values that these are worth: the ranks come from it. Where it is
    below the minimum the percentile is given and its far side is unbounded.
    Raises ValueError for NaN. Source: David and Nagaraja, Order Statistics (2003), 7.1.
    """
    return sorted_interval(np.sort(np.asarray(values, dtype=float)), quantile, confidence, effective_count)


def sorted_interval(
    ordered: npt.NDArray[np.float64], quantile: float, confidence: float = 0.95, effective_count: float | None = None
) -> PercentileInterval:
    """As `percentile_interval`, of values that are in ascending order."""
    count = len(ordered)
    if count and math.isnan(ordered[-1]):
        raise ValueError("a percentile needs numbers and got NaN; leave out what was not measured, or censor it as inf")
    if count < minimum_samples(quantile, confidence):
        return PercentileInterval(None, None, None, count)
    worth = count if effective_count is None else max(1, min(count, math.floor(effective_count)))
    lower, upper = _ranks(worth, quantile, 1 - confidence)
    rank = value_rank(count, quantile)
    # The misses are "at most lower − 1" and "at least upper" values below the quantile; shares of n carry them over.
    low = ordered[min((lower - 1) * count // worth, rank - 1)] if lower >= 1 else -math.inf
    high = ordered[max(-(-upper * count // worth), rank) - 1] if upper <= worth else math.inf
    return PercentileInterval(float(low), float(ordered[rank - 1]), float(high), count)


def value_rank(count: int, quantile: float) -> int:
    """The rank ⌈n·q⌉, from 1, of the sample quantile (numpy's `inverted_cdf`), free of the rounding of n·q."""
    return max(1, math.ceil(count * quantile * (1 - ROUNDING)))


def _ranks(count: int, quantile: float, error: float) -> tuple[int, int]:
    """The lower and upper rank; 0 and count + 1 stand for none."""
    if quantile < 0.5:
        lower, upper = _ranks(count, 1 - quantile, error)
        return count + 1 - upper, count + 1 - lower
    below = stats.binom(count, quantile)
    upper = int(below.isf(error / 2)) + 1
    if upper <= count:
        return _lower_rank(below, error / 2), upper
    beyond = quantile**count
    if beyond > error * (1 + ROUNDING):
        return _lower_rank(below, error / 2), count + 1
    return _lower_rank(below, error - beyond), count


def _lower_rank(below: Any, error: float) -> int:
    """The largest l with P(fewer than l values below the quantile) <= error; 0 where there is none."""
    if error <= 0:
        return 0
    rank = int(below.ppf(error))
    return rank + int(below.cdf(rank) <= error)


def effective_count(values_in_time_order: npt.ArrayLike, quantile: float, batches: int = BATCHES) -> float:
    """How many independent values these are worth for the quantile q̂: n, less the correlation of successive ones.

    n divided by the variance of batch means of the indicator x <= q̂ over what it would be for independent values,
    p(1 − p) over the batch size; never above n. Fewer than two values a batch are taken as independent.
    Source: Heidelberger and Lewis, Operations Research 32 (1984), with batch means after Schmeiser (1982).
    """
    values = np.asarray(values_in_time_order, dtype=float)
    if len(values) < 2 * batches:
        return float(len(values))
    rank = value_rank(len(values), quantile)
    return effective_count_at(values, np.partition(values, rank - 1)[rank - 1], batches)


def effective_count_at(values: npt.NDArray[np.float64], threshold: float, batches: int = BATCHES) -> float:
    """As `effective_count`, for the indicator x <= `threshold`."""
    count, size = len(values), len(values) // batches
    if size < 2:
        return float(count)
    within = (values[count - size * batches :] <= threshold).reshape(batches, size).mean(axis=1)
    share = within.mean()
    if share in (0.0, 1.0):
        return float(count)
    inflation = within.var(ddof=1) * size / (share * (1 - share))
    return float(count / max(1.0, inflation))


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"the {name} must lie between 0 and 1, both excluded, and is {value:g}; p99 is 0.99")
