"""The four answers of a run, read from its folders."""

from pathlib import Path

from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.planning.answers import NOT_SEARCHED, Answers, answers_of
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.plan import CapacityPlan, make_plan
from capacity.analysis.planning.plan_file import read_basis, read_plan
from capacity.errors import CapacityError
from capacity.findings import Finding, judge_all, read_expectations, read_findings, read_objectives
from capacity.places import OBJECTIVES, WORKLOADS
from capacity.probes.breaking_point import SEARCHES, read_search_result
from capacity.probes.searches import read_searches

PLAN = Path("data") / "plan.yaml"
CATALOG = Path("data") / "catalog"


def read_answers(findings: Path, recordings: Path, project: Path) -> Answers:
    """The answers from the folder of a run's `findings`, that of its `recordings`, and the data of a project.

    What a run did not measure is in them with its cause. Raises CapacityError where there are no findings at all.
    """
    found = read_findings(findings)
    promised = read_objectives(project / OBJECTIVES, *{each.section for each in found})
    expected = judge_all(found, read_expectations(findings))
    by_name = {each.name: each for each in found}
    parts = {
        name: _searched(recordings, by_name.get(f"{SECTION}.{name}.highest_sustainable"))
        for name in read_searches(project / WORKLOADS / SEARCHES)
    }
    return answers_of(judge_all(found, promised), expected, found, parts, _planned(findings, found, project))


def _searched(recordings: Path, held: Finding | None) -> SearchResult | str:
    """The search that a finding comes from, or why there is none."""
    if held is None:
        return NOT_SEARCHED
    try:
        return read_search_result(recordings / held.recording)
    except CapacityError as error:
        return str(error)


def _planned(folder: Path, found: list[Finding], project: Path) -> CapacityPlan | str:
    """The plan by the project's own data, or why there is none."""
    try:
        return make_plan(read_plan(project / PLAN), read_basis(folder, found), read_catalog(project / CATALOG, []))
    except CapacityError as error:
        return str(error)
