"""The offset of a clock is known to within half of an exchange, and no more is said of it."""

import time

from capacity.clock import unix_s
from capacity.system.preflight.clocks import ClockOffset, clock_check, clock_offset


def test_a_clock_that_is_ahead_is_told_to_within_half_of_the_exchange() -> None:
    def tell() -> float:
        time.sleep(0.02)
        return unix_s() + 5

    found = clock_offset(tell)
    assert abs(found.offset_s - 5) <= found.uncertainty_s
    assert found.uncertainty_s >= 0.01


def test_a_clock_of_whole_seconds_is_known_to_half_of_one() -> None:
    found = clock_offset(lambda: float(int(unix_s())), resolution_s=1)
    assert abs(found.offset_s) <= found.uncertainty_s
    assert found.uncertainty_s >= 0.5


def test_only_an_offset_beyond_what_is_not_known_of_it_is_a_problem() -> None:
    assert clock_check(ClockOffset(1.4, 0.5)).fine
    check = clock_check(ClockOffset(-2.5, 0.5))
    assert (check.fine, check.said) == (False, "2.5 s behind this machine's (± 500 ms)")
    assert check.means.endswith("no figure changes")
    assert clock_check(ClockOffset(0.0002, 0.0004)).said == "as this machine's (± 1 ms)"
