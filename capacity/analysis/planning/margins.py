"""What lasts until when: margins over the projected load, signals that held at the measured one, and servers needed."""

import math
from dataclasses import dataclass

from capacity.analysis.limits.demand import mean_from_percentiles
from capacity.analysis.limits.queueing import servers_needed
from capacity.analysis.planning.exhaustion import Outlook, held_until
from capacity.analysis.planning.growth import Exhaustion, exhaustion
from capacity.analysis.planning.plan_file import MarginEntry, PlanBasis, PlanFile, ServiceFindings, Wait
from capacity.analysis.planning.projection import at_peak, estimate_of, finding_of, product
from capacity.analysis.statistics.estimates import Estimate, exactly, times
from capacity.findings import Finding

MS = 1000.0  # in a second


@dataclass(frozen=True, slots=True)
class SignalState:
    """A signal as it was measured: its value, whether it passed the threshold, and how long that is known to hold.

    `fires` is None where the interval holds the threshold, or the signal was not measured. `months` are at least so
    many until it fires where it did not, and at most so many where it did.
    """

    name: str
    title: str
    found: Finding | None
    above: float
    unit: str
    does: str
    source: str
    fires: bool | None
    months: Exhaustion


@dataclass(frozen=True, slots=True)
class Margin:
    """What was measured over what is projected, or a limit over what was measured; and the months that it lasts.

    `at_least` is true where only the load's growth is known, and what was measured does not grow in proportion to it.
    """

    name: str
    title: str
    measured: Finding | None
    against: str
    ratio: Estimate
    months: Exhaustion
    at_least: bool
    source: str


@dataclass(frozen=True, slots=True)
class Servers:
    """How many servers keep waiting within the objective, at the projected peak's value, low and high end."""

    name: str
    title: str
    rate: Estimate
    service_ms: float
    needed: Estimate
    source: str


def held_signals(plan: PlanFile, run: PlanBasis, outlook: Outlook) -> list[SignalState]:
    """Every signal of the plan as it was measured, and how long that is known to last."""
    found = []
    for each in plan.signals:
        finding = finding_of(run, each.finding)
        months = held_until(_relative(plan, run, each.load, each.measured), outlook)
        fires = _fires(finding, each.above)
        found.append(
            SignalState(each.name, each.title, finding, each.above, each.unit, each.does, each.source, fires, months)
        )
    return found


def planned_margins(plan: PlanFile, run: PlanBasis, outlook: Outlook) -> list[Margin]:
    """The rows of the comparison whose findings the run has."""
    found = []
    for entry in plan.margins:
        finding = finding_of(run, entry.finding) if entry.finding else None
        if entry.finding and finding is None:
            continue
        found.append(_margin(entry, finding, plan, run, outlook))
    return found


def servers_for(wait: Wait, plan: PlanFile, run: PlanBasis, factor: float = 1.0) -> Servers | None:
    """The servers that a wait objective needs when the load is `factor` times the projected peak; None unmeasured.

    M/M/c with the mean of the times that were measured, or of the log-normal through their percentiles.
    """
    service = _service_ms(wait.service_ms, run)
    if service is None or (wait.rate.finding and finding_of(run, wait.rate.finding) is None):
        return None
    rate = at_peak(plan, run, wait.rate)
    grown = times(rate, factor)
    ends = ((end or 0.0) for end in (grown.value, grown.low, grown.high))
    value, low, high = (float(servers_needed(end, service / MS, wait.wait_ms / MS, wait.probability)) for end in ends)
    return Servers(wait.name, wait.title, grown, service, Estimate(value, low, high, 0), wait.source)


def _margin(entry: MarginEntry, finding: Finding | None, plan: PlanFile, run: PlanBasis, outlook: Outlook) -> Margin:
    load = plan.loads[entry.load]
    if entry.limit is None:
        tested = exactly(load.tested, 0) if finding is None else estimate_of(finding)
        ratio = _over(tested, Estimate(load.value, load.low, load.high, 0))
        against = f"{load.value:,g} {load.unit} ({load.low:,g} to {load.high:,g}) projected"
        months = _lasts(exactly(1.0, 0), ratio, outlook)
        return Margin(entry.name, entry.title, finding, against, ratio, months, False, entry.source)
    known = estimate_of(finding) if finding else exactly(None, 0)
    ratio = _over(exactly(entry.limit, 0), known)
    against = f"{entry.limit:,g} {finding.unit if finding else ''} promised"
    relative = _relative(plan, run, entry.load, entry.measured)
    if entry.grows:
        months = _lasts(product(known, relative), exactly(entry.limit, 0), outlook)
    else:
        kept = ratio.value is not None and ratio.value >= 1
        months = held_until(relative, outlook) if kept else Exhaustion(0.0, 0.0, 0.0, 0.0)
    return Margin(entry.name, entry.title, finding, against, ratio, months, not entry.grows, entry.source)


def _lasts(use: Estimate, limit: Estimate, outlook: Outlook) -> Exhaustion:
    """Months until a use has grown to its limit; for ever where there is none."""
    if not use.value:
        return Exhaustion(math.inf, math.inf, math.inf, 1.0)
    return exhaustion(use, limit, outlook.rate, outlook.seed, outlook.draws)


def _relative(plan: PlanFile, run: PlanBasis, name: str, measured: str) -> Estimate:
    """A load as a multiple of the one that was measured: by what was tested, or by the finding `measured`."""
    load = plan.loads[name]
    found = finding_of(run, measured) if measured else None
    over = load.tested or (found.value if found else None) or load.value
    return Estimate(load.value / over, load.low / over, load.high / over, 0)


def _service_ms(times: ServiceFindings, run: PlanBasis) -> float | None:
    names = [times.mean] if times.mean else [times.p50, times.p95, times.p99]
    values = [found.value for name in names if (found := finding_of(run, name)) is not None and found.value is not None]
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
