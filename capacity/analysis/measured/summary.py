"""Findings that every part of the system has: response times, success, throughput, and what the server counted."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.measured.failures import AT_LOAD, IDLE, why_no_time, why_unread
from capacity.analysis.measured.latency import Clock, latency_table
from capacity.analysis.measured.problems import Problem, spoilt
from capacity.analysis.measured.quality import generator_problems
from capacity.analysis.statistics.conventions import QUANTILES, percentile_text
from capacity.analysis.statistics.estimates import (
    Estimate,
    exactly,
    explained,
    mean_rate,
    peak,
    proportion,
    ratio,
    times,
)
from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.operation import operation_slug
from capacity.units import NS_PER_S

LEAVE_A_CORE = "leave each generator process a core, or stop what else runs on this machine"


@dataclass(frozen=True, slots=True)
class Sustained:
    """The stages of a recording at a constant load, which are the ones that findings are read from.

    `samples` and `gauges` are those of these stages, `all_samples` and `all_gauges` the whole recording's.
    `problems` are what speaks against the measurement, which makes void what they can have moved.
    """

    section: str
    recording: str
    manifest: Manifest
    all_samples: pd.DataFrame
    all_gauges: pd.DataFrame
    samples: pd.DataFrame
    gauges: pd.DataFrame
    seconds: float
    problems: Sequence[Problem]

    def finding(
        self,
        name: str,
        estimate: Estimate,
        unit: str,
        title: str,
        scale: float = 1.0,
        *,
        otherwise: Estimate | None = None,
    ) -> Finding:
        """The estimate, times `scale`, as the finding `section.name`; where it has no value the note says why.

        A problem of the measurement spoils what it can have moved; see `spoilt`, also for `otherwise`.
        """
        made = times(estimate, scale)
        note = "" if made.value is not None else made.why or f"nothing of it was seen {AT_LOAD}"
        full_name, bounds = f"{self.section}.{name}", (made.low, made.high)
        found = Finding(full_name, made.value, unit, *bounds, made.count, self.recording, title, note)
        return spoilt(found, self.problems, times(otherwise, scale) if otherwise else None)

    def share(
        self,
        name: str,
        counted: float,
        total: float,
        title: str,
        *,
        otherwise: float | None = None,
        none: str = "nothing was due",
    ) -> Finding:
        """What was counted of a total, in percent, as the finding `section.name`; `none` says what a total of 0 means.

        `otherwise` is the count if no time-out and no drop were the server's; see `spoilt`.
        """
        share, without = (
            explained(proportion(int(counted if each is None else each), int(total)), f"{none} {AT_LOAD}")
            for each in (counted, otherwise)
        )
        return self.finding(name, share, "%", title, 100, otherwise=without)

    def percentiles(
        self, row: "pd.Series[float]", samples: pd.DataFrame, name: str, title: str, names: Iterable[str] = QUANTILES
    ) -> Iterator[Finding]:
        """The percentiles in a row of `latency_table`, as the findings `section.name_p99`.

        The row is of these `samples`, by whose failures too few times are explained.
        """
        timed = int(row["count"] - row["error"])
        for each in names:
            estimate = percentile_estimate(row, each, len(samples))
            if estimate.value is None:
                estimate = explained(estimate, why_no_time(samples, minimum_samples(QUANTILES[each]), timed))
            yield self.finding(f"{name}_{each}", estimate, "ms", f"{title} {percentile_text(each)}")

    def rises(self, *names: str) -> list[npt.NDArray[np.float64]]:
        """By how much each counter rose in each second of a stage; only seconds in which all of them were read."""
        by_second = self.gauges.assign(second=self.gauges["at_ns"] // int(NS_PER_S))
        wanted = by_second[by_second["gauge"].isin(names)]
        table = wanted.pivot_table(index="second", columns="gauge", values="value", aggfunc="last", observed=True)
        begins = [math.floor(stage.start_s) for stage in self.manifest.sustained]
        stage = np.searchsorted(begins, table.index.to_numpy(), side="right")
        differences = table.reindex(columns=list(names)).groupby(stage).diff().dropna()
        return [differences[name].to_numpy(dtype=float) for name in names]

    def ratio(self, above: str, under: str) -> Estimate:
        """How far one counter rose for each unit by which another did."""
        found = ratio(*self.rises(above, under))
        return found if found.value is not None else explained(found, self.cause(above, under))

    def per_second(self, *names: str) -> Estimate:
        """How far these counters rose together in a second."""
        rise = np.sum(self.rises(*names), axis=0)
        found = ratio(rise, np.ones(len(rise)))
        return found if found.value is not None else explained(found, self.cause(*names))

    def peak(self, name: str) -> Estimate:
        """The highest reading of one gauge."""
        found = peak(self.readings(name))
        return found if found.value is not None else explained(found, self.cause(name))

    def cause(self, *gauges: str) -> str:
        """Why there is no figure of these gauges: what their reader noted, or that it read nothing, or too seldom."""
        if why := why_unread(self.manifest, set(self.all_gauges["gauge"]), *gauges):
            return why
        fewest = min(len(self.readings(name)) for name in gauges)
        if not fewest:
            return f"not read {AT_LOAD}"
        if len(self.rises(*gauges)[0]) < 2:
            return f"read too seldom {AT_LOAD}: {fewest:,} times in {self.seconds:g} s"
        return f"{IDLE.get(gauges[-1], 'it did not rise')} {AT_LOAD}"

    def readings(self, name: str) -> npt.NDArray[np.float64]:
        """The readings of one gauge."""
        return self.gauges.loc[self.gauges["gauge"] == name, "value"].to_numpy(dtype=float)

    def total(self, name: str, *, but_looks: bool = False) -> Estimate:
        """How far a counter rose over the whole recording: all of it was counted; none where it was not read.

        `but_looks` leaves out what it rose by while a look judged the promises, which takes the generator's own CPU.
        """
        readings = self.all_gauges[self.all_gauges["gauge"] == name]
        if len(readings) < 2:
            return exactly(None, len(readings), self.cause(name))
        rises, at_s = np.diff(readings["value"]), readings["at_ns"].to_numpy() / NS_PER_S
        for stage in self.manifest.stages:
            if but_looks and stage.look:
                rises = np.where((at_s[1:] > stage.start_s) & (at_s[:-1] < stage.end_s), 0.0, rises)
        return exactly(float(rises.sum()), len(readings))


def sustained(
    section: str, recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest
) -> Sustained:
    """The sustained stages of a recording's frames and manifest."""
    stages = manifest.sustained
    inside = np.zeros(len(gauges), dtype=bool)
    for stage in stages:
        inside |= gauges["at_ns"].between(stage.start_s * NS_PER_S, stage.end_s * NS_PER_S).to_numpy()
    steps = [stage.step for stage in stages]
    return Sustained(
        section,
        recording,
        manifest,
        samples,
        gauges,
        samples[samples["step"].isin(steps)],
        gauges[inside],
        manifest.sustained_seconds,
        generator_problems(samples, gauges, steps, manifest),
    )


def response_findings(part: Sustained) -> list[Finding]:
    """Response times and success of each operation and of all together, and the throughput of what succeeded."""
    found = [each for name, row in rows_of(part.samples) for each in _operation_findings(part, name, row)]
    return [*found, _throughput(part)]


def rows_of(samples: pd.DataFrame, clock: Clock = "response") -> "list[tuple[str, pd.Series[float]]]":
    """The rows of `latency_table` of each operation by name, and of all together as `all`."""
    table = pd.concat([latency_table(samples, clock=clock), latency_table(samples, by=None, clock=clock)])
    return [(str(name), row) for name, row in table.iterrows()]


def samples_of(samples: pd.DataFrame, name: str) -> pd.DataFrame:
    """Those of one operation; `all` is all of them."""
    return samples if name == "all" else samples[samples["operation"] == name]


def prefix_and_title(name: str, together: str = "all operations") -> tuple[str, str]:
    """What an operation's findings begin with in their names, and in their titles; `all` is all of them `together`."""
    return ("", together) if name == "all" else (f"{operation_slug(name)}.", name)


def _operation_findings(part: Sustained, name: str, row: "pd.Series[float]") -> Iterator[Finding]:
    prefix, title = prefix_and_title(name)
    timed, mine = int(row["count"] - row["error"]), samples_of(part.samples, name)
    for each in part.percentiles(row, mine, f"{prefix}response", f"{title},"):
        yield replace(each, count=timed)
    longest = exactly(_given(row["max_ms"]), timed, "" if timed else why_no_time(mine, 1, timed))
    yield part.finding(f"{prefix}response_max", longest, "ms", f"{title}, longest")
    not_failed = row["count"] - row["error"]
    yield part.share(f"{prefix}success_rate", row["ok"], row["count"], f"{title}, succeeded", otherwise=not_failed)


def connection_findings(part: Sustained) -> list[Finding]:
    """The workload's pool of connections: in use, idle, refused, exhausted, and the wait for a free one."""
    pool = part.manifest.admitted
    in_use = part.peak("generator.in_use")
    idle = exactly(None if in_use.value is None else pool - in_use.value, in_use.count, in_use.why)
    opened = part.peak(f"{part.manifest.workload['target']}.connections")
    refused = sum(part.manifest.refused.values())
    return [
        part.finding("pool_in_use", in_use, "connections", "connections in use, peak"),
        part.finding("pool_utilisation", in_use, "%", "pool in use, peak", 100 / pool),
        part.finding("connections_idle", idle, "connections", "connections idle, fewest"),
        part.finding("connections_open", opened, "connections", "connections open at the server, peak"),
        part.finding("connections_refused", exactly(refused, pool + refused), "", "connections refused"),
        _exhaustions(part),
        *acquisition_findings(part, "wait for a connection,", ("p50", "p99")),
    ]


def _exhaustions(part: Sustained) -> Finding:
    """How often no connection was free; after a pause of the generator's own it is void, as far as that made them."""
    counted = part.total("generator.exhaustions", but_looks=True)
    after = part.total("generator.exhaustions_after_pause", but_looks=True).value
    found = part.finding("pool_exhaustions", counted, "", "times that no connection was free")
    if not after or found.void is not None or counted.value is None:
        return found
    seen = f"{after:.0f} of {counted.value:.0f} came when the generator itself had paused and sent what was overdue"
    return replace(found, void=seen, remedy=LEAVE_A_CORE, least=counted.value - after, most=counted.value)


def acquisition_findings(part: Sustained, title: str, names: Iterable[str]) -> Iterator[Finding]:
    """How long operations waited for a connection that was free."""
    wait = latency_table(part.samples, by=None, clock="dispatch").iloc[0]
    return part.percentiles(wait, part.samples, "acquisition", title, names)


def percentile_estimate(row: "pd.Series[float]", quantile: str, count: int) -> Estimate:
    """One percentile of a row of `latency_table` with its interval, as `p99`."""
    value, low, high = (_given(row[f"{quantile}{bound}_ms"]) for bound in ("", "_low", "_high"))
    return Estimate(value, low, high, count)


def _given(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _throughput(part: Sustained) -> Finding:
    """Operations that ended ok in each whole second of the first sustained stage to the last."""
    ended = part.all_samples.loc[part.all_samples["outcome"] == "ok", "finished_ns"].to_numpy() / NS_PER_S
    counts = [
        np.histogram(ended, bins=np.arange(math.ceil(span.start_s), math.floor(span.end_s) + 1))[0]
        for span in part.manifest.sustained
        if math.floor(span.end_s) > math.ceil(span.start_s)
    ]
    found = mean_rate(np.concatenate(counts) if counts else [], 1.0)
    rate = explained(found, f"a rate needs two whole seconds at a constant load, and there are {found.count}")
    return part.finding("throughput", rate, "/s", "operations that succeeded, per second")
