"""Two runs as a table of what changed, with a word of warning where they are not of one kind."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.analysis.measured.comparison import PromiseOutcome, compare_findings, issues
from capacity.analysis.statistics.conventions import CHANCE
from capacity.display.text import aligned, finding_text, number_text
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.manifest import Manifest
from capacity.objectives import fitted, on_sections
from capacity.run import Run

HOST = ("system", "processor", "cpus", "memory_gib")
LOAD = {"stages", "connections", "generators", "prepared"}
NOT_SENT = ("title", "shapes")  # a workload's parts that say nothing of what was sent; the stages are compared instead
MOVED = ("changed", "counted")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared: what became of each finding, and what is to be known of it.

    `warnings` are what makes them unlike, `notes` what else differs; `repeated` whether further runs were given.
    """

    compared: pd.DataFrame
    before: Sequence[Finding]
    after: Sequence[Finding]
    warnings: Sequence[str]
    notes: Sequence[str]
    repeated: bool

    @property
    def exit_code(self) -> int:
        """1 where a promise that was kept before is broken after, 3 where it is not known to be kept, else 0."""
        outcomes = set(self.compared["outcome"])
        return 1 if PromiseOutcome.REGRESSED in outcomes else 3 if PromiseOutcome.IN_DOUBT in outcomes else 0

    def text(self, *, everything: bool) -> str:
        """A line for each finding that changed or does not hold, or for all; then notes and counts."""
        table = comparison_table(self.compared, self.before, self.after, everything=everything)
        notes = [f"note: {each}" for each in self.notes]
        return "\n".join([table, *notes, summary_text(self.compared, repeated=self.repeated)])


def compare_runs(
    before: Path, after: Path, *repeated: Path, objectives: Sequence[Objective], anyway: bool = False
) -> Comparison:
    """Compare the run `after` with the run `before`, by the objectives on what either measured.

    `repeated` are further runs of what `before` measured, which show how much runs differ. Raises CapacityError for a
    folder that is no run and, unless `anyway`, for runs of another profile, host or load.
    """
    first, second, *further = map(Run.at, (before, after, *repeated))
    warnings: list[str] = []
    for other in (second, *further):
        problems = unlike(first, other)
        if problems and not anyway:
            raise CapacityError(
                f"{before.name} and {other.path.name} cannot be compared: {'; '.join(problems)}; "
                "measure both in the same way, or give --anyway"
            )
        warnings += problems
    old, new = first.findings, second.findings
    sections = {each.section for each in (*old, *new)}
    promised = fitted(on_sections(objectives, sections), [*old, *new])
    compared = compare_findings(old, new, promised, [each.findings for each in further])
    return Comparison(compared, old, new, warnings, remarks(first, second), bool(further))


def unlike(before: Run, after: Run) -> list[str]:
    """What makes two runs another measurement, a sentence each: profile, whose servers, host and load."""
    one, other = before.manifest.model_dump(), after.manifest.model_dump()
    found = [*_differences("the profile", one, other, ["profile"])]
    found += _differences("whether the servers are the suite's own", one, other, ["embedded"])
    found += _differences("the machine that makes the load", one["machine"], other["machine"], HOST)
    for name, (old, new) in _of_both(before, after).items():
        if old and new:
            one, other = _load(old), _load(new)
            found += _differences(f"the load of {name}", one, other, list({**one, **other}))
    return found


def _of_both(before: Run, after: Run) -> dict[str, tuple[Manifest | None, Manifest | None]]:
    """The recordings that their findings come from, by their workloads' names; None where a run has none of it."""
    earlier, later = ({each.name: each for each in run.recordings.values()} for run in (before, after))
    return {name: (earlier.get(name), later.get(name)) for name in {**earlier, **later}}


def _load(recording: Manifest) -> dict[str, Any]:
    """What was sent, and how."""
    workload = {key: value for key, value in recording.workload.items() if key not in NOT_SENT}
    return {**workload, **recording.model_dump(mode="json", include=LOAD)}


def remarks(before: Run, after: Run) -> list[str]:
    """What else differs, which may be the very change that is looked at: the servers and their settings."""
    found: list[str] = []
    for name, (old, new) in _of_both(before, after).items():
        if old and new:
            found += _differences(f"the server of {name}", old.system, new.system, list({**old.system, **new.system}))
        else:
            found.append(f"{name} was measured {'before' if old else 'after'} only")
    return found


def _differences(what: str, before: Mapping[str, Any], after: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    differing = [key for key in keys if before.get(key) != after.get(key)]
    if differing:
        said = ", ".join(_said(key, before.get(key), after.get(key)) for key in differing)
        yield f"{what} differs: {said}"


def _said(key: str, before: Any, after: Any) -> str:
    plain = not isinstance(before, dict | list) and not isinstance(after, dict | list)
    return f"{key} {before} and {after}" if plain else key


def comparison_table(
    compared: pd.DataFrame, before: Sequence[Finding], after: Sequence[Finding], *, everything: bool
) -> str:
    """The promises, then the other findings, a line each: those that changed or do not hold, or all of them.

    A promise whose verdict is another one has changed, whatever its number did.
    """
    earlier, later = ({each.name: each for each in findings} for findings in (before, after))
    promises: list[tuple[str, ...]] = []
    others: list[tuple[str, ...]] = []
    for row in compared.to_dict("records"):
        values = finding_text(earlier.get(row["finding"])), "→", finding_text(later.get(row["finding"]))
        known, change = (str(row["section"]), str(row["title"])), change_text(row)
        told = everything or row["answer"] in MOVED
        if row["outcome"] is None and told:
            others.append((*known, *values, change))
        elif row["outcome"] is not None and (told or row["outcome"] != "holds" or turned(row)):
            verdicts = f"{row['verdict_before']} → {row['verdict_after']}"
            promises.append((str(row["outcome"]), *known, str(row["promise"]), *values, verdicts, change))
    order = [str(each) for each in PromiseOutcome]
    promises.sort(key=lambda line: order.index(line[0]))
    return "\n\n".join(aligned(rows) for rows in (promises, others) if rows)


def turned(row: Mapping[Any, Any]) -> bool:
    """Whether the verdict after is another than that before."""
    return bool(row["verdict_before"] != row["verdict_after"])


def change_text(row: Mapping[Any, Any]) -> str:
    """The change with its interval, unit and share, and whether it is more than chance."""
    if row["change"] != row["change"]:
        return "not compared"
    if row["change"] == 0 and row["change_low"] == row["change_high"]:
        return "unchanged"
    unit = f" {row['unit']}" if row["unit"] else ""
    spread = row["change_high"] - row["change_low"]
    value = signed(row["change"], spread)
    known = row["change"] and row["change_share"] == row["change_share"]
    share = f", {signed(100 * row['change_share'], 100)}%" if known else ""
    interval = f" ({signed(row['change_low'], spread)} to {signed(row['change_high'], spread)})" if spread > 0 else ""
    shows = (
        f"; as many runs of each would show {number_text(row['detectable'])}{unit}"
        if row["detectable"] == row["detectable"]
        else ""
    )
    direction = f", {row['direction']}" if row["direction"] else ""
    return f"{row['answer']}{direction}: {value}{unit}{interval}{share}{shows}"


def signed(value: float, spread: float) -> str:
    """A number with its sign."""
    text = number_text(value, spread)
    return f"+{text}" if value > 0 else text


def summary_text(compared: pd.DataFrame, *, repeated: bool) -> str:
    """How many issues were found, resolved and are new, and how many changes are no more than chance makes."""
    found = {name: len(rows) for name, rows in issues(compared).items()}
    regressed = int((compared["outcome"] == PromiseOutcome.REGRESSED).sum())
    judged = compared[compared["answer"].isin(["changed", "within chance"])]
    judged = judged[judged["change_high"] > judged["change_low"]]
    changed = int((judged["answer"] == "changed").sum())
    promised = compared[compared["outcome"].notna()]
    pairs = promised[promised["verdict_before"] != promised["verdict_after"]]
    kinds = Counter(f"{old} → {new}" for old, new in zip(pairs["verdict_before"], pairs["verdict_after"], strict=True))
    doubted = int((compared["outcome"] == PromiseOutcome.IN_DOUBT).sum())
    lines = [
        f"verdicts that changed: {', '.join(f'{count} {kind}' for kind, count in kinds.items()) or 'none'}",
        *([f"{doubted} promises that held are in doubt: not measured again, or not decided"] if doubted else []),
        f"issues: {found['found']} found before, {found['resolved']} of them resolved, {found['new']} new; "
        f"{regressed} regressed",
        f"{changed} of {len(judged)} findings with an interval changed, where chance alone makes "
        f"{len(judged) * CHANCE:.0f} seem to",
    ]
    if not repeated:
        lines.append(
            "these intervals hold within a run, and runs of an unchanged system differ by more; "
            "give further runs of the system before with --repeated"
        )
    return "\n".join(lines)
