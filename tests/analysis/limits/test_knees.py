"""The estimates agree where a system is what the theory says, and say so where they do not."""

import math

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.limits.knees import (
    Knee,
    beyond,
    disagreement,
    disagreement_text,
    measured_knee,
    queueing_knee,
    scalability_knee,
)
from capacity.analysis.limits.queueing import highest_arrival_rate
from capacity.analysis.limits.search import BreakingPoint, LevelResult, Search
from capacity.analysis.statistics.estimates import Estimate
from capacity.findings import Verdict

pytestmark = pytest.mark.filterwarnings("error")


def answer(truth: float) -> BreakingPoint:
    search, results = Search(100, 1600, 10, 1, 2), list[LevelResult]()
    while (attempt := search.next_level(results)) is not None:
        verdict = Verdict.PASS if attempt.level <= truth else Verdict.FAIL
        results.append(LevelResult(attempt.level, attempt.seconds, verdict, "p95"))
    return search.answer(results)


def levels(numbers: list[float], contention: float, coherency: float, unit: float = 100.0) -> pd.DataFrame:
    n = np.array(numbers)
    return pd.DataFrame(
        {"in_service": n, "completed": unit * n / (1 + contention * (n - 1) + coherency * n * (n - 1)), "rate": n}
    ).assign(verdict="PASS")


def used(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    columns = ["resource", "kind", "servers", "demand_s"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(demand_low_s=0.9 * frame["demand_s"], demand_high_s=1.1 * frame["demand_s"])


def test_the_measured_knee_lies_between_what_held_and_what_broke() -> None:
    knee = measured_knee(Estimate(350.0, 350.0, 360.0, 9), "p95")
    assert (knee.rate, knee.note) == (Estimate(355.0, 350.0, 360.0, 9), "p95")
    assert measured_knee(Estimate(350.0, 350.0, math.inf, 9), "").rate == Estimate(350.0, 350.0, math.inf, 9)
    assert measured_knee(Estimate(None, None, None, 9), "").rate.value is None


def test_the_scalability_law_gives_its_peak_where_the_places_are_beyond_it() -> None:
    knee, model = scalability_knee(levels([1, 2, 4, 8, 12, 16, 24], 0.02, 0.005), 24)
    assert model is not None and model.peak is not None
    assert knee.rate.value == pytest.approx(model.peak.throughput)
    assert knee.note == "its peak, at 14 in service"


def test_without_a_peak_it_gives_what_all_places_give_and_says_so() -> None:
    knee, model = scalability_knee(levels([1, 2, 4, 8, 12, 16], 0.05, 0.0), 16)
    assert model is not None and model.peak is None
    assert knee.rate.value == pytest.approx(100 * 16 / (1 + 0.05 * 15), rel=1e-3)
    assert knee.note == "with all 16 places in service; no peak follows from the data"


def test_too_few_levels_are_no_law_and_the_reason() -> None:
    knee, model = scalability_knee(levels([1, 2], 0.05, 0.0), 16)
    assert (knee.rate.value, model) == (None, None)
    assert knee.note.startswith("fit_usl needs at least 3 distinct load levels and got 2")


def test_throughput_that_rises_faster_than_the_number_in_service_is_no_law_of_it() -> None:
    rising = levels([1, 2, 4, 8], 0.0, 0.0).assign(completed=[100.0, 210.0, 430.0, 880.0])
    knee, model = scalability_knee(rising, 8)
    assert (knee.rate.value, model is None) == (None, False)
    assert knee.note == "throughput rises faster than the number in service, which the law does not know"


def test_the_law_is_not_asked_about_far_more_than_there_ever_were() -> None:
    knee, _ = scalability_knee(levels([1, 2, 3, 4, 5], 0.05, 0.0), 64)
    assert knee.rate.value is None
    assert knee.note == "the levels had 5 in service at most, which says little of 64"
    assert scalability_knee(levels([1, 2, 3, 4, 5], 0.05, 0.0), 10)[0].rate.value is not None


def test_without_known_places_only_a_peak_is_given() -> None:
    why = "how many jobs its workers do at once is not known"
    knee, _ = scalability_knee(levels([1, 2, 4, 8, 12, 16], 0.05, 0.0), math.inf, why)
    assert (knee.rate.value, knee.note) == (None, f"no peak follows from the data, and {why}")
    assert scalability_knee(levels([1, 2, 4, 8, 12, 16, 24], 0.02, 0.005), math.inf, why)[0].rate.value is not None


def test_levels_at_which_the_generator_was_the_limit_are_not_in_the_law() -> None:
    table = levels([1, 2, 4, 8, 12, 16], 0.05, 0.0)
    late = levels([30], 0.05, 0.0).assign(verdict="VOID", completed=100.0)
    assert scalability_knee(pd.concat([table, late]), 16)[0] == scalability_knee(table, 16)[0]


def test_waiting_lines_are_not_given_where_nobody_knows_the_servers_or_the_generator_is_the_first() -> None:
    frame = used(("CPU of the machine", "work", 2, 0.0001), ("the load's own connections", "place", 64, 0.0116))
    assert queueing_knee(frame, 0.1, 0.95).rate.value == pytest.approx(64 / 0.0116, rel=0.02)
    knee = queueing_knee(frame, 0.1, 0.95, "how many requests the API serves at once is not known")
    assert (knee.rate.value, knee.note) == (None, "how many requests the API serves at once is not known")
    assert queueing_knee(used(), 0.1, 0.95, "not known").note == "no level held, so no demand is known"
    assert queueing_knee(used(("row", "lock", 1, 0.1)), 0.1, 0.95).note == "nothing that was watched did any work"
    knee = queueing_knee(used(("CPU of the generator", "work", 1, 0.001), ("CPU", "work", 2, 0.001)), 0.1, 0.95)
    assert knee.rate.value is None
    assert knee.note.startswith("the generator would be the first at its limit, at 9")


def test_waiting_lines_take_the_resource_that_holds_least() -> None:
    frame = used(("CPU", "work", 2, 0.001), ("slots", "place", 24, 0.03), ("row locks", "lock", 4, 9.0))
    knee = queueing_knee(frame, 0.1, 0.95)
    assert knee.rate.value == highest_arrival_rate(0.03, 24, 0.1, 0.95)
    assert knee.note == "slots: 24 × 1 / 30 ms an operation"
    assert knee.rate.low == pytest.approx(highest_arrival_rate(0.033, 24, 0.1, 0.95))
    assert knee.rate.high == pytest.approx(highest_arrival_rate(0.027, 24, 0.1, 0.95))
    assert queueing_knee(used(), 0.1, 0.95).note == "no level held, so no demand is known"


def test_a_disagreement_is_a_ratio_that_holds_for_both_intervals() -> None:
    measured = Knee("measured", Estimate(200.0, 180.0, 220.0, 9), "")
    ratio = disagreement(Knee("waiting lines", Estimate(300.0, 290.0, 310.0, 3), "n"), measured)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.5, 290 / 220, 310 / 180))
    same = disagreement(Knee("waiting lines", Estimate(205.0, 190.0, 310.0, 3), "n"), measured)
    assert same.low is not None and same.high is not None and same.low < 1 < same.high


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Estimate(300.0, 290.0, 310.0, 3), "w: 1.50 (1.32 to 1.72) × the measured: it promises more; n"),
        (Estimate(100.0, 90.0, 110.0, 3), "w: 0.50 (0.41 to 0.61) × the measured: it promises less; n"),
        (
            Estimate(205.0, 190.0, 310.0, 3),
            "w: 1.02 (0.86 to 1.72) × the measured, which it does not contradict; n",
        ),
        (Estimate(None, None, None, 0), "w: not given (n)"),
    ],
)
def test_a_disagreement_in_words(rate: Estimate, said: str) -> None:
    knee = Knee("w", rate, "n")
    measured = Knee("measured", Estimate(200.0, 180.0, 220.0, 9), "")
    assert disagreement_text(knee, disagreement(knee, measured)) == said


def test_beyond_the_breaking_point_is_seen_against_what_held() -> None:
    found = answer(355)
    table = pd.DataFrame(
        {
            "rate": [350.0, 700.0, 360.0],
            "completed": [350.0, 300.0, 355.0],
            "response_p95": [20.0, 900.0, 100.0],
            "success_rate": [100.0, 97.0, 100.0],
        }
    )
    rows = beyond(table, found)
    assert rows["rate"].tolist() == [360, 700]
    assert rows["over"].tolist() == pytest.approx([360 / 350, 2])
    assert rows["of_peak"].tolist() == pytest.approx([1, 300 / 355])
    assert rows["slower"].tolist() == [5, 45]
    assert len(beyond(table, answer(0))) == 0
