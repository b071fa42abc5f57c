"""Two runs as a table of what changed, with a word of warning where they are not of one kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.analysis.measured.comparison import PromiseOutcome, compare_findings, issues
from capacity.analysis.statistics.conventions import CHANCE
from capacity.display.tables import aligned, finding_text, number_text
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, read_findings
from capacity.places import MANIFEST, read_manifest

HOST = ("system", "processor", "cpus", "memory_gib")
LOAD = ("stages", "connections", "generators", "prepared")
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
    def regressed(self) -> bool:
        """Whether a promise that was kept before is broken after."""
        return bool((self.compared["outcome"] == PromiseOutcome.REGRESSED).any())

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
    (old, facts), (new, later) = read_run(before), read_run(after)
    further = [read_run(path) for path in repeated]
    warnings: list[str] = []
    for path, other in zip((after, *repeated), (later, *(each for _, each in further)), strict=True):
        problems = unlike(facts, other)
        if problems and not anyway:
            raise CapacityError(
                f"{before.name} and {path.name} cannot be compared: {'; '.join(problems)}; "
                "measure both in the same way, or give --anyway"
            )
        warnings += problems
    sections = {each.section for each in (*old, *new)}
    promised = [each for each in objectives if each.section in sections]
    compared = compare_findings(old, new, promised, [findings for findings, _ in further])
    return Comparison(compared, old, new, warnings, remarks(facts, later), bool(further))


def run_facts(run: Path, findings: Sequence[Finding]) -> dict[str, Any]:
    """A run's manifest, and under `recordings` those of the recordings that its findings come from, by their names.

    Raises CapacityError where there is no run.
    """
    if not (run / MANIFEST).exists():
        raise CapacityError(f"there is no run in {run}: {MANIFEST} is missing")
    facts = read_manifest(run)
    folders = [run / "recordings" / name for name in dict.fromkeys(each.recording for each in findings)]
    recordings = [read_manifest(each) for each in folders if (each / MANIFEST).exists()]
    return {**facts, "recordings": {each.get("name", ""): each for each in recordings}}


def read_run(run: Path) -> tuple[list[Finding], dict[str, Any]]:
    """A run's findings and facts; CapacityError where there is no run, or it has found nothing yet."""
    run_facts(run, [])
    findings = read_findings(run / "findings")
    return findings, run_facts(run, findings)


def unlike(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What makes two runs another measurement, a sentence each: profile, whose servers, host and load."""
    found = [*_differences("the profile", before, after, ["profile"])]
    found += _differences("whether the servers are the suite's own", before, after, ["embedded"])
    found += _differences("the machine that makes the load", before.get("machine", {}), after.get("machine", {}), HOST)
    for name, old in before["recordings"].items():
        if new := after["recordings"].get(name):
            one, other = _load(old), _load(new)
            found += _differences(f"the load of {name}", one, other, list({**one, **other}))
    return found


def _load(recording: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, and how."""
    workload = {key: value for key, value in recording.get("workload", {}).items() if key not in NOT_SENT}
    return {**workload, **{key: recording.get(key) for key in LOAD}}


def remarks(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What else differs, which may be the very change that is looked at: the servers and their settings."""
    found = []
    for name, old in before["recordings"].items():
        new = after["recordings"].get(name)
        if new is None:
            found.append(f"{name} was measured before only")
            continue
        one, other = old.get("system", {}), new.get("system", {})
        found += _differences(f"the server of {name}", one, other, list({**one, **other}))
    return found + [
        f"{name} was measured after only" for name in after["recordings"] if name not in before["recordings"]
    ]


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
    """The promises, then the other findings, a line each: those that changed or do not hold, or all of them."""
    earlier, later = ({each.name: each for each in findings} for findings in (before, after))
    promises: list[tuple[str, ...]] = []
    others: list[tuple[str, ...]] = []
    for row in compared.to_dict("records"):
        values = finding_text(earlier.get(row["finding"])), "→", finding_text(later.get(row["finding"]))
        known, change = (str(row["section"]), str(row["title"])), change_text(row)
        told = everything or row["answer"] in MOVED
        if row["outcome"] is None and told:
            others.append((*known, *values, change))
        elif row["outcome"] is not None and (told or row["outcome"] != "holds"):
            verdicts = f"{row['verdict_before']} → {row['verdict_after']}"
            promises.append((str(row["outcome"]), *known, str(row["promise"]), *values, verdicts, change))
    order = [str(each) for each in PromiseOutcome]
    promises.sort(key=lambda line: order.index(line[0]))
    return "\n\n".join(aligned(rows) for rows in (promises, others) if rows)


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
    lines = [
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
