"""When a resource is used up: known answers, the words at the limits, and one growth for all."""

import math

import numpy as np
import pytest

from capacity.analysis.planning.exhaustion import (
    GrowingResource,
    Outlook,
    Term,
    events,
    first_limit,
    months_left,
    use_over_time,
    use_today,
)
from capacity.analysis.planning.growth import exhaustion, months_until
from capacity.analysis.planning.plan_file import Trigger
from capacity.analysis.planning.sensitivity import sensitivity
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.errors import CapacityError

EXACT = Outlook({}, exactly(0.15, 0))
USE, LIMIT, RATE = Estimate(50.0, 40.0, 65.0, 9), Estimate(100.0, 90.0, 110.0, 9), Estimate(0.15, 0.10, 0.20, 0)


def resource(name: str, use: float | Estimate, limit: float | Estimate | None, **more: object) -> GrowingResource:
    known = use if isinstance(use, Estimate) else exactly(use, 1)
    bound = limit if isinstance(limit, Estimate) or limit is None else exactly(limit, 1)
    return GrowingResource(name, name.title(), "", (Term(known),), bound, **more)  # type: ignore[arg-type]


def test_what_is_exact_gives_the_known_answer_without_an_interval() -> None:
    """A margin of 2.1 lasts 5.3 months at 15 % a month."""
    (event,) = events([resource("memory", 1.0, 2.1)], EXACT)
    assert event.months.value == pytest.approx(5.308579, abs=1e-6)
    assert event.months.low == pytest.approx(event.months.value) == event.months.high


@pytest.mark.parametrize(
    ("use", "limit", "rate", "months"),
    [
        (2.0, 1.0, 0.15, 0.0),
        (1.0, 1.0, 0.15, 0.0),
        (1.0, 2.0, 0.0, math.inf),
        (1.0, 2.0, -0.1, math.inf),
        (0.0, 2.0, 0.15, math.inf),
        (2.0, 1.0, -0.5, 0.0),
    ],
)
def test_already_over_is_0_and_never_is_infinite(use: float, limit: float, rate: float, months: float) -> None:
    (event,) = events([resource("x", use, limit)], Outlook({}, exactly(rate, 0)))
    assert (event.months.value, event.months.low) == (months, months)
    first, _ = first_limit([resource("x", use, limit)], Outlook({}, exactly(rate, 0)))
    assert first.value == months


def test_everything_lost_in_a_month_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"finite monthly rate above -1 and got -1"):
        events([resource("x", 1.0, 2.0)], Outlook({}, exactly(-1.0, 0)))


def test_one_resource_is_drawn_as_growth_alone_draws_it() -> None:
    """The oracle is `exhaustion` of growth.py with another seed: both ends within 0.1 month at 20,000 draws."""
    (event,) = events([resource("x", USE, LIMIT)], Outlook({}, RATE, seed=3))
    expected = exhaustion(USE, LIMIT, RATE, seed=99)
    assert event.months.value == expected.value
    assert event.months.low == pytest.approx(expected.low, abs=0.1)
    assert event.months.high == pytest.approx(expected.high, abs=0.25)


def test_the_same_seed_gives_the_same_dates_and_another_resource_changes_none() -> None:
    one, other = resource("x", USE, LIMIT), resource("y", USE, LIMIT)
    alone = events([one], Outlook({}, RATE, seed=1))
    assert events([one, other], Outlook({}, RATE, seed=1))[0] == alone[0]
    assert events([one], Outlook({}, RATE, seed=2)) != alone


def test_a_use_is_the_sum_of_its_terms_each_at_its_load() -> None:
    terms = (Term(exactly(10.0, 5), "users"), Term(exactly(0.5, 7), "jobs"), Term(exactly(1.0, 9)))
    both = GrowingResource("cpu", "CPU", "%", terms, exactly(100.0, 0))
    use = use_today(both, Outlook({"users": exactly(0.7, 0), "jobs": exactly(20.0, 0)}, RATE))
    assert (use.value, use.low, use.high, use.count) == (18.0, 18.0, 18.0, 5)
    wide = use_today(both, Outlook({"users": Estimate(0.7, 0.6, 0.8, 0), "jobs": exactly(20.0, 0)}, RATE))
    assert (wide.low, wide.high) == (pytest.approx(17.0, abs=0.05), pytest.approx(19.0, abs=0.05))


def test_the_use_over_time_grows_and_its_band_holds_growth_too() -> None:
    frame = use_over_time(resource("x", 10.0, 100.0), Outlook({}, RATE), 12)
    assert frame["value"].iloc[12] == pytest.approx(10 * 5.350250, rel=1e-6)
    assert frame["low"].iloc[12] == pytest.approx(10 * 1.1**12, rel=0.02)
    assert frame["high"].iloc[12] == pytest.approx(10 * 1.2**12, rel=0.02)
    assert frame.loc[0, ["value", "low", "high"]].tolist() == pytest.approx([10.0, 10.0, 10.0])


def test_triggers_fire_before_the_limit_and_in_order() -> None:
    triggers = [Trigger(title=title, at=at, source="s") for title, at in (("scale up", 80.0), ("page", 95.0))]
    found = events([resource("x", 50.0, 100.0, triggers=triggers)], EXACT)
    assert [each.title for each in found] == ["scale up", "page", "limit"]
    assert [each.months.value for each in found] == [
        pytest.approx(months_until(50.0, at)) for at in (80.0, 95.0, 100.0)
    ]
    assert [each.limit for each in found] == [False, False, True]


def test_a_limit_known_from_below_is_at_least_and_binds_nothing() -> None:
    held = resource("throughput", 50.0, 60.0, floor=True)
    assert [each.at_least for each in events([held], EXACT)] == [True]
    first, shares = first_limit([held, resource("x", 50.0, 100.0)], EXACT)
    assert shares == {"x": 1.0}
    assert first.value == pytest.approx(months_until(50.0, 100.0))
    with pytest.raises(CapacityError, match=r"^the findings have no use with a limit that the plan knows, so nothing"):
        first_limit([held], EXACT)


def test_what_was_not_measured_has_no_date() -> None:
    unknown = GrowingResource("x", "X", "", (), exactly(1.0, 0), why="no finding x")
    assert events([unknown, resource("y", 1.0, None)], EXACT) == []
    with pytest.raises(ValueError, match=r"^the use of X is not known: no finding x$"):
        use_today(unknown, EXACT)


def test_which_binds_first_is_counted_over_draws() -> None:
    """Two alike bind first in half of the draws each, and the earlier of two comes sooner than either."""
    twins = [resource("x", USE, LIMIT), resource("y", USE, LIMIT)]
    first, shares = first_limit(twins, Outlook({}, RATE))
    assert shares["x"] == pytest.approx(0.5, abs=0.02)
    assert sum(shares.values()) == pytest.approx(1.0)
    alone, _ = first_limit(twins[:1], Outlook({}, RATE))
    assert first.high < alone.high
    sooner, shares = first_limit([*twins, resource("z", 99.0, 100.0)], Outlook({}, RATE))
    assert shares["z"] > 0.97
    assert sooner.value == pytest.approx(months_until(99.0, 100.0))


def test_growth_is_shared_so_that_what_binds_first_does_not_depend_on_it() -> None:
    _, shares = first_limit([resource("x", 50.0, 100.0), resource("y", 51.0, 100.0)], Outlook({}, RATE))
    assert shares == {"x": 0.0, "y": 1.0}


def test_none_is_first_where_nothing_grows() -> None:
    first, shares = first_limit([resource("x", 1.0, 2.0)], Outlook({}, exactly(-0.1, 0)))
    assert (first.value, first.low, shares) == (math.inf, math.inf, {"x": 0.0})


def test_a_rate_that_may_be_below_0_may_never_meet_the_limit() -> None:
    (event,) = events([resource("x", 1.0, 2.0)], Outlook({}, Estimate(0.05, -0.1, 0.1, 0)))
    assert event.months.value == pytest.approx(months_until(1.0, 2.0, 0.05))
    assert event.months.high == math.inf


def test_an_interval_that_reaches_0_is_drawn_all_the_same() -> None:
    use = use_today(resource("x", Estimate(10.0, 0.0, 20.0, 9), 100.0), EXACT)
    assert use.value == 10.0
    assert use.low is not None and 0 <= use.low < 1
    assert np.isfinite([use.low, use.high]).all()


def test_what_was_held_at_twice_the_load_is_held_until_the_load_has_doubled() -> None:
    tested = exactly(1.0, 0)
    assert months_left(exactly(0.5, 0), tested, EXACT).value == pytest.approx(4.959484, abs=1e-6)
    assert months_left(exactly(1.2, 0), tested, EXACT).value == 0.0
    wide = months_left(Estimate(0.5, 0.4, 0.6, 0), tested, EXACT)
    assert wide.high == pytest.approx(months_until(0.4, 1.0), abs=0.05)


def test_what_is_not_used_lasts_for_ever_and_a_use_that_may_be_none_has_an_interval() -> None:
    limit = exactly(1.0, 0)
    assert months_left(exactly(0.0, 0), limit, EXACT).low == math.inf
    found = months_left(Estimate(0.5, 0.0, 0.6, 0), limit, EXACT)
    assert found.value == pytest.approx(months_until(0.5, 1.0))
    assert math.isfinite(found.high) and found.high > months_until(0.1, 1.0)


def test_a_swing_is_the_date_at_either_end_of_one_input() -> None:
    known = [resource("x", USE, LIMIT), resource("y", 10.0, 1000.0)]
    swings = {each.name: each for each in sensitivity(known, Outlook({}, RATE))}
    assert set(swings) == {"growth a month", "X, measured", "X, limit"}
    growth = swings["growth a month"]
    assert growth.months_at_low == pytest.approx(months_until(50.0, 100.0, 0.10))
    assert growth.months_at_high == pytest.approx(months_until(50.0, 100.0, 0.20))
    assert swings["X, measured"].months_at_high == pytest.approx(months_until(65.0, 100.0))
    assert swings["X, limit"].months_at_low == pytest.approx(months_until(50.0, 90.0))
    spans = [each.span for each in sensitivity(known, Outlook({}, RATE))]
    assert spans == sorted(spans, reverse=True)


def test_an_input_of_a_resource_that_does_not_bind_moves_nothing() -> None:
    late = GrowingResource("late", "Late", "", (Term(Estimate(1.0, 0.9, 1.1, 9), name="late.use"),), exactly(1000.0, 0))
    swings = {each.name: each.span for each in sensitivity([resource("x", 50.0, 100.0), late], EXACT)}
    assert swings == {"late.use": 0.0}


def test_a_load_moves_the_date_and_is_named_as_projected() -> None:
    use = GrowingResource("x", "X", "", (Term(exactly(100.0, 1), "users"),), exactly(100.0, 0))
    (swing,) = sensitivity([use], Outlook({"users": Estimate(0.5, 0.4, 0.8, 0), "idle": RATE}, exactly(0.15, 0)))
    assert swing.name == "projected users"
    assert swing.months_at_low == pytest.approx(months_until(0.4, 1.0))
