"""Percentiles have known answers, and their intervals hold what they promise."""

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.latency import latency_table
from capacity.analysis.statistics.percentiles import minimum_samples, percentile_interval


def test_the_minimum_number_of_samples_is_the_published_one() -> None:
    assert [minimum_samples(quantile) for quantile in (0.95, 0.99, 0.999)] == [59, 299, 2995]
    assert [minimum_samples(quantile, 0.99) for quantile in (0.9, 0.99)] == [44, 459]


def test_below_the_minimum_a_percentile_is_not_given() -> None:
    assert percentile_interval(np.arange(298.0), 0.99).value is None
    assert percentile_interval(np.arange(299.0), 0.99).value == 296.0


def test_the_interval_holds_the_percentile_95_times_in_100() -> None:
    draw = np.random.default_rng(1)
    truth = -np.log(0.01)
    intervals = [percentile_interval(draw.exponential(1, 400), 0.99) for _ in range(2000)]
    held = np.mean([each.low is not None and each.low <= truth <= (each.high or 0) for each in intervals])
    assert held >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 2000)


def test_coordinated_omission_counts_from_the_schedule() -> None:
    """Gil Tene's example: 10,000 operations of 1 ms at 100/s, then a stall of 100 s."""
    scheduled = np.arange(20_000) * 10_000_000
    finished = scheduled + 1_000_000
    finished[10_000:] = np.maximum(finished[10_000:], 200_000_000_000)
    samples = pd.DataFrame(
        {
            "operation": "x",
            "scheduled_ns": scheduled,
            "sent_ns": scheduled,
            "finished_ns": finished,
            "outcome": "ok",
            "error": None,
            "step": 0,
            "worker": 0,
            "seq": np.arange(20_000),
        }
    )
    row = latency_table(samples, quantiles=(0.5, 0.75, 0.9, 0.99)).loc["x"]
    assert row[["p50_ms", "p75_ms", "p90_ms", "p99_ms"]].tolist() == pytest.approx(
        [1, 50_000, 80_000, 98_000], rel=1e-3
    )
