"""What the files of a project say of each other: findings, parts, workloads, profiles and units that are not there."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from capacity.analysis.measured.figures import OF_PART
from capacity.analysis.planning.basis import LoadHeld
from capacity.analysis.planning.catalog import ANYWHERE, other_regions
from capacity.analysis.planning.loads import Load
from capacity.analysis.planning.plan_file import PlanFile
from capacity.errors import CapacityError
from capacity.exports.metrics import converted
from capacity.objectives import LIMIT, ObjectiveEntry, is_pattern
from capacity.places import NOTEBOOKS, defaults_folder, workloads_of
from capacity.suite.check.files import ProjectFiles
from capacity.suite.check.possible import Possible, possible_findings
from capacity.suite.notebooks import PROFILES
from capacity.validation.model import Place, unknown_names
from capacity.validation.names import FORMER, did_you_mean, instead
from capacity.workload import FILES, read_workload
from capacity.yaml_file import Lines

Named = Sequence[tuple[Place, str]]
Problems = Iterator[tuple[Path, Place, str]]
TARGETS = {"database": "postgres", "redis": "redis", "queue": "bullmq", "gateway": "http"}
PART_OF = {name: part for part, names in FILES.items() for name in names}  # of the name of a workload's file
FINDINGS = ("finding", "at_least", "measured", "mean", "p50", "p95", "p99")  # keys of the plan that name a finding


def disagreements(files: ProjectFiles) -> Iterator[tuple[Path, str]]:
    """A file of the project's own and a sentence, for each thing that it says and that is not there."""
    known = _possible(files)
    found = [*_workloads(files), *_searches(files), *_promises(files, known), *_plan(files, known), *_catalog(files)]
    found += [*_monitoring(files, known), *_checklist(files, known)]
    lines = {path: Lines(path) for path in files.read}
    for path, place, said in dict.fromkeys(each for each in found if files.is_own(each[0])):
        yield path, lines[path].said(place, said)


def _possible(files: ProjectFiles) -> Possible:
    """The findings that the project's workloads can give, and those of the package for parts that it has none of."""
    workloads = {path.stem: each for path, each in files.workloads.items()}
    for part in OF_PART:
        path = workloads_of(part, folder=files.project) / f"{part}.yaml"
        if part not in workloads and path not in files.read and path.exists():
            with suppress(CapacityError):  # it is not among the files of this run
                workloads[part] = read_workload(path)
    currencies = [size.currency for sizes in files.sizes.values() for size in sizes if size.currency]
    plan = next(iter(files.plan.values()), None)
    return possible_findings(workloads, plan, next(iter(currencies), ""))


def _workloads(files: ProjectFiles) -> Problems:
    for path, workload in files.workloads.items():
        part = PART_OF.get(path.stem, "")
        if part and workload.target != TARGETS[part]:
            yield path, ("target",), f"is {workload.target}, and {path.name} is the load on {TARGETS[part]}"
        yield from _profiles(files, path, ("shapes",), list(workload.shapes), needed=part in files.parts)


def _profiles(files: ProjectFiles, path: Path, place: Place, names: Sequence[str], *, needed: bool) -> Problems:
    unknown = [name for name in names if name not in PROFILES]
    for name in unknown:
        yield path, (*place, name), f"there is no such profile{instead(name, PROFILES)}"
    if needed and not unknown and files.profile in PROFILES and files.profile not in names:
        yield path, place, f"there is none for the profile {files.profile}; add it, or give --profile {names[0]}"


def _searches(files: ProjectFiles) -> Problems:
    for path, searches in files.searches.items():
        for part, search in searches.items():
            if part not in TARGETS:
                yield path, (part,), f"there is no such part{instead(part, TARGETS)}"
            beside = sorted(each.stem for each in path.parent.glob("*.yaml") if each != path)
            if search.workload not in beside:
                said = f"there is no {search.workload}.yaml beside it{instead(search.workload, beside)}"
                yield path, (part, "workload"), said
            needed = path.stem in files.parts
            yield from _profiles(files, path, (part, "windows"), list(search.windows), needed=needed)


def _promises(files: ProjectFiles, known: Possible) -> Problems:
    first: dict[str, Path] = {}
    for path, entries in sorted(files.objectives.items(), key=lambda item: item[0] in files.workloads):
        begin: Place = ("objectives",) if path in files.workloads else ()
        for number, entry in enumerate(entries):
            place = (*begin, number)
            if entry.finding in first:
                where = "above" if first[entry.finding] == path else f"in {files.read[first[entry.finding]].name}"
                yield path, (*place, "finding"), f"{entry.finding} is promised {where}, too; keep one of them"
            first.setdefault(entry.finding, path)
            yield from ((path, (*place, key), said) for key, said in _promise(files, entry, known))


def _promise(files: ProjectFiles, entry: ObjectiveEntry, known: Possible) -> Iterator[tuple[str, str]]:
    """What is wrong with a promise or another limit on a finding: it cannot be given, or not in this unit."""
    if said := _unknown(files, entry.finding, known):
        yield "finding", said
    units = list(dict.fromkeys(each.unit for each in known.fitting(entry.finding)))
    if units and entry.objective.unit not in units:
        named = " or ".join(f"in {unit}" if unit else "without a unit" for unit in units)
        yield "limit", f"{entry.limit!r} has not the unit of {entry.finding}, which is {named}{_write(entry, units)}"


def _unknown(files: ProjectFiles, name: str, known: Possible) -> str:
    """Why nothing of the project can give a finding; empty where something can, or could not be read."""
    section, sections = name.partition(".")[0], known.sections
    folders = (files.project, defaults_folder())
    unread = {*OF_PART, "plan"} - set(sections)
    if known.fitting(name) or section in unread or (is_pattern(section) and unread):
        return ""
    if section in sections or is_pattern(section):
        if former := next((each for each in FORMER if fnmatchcase(each, name)), ""):
            return f"{former} {FORMER[former]}"
        like = "" if is_pattern(name) else did_you_mean(name, known.names(section))
        gives = f"{name!r} fits no finding that the project can give"
        gives = gives if is_pattern(name) else f"nothing in the project can give {name!r}"
        return f"{gives}{like or '; correct it, or remove the entry'}"
    own, others = ({each.name for each in (folder / NOTEBOOKS).glob("*.ipynb")} for folder in folders)
    if own - others and not did_you_mean(section, sections):
        return ""  # a notebook of the project's own may give it
    return f"there is no section {section!r}{instead(section, sections)}"


def _write(entry: ObjectiveEntry, units: Sequence[str]) -> str:
    """How a limit is written in the unit that is wanted, where that can be told."""
    given = entry.objective
    try:
        limit = converted(given.limit, given.unit, units[0]) if given.unit else given.limit
    except ValueError:
        return ""
    return f"; write {f'{given.relation} {limit:.10g} {units[0]}'.strip()!r}" if len(units) == 1 else ""


def _plan(files: ProjectFiles, known: Possible) -> Problems:
    searched = [part for searches in files.searches.values() for part in searches]
    for path, plan in files.plan.items():
        for place, name in plan.values_of(*FINDINGS):
            if name and (said := _unknown(files, name, known)):
                yield path, place, said
        of = ((place, name) for place, name in plan.values_of("of") if searched and {*searched} <= {*TARGETS})
        yield from ((path, *each) for each in unknown_names("part", of, searched))
        yield from ((path, ("loads", name, "tested"), said) for name, said in _tested(files, plan))


def _tested(files: ProjectFiles, plan: PlanFile) -> Iterator[tuple[str, str]]:
    """The loads of which a plan says what was tested, where a workload whose findings it scales loads otherwise.

    An example plans nothing, and need not fit.
    """
    if plan.example:
        return
    shapes = {
        path: each.shapes.get(files.profile) or next(iter(each.shapes.values()))
        for path, each in files.workloads.items()
    }
    for name, load in plan.loads.items():
        terms = [use for each in plan.resources for use in each.use] + [
            use for each in plan.parts for use in each.terms
        ]
        uses = [use for use in terms if use.load == name]
        scaled = {use.finding.partition(".")[0] for use in uses}
        for path, shape in shapes.items():
            held = LoadHeld(shape.kind, [stage.to for stage in shape.stages if stage.sustained])
            if (
                load.tested is not None
                and path.stem in scaled
                and held.levels
                and not held.is_of(load.kind, load.tested)
            ):
                given = LoadHeld(load.kind, [load.tested])
                yield name, f"is {given}, and {path.name} loads with {held}; {_instead(path.stem, load, held)}"


def _instead(part: str, load: Load, held: LoadHeld) -> str:
    """What to write for a load that is not the one that was measured."""
    if held.kind == load.kind:
        return f"write {held.levels[0]:g}" + (f", or `measured: {part}.throughput`" if held.kind == "rate" else "")
    if held.kind == "rate":
        return f"project the operations a second, with a unit that ends with '/s' and `measured: {part}.throughput`"
    return "project the users, without '/s' in the unit"


def _catalog(files: ProjectFiles) -> Problems:
    sizes = [size for sizes in files.sizes.values() for size in sizes]
    if not sizes or len(files.sizes) < sum(path.suffix == ".csv" for path in files.read):
        return  # what is missing may be in a file that could not be read
    own = [size for path, found in files.sizes.items() if files.is_own(path) for size in found]
    for path, plan in files.plan.items():
        for number, part in enumerate(plan.parts):
            there = [each for each in sizes if each.service == part.service]
            place: Place = ("parts", number)
            services = unknown_names("service", [((*place, "service"), part.service)], {each.service for each in sizes})
            yield from ((path, *each) for each in services)
            regional = [each.size for each in there if each.region in (plan.region, ANYWHERE)]
            if there and not regional:
                regions = {each.region for each in there}
                yield from ((path, *each) for each in unknown_names("region", [(("region",), plan.region)], regions))
            elif regional:
                yield from ((path, ("region",), said) for said in other_regions(own, [part.service], plan.region))
                current = [((*place, "current"), part.current)]
                yield from ((path, *each) for each in unknown_names(f"size of {part.service}", current, regional))
            if part.volume:
                named: Named = [((*place, "volume"), part.volume)]
                yield from ((path, *each) for each in unknown_names("service", named, {each.service for each in sizes}))
                volumes = (each for each in sizes if each.service == part.volume)
                regional = [each.size for each in volumes if each.region in (plan.region, ANYWHERE)]
                named = [((*place, "current_volume"), part.current_volume)]
                yield from ((path, *each) for each in unknown_names(f"volume of {part.volume}", named, regional))


def _monitoring(files: ProjectFiles, known: Possible) -> Problems:
    limits = {each.finding: each for entries in files.objectives.values() for each in entries}
    for path, monitoring in files.monitoring.items():
        for name, metric in monitoring.metrics.items():
            place: Place = ("metrics", name)
            if not metric.title and (said := _unknown(files, name, known)):
                yield path, place, said if said.endswith("?") else f"{said}, or give it a `title` of its own"
            given = [limits[name].limit] if name in limits else []
            given += [each.fires or each.promise for each in monitoring.watches if each.metric == name]
            units = [unit for _, limit, unit in (LIMIT.findall(each)[0] for each in given) if float(limit)]
            for seen, unit in ((seen, unit) for seen in ("prometheus", "cloudwatch") for unit in dict.fromkeys(units)):
                if shown := getattr(metric, seen):
                    yield from ((path, (*place, seen, "unit"), said) for said in _other_kind(unit, shown.unit))


def _other_kind(unit: str, into: str) -> Iterator[str]:
    """Why a limit in one unit cannot be given in another, where it cannot."""
    try:
        converted(1.0, unit, into)
    except ValueError as error:
        yield f"{error}; correct one of them"


def _checklist(files: ProjectFiles, known: Possible) -> Problems:
    for path, points in files.checklist.items():
        for number, point in enumerate(points):
            for place, need in enumerate(point.needs):
                at: Place = (number, "needs", place)
                if isinstance(need, ObjectiveEntry):
                    yield from ((path, (*at, key), said) for key, said in _promise(files, need, known))
                elif said := _unknown(files, need, known):
                    yield path, at, said
