"""What one level of load showed: its times, errors and backlog with intervals, and whether it held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from capacity.analysis.limits.search import LevelResult
from capacity.analysis.measured.failures import why_no_time
from capacity.analysis.measured.latency import Clock, latency_row
from capacity.analysis.measured.sustained import percentile_estimate
from capacity.analysis.measured.validity.neighbours import neighbours_problem
from capacity.analysis.measured.validity.problems import Effect, Problem, spoilt, void_reason
from capacity.analysis.measured.validity.quality import generator_problems, littles_law
from capacity.analysis.statistics.conventions import QUANTILES, percentile_text
from capacity.analysis.statistics.estimates import Estimate, exactly, explained, mean_rate, proportion, student, times
from capacity.analysis.statistics.percentiles import effective_count_at, minimum_samples
from capacity.findings import Finding, Objective, Verdict, judge, worst
from capacity.manifest import Manifest
from capacity.samples import response_ns
from capacity.units import NS_PER_MS, NS_PER_S

SLICES = 20  # of a level, for the interval of its throughput
BATCHES = 8  # of a level, for its growth and what is in use: long enough to forget each other, enough for a scatter
TIMES = {f"response_{name}": quantile for name, quantile in QUANTILES.items()}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one level: its operations, their generator's samples (the same, but for jobs), and the gauges."""

    operations: pd.DataFrame
    sent: pd.DataFrame
    gauges: pd.DataFrame
    manifest: Manifest

    @property
    def span_s(self) -> tuple[float, float]:
        """When the level was held, after its warm-up, in seconds from the recording's start."""
        stage = self.manifest.stages[-1]
        return stage.start_s, stage.end_s

    @property
    def held(self) -> pd.DataFrame:
        """The operations that were due while the level was held."""
        step = self.manifest.stages[-1].step
        held: pd.DataFrame = self.operations[self.operations["step"] == step]
        return held

    @property
    def rate(self) -> float:
        """The operations per second that were asked for."""
        return self.manifest.stages[-1].to


@dataclass(frozen=True, slots=True)
class Level:
    """A level of `rate` operations per second held for `seconds`: its findings, and the verdict on all its objectives.

    `broke` says which objective failed and by what, or why the level is void. `problems` is what speaks against it, and
    `frames` is what it was read from.
    """

    rate: float
    seconds: float
    verdict: Verdict
    broke: str
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    frames: Frames = field(repr=False, compare=False)

    @property
    def recording(self) -> str:
        """The name of its recording's folder."""
        return self.findings[0].recording.rpartition("/")[2]

    @property
    def result(self) -> LevelResult:
        """What the search is told of it."""
        return LevelResult(self.rate, self.seconds, self.verdict, self.broke)

    def finding(self, name: str) -> Finding:
        """The finding whose name ends so."""
        return next(each for each in self.findings if each.name.partition(".")[2] == name)


def level_of(section: str, recording: str, frames: Frames, seconds: float, objectives: Sequence[Objective]) -> Level:
    """What a recording of one level says; `objectives` are on findings of `section`, as level_redis.response_p99.

    A level at which the generator was the limit is VOID, unless it held: times count from the schedule, so that a
    generator which is late makes a level worse and never better. It is not VOID either where what broke it is nothing
    that a late generator can do, as answers that are errors.
    """
    findings = tuple(
        Finding(f"{section}.{name}", found.value, unit, found.low, found.high, found.count, recording, title, found.why)
        for name, found, unit, title in _figures(frames)
    )
    problems = generator_problems(frames.sent, frames.gauges, [frames.manifest.stages[-1].step])
    held = frames.sent[frames.sent["step"] == frames.manifest.stages[-1].step]
    if (others := neighbours_problem(held, frames.gauges, frames.manifest)) is not None:
        problems.append(others)
    verdict, broke = _verdict(findings, frames.held, objectives, problems)
    return Level(frames.rate, seconds, verdict, broke, findings, tuple(problems), frames)


def growth(entered_ns: npt.ArrayLike, left_ns: npt.ArrayLike, span_s: tuple[float, float]) -> Estimate:
    """By how many a second the operations in the system grow over a span, from when each entered and left it.

    The slope of a straight line through the means of 8 successive parts of the span, with Student's t. In a stable
    system a part forgets the one before, so a short level is enough. At 90 % of its capacity, 1.2 s of 1,000/s show in
    8 of 10 levels that nothing grows, and in none that it does; `backlog_slope` decides none of them. At 110 % they
    show growth in 8 of 10 (simulated, M/M/1).
    """
    means = mean_number(entered_ns, left_ns, np.linspace(*span_s, BATCHES + 1))
    middles = (np.arange(BATCHES) + 0.5) * (span_s[1] - span_s[0]) / BATCHES
    line = stats.linregress(middles, means)
    slope, margin = float(line.slope), student(BATCHES - 2) * float(line.stderr)
    return Estimate(slope, slope - margin, slope + margin, BATCHES)


def mean_number(entered_ns: npt.ArrayLike, left_ns: npt.ArrayLike, edges_s: Floats) -> Floats:
    """The mean number of operations within, in each interval between edges: exact, from when each entered and left."""
    entered, left = (np.asarray(times, dtype=float) / NS_PER_S for times in (entered_ns, left_ns))
    spent = [float(np.clip(edge - entered, 0, None).sum() - np.clip(edge - left, 0, None).sum()) for edge in edges_s]
    means: Floats = np.diff(spent) / np.diff(edges_s)
    return means


def response_times_ms(operations: pd.DataFrame) -> Floats:
    """The response times in the order of their schedule; +inf where no answer came in time, none of what failed."""
    timed = operations[operations["outcome"] != "error"].sort_values("scheduled_ns")
    seen = (response_ns(timed) / NS_PER_MS).where(timed["outcome"] == "ok", np.inf)
    return np.asarray(seen, dtype=np.float64)


def _verdict(
    findings: Sequence[Finding], held: pd.DataFrame, objectives: Sequence[Objective], problems: Sequence[Problem]
) -> tuple[Verdict, str]:
    """The worst verdict, where what failed is worse than what is undecided, and what it is on; or why it is void.

    Whether the load was there at all, the growth of the backlog says.
    """
    if not objectives:
        return Verdict.NO_DATA, "there is no objective for it in data/objectives.yaml"
    by_name = {finding.name: finding for finding in findings}
    late = [replace(each, effect=Effect.LATE) if each.effect is Effect.LESS else each for each in problems]
    judged = [_judged(by_name.get(each.finding), each, held, late) for each in objectives]
    verdict = worst(judged)
    if verdict is Verdict.VOID:
        return verdict, void_reason(problems) or ""
    objective = objectives[judged.index(verdict)]
    return verdict, "" if verdict is Verdict.PASS else _broken(objective, by_name.get(objective.finding))


def _judged(finding: Finding | None, objective: Objective, held: pd.DataFrame, problems: Sequence[Problem]) -> Verdict:
    """The verdict on one objective of a level; VOID where a problem could have decided it."""
    quantile = TIMES.get(objective.finding.partition(".")[2])
    if quantile is not None:
        verdict = _judge_time(held, objective.limit, quantile)
        return verdict if verdict is Verdict.PASS or not void_reason(problems) else Verdict.VOID
    if finding is None:
        return Verdict.NO_DATA
    failed = held["outcome"] == "error"
    without = times(proportion(int((~failed).sum()), len(held)), 100) if finding.name.endswith("success_rate") else None
    return judge(spoilt(finding, problems, without), objective)


def _judge_time(held: pd.DataFrame, limit_ms: float, wanted: float) -> Verdict:
    """Whether a percentile of the response times is below a limit, as the share of the times that are below it.

    Both say the same. But where all are far below the limit, a few hundred operations are enough to know the share,
    however alike successive ones are; to bound the percentile, some hundred must not be alike.
    """
    times_ms = response_times_ms(held)
    worth = round(effective_count_at(times_ms, limit_ms)) if len(times_ms) else 0
    share = proportion(round(float((times_ms < limit_ms).mean()) * worth) if worth else 0, worth)
    if share.low is None or share.high is None:
        return Verdict.NO_DATA
    return Verdict.PASS if share.low >= wanted else Verdict.FAIL if share.high < wanted else Verdict.INCONCLUSIVE


def _broken(objective: Objective, finding: Finding | None) -> str:
    found = "nothing" if finding is None or finding.value is None else f"{finding.value:,.3g} {finding.unit}".strip()
    return f"{objective.title} {objective.promise}: found {found}"


def _figures(frames: Frames) -> Iterator[tuple[str, Estimate, str, str]]:
    """Each figure of a level: name, estimate, unit and title."""
    held, span, operations = frames.held, frames.span_s, frames.operations
    offered, ok = len(held) / (span[1] - span[0]), int((held["outcome"] == "ok").sum())
    yield "offered", exactly(offered, len(held)), "/s", "operations due, per second"
    yield "completed", _completed(frames), "/s", "operations that succeeded, per second"
    yield "success_rate", times(proportion(ok, len(held)), 100), "%", "succeeded"
    for clock in get_args(Clock):
        row = latency_row(held, clock)
        for name in QUANTILES:
            estimate = percentile_estimate(row, name, len(held))
            if estimate.value is None:
                timed = int(row["count"] - row["error"])
                estimate = explained(estimate, why_no_time(held, minimum_samples(QUANTILES[name]), timed))
            yield f"{clock}_{name}", estimate, "ms", f"{clock} time, {percentile_text(name)}"
    grown = growth(operations["scheduled_ns"], operations["finished_ns"], span)
    relative = times(grown, 100 / offered) if offered else exactly(None, 0)
    yield "backlog_growth", relative, "%", "growth of what is in the system, of what is due"
    sent, parts = operations[operations["outcome"] != "dropped"], np.linspace(*span, BATCHES + 1)
    within = mean_number(operations["scheduled_ns"], operations["finished_ns"], parts)
    served = mean_number(sent["sent_ns"], sent["finished_ns"], parts)
    yield "in_system", mean_rate(within, 1.0), "operations", "operations in the system, mean"
    yield "in_service", mean_rate(served, 1.0), "operations", "operations in service, mean"
    law = littles_law(operations, frames.manifest.stages[-1].step)
    missed = times(exactly(law.residual, len(operations)), 100)
    yield "littles_law", missed, "%", "of the number in it unexplained by X·R"


def _completed(frames: Frames) -> Estimate:
    begin, end = frames.span_s
    done = frames.operations.loc[frames.operations["outcome"] == "ok", "finished_ns"].to_numpy() / NS_PER_S
    return mean_rate(np.histogram(done, SLICES, (begin, end))[0], (end - begin) / SLICES)


def levels_frame(levels: Sequence[Level]) -> pd.DataFrame:
    """One row a level in the order tried: rate, seconds, verdict, broke, and value, low and high of each finding.

    Columns of a finding are named as `response_p99`, `response_p99_low` and `response_p99_high`; NaN is not given.
    """
    rows = []
    for level in levels:
        row: dict[str, Any] = {"rate": level.rate, "seconds": level.seconds}
        row |= {"verdict": str(level.verdict), "broke": level.broke}
        for each in level.findings:
            name = each.name.partition(".")[2]
            row |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
        rows.append(row)
    frame = pd.DataFrame(rows)
    numbers = frame.columns.difference(["verdict", "broke"])
    return frame.astype(dict.fromkeys(numbers, float)) if len(frame) else frame
