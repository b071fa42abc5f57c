"""The health of a measurement, as values: was the generator the limit, is every operation accounted for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from capacity.analysis.measured.latency import p99_ms
from capacity.analysis.measured.validity.honesty import (
    burst_problem,
    damage_problem,
    fewer_sent,
    own_delays_ns,
    planned_load,
    schedule_problem,
)
from capacity.analysis.measured.validity.neighbours import neighbours_problem
from capacity.analysis.measured.validity.problems import Effect, Problem
from capacity.manifest import Manifest
from capacity.samples import OUTCOMES, check_samples
from capacity.units import NS_PER_MS, NS_PER_S

CPU_SHARE_LIMIT = 0.95  # one thread cannot have more than 1, and above this has no slack for a burst
IDLE_LEAST = 0.03  # of the time, in which a generator has nothing to do; less is its own overhead
MISSING_LIMIT = 0.001  # of the operations: the slowest of a thousand may be the ones that are missing
LATENESS_LIMIT_MS = 5.0  # below, it is the scheduler of the operating system, on any machine
LATENESS_PART = 0.25  # of the response p99: a smaller part of it does not change what one concludes
BACKLOG_PART = 0.01  # of a step's length: the wait that a load 1 % above capacity has built up by its end
STARVED_LIMIT = 0.2  # of the time; some waiting for a core is normal beside a busy server


@dataclass(frozen=True, slots=True)
class Accounting:
    """Counts of operations: planned = ok + error + timeout + dropped where `residue` is 0."""

    planned: int
    ok: int
    error: int
    timeout: int
    dropped: int
    residue: int


@dataclass(frozen=True, slots=True)
class LittlesLaw:
    """N, X and R over one window, and `residual`: the share of N that X·R leaves unexplained, (N − X·R) / N."""

    mean_in_system: float
    throughput_per_s: float
    mean_response_s: float
    residual: float


def generator_problems(
    samples: pd.DataFrame,
    gauges: pd.DataFrame,
    steps: Sequence[int] | None = None,
    manifest: Manifest | None = None,
) -> list[Problem]:
    """What speaks against these samples as a measurement of the server; the empty list is a healthy one.

    `samples` and `gauges` are a recording's frames. `steps` looks at those load levels alone, and at the readings taken
    during them; whether all operations are accounted for can only be said of the whole recording. With its `manifest`
    the samples are also compared with what was planned.
    """
    chosen = check_samples(samples) if steps is None else samples[samples["step"].isin(steps)]
    readings = gauges if steps is None else gauges[_during(gauges["at_ns"], chosen)]
    workers = max(1, samples["worker"].nunique())
    plan, undrawn = planned_load(manifest)
    delays = own_delays_ns(samples, gauges, plan).reindex(chosen.index).dropna() if plan else None
    effect = Effect.LESS if fewer_sent(chosen, delays, manifest) else Effect.LATE
    found = (
        _saturated(readings, workers, effect),
        _late(chosen, readings, delays, effect),
        _starved(readings, workers),
        _waiting_at_the_end(chosen),
        _unaccounted(samples, plan.count if plan else None),
        _unwatched(readings),
        undrawn if plan is None else schedule_problem(samples, plan),
        None if delays is None else burst_problem(chosen, delays, effect),
        neighbours_problem(chosen, gauges, manifest),
        damage_problem(manifest),
    )
    return [problem for problem in found if problem is not None]


def accounting(samples: pd.DataFrame, planned: int | None = None) -> Accounting:
    """Counts by outcome of a whole recording, and the residue: operations missing, doubled or beyond the plan.

    Each worker's seq must count 0, 1, 2, … without a gap or duplicate. `planned` None takes the plan to end at each
    worker's last seq, so an end that is missing altogether shows only where `planned` is given.
    """
    counts = check_samples(samples)["outcome"].value_counts()
    by_worker = samples.groupby("worker")["seq"]
    distinct = int(by_worker.nunique().sum())
    reached = int((by_worker.max() + 1).sum())
    target = reached if planned is None else planned
    # A gap within the plan and an operation beyond it must not cancel out.
    absent = max(abs(target - distinct), reached - distinct)
    residue = absent + len(samples) - distinct
    by_outcome = {outcome: int(counts.get(outcome, 0)) for outcome in OUTCOMES}
    return Accounting(planned=target, residue=residue, **by_outcome)


def littles_law(samples: pd.DataFrame, step: int | None = None) -> LittlesLaw:
    """N = X·R over the window from the first to the last time that an operation (of `step`) was due.

    N, the mean number in the system, is the time that operations spent in it within the window, over the window: one
    arrives when it is due and leaves when it has ended in any way. X is the operations per second that left in the
    window, and R their mean response time. The residual is near 0 in a steady state, and near 1 where they pile up.
    Raises ValueError for a window without length. Source: Little, Operations Research 9 (1961).
    """
    due = check_samples(samples)["scheduled_ns"] if step is None else samples["scheduled_ns"][samples["step"] == step]
    begin, end = (int(due.min()), int(due.max())) if len(due) else (0, 0)
    if begin == end:
        raise ValueError(
            f"Little's law needs operations due at two or more times and got {len(due)} operations at "
            f"{min(len(due), 1)}; choose a step that has them, or measure longer"
        )
    arrived, left = samples["scheduled_ns"].to_numpy(), samples["finished_ns"].to_numpy()
    in_window = (left > begin) & (left <= end)
    throughput = float(in_window.sum()) / (end - begin) * NS_PER_S
    response = float((left - arrived)[in_window].mean()) / NS_PER_S if in_window.any() else math.nan
    spent = np.clip(left, begin, end) - np.clip(arrived, begin, end)
    number = float(spent.sum()) / (end - begin)
    explained = throughput * response if in_window.any() else 0.0
    return LittlesLaw(number, throughput, response, (number - explained) / number if number else math.nan)


def _during(at_ns: "pd.Series[int]", samples: pd.DataFrame) -> "pd.Series[bool]":
    """Which readings were taken while one of the steps of `samples` was due."""
    spans = samples.groupby("step")["scheduled_ns"].agg(["min", "max"])
    inside = [at_ns.between(first, last) for first, last in spans.itertuples(index=False)]
    return pd.Series(np.logical_or.reduce(inside) if inside else False, index=at_ns.index)


def _of(gauges: pd.DataFrame, name: str) -> "pd.Series[float]":
    return gauges.loc[gauges["gauge"] == name, "value"]


def _half_of_the_time(readings: "pd.Series[float]", workers: int) -> float:
    """The level that one of the workers keeps up for half of the time; NaN without readings.

    Readings do not say whose they are. Half of one worker's are 1 / 2w of all, so this is the quantile 1 − 1 / 2w of
    all: the median for one worker, and a hot one among idle ones is not averaged away.
    """
    return float(readings.quantile(1 - 1 / (2 * workers)))


def _saturated(gauges: pd.DataFrame, workers: int, effect: Effect) -> Problem | None:
    cpu, starved = _of(gauges, "generator.cpu_share"), _of(gauges, "generator.starved_share")
    share = _half_of_the_time(cpu, workers)
    busy = _half_of_the_time(cpu + starved.to_numpy(), workers) if len(cpu) == len(starved) else math.nan
    if share > CPU_SHARE_LIMIT:
        seen = f"the generator used {share:.0%} of its core for half of the time or longer"
    elif busy > 1 - IDLE_LEAST:
        seen = f"the generator used a core or waited for one {busy:.0%} of the time, for half of the time or longer"
    else:
        return None
    return Problem(
        seen,
        "a generator without slack sends late and reads late, and its own slowness is then counted as the server's",
        "spread the load over more generator processes or machines, or lower the rate",
        void=True,
        effect=effect,
    )


def _late(
    samples: pd.DataFrame, gauges: pd.DataFrame, delays_ns: "pd.Series[int] | None", effect: Effect
) -> Problem | None:
    lateness, response = _own_lateness_ms(samples, gauges), p99_ms(samples)
    if delays_ns is not None and len(delays_ns):
        lateness = float(delays_ns.quantile(0.99, interpolation="higher")) / NS_PER_MS
    if not lateness > np.fmax(LATENESS_LIMIT_MS, LATENESS_PART * response):
        return None
    part = f", beside a response p99 of {response:,.1f} ms" if not math.isnan(response) else ""
    return Problem(
        f"the generator itself sent its operations up to {lateness:,.1f} ms late (p99){part}",
        f"more than {LATENESS_PART:.0%} of the slowest response times is the generator's own delay",
        "spread the load over more generator processes, lower the rate, or stop what else runs on this machine",
        void=True,
        effect=effect,
    )


def _own_lateness_ms(samples: pd.DataFrame, gauges: pd.DataFrame) -> float:
    """An upper bound of the p99 of the generator's own lateness, in ms; NaN where it was not recorded.

    Each reading is the p99 of a short interval, and percentiles cannot be averaged. The 99th percentile of the readings
    is a bound, but in a short recording a single pause decides it. The dispatch delay of the samples is a bound too: it
    is the lateness and the wait for a connection, and weighs a pause by the operations it held up. The smaller holds.
    """
    worst = _of(gauges, "generator.lateness_p99_ms").quantile(0.99, interpolation="higher")
    return math.nan if math.isnan(worst) else float(np.fmin(worst, p99_ms(samples, "dispatch")))


def _starved(gauges: pd.DataFrame, workers: int) -> Problem | None:
    share = _half_of_the_time(_of(gauges, "generator.starved_share"), workers)
    if not share > STARVED_LIMIT:
        return None
    return Problem(
        f"the generator was ready to run and had no core for {share:.0%} of the time",
        "answers lie unread meanwhile, so response times contain waiting that is this machine's and not the server's",
        "leave a core to each generator process: fewer of them, a lower rate, or a machine apart from the server",
    )


def _waiting_at_the_end(samples: pd.DataFrame) -> Problem | None:
    """A backlog when the last operation of a step was due: the oldest had waited for 1 % of the step, and 5 ms."""
    step = samples.groupby("step")["scheduled_ns"]
    begins, ends = step.min(), step.max()
    waiting = samples[samples["sent_ns"] > step.transform("max")]
    oldest = ends - waiting.groupby("step")["scheduled_ns"].min()
    backlog = oldest[oldest > np.fmax(LATENESS_LIMIT_MS * NS_PER_MS, BACKLOG_PART * (ends - begins))]
    if backlog.empty:
        return None
    worst = backlog.idxmax()
    return Problem(
        f"{(waiting['step'] == worst).sum():,} operations were waiting for a free connection when step {worst} ended, "
        f"the oldest for {backlog.max() / NS_PER_MS:,.0f} ms",
        "more arrived than was answered, so the response times depend on how long the step lasted",
        "read the step as beyond capacity, or give the workload more connections or a lower rate",
    )


def _unaccounted(samples: pd.DataFrame, planned: int | None) -> Problem | None:
    counts = accounting(samples, planned)
    if not counts.residue:
        return None
    return Problem(
        f"{counts.residue:,} operations are missing from the recording or in it twice",
        "shares and rates are of the operations that were planned, and these are not among them",
        "see whether the recording was interrupted or has lost a part; measure again",
        void=counts.residue > MISSING_LIMIT * counts.planned,
    )


def _unwatched(gauges: pd.DataFrame) -> Problem | None:
    if len(_of(gauges, "generator.cpu_share")):
        return None
    return Problem(
        "no reading of the generator's own load was recorded",
        "nothing shows that the generator was not the limit",
        "measure with the suite's own generator, or watch the load of the machine that the generator runs on",
    )
