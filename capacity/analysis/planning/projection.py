"""From the plan's file and the findings of a run to what is reckoned with: loads, uses, limits and demands."""

import math
from collections.abc import Sequence

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.catalog import Size, find_size
from capacity.analysis.planning.exhaustion import GrowingResource, Outlook, Term, Threshold
from capacity.analysis.planning.plan_file import Limit, Load, PartEntry, PlanBasis, PlanFile, Use
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.findings import Finding


def outlook_of(plan: PlanFile, seed: int = 1) -> Outlook:
    """The loads and growth of a plan; a load that was tested becomes a multiple of it."""
    growth = plan.growth
    loads = {name: load_factor(load) for name, load in plan.loads.items()}
    return Outlook(loads, Estimate(growth.value, growth.low, growth.high, 0), seed)


def load_factor(load: Load) -> Estimate:
    """The load by which a term is multiplied: over what was tested where that is given, else as it is."""
    tested = load.tested or 1.0
    return Estimate(load.value / tested, load.low / tested, load.high / tested, 0)


def planned_resources(plan: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> list[GrowingResource]:
    """Every resource of the plan; one whose findings the run does not have has no terms, or no limit, and says why."""
    found = []
    for entry in plan.resources:
        missing = [use.finding for use in entry.use if use.finding and finding_of(run, use.finding) is None]
        terms = () if missing else tuple(Term(_amount(run, use), use.load, use.finding) for use in entry.use)
        limit, floor, why = _limit(entry.limit, plan, run, catalog)
        if missing:
            why = _why_missing(run, missing[0])
        triggers = tuple(Threshold(each.title, exactly(each.at, 0), each.source) for each in entry.triggers)
        found.append(GrowingResource(entry.name, entry.title, entry.unit, terms, limit, floor, triggers, why))
    return found


def planned_demand(part: PartEntry, plan: PlanFile, run: PlanBasis, headroom: float) -> tuple[Demand, str]:
    """What a part uses at the projected peak, by interval arithmetic, and a sentence on what was not measured.

    CPU that was not measured is bounded by the cores of the machine that carried the load of the part's `bound`.
    """
    uses, notes = {}, []
    for resource, terms in part.uses.items():
        if all(not use.finding or finding_of(run, use.finding) is not None for use in terms):
            uses[resource] = _sum([at_peak(plan, run, use) for use in terms])
    if "cpu" in part.uses and "cpu" not in uses and (bound := _bound(part, plan, run)) is not None:
        uses["cpu"] = bound
        notes.append("CPU was not measured; it is no more than all cores of the machine that carried the load")
    if missing := [name for name in part.uses if name not in uses]:
        notes.append(f"{', '.join(missing)} not measured and not judged")
    return Demand({str(name): use for name, use in uses.items()}, headroom, part.threads), "; ".join(notes)


def _limit(limit: Limit, plan: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> tuple[Estimate | None, bool, str]:
    """The limit, whether it is only known to lie no lower, and what it is."""
    if limit.value is not None:
        return exactly(limit.value * limit.scale, 0), False, limit.why
    if limit.part is not None and limit.column is not None:
        part = next(each for each in plan.parts if each.name == limit.part)
        if not part.current:
            return None, False, f"the size that {limit.part} runs on is not known"
        size = find_size(catalog, part.service, part.current, plan.region)
        held: float | None = getattr(size, limit.column)
        known = None if held is None else exactly(held * limit.scale, 0)
        return known, False, f"{limit.why}: {size.size}" if known else f"{limit.column} of {size.size} is not known"
    if (found := finding_of(run, limit.finding)) is not None:
        open_above = found.high is not None and math.isinf(found.high)
        return estimate_of(found), open_above, f"at least {limit.why}" if open_above else limit.why
    if limit.at_least and (held_load := finding_of(run, limit.at_least)) is not None:
        return (
            exactly(held_load.value, held_load.count),
            True,
            "at least what was held; its breaking point was not measured",
        )
    return None, False, f"not measured: no finding {limit.finding}"


def _why_missing(run: PlanBasis, name: str) -> str:
    found = run.findings.get(name)
    return f"{name} {found.note}" if found and found.note else f"not measured: no finding {name}"


def _bound(part: PartEntry, plan: PlanFile, run: PlanBasis) -> Estimate | None:
    """From 0 to all cores of the machine, at the projected load: U <= cores holds of any load that was carried."""
    if part.bound is None or (finding := finding_of(run, part.bound.finding)) is None:
        return None
    cores = run.cores.get(finding.recording)
    if cores is None:
        return None
    factor = load_factor(plan.loads[part.bound.load]) if part.bound.load else exactly(1.0, 0)
    high = cores * (factor.high or 1.0)
    return Estimate(high, 0.0, high, finding.count)


def _amount(run: PlanBasis, use: Use) -> Estimate:
    if use.constant is not None:
        return exactly(use.constant * use.scale, 0)
    finding = finding_of(run, use.finding)
    if finding is None:
        raise ValueError(f"there is no finding {use.finding}")
    known = estimate_of(finding)
    value, low, high = ((end or 0.0) * use.scale for end in (known.value, known.low, known.high))
    return Estimate(value, low, high, known.count)


def at_peak(plan: PlanFile, run: PlanBasis, use: Use) -> Estimate:
    """A term at the projected peak, by `product`."""
    amount = _amount(run, use)
    if use.load is None:
        return amount
    return product(amount, load_factor(plan.loads[use.load]))


def product(amount: Estimate, factor: Estimate) -> Estimate:
    """Ends times ends of two that are not below 0, which holds whatever they have to do with each other."""
    pairs = ((amount.value, factor.value), (amount.low, factor.low), (amount.high, factor.high))
    value, low, high = ((one or 0.0) * (other or 0.0) for one, other in pairs)
    return Estimate(value, low, high, amount.count)


def _sum(terms: Sequence[Estimate]) -> Estimate:
    value, low, high = (sum((getattr(term, end) or 0.0) for term in terms) for end in ("value", "low", "high"))
    return Estimate(value, low, high, min(term.count for term in terms))


def finding_of(run: PlanBasis, name: str) -> Finding | None:
    """A finding that has a value and a finite interval; None where the run has none."""
    found = run.findings.get(name)
    if found is None or found.value is None or not math.isfinite(found.value):
        return None
    return found


def estimate_of(finding: Finding) -> Estimate:
    """A finding as an estimate; without an interval, or with an open one, its value is taken for the missing end."""
    value = finding.value or 0.0
    low = value if finding.low is None or not math.isfinite(finding.low) else finding.low
    high = value if finding.high is None or not math.isfinite(finding.high) else finding.high
    return Estimate(value, min(low, value), max(high, value), finding.count)
