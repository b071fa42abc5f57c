"""The end of a run in a terminal: its four answers, then what is broken or undecided, with what to do next."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from capacity.analysis.planning.answers import Answers
from capacity.display.answers import answers_text
from capacity.display.tables import LINE_WIDTH, NOT_GIVEN, aligned, finding_text, wrapped
from capacity.findings import Judged, Verdict
from capacity.places import read_manifest
from capacity.suite.answers import read_answers

LONGER = {"smoke": "standard", "standard": "full"}


@dataclass(frozen=True, slots=True)
class NextStep:
    """Why promises have their verdict and what to do, and the options of `capacity run` for that (None where none)."""

    verdict: Verdict
    why: str
    options: str | None


def print_closing(project: Path, run: Path, *, everything: bool) -> None:
    """Print `closing_text` of a run to the terminal, or to what stands in its place, with the questions in bold.

    Raises CapacityError where the folder is no run, or has no findings.
    """
    profile = str(read_manifest(run).get("profile", ""))
    answers = read_answers(run / "findings", run / "recordings", project)
    width = shutil.get_terminal_size((LINE_WIDTH, 0)).columns
    for number, line in enumerate(closing_text(answers, profile, width, everything=everything).splitlines()):
        click.secho(line, bold=number == 0 or line.endswith("?"))


def closing_text(answers: Answers, profile: str, width: int, *, everything: bool = False) -> str:
    """What a terminal of `width` columns shows of a run with a profile; with `everything` what holds, too."""
    lines = answers_text(answers, width)
    for step, rows in _grouped(answers.held_back, profile).items():
        lines += ["", wrapped(f"{step.verdict}: {step.why}", width, "  ")]
        if step.options is not None:
            sections = ",".join(dict.fromkeys(objective.section for objective, _, _ in rows))
            lines.append(f"  capacity run --only {sections}{step.options}")
        lines += _table(rows, width)
    held = [row for row in (*answers.judged, *answers.expected) if row[2] is Verdict.PASS]
    if everything:
        lines += ["", f"{Verdict.PASS}: the whole interval is within the limit", *_table(held, width)]
    elif held:
        lines += ["", f"{Verdict.PASS}: {len(held)}, which --all shows"]
    return "\n".join(lines)


def _grouped(rows: Sequence[Judged], profile: str) -> dict[NextStep, list[Judged]]:
    """Promises that do not hold, together where the same is to be done."""
    groups: dict[NextStep, list[Judged]] = {}
    for row in rows:
        groups.setdefault(next_step(row, profile), []).append(row)
    return groups


def next_step(row: Judged, profile: str) -> NextStep:
    """What is to be done about a promise that does not hold as measured with a profile."""
    _, found, verdict = row
    longer = LONGER.get(profile, profile)
    more = "measure longer" if longer != profile else "make its stages in data/workloads longer, and measure again"
    options = f" --profile {longer}"
    if verdict is Verdict.FAIL:
        return NextStep(verdict, "the whole interval is beyond the limit; the report shows what was full then", None)
    if found is None:
        return NextStep(verdict, "not measured; measure it", f" --profile {profile}")
    if verdict is Verdict.VOID:
        why = f"{found.void}; end what else runs on the machine, or make the load on another one, and measure again"
        return NextStep(verdict, why, f" --profile {profile}")
    if found.value is None:
        return NextStep(verdict, f"{found.note or NOT_GIVEN}; {more}", options)
    if found.low is None or found.high is None:
        return NextStep(verdict, f"nothing bounds a single result; {more}", options)
    return NextStep(verdict, f"the interval holds the limit; {more}", options)


def _table(rows: Sequence[Judged], width: int) -> list[str]:
    """A line a promise, its title last, where it has room for more lines; titles alone where no number counts."""
    counted = [found is not None and found.value is not None and not found.void for _, found, _ in rows]
    if not any(counted):
        titles: dict[str, list[str]] = {}
        for each, _, _ in rows:
            titles.setdefault(each.section, []).append(each.title)
        return [wrapped(f"  {section}: {', '.join(names)}", width) for section, names in titles.items()]
    table = [("found", "promised", "")]
    for (each, found, _), counts in zip(rows, counted, strict=True):
        table.append((finding_text(found) if counts else "–", each.promise, f"{each.section}: {each.title}"))
    return [f"  {line}" for line in aligned(table, width - 2).splitlines()]
