"""Numbers print with their unit and no more digits than the interval deserves."""

import math

import pytest

from capacity.display.text import finding_text, number_text
from capacity.findings import Finding

SLOW = Finding("a.x", 12.0, "ms", 11.0, 13.0, 500, "r", "latency")
NONE_LOST = Finding("a.lost", 0.0, "", 0.0, 0.0, 500, "r", "lost")


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (4.5213, 2.5, "4.5"),
        (4.5213, 0.025, "4.521"),
        (1234.5, 60.0, "1,234"),
        (0.00123, 0.0004, "0.00123"),
        (90.0, 0.0, "90"),
        (2.796, 0.0, "2.796"),
        (math.inf, math.inf, "∞"),
    ],
)
def test_the_interval_decides_the_digits(value: float, spread: float, text: str) -> None:
    assert number_text(value, spread) == text


def test_a_finding_says_its_unit_interval_or_why_it_has_none() -> None:
    assert finding_text(SLOW) == "12.0 ms (11.0 to 13.0)"
    assert finding_text(NONE_LOST) == "0"
    assert finding_text(None) == "not measured"
    assert finding_text(Finding("a.x", None, "ms", note="needs 299 and has 20")) == "needs 299 and has 20"


@pytest.mark.parametrize(
    ("ends", "limit", "text"),
    [
        ((0.0916, 1.289), None, "0.4 % (0.1 to 1.3)"),
        ((0.0916, 1.289), 0.1, "0.44 % (0.09 to 1.29)"),  # 0.1 would look like the limit
        ((0.1, 1.289), 0.1, "0.4 % (0.1 to 1.3)"),  # which it is here
        ((0.4401, 0.4401), 0.44, "0.4401 %"),
        ((0.0916, math.inf), 0.1, "0.4401 % (at least 0.09160)"),
        ((-math.inf, 1.289), 0.1, "0.4401 % (at most 1.289)"),
        ((-math.inf, math.inf), 0.1, "0.4401 %"),
    ],
)
def test_an_interval_is_told_from_its_limit_and_an_end_that_is_not_known_is_left_out(
    ends: tuple[float, float], limit: float | None, text: str
) -> None:
    assert finding_text(Finding("a.x", 0.4401, "%", *ends, 9), limit=limit) == text
