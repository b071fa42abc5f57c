"""One trial of a scenario: expected before it runs, proved to have been applied, undone, and judged."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from capacity.analysis.measured.ledger import CLASSES, Reconciliation
from capacity.errors import CapacityError
from capacity.findings import Finding, Judged, Objective, Verdict, finding_as_dict, finding_from_dict, judge_all, worst
from capacity.system.addresses import System
from capacity.writing import write_json

FILE = "trial.json"
SAFE = "pool exhaustion, and delay through the proxy"  # what may be done to servers of somebody else


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the fault was applied, and what was seen that says so."""

    applied: bool
    said: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen in a trial; `unsettled` says what was still under way when it was given up, else it is empty."""

    proof: Proof
    findings: tuple[Finding, ...]
    unsettled: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """A scenario that can begin: what is expected of it, and what applies its fault, undoes it and says what was seen.

    `observe` is given the folder for its recordings.
    """

    expected: tuple[Objective, ...]
    observe: Callable[[Path], Observed]


class Scenario:
    """A fault, the load that runs through it, and what is expected to survive; a dataclass, whose fields are settings.

    `source` is where the limits of its expectations come from.
    """

    __slots__ = ()
    source = "settings"

    @property
    def name(self) -> str:
        """Its name, as in its findings: failover.<name>.<figure>."""
        raise NotImplementedError

    @property
    def destructive(self) -> bool:
        """Whether it stops, kills or cuts off servers."""
        raise NotImplementedError

    def ready(self, system: System) -> AbstractContextManager[Ready]:
        """Find or start what it needs; whatever happens, nothing of the fault is left at the end of the with-block."""
        raise NotImplementedError

    def expects(self, figure: str, relation: str, limit: float, why: str, *, unit: str = "") -> Objective:
        """What is expected of a figure, with the arithmetic that its limit comes from."""
        return Objective(f"failover.{self.name}.{figure}", relation, limit, unit, source=self.source, why=why)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was expected and what was seen; the findings are void where the fault was not applied or never settled.

    `settings` are those of the scenario, as JSON values.
    """

    scenario: str
    expected: tuple[Objective, ...]
    proof: Proof
    findings: tuple[Finding, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdicts(self) -> list[Judged]:
        """Each expectation with its finding and verdict."""
        return judge_all(self.findings, self.expected)

    @property
    def verdict(self) -> Verdict:
        """The worst of the verdicts; VOID where the fault was not applied."""
        return worst(verdict for _, _, verdict in self.verdicts) if self.proof.applied else Verdict.VOID


def run_scenario(scenario: Scenario, system: System, folder: Path) -> Trial:
    """Run one trial, and keep it in `folder` with its recordings.

    Raises CapacityError where a destructive scenario would touch servers that the suite did not start.
    """
    if scenario.destructive and not system.embedded:
        raise CapacityError(
            f"the scenario {scenario.name} takes its servers away, which is done only to those that the suite started "
            f"itself; run it without addresses of your own, or run what these can bear: {SAFE}"
        )
    with scenario.ready(system) as ready:
        observed = ready.observe(folder)
    void = "" if observed.proof.applied else f"the fault was not applied: {observed.proof.said}"
    if observed.unsettled:
        void = void or f"it never settled: {observed.unsettled}"
    names = [each.name for each in observed.findings]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"the scenario {scenario.name} has two findings of the name {min(twice)}; give each its own")
    findings = observed.findings
    if void:
        findings = tuple(replace(each, void=each.void or void, least=None, most=None) for each in findings)
    trial = Trial(scenario.name, ready.expected, observed.proof, findings, settings_of(scenario))
    write_trial(folder, trial)
    return trial


def settings_of(scenario: Scenario) -> dict[str, Any]:
    """The fields of a scenario as JSON values; a signal is its number."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(cast(Any, scenario)), default=str))
    return settings


def read_trial(folder: Path) -> Trial:
    """The trial that was kept in a folder; CapacityError where there is none."""
    try:
        values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        expected = tuple(_expectation(each) for each in values["expected"])
        findings = tuple(finding_from_dict(each) for each in values["findings"])
        return Trial(values["scenario"], expected, Proof(**values["proof"]), findings, values["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CapacityError(f"cannot read the trial in {folder}: {error}; run the scenario into it first") from None


def _expectation(kept: Mapping[str, Any]) -> Objective:
    """Until 2026-11 the reason stood in the title."""
    return Objective(**(kept if "why" in kept else {**kept, "title": "", "why": kept["title"]}))


def write_trial(folder: Path, trial: Trial) -> None:
    """Keep a trial in a folder, whole or not at all."""
    values = asdict(trial) | {"findings": [finding_as_dict(each) for each in trial.findings]}
    write_json(folder / FILE, values)


def counted(
    scenario: str, name: str, value: float | None, *, unit: str = "", title: str = "", count: int = 0
) -> Finding:
    """A finding of a scenario that was counted or timed once and so has no uncertainty of its own."""
    return Finding(f"failover.{scenario}.{name}", value, unit, value, value, count, title=title)


def account_findings(
    scenario: str, kind: str, found: Reconciliation, tried: int, terms: Iterable[str] = CLASSES, *, noun: str = ""
) -> Iterator[Finding]:
    """What became of all that was tried, a finding `<kind>_<term>` each, as jobs_lost; `noun` is the kind in words."""
    for term in terms:
        yield counted(scenario, f"{kind}_{term}", getattr(found, term), title=f"{noun or kind} {term}", count=tried)
