"""What parts cost is the sum of what is known: two currencies are not added, and what is missing is named."""

import pytest

from capacity.analysis.planning.catalog import HOURS, Size
from capacity.analysis.planning.cost import cost_of

GIVEN = dict.fromkeys(("service", "region", "source", "date", "basis", "price_source", "price_date"), "s")


def size(price: float | None, currency: str = "USD") -> Size:
    given = {"size": "x", "price_per_hour": price, "currency": currency}
    return Size(**(GIVEN | given))  # type: ignore[arg-type]


def test_what_is_known_of_all_is_the_sum() -> None:
    cost = cost_of({"A": size(1.0), "B": size(0.5)}, {})
    assert (cost.value, cost.whole, cost.note, cost.text) == (pytest.approx(1.5 * HOURS), True, "", "1,095 USD")


def test_euros_and_dollars_are_never_added() -> None:
    cost = cost_of({"A": size(1.0), "B": size(1.0, "EUR")}, {})
    assert (cost.value, cost.whole) == (None, False)
    assert cost.text == "730 USD + 730 EUR"
    assert cost.note == "prices of two currencies are not added: 730 USD and 730 EUR"


def test_what_is_not_known_is_at_least_the_rest_and_named_with_its_reason() -> None:
    parts = {"A": size(1.0), "B": "size not known", "C": "size not known", "D": size(None)}
    cost = cost_of(parts, {"A": "CPU not judged"})
    assert (cost.value, cost.whole, cost.text) == (730.0, False, "at least 730 USD")
    assert cost.without == "without B, C and D"
    assert cost.note == (
        "without B and C (size not known), without D (the price of x is not known), at least A (CPU not judged)"
    )


def test_without_any_size_there_is_no_cost() -> None:
    cost = cost_of({"A": "not measured"}, {"A": "CPU not judged"})
    assert (cost.value, cost.text, cost.without) == (None, "not known", "")
    assert cost.note == "without A (not measured)"
    assert cost_of({}, {}).note == "nothing is counted"
