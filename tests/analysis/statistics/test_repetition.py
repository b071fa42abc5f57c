"""A run of the length that was asked for knows what it should, and a change as large as said is found as often."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import signal, stats

from capacity.analysis.statistics.percentiles import effective_count, percentile_interval
from capacity.analysis.statistics.repetition import seconds_needed, smallest_detectable_change

pytestmark = pytest.mark.filterwarnings("error")

Values = np.ndarray[Any, Any]


def correlated(draw: np.random.Generator, count: int) -> Values:
    """Log-normal times of which each resembles the one before (0.8)."""
    return np.exp(signal.lfilter([0.6], [1, -0.8], draw.normal(size=count + 100))[100:])


def half_width(values: Values) -> float:
    found = percentile_interval(values, 0.99, 0.95, effective_count(values, 0.99))
    assert found.low is not None and found.value is not None and found.high is not None
    return (found.high - found.low) / 2 / found.value


@pytest.mark.parametrize("kind", ["independent", "correlated"])
def test_a_run_of_the_length_needed_knows_the_percentile_as_well_as_was_wanted(kind: str) -> None:
    """± 10 % from pilots of 5,000 operations at 100/s, in the median of 200 pilots and of 200 runs, to 15 %."""
    draw = np.random.default_rng(4)
    make = correlated if kind == "correlated" else lambda draw, count: draw.exponential(1, count)
    needed = float(np.median([seconds_needed(make(draw, 5000), 50) for _ in range(200)]))
    reached = np.median([half_width(make(draw, round(needed * 100))) for _ in range(200)])
    assert reached == pytest.approx(0.1, rel=0.15)


def test_half_the_width_takes_four_times_as_long() -> None:
    pilot = np.random.default_rng(5).exponential(1, 2000)
    assert seconds_needed(pilot, 20, within=0.05) == pytest.approx(4 * seconds_needed(pilot, 20, within=0.1))


def test_correlated_values_take_longer_than_the_same_values_shuffled() -> None:
    draw = np.random.default_rng(6)
    pilot = correlated(draw, 20_000)
    assert seconds_needed(pilot, 20) > 2 * seconds_needed(draw.permutation(pilot), 20)


@pytest.mark.parametrize(
    ("values", "seconds", "message"),
    [
        (
            np.ones(200),
            10,
            "the pilot's 200 values are worth 200 independent ones and do not bound the quantile 0.99; "
            "run it for about 30 s",
        ),
        ([], 10, "the pilot's 0 values are worth 0 independent ones and do not bound the quantile 0.99; "),
        (
            np.concatenate([np.ones(980), np.full(20, math.inf)]),
            10,
            "the quantile 0.99 lies among the censored values; lower the load or wait longer for answers",
        ),
        (np.zeros(400), 10, "a share of a percentile needs one above 0 and it is 0; give times as measured"),
    ],
)
def test_a_pilot_that_cannot_say_is_refused(values: Any, seconds: float, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        seconds_needed(values, seconds)
    assert str(refused.value).startswith(message)


def test_64_runs_find_half_a_standard_deviation() -> None:
    """Cohen's table (1988, 2.4.1): d = 0.5 at 5 % two-sided and a power of 0.80 takes 64 in each group."""
    runs = stats.norm.ppf((np.arange(64) + 0.5) / 64)
    change = smallest_detectable_change(runs)
    assert change.value == pytest.approx(0.5 * runs.std(ddof=1), rel=0.01)
    assert change.count == 64


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_a_change_as_large_is_found_as_often_as_was_asked(count: int) -> None:
    draw = np.random.default_rng(2)
    runs = np.linspace(-1, 1, count)
    change = smallest_detectable_change(runs / runs.std(ddof=1)).value or math.nan
    before, after = draw.normal(100, 1, (10_000, count)), draw.normal(100 + change, 1, (10_000, count))
    found = stats.ttest_ind(before, after, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_the_interval_of_the_change_holds_what_the_true_variation_gives() -> None:
    draw = np.random.default_rng(3)
    truth = smallest_detectable_change([100 - math.sqrt(0.5) * 2, 100, 100 + math.sqrt(0.5) * 2]).value or math.nan
    found = [smallest_detectable_change(draw.normal(100, math.sqrt(2), 3)) for _ in range(600)]
    held = [each.low is not None and each.high is not None and each.low <= truth <= each.high for each in found]
    assert np.mean(held) == pytest.approx(0.95, abs=0.027)


def test_runs_that_agree_exactly_show_any_change() -> None:
    assert smallest_detectable_change([5.0, 5.0, 5.0]).high == 0.0


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([5.0], "the variation between runs needs 2 or more finite values and got 1 of 1; repeat the run"),
        ([5, math.nan], "the variation between runs needs 2 or more finite values and got 1 of 2; repeat the run"),
    ],
)
def test_too_little_to_know_the_variation_is_refused(runs: list[float], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        smallest_detectable_change(runs)
    assert str(refused.value) == message
