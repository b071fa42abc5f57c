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
    promised_time,
    queueing_knee,
    scalability_knee,
)
from capacity.analysis.limits.levels import TIMES, Frames, Level, levels_frame
from capacity.analysis.limits.repeatability import Repeatability, repeatability
from capacity.analysis.limits.rounds import Bracket, bracket, deviation_of_rounds, over_rounds
from capacity.analysis.limits.saturation import all_in_use, places_of, saturation, usage, what_broke, why_unknown
from capacity.analysis.limits.scalability import ScalabilityModel
from capacity.analysis.limits.search import BROKEN, NOTES, PRODUCTION_SHARE, REST, BreakingPoint, Search
from capacity.analysis.statistics.estimates import Estimate, exactly, proportion, times
from capacity.findings import Finding, Objective, Verdict
from capacity.units import MS_PER_S

SECTION = "breaking_point"
BROKEN_OFF = "the search was broken off before it knew the answer"


@dataclass(frozen=True)
class SearchResult:
    """The search of the part `name`: its levels in the order tried, and their objectives.

    `repeated` are measurements of the load that the search recommended, and `rounds` the levels of later rounds.
    `counts` is what its rates count, as transactions; empty in searches that did not keep it.
    """

    name: str
    search: Search
    levels: tuple[Level, ...]
    objectives: tuple[Objective, ...]
    repeated: tuple[Level, ...] = ()
    rounds: tuple[tuple[Level, ...], ...] = ()
    counts: str = ""

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
        first, tried = self.brackets[0], len(self.levels)
        return Estimate(first.low, first.low, first.high, tried) if first.low else exactly(None, tried)

    @property
    def between_rounds(self) -> Estimate:
        """How much the rounds' breaking points differ, as a share of them; None where there was one."""
        return deviation_of_rounds(self.brackets)

    @property
    def recommended(self) -> tuple[float | None, str]:
        """The load for production, None where none held, and why."""
        low, answer = self.sustainable.low, self.answer
        if not answer.complete:
            none = "" if answer.recommended else ", so none is recommended"
            return answer.recommended, f"{BROKEN_OFF}{none or f'; {answer.why}'}"
        if not self.rounds:
            return answer.recommended, answer.why
        if not low:
            return None, "in a later round no level held, so none is recommended"
        lower = f"the lower end of the interval over {len(self.brackets)} rounds"
        return PRODUCTION_SHARE * low, f"{PRODUCTION_SHARE * 100:g} % of {low:,.0f}, {lower}; {REST}"

    @property
    def note(self) -> str:
        """What is to be known of the answer: that it is none yet, or why it has no upper end; else empty."""
        return NOTES.get(self.answer.conclusion, "") if self.answer.complete else BROKEN_OFF

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
        """How many operations can be in service at once; see `places_of`."""
        return places_of(self.levels[0].frames.manifest)

    @cached_property
    def unknown(self) -> str:
        """Why it is not known how many operations the system serves at once; empty where it is."""
        return why_unknown(self.levels[0].frames.manifest, self.ranked)

    @cached_property
    def scalability(self) -> tuple[Knee, ScalabilityModel | None]:
        """The scalability law's estimate, and the law."""
        return scalability_knee(self.table, self.places, self.unknown if math.isinf(self.places) else "")

    @cached_property
    def knees(self) -> list[Knee]:
        """The measured knee, the scalability law's and that of waiting lines."""
        held = [level.frames for level in self.levels if level.verdict is Verdict.PASS]
        limit_s, quantile = self._limit()
        measured = measured_knee(self.sustainable, self.answer.broke or str(self.answer.conclusion))
        return [measured, self.scalability[0], queueing_knee(usage(held), limit_s, quantile, self.unknown)]

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
        return repeatability(self.levels + self.repeated)

    @property
    def promised_time(self) -> tuple[str, float]:
        """The percentile of the response time that a level must keep, as response_p99, and its limit in ms."""
        return promised_time(self.name, self.objectives)

    def _at(self, rate: float) -> list[Frames]:
        """The frames of a level; those of void measurements only where there are no others."""
        at = [level for level in self.levels if level.rate == rate]
        return [level.frames for level in [each for each in at if each.verdict is not Verdict.VOID] or at]

    def _limit(self) -> tuple[float, float]:
        """For how long an operation may wait by the objective, in seconds, and how many of them (0–1)."""
        name, limit_ms = self.promised_time
        lowest = min(self.levels, key=lambda level: level.rate)
        served_ms = lowest.finding(name.replace("response", "service")).value or 0.0
        return max(0.0, limit_ms - served_ms) / MS_PER_S, TIMES[name]


def breaking_point_findings(found: SearchResult, searches: str) -> list[Finding]:
    """The findings of one part's search, named breaking_point.<part>.<figure>; `searches` is the folder of all."""
    prefix, recording = f"{SECTION}.{found.name}", f"{searches}/{found.name}"
    return [
        replace(each, name=f"{prefix}.{each.name}", recording=recording, title=f"{found.name}, {each.title}")
        for part in (_answer, _figures, _precision, _estimates)
        for each in part(found)
    ]


def _answer(found: SearchResult) -> Iterator[Finding]:
    """The load that held, and the one recommended."""
    held, answer, (load, why) = found.sustainable, found.answer, found.recommended
    note = found.note or answer.broke + all_in_use(found.ranked)
    yield _finding("highest_sustainable", held, "/s", "highest sustainable load", note)
    yield _finding("recommended", exactly(load, held.count), "/s", "load for production", why)


def _figures(found: SearchResult) -> Iterator[Finding]:
    """Peak throughput, the times at the limit and beyond it, and how far what broke was in use."""
    peak = max((level.finding("completed") for level in found.levels), key=lambda each: each.value or 0.0)
    yield replace(peak, name="peak_throughput", title="most completed")
    counted = [level for level in found.levels if level.verdict is not Verdict.VOID] or found.levels
    highest = max(counted, key=lambda level: level.rate)
    offered, ok = highest.finding("offered").count, highest.finding("success_rate").value or 0.0
    failed = proportion(offered - round(ok / 100 * offered), offered)
    yield _percent("errors_beyond", failed, f"errors at {highest.rate:,.6g}/s")
    at_limit = [level for level in found.levels if level.rate == found.answer.low][-1:]
    for name, level in [*(("at_limit", each) for each in at_limit), ("beyond", highest)]:
        title = f"p95 at {level.rate:,.6g}/s"
        yield replace(level.finding("response_p95"), name=f"response_p95_{name}", title=title)
    if len(found.ranked):
        first = found.ranked.iloc[0]
        at_knee = sum(level.rate == found.knee for level in found.levels)
        used = Estimate(float(first["at"]), float(first["at_low"]), float(first["at_high"]), at_knee)
        yield _percent("utilisation", used, f"in use at the knee: {first['resource']}")


def _precision(found: SearchResult) -> Iterator[Finding]:
    """How much rounds and measurements of one level differ, what change shows, and how long to measure."""
    note = "" if found.rounds else "one round says nothing of the next"
    yield _percent("between_rounds", found.between_rounds, "deviation between rounds", note)
    said = found.repeatability
    if said is None:
        return
    where = f"p99 at {said.rate:,.6g}/s"
    yield _percent("between_measurements", said.deviation, f"{where}, deviation between measurements")
    yield _percent("detectable_change", said.change, f"{where}, smallest change that shows")
    length = Estimate(said.seconds, None, None, 1)
    yield _finding("seconds_for_p99", length, "s", f"{where}, length of a measurement for ± 10 %", said.why)


def _estimates(found: SearchResult) -> Iterator[Finding]:
    """What was not measured but follows from a law, and its ratio to what was."""
    for (knee, ratio), name in zip(found.disagreements, ("scalability_law", "waiting_lines"), strict=True):
        yield _finding(f"by_{name}", knee.rate, "/s", knee.method, knee.note)
        yield _finding(f"{name}_ratio", ratio, "", f"{knee.method} over measured", knee.note)


def _percent(name: str, share: Estimate, title: str, note: str = "") -> Finding:
    return _finding(name, times(share, 100), "%", title, note)


def _finding(name: str, found: Estimate, unit: str, title: str, note: str = "") -> Finding:
    value, low, high = (None if x is None or math.isnan(x) else x for x in (found.value, found.low, found.high))
    return Finding(name, value, unit, low, high, found.count, title=title, note=note)
