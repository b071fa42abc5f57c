"""Makes the part of docs/plan.md that explains the committed findings' plan, from a finding to the size chosen."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from capacity.analysis.planning.basis import PlanBasis, read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.fits import HELD, TITLES, Fit
from capacity.analysis.planning.growth import growth_factor
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, cost_in, cost_now, make_plan
from capacity.analysis.planning.plan_file import QUARTER, Use, read_plan
from capacity.analysis.planning.projection import at_peak, factor_of
from capacity.analysis.statistics.estimates import Estimate
from capacity.display.tables_plan import quarter_begin
from capacity.findings import read_findings

PROJECT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("plan.md")
BEGIN, END = "<!-- made by docs/plan.py -->", "<!-- to here -->"


def committed_plan() -> CapacityPlan:
    """The plan of the committed findings."""
    folder, data = PROJECT / "data" / "recorded" / "findings", PROJECT / "data"
    run: PlanBasis = read_basis(folder, read_findings(folder))
    return make_plan(read_plan(data / "plan.yaml"), run, read_catalog(data / "catalog"))


def page() -> str:
    """The whole page, with the part that is made from the plan as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    plan = committed_plan()
    made = [*_loads(plan), *_dates(plan), *(line for part in plan.parts for line in _part(plan, part)), *_costs(plan)]
    explained = "\n".join(made).strip()
    return f"{before}{BEGIN}\n\n{explained}\n\n{END}{rest.partition(END)[2]}"


def _table(*rows: Sequence[str]) -> list[str]:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "|" + "---|" * len(rows[0]), *body, ""]


def _loads(plan: CapacityPlan) -> Iterator[str]:
    yield "### The loads"
    yield ""
    rows = [("load", "projected", "over what was measured", "factor")]
    for name, load in plan.file.loads.items():
        found = plan.run.measured(load.measured)
        over = f"{_number(load.tested)} tested" if load.tested else "nothing: what it counts is per unit of it"
        over = f"`{load.measured}` {_number(found.value)}" if found else over
        rows.append((name, _ends(load.over(1.0), load.unit), over, _ends(factor_of(plan.file, plan.run, name))))
    yield from _table(*rows)


def _dates(plan: CapacityPlan) -> Iterator[str]:
    growth = plan.file.growth.value
    yield "### When each limit is reached"
    yield ""
    yield f"Months are ln(limit / use) / ln(1 + {growth:g}), counted from {plan.run.day}."
    yield ""
    rows = [("resource", "use at the peak", "limit", "what the limit is", "months", "day")]
    months = {each.resource: each for each in plan.events if each.limit}
    for entry, each in zip(plan.file.resources, plan.resources, strict=True):
        uses = [at_peak(plan.file, plan.run, use).value for use in entry.use] if each.terms else []
        used = f"{_sum(uses)} {each.unit}" if each.terms else "not known"
        limit = "not known" if each.limit is None else f"{'≥ ' if each.floor else ''}{_number(each.limit.value)}"
        event = months.get(each.name)
        day = plan.day(event.months.value) if event else None
        when = ("not known", "") if event is None else (f"{event.months.value:.2f}", str(day or "never"))
        rows.append((each.title, used, limit, each.why, *when))
    yield from _table(*rows)


def _part(plan: CapacityPlan, part: PartPlan) -> Iterator[str]:
    entry = part.entry
    yield f"### {entry.title}"
    yield ""
    rows = [("resource", "finding", "measured", "times", "at the peak", "can be spread")]
    for name, uses in entry.uses.items():
        rows += [_term(plan, name, term) for term in uses if name in part.demand.uses]
    if len(rows) > 1:
        yield from _table(*rows)
    if part.note:
        yield f"{part.note}: the sizes are the least that it needs."
        yield ""
    if part.current:
        yield f"Today it runs on {part.current.size.title}, of which the peak uses {_used(part.current)}."
        yield ""
    rows = [("from", "grown", "high end of each use", "size", "used of what it holds", "a month")]
    for step in part.steps:
        grown = growth_factor(QUARTER * (step.quarter + 1), plan.file.growth.value)
        used = "; ".join(f"{TITLES[name]} {_number((use.high or 0) * grown)}" for name, use in part.demand.uses.items())
        why = step.problems[0].seen if step.problems else ""
        chosen = (step.fit.size.title, _used(step.fit), f"{step.monthly:,.2f}") if step.fit else (step.why, why, "")
        rows.append((quarter_begin(plan, step.quarter), f"× {grown:.4f}", used, *chosen))
    yield from _table(*rows)


def _term(plan: CapacityPlan, resource: str, use: Use) -> tuple[str, str, str, str, str, str]:
    found = plan.run.measured(use.finding)
    measured = "–" if found is None else _ends(Estimate(found.value, found.low, found.high, 0), found.unit)
    times = [f"{use.load} {_ends(factor_of(plan.file, plan.run, use.load))}"] if use.load else []
    times += [f"{use.scale:.7g}"] if use.scale != 1 else []
    spread = "yes" if use.pieces is None else f"no: {use.pieces} piece{'s' * (use.pieces > 1)}"
    name = f"`{use.finding}`" if use.finding else _number(use.constant)
    return TITLES[resource], name, measured, " × ".join(times) or "–", _ends(at_peak(plan.file, plan.run, use)), spread


def _used(fit: Fit) -> str:
    shares = {name: (share, HELD.get(name, name)) for name, share in fit.used.items()}
    return ", ".join(f"{share:.1%} of {column if name != 'cpu' else 'CPU'}" for name, (share, column) in shares.items())


def _costs(plan: CapacityPlan) -> Iterator[str]:
    yield "### In all"
    yield ""
    yield f"Today: {cost_now(plan).text} a month ({cost_now(plan).note})."
    yield ""
    rows = [("from", "a month", "without", "the least of")]
    for quarter in range(plan.file.quarters):
        cost = cost_in(plan, quarter)
        rows.append((quarter_begin(plan, quarter), cost.text, ", ".join(cost.missing), ", ".join(cost.least)))
    yield from _table(*rows)


def _ends(known: Estimate, unit: str = "") -> str:
    value, low, high = (_number(end) for end in (known.value, known.low, known.high))
    return f"{value}{f' {unit}' if unit else ''}" + ("" if low == high else f" ({low} to {high})")


def _sum(values: Sequence[float | None]) -> str:
    return _number(sum(each or 0.0 for each in values))


def _number(value: float | None) -> str:
    return "not known" if value is None else re.sub(r"\.0$", "", f"{value:,.5g}")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
