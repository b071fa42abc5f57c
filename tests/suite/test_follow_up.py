"""What is watched, when it is reviewed, and what changed since the run before."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from capacity.display.tables import unbroken
from capacity.display.text import finding_text
from capacity.exports.monitoring import read_monitoring
from capacity.findings import Finding, Objective, Verdict, write_findings
from capacity.run import Run
from capacity.suite import follow_up
from capacity.suite.run import earlier_findings

MONITORING = read_monitoring(Path(__file__).parents[2] / "data" / "monitoring.yaml")
LATENCY = Objective("database.response_p99", "<", 500.0, "ms", "Query latency p99", "report section 1")
FAST = Finding("database.response_p99", 200.0, "ms", 190.0, 210.0, 5000, "database", "p99")
SLOW = Finding("database.response_p99", 600.0, "ms", 590.0, 610.0, 5000, "database", "p99")


def test_each_threshold_is_shown_with_what_this_run_found() -> None:
    found = [FAST, *(Finding(f"{name}.throughput", 5.0, "/s") for name in ("redis", "queue"))]
    style = follow_up.watched_style([(LATENCY, FAST, Verdict.PASS)], MONITORING, found)
    table = style.data
    row = table[(table["what"] == "Query latency p99") & (table["severity"] == "warning")].iloc[0]
    assert (row["fires at"], row["lasting"], row["this run"]) == ("above 300 ms", "15 min", FAST)
    assert f'<a class="number" href="#database.response_p99">{unbroken(finding_text(FAST))}</a>' in style.to_html()
    assert len(table) == len(MONITORING.watches)
    assert "not a finding of a run" in set(table["this run"])


def test_thresholds_of_what_was_not_measured_are_left_out() -> None:
    table = follow_up.watched_style([(LATENCY, FAST, Verdict.PASS)], MONITORING, [FAST]).data
    assert {what.partition(".")[0] for what in table["what"]} == {"Query latency p99", "database"}


def test_reviews_have_dates_and_a_quarterly_one_comes_four_times_a_year() -> None:
    reviews = follow_up.review_dates(MONITORING, datetime(2026, 1, 31, tzinfo=UTC))
    assert reviews["date"].tolist() == [
        "2026-02-07",
        "2026-02-28",
        "2026-04-30",
        "2026-07-31",
        "2026-10-31",
        "2027-01-31",
    ]


def test_reviews_of_a_run_without_a_recording_have_no_dates() -> None:
    shown = follow_up.review_dates(MONITORING, pd.NaT)
    assert set(shown["date"]) == {"unknown"}


@pytest.mark.parametrize(
    ("before", "after", "said", "outcome"),
    [
        (SLOW, FAST, "1 found before, 1 of them resolved, 0 new", "resolved"),
        (FAST, SLOW, "0 found before, 0 of them resolved, 1 new", "regressed"),
    ],
)
def test_an_issue_of_either_run_is_shown_before_and_after(
    before: Finding, after: Finding, said: str, outcome: str, tmp_path: Path
) -> None:
    write_findings(tmp_path / "database.json", [before])
    changes = follow_up.changes_since(tmp_path, [after], [LATENCY])
    assert said in follow_up.changes_text(changes, tmp_path)
    style = follow_up.changes_style(changes, tmp_path, [after])
    (row,) = style.data.to_dict("records")
    assert (row["outcome"], row["before"], row["after"]) == (outcome, finding_text(before), after)
    assert f'href="#database.response_p99">{unbroken(finding_text(after))}</a>' in style.to_html()


def test_without_an_earlier_run_nothing_is_compared() -> None:
    changes = follow_up.changes_since(None, [FAST], [LATENCY])
    assert follow_up.changes_text(changes, None) == follow_up.NO_EARLIER
    assert follow_up.changes_style(changes, None, [FAST]).data.empty


def test_the_run_before_is_the_last_that_began_earlier_with_the_same_profile(tmp_path: Path) -> None:
    for name, profile in (("a", "smoke"), ("b", "smoke"), ("c", "standard"), ("d", "smoke")):
        facts = {"profile": profile, "started_at": f"2026-01-01T0{ord(name) - ord('a')}:00:00+00:00"}
        write_findings(tmp_path / name / "findings" / "database.json", [FAST])
        (tmp_path / name / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
        assert (
            earlier_findings(Run.at(tmp_path / name))
            == {
                "a": "",
                "b": str(tmp_path / "a" / "findings"),
                "c": "",
                "d": str(tmp_path / "b" / "findings"),
            }[name]
        )
