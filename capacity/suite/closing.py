"""The end of a run in a terminal: its four answers, then what is broken or undecided, with what to do next."""

import shutil
from collections.abc import Sequence

import click

from capacity.analysis.planning.answers import Answers
from capacity.display.answers import answers_text
from capacity.display.tables import failed_share_text, failures_of
from capacity.display.text import LINE_WIDTH, aligned, finding_text, not_judged_text, wrapped
from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.run import Run
from capacity.suite.answers import read_answers
from capacity.suite.next_steps import ToDo, to_do

MOST_FAILED = 8  # reasons that a terminal shows


def print_closing(run: Run, *, everything: bool) -> None:
    """Print `closing_text` of a run to the terminal, or to what stands in its place, with the questions in bold.

    Raises CapacityError where the folder is no run, or has no findings.
    """
    answers = read_answers(run)
    steps = to_do([*answers.judged, *answers.expected], run)
    width = shutil.get_terminal_size((LINE_WIDTH, 0)).columns
    said = closing_text(answers, steps, width, everything=everything, findings=run.findings, not_asked=run.not_asked)
    for number, line in enumerate(said.splitlines()):
        click.secho(line, bold=number == 0 or line.endswith("?"))


def closing_text(
    answers: Answers,
    steps: Sequence[ToDo],
    width: int,
    *,
    everything: bool = False,
    findings: Sequence[Finding] = (),
    not_asked: Sequence[Objective] = (),
) -> str:
    """What a terminal of `width` columns shows of a run; with `everything` what holds, too.

    What failed, and why, is among the `findings`; `not_asked` are promises on what the measured parts do not have.
    """
    lines = answers_text(answers, width)
    if failures := failures_of(findings):
        lines += ["", "What failed, and why?", *_failed(failures, width)]
    for step in steps:
        lines += ["", wrapped(f"{step.reason}. Next: {step.next_step}", width, "  "), f"  {step.command}"]
        lines += _table(step.rows, width, step.reason)
    held = [row for row in (*answers.judged, *answers.expected) if row[2] is Verdict.PASS]
    if everything:
        lines += ["", f"{Verdict.PASS}: the whole interval is within the limit", *_table(held, width)]
    elif held:
        lines += ["", f"{len(held)} hold ({Verdict.PASS}); --all shows them"]
    if not_asked:
        lines += ["", wrapped(not_judged_text(not_asked), width, "  ")]
    return "\n".join(lines)


def _failed(failures: Sequence[Finding], width: int) -> list[str]:
    """A line an operation and reason with how many, and one that says when and what the server said."""
    lines = []
    for each in failures[:MOST_FAILED]:
        lines.append(wrapped(f"  {each.section}: {each.title}, {failed_share_text(each)}", width))
        lines.append(wrapped(f"      {each.note}", width))
    left = len(failures) - MOST_FAILED
    return lines + ([f"  and {left:,} more reasons, in the report"] if left > 0 else [])


def _table(rows: Sequence[Judged], width: int, said: str = "") -> list[str]:
    """A line a promise, its title last, where it has room for more lines; where no number counts, titles and why.

    What was `said` above is not said again.
    """
    table, titles = [("found", "promised", "")], dict[tuple[str, str], list[str]]()
    for each, found, verdict in rows:
        if found is not None and found.value is not None and verdict is not Verdict.VOID:
            table.append((finding_text(found, limit=each.limit), each.promise, f"{each.section}: {each.title}"))
        else:
            note = found.note if found and verdict is not Verdict.VOID else ""
            why = "" if note in said else note
            titles.setdefault((each.section, why), []).append(each.title)
    lines = [f"  {line}" for line in aligned(table, width - 2).splitlines()] if len(table) > 1 else []
    return lines + [
        wrapped(f"  {section}: {', '.join(names)}{f' ({why})' if why else ''}", width)
        for (section, why), names in titles.items()
    ]
