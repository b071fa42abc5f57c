"""Runs the notebooks with papermill against one system, and makes their findings a run with verdicts and a report."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capacity.clock import utc_text
from capacity.display.text import not_judged_text
from capacity.errors import CapacityError
from capacity.manifest import MANIFEST, RunManifest, read_run_manifest, write_facts
from capacity.places import environment
from capacity.probes.progress import ProgressLines
from capacity.run import Run, write_verdicts
from capacity.suite.check.project import refuse_problems
from capacity.suite.kernels import prepare_kernels
from capacity.suite.notebook_execution import execute_notebook
from capacity.suite.notebooks import (
    REPORT,
    RESERVED,
    left_out,
    left_out_text,
    notebook_name,
    notebooks_in,
)
from capacity.suite.parameters import chosen_parameters, notebook_parameters
from capacity.suite.preflight import show_preflight
from capacity.suite.progress import expected_seconds, promises_kept
from capacity.suite.run_folder import RunBrokenOffError, only_here
from capacity.system.addresses import BATCH, system_from
from capacity.system.embedded import open_system
from capacity.system.machine import machine_facts, machine_text, require_linux
from capacity.validation.names import chosen_names

TITLE = "Capacity report"
MAKES = {"PostgreSQL": "postgres", "Redis": "redis", "Valkey": "redis"}  # what a server's own word begins with


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run does: the project's folder, a profile, the notebooks named (all where none is), given parameters."""

    project: Path
    profile: str
    only: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


def run_suite(plan: RunPlan, run: Path, say: Callable[[str], None] = print) -> Run:
    """Measure by the notebooks of the plan into the folder `run`, judge, and write the report.

    A notebook that finished in an earlier run into the same folder is not repeated. Raises CapacityError for unknown
    names and parameters and a folder that is not for this run, RunBrokenOffError where a notebook fails; what was
    measured until then stays.
    """
    left = [] if plan.only else left_out(plan.project, system_from())
    wanted, given = _checked(plan, left)
    require_linux()
    finished = read_run_manifest(run).finished if (run / MANIFEST).exists() else ()
    show_preflight([each for each in wanted if each not in finished], plan.parameters.get("workloads", ""), say)
    with only_here(run):
        facts = _begun(run, plan)
        if left:
            say(left_out_text(left))
        try:
            return _run(plan, run, say, facts, {name: (path, given[name]) for name, path in wanted.items()})
        except CapacityError as error:
            raise RunBrokenOffError(str(error)) from None


def _run(
    plan: RunPlan,
    run: Path,
    say: Callable[[str], None],
    facts: dict[str, Any],
    wanted: Mapping[str, tuple[Path, Mapping[str, Any]]],
) -> Run:
    """Execute the notebooks that are `wanted`, by name with their parameters, and write the report."""
    made = Run.at(run, plan.project)
    prepare_kernels()
    # Parameters that are given may make a notebook longer or shorter than it says.
    expected = {name: None if given else expected_seconds(path, plan.profile) for name, (path, given) in wanted.items()}
    progress = ProgressLines(expected, say)
    with open_system() as system, environment({**system.as_environment(), BATCH: "1"}):
        facts |= {"embedded": system.embedded, "machine": machine_facts()}
        write_facts(run, facts)
        for name, (path, given) in wanted.items():
            if name in facts["finished"]:
                progress.end(name, "✓", "finished in this run before, not repeated")
                continue
            _measure(plan, made, path, given, progress)
            facts["finished"].append(name)
            write_facts(run, facts)
    with progress.part("report", run / "report", lambda: ("✓", "written")):
        write_report_of(made)
    return made


def _measure(plan: RunPlan, made: Run, path: Path, given: Mapping[str, Any], progress: ProgressLines) -> None:
    """Execute a notebook that measures, or plans."""
    name = notebook_name(path)
    recording, findings = _unused(made.recordings_folder, name), made.findings_folder
    set_by_suite = {"live": True, "profile": plan.profile, "results": str(findings), "recording": str(recording)}
    workloads = str(plan.parameters.get("workloads", ""))
    with progress.part(name, recording, promises_kept(plan.project, findings, workloads)):
        _execute(path, made, {**given, **set_by_suite})


def write_report_of(made: Run) -> None:
    """Write a run's verdicts to its findings.json, and its report.html from its executed notebooks."""
    from capacity.suite.answers import read_answers
    from capacity.suite.next_steps import to_do
    from capacity.suite.report import write_report  # loads what reads notebooks, which takes as long as all else

    run, facts, project = made.path, _checked_run(made), made.project
    write_verdicts(made)
    notebooks = notebooks_in(project)
    given = {"findings": str(made.findings_folder), "recordings": str(made.recordings_folder)}
    given |= {"earlier": earlier_findings(made)}
    summary = _execute(notebooks[REPORT], made, given)
    executed = [run / "notebooks" / path.name for name, path in notebooks.items() if name in facts.finished]
    verdicts = {objective.finding: verdict for objective, _, verdict in made.judged}
    findings = [(each, verdicts.get(each.name)) for each in made.findings]
    under_title = _report_facts(made, facts)
    answers = read_answers(made)
    steps = to_do([*answers.judged, *answers.expected], made)
    write_report(
        run / "report.html",
        TITLE,
        under_title,
        executed,
        summary=summary,
        findings=findings,
        answers=answers,
        steps=steps,
        not_judged=not_judged_text(made.not_asked),
    )


def earlier_findings(made: Run) -> str:
    """The findings of the last run before this one that is beside it and has its profile; empty where there is none."""
    facts = made.manifest
    for manifest in sorted(made.path.resolve().parent.glob(f"*/{MANIFEST}"), reverse=True):
        with suppress(CapacityError):  # a damaged run beside this one is none
            other = read_run_manifest(manifest.parent)
            older = other.started_at < facts.started_at and other.profile == facts.profile
            if older and any((manifest.parent / "findings").glob("*.json")):
                return str(manifest.parent / "findings")
    return ""


def _checked(plan: RunPlan, left: Collection[str]) -> tuple[dict[str, Path], dict[str, dict[str, Any]]]:
    """The notebooks to run, without those that are `left` out where none is named, and the parameters for each."""
    refuse_problems(plan.project, plan.profile, plan.only, plan.parameters)
    notebooks = {name: path for name, path in notebooks_in(plan.project).items() if name != REPORT}
    names = chosen_names(plan.only, notebooks, "notebook") or [name for name in notebooks if name not in left]
    wanted = {name: notebooks[name] for name in names}
    accepted = {name: notebook_parameters(path) for name, path in wanted.items()}
    return wanted, chosen_parameters(accepted, plan.parameters, RESERVED)


def _execute(path: Path, made: Run, parameters: Mapping[str, Any]) -> Path:
    """Execute a notebook in the run's project; returns the executed copy in the run's folder."""
    return execute_notebook(path, made.path / "notebooks" / path.name, parameters, made.project)


def _unused(folder: Path, name: str) -> Path:
    """The recording's folder, beside those that an interrupted run has left."""
    taken = len(list(folder.glob(f"{name}*"))) if folder.exists() else 0
    return folder / (f"{name}-{taken + 1}" if taken else name)


def _begun(run: Path, plan: RunPlan) -> dict[str, Any]:
    """The manifest of a new run, or of the one that is resumed, which must be of the same profile."""
    if (run / MANIFEST).exists():
        resumed = _checked_run(Run.at(run, plan.project))
        if resumed.profile != plan.profile:
            raise CapacityError(f"{run} is a run with the profile {resumed.profile}; resume it with that one")
        return resumed.model_dump(mode="json")
    facts: dict[str, Any] = {"profile": plan.profile, "started_at": utc_text(), "finished": []}
    facts |= {"workloads": str(plan.parameters.get("workloads", ""))}
    named = system_from()
    facts |= {"parameters": dict(plan.parameters), "hosts": named.hosts, "database": named.database}
    write_facts(run, facts)
    with suppress(OSError):  # a file system without links has no latest
        latest = run.parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(run.name)
    return facts


def _checked_run(made: Run) -> RunManifest:
    facts = made.manifest
    if missing := [name for name in ("profile", "started_at", "finished") if name not in facts.model_fields_set]:
        raise CapacityError(f"{made.path} is no run: its {MANIFEST} has no {missing[0]}; name the folder of a run")
    return facts


def _report_facts(made: Run, facts: RunManifest) -> dict[str, str]:
    """What stands under the report's title."""
    machine = facts.machine
    made_on = machine_text(machine) if machine else "unknown: the run was broken off before it began"
    return {
        "Measured": facts.started_at.replace("T", " ").replace("+00:00", " UTC"),
        "Profile": facts.profile,
        "Servers": servers_text(made, facts),
        "Load made on": made_on,
        "Run": made.path.name,
    }


def servers_text(made: Run, facts: RunManifest) -> str:
    """The servers that were measured, by make, version and host, and whose they are."""
    told = [each.system.get("servers") or [each.system.get("server", "")] for each in made.loads.values()]
    named = sorted({server for servers in told for server in servers} - {""})
    started = "started by the suite, on the machine that also made the load"
    if facts.embedded or not facts.hosts:
        whose = started if facts.embedded else "your own"
        return f"{', '.join(named)}; {whose}" if named else whose
    kinds = [next((kind for word, kind in MAKES.items() if each.startswith(word)), "gateway") for each in named]
    own = [f"{each} on {facts.hosts[kind]}" for each, kind in zip(named, kinds, strict=True) if kind in facts.hosts]
    others = [each for each, kind in zip(named, kinds, strict=True) if kind not in facts.hosts]
    said = [
        f"{', '.join(own or facts.hosts.values())}, your own",
        *([f"{', '.join(others)}, {started}"] if others else []),
    ]
    return "; ".join(said)
