"""What a fault did to the operations under way, and how long the system took to serve as before."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.statistics.percentiles import value_rank
from capacity.findings import Finding
from capacity.samples import check_samples, response_ns
from capacity.units import NS_PER_MS, NS_PER_S

QUANTILE = 0.95
WINDOW_S = 1.0
FATES = ("served", "late", "failed", "lost")

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """When a fault began and ended, in ns on the recording's clock, and the limit in ms on a response time.

    Raises ValueError where it ends before it begins, or the limit is not above 0.
    """

    begin_ns: int
    end_ns: int
    objective_ms: float

    def __post_init__(self) -> None:
        if self.end_ns < self.begin_ns:
            raise ValueError(
                f"a fault that begins at {self.begin_ns} ns cannot end at {self.end_ns} ns; give both in order"
            )
        if not self.objective_ms > 0:
            raise ValueError(f"a limit on response times must be above 0 ms and is {self.objective_ms:g} ms")


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations by their fate; they add up to all that were due.

    served: answered well within the limit. late: answered well, beyond it. failed: an error was answered, or the
    connection broke. lost: never answered within the time-out, or never sent.
    """

    served: int
    late: int
    failed: int
    lost: int

    @property
    def due(self) -> int:
        """All of them."""
        return self.served + self.late + self.failed + self.lost


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
    and to the moment from which the response times stay within the limit. `during` counts the operations that the fault
    touched: due before its end, and ended after its begin. `after` counts those due from its end until restored, or
    until the recording's end.
    """

    detected_ms: float | None
    first_success_ms: float | None
    restored_ms: float | None
    during: Counts
    after: Counts
    drain: Drain


def recovery(
    samples: pd.DataFrame, fault: FaultSpan, quantile: float = QUANTILE, window_s: float = WINDOW_S
) -> Recovery:
    """How the operations of a sample frame came through a fault, by the rule of `restored_ns` for the last moment."""
    check_samples(samples)
    restored = restored_ns(samples, fault, quantile, window_s)
    scheduled, finished = samples["scheduled_ns"], samples["finished_ns"]
    touched = samples[(scheduled < fault.end_ns) & (finished >= fault.begin_ns)]
    until = math.inf if restored is None else restored
    well = finished[(samples["outcome"] == "ok") & (finished >= fault.end_ns)]
    return Recovery(
        detected_ms=_ms(_detected_ns(touched, fault), fault.begin_ns),
        first_success_ms=_ms(None if well.empty else int(well.min()), fault.end_ns),
        restored_ms=_ms(restored, fault.end_ns),
        during=counts(touched, fault.objective_ms),
        after=counts(samples[(scheduled >= fault.end_ns) & (scheduled < until)], fault.objective_ms),
        drain=drain(backlog(samples), fault),
    )


def fates(samples: pd.DataFrame, objective_ms: float) -> "pd.Series[str]":
    """The fate of each operation, one of FATES."""
    outcome = samples["outcome"].astype(str).to_numpy()
    late = (response_ns(samples) > objective_ms * NS_PER_MS).to_numpy()
    fate = np.select([outcome == "error", outcome != "ok", late], ["failed", "lost", "late"], "served")
    return pd.Series(fate, index=samples.index, dtype=str)


def counts(samples: pd.DataFrame, objective_ms: float) -> Counts:
    """How many operations had which fate."""
    found = fates(samples, objective_ms).value_counts()
    return Counts(**{fate: int(found.get(fate, 0)) for fate in FATES})


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
    changes = pd.concat([begins, ends])
    return changes.groupby(level=0).sum().cumsum()


def drain(depth: "pd.Series[int] | pd.Series[float]", fault: FaultSpan) -> Drain:
    """How a backlog drained after a fault; `depth` by time in ns, ascending, as `backlog` has it or a queue's gauge."""
    before = depth[depth.index < fault.begin_ns]
    usual = int(before.max()) if len(before) else 0
    during = depth[depth.index <= fault.end_ns]
    left = int(during.iloc[-1]) if len(during) else 0
    from_begin = depth[depth.index >= fault.begin_ns]
    peak = max(int(from_begin.max()) if len(from_begin) else 0, left)
    after = depth[depth.index > fault.end_ns]
    drained = after.index[(after <= usual).to_numpy()]
    if left <= usual:
        return Drain(usual, peak, left, 0.0)
    return Drain(usual, peak, left, (int(drained[0]) - fault.end_ns) / NS_PER_S if len(drained) else None)


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


def recovery_findings(scenario: str, recording: str, found: Recovery) -> list[Finding]:
    """A recovery as findings `failover.<scenario>.<name>`; what never came is not given, and says so."""
    lost = "it did not come within the recording"
    times = {
        "detected": (
            found.detected_ms,
            "ms",
            "time from the fault to its first sign",
            "it touched no operation",
        ),
        "first_success": (found.first_success_ms, "ms", "time from the fault's end to the first good answer", lost),
        "restored": (found.restored_ms, "ms", "time from the fault's end until all is within the limit", lost),
        "drained": (found.drain.seconds, "s", "time from the fault's end until the backlog was gone", lost),
    }
    amounts = {
        "served": (found.during.served, "operations within the limit in spite of the fault"),
        "late": (found.during.late, "operations answered too late"),
        "failed": (found.during.failed, "operations that failed"),
        "lost": (found.during.lost, "operations never answered"),
        "backlog": (found.drain.left, "operations waiting when the fault ended"),
    }
    given = [(name, value, unit, title, note) for name, (value, unit, title, note) in times.items()]
    given += [(name, value, "", title, "") for name, (value, title) in amounts.items()]
    return [
        Finding(
            f"failover.{scenario}.{name}",
            value,
            unit,
            value,
            value,
            found.during.due,
            recording,
            title,
            "" if value is not None else note,
        )
        for name, value, unit, title, note in given
    ]


def timeline(
    samples: pd.DataFrame, objective_ms: float, every_s: float = 0.1, by: str = "scheduled_ns"
) -> pd.DataFrame:
    """A row for each `every_s` of the schedule: `at_s`, the count of each fate, and `slowest_ms` of good answers.

    With `by` finished_ns the operations are those that ended in that time instead of those that were due in it.
    """
    slot = samples[by] // round(every_s * NS_PER_S)
    found = pd.crosstab(slot, fates(samples, objective_ms)).reindex(columns=list(FATES), fill_value=0)
    whole = range(int(slot.min()), int(slot.max()) + 1) if len(slot) else range(0)
    found = found.reindex(whole, fill_value=0)
    well = samples["outcome"] == "ok"
    slowest = (response_ns(samples)[well] / NS_PER_MS).groupby(slot[well]).max()
    frame = found.assign(at_s=found.index * every_s, slowest_ms=slowest.reindex(found.index))
    return frame[["at_s", *FATES, "slowest_ms"]].reset_index(drop=True).rename_axis(columns=None)


def _detected_ns(touched: pd.DataFrame, fault: FaultSpan) -> int | None:
    """When the first touched operation was known to be bad: it failed, or its limit passed, in the fault or after."""
    limit = touched["scheduled_ns"] + round(fault.objective_ms * NS_PER_MS)
    known = np.minimum(limit.to_numpy(), touched["finished_ns"].to_numpy())
    known = known[(fates(touched, fault.objective_ms) != "served").to_numpy() & (known >= fault.begin_ns)]
    return int(known.min()) if len(known) else None


def _ms(moment: int | None, since: int) -> float | None:
    return None if moment is None else (moment - since) / NS_PER_MS
