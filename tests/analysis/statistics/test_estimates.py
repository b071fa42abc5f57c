"""Estimates have known answers, and their intervals hold what they promise."""

import numpy as np
import pytest

from capacity.analysis.statistics.estimates import (
    clustered_proportion,
    exactly,
    mean_rate,
    peak,
    proportion,
    ratio,
)
from capacity.analysis.statistics.percentiles import median_difference

DRAW = np.random.default_rng(7)
TRIES = 600


def held(intervals: list[tuple[float | None, float | None]], truth: float) -> float:
    return sum(low is not None and high is not None and low <= truth <= high for low, high in intervals) / len(
        intervals
    )


def test_the_exact_interval_of_a_proportion_is_the_published_one() -> None:
    """Clopper and Pearson: of 10, none gives up to 30.85 %; of 20, 10 give 27.20 % to 72.80 %."""
    none = proportion(0, 10)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.30850, abs=1e-4)
    half = proportion(10, 20)
    assert (half.low, half.high) == (pytest.approx(0.27196, abs=1e-4), pytest.approx(0.72804, abs=1e-4))


@pytest.mark.parametrize("lasts", [1, 4, 20])
def test_a_share_of_successive_looks_holds_the_truth_however_long_what_they_see_lasts(lasts: int) -> None:
    """Of 120 s of 50 looks a second, each at 2: how often it holds a share of 1 % that comes in runs of looks."""
    share, looks, busy = 0.01, 6000, 2
    clustered, plain = [], []
    for _ in range(TRIES):
        begins = np.flatnonzero(DRAW.random(looks + lasts) < share * busy / lasts)
        seen = np.bincount((begins[:, None] + np.arange(lasts)).ravel(), minlength=looks + 2 * lasts)[lasts:][:looks]
        hit = np.minimum(seen, busy)
        clustered.append(clustered_proportion(hit, np.full(looks, busy)))
        plain.append(proportion(int(hit.sum()), looks * busy))
    assert held([(each.low, each.high) for each in clustered], share) >= 0.93
    if lasts > 1:
        assert held([(each.low, each.high) for each in plain], share) < 0.85


def test_a_share_of_looks_is_the_exact_one_where_nothing_scatters() -> None:
    assert clustered_proportion([0, 0, 0], [5, 5, 5]) == proportion(0, 15)
    assert clustered_proportion([5, 5], [5, 5]) == proportion(10, 10)
    assert clustered_proportion([1, 1, 1, 1], [10, 10, 10, 10]) == proportion(4, 40)
    assert clustered_proportion([], []).value is None


def test_nothing_is_estimated_from_nothing() -> None:
    assert proportion(0, 0).value is None
    assert mean_rate([5], 1.0).low is None
    assert peak([]).value is None
    assert exactly(None, 3).value is None
    assert ratio([], []).value is None
    assert median_difference([], []).value is None


def test_a_rate_holds_the_truth_95_times_in_100() -> None:
    made = [mean_rate(DRAW.poisson(50, 30), 0.5) for _ in range(TRIES)]
    assert held([(each.low, each.high) for each in made], 100.0) == pytest.approx(0.95, abs=0.03)


def test_a_ratio_is_of_the_sums() -> None:
    assert ratio([1.0, 3.0], [2.0, 2.0]).value == 1.0
    made = []
    for _ in range(TRIES):
        counts = DRAW.poisson(40, 40) + 1
        made.append(ratio(2.0 * counts + DRAW.normal(0, 5, 40), counts))
    assert held([(each.low, each.high) for each in made], 2.0) == pytest.approx(0.95, abs=0.04)


def test_the_median_of_differences_is_free_of_what_both_share() -> None:
    made = []
    for _ in range(TRIES):
        shared = DRAW.exponential(100, 60)
        made.append(median_difference(shared, shared + DRAW.normal(0.5, 0.2, 60)))
    share = held([(each.low, each.high) for each in made], 0.5)
    assert 0.93 <= share <= 0.99
