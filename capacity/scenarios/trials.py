"""Trials of scenarios one after the other, each kept in a folder of its own; and what was kept, read again."""

import json
import logging
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from capacity.analysis.faults.course import FaultCourse, fault_course
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.manifest import MANIFEST
from capacity.probes.live import run_probe
from capacity.probes.queue import read_job_samples
from capacity.recording import open_recording
from capacity.scenarios.matrix import MATRIX, Kind, Row, chosen_rows
from capacity.scenarios.trial import Proof, Scenario, Trial, counted, read_trial, run_scenario, settings_of, write_trial
from capacity.system.addresses import System
from capacity.writing import write_json, write_whole

FILE = "trials.json"
FAILURE = "failure.txt"
PROPER = {"redis": "Redis", "rdb": "RDB", "aof": "AOF", "postgres": "PostgreSQL"}


class Kept(Protocol):
    """What has a trial that was kept."""

    @property
    def trial(self) -> Trial:
        """It."""


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as it was stored: its kind of fault, and its folder, in which its recording is where it has one."""

    kind: Kind
    trial: Trial
    folder: Path


def run_rows(rows: Sequence[Row], system: System, folder: Path) -> None:
    """Run a trial of each row into a folder of its name below `folder`, and note there what is run and what is not.

    One that breaks is kept as a void trial that says so, with the failure in its folder, and the next begins. On
    servers that the suite did not start only scenarios run that leave them in place; CapacityError where none does.
    """
    borne = [row for row in rows if system.embedded or not row.scenario.destructive]
    not_run = _refusal([row.scenario.name for row in rows if row not in borne])
    if not borne:
        raise CapacityError(f"no fault is left to apply: {not_run}")
    trials = [{"name": row.scenario.name, "kind": row.kind} for row in borne]
    write_json(folder / FILE, {"trials": trials, "not_run": not_run})
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it tells each refusal, which a scenario counts
    for row in borne:
        into = folder / row.scenario.name
        try:
            run_scenario(row.scenario, system, into)
        except Exception as error:  # the others can still be learnt from
            write_trial(into, _broken(row.scenario, error))
            write_whole(into / FAILURE, traceback.format_exc())


def read_trials(folder: Path) -> list[StoredTrial]:
    """The trials that were kept in a folder by `run_rows`, in the matrix's order; one that did not begin is missing."""
    return [
        StoredTrial(Kind(each["kind"]), read_trial(folder / each["name"]), folder / each["name"])
        for each in _noted(folder)["trials"]
        if (folder / each["name"]).exists()
    ]


def trials_of(trials: Sequence[StoredTrial], kind: str) -> list[StoredTrial]:
    """Those of one kind of fault."""
    return [stored for stored in trials if stored.kind == Kind(kind)]


def not_run(folder: Path) -> str:
    """What was not run, and why, in one sentence; empty where all was."""
    return str(_noted(folder)["not_run"])


def run_failover(
    live: bool, profile: str, folder: Path | str, *, matrix: str = "", scenarios: str | Sequence[str] = ()
) -> Path:
    """Where `live`, run the scenarios of the profile into `folder`; see `run_probe`, and `chosen_rows` for the rest."""

    def probe(system: System, into: Path) -> None:
        run_rows(chosen_rows(profile, matrix, scenarios), system, into)

    return run_probe(live, "failover", folder, probe)


def read_course(stored: StoredTrial) -> FaultCourse | None:
    """The course of a trial by its recording; None where it has none, or does not say when its fault began.

    It is the course of the jobs where these were watched, else of the operations. The scenario must have a setting
    `objective_ms`.
    """
    objective_ms = stored.trial.settings.get("objective_ms")
    if objective_ms is None or not (stored.folder / MANIFEST).exists():
        return None
    recording = open_recording(stored.folder)
    samples = read_job_samples(recording) if len(recording.jobs) else recording.samples
    return fault_course(stored.trial.scenario, samples, stored.trial.findings, float(objective_ms))


def failover_findings(trials: Sequence[StoredTrial]) -> list[Finding]:
    """The findings of all trials, each with the recording or trial that it comes from."""
    return [
        replace(each, recording=f"{stored.folder.parent.name}/{stored.folder.name}")
        for stored in trials
        for each in stored.trial.findings
    ]


def trial_expectations(trial: Trial) -> list[Objective]:
    """What was expected of a trial; the title says of what."""
    return [
        replace(objective, title=f"{scenario_label(trial.scenario)}: {expected_of(objective, finding)}")
        for objective, finding, _ in trial.verdicts
    ]


def failover_expectations(trials: Iterable[Kept]) -> list[Objective]:
    """Those of all trials."""
    return [each for stored in trials for each in trial_expectations(stored.trial)]


def scenario_label(name: str) -> str:
    """A name in words, as `Redis AOF kill`."""
    return " ".join(PROPER.get(word, word) for word in name.split("_"))


def expected_of(objective: Objective, finding: Finding | None) -> str:
    """What an expectation is of: the finding's title, or its name in words."""
    return finding.title if finding and finding.title else scenario_label(objective.finding.rpartition(".")[2])


def _broken(scenario: Scenario, error: Exception) -> Trial:
    """A void trial of a scenario that did not come to its end."""
    said = str(error) if isinstance(error, CapacityError) else f"{type(error).__name__}: {error}"
    void = f"it did not come to its end: {' '.join(said.split())}"
    finding = replace(counted(scenario.name, "ended", 0, title="trials that came to their end", count=1), void=void)
    expected = Objective(finding.name, "==", 1, source="the scenario", why="a trial is undone and judged")
    return Trial(scenario.name, (expected,), Proof(False, void), (finding,), settings_of(scenario))


def _refusal(names: Sequence[str]) -> str:
    if not names:
        return ""
    bearable = ", ".join(row.scenario.name for row in MATRIX if not row.scenario.destructive)
    return (
        f"{', '.join(names)} would take servers away, which is done only to those that the suite started itself; "
        f"on servers of your own these can run: {bearable}"
    )


def _noted(folder: Path) -> dict[str, Any]:
    try:
        noted: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CapacityError(f"cannot read the trials in {folder}: {error}; run the scenarios into it first") from None
    return noted
