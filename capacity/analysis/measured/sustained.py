"""The stages of a recording at a constant load, and how a finding is made of what they hold."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.measured.failures import AT_LOAD, IDLE, why_no_time, why_unread
from capacity.analysis.measured.validity.problems import Problem, spoilt
from capacity.analysis.measured.validity.quality import generator_problems
from capacity.analysis.statistics.conventions import QUANTILES, percentile_text
from capacity.analysis.statistics.estimates import (
    Estimate,
    exactly,
    explained,
    peak,
    proportion,
    ratio,
    times,
)
from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.units import NS_PER_S

UNREAD_FROM = "there is no reading of it from {:,.1f} s of the load on"


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
        differences = self._differences(names)
        return [differences[name].to_numpy(dtype=float) for name in names]

    def _differences(self, names: Sequence[str]) -> pd.DataFrame:
        """The same as columns, and as `seconds` how many each rise took: a server may be slow to tell."""
        by_second = self.gauges.assign(second=self.gauges["at_ns"] // int(NS_PER_S))
        wanted = by_second[by_second["gauge"].isin(names)]
        table = wanted.pivot_table(index="second", columns="gauge", values="value", aggfunc="last", observed=True)
        begins = [math.floor(stage.start_s) for stage in self.manifest.sustained]
        stage = np.searchsorted(begins, table.index.to_numpy(), side="right")
        read = table.reindex(columns=list(names)).dropna()
        read, stage = read.assign(seconds=read.index), stage[table.index.isin(read.index)]
        return read.groupby(stage).diff().dropna()

    def ratio(self, above: str, under: str) -> Estimate:
        """How far one counter rose for each unit by which another did."""
        found = ratio(*self.rises(above, under))
        return found if found.value is not None else explained(found, self.cause(above, under))

    def per_second(self, *names: str) -> Estimate:
        """How far these counters rose together in a second."""
        rises = self._differences(names)
        found = ratio(rises[list(names)].sum(axis=1), rises["seconds"])
        return found if found.value is not None else explained(found, self.cause(*names))

    def peak(self, name: str, *, seldom: bool = False) -> Estimate:
        """The highest reading of one gauge; none where it was not read until the end, unless it is read `seldom`."""
        if not seldom and (last_s := self.unread_from(name, pauses=True)) is not None:
            return exactly(None, len(self.readings(name)), UNREAD_FROM.format(last_s))
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

    def unread_from(self, name: str, *, pauses: bool = False) -> float | None:
        """From when on a gauge was read no more, in seconds of the load; None where it was until the end.

        With `pauses`, where that is much longer than between two readings: some are read seldom, or answered late.
        """
        at_s = self.all_gauges.loc[self.all_gauges["gauge"] == name, "at_ns"].to_numpy() / NS_PER_S
        if not len(at_s) or self.manifest.state != "complete" or not self.manifest.sustained:
            return None
        pause_s = 2 * float(np.diff(at_s).max(initial=0)) + 1 if pauses else 0.0
        return float(at_s[-1]) if at_s[-1] + pause_s < self.manifest.sustained[-1].end_s else None

    def whole(self, found: Estimate, *names: str, fell: str) -> Estimate:
        """What was found of a server's counters; none where one of them was not read until the end, or `fell`."""
        for name in names:
            if (np.diff(self.all_gauges.loc[self.all_gauges["gauge"] == name, "value"]) < 0).any():
                return exactly(None, found.count, fell)
            if (last_s := self.unread_from(name)) is not None:
                return exactly(None, found.count, UNREAD_FROM.format(last_s))
        return found

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


def percentile_estimate(row: "pd.Series[float] | Mapping[str, float]", quantile: str, count: int) -> Estimate:
    """One percentile of a row of `latency_table` with its interval, as `p99`."""
    value, low, high = (given(row[f"{quantile}{bound}_ms"]) for bound in ("", "_low", "_high"))
    return Estimate(value, low, high, count)


def given(value: float) -> float | None:
    """A value of a table; None where it is none."""
    return None if math.isnan(value) else float(value)
