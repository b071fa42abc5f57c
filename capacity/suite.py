"""Runs the notebooks with papermill against one system, and gathers what they found."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError
from capacity.findings import Finding, finding_as_dict, judge_all, read_findings, read_objectives
from capacity.system.addresses import BATCH
from capacity.system.embedded import open_system
from capacity.tables import Judged

PROFILES = ("smoke", "standard", "full")
MANIFEST = "manifest.json"
KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=40"]  # it warns of its TCP port at every start, which is on loopback


def notebooks_in(project: Path) -> dict[str, Path]:
    """The suite's notebooks by name, as `database` for 10_database.ipynb, in their order."""
    found = sorted((project / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise CapacityError(f"there are no notebooks in {project / 'notebooks'}; run this in the project's own folder")
    return {path.stem.partition("_")[2]: path for path in found}


def run_suite(
    project: Path, profile: str, only: Sequence[str], run: Path, say: Callable[[str], None] = print
) -> list[Judged]:
    """Measure by the notebooks (`only` those named) into the folder `run`; returns every objective with its verdict.

    A notebook that finished in an earlier run into the same folder is not repeated. Raises CapacityError for unknown
    names, and where a notebook fails; what was measured until then stays.
    """
    if profile not in PROFILES:
        raise CapacityError(f"there is no profile {profile!r}; accepted are {', '.join(PROFILES)}")
    notebooks = notebooks_in(project)
    if unknown := [name for name in only if name not in notebooks]:
        raise CapacityError(f"there is no notebook {unknown[0]!r}; accepted are {', '.join(notebooks)}")
    wanted = {name: path for name, path in notebooks.items() if not only or name in only}
    facts = _begun(run, profile)
    with open_system() as system, _environment({**system.as_environment(), BATCH: "1"}):
        for name, path in wanted.items():
            if name in facts["finished"]:
                say(f"{name}: finished in this run before, not repeated")
                continue
            say(f"{name}: measuring with the profile {profile}")
            _execute(name, path, run, profile)
            facts["finished"].append(name)
            _write(run / MANIFEST, facts)
    return gathered(project, run)


def gathered(project: Path, run: Path) -> list[Judged]:
    """Judge the findings of a run, and write them with their verdicts to its findings.json."""
    parts = sorted((run / "findings").glob("*.json"))
    findings: list[Finding] = [each for part in parts for each in read_findings(part)]
    sections = {each.section for each in findings}
    objectives = [
        each
        for each in read_objectives(project / "data" / "objectives.yaml")
        if each.finding.partition(".")[0] in sections
    ]
    judged = judge_all(findings, objectives)
    verdicts = {objective.finding: str(verdict) for objective, _, verdict in judged}
    _write(run / "findings.json", [finding_as_dict(each) | {"verdict": verdicts.get(each.name)} for each in findings])
    return judged


def _execute(name: str, path: Path, run: Path, profile: str) -> None:
    recording = _unused(run / "recordings", name)
    parameters = {"live": True, "profile": profile, "recording": str(recording), "results": str(run / "findings")}
    import papermill  # takes two seconds to load, which a wrong word in the command need not wait for
    from papermill.exceptions import PapermillExecutionError

    output = run / "notebooks" / path.name
    output.parent.mkdir(parents=True, exist_ok=True)
    options = {"progress_bar": False, "kernel_name": "python3", "extra_arguments": KERNEL_ARGUMENTS}
    try:
        papermill.execute_notebook(path, output, parameters, cwd=path.parent, **options)
    except PapermillExecutionError as error:
        raise CapacityError(f"the notebook {path.name} failed: {error.ename}: {error.evalue}; see {output}") from None


def _unused(folder: Path, name: str) -> Path:
    """The recording's folder, beside those that an interrupted run has left."""
    taken = len(list(folder.glob(f"{name}*"))) if folder.exists() else 0
    return folder / (f"{name}-{taken + 1}" if taken else name)


def _begun(run: Path, profile: str) -> dict[str, Any]:
    """The manifest of a new run, or of the one that is resumed, which must be of the same profile."""
    if (run / MANIFEST).exists():
        facts: dict[str, Any] = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
        if facts["profile"] != profile:
            raise CapacityError(f"{run} is a run with the profile {facts['profile']}; resume it with that one")
        return facts
    facts = {"profile": profile, "started_at": datetime.now(UTC).isoformat(timespec="seconds"), "finished": []}
    run.mkdir(parents=True, exist_ok=True)
    _write(run / MANIFEST, facts)
    return facts


def _write(path: Path, values: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
