"""Later rounds find the breaking point of a system whose speed wanders, and their interval holds its mean."""

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.analysis.limits.rounds import (
    MOST,
    Bracket,
    bracket,
    deviation_of_rounds,
    next_in_round,
    over_rounds,
)
from capacity.analysis.limits.search import LevelResult, Search
from capacity.analysis.statistics.estimates import Estimate
from capacity.findings import Verdict

PASS, FAIL, INCONCLUSIVE, VOID = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.VOID
SEARCH = Search(start=3500, limit=28000, resolution=50, seconds=4, confirm_seconds=10, share=0.1)
RUNS = 100


def look(near: float, held: Callable[[float], Verdict], search: Search = SEARCH) -> list[LevelResult]:
    """The results of one round."""
    results: list[LevelResult] = []
    while (attempt := next_in_round(search, near, results)) is not None:
        assert attempt.seconds == search.confirm_seconds
        results.append(LevelResult(attempt.level, attempt.seconds, held(attempt.level)))
    return results


def breaks_above(truth: float) -> Callable[[float], Verdict]:
    return lambda level: PASS if level <= truth else FAIL


@pytest.mark.parametrize(
    ("truth", "levels", "found"),
    [
        (8000, [8000, 8800], Bracket(8000, 8800)),
        (9000, [8000, 8800, 9700], Bracket(8800, 9700)),
        (7000, [8000, 7250, 6600], Bracket(6600, 7250)),
    ],
)
def test_a_round_goes_up_while_it_holds_and_down_until_it_does(
    truth: float, levels: list[float], found: Bracket
) -> None:
    results = look(8000, breaks_above(truth))
    assert [each.level for each in results] == levels
    assert bracket(results) == found


def test_an_undecided_level_is_looked_past_on_both_sides() -> None:
    results = look(8000, {8000: INCONCLUSIVE, 8800: FAIL, 7250: PASS}.__getitem__)
    assert [each.level for each in results] == [8000, 8800, 7250]
    assert bracket(results) == Bracket(7250, 8800)


def test_a_void_level_is_measured_twice_and_then_the_generators_limit() -> None:
    verdicts = iter([PASS, VOID, VOID])
    results = look(8000, lambda _: next(verdicts))
    assert [each.level for each in results] == [8000, 8800, 8800]
    assert bracket(results) == Bracket(8000, math.inf)
    verdicts = iter([PASS, VOID, PASS, FAIL])
    results = look(8000, lambda _: next(verdicts))
    assert [each.level for each in results] == [8000, 8800, 8800, 9700]
    assert bracket(results) == Bracket(8800, 9700)


def test_a_round_stays_within_the_range_and_ends() -> None:
    assert bracket(look(27000, breaks_above(1e9))) == Bracket(28000, math.inf)
    assert bracket(look(8000, breaks_above(0))).low == 0
    assert len(look(8000, breaks_above(0))) == MOST
    coarse = Search(start=100, limit=400, resolution=50, seconds=1, confirm_seconds=2)
    assert [each.level for each in look(100, breaks_above(0), coarse)] == [100, 50]
    assert [each.level for each in look(300, breaks_above(1000), coarse)] == [300, 350, 400]


@given(st.lists(st.sampled_from([PASS, FAIL, INCONCLUSIVE, VOID, Verdict.NO_DATA]), min_size=MOST, max_size=MOST))
def test_whatever_the_verdicts_a_round_ends_with_what_held_below_what_broke(verdicts: list[Verdict]) -> None:
    each = iter(verdicts)
    results = look(8000, lambda _: next(each))
    assert 0 < len(results) <= MOST
    found = bracket(results)
    assert 0 <= found.low < found.high


def test_rounds_that_agree_are_their_bracket() -> None:
    found = over_rounds([Bracket(7000, 7700)] * 4)
    assert (found.value, found.low, found.high, found.count) == (
        pytest.approx(7000),
        *map(pytest.approx, (7000, 7700)),
        4,
    )


def test_rounds_that_differ_widen_it_by_students_t() -> None:
    """By hand: logarithms of middles 0 and ± 0.1, brackets of 0.02: t of 2 degrees 4.3027 × 0.1 / √3 = 0.24842."""
    found = over_rounds([Bracket(math.exp(at - 0.01), math.exp(at + 0.01)) for at in (-0.1, 0.0, 0.1)])
    reach = math.hypot(0.248414, 0.01)
    assert found.low == pytest.approx(math.exp(-reach), rel=1e-5)
    assert found.high == pytest.approx(math.exp(reach), rel=1e-5)
    assert found.value == pytest.approx(math.exp(-0.01))


def test_an_open_end_stays_open() -> None:
    above = over_rounds([Bracket(7000, 7700), Bracket(7700, math.inf), Bracket(7000, 7700)])
    assert above.high == math.inf
    assert above.low is not None and above.value is not None and 6000 < above.low < above.value < 7700
    below = over_rounds([Bracket(0, 7700), Bracket(7000, 7700), Bracket(7000, 7700)])
    assert (below.value, below.low) == (0, 0)
    assert below.high == pytest.approx(7700)
    assert deviation_of_rounds([Bracket(0, 7700), Bracket(7000, 7700)]).value is None


def test_one_round_says_nothing_of_the_next() -> None:
    with pytest.raises(ValueError, match="there are 1; measure more rounds"):
        over_rounds([Bracket(7000, 7700)])
    assert deviation_of_rounds([Bracket(7000, 7700)]) == Estimate(None, None, None, 1)


def test_rounds_in_one_bracket_may_still_differ_by_its_width() -> None:
    same = deviation_of_rounds([Bracket(7000, 7700)] * 4)
    assert (same.value, same.low) == (0, 0)
    assert same.high == pytest.approx(math.log(1.1) / math.sqrt(12) * 3.7285, rel=1e-3)  # √(3 / χ²), 3 degrees
    apart = deviation_of_rounds([Bracket(at, at * 1.1) for at in (6000, 7000, 8000, 9000)])
    assert apart.low is not None and 0 < apart.low < 0.174 < (apart.high or 0)


class Wandering:
    """A system whose capacity wanders about `mean` by `deviation` (of its logarithm), forgetting itself in `memory_s`.

    A level holds where it is 2 % below the mean capacity of its window, breaks 2 % above, and is undecided between.
    """

    def __init__(self, mean: float, deviation: float, memory_s: float, draw: np.random.Generator) -> None:
        self.mean, self.deviation, self.keeps, self.draw = mean, deviation, math.exp(-1 / memory_s), draw
        self.away = draw.normal(0, deviation)

    def passes(self, seconds: float) -> float:
        """Let time pass; the mean capacity meanwhile."""
        seen = []
        for fresh in self.draw.normal(0, self.deviation * math.sqrt(1 - self.keeps**2), round(seconds)):
            self.away = self.keeps * self.away + fresh
            seen.append(self.away)
        return self.mean * math.exp(float(np.mean(seen)))

    def measure(self, level: float, seconds: float) -> LevelResult:
        self.passes(3)
        capacity = self.passes(seconds)
        verdict = PASS if level < 0.98 * capacity else FAIL if level > 1.02 * capacity else INCONCLUSIVE
        return LevelResult(level, seconds, verdict)


def searched(system: Wandering, rounds: int = 4, others_s: float = 150) -> list[Bracket]:
    """The brackets of a search and of later rounds, each after the other parts had theirs."""
    results: list[LevelResult] = []
    while (attempt := SEARCH.next_level(results)) is not None:
        results.append(system.measure(attempt.level, attempt.seconds))
    answer = SEARCH.answer(results)
    found = [Bracket(answer.low, answer.high or math.inf)]
    for _ in range(rounds - 1):
        system.passes(others_s)
        again: list[LevelResult] = []
        while (attempt := next_in_round(SEARCH, answer.low, again)) is not None:
            again.append(system.measure(attempt.level, attempt.seconds))
        found.append(bracket(again))
    return found


@functools.cache
def pairs(deviation: float, memory_s: float) -> list[tuple[float, list[Bracket], list[Bracket]]]:
    """The mean breaking point, and the brackets of two runs ten minutes apart."""
    made = []
    for seed in range(RUNS):
        draw = np.random.default_rng(seed)
        system = Wandering(draw.uniform(5000, 12000), deviation, memory_s, draw)
        first = searched(system)
        system.passes(600)
        made.append((system.mean, first, searched(system)))
    return made


def within(value: float, low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low <= value <= high


def overlap(one: Estimate | Bracket, other: Estimate | Bracket) -> bool:
    return bool((one.low or 0) <= (other.high or 0) and (other.low or 0) <= (one.high or 0))


@pytest.mark.parametrize(("deviation", "memory_s"), [(0.02, 60), (0.08, 20), (0.08, 200), (0.12, 60)])
def test_four_rounds_hold_the_mean_of_a_wandering_system_and_two_runs_overlap(
    deviation: float, memory_s: float
) -> None:
    runs = pairs(deviation, memory_s)
    answers = [(mean, over_rounds(first), over_rounds(second)) for mean, first, second in runs]
    held = [within(mean, each.low, each.high) for mean, *both in answers for each in both]
    assert np.mean(held) >= 0.93
    assert np.mean([overlap(first, second) for _, first, second in answers]) >= 0.97


def test_a_search_alone_would_not() -> None:
    runs = pairs(0.12, 60)
    assert np.mean([within(mean, first[0].low, first[0].high) for mean, first, _ in runs]) < 0.6
    assert np.mean([overlap(first[0], second[0]) for _, first, second in runs]) < 0.9
