"""Measurements of the same level say how much they differ, and one alone, or none that held, says that it does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from capacity.analysis.limits.levels import response_times_ms
from capacity.analysis.limits.repeatability import repeatability
from capacity.analysis.limits.search_result import SearchResult
from capacity.analysis.statistics.repetition import seconds_needed, smallest_detectable_change
from capacity.display.tables_levels import repeatability_text
from capacity.findings import Verdict
from capacity.probes.breaking_point import read_search_result

RECORDED = Path(__file__).parents[3] / "data" / "recorded" / "breaking_point"


@pytest.fixture(scope="module", params=["redis", "queue"])
def searched(request: pytest.FixtureRequest) -> SearchResult:
    return read_search_result(RECORDED / request.param)


def only(searched: SearchResult, *verdicts: Verdict, most: int = 100) -> SearchResult:
    """The search with but the first levels of these verdicts."""
    return replace(searched, levels=tuple(level for level in searched.levels if level.verdict in verdicts)[:most])


def test_the_level_that_held_most_often_is_compared_with_itself(searched: SearchResult) -> None:
    said = repeatability(searched.levels)
    assert said is not None
    same = [level for level in searched.levels if level.rate == said.rate and level.verdict is Verdict.PASS]
    assert said.rate == searched.answer.low
    assert len(said.values_ms) == len(same) >= 2
    mean = np.mean(said.values_ms)
    assert said.deviation.value == pytest.approx(np.std(said.values_ms, ddof=1) / mean)
    change = smallest_detectable_change(said.values_ms)
    assert change.high is not None
    assert (said.change.value, said.change.high) == pytest.approx((change.value / mean, change.high / mean))


def test_the_longest_measurement_says_how_long_one_should_be(searched: SearchResult) -> None:
    said = searched.repeatability
    assert said is not None
    held = [level for level in searched.levels if level.rate == said.rate and level.verdict is Verdict.PASS]
    longest = max(held, key=lambda level: level.seconds)
    try:
        needed = seconds_needed(response_times_ms(longest.frames.held), longest.seconds)
        assert said.seconds == pytest.approx(needed)
    except ValueError as error:
        assert (said.seconds, said.why) == (None, str(error))


def test_one_measurement_says_nothing_of_the_next(searched: SearchResult) -> None:
    once = only(searched, Verdict.PASS, most=1)
    said = once.repeatability
    assert said is not None
    assert (said.deviation.value, said.change.value, said.change.count) == (None, None, 1)
    assert "one measurement says nothing of the next" in repeatability_text(once)


def test_where_no_level_held_nothing_is_said(searched: SearchResult) -> None:
    broken = only(searched, Verdict.FAIL)
    assert broken.repeatability is None
    assert repeatability_text(broken) == f"{searched.name}: no level held, so none was repeated"
