"""From the plan's file and the findings of a run to what is reckoned with: uses, limits and demands."""

import math
from collections.abc import Iterable, Sequence

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.basis import PlanBasis
from capacity.analysis.planning.catalog import Size, find_size, of_unknown_volume, sizes_of, with_volume
from capacity.analysis.planning.exhaustion import GrowingResource, Term
from capacity.analysis.planning.plan_file import Limit, PartEntry, PlanFile, ResourceEntry, Use
from capacity.analysis.statistics.estimates import Estimate, exactly, times
from capacity.findings import Finding


def planned_resource(entry: ResourceEntry, plan: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> GrowingResource:
    """A resource of the plan; one whose findings the run does not have has no terms, or no limit, and says why."""
    limit, floor, why = _limit(entry.limit, plan, run, catalog)
    terms: tuple[Term, ...] = ()
    if absent := missing(plan, run, entry.use):
        why = absent[0]
    else:
        terms = tuple(Term(_amount(run, use), use.load, use.finding) for use in entry.use)
    return GrowingResource(entry.name, entry.title, entry.unit, terms, limit, floor, entry.triggers, why)


def planned_demand(part: PartEntry, plan: PlanFile, run: PlanBasis) -> tuple[Demand, dict[str, str]]:
    """What a part uses at the projected peak, by interval arithmetic, and by resource why a use of it is not known."""
    absent = {str(name): why[0] for name, terms in part.uses.items() if (why := missing(plan, run, terms))}
    known = {str(name): terms for name, terms in part.uses.items() if name not in absent}
    uses = {name: _sum([at_peak(plan, run, use) for use in terms]) for name, terms in known.items()}
    cut = {
        name: [(use.pieces, at_peak(plan, run, use)) for use in terms if use.pieces is not None]
        for name, terms in known.items()
    }
    pieces = {name: each for name, each in cut.items() if each}
    return Demand(uses, plan.headroom.value, part.threads, pieces), absent


def missing(plan: PlanFile, run: PlanBasis, uses: Iterable[Use]) -> list[str]:
    """Why uses cannot be told at the projected peak: findings that a run does not have, or has of another load."""
    reasons = [
        why for use in uses for why in (unmeasured(run, use.finding), unscaled(plan, run, use.load, use.finding))
    ]
    return list(dict.fromkeys(filter(None, reasons)))


def unmeasured(run: PlanBasis, name: str) -> str:
    """Why the run has no value of a finding; empty where it has, or none is named."""
    if not name or run.measured(name) is not None:
        return ""
    found = run.findings.get(name)
    if not found or not found.note:
        return f"not measured: no finding {name}"
    return f"{name} is {'' if found.note.startswith('not measured') else 'not given: '}{found.note}"


def unscaled(plan: PlanFile, run: PlanBasis, name: str | None, finding: str) -> str:
    """Why a finding cannot be taken to a projected load; empty where it can.

    A load of which something was `tested` is a multiple of that, which has to be what the finding was measured at.
    """
    load, found = plan.loads[name] if name else None, run.measured(finding)
    if load is None or found is None:
        return ""
    if load.measured:
        return unmeasured(run, load.measured)
    at = run.tested.get(found.recording)
    if load.tested is None or at is None or at.is_of(load.kind, load.tested):
        return ""
    said = f"{load.tested:,g}{' users' if load.kind == 'users' else '/s'}"
    return f"{finding} was measured at {at}, and the plan's load {name!r} says that {said} were tested"


def factor_of(plan: PlanFile, run: PlanBasis, name: str) -> Estimate:
    """A projected load as a multiple of the one that was measured, or as it is; None where that is unknown."""
    load = plan.loads[name]
    if not load.measured:
        return load.over(load.tested or 1.0)
    found = run.measured(load.measured)
    return load.over(found.value) if found is not None and found.value else Estimate(None, None, None, 0)


def at_peak(plan: PlanFile, run: PlanBasis, use: Use) -> Estimate:
    """A term at the projected peak, of which nothing is `missing`."""
    amount = _amount(run, use)
    return product(amount, factor_of(plan, run, use.load)) if use.load else amount


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


def choice_of(part: PartEntry, plan: PlanFile, catalog: Sequence[Size]) -> list[Size]:
    """The sizes that a part can be run on, with each volume where it has one; see `sizes_of`."""
    sizes = sizes_of(catalog, part.service, plan.region)
    if part.volume is None:
        return sizes
    return [with_volume(size, each) for size in sizes for each in sizes_of(catalog, part.volume, plan.region)]


def running_size(part: PartEntry, plan: PlanFile, catalog: Sequence[Size]) -> Size | None:
    """The size that a part runs on now, with its volume as far as that is known; None where it is not known."""
    if not part.current:
        return None
    size = find_size(catalog, part.service, part.current, plan.region)
    if part.volume and part.current_volume:
        return with_volume(size, find_size(catalog, part.volume, part.current_volume, plan.region))
    return of_unknown_volume(size, sizes_of(catalog, part.volume, plan.region)) if part.volume else size


def _limit(limit: Limit, plan: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> tuple[Estimate | None, bool, str]:
    """The limit, whether it is only known to lie no lower, and what it is."""
    if limit.value is not None:
        return exactly(limit.value * limit.scale, 0), False, limit.why
    if limit.part is not None:
        return _limit_of_size(limit, next(each for each in plan.parts if each.name == limit.part), plan, catalog)
    if (found := run.measured(limit.finding)) is not None:
        open_above = found.high is not None and math.isinf(found.high)
        return estimate_of(found), open_above, f"at least {limit.why}" if open_above else limit.why
    if (carried := run.measured(limit.at_least)) is not None:
        why = "at least what was held; its breaking point was not measured"
        return exactly(carried.value, carried.count), True, why
    return None, False, f"not measured: no finding {limit.finding}"


def _limit_of_size(
    limit: Limit, part: PartEntry, plan: PlanFile, catalog: Sequence[Size]
) -> tuple[Estimate | None, bool, str]:
    """What the size that a part runs on holds; of its CPU no more than the part's threads can use."""
    size, column = running_size(part, plan, catalog), str(limit.column)
    if size is None:
        return None, False, f"the size that {limit.part} runs on is not known"
    held: float | None = getattr(size, column)
    if held is None:
        return None, False, f"{column} of {size.title} is not known"
    if column == "sustained_vcpu" and part.threads is not None:
        held = min(held, part.threads)
    return exactly(held * limit.scale, 0), False, f"{limit.why}: {size.title}"


def _amount(run: PlanBasis, use: Use) -> Estimate:
    known = estimate_of(run.findings[use.finding]) if use.constant is None else exactly(use.constant, 0)
    return times(known, use.scale)


def _sum(terms: Sequence[Estimate]) -> Estimate:
    value, low, high = (sum((getattr(term, end) or 0.0) for term in terms) for end in ("value", "low", "high"))
    return Estimate(value, low, high, min(term.count for term in terms))
