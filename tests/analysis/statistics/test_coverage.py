"""The interval of a percentile holds it as often as it says: exactly counted, drawn from many shapes, and correlated.

What is expected of independent values is 93 to 97 in 100, and more than 90 of correlated ones.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import optimize, signal, stats

from capacity.analysis.measured.latency import latency_table
from capacity.analysis.statistics.percentiles import (
    effective_count,
    median_difference,
    minimum_samples,
    percentile_interval,
)

pytestmark = pytest.mark.filterwarnings("error")

Floats = npt.NDArray[np.float64]
Draw = np.random.Generator
Shape = tuple[Callable[[Draw, int], Floats], Callable[[float], float]]  # values, and the true quantile
TRIES = 500
TRIES_CORRELATED = 200
NOISE = 3 * math.sqrt(0.95 * 0.05 / TRIES)  # three standard errors of a share of 95 % among so many
QUANTILES = (0.5, 0.95, 0.99)


def exact(count: int, quantile: float) -> float:
    """The slow oracle: the chance that the true quantile lies between the ranks given, over all places it may have.

    Of the values 1 … n the ends are their own ranks, and k of n independent values are below the quantile with the
    binomial probability.
    """
    found = percentile_interval(np.arange(1.0, count + 1), quantile)
    assert found.low is not None and found.high is not None
    below = np.arange(count + 1)
    holds = (below >= found.low) & (below < found.high)
    return float(stats.binom.pmf(below[holds], count, quantile).sum())


@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.9, 0.95, 0.99, 0.999])
def test_the_ranks_hold_the_quantile_of_whatever_continuous_values(quantile: float) -> None:
    """By the binomial distribution, at 60 counts from the smallest, or 30, on: never below 95 %, nor above 97.5 %."""
    least = minimum_samples(quantile)
    counts = np.unique(np.geomspace(max(least, 30), 10 * least + 1000, 60).astype(int))
    shares = np.array([exact(int(count), quantile) for count in counts])
    assert shares.min() >= 0.95 - 1e-12
    assert shares.max() <= 0.975
    assert np.mean(shares > 0.97) <= 0.05


@pytest.mark.parametrize(
    ("count", "quantile", "ranks"),
    [(299, 0.99, (289, 299)), (59, 0.95, (50, 59)), (6, 0.5, (1, 6)), (100, 0.5, (40, 60)), (1000, 0.99, (983, 996))],
)
def test_no_nearer_ranks_hold_it(count: int, quantile: float, ranks: tuple[int, int]) -> None:
    found = percentile_interval(np.arange(1.0, count + 1), quantile)
    assert (found.low, found.high) == ranks
    starts = np.arange(1, count - (ranks[1] - ranks[0]) + 2)
    below = stats.binom(count, quantile)
    nearer = below.cdf(starts + ranks[1] - ranks[0] - 2) - below.cdf(starts - 1)
    assert nearer.max() < 0.95


def bimodal(q: float) -> float:
    """Nine in ten near 1 and one in ten near 20."""
    return float(
        optimize.brentq(lambda x: 0.9 * stats.norm.cdf(x, 1, 0.2) + 0.1 * stats.norm.cdf(x, 20, 2) - q, -9, 99)
    )


SHAPES: dict[str, Shape] = {
    "exponential": (lambda draw, n: draw.exponential(1, n), lambda q: -math.log(1 - q)),
    "lognormal": (lambda draw, n: draw.lognormal(0, 1, n), lambda q: math.exp(stats.norm.ppf(q))),
    "pareto": (lambda draw, n: draw.pareto(1.5, n) + 1, lambda q: (1 - q) ** (-1 / 1.5)),
    "bimodal": (lambda draw, n: np.where(draw.random(n) < 0.9, draw.normal(1, 0.2, n), draw.normal(20, 2, n)), bimodal),
}


def held(shape: Shape, count: int, tries: int, *, correlated: bool = False) -> dict[float, float]:
    """How often each of QUANTILES was held, of the same values."""
    draw, holds = np.random.default_rng(11), dict.fromkeys(QUANTILES, 0)
    truth = {quantile: shape[1](quantile) for quantile in QUANTILES}
    for _ in range(tries):
        values = shape[0](draw, count)
        for quantile in QUANTILES:
            worth = effective_count(values, quantile) if correlated else None
            found = percentile_interval(values, quantile, 0.95, worth)
            assert found.low is not None and found.high is not None
            holds[quantile] += found.low <= truth[quantile] <= found.high
    return {quantile: number / tries for quantile, number in holds.items()}


@functools.cache
def held_of(shape: str, count: int) -> dict[float, float]:
    return held(SHAPES[shape], count, TRIES)


@pytest.mark.parametrize("count", [300, 1000, 3000])
@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("shape", SHAPES)
def test_independent_values_of_any_shape(shape: str, quantile: float, count: int) -> None:
    """As often as the ranks do by themselves, whatever the shape."""
    assert 0.93 <= exact(count, quantile) <= 0.97
    assert held_of(shape, count)[quantile] == pytest.approx(exact(count, quantile), abs=NOISE)


def read_from_clock(grid: float) -> Shape:
    """Exponential times read from a clock that ticks once in so many means."""
    return (
        lambda draw, n: np.ceil(draw.exponential(1, n) / grid),
        lambda q: math.ceil(-math.log(1 - q) / grid),
    )


@functools.cache
def held_of_clock(grid: float, count: int) -> dict[float, float]:
    return held(read_from_clock(grid), count, TRIES)


@pytest.mark.parametrize("count", [300, 1000, 3000])
@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("grid", [0.001, 0.1, 1.0])
def test_tied_values_are_held_at_least_as_often(grid: float, quantile: float, count: int) -> None:
    """An end that is the true quantile holds it, so that on a coarse clock the interval nearly always does."""
    assert held_of_clock(grid, count)[quantile] >= exact(count, quantile) - NOISE


@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("grid", [0.1, 1.0])
def test_tied_values_are_held_as_often_as_others_where_lots_break_the_ties(grid: float, quantile: float) -> None:
    """Of the values equal to the quantile as many lie below its place as lots decide, by its share of their reading."""
    draw, count, tick = np.random.default_rng(12), 1000, math.ceil(-math.log(1 - quantile) / grid)
    before, upto = (1 - math.exp(-grid * edge) for edge in (tick - 1, tick))
    ranks = percentile_interval(np.arange(1.0, count + 1), quantile)
    assert ranks.low is not None and ranks.high is not None
    holds = 0
    for _ in range(TRIES):
        read = read_from_clock(grid)[0](draw, count)
        below = int((read < tick).sum()) + draw.binomial(
            int((read == tick).sum()), (quantile - before) / (upto - before)
        )
        holds += ranks.low <= below < ranks.high
    assert holds / TRIES == pytest.approx(exact(count, quantile), abs=NOISE)


def autoregressive(memory: float) -> Shape:
    """Log-normal times of which each resembles the one before by `memory`."""

    def values(draw: Draw, n: int) -> Floats:
        noise = draw.normal(size=n + 500) * math.sqrt(1 - memory**2)
        return np.exp(signal.lfilter([1.0], [1, -memory], noise)[500:])

    return values, lambda q: math.exp(stats.norm.ppf(q))


def waiting(load: float) -> Shape:
    """Waiting times in M/M/1 by Lindley's recursion, in service times."""

    def values(draw: Draw, n: int) -> Floats:
        steps = draw.exponential(1, n + 3000) - draw.exponential(1 / load, n + 3000)
        walk = np.concatenate([[0.0], np.cumsum(steps)])
        return (walk - np.minimum.accumulate(walk))[3001:]

    return values, lambda q: max(0.0, math.log(load / (1 - q)) / (1 - load))


def bursts(begin: float, end: float, slower: float) -> Shape:
    """Exponential times that are so much slower in bursts, which begin and end with these chances at each value."""
    share = begin / (begin + end)

    def values(draw: Draw, n: int) -> Floats:
        lengths = draw.geometric([begin, end], (n // 2, 2))
        within = np.repeat(np.tile([False, True], n // 2), lengths.ravel())
        from_here = draw.integers(len(within) - n) if len(within) > n else 0
        return draw.exponential(1, n) * np.where(within[from_here : from_here + n], slower, 1)

    def truth(q: float) -> float:
        def beyond(x: float) -> float:
            return (1 - share) * math.exp(-x) + share * math.exp(-x / slower) - (1 - q)

        return float(optimize.brentq(beyond, 0, 1000))

    return values, truth


# The smallest count of each is about 100 to 200 times its memory.
CORRELATED: dict[str, tuple[Shape, tuple[int, ...]]] = {
    "AR(1) 0.5": (autoregressive(0.5), (1000, 3000)),
    "AR(1) 0.8": (autoregressive(0.8), (1000, 3000, 10_000)),
    "AR(1) 0.95": (autoregressive(0.95), (3000, 10_000)),
    "M/M/1 at 0.5": (waiting(0.5), (3000, 10_000)),
    "M/M/1 at 0.8": (waiting(0.8), (20_000,)),
    "bursts of 20": (bursts(0.005, 0.05, 5), (3000, 10_000)),
    "bursts of 50": (bursts(0.001, 0.02, 10), (20_000,)),
}
COMBINATIONS = [(name, count) for name, (_, counts) in CORRELATED.items() for count in counts]


@functools.cache
def held_of_correlated(name: str, count: int) -> dict[float, float]:
    return held(CORRELATED[name][0], count, TRIES_CORRELATED, correlated=True)


@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize(("name", "count"), COMBINATIONS)
def test_correlated_values(name: str, count: int, quantile: float) -> None:
    """More than 90 in 100 where the series is long beside its memory."""
    assert held_of_correlated(name, count)[quantile] > 0.90


def test_taken_for_independent_they_would_be_held_far_too_rarely() -> None:
    assert held(autoregressive(0.95), 3000, 100)[0.95] < 0.6


def test_a_table_of_independent_samples_keeps_the_promise() -> None:
    """The whole way of a finding, with the correlation looked for where there is none."""
    draw, truth, holds = np.random.default_rng(13), 1000 * -math.log(0.05), 0
    due = np.arange(1000) * 1_000_000
    for _ in range(100):
        finished = due + np.round(draw.exponential(1e9, 1000)).astype(np.int64)
        values: dict[str, Any] = {"operation": "x", "scheduled_ns": due, "sent_ns": due, "finished_ns": finished}
        values |= {"outcome": "ok", "error": None, "step": 0, "worker": 0, "seq": np.arange(1000)}
        row = latency_table(pd.DataFrame(values), by=None, quantiles=(0.95,)).iloc[0]
        holds += row["p95_low_ms"] <= truth <= row["p95_high_ms"]
    assert 0.93 - 3 * math.sqrt(0.05 / 100) <= holds / 100


def test_the_median_of_differences_is_held_too() -> None:
    """Of 20 to 200 pairs, whose differences are skewed."""
    draw = np.random.default_rng(14)
    for count in (20, 60, 200):
        holds = 0
        for _ in range(TRIES):
            found = median_difference(np.zeros(count), draw.exponential(1, count))
            assert found.low is not None and found.high is not None
            holds += found.low <= math.log(2) <= found.high
        assert 0.95 - NOISE <= holds / TRIES <= 0.975 + NOISE
