"""The four answers of a run, read from its folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.planning.answers import NOT_SEARCHED, Answers, answers_of
from capacity.analysis.planning.basis import read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.plan import CapacityPlan, make_plan
from capacity.analysis.planning.plan_file import read_plan
from capacity.display.tables_trials import expectation_title
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.probes.breaking_point import read_search_result
from capacity.probes.searches import read_searches
from capacity.project import SEARCHES, in_project
from capacity.run import Run

PLAN = Path("data") / "plan.yaml"
CATALOG = Path("data") / "catalog"


def read_answers(run: Run, plan: CapacityPlan | None = None) -> Answers:
    """The answers of a run; the plan is made by its project's own data where no other is given.

    What a run did not measure is in them with its cause. Raises CapacityError where there are no findings at all.
    """
    by_name = {each.name: each for each in run.findings}
    expected = [
        (replace(each, title=expectation_title(each, finding)), finding, verdict)
        for each, finding, verdict in run.expected
    ]
    searches = read_searches(in_project(SEARCHES, run.project))
    parts = {name: _searched(run, by_name.get(f"{SECTION}.{name}.highest_sustainable")) for name in searches}
    counts = {name: each.counts for name, each in searches.items()}
    return answers_of(run.promised, expected, run.findings, parts, plan or _planned(run), counts=counts)


def _searched(run: Run, held: Finding | None) -> SearchResult | str:
    """The search that a finding comes from, or why there is none."""
    if held is None:
        return NOT_SEARCHED
    try:
        return read_search_result(run.recordings_folder / held.recording)
    except CapacityError as error:
        return str(error)


def read_capacity_plan(
    run: Run, plan: Path, catalog: Path, own_catalogs: Sequence[Path] = (), seed: int = 1
) -> CapacityPlan:
    """The plan of a run by what it found, the plan's file and catalogues; see `make_plan`."""
    basis = read_basis(run.findings_folder, run.findings)
    return make_plan(read_plan(plan), basis, read_catalog(catalog, own_catalogs), seed)


def _planned(run: Run) -> CapacityPlan | str:
    """The plan by the project's own data, or why there is none."""
    try:
        return read_capacity_plan(run, in_project(PLAN, run.project), in_project(CATALOG, run.project))
    except CapacityError as error:
        return str(error)
