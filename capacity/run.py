"""A run of the suite: what is in its folder, each read once and when it is first asked for."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from capacity.errors import CapacityError
from capacity.findings import Finding, Judged, Objective, Verdict, finding_as_dict, judge_all, read_findings, worst
from capacity.manifest import MANIFEST, Manifest, RunManifest, manifests_beside, read_manifest, read_run_manifest
from capacity.objectives import asked_for, fitted, on_sections, project_objectives, read_expectations
from capacity.places import WORKLOADS, defaults_folder, project_folder
from capacity.workload import is_load_of, read_workload
from capacity.writing import write_json

if TYPE_CHECKING:
    from capacity.analysis.limits.search_result import SearchResult

SEARCHED = "breaking_point"


@dataclass(frozen=True)
class Run:
    """The folders of what a run found and of what it measured, and the project whose objectives it is judged by.

    What cannot be read is a CapacityError when it is asked for. `searches` keeps what was read of its searches, by
    their recordings: that takes seconds.
    """

    findings_folder: Path
    recordings_folder: Path
    project: Path = field(default_factory=project_folder)
    searches: dict[str, "SearchResult"] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def at(cls, folder: Path, project: Path | None = None) -> "Run":
        """The run that the suite has made in a folder."""
        return cls(folder / "findings", folder / "recordings", project or project_folder())

    @property
    def path(self) -> Path:
        """Its own folder."""
        return self.findings_folder.parent

    def check(self) -> None:
        """CapacityError where there is no run in the folder."""
        if not (self.path / MANIFEST).exists():
            raise CapacityError(f"there is no run in {self.path}: {MANIFEST} is missing")

    @cached_property
    def manifest(self) -> RunManifest:
        """What it says of itself."""
        self.check()
        return read_run_manifest(self.path)

    @cached_property
    def findings(self) -> list[Finding]:
        """What its notebooks found."""
        return read_findings(self.findings_folder)

    @cached_property
    def objectives(self) -> list[Objective]:
        """All that the project promises, and that stands beside the loads that were measured."""
        workloads = self.manifest.workloads if (self.path / MANIFEST).exists() else ""
        return project_objectives(workloads=workloads, folder=self.project)

    @cached_property
    def promised(self) -> list[Judged]:
        """The objectives on what was measured, each with its finding and verdict."""
        return judge_all(self.findings, asked_for(self._on_its_sections, self.findings))

    @property
    def not_asked(self) -> list[Objective]:
        """The objectives on the sections that were measured, but on what these do not have."""
        judged = {objective.finding for objective, _, _ in self.promised}
        return [each for each in self._on_its_sections if each.finding not in judged]

    @property
    def _on_its_sections(self) -> list[Objective]:
        measured = on_sections(self.objectives, {each.section for each in self.findings})
        return fitted(measured, self.findings)

    @cached_property
    def expected(self) -> list[Judged]:
        """The same of what its notebooks expected themselves."""
        return judge_all(self.findings, read_expectations(self.findings_folder))

    @property
    def judged(self) -> list[Judged]:
        """What was promised, then what was expected."""
        return [*self.promised, *self.expected]

    @property
    def exit_code(self) -> int:
        """What a pipeline is told of its verdicts: 0 all pass, 1 one fails, 3 something is undecided; 2 is an error."""
        verdicts = {each for _, _, each in self.judged}
        return 1 if Verdict.FAIL in verdicts else 0 if verdicts == {Verdict.PASS} else 3

    @cached_property
    def recordings(self) -> dict[str, Manifest]:
        """The recordings that its findings come from, by the folders that these name, where they are there."""
        return manifests_beside(self.findings_folder, dict.fromkeys(each.recording for each in self.findings))

    @cached_property
    def loads(self) -> dict[str, Manifest]:
        """The recordings of its parts by their folders; of a search it is the first level of each part."""
        manifests = {}
        for name in dict.fromkeys(each.recording for each in self.findings if each.recording):
            folder, deep = self.recordings_folder / name, name.count("/")
            searched = deep == 1 and name.startswith(SEARCHED)
            files = sorted(folder.glob(f"*/{MANIFEST}")) if searched else [folder / MANIFEST]
            if (searched or not deep) and files and files[0].exists():
                manifests[name] = read_manifest(files[0].parent)
        return manifests

    @cached_property
    def is_reference(self) -> bool:
        """Whether all of its loads are the package's own, which the package's plan and checklist speak of."""
        files = {name: defaults_folder() / WORKLOADS / f"{each.name}.yaml" for name, each in self.loads.items()}
        return all(
            file.exists() and is_load_of(self.loads[name].workload, read_workload(file)) for name, file in files.items()
        )


def write_verdicts(run: Run) -> None:
    """Write a run's findings with their verdicts to its findings.json."""
    run.check()
    names = {objective.finding for objective, _, _ in run.judged}
    given = {name: str(worst(verdict for each, _, verdict in run.judged if each.finding == name)) for name in names}
    entries = [finding_as_dict(each) | {"verdict": given.get(each.name)} for each in run.findings]
    write_json(run.path / "findings.json", entries)
