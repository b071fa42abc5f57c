"""The search finds where simulated systems break, bounds none that does not, and costs little more than it must."""

import functools
import heapq
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.analysis.limits.queueing import highest_arrival_rate
from capacity.analysis.limits.search import (
    BreakingPoint,
    Conclusion,
    LevelResult,
    NextLevel,
    Search,
)
from capacity.analysis.statistics.estimates import proportion
from capacity.analysis.statistics.percentiles import effective_count, percentile_interval
from capacity.findings import Finding, Objective, Verdict, judge

PASS, FAIL, INCONCLUSIVE, NO_DATA, VOID = (
    Verdict.PASS,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NO_DATA,
    Verdict.VOID,
)
SEARCH = Search(start=10, limit=400, resolution=20, seconds=40, confirm_seconds=120)
RUNS = 100

pytestmark = pytest.mark.filterwarnings("error")

Draw = np.random.Generator
Judge = Callable[[float, float], Verdict]  # of a level held for seconds


def verdict(low: float | None, value: float | None, high: float | None, relation: str, limit: float) -> Verdict:
    return judge(Finding("s.x", value, "", low, high, 1), Objective("s.x", relation, limit))


def percentile_verdict(values: np.ndarray[Any, Any], quantile: float, limit: float) -> Verdict:
    found = percentile_interval(values, quantile, 0.95, effective_count(values, quantile))
    return verdict(found.low, found.value, found.high, "<=", limit)


def queue(truth: float, draw: Draw) -> Judge:
    """M/M/4, simulated by its events; nine in ten must start within half a service time."""
    servers = 4
    service_s = highest_arrival_rate(1.0, servers, 0.5, 0.9) / truth

    def held(level: float, seconds: float) -> Verdict:
        count = draw.poisson(level * seconds)
        free, waits = [0.0] * servers, []
        arrivals = np.cumsum(draw.exponential(1 / level, count)).tolist()
        for arrival, work in zip(arrivals, draw.exponential(service_s, count).tolist(), strict=True):
            begin = max(arrival, free[0])
            heapq.heapreplace(free, begin + work)
            waits.append(begin - arrival)
        return percentile_verdict(np.array(waits), 0.9, service_s / 2)

    return held


def users(truth: float, draw: Draw) -> Judge:
    """As many users wait in a closed loop as the scalability law says; their p95 must stay below its value at truth."""

    def mean_s(level: float) -> float:
        return 0.2 * (1 + 0.02 * (level - 1) + 1e-5 * level * (level - 1))

    def held(level: float, seconds: float) -> Verdict:
        times = draw.exponential(mean_s(level), round(level / mean_s(level) * seconds))
        return percentile_verdict(times, 0.95, mean_s(truth) * -math.log(0.05))

    return held


def step(truth: float, draw: Draw) -> Judge:
    """One in 2,000 fails up to the truth and one in 20 above; 99 % must succeed."""

    def held(level: float, seconds: float) -> Verdict:
        count = draw.poisson(level * seconds)
        ok = proportion(count - draw.binomial(count, 0.0005 if level <= truth else 0.05), count)
        return verdict(ok.low, ok.value, ok.high, ">=", 0.99)

    return held


def leak(truth: float, draw: Draw) -> Judge:
    """Memory fills in proportion to the load beyond what is freed; the truth lasts just as long as the long window.

    What the short window shows to hold is 5 to 40 % above the truth.
    """
    beyond = draw.uniform(0.05, 0.4) * truth
    ratio = SEARCH.confirm_seconds / SEARCH.seconds
    freed = truth - beyond / (ratio - 1)
    memory = (truth - freed) * SEARCH.confirm_seconds

    def held(level: float, seconds: float) -> Verdict:
        return FAIL if (level - freed) * seconds * draw.normal(1, 0.002) > memory else PASS

    return held


def noisy(truth: float, draw: Draw) -> Judge:
    """One short verdict in 20 and one long in 50 is the wrong one, at any level, and one in 20 is none."""

    def held(level: float, seconds: float) -> Verdict:
        wrong = 0.05 if seconds < SEARCH.confirm_seconds else 0.02
        right, other = (PASS, FAIL) if level <= truth else (FAIL, PASS)
        return draw.choice([right, other, INCONCLUSIVE], p=[0.95 - wrong, wrong, 0.05])

    return held


SYSTEMS = {each.__name__: each for each in (queue, users, step, leak, noisy)}


@dataclass(frozen=True)
class Found(BreakingPoint):
    """An answer with what was measured for it, in the order tried."""

    levels: tuple[LevelResult, ...]

    @property
    def spent(self) -> float:
        """The sum of level × seconds: what the search cost, in operations where a level is operations a second."""
        return math.fsum(each.level * each.seconds for each in self.levels)


def found_by(search: Search, held: Judge) -> Found:
    results: list[LevelResult] = []
    while (attempt := search.next_level(results)) is not None:
        verdict = Verdict(held(attempt.level, attempt.seconds))
        results.append(LevelResult(attempt.level, attempt.seconds, verdict, "p99"))
    return Found(**asdict(search.answer(results)), levels=tuple(results))


@functools.cache
def runs(system: str, breaks: bool) -> list[tuple[float, Found]]:
    """The truth and the answer of 100 searches, of systems that break within the range or beyond it."""
    made = []
    for seed in range(RUNS):
        draw = np.random.default_rng(seed)
        truth = SEARCH.limit * (draw.uniform(0.15, 0.9) if breaks else draw.uniform(1.1, 3))
        made.append((truth, found_by(SEARCH, SYSTEMS[system](truth, draw))))
    return made


def knowing(truth: float, seconds: float) -> float:
    """What a bisection that knows the answer spends, in level × seconds.

    It doubles and bisects as the search does, from the same start to the same resolution, holds each level once for
    `seconds`, is told the right verdict each time, and holds the winner once for the long window. It repeats nothing:
    no level is inconclusive to it, no neighbour is measured again, no verdict is doubted.
    """
    low, high, level, spent = 0.0, math.inf, SEARCH.start, 0.0
    while high - low > SEARCH.resolution and low < SEARCH.limit:
        spent += level * seconds
        low, high = (level, high) if level <= truth else (low, level)
        middle = round((low + high) / 2 / SEARCH.resolution) * SEARCH.resolution if math.isfinite(high) else 2 * level
        level = min(middle, SEARCH.limit)
    return spent + low * SEARCH.confirm_seconds * (seconds < SEARCH.confirm_seconds)


@pytest.mark.parametrize("system", [pytest.param("queue", marks=pytest.mark.thorough), *sorted({*SYSTEMS} - {"queue"})])
def test_the_interval_holds_the_breaking_point(system: str) -> None:
    """In at least 93 of 100 runs."""
    held = [
        answer.conclusion is Conclusion.FOUND and answer.low <= truth < (answer.high or 0)
        for truth, answer in runs(system, True)
    ]
    assert sum(held) >= 93


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_interval_is_as_narrow_as_asked_but_for_what_stays_undecided(system: str) -> None:
    for _, answer in runs(system, True):
        stops = [answer.low, *answer.undecided, answer.high or 0]
        assert stops[1] - stops[0] <= SEARCH.resolution
        assert stops[-1] - stops[-2] <= SEARCH.resolution
    assert np.mean([(answer.high or 0) - answer.low for _, answer in runs(system, True)]) <= 2 * SEARCH.resolution


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_bound_is_given_for_a_system_that_does_not_break(system: str) -> None:
    for _, answer in runs(system, False):
        assert answer.conclusion is Conclusion.NOT_REACHED
        assert answer.high is None


@pytest.mark.parametrize("breaks", [True, False], ids=["breaks", "holds"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_it_spends_at_most_twice_what_a_bisection_would_that_knows_the_answer(system: str, breaks: bool) -> None:
    """In the mean of 100 runs, and at most three times in nine of ten; `knowing` says what that bisection does.

    On the leaking system it holds every level for the long window, because a shorter one shows nothing there.
    """
    seconds = SEARCH.confirm_seconds if system == "leak" else SEARCH.seconds
    shares = [answer.spent / knowing(min(truth, SEARCH.limit), seconds) for truth, answer in runs(system, breaks)]
    assert np.mean(shares) <= 2.0
    assert np.quantile(shares, 0.9) <= 3.0


SHORT, LONG = SEARCH.seconds, SEARCH.confirm_seconds


def breaks_above(truth: float) -> Judge:
    return lambda level, seconds: PASS if level <= truth else FAIL


def scripted(base: Judge, **exceptions: list[Verdict]) -> Judge:
    """`base`, but for the first verdicts of levels named as `short_240` or `long_240`."""
    left = {name: list(verdicts) for name, verdicts in exceptions.items()}

    def held(level: float, seconds: float) -> Verdict:
        first = left.get(f"{'short' if seconds == SHORT else 'long'}_{level:g}")
        return first.pop(0) if first else base(level, seconds)

    return held


def tried(answer: Found) -> list[str]:
    return [f"{each.level:g}{' long' if each.seconds == LONG else ''}" for each in answer.levels]


def test_it_doubles_bisects_holds_the_winner_and_measures_its_neighbour_again() -> None:
    answer = found_by(SEARCH, breaks_above(230))
    assert tried(answer) == [
        *("10", "20", "40", "80", "160", "320"),
        *("240", "200", "220"),
        *("220 long", "240", "240"),
    ]
    assert (answer.conclusion, answer.low, answer.high, answer.undecided) == (Conclusion.FOUND, 220, 240, ())
    assert (answer.broke, answer.complete) == ("p99", True)
    assert answer.recommended == 165
    assert answer.why == (
        "75 % of 220, the highest level that held for 120 s; the rest is for bursts, for the loss of a part, "
        "and for two months of growth at 15 %"
    )
    assert answer.spent == 40 * (10 + 20 + 40 + 80 + 160 + 320 + 240 + 200 + 220 + 2 * 240) + 120 * 220


def test_the_cost_of_the_bisection_that_knows_is_what_it_says() -> None:
    assert knowing(230, SHORT) == 40 * (10 + 20 + 40 + 80 + 160 + 320 + 240 + 200 + 220) + 120 * 220
    assert knowing(400, SHORT) == 40 * (10 + 20 + 40 + 80 + 160 + 320 + 400) + 120 * 400


def test_an_undecided_level_is_measured_again_in_the_long_window() -> None:
    answer = found_by(SEARCH, scripted(breaks_above(230), short_80=[INCONCLUSIVE], short_220=[NO_DATA]))
    assert tried(answer)[3:5] == ["80", "80 long"]
    assert tried(answer)[-4:] == ["220", "220 long", "240", "240"]  # which has then held in the long window already
    assert (answer.low, answer.high) == (220, 240)


def test_a_level_that_stays_undecided_widens_the_interval() -> None:
    unclear = scripted(breaks_above(230), short_220=[INCONCLUSIVE], long_220=[INCONCLUSIVE])
    answer = found_by(SEARCH, unclear)
    assert (answer.low, answer.high, answer.undecided) == (200, 240, (220,))


def test_a_level_that_contradicts_itself_stays_undecided() -> None:
    answer = found_by(SEARCH, scripted(breaks_above(230), long_220=[FAIL, PASS, FAIL], short_220=[INCONCLUSIVE]))
    assert (answer.low, answer.high, answer.undecided) == (200, 240, (220,))


def test_a_false_failure_is_found_out() -> None:
    answer = found_by(SEARCH, scripted(breaks_above(230), short_40=[FAIL]))
    assert tried(answer)[:7] == ["10", "20", "40", "20 long", "40", "40 long", "80"]
    assert (answer.low, answer.high) == (220, 240)


def test_a_false_pass_is_found_out() -> None:
    answer = found_by(SEARCH, scripted(breaks_above(230), short_240=[PASS]))
    assert "240 long" in tried(answer)
    assert (answer.low, answer.high) == (220, 240)


def test_where_short_windows_mislead_every_level_is_held_for_long() -> None:
    answer = found_by(SEARCH, lambda level, seconds: PASS if level <= (300 if seconds == SHORT else 110) else FAIL)
    assert tried(answer) == [
        *("10", "20", "40", "80", "160", "320", "240", "280", "300"),
        *("300 long", "280 long", "140 long", "80 long", "120 long", "100 long", "120 long"),
    ]
    assert (answer.low, answer.high) == (100, 120)


def test_the_reason_is_that_of_the_verdict_that_decided() -> None:
    results = [LevelResult(10, 120, PASS), LevelResult(20, 40, FAIL, "p99"), LevelResult(20, 40, FAIL, "p99, too")]
    answer = SEARCH.answer([*results, LevelResult(20, 120, FAIL, "p95"), LevelResult(20, 40, VOID, "the generator")])
    assert (answer.conclusion, answer.broke) == (Conclusion.FOUND, "p95")
    answer = SEARCH.answer([*results[:2], LevelResult(20, 40, VOID, "the generator"), LevelResult(20, 40, FAIL, "p95")])
    assert answer.broke == "p95"
    answer = SEARCH.answer([results[0], LevelResult(20, 40, VOID, "the generator"), results[1]])
    assert (answer.conclusion, answer.broke) == (Conclusion.GENERATOR_BOUND, "the generator")


def test_a_generator_that_is_the_limit_bounds_itself_and_not_the_system() -> None:
    answer = found_by(SEARCH, lambda level, seconds: PASS if level <= 230 else VOID)
    assert (answer.conclusion, answer.low, answer.high) == (Conclusion.GENERATOR_BOUND, 220, None)
    assert answer.recommended == 165
    assert answer.why.endswith("; the generator, or what ran beside it, was the limit; the system's is above")


def test_a_system_that_breaks_below_the_generators_limit_is_found() -> None:
    answer = found_by(SEARCH, lambda level, seconds: PASS if level <= 230 else FAIL if level < 250 else VOID)
    assert (answer.conclusion, answer.low, answer.high) == (Conclusion.FOUND, 220, 240)


def test_a_system_that_holds_the_whole_range_is_held_at_its_end() -> None:
    answer = found_by(SEARCH, breaks_above(1000))
    assert tried(answer) == ["10", "20", "40", "80", "160", "320", "400", "400 long"]
    assert (answer.conclusion, answer.low, answer.high) == (Conclusion.NOT_REACHED, 400, None)
    assert answer.why.endswith("; nothing broke within the range; the system may hold more")


@pytest.mark.parametrize("nothing", [NO_DATA, VOID, INCONCLUSIVE])
def test_where_nothing_was_measured_nothing_is_recommended(nothing: Verdict) -> None:
    answer = found_by(SEARCH, lambda level, seconds: nothing)
    assert (answer.conclusion, answer.low, answer.high) == (Conclusion.MEASURED_NOTHING, 0.0, None)
    assert (answer.recommended, answer.why) == (None, "no level held, so none is recommended")


def test_a_system_that_breaks_at_the_first_level_is_bisected_down() -> None:
    search = Search(start=200, limit=400, resolution=10, seconds=40, confirm_seconds=120)
    answer = found_by(search, breaks_above(33))
    assert tried(answer)[:4] == ["200", "100", "50", "20"]
    assert (answer.conclusion, answer.low, answer.high) == (Conclusion.FOUND, 30, 40)
    assert found_by(search, breaks_above(0)).high == 10


def test_levels_between_are_whole_multiples_of_the_resolution() -> None:
    answer = found_by(Search(start=1, limit=500, resolution=1), breaks_above(77.5))
    assert all(float(each.level).is_integer() for each in answer.levels)
    assert (answer.low, answer.high) == (77, 78)


@pytest.mark.parametrize("truth", [14, 77.5, 300])
def test_with_a_share_a_search_ends_when_it_knows_the_answer_to_that_share(truth: float) -> None:
    answer = found_by(Search(start=10, limit=500, resolution=0.5, share=0.1), breaks_above(truth))
    assert answer.high is not None
    assert answer.low <= truth < answer.high
    assert 0.05 * answer.low <= answer.high - answer.low <= 0.1 * answer.low
    finer = found_by(Search(start=10, limit=500, resolution=0.5), breaks_above(truth))
    assert len(answer.levels) < len(finer.levels)


def test_the_same_results_ask_for_the_same_level() -> None:
    results = found_by(SEARCH, breaks_above(230)).levels
    for number, result in enumerate(results):
        attempt = NextLevel(result.level, result.seconds)
        assert SEARCH.next_level(results[:number]) == SEARCH.next_level(iter(results[:number])) == attempt
    assert SEARCH.next_level(results) is None
    assert SEARCH.next_level([]) == NextLevel(10, 40)


def test_a_search_that_was_broken_off_recommends_nothing() -> None:
    whole = found_by(SEARCH, breaks_above(230))
    part = SEARCH.answer(whole.levels[:8])
    assert (part.complete, part.low, part.high, part.recommended) == (False, 200, 240, None)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=40), st.sampled_from([20.0, 35.0, 150.0]))
def test_whatever_the_verdicts_a_search_ends(verdicts: list[Verdict], resolution: float) -> None:
    count = iter(range(10_000))
    search = Search(10, 400, resolution, 40, 120)
    answer = found_by(search, lambda level, seconds: verdicts[next(count) % len(verdicts)])
    levels = {each.level for each in answer.levels}
    assert answer.complete
    assert len(answer.levels) <= 8 * len(levels)
    assert all(0 < level <= 400 for level in levels)
    assert answer.high is None or answer.low < answer.high


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 400, 20, 30, 60, 0),
        (500, 400, 20, 30, 60, 0),
        (10, 400, 0, 30, 60, 0),
        (10, 400, 20, 60, 30, 0),
        (10, 400, 20, 30, 60, 1),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(ValueError) as refused:
        Search(*numbers)
    start, limit, resolution, seconds, confirm_seconds, share = numbers
    assert str(refused.value) == (
        "a search needs 0 < start <= limit, 0 < seconds <= confirm_seconds, a resolution above 0 and a share from 0 "
        f"to below 1, and got Search(start={start}, limit={limit}, resolution={resolution}, seconds={seconds}, "
        f"confirm_seconds={confirm_seconds}, share={share})"
    )
