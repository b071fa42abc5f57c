"""Numbers print with their unit and no more digits than the interval deserves."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.findings import Finding, Objective, Verdict
from capacity.probes.database import read_database_findings
from capacity.tables import finding_text, number_text, operations_table, readiness_text, verdicts_style, verdicts_table

RECORDED = Path(__file__).parents[1] / "data" / "recorded"
LATENCY = Objective("a.x", "<", 10.0, "ms", "Latency", "report")
LOST = Objective("a.lost", "==", 0.0, "", "Nothing lost", "report")
SLOW = Finding("a.x", 12.0, "ms", 11.0, 13.0, 500, "r", "latency")
NONE_LOST = Finding("a.lost", 0.0, "", 0.0, 0.0, 500, "r", "lost")


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (4.5213, 2.5, "4.5"),
        (4.5213, 0.025, "4.521"),
        (1234.5, 60.0, "1,234"),
        (0.00123, 0.0004, "0.00123"),
        (90.0, 0.0, "90"),
        (2.796, 0.0, "2.796"),
        (math.inf, math.inf, "∞"),
    ],
)
def test_the_interval_decides_the_digits(value: float, spread: float, text: str) -> None:
    assert number_text(value, spread) == text


def test_a_finding_says_its_unit_interval_or_why_it_has_none() -> None:
    assert finding_text(SLOW) == "12.0 ms (11.0 to 13.0)"
    assert finding_text(NONE_LOST) == "0"
    assert finding_text(None) == "not measured"
    assert finding_text(Finding("a.x", None, "ms", note="needs 299 and has 20")) == "needs 299 and has 20"


def test_the_summary_names_what_is_broken_and_what_is_open() -> None:
    judged = [(LATENCY, SLOW, Verdict.FAIL), (LOST, NONE_LOST, Verdict.PASS), (LOST, None, Verdict.NO_DATA)]
    text = readiness_text(judged)
    assert text.startswith("**Not ready.** 1 of 3 promises hold, 1 broken, 1 undecided.")
    assert "- FAIL: a, Latency. Promised < 10 ms, found 12.0 ms (11.0 to 13.0)." in text
    assert "- NO_DATA: a, Nothing lost. Promised = 0, found not measured." in text
    assert readiness_text(judged[1:2]).startswith("**Ready.**")
    assert readiness_text([]).startswith("**Undecided.**")


def test_an_expectation_that_did_not_come_true_is_not_ready_either() -> None:
    kept = [(LOST, NONE_LOST, Verdict.PASS)]
    text = readiness_text(kept, [(LATENCY, SLOW, Verdict.FAIL)])
    assert text.startswith(
        "**Not ready.** 1 of 1 promises hold, 0 broken, 0 undecided. 0 of 1 expectations hold, 1 broken"
    )
    assert "- FAIL: a, Latency. Expected < 10 ms, found 12.0 ms (11.0 to 13.0)." in text
    void = replace(SLOW, void="the fault was not applied")
    text = readiness_text(kept, [(LATENCY, void, Verdict.VOID)])
    assert text.startswith("**Undecided.** 1 of 1 promises hold")
    assert "- VOID: a, Latency. The measurement does not count: the fault was not applied." in text
    assert readiness_text(kept, kept).startswith("**Ready.**")


def test_the_verdicts_stand_in_columns() -> None:
    lines = verdicts_table([(LATENCY, SLOW, Verdict.FAIL), (LOST, NONE_LOST, Verdict.PASS)]).splitlines()
    assert lines[0].index("Latency") == lines[1].index("Nothing lost")
    assert "FAIL" in verdicts_style([(LATENCY, SLOW, Verdict.FAIL)]).to_html()


def test_every_operation_has_a_row() -> None:
    table = operations_table(read_database_findings(RECORDED / "database"))
    assert list(table.index) == ["SELECT", "INSERT", "UPDATE", "DELETE", "all operations"]
    assert list(table.columns) == ["p50, ms", "p95, ms", "p99, ms", "longest, ms", "succeeded, %"]
