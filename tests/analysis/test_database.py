"""The cost of row-level security is what was put in, whatever the second query of a pair gains."""

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.database import row_security_pairs
from capacity.analysis.estimates import median_difference

COST_NS, WARMTH_NS = 40_000, 25_000


def queries(rounds: int) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    seq = np.arange(4 * rounds)
    secured = np.isin(seq % 4, [0, 3])
    service = 300_000 + COST_NS * secured - WARMTH_NS * (seq % 2) + draw.normal(0, 2_000, len(seq))
    sent = seq * 1_000_000
    names = np.where(secured, "with row security", "without row security")
    return pd.DataFrame(
        {
            "operation": pd.Categorical(names),
            "scheduled_ns": sent,
            "sent_ns": sent,
            "finished_ns": sent + service.astype(np.int64),
            "outcome": pd.Categorical(["ok"] * len(seq), categories=["ok", "error", "timeout", "dropped"]),
            "seq": seq,
        }
    )


def test_the_order_within_a_pair_does_not_count() -> None:
    pairs = row_security_pairs(queries(500))
    cost = median_difference(pairs["without"], pairs["with"])
    assert cost.value == pytest.approx(COST_NS / 1e6, rel=0.02)
    assert float((pairs["with"] - pairs["without"]).std()) < WARMTH_NS / 1e6 / 4


def test_a_round_counts_as_a_whole_or_not_at_all() -> None:
    samples = queries(10).iloc[2:]
    samples.loc[samples["seq"] == 17, "outcome"] = "error"
    assert len(row_security_pairs(samples)) == 8
