"""What a plan is made from beside its own data: the findings of a run, and when and on what machine it was measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from capacity.errors import NothingPlanned
from capacity.findings import Finding
from capacity.manifest import manifests_beside


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """The findings by name, the day they were measured, and the cores of the machine by recording."""

    findings: Mapping[str, Finding]
    day: date
    cores: Mapping[str, int]

    def measured(self, name: str) -> Finding | None:
        """A finding that has a finite value; None where the run has none."""
        found = self.findings.get(name)
        return None if found is None or found.value is None or not math.isfinite(found.value) else found


def read_basis(folder: Path, findings: Iterable[Finding]) -> PlanBasis:
    """What was found, and by the manifests of the recordings beside the `folder` of findings when and on what machine.

    Findings of the plan itself are left out; void ones are kept, and make void what comes from them. Raises
    NothingPlanned where no recording is there, since the plan begins on the day of the run.
    """
    kept = {each.name: each for each in findings if each.section != "plan"}
    manifests = manifests_beside(folder, {each.recording for each in kept.values()})
    started = [facts.started_at for facts in manifests.values() if facts.started_at]
    if not started:
        raise NothingPlanned(
            f"no recording of the findings in {folder} is beside them, so the day of the run is unknown"
        )
    cores = {name: facts.machine["cpus"] for name, facts in manifests.items() if facts.machine.get("cpus")}
    return PlanBasis(kept, date.fromisoformat(max(started)[:10]), cores)
