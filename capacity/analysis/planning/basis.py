"""What a plan is made from beside its own data: the findings of a run, and when and at what load they were measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from capacity.errors import NothingPlanned
from capacity.findings import Finding
from capacity.manifest import manifests_beside


@dataclass(frozen=True, slots=True)
class LoadHeld:
    """The load of a recording: `users`, or a `rate` a second, in each of its stages at a constant load."""

    kind: str
    levels: Sequence[float]

    def __str__(self) -> str:
        texts = dict.fromkeys(f"{each:,g}" for each in self.levels)
        return f"{' and '.join(texts)}{'/s' if self.kind == 'rate' else ' users'}"

    def is_of(self, kind: str, tested: float) -> bool:
        """Whether a plan's load of this kind, of which so much was tested, is this load."""
        return kind == self.kind and any(math.isclose(each, tested) for each in self.levels)


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """The findings by name, the day they were measured, and by recording the load that they are of."""

    findings: Mapping[str, Finding]
    day: date
    tested: Mapping[str, LoadHeld] = field(default_factory=dict)

    def measured(self, name: str) -> Finding | None:
        """A finding that has a finite value; None where the run has none."""
        found = self.findings.get(name)
        return None if found is None or found.value is None or not math.isfinite(found.value) else found


def read_basis(folder: Path, findings: Iterable[Finding]) -> PlanBasis:
    """What was found, and by the manifests of the recordings beside the `folder` of findings when and at what load.

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
    loads = {
        name: LoadHeld(facts.kind, [each.to for each in facts.sustained])
        for name, facts in manifests.items()
        if facts.kind and facts.sustained
    }
    return PlanBasis(kept, date.fromisoformat(max(started)[:10]), loads)
