"""The four answers of a run, read from its folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.planning.answers import NOT_SEARCHED, Answers, answers_of
from capacity.analysis.planning.basis import read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.plan import CapacityPlan, make_plan, part_of
from capacity.analysis.planning.plan_file import read_plan
from capacity.display.tables_trials import expectation_title
from capacity.errors import CapacityError, NothingPlanned
from capacity.findings import Finding
from capacity.places import CATALOG, PLAN, SEARCHES, defaults_folder, in_project, is_own
from capacity.probes.breaking_point import read_search_result
from capacity.probes.parts import PARTS
from capacity.probes.searches import SearchSettings, read_searches
from capacity.run import Run

OF_OTHERS = (
    "the plan at hand is that of the workloads that come with capacity, and others were measured; "
    "write data/plan.yaml of a project of your own, with the load that you project"
)
EXAMPLE = (
    "data/plan.yaml is still the example that capacity init has written; put in the load that you project, and take "
    "out the line `example: true`"
)


def read_answers(run: Run, plan: CapacityPlan | str | None = None) -> Answers:
    """The answers of a run; the plan is made by its project's own data where no other, or why there is none, is given.

    Parts that a run did not measure are not in them. Raises CapacityError where there are no findings at all.
    """
    by_name = {each.name: each for each in run.findings}
    expected = [
        (replace(each, title=expectation_title(each, finding)), finding, verdict)
        for each, finding, verdict in run.expected
    ]
    searches = _searches(run.project)
    measured = {part_of(each.name) for each in run.findings}
    names = [name for name in dict.fromkeys([*searches, *PARTS]) if name in measured]
    parts = {name: _searched(run, by_name.get(f"{SECTION}.{name}.highest_sustainable")) for name in names}
    counts = {name: each.counts for name, each in searches.items()}
    counts |= {name: each.counts for name, each in parts.items() if isinstance(each, SearchResult) and each.counts}
    return answers_of(run.promised, expected, run.findings, parts, plan or planned_by_project(run), counts=counts)


def _searches(project: Path) -> dict[str, SearchSettings]:
    """What a project searches; the package's searches are none of somebody's own."""
    own = project / SEARCHES
    return read_searches(in_project(SEARCHES, project)) if own.exists() or not is_own(project) else {}


def _searched(run: Run, held: Finding | None) -> SearchResult | str:
    """The search that a finding comes from, or why there is none."""
    if held is None:
        return NOT_SEARCHED
    try:
        if held.recording not in run.searches:
            run.searches[held.recording] = read_search_result(run.recordings_folder / held.recording)
        return run.searches[held.recording]
    except CapacityError as error:
        return str(error)


def read_capacity_plan(
    run: Run, plan: Path, catalog: Path, own_catalogs: Sequence[Path] = (), seed: int = 1
) -> CapacityPlan:
    """The plan of a run by what it found, the plan's file and catalogues; see `make_plan`."""
    projected = read_plan(plan)
    if projected.example:
        raise NothingPlanned(EXAMPLE)
    basis = read_basis(run.findings_folder, run.findings)
    return make_plan(projected, basis, read_catalog(catalog, own_catalogs), seed)


def planned(
    run: Run, plan: Path | str, catalog: Path | str, own_catalogs: Sequence[Path] = (), seed: int = 1
) -> CapacityPlan | str:
    """As `read_capacity_plan`, by files of the run's project, or why nothing is planned.

    The package's own plan is of the package's own loads. Raises CapacityError for what is wrong in the plan's own data.
    """
    file = in_project(plan, run.project)
    if file == defaults_folder() / PLAN and not run.is_reference:
        return OF_OTHERS
    try:
        return read_capacity_plan(run, file, in_project(catalog, run.project), own_catalogs, seed)
    except NothingPlanned as error:
        return str(error)


def planned_by_project(run: Run) -> CapacityPlan | str:
    """The plan by the project's own data, or why there is none."""
    try:
        return planned(run, PLAN, CATALOG)
    except CapacityError as error:
        return str(error)
