"""The four answers of a run, read from its folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.planning.answers import NOT_SEARCHED, Answers, answers_of
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.plan import CapacityPlan, make_plan
from capacity.analysis.planning.plan_file import read_basis, read_plan
from capacity.display.tables_trials import expectation_title
from capacity.errors import CapacityError
from capacity.findings import Finding, judge_all, read_findings
from capacity.objectives import read_expectations, read_objectives
from capacity.places import OBJECTIVES, WORKLOADS
from capacity.probes.breaking_point import SEARCHES, read_search_result
from capacity.probes.searches import read_searches

PLAN = Path("data") / "plan.yaml"
CATALOG = Path("data") / "catalog"


def read_answers(findings: Path, recordings: Path, project: Path, plan: CapacityPlan | None = None) -> Answers:
    """The answers from the folder of a run's `findings`, that of its `recordings`, and the data of a project.

    The plan is made by the project's own data where no other is given.
    What a run did not measure is in them with its cause. Raises CapacityError where there are no findings at all.
    """
    found = read_findings(findings)
    promised = read_objectives(project / OBJECTIVES, *{each.section for each in found})
    expected = [
        (replace(each, title=expectation_title(each, finding)), finding, verdict)
        for each, finding, verdict in judge_all(found, read_expectations(findings))
    ]
    by_name = {each.name: each for each in found}
    searches = read_searches(project / WORKLOADS / SEARCHES)
    parts = {name: _searched(recordings, by_name.get(f"{SECTION}.{name}.highest_sustainable")) for name in searches}
    counts = {name: each.counts for name, each in searches.items()}
    planned = plan or _planned(findings, project)
    return answers_of(judge_all(found, promised), expected, found, parts, planned, counts=counts)


def _searched(recordings: Path, held: Finding | None) -> SearchResult | str:
    """The search that a finding comes from, or why there is none."""
    if held is None:
        return NOT_SEARCHED
    try:
        return read_search_result(recordings / held.recording)
    except CapacityError as error:
        return str(error)


def read_capacity_plan(
    findings: Path, plan: Path, catalog: Path, own_catalogs: Sequence[Path] = (), seed: int = 1
) -> CapacityPlan:
    """The plan of a run by the folder of its findings, the plan's file and catalogues; see `make_plan`."""
    basis = read_basis(findings, read_findings(findings))
    return make_plan(read_plan(plan), basis, read_catalog(catalog, own_catalogs), seed)


def _planned(folder: Path, project: Path) -> CapacityPlan | str:
    """The plan by the project's own data, or why there is none."""
    try:
        return read_capacity_plan(folder, project / PLAN, project / CATALOG)
    except CapacityError as error:
        return str(error)
