"""The capacity plan as findings: months until each trigger and limit, margins, servers and cost, with intervals."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from capacity.analysis.planning.exhaustion import GrowingResource, use_today
from capacity.analysis.planning.growth import DRAWS, Exhaustion
from capacity.analysis.planning.margins import SignalState
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, total_monthly
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.findings import Finding

SECTION = "plan"


def plan_findings(plan: CapacityPlan) -> list[Finding]:
    """The plan as findings: use today, months until each trigger and limit, margins, servers and cost."""
    found = [*_resources(plan), *_first(plan), *_signals(plan), *_margins(plan), *_servers(plan), *_costs(plan)]
    return [replace(each, name=f"{SECTION}.{each.name}") for each in found]


def _resources(plan: CapacityPlan) -> Iterator[Finding]:
    for resource, entry in zip(plan.resources, plan.file.resources, strict=True):
        void = plan.void_of(entry.findings)
        for each in _resource(plan, resource):
            yield replace(each, void=void)


def _resource(plan: CapacityPlan, resource: GrowingResource) -> Iterator[Finding]:
    if not resource.terms:
        title = f"{resource.title}, at the projected peak"
        yield Finding(f"{resource.name}.use", None, resource.unit, title=title, note=resource.why)
        return
    use, recording = use_today(resource, plan.outlook), _recording(plan, resource)
    title = f"{resource.title}, at the projected peak"
    yield _finding(f"{resource.name}.use", use, resource.unit, title, recording)
    for event in (each for each in plan.events if each.resource == resource.name):
        kind = "limit" if event.limit else f"trigger_{event.threshold:g}".replace(".", "_")
        title = f"{resource.title}, months until {event.title} at {event.threshold:,.6g} {resource.unit}"
        yield _months(f"{resource.name}.months_to_{kind}", event.months, title, recording, at_least=event.at_least)


def _first(plan: CapacityPlan) -> Iterator[Finding]:
    void = plan.void_of(name for each in plan.file.resources if each.name in plan.binds for name in each.findings)
    yield replace(_months("first_limit", plan.first, "months until the first limit", ""), void=void)
    for name, share in sorted(plan.binds.items(), key=lambda entry: -entry[1]):
        if share > 0:
            title = f"{plan.title_of(name)} is the first limit, share of draws"
            known = exactly(100 * share, plan.outlook.draws)
            yield replace(_finding(f"first_limit.{name}", known, "%", title, ""), void=void)


def _signals(plan: CapacityPlan) -> Iterator[Finding]:
    for each in plan.signals:
        yield replace(_signal(each), void=plan.void_of([each.found.name] if each.found else []))


def _signal(each: SignalState) -> Finding:
    title = f"{each.title} above {each.above:,g} {each.unit}: months until {each.does}"
    recording = each.found.recording if each.found else ""
    if each.fires is None:
        note = "not measured" if each.found is None else "the interval holds the threshold"
        return Finding(f"signal.{each.name}.months", None, "months", title=title, recording=recording, note=note)
    if each.fires:
        return Finding(
            f"signal.{each.name}.months",
            0.0,
            "months",
            0.0,
            each.months.high,
            title=title,
            recording=recording,
            note="above it at the load that was measured",
        )
    return _months(f"signal.{each.name}.months", each.months, title, recording, at_least=True)


def _margins(plan: CapacityPlan) -> Iterator[Finding]:
    for each in plan.margins:
        recording = each.measured.recording if each.measured else ""
        void = plan.void_of([each.measured.name] if each.measured else [])
        ratio = _finding(f"margin.{each.name}", each.ratio, "x", f"{each.title}, margin", recording)
        title = f"{each.title}, months that the margin lasts"
        months = _months(f"margin.{each.name}.months", each.months, title, recording, at_least=each.at_least)
        yield from (replace(one, void=void) for one in (ratio, months))


def _servers(plan: CapacityPlan) -> Iterator[Finding]:
    for now, then in plan.servers:
        void = plan.void_of(next(wait.findings for wait in plan.file.waits if wait.name == now.name))
        peak = _finding(f"servers.{now.name}", now.needed, "", f"{now.title} needed at the projected peak", "")
        title = f"{now.title} needed in {plan.file.months} months"
        later = _finding(f"servers.{now.name}_later", then.needed, "", title, "")
        yield from (replace(one, void=void) for one in (peak, later))


def _costs(plan: CapacityPlan) -> Iterator[Finding]:
    known = [part for part in plan.parts if part.part.counted and part.current is not None]
    costs = [part.current.size.monthly for part in known if part.current is not None]
    if costs and None not in costs:
        without = [part.part.title for part in plan.parts if part.part.counted and part.current is None]
        note = f"without {' and '.join(without)}, whose size is not known" if without else ""
        total = sum(cost for cost in costs if cost is not None)
        currency = _currency(plan.parts)
        yield Finding(
            "cost_now", total, f"{currency}/month", total, total, len(costs), title="what runs now", note=note
        )
    last = plan.quarters - 1
    void = plan.void_of(name for part in plan.file.parts if part.counted for name in part.findings)
    for name, quarter, title in (
        ("cost_first_quarter", 0, "what the first quarter needs"),
        ("cost_last_quarter", last, f"what is needed in {plan.file.months} months"),
    ):
        value = total_monthly(plan, quarter)
        ends = [total_monthly(plan, quarter, which) for which in ("slow", "fast")]
        low, high = ends[0], math.inf if ends[1] is None else ends[1]
        unit = f"{_currency(plan.parts)}/month"
        if value is None:
            missing = [part.part.title for part in plan.parts if part.part.counted and part.steps[quarter].fit is None]
            rest = [part.steps[quarter].monthly for part in plan.parts if part.part.counted]
            others = sum(cost for cost in rest if cost is not None)
            note = f"no size for {' and '.join(missing)}; the others cost {others:,.0f}"
            yield Finding(name, None, unit, title=title, note=note, void=void)
        else:
            yield Finding(name, value, unit, min(low or 0.0, value), max(high, value), title=title, void=void)


def _currency(parts: Iterable[PartPlan]) -> str:
    named = {step.fit.size.currency for part in parts for step in part.steps if step.fit is not None}
    return sorted(named)[0] if named else ""


def _recording(plan: CapacityPlan, resource: GrowingResource) -> str:
    names = [term.name for term in resource.terms if term.name]
    return plan.run.findings[names[0]].recording if names else ""


def _months(name: str, months: Exhaustion, title: str, recording: str, *, at_least: bool = False) -> Finding:
    """Months as a finding; of what is known from below only, the low end of what it is known from, and no upper end."""
    if at_least:
        note = "at least: what was measured did not reach it"
        return Finding(name, months.value, "months", months.low, math.inf, DRAWS, recording, title, note)
    note = "already exceeded" if months.value == 0 else "never" if math.isinf(months.value) else ""
    return Finding(name, months.value, "months", months.low, months.high, DRAWS, recording, title, note)


def _finding(name: str, known: Estimate, unit: str, title: str, recording: str) -> Finding:
    return Finding(name, known.value, unit, known.low, known.high, known.count, recording, title)
