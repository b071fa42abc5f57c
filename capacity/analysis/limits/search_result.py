"""What the search of one part found: its answer, what broke, and the estimates beside it, as findings."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from capacity.analysis.limits.knees import (
    Knee,
    beyond,
    disagreement,
    measured_knee,
    queueing_knee,
    scalability_knee,
)
from capacity.analysis.limits.levels import Frames, Level, levels_frame
from capacity.analysis.limits.repeatability import Repeatability, repeatability
from capacity.analysis.limits.rounds import Bracket, bracket, deviation_of_rounds, over_rounds
from capacity.analysis.limits.saturation import saturation, usage, what_broke
from capacity.analysis.limits.scalability import ScalabilityModel
from capacity.analysis.limits.search import BROKEN, PRODUCTION_SHARE, REST, BreakingPoint, Conclusion, Search
from capacity.analysis.statistics.conventions import QUANTILES
from capacity.analysis.statistics.estimates import Estimate, exactly, proportion
from capacity.findings import Finding, Objective, Verdict

SECTION = "breaking_point"
NOTES = {
    Conclusion.GENERATOR_BOUND: "the generator's limit; the system's is above",
    Conclusion.NOT_REACHED: "nothing broke within the range; the system may hold more",
}


@dataclass(frozen=True)
class SearchResult:
    """The search of the part `name`: its levels in the order tried, with their frames, and their objectives.

    `rounds` are the levels of later rounds, and `repeated` measurements of the load that the search recommended, with
    their frames.
    """

    name: str
    search: Search
    levels: tuple[Level, ...]
    frames: tuple[Frames, ...]
    objectives: tuple[Objective, ...]
    repeated: tuple[Level, ...] = ()
    repeated_frames: tuple[Frames, ...] = ()
    rounds: tuple[tuple[Level, ...], ...] = ()

    @cached_property
    def answer(self) -> BreakingPoint:
        """What the levels of the search say."""
        return self.search.answer(level.result for level in self.levels)

    @cached_property
    def brackets(self) -> tuple[Bracket, ...]:
        """Between which levels it broke in the search and in each later round."""
        first = Bracket(self.answer.low, math.inf if self.answer.high is None else self.answer.high)
        return (first, *(bracket([level.result for level in levels]) for levels in self.rounds))

    @cached_property
    def sustainable(self) -> Estimate:
        """The highest load that held, and between which loads the breaking point lies: over all rounds, if several."""
        if self.rounds:
            return over_rounds(self.brackets)
        low, high = self.brackets[0].low, self.brackets[0].high
        return Estimate(low, low, high, len(self.levels)) if low else exactly(None, len(self.levels))

    @property
    def between_rounds(self) -> Estimate:
        """How much the rounds' breaking points differ, as a share of them; None where there was one."""
        return deviation_of_rounds(self.brackets)

    @property
    def recommended(self) -> tuple[float | None, str]:
        """The load for production, None where none held, and why."""
        low = self.sustainable.low
        if not self.rounds:
            return self.answer.recommended, self.answer.why
        if not low:
            return None, "in a later round no level held, so none is recommended"
        lower = f"the lower end of the interval over {len(self.brackets)} rounds"
        return PRODUCTION_SHARE * low, f"{PRODUCTION_SHARE * 100:g} % of {low:,.0f}, {lower}; {REST}"

    @property
    def tried(self) -> tuple[Level, ...]:
        """The levels of all rounds, in the order tried."""
        return (*self.levels, *(level for levels in self.rounds for level in levels))

    @cached_property
    def table(self) -> pd.DataFrame:
        """The levels of all rounds as `levels_frame`, in the order tried."""
        return levels_frame(self.tried)

    @property
    def knee(self) -> float:
        """The lowest level that broke; where none did, the highest that was tried."""
        above = [each.rate for each in self.levels if each.rate > self.answer.low and each.verdict in BROKEN]
        return self.answer.high or min(above, default=max(each.rate for each in self.levels))

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The resources as `saturation` ranks them, at the knee and just below."""
        return saturation(usage(self._at(self.answer.low)), usage(self._at(self.knee)))

    @property
    def broke(self) -> str:
        """What broke, in one sentence."""
        return what_broke(self.ranked, self.answer.low or None, self.knee)

    @property
    def places(self) -> float:
        """How many operations can be in service at once: worker slots, else the load's connections."""
        manifest = self.frames[0].manifest
        return float(manifest.get("slots", manifest["connections"]))

    @cached_property
    def scalability(self) -> tuple[Knee, ScalabilityModel | None]:
        """The scalability law's estimate, and the law."""
        return scalability_knee(self.table, self.places)

    @cached_property
    def knees(self) -> list[Knee]:
        """The measured knee, the scalability law's and that of waiting lines."""
        held = [frames for level, frames in zip(self.levels, self.frames, strict=True) if level.verdict is Verdict.PASS]
        limit_s, quantile = self._limit()
        measured = measured_knee(self.sustainable, self.answer.broke or str(self.answer.conclusion))
        return [measured, self.scalability[0], queueing_knee(usage(held), limit_s, quantile)]

    @property
    def disagreements(self) -> list[tuple[Knee, Estimate]]:
        """The two estimates with their ratios to the measured knee."""
        measured, *others = self.knees
        return [(each, disagreement(each, measured)) for each in others]

    @property
    def beyond(self) -> pd.DataFrame:
        """What it does beyond its breaking point."""
        return beyond(self.table, self.answer)

    @cached_property
    def uses(self) -> pd.DataFrame:
        """`usage` of each level by rate, with the column `rate`; resources in the order of `ranked`."""
        rates = sorted({level.rate for level in self.levels})
        frame = pd.concat([usage(self._at(rate)).assign(rate=rate) for rate in rates], ignore_index=True)
        order = {name: place for place, name in enumerate(self.ranked["resource"])}
        return frame.sort_values("resource", key=lambda names: names.map(order), kind="stable", ignore_index=True)

    @cached_property
    def repeatability(self) -> Repeatability | None:
        """What the measurements of one level that held say of each other; None where none held."""
        return repeatability(self.levels + self.repeated, self.frames + self.repeated_frames)

    @property
    def promised_time(self) -> tuple[str, float]:
        """The percentile of the response time that a level must keep, as response_p99, and its limit in ms."""
        names = {f"level_{self.name}.response_{name}": f"response_{name}" for name in QUANTILES}
        promised = next((each for each in self.objectives if each.finding in names), None)
        if promised is None:
            raise ValueError(
                f"the levels of {self.name} have no objective on their response time; "
                f"add one of {', '.join(names)} to data/objectives.yaml"
            )
        return names[promised.finding], promised.limit

    def _at(self, rate: float) -> list[Frames]:
        return [frames for level, frames in zip(self.levels, self.frames, strict=True) if level.rate == rate]

    def _limit(self) -> tuple[float, float]:
        """For how long an operation may wait by the objective, in seconds, and how many of them (0–1)."""
        name, limit_ms = self.promised_time
        lowest = min(self.levels, key=lambda level: level.rate)
        served = lowest.finding(name.replace("response", "service")).value or 0.0
        return max(0.0, limit_ms - served) / 1e3, QUANTILES[name.removeprefix("response_")]


def breaking_point_findings(found: SearchResult, searches: str) -> list[Finding]:
    """The findings of one part's search, named breaking_point.<part>.<figure>; `searches` is the folder of all."""
    prefix, recording = f"{SECTION}.{found.name}", f"{searches}/{found.name}"

    def given(name: str, estimate: Estimate, unit: str, title: str, note: str = "") -> Finding:
        bounds = (estimate.value, estimate.low, estimate.high)
        value, low, high = (None if x is None or math.isnan(x) else x for x in bounds)
        return Finding(f"{prefix}.{name}", value, unit, low, high, estimate.count, recording, title, note)

    answer = found.answer
    load, why = found.recommended
    title = f"{found.name}, highest sustainable load"
    note = NOTES.get(answer.conclusion, answer.broke)
    findings = [given("highest_sustainable", found.sustainable, "/s", title, note)]
    recommended = exactly(load, found.sustainable.count)
    findings.append(given("recommended", recommended, "/s", f"{found.name}, load for production", why))
    findings += [replace(each, name=f"{prefix}.{each.name}", recording=recording) for each in _figures(found)]
    findings += [replace(each, name=f"{prefix}.{each.name}", recording=recording) for each in _precision(found)]
    for (knee, ratio), name in zip(found.disagreements, ("scalability_law", "waiting_lines"), strict=True):
        findings.append(given(f"by_{name}", knee.rate, "/s", f"{found.name}, {knee.method}", knee.note))
        findings.append(given(f"{name}_ratio", ratio, "", f"{found.name}, {knee.method} over measured", knee.note))
    return findings


def _figures(found: SearchResult) -> Iterator[Finding]:
    """Peak throughput, the times at the limit and beyond it, and how far what broke was in use."""
    peak = max((level.finding("completed") for level in found.levels), key=lambda each: each.value or 0.0)
    yield replace(peak, name="peak_throughput", title=f"{found.name}, most completed")
    highest = max(found.levels, key=lambda level: level.rate)
    offered, ok = highest.finding("offered").count, highest.finding("success_rate").value or 0.0
    failed = proportion(offered - round(ok / 100 * offered), offered)
    yield _percent("errors_beyond", failed, f"{found.name}, errors at {highest.rate:,.6g}/s")
    at_limit = [level for level in found.levels if level.rate == found.answer.low]
    for name, level in (("at_limit", at_limit[-1] if at_limit else None), ("beyond", highest)):
        if level is not None:
            p95 = level.finding("response_p95")
            yield replace(p95, name=f"response_p95_{name}", title=f"{found.name}, p95 at {level.rate:,.6g}/s")
    if len(found.ranked):
        first = found.ranked.iloc[0]
        at_knee = sum(level.rate == found.knee for level in found.levels)
        used = Estimate(float(first["at"]), float(first["at_low"]), float(first["at_high"]), at_knee)
        yield _percent("utilisation", used, f"{found.name}, in use at the knee: {first['resource']}")


def _precision(found: SearchResult) -> Iterator[Finding]:
    """How much rounds and measurements of one level differ, what change shows, and how long to measure."""
    rounds = _percent("between_rounds", found.between_rounds, f"{found.name}, deviation between rounds")
    yield rounds if found.rounds else replace(rounds, note="one round says nothing of the next")
    said = found.repeatability
    if said is None:
        return
    where = f"{found.name}, p99 at {said.rate:,.6g}/s"
    yield _percent("between_measurements", said.deviation, f"{where}, deviation between measurements")
    yield _percent("detectable_change", said.change, f"{where}, smallest change that shows")
    title = f"{where}, length of a measurement for ± 10 %"
    yield Finding("seconds_for_p99", said.seconds, "s", count=1, title=title, note=said.why)


def _percent(name: str, share: Estimate, title: str) -> Finding:
    value, low, high = (None if x is None or math.isnan(x) else 100 * x for x in (share.value, share.low, share.high))
    return Finding(name, value, "%", low, high, share.count, title=title)
