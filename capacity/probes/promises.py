"""The promises on a part of the system: which a profile cannot decide, and for which a load goes on at its look."""

from collections.abc import Callable
from pathlib import Path

from capacity.analysis.measured.decisions import Undecided, undecidable, undecided
from capacity.findings import Finding, judge_all, read_objectives
from capacity.places import OBJECTIVES, WORKLOADS, in_project
from capacity.probes.measurement import GoesOnFor
from capacity.workload import read_workload

PARTS = ("database", "redis", "queue", "gateway")  # each with a workload and promises of that name


def for_what_is_undecided(section: str, read: Callable[[Path], list[Finding]]) -> GoesOnFor:
    """Of a recording under way, as `read` gives its findings: the promises on `section` that going on would decide."""

    def promises(folder: Path, seconds: float, at_most: float) -> list[str]:
        judged = judge_all(read(folder), read_objectives(in_project(OBJECTIVES), section))
        return [each.objective.finding for each in undecided(judged, seconds) if each.seconds <= at_most]

    return promises


def cannot_decide(name: str, profile: str, workloads: Path | str = "") -> list[Undecided]:
    """The promises on a part that a profile's planned seconds are too few for; `workloads` as its probe has it."""
    workload = read_workload(in_project(workloads or WORKLOADS) / f"{name}.yaml")
    return undecidable(workload, profile, read_objectives(in_project(OBJECTIVES), name))


def beforehand(profile: str, *names: str, workloads: Path | str = "") -> str:
    """A line on what a profile cannot decide of the promises on these parts (all of them where none is named)."""
    left = [each for name in names or PARTS for each in cannot_decide(name, profile, workloads)]
    if not left:
        return f"the profile {profile} is long enough to decide every promise"
    needs = ", ".join(f"{each.objective.title} {each.seconds:,.0f} s" for each in left)
    return f"the profile {profile} may leave undecided what needs longer at a constant load: {needs}"
