"""What measurements of the same level say of each other: how much they differ, and how long one should be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capacity.analysis.limits.levels import Frames, Level, response_times_ms
from capacity.analysis.statistics.estimates import Estimate, exactly, times
from capacity.analysis.statistics.repetition import deviation_between, seconds_needed, smallest_detectable_change
from capacity.findings import Verdict

QUANTILE = 0.99
WITHIN = 0.1


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Of the 99th percentile of the response time at the level of `rate` operations per second that held most often.

    `values_ms` are its values, one a measurement; `deviation` is that between them and `change` the smallest that as
    many measurements before and after it show, both as a share of their mean. `seconds` is how long to measure to know
    it to ± 10 %. What is None was not to be had, and `why` says so.
    """

    rate: float
    values_ms: tuple[float, ...]
    deviation: Estimate
    change: Estimate
    seconds: float | None
    why: str


def repeatability(levels: Sequence[Level]) -> Repeatability | None:
    """What the levels that held say of their repetition; None where none held.

    Of levels that held equally often it is the highest. Below the breaking point alone: beyond it times grow for as
    long as one looks.
    """
    often = Counter(level.rate for level in levels if level.verdict is Verdict.PASS)
    if not often:
        return None
    rate = max(often, key=lambda each: (often[each], each))
    same = [level for level in levels if level.verdict is Verdict.PASS and level.rate == rate]
    values = [value for level in same if (value := level.finding("response_p99").value) is not None]
    deviation = change = exactly(None, len(values))
    if len(values) > 1:
        mean = float(np.mean(values))
        deviation = times(deviation_between(values), 1 / mean)
        change = times(smallest_detectable_change(values), 1 / mean)
    seconds, why = _seconds(max((level.frames for level in same), key=lambda each: each.span_s[1] - each.span_s[0]))
    return Repeatability(rate, tuple(values), deviation, change, seconds, why)


def _seconds(pilot: Frames) -> tuple[float | None, str]:
    begin, end = pilot.span_s
    try:
        return seconds_needed(response_times_ms(pilot.held), end - begin, QUANTILE, WITHIN), ""
    except ValueError as error:
        return None, str(error)
