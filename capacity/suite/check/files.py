"""The files of a project, each read as what it is: what it holds in a few words, and what is wrong with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from capacity.analysis.measured.figures import OF_PART
from capacity.analysis.planning.catalog import Size, read_sizes
from capacity.analysis.planning.plan_file import PlanFile, read_plan
from capacity.errors import CapacityError
from capacity.exports.monitoring import Monitoring, read_monitoring
from capacity.objectives import ObjectiveEntry, ObjectivesFile, workload_files
from capacity.places import (
    CATALOG,
    CHECKLIST,
    MONITORING,
    OBJECTIVES,
    PLAN,
    SEARCHES,
    WORKLOADS,
    defaults_folder,
    in_project,
    workloads_of,
)
from capacity.probes.searches import SearchSettings, read_searches
from capacity.suite.checklist import Point, read_checklist
from capacity.workload import Workload, read_workload
from capacity.yaml_file import read_model

Read = TypeVar("Read")


@dataclass(slots=True)
class ReadFile:
    """A file, or the parameters: what it holds in a few words, and a sentence for each problem."""

    name: str
    holds: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ProjectFiles:
    """What could be read of a project's files by their paths; what is wrong is missing. `parts` are to be measured."""

    project: Path
    profile: str
    parts: Sequence[str] = ()
    read: dict[Path, ReadFile] = field(default_factory=dict)
    objectives: dict[Path, Sequence[ObjectiveEntry]] = field(default_factory=dict)
    workloads: dict[Path, Workload] = field(default_factory=dict)
    searches: dict[Path, Mapping[str, SearchSettings]] = field(default_factory=dict)
    plan: dict[Path, PlanFile] = field(default_factory=dict)
    monitoring: dict[Path, Monitoring] = field(default_factory=dict)
    checklist: dict[Path, Sequence[Point]] = field(default_factory=dict)
    sizes: dict[Path, Sequence[Size]] = field(default_factory=dict)

    def is_own(self, path: Path) -> bool:
        """Whether a file is the project's own, which is asked to fit; what comes with the package knows all parts."""
        return path.is_relative_to(self.project) or not path.is_relative_to(defaults_folder())

    def take(
        self, into: dict[Path, Read], path: Path, read: Callable[[Path], Read], holds: Callable[[Read], str]
    ) -> None:
        """Read a file once, and note what it holds, or what is wrong with it."""
        noted = self.read.setdefault(path, ReadFile(shown(path, self.project)))
        try:
            into[path] = read(path)
            noted.holds = holds(into[path])
        except CapacityError as error:
            self.note(path, *error.sentences)

    def note(self, path: Path, *sentences: str) -> None:
        """Add problems of a file."""
        name = self.read[path].name
        self.read[path].problems += [each.replace(str(path), name) for each in sentences]


def shown(path: Path, project: Path) -> str:
    """A path as a reader knows it: within the project, or within what comes with the package."""
    if path.is_relative_to(project):
        return str(path.relative_to(project))
    default = defaults_folder()
    return f"{path.relative_to(default)} of the package" if path.is_relative_to(default) else str(path)


def read_all(files: ProjectFiles, given: Mapping[str, Any]) -> None:
    """Read every file of a project, in whose place parameters of notebooks may name others."""
    project, workloads = files.project, str(given.get("workloads", ""))
    there = in_project(workloads or WORKLOADS, project)
    for path in workload_files(workloads, project):
        files.take(files.workloads, path, read_workload, _workload_text)
    missing = [part for part in files.parts if workloads and part in OF_PART and not (there / f"{part}.yaml").exists()]
    if missing:
        name = shown(there, project)
        said = f"there is no {missing[0]}.yaml in {name}, by which the notebook {missing[0]} measures; add it, or leave"
        files.read[there] = ReadFile(name, problems=[f"{said} that out with --only"])
    files.objectives |= {path: each.objectives for path, each in files.workloads.items() if each.objectives}
    searches = workloads_of(SEARCHES.stem, workloads, project) / SEARCHES.name
    if not workloads or searches.exists():
        files.take(files.searches, searches, read_searches, lambda found: f"searches of {', '.join(found)}")
    files.take(files.objectives, in_project(OBJECTIVES, project), _objectives, _promises_text)
    files.take(files.plan, in_project(given.get("plan", PLAN), project), read_plan, _plan_text)
    files.take(files.monitoring, in_project(MONITORING, project), read_monitoring, _monitoring_text)
    files.take(files.checklist, in_project(CHECKLIST, project), read_checklist, lambda found: f"{len(found)} points")
    folder, own = in_project(given.get("catalog", CATALOG), project), str(given.get("own_catalog", ""))
    for path in [*sorted(folder.glob("*.csv")), *([in_project(own, project)] if own else [])]:
        files.take(files.sizes, path, _sizes, lambda found: f"{len(found)} sizes")


def _objectives(path: Path) -> Sequence[ObjectiveEntry]:
    return read_model(path, ObjectivesFile, "the file of objectives").root


def _sizes(path: Path) -> Sequence[Size]:
    return list(read_sizes(path).values())


def _workload_text(workload: Workload) -> str:
    promised = f", {len(workload.objectives)} objectives" if workload.objectives else ""
    return f"{len(workload.operations)} operations, profiles {', '.join(workload.shapes)}{promised}"


def _promises_text(promised: Sequence[ObjectiveEntry]) -> str:
    sections = dict.fromkeys(each.objective.section for each in promised)
    return f"{len(promised)} objectives on {', '.join(sections)}" if promised else "no objectives"


def _plan_text(plan: PlanFile) -> str:
    return f"{plan.months} months of {len(plan.resources)} resources and {len(plan.parts)} parts"


def _monitoring_text(monitoring: Monitoring) -> str:
    return f"{len(monitoring.metrics)} metrics, {len(monitoring.watches)} thresholds"
