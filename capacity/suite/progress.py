"""What the progress of a run says of its parts: how long each is expected to take, and what its promises came to."""

import re
from collections.abc import Callable
from pathlib import Path

from capacity.clock import unix_s
from capacity.display.text import tally_text
from capacity.findings import Verdict, judge_all, read_findings
from capacity.objectives import project_objectives, read_objectives
from capacity.suite.parameters import notebook_cells

NO_MINUTES = "Minutes: none."
MINUTES = r"([\d.]+) with (?:the profile )?{}\b"


def expected_seconds(notebook: Path, profile: str) -> float | None:
    """The time that the first cell of a notebook states for measuring with a profile; None where it states none."""
    said = "".join("".join(cell["source"]) for cell in notebook_cells(notebook)[:1])
    if NO_MINUTES in said:
        return 0.0
    stated = re.search(MINUTES.format(re.escape(profile)), said)
    return 60 * float(stated[1]) if stated else None


def promises_kept(project: Path, findings: Path, workloads: str = "") -> Callable[[], tuple[str, str]]:
    """What says, later, with a mark and in words, how many promises hold on what is written to `findings` from now on.

    Promises are the project's, those of `workloads` (a folder, empty: the project's), and what the notebook expected
    itself.
    """
    begun = unix_s()

    def kept() -> tuple[str, str]:
        files = [each for each in sorted(findings.glob("*")) if each.stat().st_mtime >= begun]
        found = [each for file in files if file.suffix == ".json" for each in read_findings(file)]
        sections = {each.section for each in found}
        promised = project_objectives(*sections, findings=found, workloads=workloads, folder=project) if found else []
        promised += [each for file in files if file.suffix == ".yaml" for each in read_objectives(file)]
        judged = judge_all(found, promised)
        verdicts = {verdict for _, _, verdict in judged}
        mark = "✗" if Verdict.FAIL in verdicts else "✓" if verdicts <= {Verdict.PASS} else "?"
        return mark, tally_text(judged) if judged else "no promises"

    return kept
