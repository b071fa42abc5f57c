"""From the plan's file and the findings of a run to what is reckoned with: uses, limits and demands."""

import math
from collections.abc import Iterable, Sequence

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.basis import PlanBasis
from capacity.analysis.planning.catalog import Size, find_size
from capacity.analysis.planning.exhaustion import GrowingResource, Term
from capacity.analysis.planning.plan_file import Limit, PartEntry, PlanFile, ResourceEntry, Use
from capacity.analysis.statistics.estimates import Estimate, exactly, times
from capacity.findings import Finding


def planned_resource(entry: ResourceEntry, plan: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> GrowingResource:
    """A resource of the plan; one whose findings the run does not have has no terms, or no limit, and says why."""
    limit, floor, why = _limit(entry.limit, plan, run, catalog)
    terms: tuple[Term, ...] = ()
    if absent := missing(run, entry.use):
        found = run.findings.get(absent[0])
        why = f"{absent[0]} {found.note}" if found and found.note else f"not measured: no finding {absent[0]}"
    else:
        terms = tuple(Term(_amount(run, use), use.load, use.finding) for use in entry.use)
    return GrowingResource(entry.name, entry.title, entry.unit, terms, limit, floor, entry.triggers, why)


def planned_demand(part: PartEntry, plan: PlanFile, run: PlanBasis) -> tuple[Demand, str]:
    """What a part uses at the projected peak, by interval arithmetic, and a sentence on what was not measured.

    CPU that was not measured is bounded by the cores of the machine that carried the load of the part's `bound`.
    """
    uses = {
        str(resource): _sum([at_peak(plan, run, use) for use in terms])
        for resource, terms in part.uses.items()
        if not missing(run, terms)
    }
    notes = []
    if "cpu" in part.uses and "cpu" not in uses and (bound := _bound(part, plan, run)) is not None:
        uses["cpu"] = bound
        notes.append("CPU was not measured; it is no more than all cores of the machine that carried the load")
    if absent := [name for name in part.uses if name not in uses]:
        notes.append(f"{', '.join(absent)} not measured and not judged")
    return Demand(uses, plan.headroom.value, part.threads), "; ".join(notes)


def missing(run: PlanBasis, uses: Iterable[Use]) -> list[str]:
    """The findings that uses need and a run does not have."""
    return [use.finding for use in uses if use.finding and run.measured(use.finding) is None]


def at_peak(plan: PlanFile, run: PlanBasis, use: Use) -> Estimate:
    """A term at the projected peak, of which nothing is `missing`."""
    amount = _amount(run, use)
    return product(amount, plan.loads[use.load].factor) if use.load else amount


def product(amount: Estimate, factor: Estimate) -> Estimate:
    """Ends times ends of two that are not below 0, which holds whatever they have to do with each other."""
    pairs = ((amount.value, factor.value), (amount.low, factor.low), (amount.high, factor.high))
    value, low, high = ((one or 0.0) * (other or 0.0) for one, other in pairs)
    return Estimate(value, low, high, amount.count)


def estimate_of(finding: Finding) -> Estimate:
    """A finding as an estimate; without an interval, or with an open one, its value is taken for the missing end."""
    value = finding.value or 0.0
    low, high = (value if end is None or not math.isfinite(end) else end for end in (finding.low, finding.high))
    return Estimate(value, min(low, value), max(high, value), finding.count)


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
    if (found := run.measured(limit.finding)) is not None:
        open_above = found.high is not None and math.isinf(found.high)
        return estimate_of(found), open_above, f"at least {limit.why}" if open_above else limit.why
    if (carried := run.measured(limit.at_least)) is not None:
        why = "at least what was held; its breaking point was not measured"
        return exactly(carried.value, carried.count), True, why
    return None, False, f"not measured: no finding {limit.finding}"


def _bound(part: PartEntry, plan: PlanFile, run: PlanBasis) -> Estimate | None:
    """From 0 to all cores of the machine, at the projected load: U <= cores holds of any load that was carried."""
    if part.bound is None or (finding := run.measured(part.bound.finding)) is None:
        return None
    cores = run.cores.get(finding.recording)
    if cores is None:
        return None
    high = cores * ((plan.loads[part.bound.load].factor.high or 1.0) if part.bound.load else 1.0)
    return Estimate(high, 0.0, high, finding.count)


def _amount(run: PlanBasis, use: Use) -> Estimate:
    known = estimate_of(run.findings[use.finding]) if use.constant is None else exactly(use.constant, 0)
    return times(known, use.scale)


def _sum(terms: Sequence[Estimate]) -> Estimate:
    value, low, high = (sum((getattr(term, end) or 0.0) for term in terms) for end in ("value", "low", "high"))
    return Estimate(value, low, high, min(term.count for term in terms))
