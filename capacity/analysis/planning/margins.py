"""What lasts until when: margins over the projected load, signals that held at the measured one, and servers needed."""

import math
from dataclasses import dataclass

from capacity.analysis.limits.demand import mean_from_percentiles
from capacity.analysis.limits.queueing import servers_needed
from capacity.analysis.planning.basis import PlanBasis
from capacity.analysis.planning.exhaustion import Outlook, months_left
from capacity.analysis.planning.growth import Exhaustion
from capacity.analysis.planning.plan_file import MarginEntry, PlanFile, ServiceFindings, Signal, Wait
from capacity.analysis.planning.projection import (
    at_peak,
    estimate_of,
    factor_of,
    missing,
    product,
    unmeasured,
    unscaled,
)
from capacity.analysis.statistics.estimates import Estimate, exactly, times
from capacity.findings import Finding

MS = 1000.0  # in a second
WHOLE = exactly(1.0, 0)


@dataclass(frozen=True, slots=True)
class SignalState:
    """A signal as it was measured: whether it passed the threshold, and how long that is known to hold.

    `fires` is None where the interval holds the threshold, or the signal was not measured, or at another load than the
    plan says, and then `why` tells. `months` are at least so many until it fires where it did not, and at most so many
    where it did.
    """

    signal: Signal
    found: Finding | None
    fires: bool | None
    months: Exhaustion
    why: str = ""


@dataclass(frozen=True, slots=True)
class Margin:
    """What was measured over what is projected, or a limit over what was measured; and the months that it lasts.

    `at_least` is true where only the load's growth is known, and what was measured does not grow in proportion to it.
    """

    entry: MarginEntry
    measured: Finding | None
    against: str
    ratio: Estimate
    months: Exhaustion
    at_least: bool


@dataclass(frozen=True, slots=True)
class Servers:
    """How many servers keep a wait within its objective, by the ends of the arrivals: now, and `later` when grown."""

    wait: Wait
    rate: Estimate
    service_ms: float
    now: Estimate
    later: Estimate


def signal_state(signal: Signal, plan: PlanFile, run: PlanBasis, outlook: Outlook) -> SignalState:
    """A signal of the plan as it was measured, and how long that is known to last."""
    found = run.measured(signal.finding)
    relative, why = _relative(plan, run, signal)
    if why:
        return SignalState(signal, found, None, Exhaustion(0.0, 0.0, math.inf), why)
    return SignalState(signal, found, _fires(found, signal.above), months_left(relative, WHOLE, outlook))


def planned_margin(entry: MarginEntry, plan: PlanFile, run: PlanBasis, outlook: Outlook) -> Margin | None:
    """A row of the comparison; None where the run does not have its finding, or has it of another load than is planned.

    What does not grow in proportion holds until the load has grown to the one that was measured.
    """
    finding = run.measured(entry.finding)
    if entry.finding and finding is None:
        return None
    load = plan.loads[entry.load]
    if entry.limit is None:
        tested = estimate_of(finding) if finding else _tested(plan, run, entry.load)
        if tested.value is None:
            return None
        ratio = _over(tested, load.over(1.0))
        against = f"{load.value:,g} {load.unit} ({load.low:,g} to {load.high:,g}) projected"
        return Margin(entry, finding, against, ratio, months_left(WHOLE, ratio, outlook), False)
    known, limit = estimate_of(finding) if finding else exactly(None, 0), exactly(entry.limit, 0)
    ratio = _over(limit, known)
    against = f"{entry.limit:,g} {finding.unit if finding else ''} promised"
    relative, why = _relative(plan, run, entry)
    if why:
        return None
    if entry.grows:
        months = months_left(product(known, relative), limit, outlook)
    else:
        kept = ratio.value is not None and ratio.value >= 1
        months = months_left(relative, WHOLE, outlook) if kept else Exhaustion(0.0, 0.0, 0.0)
    return Margin(entry, finding, against, ratio, months, not entry.grows)


def servers_for(wait: Wait, plan: PlanFile, run: PlanBasis, growth: float) -> Servers | None:
    """The servers that a wait objective needs at the projected peak, and at `growth` times it; None unmeasured.

    M/M/c with the mean of the times that were measured, or of the log-normal through their percentiles.
    """
    service = _service_ms(wait.service_ms, run)
    if service is None or missing(plan, run, [wait.rate]):
        return None

    def needed(rate: Estimate) -> Estimate:
        ends, most = ((end or 0.0) for end in (rate.value, rate.low, rate.high)), wait.wait_ms / MS
        value, low, high = (float(servers_needed(end, service / MS, most, wait.probability)) for end in ends)
        return Estimate(value, low, high, 0)

    rate = at_peak(plan, run, wait.rate)
    return Servers(wait, rate, service, needed(rate), needed(times(rate, growth)))


def _relative(plan: PlanFile, run: PlanBasis, entry: Signal | MarginEntry) -> tuple[Estimate, str]:
    """An entry's load as a multiple of the one that its finding was measured at, and why that is not known.

    By the load's own `tested` or `measured`, or by the finding that the entry names; without any of them it is as it
    was measured.
    """
    load, found = plan.loads[entry.load], run.measured(entry.measured)
    if why := unmeasured(run, entry.measured) or unscaled(plan, run, entry.load, entry.finding):
        return WHOLE, why
    if load.tested or load.measured:
        return factor_of(plan, run, entry.load), ""
    return load.over((found.value if found else None) or load.value), ""


def _tested(plan: PlanFile, run: PlanBasis, name: str) -> Estimate:
    """The load that was tested; without a value where no finding that the plan grows by it was measured at that."""
    load = plan.loads[name]
    if load.measured:
        found = run.measured(load.measured)
        return estimate_of(found) if found else exactly(None, 0)
    uses = [use for each in plan.resources for use in each.use if use.load == name and run.measured(use.finding)]
    fits = not uses or any(not unscaled(plan, run, name, use.finding) for use in uses)
    return exactly(load.tested if fits else None, 0)


def _service_ms(times: ServiceFindings, run: PlanBasis) -> float | None:
    names = [times.mean] if times.mean else [times.p50, times.p95, times.p99]
    values = [found.value for name in names if (found := run.measured(name)) and found.value is not None]
    if len(values) < len(names):
        return None
    return values[0] if times.mean else mean_from_percentiles(*values)


def _fires(finding: Finding | None, above: float) -> bool | None:
    if finding is None or finding.value is None:
        return None
    low = finding.value if finding.low is None else finding.low
    high = finding.value if finding.high is None else finding.high
    return True if low > above else False if high <= above else None


def _over(above: Estimate, under: Estimate) -> Estimate:
    """A ratio with the widest interval that the two allow; none where the divisor is not known or 0."""
    if above.value is None or not under.value:
        return Estimate(None, None, None, 0)
    low = (above.low or 0.0) / under.high if under.high else None
    return Estimate(above.value / under.value, low, (above.high or 0.0) / under.low if under.low else math.inf, 0)
