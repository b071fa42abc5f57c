"""The capacity plan as findings: months until each trigger and limit, margins, servers and cost, with intervals."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from capacity.analysis.planning.cost import Cost
from capacity.analysis.planning.exhaustion import use_today
from capacity.analysis.planning.growth import DRAWS, Exhaustion
from capacity.analysis.planning.plan import CapacityPlan, cost_in, cost_now
from capacity.analysis.statistics.estimates import Estimate, exactly
from capacity.findings import Finding

SECTION = "plan"

Derived = Iterator[tuple[Iterable[str], Finding]]  # the names of the findings that one comes from, and it


def plan_findings(plan: CapacityPlan) -> list[Finding]:
    """The plan as findings: use today, months until each trigger and limit, margins, servers and cost.

    What comes from a void finding is void.
    """
    found = chain(_resources(plan), _first(plan), _signals(plan), _margins(plan), _servers(plan), _costs(plan))
    return [replace(each, name=f"{SECTION}.{each.name}", void=plan.void_of(names)) for names, each in found]


def _resources(plan: CapacityPlan) -> Derived:
    for resource, entry in zip(plan.resources, plan.file.resources, strict=True):
        title = f"{resource.title}, at the projected peak"
        if not resource.terms:
            absent = Finding(f"{resource.name}.use", None, resource.unit, title=title, note=resource.why)
            yield plan.comes_from(entry), absent
            continue
        first = next((plan.run.findings[term.name] for term in resource.terms if term.name), None)
        recording = first.recording if first else ""
        use = use_today(resource, plan.outlook)
        yield plan.comes_from(entry), _finding(f"{resource.name}.use", use, resource.unit, title, recording)
        for event in (each for each in plan.events if each.resource == resource.name):
            kind = "limit" if event.limit else f"trigger_{event.threshold:g}".replace(".", "_")
            title = f"{resource.title}, months until {event.title} at {event.threshold:,.6g} {resource.unit}"
            name = f"{resource.name}.months_to_{kind}"
            yield plan.comes_from(entry), _months(name, event.months, title, recording, at_least=event.at_least)


def _first(plan: CapacityPlan) -> Derived:
    names = [name for each in plan.file.resources if each.name in plan.binds for name in plan.comes_from(each)]
    yield names, _months("first_limit", plan.first, "months until the first limit", "")
    for name, share in plan.binds.items():
        if share > 0:
            title = f"{plan.title_of(name)} is the first limit, share of draws"
            yield names, _finding(f"first_limit.{name}", exactly(100 * share, DRAWS), "%", title, "")


def _signals(plan: CapacityPlan) -> Derived:
    for each in plan.signals:
        signal, found = each.signal, each.found
        title = f"{signal.title} above {signal.above:,g} {signal.unit}: months until {signal.does}"
        name, recording = f"signal.{signal.name}.months", found.recording if found else ""
        if each.fires is None:
            note = each.why or ("the interval holds the threshold" if found else "not measured")
            months = Finding(name, None, "months", recording=recording, title=title, note=note)
        elif each.fires:
            note = "above it at the load that was measured"
            months = Finding(name, 0.0, "months", 0.0, each.months.high, 0, recording, title, note)
        else:
            months = _months(name, each.months, title, recording, at_least=True)
        yield [found.name] if found else [], months


def _margins(plan: CapacityPlan) -> Derived:
    for each in plan.margins:
        names, recording = ([each.measured.name], each.measured.recording) if each.measured else ([], "")
        name, title = f"margin.{each.entry.name}", each.entry.title
        yield names, _finding(name, each.ratio, "x", f"{title}, margin", recording)
        lasting = f"{title}, months that the margin lasts"
        yield names, _months(f"{name}.months", each.months, lasting, recording, at_least=each.at_least)


def _servers(plan: CapacityPlan) -> Derived:
    for each in plan.servers:
        name, title, names = f"servers.{each.wait.name}", each.wait.title, plan.comes_from(each.wait)
        yield names, _finding(name, each.now, "", f"{title} needed at the projected peak", "")
        yield names, _finding(f"{name}_later", each.later, "", f"{title} needed in {plan.file.months} months", "")


def _costs(plan: CapacityPlan) -> Derived:
    now = cost_now(plan)
    if now.value is not None:
        yield [], _cost("cost_now", "what runs now", now, now, now)
    names = [name for part in plan.counted for name in plan.comes_from(part.entry)]
    for name, quarter, title in (
        ("cost_first_quarter", 0, "what the first quarter needs"),
        ("cost_last_quarter", plan.file.quarters - 1, f"what is needed in {plan.file.months} months"),
    ):
        if plan.counted:
            value, low, high = (cost_in(plan, quarter, which) for which in ("steps", "slow", "fast"))
            yield names, _cost(name, title, value, low, high)


def _cost(name: str, title: str, cost: Cost, low: Cost, high: Cost) -> Finding:
    """A cost as a finding: where something is missing it is at least what is known, and has no upper end."""
    unit, value, note = f"{next(iter(cost.sums), '')}/month", cost.value, cost.note
    if value is None:
        return Finding(name, None, unit if len(cost.sums) == 1 else "", title=title, note=note or "not known")
    least = value if low.value is None else min(low.value, value)
    most = max(high.value or value, value) if cost.whole and high.whole else math.inf
    note = f"at least: {note}" if note else ""
    return Finding(name, value, unit, least, most, len(cost.sums), title=title, note=note)


def _months(name: str, months: Exhaustion, title: str, recording: str, *, at_least: bool = False) -> Finding:
    """Months as a finding; of what is known from below only, the low end of what it is known from, and no upper end."""
    if at_least:
        note = "at least: what was measured did not reach it"
        return Finding(name, months.value, "months", months.low, math.inf, DRAWS, recording, title, note)
    note = "already exceeded" if months.value == 0 else "never" if math.isinf(months.value) else ""
    return Finding(name, months.value, "months", months.low, months.high, DRAWS, recording, title, note)


def _finding(name: str, known: Estimate, unit: str, title: str, recording: str) -> Finding:
    return Finding(name, known.value, unit, known.low, known.high, known.count, recording, title)
