"""The words at the foot of the report follow from the verdicts, and from nothing else."""

import pandas as pd
import pytest

from capacity.findings import Finding, Objective, Verdict
from capacity.suite.readiness import sign_off_text

LATENCY = Objective("a.x", "<", 10.0, "ms", "Latency", "report")
LOST = Objective("a.lost", "==", 0.0, "", "Nothing lost", "report")
SLOW = Finding("a.x", 12.0, "ms", 11.0, 13.0, 500, "r", "latency")
NONE_LOST = Finding("a.lost", 0.0, "", 0.0, 0.0, 500, "r", "lost")
KEPT = [(LOST, NONE_LOST, Verdict.PASS)]


def checklist(*verdicts: Verdict) -> pd.DataFrame:
    return pd.DataFrame({"verdict": list(verdicts)})


def log(*complete: bool) -> pd.DataFrame:
    start = pd.Timestamp("2026-02-26 10:00", tz="UTC")
    rows = [(f"part {place}", start, start + pd.Timedelta(minutes=5), each) for place, each in enumerate(complete)]
    shown = pd.DataFrame(rows, columns=["part", "started", "ended", "complete"]).astype({"complete": bool})
    return shown.assign(repeated=False)


def test_all_kept_met_and_complete_is_approved_for_a_week() -> None:
    text = sign_off_text(KEPT, [], checklist(Verdict.PASS, Verdict.NO_DATA), log(True, True))
    assert text.startswith("**Approved for production.** 1 of 1 promises hold.")
    assert "Measured from 2026-02-26 10:00 to 2026-02-26 10:05 UTC." in text
    assert "Current until 2026-03-05" in text


def test_what_was_broken_off_and_measured_again_withholds_nothing() -> None:
    killed = log(False, True).assign(repeated=[True, False], started=pd.NaT, ended=pd.NaT)
    text = sign_off_text(KEPT, [], checklist(Verdict.PASS), killed)
    assert text.startswith("**Approved for production.**")
    assert "Measured" not in text


@pytest.mark.parametrize(
    ("judged", "verdict", "complete", "why"),
    [
        ([(LATENCY, SLOW, Verdict.FAIL)], Verdict.PASS, True, "0 of 1 promises hold, 1 broken."),
        (
            [(LATENCY, SLOW, Verdict.INCONCLUSIVE)],
            Verdict.PASS,
            True,
            "0 of 1 promises hold, none broken, 1 undecided.",
        ),
        ([], Verdict.PASS, True, "Nothing was judged."),
        (KEPT, Verdict.FAIL, True, "1 points of the checklist are not met."),
        (KEPT, Verdict.PASS, False, "The recordings of part 0 were broken off."),
    ],
)
def test_one_thing_that_is_wrong_is_enough_to_withhold_it(
    judged: list[tuple[Objective, Finding | None, Verdict]], verdict: Verdict, complete: bool, why: str
) -> None:
    text = sign_off_text(judged, [], checklist(verdict), log(complete))
    assert text.startswith(f"**Not approved for production.** {why}")
