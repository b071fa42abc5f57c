"""The capacity plan of a run: when each resource is outgrown, and what to run in each quarter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from capacity.analysis.limits.demand import Demand
from capacity.analysis.limits.search_result import SECTION as SEARCHED
from capacity.analysis.planning.basis import PlanBasis
from capacity.analysis.planning.catalog import Size, other_regions
from capacity.analysis.planning.cost import Cost, cost_of
from capacity.analysis.planning.exhaustion import Event, GrowingResource, Outlook, events, first_limit
from capacity.analysis.planning.fits import TITLES, Fit, groups_of, judge_size
from capacity.analysis.planning.growth import Exhaustion, date_after, growth_factor
from capacity.analysis.planning.margins import Margin, Servers, SignalState, planned_margin, servers_for, signal_state
from capacity.analysis.planning.plan_file import PartEntry, PlanFile, ResourceEntry, Wait
from capacity.analysis.planning.projection import (
    choice_of,
    factor_of,
    planned_demand,
    planned_resource,
    running_size,
)
from capacity.analysis.planning.sensitivity import Swing, sensitivity
from capacity.analysis.planning.sizing import Step, choose_sizes

NO_SIZE = "size not known"


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part: what it uses at the projected peak, how the size that runs now holds it, and a size for each quarter.

    `slow` and `fast` are the steps at the low and high rate of growth. `missing` says by resource why its use is not
    known, so that the sizes were not judged by it: the part needs these at least.
    """

    entry: PartEntry
    demand: Demand
    current: Fit | None
    steps: Sequence[Step]
    slow: Sequence[Step]
    fast: Sequence[Step]
    missing: Mapping[str, str]

    @property
    def note(self) -> str:
        """What was not measured, or not at the load that the plan says."""
        if not self.missing:
            return ""
        why = "; ".join(dict.fromkeys(self.missing.values()))
        return f"{', '.join(TITLES[name] for name in self.missing)} not judged ({why})"

    @property
    def at_least(self) -> bool:
        """Whether its sizes are known from below only, as some of its uses were not measured."""
        return bool(self.missing) and bool(self.demand.uses)


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """All of the plan, from the day of the run on.

    `file` has what is of parts that were measured, and `not_measured` the titles of counted parts that were not.
    `unused` says which sizes of the catalogue are of another region.
    """

    file: PlanFile
    run: PlanBasis
    outlook: Outlook
    resources: Sequence[GrowingResource]
    events: Sequence[Event]
    first: Exhaustion
    binds: dict[str, float]
    swings: Sequence[Swing]
    signals: Sequence[SignalState]
    margins: Sequence[Margin]
    parts: Sequence[PartPlan]
    servers: Sequence[Servers]
    not_measured: Sequence[str] = ()
    unused: Sequence[str] = ()

    @property
    def counted(self) -> list[PartPlan]:
        """The parts that are in the total."""
        return [part for part in self.parts if part.entry.counted]

    @property
    def currency(self) -> str:
        """The currency of the prices, or all of them; empty where no size was chosen."""
        fits = [step.fit for part in self.parts for step in part.steps if step.fit]
        return " or ".join(dict.fromkeys(fit.size.currency for fit in fits))

    def day(self, months: float) -> date | None:
        """The day so many months after that of the run; None where it never comes."""
        return date_after(self.run.day, months)

    def void_of(self, names: Iterable[str]) -> str | None:
        """Why what comes from these findings does not count: the first of them that is void, and why; None is fine."""
        found = (self.run.findings.get(name) for name in names if name)
        return next((f"{each.name}: {each.void}" for each in found if each is not None and each.void), None)

    @property
    def void(self) -> str | None:
        """The same of all that the plan comes from."""
        file = self.file
        entries: list[ResourceEntry | Wait | PartEntry] = [*file.resources, *file.waits, *file.parts]
        names = [name for each in entries for name in self.comes_from(each)] + [each.finding for each in file.signals]
        return self.void_of([*names, *(each.finding for each in file.margins)])

    def comes_from(self, entry: ResourceEntry | Wait | PartEntry) -> list[str]:
        """The findings that an entry comes from, those of its loads among them."""
        loads = (self.file.loads[name].measured for _, name in entry.values_of("load") if name)
        return [*entry.findings, *filter(None, loads)]

    def title_of(self, name: str) -> str:
        """The title of a resource."""
        return next(each.title for each in self.resources if each.name == name)

    def size_behind(self, name: str) -> str:
        """The size that runs now, where it is what limits a resource; empty where the limit was measured or given."""
        part = next(each.limit.part for each in self.file.resources if each.name == name)
        return next((each.current for each in self.file.parts if part and each.name == part), "")


def make_plan(file: PlanFile, run: PlanBasis, catalog: Sequence[Size], seed: int = 1) -> CapacityPlan:
    """The plan of a run by the plan's file and a catalogue; the same seed gives the same intervals.

    Raises CapacityError where not one resource has both a use and a limit, and for a size that the catalogue lacks.
    """
    file, not_measured = of_measured_parts(file, run)
    outlook = Outlook({name: factor_of(file, run, name) for name in file.loads}, file.growth.over(1.0), seed)
    resources = [planned_resource(each, file, run, catalog) for each in file.resources]
    first, binds = first_limit(resources, outlook)
    grown = growth_factor(file.months, file.growth.value)
    margins = [planned_margin(each, file, run, outlook) for each in file.margins]
    servers = [servers_for(each, file, run, grown) for each in file.waits]
    return CapacityPlan(
        file,
        run,
        outlook,
        resources,
        events(resources, outlook),
        first,
        binds,
        [_in_units(swing, file) for swing in sensitivity(resources, outlook)],
        [signal_state(each, file, run, outlook) for each in file.signals],
        [each for each in margins if each],
        [_part(each, file, run, catalog) for each in file.parts],
        [each for each in servers if each],
        not_measured,
        other_regions(
            catalog, [name for each in file.parts for name in (each.service, each.volume) if name], file.region
        ),
    )


def of_measured_parts(file: PlanFile, run: PlanBasis) -> tuple[PlanFile, list[str]]:
    """The plan's file without what is of parts that the run has no findings of, and the titles of those of its parts.

    An entry is of the part that it says, or that its first finding is of.
    """
    measured = {part_of(name) for name in run.findings}

    def kept(*names: str) -> bool:
        first = next(filter(None, names), "")
        return part_of(first) in measured

    resources = [each for each in file.resources if kept(each.of, *each.findings)]
    limits = {each.limit.part for each in resources}
    parts = [each for each in file.parts if kept(*each.findings) or each.name in limits]
    uses = [use for each in resources for use in each.use] + [use for each in parts for use in each.terms]
    loads = {use.load for use in uses}
    entries = {
        "resources": resources,
        "parts": parts,
        "signals": [each for each in file.signals if kept(each.finding)],
        "waits": [each for each in file.waits if kept(*each.findings)],
        "margins": [each for each in file.margins if (kept(each.finding) if each.finding else each.load in loads)],
    }
    return file.model_copy(update=entries), [each.title for each in file.parts if each.counted and each not in parts]


def part_of(name: str) -> str:
    """The part of the system that a finding speaks of; of a search the one that was searched."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] if first == SEARCHED else first


def varied(file: PlanFile, *, growth: float, headroom: float, peak: float, **sizes: str) -> PlanFile:
    """The plan's file with another growth a month (taken as exact), headroom, and peak as a multiple of its own.

    `sizes` are other sizes that run now, by part.
    """
    ends = ("value", "low", "high")
    loads = {
        name: load.model_copy(update={end: getattr(load, end) * peak for end in ends})
        for name, load in file.loads.items()
    }
    rate = file.growth.model_copy(update=dict.fromkeys(ends, growth))
    room = file.headroom.model_copy(update={"value": headroom})
    parts = [part.model_copy(update={"current": sizes.get(part.name, part.current)}) for part in file.parts]
    return file.model_copy(update={"loads": loads, "growth": rate, "headroom": room, "parts": parts})


def _in_units(swing: Swing, file: PlanFile) -> Swing:
    """A swing of a load that was tested in the load's own unit, rather than as a multiple of the test."""
    tested = {f"projected {name}": load.tested or 1.0 for name, load in file.loads.items()}.get(swing.name, 1.0)
    return replace(swing, low=swing.low * tested, high=swing.high * tested)


def cost_in(plan: CapacityPlan, quarter: int, which: str = "steps") -> Cost:
    """What the counted parts cost a month in a quarter, by their `steps`, or the `slow` or `fast` ones."""
    steps = {part.entry.title: getattr(part, which)[quarter] for part in plan.counted}
    least = {part.entry.title: part.note for part in plan.counted if part.at_least}
    return cost_of({title: step.fit.size if step.fit else step.why for title, step in steps.items()}, least)


def cost_now(plan: CapacityPlan) -> Cost:
    """What the counted parts cost a month as they run now."""
    least = {
        part.entry.title: "its volume is not known"
        for part in plan.counted
        if part.entry.volume and not part.entry.current_volume
    }
    sizes = {part.entry.title: part.current.size if part.current else NO_SIZE for part in plan.counted}
    return cost_of(sizes, least)


def _part(part: PartEntry, file: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> PartPlan:
    demand, absent = planned_demand(part, file, run)
    sizes = groups_of(choice_of(part, file, catalog), part.servers)
    now = running_size(part, file, catalog)
    choose = partial(choose_sizes, sizes, demand, quarters=file.quarters, current=now, change_cost=file.change_cost)
    rates = (file.growth.value, file.growth.low, file.growth.high)
    chosen = {rate: choose(rate) for rate in {*rates}}
    steps, slow, fast = (chosen[rate] for rate in rates)
    return PartPlan(part, demand, judge_size(now, demand) if now else None, steps, slow, fast, absent)
