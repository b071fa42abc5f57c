"""A change is more than chance as often as it should be, and a promise's outcome is what its two verdicts say."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from capacity.analysis.measured.comparison import (
    COLUMNS,
    Change,
    PromiseOutcome,
    Significance,
    change_of,
    compare_findings,
    direction_of,
    issues,
    outcome_of,
)
from capacity.analysis.statistics.repetition import smallest_detectable_change
from capacity.findings import Finding, Objective, Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
NO_DATA, VOID = Verdict.NO_DATA, Verdict.VOID
FAST = Objective("a.x", "<", 10.0, "ms", "Latency", "report")


def found(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> Finding:
    return Finding(**{"name": "a.x", "value": value, "unit": "ms", "low": low, "high": high, "count": 500, **more})


def exact(value: float, **more: Any) -> Finding:
    return found(value, value, value, **more)


def wilson(successes: int, total: int) -> tuple[float, float]:
    z, share = stats.norm.ppf(0.975), successes / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return middle - half, middle + half


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 873, table II, method 10: 56/70 − 48/80, 9/10 − 3/10, 10/10 − 0/10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    after, before = (found(wins / total, *wilson(wins, total)) for wins, total in (one, other))
    change = change_of(before, after)
    assert (change.low, change.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert change.answer is Significance.CHANGED


def mean_of(values: np.ndarray[Any, Any]) -> Finding:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return found(values.mean(), values.mean() - half, values.mean() + half)


def test_an_unchanged_mean_seems_to_change_in_one_of_twenty() -> None:
    """5 % of 2,000 pairs of runs of 30 values, within three standard errors of a share (1.5 %)."""
    draw = np.random.default_rng(1)
    pairs = [[mean_of(draw.normal(size=30)) for _ in range(2)] for _ in range(2000)]
    changed = np.mean([change_of(*pair).answer is Significance.CHANGED for pair in pairs])
    assert changed == pytest.approx(0.05, abs=0.015)


def test_repetitions_keep_the_variation_between_runs_from_being_a_change() -> None:
    """Runs that differ by 5 while each is known to ± 2: without repetitions most seem to change, with three few."""
    draw = np.random.default_rng(2)

    def run() -> Finding:
        value = 100 + 5 * draw.normal()
        return found(value, value - 2, value + 2)

    trials = [(run(), run(), [run() for _ in range(3)]) for _ in range(800)]
    alone = np.mean([change_of(before, after).answer is Significance.CHANGED for before, after, _ in trials])
    known = np.mean([change_of(*trial).answer is Significance.CHANGED for trial in trials])
    assert alone > 0.5
    assert known < 0.073  # 5 % and three standard errors; it is less, as the run before is one of the four


def test_a_change_beyond_what_runs_differ_by_is_one() -> None:
    before, repetitions = found(100, 98, 102), [found(104, 102, 106), found(97, 95, 99), found(101, 99, 103)]
    values = [100.0, 104.0, 97.0, 101.0]
    margin = stats.t.ppf(0.975, 3) * math.sqrt(2) * np.std(values, ddof=1)
    assert margin == pytest.approx(13.0, abs=0.1)
    for value, answer in ((112, Significance.WITHIN_CHANCE), (114, Significance.CHANGED)):
        change = change_of(before, found(value, value - 2, value + 2), repetitions)
        assert change.answer is answer
        assert (change.low, change.high) == (pytest.approx(value - 100 - margin), pytest.approx(value - 100 + margin))
        assert change.detectable == smallest_detectable_change(values).value


@pytest.mark.parametrize(
    ("before", "after", "answer", "value"),
    [
        (exact(9), exact(11), Significance.COUNTED, 2),
        (exact(9), exact(9), Significance.WITHIN_CHANCE, 0),
        (exact(0), found(3, 1, 5), Significance.CHANGED, 3),
        (found(5, 4, 6), found(6, 5, 7), Significance.WITHIN_CHANCE, 1),
        (found(5, 4, 6), found(50, 9, math.inf), Significance.CHANGED, 45),
        (found(5, 4, 6), found(50), Significance.NOT_COMPARED, 45),
        (found(5, 4, 6), found(None), Significance.NOT_COMPARED, None),
        (found(math.inf, 4, math.inf), found(math.inf, 9, math.inf), Significance.NOT_COMPARED, None),
        (found(5, 4, 6), None, Significance.NOT_COMPARED, None),
        (None, found(5, 4, 6), Significance.NOT_COMPARED, None),
        (found(5, 4, 6), found(9, 8, 10, unit="s"), Significance.NOT_COMPARED, None),
        (found(5, 4, 6), found(9, 8, 10, void="the generator was the limit"), Significance.NOT_COMPARED, None),
    ],
)
def test_limit_cases_of_a_change(
    before: Finding | None, after: Finding | None, answer: Significance, value: float | None
) -> None:
    change = change_of(before, after)
    assert (change.answer, change.value) == (answer, value)


def test_repetitions_tell_a_count_that_changed_from_one_that_varies() -> None:
    assert change_of(exact(9), exact(11), [exact(8), exact(12), exact(10)]).answer is Significance.WITHIN_CHANCE
    assert change_of(exact(9), exact(30), [exact(8), exact(12), exact(10)]).answer is Significance.CHANGED


OUTCOMES = {
    PASS: [
        PromiseOutcome.HOLDS,
        PromiseOutcome.REGRESSED,
        PromiseOutcome.IN_DOUBT,
        PromiseOutcome.IN_DOUBT,
        PromiseOutcome.IN_DOUBT,
    ],
    FAIL: [
        PromiseOutcome.RESOLVED,
        PromiseOutcome.REMAINS,
        PromiseOutcome.UNDECIDED,
        PromiseOutcome.UNDECIDED,
        PromiseOutcome.UNDECIDED,
    ],
    INCONCLUSIVE: [
        PromiseOutcome.HOLDS,
        PromiseOutcome.NEW,
        PromiseOutcome.OPEN,
        PromiseOutcome.OPEN,
        PromiseOutcome.OPEN,
    ],
    NO_DATA: [PromiseOutcome.HOLDS, PromiseOutcome.NEW, PromiseOutcome.OPEN, PromiseOutcome.OPEN, PromiseOutcome.OPEN],
    VOID: [PromiseOutcome.HOLDS, PromiseOutcome.NEW, PromiseOutcome.OPEN, PromiseOutcome.OPEN, PromiseOutcome.OPEN],
}


@pytest.mark.parametrize("before", list(OUTCOMES))
def test_the_outcome_of_every_pair_of_verdicts(before: Verdict) -> None:
    after = (PASS, FAIL, INCONCLUSIVE, NO_DATA, VOID)
    assert [outcome_of(before, each, None) for each in after] == OUTCOMES[before]


def test_an_undecided_promise_regresses_where_it_got_worse() -> None:
    assert outcome_of(INCONCLUSIVE, FAIL, "worse") is PromiseOutcome.REGRESSED
    assert outcome_of(INCONCLUSIVE, FAIL, "better") is PromiseOutcome.NEW


@pytest.mark.parametrize(
    ("relation", "limit", "value", "direction"),
    [
        ("<", 10, 1, "worse"),
        ("<=", 10, -1, "better"),
        (">", 10, 1, "better"),
        (">=", 10, -1, "worse"),
        ("==", 0, 1, "worse"),
        ("==", 0, -1, "better"),
        ("==", 5, 1, None),
        ("<", 10, 0, None),
    ],
)
def test_which_way_is_worse_is_what_the_promise_says(
    relation: str, limit: float, value: float, direction: str | None
) -> None:
    objective = Objective("a.x", relation, limit, "ms")
    assert direction_of(Change(Significance.CHANGED, value, value, value), objective) == direction
    assert direction_of(Change(Significance.WITHIN_CHANCE, value, -2, 2), objective) is None


def test_two_runs_are_a_row_a_finding_in_the_order_of_the_first() -> None:
    before = [found(5, 4, 6), exact(3, name="a.count", unit=""), found(20, 18, 22, name="b.y")]
    after = [exact(7, name="c.z"), found(15, 13, 17), found(8, 7, 9, name="b.y")]
    promised = [FAST, Objective("b.y", "<", 10.0, "ms", "Y"), Objective("d.none", "==", 0.0, "jobs", "None")]
    compared = compare_findings(before, after, promised)
    assert tuple(compared.columns) == COLUMNS
    assert list(compared["finding"]) == ["a.x", "a.count", "b.y", "c.z", "d.none"]
    assert compared["change"].dtype == float
    row = compared.set_index("finding").loc["a.x"]
    margin = math.hypot(2, 1)
    assert (row["change"], row["change_low"], row["change_high"]) == (10, 10 - margin, 10 + margin)
    assert row["change_share"] == 2
    assert (row["answer"], row["direction"], row["outcome"]) == ("changed", "worse", "regressed")
    assert (row["title"], row["promise"], row["unit"]) == ("Latency", "< 10 ms", "ms")
    assert (row["verdict_before"], row["verdict_after"]) == ("PASS", "FAIL")
    assert list(compared["outcome"]) == ["regressed", None, "resolved", None, "open"]
    assert pd.isna(compared["change"].iloc[[1, 3, 4]]).all()
    found_ones = {name: list(rows["finding"]) for name, rows in issues(compared).items()}
    assert found_ones == {"found": ["b.y"], "resolved": ["b.y"], "new": ["a.x"]}


def test_nothing_compared_with_nothing_is_an_empty_frame() -> None:
    compared = compare_findings([], [])
    assert tuple(compared.columns) == COLUMNS
    assert len(compared) == 0
    assert {name: len(rows) for name, rows in issues(compared).items()} == {"found": 0, "resolved": 0, "new": 0}


def test_a_run_compared_with_itself_did_not_change() -> None:
    run = [found(5, 4, 6), exact(3, name="a.count", unit=""), found(None, name="a.none", note="needs 299")]
    compared = compare_findings(run, run, [FAST])
    assert list(compared["answer"]) == ["within chance", "within chance", "not compared"]
    assert list(compared["outcome"]) == ["holds", None, None]
