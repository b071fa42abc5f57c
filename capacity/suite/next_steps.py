"""What a reader of the report must do: what is broken or undecided, grouped by reason, each with what decides it."""

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capacity.analysis.measured.decisions import quantile_of, seconds_to_decide
from capacity.analysis.planning.answers import HELD_BACK
from capacity.display.text import finding_text
from capacity.errors import CapacityError
from capacity.findings import Judged, Verdict
from capacity.manifest import MANIFEST, read_manifest
from capacity.places import workloads_of
from capacity.run import Run
from capacity.workload import Workload, is_load_of, parse_workload, read_workload

REASONS = {
    Verdict.FAIL: "Broken: the whole interval is outside the limit",
    Verdict.INCONCLUSIVE: "Undecided: the limit lies within the interval",
    Verdict.VOID: "Does not count",
    Verdict.NO_DATA: "Not measured",
}
REPEATED = ("workloads", "prepared")  # parameters of a run that its next one needs as well
NOT_GIVEN, PUT_RIGHT = "Not given", "put that right"
OPEN = "Undecided: too few operations to bound the interval on both sides"
NEXT = {
    Verdict.FAIL: "longer measuring does not change it: find the cause in its section, mend it, and measure again",
    Verdict.INCONCLUSIVE: "no profile is known to be long enough: lengthen the stages of its workload, measure again",
    Verdict.VOID: "take away what spoilt it, and measure again",
    Verdict.NO_DATA: "measure it",
}


@dataclass(frozen=True, slots=True)
class ToDo:
    """What does not hold for one reason, what to do about it, and the command that does it."""

    verdict: Verdict
    reason: str
    next_step: str
    command: str
    rows: Sequence[Judged]


@dataclass(frozen=True, slots=True)
class _Longer:
    """The shortest profile that is long enough, empty where none is known; `sure` where the value decides it then."""

    profile: str = ""
    sure: bool = True


@dataclass(frozen=True, slots=True)
class _Spoilt:
    """What made findings void, or why they are not given, and what to do about it; empty for others."""

    reason: str = ""
    remedy: str = ""


def to_do(judged: Iterable[Judged], run: Run) -> list[ToDo]:
    """What does not hold, grouped by reason, the worst first; minutes are those of the profiles of its workloads."""
    groups: dict[tuple[Verdict, _Longer, _Spoilt], list[Judged]] = {}
    for row in judged:
        if row[2] in HELD_BACK:
            longer = _longer(row, run)
            groups.setdefault((row[2], longer, _spoilt(row) if longer.sure else _Spoilt()), []).append(row)
    worst_first = sorted(groups.items(), key=lambda group: HELD_BACK.index(group[0][0]))
    return [_to_do(*reason, rows, run) for reason, rows in worst_first]


def to_do_text(steps: Sequence[ToDo]) -> str:
    """The same in Markdown."""
    lines = []
    for step in steps:
        lines += [f"**{step.reason}.** Next: {step.next_step} (`{step.command}`).", ""]
        for objective, found, _ in step.rows:
            said = f"{objective.section}, {objective.title}"
            lines.append(f"- {said}: {objective.promise} wanted, {finding_text(found, limit=objective.limit)} found")
        lines.append("")
    return "\n".join(lines) or "Nothing: all that was judged holds."


def _to_do(verdict: Verdict, longer: _Longer, spoilt: _Spoilt, rows: Sequence[Judged], run: Run) -> ToDo:
    sections = list(dict.fromkeys(objective.section for objective, _, _ in rows))
    command = f"capacity run --only {','.join(sections)}{_given(run)}"
    step = NEXT[verdict if longer.sure else Verdict.INCONCLUSIVE]
    if longer.profile:
        command += f" --profile {longer.profile}"
        seconds = math.fsum(_workload(each, run).shape(longer.profile).seconds for each in sections)
        what, stay = ("it", "it stays") if len(rows) == 1 else ("these", "they stay")
        decide = f"decide {what}, if {stay} as found" if longer.sure else f"may decide {what}"
        step = f"measure with the profile {longer.profile}: {seconds / 60:.0f} minutes {decide}"
    reason = REASONS[verdict] if longer.sure else OPEN
    if spoilt.reason:
        reason = f"{NOT_GIVEN if verdict is Verdict.NO_DATA else reason}: {spoilt.reason}"
        step = f"{spoilt.remedy}, and measure again" if spoilt.remedy else step
    return ToDo(verdict, reason, step, command, rows)


def _spoilt(row: Judged) -> _Spoilt:
    _, finding, verdict = row
    if finding is None or verdict not in (Verdict.VOID, Verdict.NO_DATA):
        return _Spoilt()
    return _Spoilt(finding.void or "", finding.remedy) if finding.void else _Spoilt(finding.note, PUT_RIGHT)


def _given(run: Run) -> str:
    """What the run was told of its loads, as words of the command: without it, others would be measured."""
    given = run.manifest.parameters if (run.path / MANIFEST).exists() else {}
    return "".join(f" --set {name} {shlex.quote(str(given[name]))}" for name in REPEATED if given.get(name))


def _longer(row: Judged, run: Run) -> _Longer:
    """How to decide what is undecided: nothing is known of a section that has no workload of its name."""
    objective, finding, verdict = row
    too_few = verdict is Verdict.NO_DATA and finding is not None and finding.count and quantile_of(finding.name)
    if finding is None or not (verdict is Verdict.INCONCLUSIVE or too_few):
        return _Longer()
    try:
        manifest = read_manifest(run.recordings_folder / finding.recording)
        shapes = _workload(finding.section, run).shapes
    except CapacityError:
        return _Longer()
    needed = seconds_to_decide(finding, objective, manifest.sustained_seconds)
    seconds = {name: shape.sustained_seconds for name, shape in shapes.items()}
    enough = [name for name in seconds if 0 < needed <= seconds[name]]
    shortest = min(enough, key=lambda name: seconds[name], default="")
    return _Longer(shortest, not too_few and math.inf not in (finding.low, finding.high))


def _workload(section: str, run: Run) -> Workload:
    """The project's workload of a section; where another one was measured it is that, as its recording tells it."""
    recorded = next((each.workload for name, each in run.loads.items() if name.partition("-")[0] == section), None)
    own = read_workload(workloads_of(section, folder=run.project) / f"{section}.yaml")
    return own if recorded is None or is_load_of(recorded, own) else parse_workload(recorded)
