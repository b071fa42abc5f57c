"""Whether the system is approved: the words at the foot of the report."""

from collections.abc import Sequence
from datetime import timedelta

import pandas as pd

from capacity.analysis.planning.answers import readiness
from capacity.display.text import tally_text
from capacity.findings import Judged, Verdict

CURRENT_FOR = timedelta(days=7)  # the report asks for a deployment within a week of its measurements


def sign_off_text(
    judged: Sequence[Judged], expected: Sequence[Judged], checklist: pd.DataFrame, log: pd.DataFrame
) -> str:
    """The sign-off in Markdown, computed from the verdicts, the checklist and the execution log.

    Approved only where every promise and expectation holds, every point of the checklist that was measured is met, and
    every recording is complete or was made again. `checklist` is what `checked` gives and `log` what `execution_log`
    gives.
    """
    unmet = checklist[checklist["verdict"] == Verdict.FAIL]
    broken_off = log[~log["complete"] & ~log["repeated"]]
    reasons = [tally_text(judged, expected)] if readiness(judged, expected) != "Ready" else []
    reasons += [f"{len(unmet)} points of the checklist are not met"] if len(unmet) else []
    reasons += [f"the recordings of {', '.join(broken_off['part'])} were broken off"] if len(broken_off) else []
    status = "Not approved" if reasons else "Approved"
    ended = log["ended"].max()
    lines = [f"**{status} for production.** {_sentence(reasons or [tally_text(judged, expected)])}", ""]
    if pd.notna(ended):
        lines.append(f"- Measured from {log['started'].min():%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC.")
        lines.append(f"- Current until {ended + CURRENT_FOR:%Y-%m-%d}: deploy within a week, or measure again.")
    lines.append("- This block is computed from the findings above and cannot be typed; a new run writes it anew.")
    return "\n".join(lines)


def _sentence(reasons: Sequence[str]) -> str:
    said = "; ".join(reasons)
    return f"{said[0].upper()}{said[1:]}."
