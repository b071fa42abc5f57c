"""Growth has known answers, its band holds what it says, and an exhaustion month has an interval."""

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from capacity.analysis.planning.growth import (
    date_after,
    exhaustion,
    growth_factor,
    months_until,
    project,
)
from capacity.analysis.statistics.estimates import Estimate

Z = float(stats.norm.ppf(0.975))
values = st.floats(1e-3, 1e6)
rates = st.floats(0.001, 2.0)


def about(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 100)


def test_fifteen_percent_a_month_has_its_known_answers() -> None:
    assert growth_factor(12) == pytest.approx(5.350250, abs=1e-6)
    assert months_until(1, 2) == pytest.approx(4.959484, abs=1e-6)
    assert months_until(1, 2.1) == pytest.approx(5.3, abs=0.05)
    assert months_until(500, 1050) == pytest.approx(months_until(1, 2.1), rel=1e-12)


def test_what_is_over_is_over_and_what_does_not_grow_never_is() -> None:
    assert months_until(100, 100) == 0.0
    assert months_until(101, 100, -0.5) == 0.0
    assert months_until(99, 100, 0.0) == math.inf
    assert months_until(99, 100, -0.2) == math.inf
    assert months_until(1, 2, 0.0) == math.inf
    assert months_until(1, 0.9) == 0.0
    assert growth_factor(1e9, 1.0) == math.inf


@given(values, values, rates)
def test_growing_for_the_months_until_a_limit_reaches_it(current: float, limit: float, rate: float) -> None:
    months = months_until(current, limit, rate)
    reached = current * growth_factor(months, rate)
    assert reached == pytest.approx(max(current, limit), rel=1e-9)


def test_months_counted_one_by_one_agree() -> None:
    value, months = 80.0, 0
    while value * 1.15 <= 1000.0:
        value, months = value * 1.15, months + 1
    assert math.floor(months_until(80.0, 1000.0)) == months == 18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5), "growth needs a current value that is finite and above 0 and got 0; "),
        ((-1, 5), "growth needs a current value that is finite and above 0 and got -1; "),
        ((math.nan, 5), "growth needs a current value that is finite and above 0 and got nan; "),
        ((math.inf, 5), "growth needs a current value that is finite and above 0 and got inf; "),
        ((5, 0), "growth needs a limit that is finite and above 0 and got 0; "),
        ((5, math.inf), "growth needs a limit that is finite and above 0 and got inf; "),
    ],
)
def test_a_value_that_cannot_grow_is_refused(arguments: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match="growth needs") as refused:
        months_until(*arguments)
    assert str(refused.value) == message + "a share of nothing stays nothing, so give what was measured or promised"


@pytest.mark.parametrize("rate", [-1.0, -2.0, math.nan, math.inf])
def test_a_rate_that_loses_everything_is_refused(rate: float) -> None:
    said = (
        f"growth needs a finite monthly rate above -1 and got {rate:g}; "
        "15 % a month is 0.15, and -1 would lose everything"
    )
    for refusing in (lambda: months_until(1, 2, rate), lambda: project(1, 2, rate), lambda: growth_factor(1, rate)):
        with pytest.raises(ValueError, match="growth needs") as refused:
            refusing()
        assert str(refused.value) == said


def test_the_projection_of_exact_numbers_is_their_growth() -> None:
    frame = project(1000.0, 12)
    assert list(frame.columns) == ["month", "value", "low", "high"]
    assert frame["month"].tolist() == list(range(13))
    assert frame["value"].tolist() == pytest.approx([1000 * 1.15**month for month in range(13)])
    assert (frame["low"] == frame["value"]).all()
    assert (frame["high"] == frame["value"]).all()
    assert len(project(1000.0, 0)) == 1


def test_the_projection_grows_the_low_ends_together_and_the_high_ends_together() -> None:
    frame = project(about(100, 90, 120), 6, about(0.15, 0.10, 0.20))
    last = frame.iloc[-1]
    assert last[["low", "value", "high"]].tolist() == pytest.approx([90 * 1.1**6, 100 * 1.15**6, 120 * 1.2**6])
    assert frame.iloc[0][["low", "value", "high"]].tolist() == [90, 100, 120]


def test_the_band_holds_at_least_what_its_two_intervals_hold_together() -> None:
    """Independent ends hold 95 % each; any draw outside both is outside the band, and most others are inside."""
    draw = np.random.default_rng(3)
    use = 100 * np.exp(draw.normal(0, math.log(1.2) / Z, 20_000))
    rate = 1.15 * np.exp(draw.normal(0, math.log(1.04) / Z, 20_000))
    band = project(about(100, 100 / 1.2, 120), 12, about(0.15, 1.15 / 1.04 - 1, 1.15 * 1.04 - 1)).iloc[-1]
    grown = use * rate**12
    assert ((band["low"] <= grown) & (grown <= band["high"])).mean() >= 0.90


@pytest.mark.parametrize("months", [-1, 1.5])
def test_a_projection_is_over_whole_months(months: int) -> None:
    with pytest.raises(ValueError, match="over a whole number of months") as refused:
        project(1, months)
    assert str(refused.value) == f"a projection is over a whole number of months from 0 and got {months}"


def test_growth_over_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more months") as refused:
        growth_factor(-1)
    assert str(refused.value) == "growth is projected over 0 or more months and got -1; give a finite number"


def test_exact_numbers_have_an_exact_exhaustion_month() -> None:
    found = exhaustion(500, 1050)
    assert found.value == pytest.approx(math.log(2.1) / math.log(1.15))
    assert (found.low, found.high) == (pytest.approx(found.value), pytest.approx(found.value))
    assert exhaustion(500, 1050, 0.0) == exhaustion(500, 1050, -0.1)
    assert exhaustion(500, 1050, 0.0).low == math.inf
    assert exhaustion(9, 5).high == 0.0
    assert exhaustion(5, 5, 0.0).high == months_until(5, 5, 0.0) == 0.0


def test_the_interval_of_one_uncertain_input_is_that_inputs() -> None:
    """The months fall as use rises, so their ends are the months of the interval's ends."""
    found = exhaustion(about(500, 450, 600), 1050)
    assert found.low == pytest.approx(months_until(600, 1050), rel=0.02)
    assert found.high == pytest.approx(months_until(450, 1050), rel=0.02)
    by_rate = exhaustion(500, 1050, about(0.15, 0.10, 0.25))
    assert by_rate.low == pytest.approx(months_until(500, 1050, 0.25), rel=0.02)
    assert by_rate.high == pytest.approx(months_until(500, 1050, 0.10), rel=0.02)


def test_the_interval_of_two_uncertain_inputs_adds_their_variances() -> None:
    """Logarithms of use and limit are normal and independent, so their difference is normal: exact ends."""
    found = exhaustion(about(500, 500 / 1.2, 600), about(1050, 1050 / 1.1, 1155), draws=100_000)
    spread = math.hypot(math.log(1.2), math.log(1.1))
    low, high = ((math.log(2.1) + sign * spread) / math.log(1.15) for sign in (-1, 1))
    assert (found.low, found.high) == (pytest.approx(low, rel=0.02), pytest.approx(high, rel=0.02))


def test_the_interval_holds_the_truth_95_times_in_100() -> None:
    """The truth stays, a measurement of it varies with the spread that its interval says."""
    draw = np.random.default_rng(5)
    spread, held, tries = math.log(1.1), 0, 400
    for seed in range(tries):
        seen = [value * math.exp(draw.normal(0, spread / Z)) for value in (500, 1050)]
        use, limit = (about(value, value / 1.1, value * 1.1) for value in seen)
        found = exhaustion(use, limit, seed=seed, draws=2000)
        held += found.low <= months_until(500, 1050) <= found.high
    assert held / tries == pytest.approx(0.95, abs=0.035)


def test_growth_that_may_be_none_may_never_meet_the_limit() -> None:
    found = exhaustion(500, 1050, about(0.05, -0.05, 0.15))
    assert found.high == math.inf
    assert found.value == pytest.approx(months_until(500, 1050, 0.05))


def test_the_same_seed_gives_the_same_answer() -> None:
    use = about(500, 450, 550)
    assert exhaustion(use, 1050, seed=2) == exhaustion(use, 1050, seed=2) != exhaustion(use, 1050, seed=3)


@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        (
            Estimate(5, None, None, 1),
            "the current value is an estimate without a value or an interval; give a number or measure longer",
        ),
        (about(5, 6, 7), "the current value 5 must lie within its interval, which is 6 to 7"),
        (about(5, -1, 7), "growth needs a current value that is finite and above 0 and got -1; .*"),
        (about(5, 4, math.inf), "growth needs a current value that is finite and above 0 and got inf; .*"),
    ],
)
def test_an_estimate_without_a_sound_interval_is_refused(estimate: Estimate, message: str) -> None:
    for refusing in (lambda: project(estimate, 3), lambda: exhaustion(estimate, 10)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            refusing()


@pytest.mark.parametrize(
    ("start", "months", "day"),
    [
        (date(2025, 11, 11), 0, date(2025, 11, 11)),
        (date(2025, 11, 11), 2, date(2026, 1, 11)),
        (date(2025, 11, 11), 5.3084, date(2026, 4, 20)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2025, 1, 31), 1.5, date(2025, 3, 15)),
        (date(2025, 1, 1), math.inf, None),
        (date(2025, 1, 1), 1e6, None),
    ],
)
def test_months_become_dates_by_the_calendar(start: date, months: float, day: date | None) -> None:
    assert date_after(start, months) == day


@pytest.mark.parametrize("months", [-0.1, math.nan])
def test_a_date_before_its_start_is_refused(months: float) -> None:
    with pytest.raises(ValueError, match="0 or more months") as refused:
        date_after(date(2025, 1, 1), months)
    assert str(refused.value) == f"a date lies 0 or more months after its start and got {months:g}"
