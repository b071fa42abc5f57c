"""How long to measure, how much repeated measurements differ, and how small a difference they can show."""

import math

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from capacity.analysis.statistics.conventions import CONFIDENCE
from capacity.analysis.statistics.estimates import Estimate, student, times
from capacity.analysis.statistics.percentiles import effective_count, minimum_samples, percentile_interval

POWER = 0.8  # the customary chance of finding a change that is there (Cohen 1988)


def seconds_needed(values: npt.ArrayLike, seconds: float, quantile: float = 0.99, within: float = 0.1) -> float:
    """How many seconds to run to know a percentile to ± a share of itself, from the values of a shorter pilot.

    `values` are of `seconds` of load in time order, in any unit, +inf where censored; `within` 0.1 is ± 10 %, half of
    the interval's width. That narrows with the root of the number of independent values, and their number grows with
    time: seconds × (half of the pilot's width / half wanted)². A pilot with few values beyond the percentile knows its
    width roughly, so ask again of the longer run. No longer run shows how much one run differs from the next.
    Raises ValueError where the pilot does not bound the percentile, saying how long a pilot would.
    Source: David and Nagaraja, Order Statistics (2003), 7.1 and 10.2.
    """
    pilot = np.asarray(values, dtype=float)
    worth = effective_count(pilot, quantile)
    found = percentile_interval(pilot, quantile, effective_count=worth)
    if found.value == math.inf:
        raise ValueError(
            f"the quantile {quantile:g} lies among the censored values; lower the load or wait longer for answers"
        )
    if found.low is None or found.value is None or found.high is None or math.isinf(found.high - found.low):
        enough = 2 * seconds * minimum_samples(quantile) / max(1.0, worth)
        raise ValueError(
            f"the pilot's {len(pilot):,} values are worth {worth:,.0f} independent ones and do not bound the quantile "
            f"{quantile:g}; run it for about {max(enough, 2 * seconds):,.0f} s"
        )
    if found.value <= 0:
        raise ValueError(f"a share of a percentile needs one above 0 and it is {found.value:g}; give times as measured")
    return seconds * ((found.high - found.low) / 2 / (within * found.value)) ** 2


def deviation_between(repetitions: npt.ArrayLike, width: float = 0.0) -> Estimate:
    """The standard deviation between measurements of an unchanged system, in their unit, from one value each.

    Its interval is of the chi-squared distribution, which is wide where the repetitions are few. `width` is that of the
    steps that the values were read in, if any: their variance, width² / 12, may be in what is seen or have hidden as
    much, so values that are all the same may still differ.
    Raises ValueError for fewer than 2 and for values that are not finite.
    """
    runs = np.asarray(repetitions, dtype=float)
    if len(runs) < 2 or not np.isfinite(runs).all():
        raise ValueError(
            f"the variation between runs needs 2 or more finite values and got {np.isfinite(runs).sum()} of {len(runs)}"
            "; repeat the run"
        )
    degrees, deviation = len(runs) - 1, float(runs.std(ddof=1))
    tail = (1 - CONFIDENCE) / 2
    narrow, wide = np.sqrt(degrees / stats.chi2.ppf([1 - tail, tail], degrees)).tolist()
    step = width**2 / 12
    least, most = math.sqrt(max(0.0, deviation**2 - step)), math.sqrt(deviation**2 + step)
    return Estimate(deviation, least * narrow, most * wide, len(runs))


def smallest_detectable_change(repetitions: npt.ArrayLike) -> Estimate:
    """The smallest change that as many runs before and after it show, from one value a run of an unchanged system.

    In the unit of `repetitions`. The two-sided t test at CHANCE finds a change as large with the probability POWER, and
    a smaller one more rarely; a difference below it proves nothing. From the noncentral t distribution with 2k − 2
    degrees of freedom and `deviation_between` the k runs, whose low and high it keeps.
    Source: Montgomery, Design and Analysis of Experiments (2017), 2.4.
    """
    deviation = deviation_between(repetitions)
    degrees = 2 * (deviation.count - 1)
    critical = student(degrees)
    farthest = 2 * (critical + stats.t.ppf(POWER, degrees))
    errors = float(optimize.brentq(lambda far: stats.nct.sf(critical, degrees, far) - POWER, 0.0, farthest))
    return times(deviation, errors * math.sqrt(2 / deviation.count))
