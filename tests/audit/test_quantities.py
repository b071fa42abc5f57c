"""A quantity is what its digits allow, and arithmetic on quantities holds whatever the true numbers were."""

import itertools
import math
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.audit.quantities import (
    Quantity,
    check_alike,
    ends_text,
    extreme,
    mean,
    quantity_text,
    read_quantity,
)
from capacity.units import read_unit

SHARE = read_unit("")
numbers = st.floats(0.001, 1e6)


def between(one: float, other: float) -> Quantity:
    return Quantity(min(one, other), max(one, other), None, SHARE)


@st.composite
def held(draw: st.DrawFn) -> tuple[Quantity, float]:
    """A quantity and a number within it."""
    quantity = between(draw(numbers), draw(numbers))
    return quantity, draw(st.floats(quantity.low, quantity.high))


@pytest.mark.parametrize(
    ("written", "low", "value", "high"),
    [
        ("45 ms", 0.0445, 0.045, 0.0455),
        ("2.1 x", 2.05, 2.1, 2.15),
        ("1.0 ms", 0.00095, 0.001, 0.00105),
        ("0.3 %", 0.0025, 0.003, 0.0035),
        ("2_847 jobs", 2847, 2847, 2847),
        (0, 0, 0, 0),
        ("~500 jobs/s", 450, 500, 550),
        ("~2.50 s", 2.45, 2.5, 2.55),
        ("~0 jobs", -0.5, 0, 0.5),
        ("30 min", 1770, 1800, 1830),
        ("10 jobs/min", 9.5 / 60, 10 / 60, 10.5 / 60),
        ("1 operation/connection", 1, 1, 1),
        ("80..85 %", 0.80, None, 0.85),
        ("<= 5 s", 0, None, 5),
        (">= 100 users", 100, None, math.inf),
    ],
)
def test_a_quantity_is_as_exact_as_it_is_written(written: Any, low: float, value: float | None, high: float) -> None:
    quantity = read_quantity(written)
    assert (quantity.low, quantity.high) == (pytest.approx(low), pytest.approx(high))
    assert quantity.value == (None if value is None else pytest.approx(value))


def test_an_exact_number_has_no_rounding_and_a_strict_bound_is_never_reached() -> None:
    assert read_quantity("100 %", exact=True).low == read_quantity("100 %", exact=True).high == 1.0
    assert 0.00999999 < read_quantity("< 10 ms").high < 0.01
    assert 0.995 < read_quantity("> 99.5 %").low < 0.99500001


def test_a_date_is_any_time_of_its_day() -> None:
    day, noon = read_quantity(date(2025, 11, 9)), read_quantity(datetime(2025, 11, 9, 12, tzinfo=UTC))
    assert day.high - day.low == 86400
    assert day.value == noon.value == noon.low == noon.high
    assert quantity_text(day) == "2025-11-09"
    assert quantity_text(noon) == "2025-11-09T12:00:00Z"
    assert quantity_text(noon - read_quantity(datetime(2025, 11, 8, 2, tzinfo=UTC))) == "34 h"
    assert quantity_text(noon + read_quantity("30 min")) == "2025-11-09T12:30:00Z"


@given(st.floats(0, 1e6), st.integers(0, 4))
def test_a_number_lies_within_what_it_rounds_to(number: float, decimals: int) -> None:
    quantity = read_quantity(f"{number:.{decimals}f} x")
    assert quantity.low - 1e-9 <= number <= quantity.high + 1e-9


@pytest.mark.parametrize("written", ["fast", "", "5 m s", "-3 ms", True, None, 2.5, "1,050 jobs", "5..", "<"])
def test_what_is_no_quantity_says_what_is(written: Any) -> None:
    with pytest.raises(ValueError, match="is not a quantity") as refused:
        read_quantity(written)
    assert str(refused.value) == (
        f"{written!r} is not a quantity; accepted is "
        "a number with a unit as '45 ms', '< 10 ms', '~500 jobs/s', '80..85 %', or a date"
    )


@pytest.mark.parametrize("written", ["85..80 %", "< 80..85 %", "80..80 %"])
def test_what_is_no_range_says_what_is(written: str) -> None:
    with pytest.raises(ValueError, match="is not a range") as refused:
        read_quantity(written)
    assert str(refused.value) == (f"{written!r} is not a range; write the smaller end first and no sign, as '80..85 %'")


@given(held(), held())
def test_arithmetic_holds_the_result_of_any_numbers_within(
    one: tuple[Quantity, float], other: tuple[Quantity, float]
) -> None:
    (a, x), (b, y) = one, other
    for result, true in ((a + b, x + y), (a - b, x - y), (a * b, x * y), (a / b, x / y)):
        assert result.low - 1e-6 * abs(true) - 1e-9 <= true <= result.high + 1e-6 * abs(true) + 1e-9
    for result, true in ((extreme(max, [a, b]), max(x, y)), (extreme(min, [a, b]), min(x, y))):
        assert result.low <= true <= result.high


def test_arithmetic_on_numbers_is_theirs() -> None:
    jobs, minutes = read_quantity("950_000 jobs"), read_quantity("25 min")
    assert quantity_text(jobs / minutes, read_unit("jobs/s")) == "633.3 jobs/s"
    assert quantity_text(read_quantity("1_000 jobs/s") * minutes, read_unit("jobs")) == "1,500,000 jobs"
    assert quantity_text(read_quantity("3.09 GB") - read_quantity("1.8 GB")) == "1.29 GB"
    assert ends_text(read_quantity("3.09 GB") - read_quantity("1.8 GB")) == "1.235 to 1.345 GB"
    assert quantity_text(read_quantity("65 %") * read_quantity("2 x", exact=True)) == "130 %"
    assert quantity_text(read_quantity("1_500 jobs/s") / read_quantity("150 users")) == "10 job/s/user"


def test_a_division_by_what_may_be_nothing_has_no_upper_end() -> None:
    ratio = read_quantity("5 jobs") / read_quantity("< 1 s")
    assert (ratio.low, ratio.value, ratio.high) == (pytest.approx(5), None, math.inf)
    nothing = read_quantity("5 jobs") / read_quantity("0 jobs")
    assert (nothing.low, nothing.value, nothing.high) == (-math.inf, None, math.inf)
    endless = read_quantity(">= 5 jobs") / read_quantity(">= 2 s")
    assert (endless.low, endless.high) == (0, math.inf)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=2, max_size=5))
def test_the_ends_of_a_mean_are_those_of_all_extreme_weights(rows: list[tuple[float, float, float, float]]) -> None:
    """Slow and obvious: every combination of lowest and highest weights."""
    values, weights = [between(a, b) for a, b, _, _ in rows], [between(c, d) for _, _, c, d in rows]
    found = mean(values, weights)
    corners = list(itertools.product(*((w.low, w.high) for w in weights)))
    for end, choose in (("low", min), ("high", max)):
        ends = [getattr(value, end) for value in values]
        expected = choose(sum(w * v for w, v in zip(each, ends, strict=True)) / sum(each) for each in corners)
        assert getattr(found, end) == pytest.approx(expected)


def test_a_mean_is_by_weight() -> None:
    found = mean([read_quantity("99.8 %"), read_quantity("99.2 %")], [read_quantity("3 jobs"), read_quantity("1 jobs")])
    assert found.value == pytest.approx(0.9965)
    unweighed = mean([read_quantity("5 s"), read_quantity("9 s")], [read_quantity("3 jobs"), read_quantity("0 jobs")])
    assert (unweighed.low, unweighed.value, unweighed.high) == (4.5, 5, 5.5)
    with pytest.raises(ValueError, match=r"^a mean needs weights with an upper end and got ≥ 3 jobs$"):
        mean([read_quantity("5 s"), read_quantity("9 s")], [read_quantity(">= 3 jobs"), read_quantity("0 jobs")])
    with pytest.raises(ValueError, match=r"^a mean of 1 values needs as many weights and got 2$"):
        mean([read_quantity("5 s")], [read_quantity("3 jobs"), read_quantity("1 jobs")])


def test_units_of_one_kind_compare_and_others_do_not() -> None:
    check_alike([read_quantity("5 ms"), read_quantity("3 min"), read_quantity("2 days")])
    check_alike([read_quantity("5 %"), read_quantity("2 x"), read_quantity(0)])
    check_alike([read_quantity("1 job"), read_quantity("2 jobs")])
    said = r"^5 ms and 3 jobs are not of the same kind; check the units$"
    with pytest.raises(ValueError, match=said):
        check_alike([read_quantity("5 ms"), read_quantity("3 jobs")])
    with pytest.raises(ValueError, match=said):
        read_quantity("5 ms") + read_quantity("3 jobs")
