"""The promises on a part of the system: which a profile cannot decide, and for which a load goes on at its look."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from capacity.analysis.measured.decisions import undecidable, undecided
from capacity.analysis.measured.figures import operation_figures
from capacity.errors import CapacityError
from capacity.findings import Finding, judge_all
from capacity.objectives import project_objectives
from capacity.places import workloads_of
from capacity.probes.measurement import GoesOnFor
from capacity.system.preflight.check import Check, fact, note
from capacity.workload import Workload, read_workload

LONGER = "measure with a longer profile, where these are to be decided"


def for_what_is_undecided(section: str, read: Callable[[Path], list[Finding]], workloads: Path | str = "") -> GoesOnFor:
    """Of a recording under way, as `read` gives its findings: the promises on `section` that going on would decide.

    `workloads` is the folder of the workload files (empty: the project's), which may promise something, too.
    """

    def promises(folder: Path, seconds: float, at_most: float) -> list[str]:
        found = read(folder)
        judged = judge_all(found, project_objectives(section, findings=found, workloads=workloads))
        return [each.objective.finding for each in undecided(judged, seconds) if each.seconds <= at_most]

    return promises


def beforehand(profile: str, *parts: str, workloads: Path | str = "") -> str:
    """A line on the promises on these parts that a profile's planned seconds are too few to decide, and how many would.

    `workloads` is the folder (empty: the project's) of their workload files.
    """
    read = {name: _workload(name, workloads) for name in parts}
    promised = {
        name: project_objectives(name, findings=operation_figures(name, workload), workloads=workloads)
        for name, workload in read.items()
    }
    left = [each for name, workload in read.items() for each in undecidable(workload, profile, promised[name])]
    planned = " or ".join(sorted({f"{each.shape(profile).sustained_seconds:g}" for each in read.values()}, key=float))
    said = f"{profile} has at most {planned} s at a constant load"
    if not left:
        return f"{said}: enough to decide every promise"
    needs = ", ".join(f"{each.objective.title} ({each.seconds:,.0f} s)" for each in left)
    return f"{said}, and may leave undecided what needs more: {needs}"


def enough_time(parts: Collection[str]) -> list[Check]:
    """Whether each profile of these parts' workloads is long enough for the promises, as a check of the doctor."""
    try:
        profiles = dict.fromkeys(profile for name in parts for profile in _workload(name).shapes)
        said = {profile: beforehand(profile, *parts) for profile in profiles}
    except CapacityError as error:
        return [note("promises", str(error), "which promises a profile cannot decide is not known", "")]
    checks = []
    for profile, line in said.items():
        has, left = line.partition(", and ")[::2]
        name = f"profile {profile}"
        checks.append(note(name, has, left, LONGER) if left else fact(name, line))
    return [replace(each, part="promises") for each in checks]


def _workload(name: str, folder: Path | str = "") -> Workload:
    return read_workload(workloads_of(name, folder) / f"{name}.yaml")
