"""What an overload did to a queue and to those who wrote to it: its course, what was served, and when it was over."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.measured.gateway import SHED
from capacity.analysis.measured.latency import latency_table
from capacity.analysis.measured.sustained import percentile_estimate
from capacity.analysis.statistics.conventions import QUANTILES
from capacity.analysis.statistics.estimates import Estimate, exactly, explained, peak, proportion, times
from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.samples import response_ns
from capacity.units import MS_PER_S, NS_PER_MS, NS_PER_S

SECTION = "breaking_point"
WITH, WITHOUT = "with_breaker", "without_breaker"
HALVES = {WITH: "with the breaker", WITHOUT: "without the breaker"}
WAITING = ("queue.wait", "queue.prioritized", "queue.paused")
STATE = "gateway.breaker_state"
CLOSED = 0
EVERY_S = 0.2  # the width of an interval of a course
FATES = ("admitted", "shed", "failed")


def queue_depth(gauges: pd.DataFrame) -> "pd.Series[float]":
    """How many jobs could run and wait for a worker, by the time of each reading in ns."""
    waiting = gauges[gauges["gauge"].isin(WAITING)]
    return waiting.groupby("at_ns")["value"].sum().sort_index()


def fates_of_writes(samples: pd.DataFrame) -> "pd.Series[str]":
    """Whether each write was admitted, shed on purpose (with a time to come again), or failed: one of FATES."""
    shed = samples["error"].astype(object).fillna("").str.contains(SHED, regex=False)
    fates = np.select([samples["outcome"] == "ok", shed], FATES[:2], FATES[2])
    return pd.Series(fates, index=samples.index, dtype=str)


def overload_course(writes: pd.DataFrame, gauges: pd.DataFrame) -> pd.DataFrame:
    """A row for each EVERY_S from the load's begin: its middle `at_s`, the deepest `depth`, and the rates of writes.

    `writes` is a sample frame of the operations that add to the queue. Columns: at_s, depth (NaN where it was not
    read), admitted_per_s, shed_per_s and failed_per_s, by when they were answered.
    """
    depth = queue_depth(gauges)
    last = max(writes["finished_ns"].max() if len(writes) else 0, depth.index.max() if len(depth) else 0)
    rows = range(math.floor(last / NS_PER_S / EVERY_S) + 1)
    slot = (writes["finished_ns"] / NS_PER_S // EVERY_S).astype(int)
    found = pd.crosstab(slot, fates_of_writes(writes)).reindex(index=rows, columns=list(FATES))
    deepest = depth.groupby((depth.index.to_numpy() / NS_PER_S // EVERY_S).astype(int)).max().reindex(rows)
    rates = (found.fillna(0) / EVERY_S).add_suffix("_per_s").rename_axis(columns=None)
    middles = pd.Series((np.array(rows) + 0.5) * EVERY_S, index=rows, name="at_s")
    return pd.concat([middles, deepest.rename("depth"), rates], axis=1)


def served_per_s(ended_ns: npt.NDArray[np.int64], depth: "pd.Series[float]") -> float | None:
    """Jobs that ended per second while jobs waited, so that every worker had one: μ, from ends and readings of depth.

    Only between readings that both found jobs waiting; None where that was never so.
    """
    times, waits = depth.index.to_numpy(), (depth > 0).to_numpy()
    busy = waits[1:] & waits[:-1]
    seconds = float(np.diff(times)[busy].sum()) / NS_PER_S
    ended = np.diff(np.searchsorted(np.sort(ended_ns), times))[busy]
    return float(ended.sum()) / seconds if seconds else None


def closed_after_s(gauges: pd.DataFrame, end_ns: int) -> float | None:
    """How long after `end_ns` a reading first found the breaker closed for good; 0 where one did by then.

    None where it was open at the last reading, or was never read after `end_ns`.
    """
    states = gauges[gauges["gauge"] == STATE].sort_values("at_ns")
    times, still_open = states["at_ns"].to_numpy(), (states["value"] != CLOSED).to_numpy()
    if not len(times) or still_open[-1] or times[-1] < end_ns:
        return None
    closed = times[np.flatnonzero(still_open)[-1] + 1] if still_open.any() else 0
    return max(0, int(closed) - end_ns) / NS_PER_S


def dry_s(depth: "pd.Series[float]", begin_ns: int, end_ns: int) -> float:
    """For how many seconds of that time no job waited, by readings of the depth that found none one after another."""
    inside = depth[(depth.index >= begin_ns) & (depth.index <= end_ns)]
    times, empty = inside.index.to_numpy(), (inside == 0).to_numpy()
    both = empty[1:] & empty[:-1]
    return float(np.diff(times)[both].sum()) / NS_PER_S


@dataclass(frozen=True, slots=True)
class Half:
    """A recording of an overload that lasted until `end_s`, with the breaker or without; `write` adds to the queue.

    `name` is one of HALVES and the recording's own. `objective_ms` is the limit on the response time of what is
    admitted.
    """

    name: str
    samples: pd.DataFrame
    gauges: pd.DataFrame
    jobs: pd.DataFrame
    manifest: Manifest
    end_s: float
    write: str
    objective_ms: float

    @property
    def end_ns(self) -> int:
        """When the overload ended, on the recording's clock."""
        return round(self.end_s * NS_PER_S)

    def finding(self, figure: str, found: Estimate, unit: str, title: str) -> Finding:
        """The finding `breaking_point.<half>.<figure>`."""
        note = "" if found.value is not None else found.why or "it was not seen within the recording"
        name, words = f"{SECTION}.{self.name}.{figure}", f"{title}, {HALVES[self.name]}"
        return Finding(name, found.value, unit, found.low, found.high, found.count, self.name, words, note)


def overload_findings(half: Half) -> list[Finding]:
    """All figures of one half; what was counted or timed once has no interval but itself."""
    found = [*_depths(half), *_writes(half), *_waits(half)]
    if half.name == WITH:
        closed = exactly(closed_after_s(half.gauges, half.end_ns), 1)
        found.append(half.finding("closed_after", closed, "s", "time from the overload's end until all are admitted"))
    return found


def _depths(half: Half) -> Iterator[Finding]:
    depth = queue_depth(half.gauges)
    until = depth[depth.index <= half.end_ns]
    filled = until[until > 0]
    begin = int(filled.index[0]) if len(filled) else half.end_ns
    yield half.finding("depth_peak", peak(depth), "jobs", "deepest queue")
    last = exactly(float(until.iloc[-1]) if len(until) else None, len(until))
    yield half.finding("depth_end", last, "jobs", "queue when the overload ended")
    dry = exactly(dry_s(depth, begin, half.end_ns), len(until))
    yield half.finding("dry", dry, "s", "time in the overload without a waiting job")


def _writes(half: Half) -> Iterator[Finding]:
    writes = half.samples[half.samples["operation"] == half.write]
    fates, reads = fates_of_writes(writes), half.samples.drop(index=writes.index)
    for fate in FATES:
        title = "writes refused (shed)" if fate == "shed" else f"writes {fate}"
        yield half.finding(fate, exactly(float((fates == fate).sum()), len(writes)), "", title)
    refused = exactly(float((reads["outcome"] != "ok").sum()), len(reads))
    yield half.finding("reads_refused", refused, "", "reads that failed or were refused")
    admitted = writes[writes["outcome"] == "ok"]
    within = int((response_ns(admitted) <= half.objective_ms * NS_PER_MS).sum())
    title = f"admitted writes answered within {half.objective_ms:g} ms"
    share = explained(times(proportion(within, len(admitted)), 100), "no write was admitted")
    yield half.finding("admitted_within", share, "%", title)
    row = latency_table(admitted, by=None, quantiles=(0.95,)).iloc[0]
    needed = f"needs {minimum_samples(QUANTILES['p95']):,} and has {len(admitted):,}"
    p95 = explained(
        percentile_estimate(row, "p95", len(admitted)), needed if len(admitted) else "no write was admitted"
    )
    yield half.finding("admitted_p95", p95, "ms", "response of admitted writes, p95")


def _waits(half: Half) -> Iterator[Finding]:
    """By the queue's own times."""
    jobs, count = half.jobs, len(half.jobs)
    started = jobs[jobs["started_ms"] > 0]
    longest_ms = float((started["started_ms"] - started["added_ms"]).max()) if len(started) else None
    ended = jobs["finished_ms"].to_numpy(dtype=np.int64) * NS_PER_MS - half.manifest.origin_ns
    served = served_per_s(ended, queue_depth(half.gauges))
    behind = None if longest_ms is None or served is None else longest_ms / MS_PER_S * served
    yield half.finding("served", exactly(served, count), "/s", "jobs ended per second while jobs waited (μ)")
    yield half.finding("wait_longest", exactly(longest_ms, count), "ms", "longest wait of a job")
    yield half.finding("waited_behind", exactly(behind, count), "jobs", "jobs before the one that waited longest")
