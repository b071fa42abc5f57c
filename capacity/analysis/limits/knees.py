"""Three estimates of the highest load side by side: measured, by the scalability law, and by waiting lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from capacity.analysis.limits.levels import TIMES
from capacity.analysis.limits.queueing import highest_arrival_rate
from capacity.analysis.limits.saturation import CPU_OF
from capacity.analysis.limits.scalability import ScalabilityModel
from capacity.analysis.limits.scalability_fit import fit_usl, superlinear
from capacity.analysis.limits.search import BreakingPoint
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.findings import Objective, Verdict

NOT_GIVEN = exactly(None, 0)
LAW, LINES = "scalability law", "waiting lines"
BEYOND = 2.0  # times the highest number in service that was seen: the law is not asked about more
STATIONS = ("work", "place")  # what an operation occupies for a time of its own; waiting for a lock is no service


@dataclass(frozen=True, slots=True)
class Knee:
    """One estimate of the highest load in operations per second, what it is from, and what was found in making it."""

    method: str
    rate: Estimate
    note: str


def promised_time(part: str, objectives: Sequence[Objective]) -> tuple[str, float]:
    """The percentile of the response time that a level of a part must keep, as response_p99, and its limit in ms.

    Raises ValueError where no objective is on one.
    """
    names = {f"level_{part}.{name}": name for name in TIMES}
    promised = next((each for each in objectives if each.finding in names), None)
    if promised is None:
        raise ValueError(
            f"the levels of {part} have no objective on their response time; "
            f"add one of {', '.join(names)} to data/objectives.yaml"
        )
    return names[promised.finding], promised.limit


def measured_knee(held: Estimate, note: str) -> Knee:
    """What was measured: `held` is the load that held, and between which the system breaks; the middle is the value."""
    low, high = held.low or 0.0, math.inf if held.high is None else held.high
    value = None if low == 0 else low if math.isinf(high) else (low + high) / 2
    return Knee("measured", NOT_GIVEN if value is None else Estimate(value, low, high, held.count), note)


def scalability_knee(levels: pd.DataFrame, places: float, unknown: str = "") -> tuple[Knee, ScalabilityModel | None]:
    """What the Universal Scalability Law gives for as many operations in service as there are places for them.

    `levels` is `levels_frame`: fitted are the operations completed per second by the mean number in service, of levels
    at which the generator was not the limit. Where the law has a peak below `places`, that is it. Not given, with the
    reason: where the levels do not allow a fit, or rise faster than the law can; where it would say something of far
    more in service than there ever were; and without a peak where the places are `unknown`, which says why.
    """
    told = levels[(levels["in_service"] > 0) & (levels["completed"] > 0) & (levels["verdict"] != Verdict.VOID)]
    number, done = (told[name].to_numpy(dtype=float) for name in ("in_service", "completed"))
    try:
        model = fit_usl(number, done, "proportional")
    except ValueError as error:
        return Knee(LAW, NOT_GIVEN, str(error)), None
    peak = model.peak if model.peak is not None and model.peak.concurrency < places else None
    at = places if peak is None else peak.concurrency
    if why := _not_by_law(model, superlinear(number, done), at, "" if peak else unknown):
        return Knee(LAW, NOT_GIVEN, why), model
    if peak is not None:
        rate = Estimate(peak.throughput, peak.throughput_low, peak.throughput_high, len(told))
        return Knee(LAW, rate, f"its peak, at {peak.concurrency:,.3g} in service"), model
    row = model.band(places).iloc[0]
    rate = Estimate(float(row["throughput"]), float(row["low"]), float(row["high"]), len(told))
    no_peak = "no peak follows from the data" if model.peak is None else "its peak is beyond that"
    return Knee(LAW, rate, f"with all {places:g} places in service; {no_peak}"), model


def _not_by_law(model: ScalabilityModel, rises: bool, at: float, unknown: str) -> str:
    """Why the law says nothing of `at` operations in service; empty where it does."""
    if rises:
        return "throughput rises faster than the number in service, which the law does not know"
    if unknown:
        return f"no peak follows from the data, and {unknown}"
    if at > BEYOND * model.highest:
        return f"the levels had {model.highest:,.3g} in service at most, which says little of {at:,.3g}"
    return ""


def queueing_knee(used: pd.DataFrame, wait_limit_s: float, probability: float, unknown: str = "") -> Knee:
    """The highest arrival rate at which the busiest resource keeps waits short, by Erlang's formula.

    `used` is `usage` over the levels that held: each resource is servers with a measured demand. The one that holds the
    lowest rate is the answer; its interval is that of its demand. Not given, with the reason: where it is `unknown` how
    much the system serves at once, which says why, and where the generator would be the first at its limit.
    """
    stations = used[used["kind"].isin(STATIONS) & (used["demand_s"] > 0)]
    if not len(used):
        return Knee(LINES, NOT_GIVEN, "no level held, so no demand is known")
    if unknown or not len(stations):
        return Knee(LINES, NOT_GIVEN, unknown or "nothing that was watched did any work")

    def rate(row: "pd.Series[float]", demand_s: float) -> float:
        if not demand_s > 0:
            return math.inf
        return highest_arrival_rate(demand_s, max(1, int(row["servers"])), max(0.0, wait_limit_s), probability)

    rates = np.array([rate(row, row["demand_s"]) for _, row in stations.iterrows()])
    busiest = stations.iloc[int(rates.argmin())]
    note = f"{busiest['resource']}: {busiest['servers']:g} × 1 / {busiest['demand_s'] * 1e3:,.3g} ms an operation"
    if busiest["resource"] == CPU_OF["the generator"]:
        return Knee(LINES, NOT_GIVEN, f"the generator would be the first at its limit, at {rates.min():,.0f}/s; {note}")
    low, high = (rate(busiest, busiest[name]) for name in ("demand_high_s", "demand_low_s"))
    return Knee(LINES, Estimate(float(rates.min()), low, high, len(stations)), note)


def disagreement(knee: Knee, measured: Knee) -> Estimate:
    """An estimate over the measured knee, as a ratio that holds whatever both intervals hold."""
    rate, known = knee.rate, measured.rate
    if rate.value is None or known.value is None or not known.value:
        return NOT_GIVEN
    low = (rate.low or 0.0) / known.high if known.high else 0.0
    high = math.inf if rate.high is None or not known.low else rate.high / known.low
    return Estimate(rate.value / known.value, low, high, rate.count)


def disagreement_text(knee: Knee, ratio: Estimate) -> str:
    """What the ratio of an estimate to the measured knee says, in words."""
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return f"{knee.method}: not given ({knee.note})"
    said = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) × the measured"
    if ratio.low <= 1 <= ratio.high:
        return f"{knee.method}: {said}, which it does not contradict; {knee.note}"
    side = "more" if ratio.low > 1 else "less"
    return f"{knee.method}: {said}: it promises {side}; {knee.note}"


def beyond(levels: pd.DataFrame, answer: BreakingPoint) -> pd.DataFrame:
    """What the system does beyond its breaking point: the levels above it, and their parts of what held, by rate.

    Columns: rate, over (rate over the highest that held), completed, of_peak (completed over the most of any level),
    response_p95, slower (its ratio to the highest level that held) and success_rate.
    """
    held = levels[levels["rate"] == answer.low]
    above = levels[(levels["rate"] > answer.low) & (answer.low > 0)].sort_values("rate")
    shown = above.assign(
        over=above["rate"] / answer.low,
        of_peak=above["completed"] / levels["completed"].max(),
        slower=above["response_p95"] / held["response_p95"].median(),
    )
    columns = ["rate", "over", "completed", "of_peak", "response_p95", "slower", "success_rate"]
    return shown[columns].reset_index(drop=True)
