"""The judgement of a run: the findings in its folder by the project's objectives and its notebooks' expectations."""

from pathlib import Path

from capacity.errors import CapacityError
from capacity.findings import Judged, Objective, finding_as_dict, judge_all, read_findings, worst
from capacity.objectives import read_expectations, read_objectives
from capacity.places import MANIFEST, OBJECTIVES, in_project
from capacity.writing import write_json


def project_objectives(*sections: str) -> list[Objective]:
    """What the project that the current folder is in promises; of some sections where these are named."""
    return read_objectives(in_project(OBJECTIVES), *sections)


def judged_run(project: Path, run: Path) -> list[Judged]:
    """Judge the findings of a run, and write them with their verdicts to its findings.json.

    The objectives are the project's on the sections that were measured, then what its notebooks expected themselves.
    """
    if not (run / MANIFEST).exists():
        raise CapacityError(f"there is no run in {run}: {MANIFEST} is missing")
    found = read_findings(run / "findings")
    promised = read_objectives(project / OBJECTIVES, *{each.section for each in found})
    judged = judge_all(found, [*promised, *read_expectations(run / "findings")])
    names = {objective.finding for objective, _, _ in judged}
    given = {name: str(worst(verdict for each, _, verdict in judged if each.finding == name)) for name in names}
    write_json(run / "findings.json", [finding_as_dict(each) | {"verdict": given.get(each.name)} for each in found])
    return judged
