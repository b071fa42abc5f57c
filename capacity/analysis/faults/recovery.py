"""What a fault did to the operations under way, and how long the system took to serve as before."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from capacity.analysis.statistics.percentiles import value_rank
from capacity.findings import Finding
from capacity.samples import check_samples, response_ns
from capacity.units import NS_PER_MS, NS_PER_S

QUANTILE = 0.95
WINDOW_S = 1.0
FATES = ("served", "late", "failed", "lost")


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """When a fault began and ended, in ns on the recording's clock, and the limit in ms on a response time."""

    begin_ns: int
    end_ns: int
    objective_ms: float

    def __post_init__(self) -> None:
        if not (self.begin_ns <= self.end_ns and self.objective_ms > 0):
            raise ValueError(f"a fault needs begin_ns <= end_ns and an objective_ms above 0, and got {self}")


@dataclass(frozen=True, slots=True)
class Drain:
    """The backlog that a fault left: operations that were due and had not ended.

    `usual` is the highest one before the fault, `peak` the highest from its begin on, `left` the one when it ended.
    `seconds` is the time from the fault's end until the backlog was first no higher than usual, None where that never
    came.
    """

    usual: int
    peak: int
    left: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a system came through a fault; times in ms, None where the moment never came.

    `detected_ms` counts from the fault's begin to the first operation that it touched and that failed, or was not
    answered when its limit passed. `first_success_ms` and `restored_ms` count from its end: to the first good answer,
    and to the moment from which the response times stay within the limit. `during` counts by their fate
    the operations that the fault touched: due before its end, and ended after its begin.
    """

    detected_ms: float | None
    first_success_ms: float | None
    restored_ms: float | None
    during: Counter[str]
    drain: Drain


def recovery(samples: pd.DataFrame, fault: FaultSpan) -> Recovery:
    """How the operations of a sample frame came through a fault, by the rule of `restored_ns` for the last moment."""
    check_samples(samples)
    finished = samples["finished_ns"]
    touched = samples[(samples["scheduled_ns"] < fault.end_ns) & (finished >= fault.begin_ns)]
    well = finished[(samples["outcome"] == "ok") & (finished >= fault.end_ns)]
    return Recovery(
        detected_ms=_ms(_detected_ns(touched, fault), fault.begin_ns),
        first_success_ms=_ms(None if well.empty else int(well.min()), fault.end_ns),
        restored_ms=_ms(restored_ns(samples, fault), fault.end_ns),
        during=Counter(fates(touched, fault.objective_ms)),
        drain=drain(backlog(samples), fault),
    )


def fates(samples: pd.DataFrame, objective_ms: float) -> "pd.Series[str]":
    """The fate of each operation, one of FATES.

    served: answered well within the limit. late: answered well, beyond it. failed: an error was answered, or the
    connection broke. lost: never answered within the time-out, or never sent.
    """
    outcome = samples["outcome"].astype(str).to_numpy()
    late = (response_ns(samples) > objective_ms * NS_PER_MS).to_numpy()
    fate = np.select([outcome == "error", outcome != "ok", late], ["failed", "lost", "late"], "served")
    return pd.Series(fate, index=samples.index, dtype=str)


def restored_ns(
    samples: pd.DataFrame, fault: FaultSpan, quantile: float = QUANTILE, window_s: float = WINDOW_S
) -> int | None:
    """The first moment from the fault's end on from which the response times stay within the limit, on their schedule.

    A window of `window_s` begins at each operation that is due from the fault's end on; it is within the limit where
    the sample quantile of the response times of the operations due in it is, one that was not answered well counting as
    infinite. The moment is the fault's end where all windows are within it, else when the first operation is due after
    the begin of the last window that is not. None where the recording has no whole window after that moment: then
    nothing shows that it would have lasted.
    """
    ordered = samples.sort_values("scheduled_ns", kind="stable")
    due = ordered["scheduled_ns"].to_numpy()
    bad = (fates(ordered, fault.objective_ms) != "served").to_numpy()
    first = int(np.searchsorted(due, fault.end_ns))
    width = round(window_s * NS_PER_S)
    ends = np.searchsorted(due, due + width)
    starts = np.arange(first, int(np.searchsorted(due, due[-1] - width, side="right")) if len(due) else 0)
    if not len(starts):
        return None
    sums = np.concatenate([[0], np.cumsum(bad)])
    sizes = ends[starts] - starts
    each, place = np.unique(sizes, return_inverse=True)
    allowed = (each - np.array([value_rank(int(size), quantile) for size in each]))[place]
    outside = np.flatnonzero(sums[ends[starts]] - sums[starts] > allowed)
    if not len(outside):
        return fault.end_ns
    following = outside[-1] + 1
    return int(due[starts[following]]) if following < len(starts) else None


def backlog(samples: pd.DataFrame) -> "pd.Series[int]":
    """How many operations were due and had not ended, by the time in ns of each change."""
    begins = pd.Series(1, index=samples["scheduled_ns"].to_numpy())
    ends = pd.Series(-1, index=samples["finished_ns"].to_numpy())
    return pd.concat([begins, ends]).groupby(level=0).sum().cumsum()


def drain(depth: "pd.Series[int] | pd.Series[float]", fault: FaultSpan) -> Drain:
    """How a backlog drained after a fault; `depth` by time in ns, ascending, as `backlog` has it or a queue's gauge."""
    at, waiting = depth.index.to_numpy(), depth.to_numpy()
    usual = int(waiting[at < fault.begin_ns].max(initial=0))
    until_end = waiting[at <= fault.end_ns]
    left = int(until_end[-1]) if len(until_end) else 0
    peak = max(int(waiting[at >= fault.begin_ns].max(initial=0)), left)
    drained = at[(at > fault.end_ns) & (waiting <= usual)]
    lasted_s = (int(drained[0]) - fault.end_ns) / NS_PER_S if len(drained) else None
    return Drain(usual, peak, left, 0.0 if left <= usual else lasted_s)


def drain_seconds(backlog: float, capacity_per_s: float, arrivals_per_s: float) -> float:
    """How long a backlog takes to drain while more arrives: backlog / (μ − λ); infinite where λ reaches μ.

    Source: the fluid approximation of a queue, Kleinrock, Queueing Systems II (1976), 2.7. Raises ValueError for a
    number below 0.
    """
    for name, value in (("backlog", backlog), ("capacity", capacity_per_s), ("arrivals", arrivals_per_s)):
        if not value >= 0:
            raise ValueError(f"drain_seconds needs a {name} of 0 or more and got {value:g}")
    if backlog == 0:
        return 0.0
    return backlog / (capacity_per_s - arrivals_per_s) if capacity_per_s > arrivals_per_s else math.inf


def recovery_findings(scenario: str, recording: str, found: Recovery) -> Iterator[Finding]:
    """A recovery as findings `failover.<scenario>.<name>`; what never came is not given, and says so."""
    never, end = "it did not come within the recording", "time from the fault's end"
    during = found.during
    figures = (
        ("detected", found.detected_ms, "ms", "time from the fault to its first sign", "it touched no operation"),
        ("first_success", found.first_success_ms, "ms", f"{end} to the first good answer", never),
        ("restored", found.restored_ms, "ms", f"{end} until all is within the limit", never),
        ("drained", found.drain.seconds, "s", f"{end} until the backlog was gone", never),
        ("served", during["served"], "", "operations within the limit in spite of the fault", ""),
        ("late", during["late"], "", "operations answered too late", ""),
        ("failed", during["failed"], "", "operations that failed", ""),
        ("lost", during["lost"], "", "operations never answered", ""),
        ("backlog", found.drain.left, "", "operations waiting when the fault ended", ""),
    )
    for name, value, unit, title, why_none in figures:
        figure, note = f"failover.{scenario}.{name}", why_none if value is None else ""
        yield Finding(figure, value, unit, value, value, during.total(), recording, title, note)


def _detected_ns(touched: pd.DataFrame, fault: FaultSpan) -> int | None:
    """When the first touched operation was known to be bad: it failed, or its limit passed, in the fault or after."""
    limit = touched["scheduled_ns"] + round(fault.objective_ms * NS_PER_MS)
    known = np.minimum(limit.to_numpy(), touched["finished_ns"].to_numpy())
    known = known[(fates(touched, fault.objective_ms) != "served").to_numpy() & (known >= fault.begin_ns)]
    return int(known.min()) if len(known) else None


def _ms(moment: int | None, since: int) -> float | None:
    return None if moment is None else (moment - since) / NS_PER_MS
