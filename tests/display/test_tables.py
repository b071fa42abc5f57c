"""Findings and verdicts stand in columns, and lead to where they come from."""

import shutil
from dataclasses import replace
from pathlib import Path

from capacity.display import tables
from capacity.display.tables import failures_text, operations_style, verdicts_style, verdicts_table
from capacity.findings import Finding, Objective, Verdict
from capacity.probes.database import read_database_findings
from capacity.suite.execution import execution_log

RECORDED = Path(__file__).parents[2] / "data" / "recorded"
LATENCY = Objective("a.x", "<", 10.0, "ms", "Latency", "report")
LOST = Objective("a.lost", "==", 0.0, "", "Nothing lost", "report")
SLOW = Finding("a.x", 12.0, "ms", 11.0, 13.0, 500, "r", "latency")
NONE_LOST = Finding("a.lost", 0.0, "", 0.0, 0.0, 500, "r", "lost")


def test_the_verdicts_stand_in_columns() -> None:
    lines = verdicts_table([(LATENCY, SLOW, Verdict.FAIL), (LOST, NONE_LOST, Verdict.PASS)]).splitlines()
    assert lines[0].index("Latency") == lines[1].index("Nothing lost")
    assert "FAIL" in verdicts_style([(LATENCY, SLOW, Verdict.FAIL)]).to_html()


def test_the_reason_of_what_is_void_stands_once_with_what_to_do() -> None:
    late = replace(SLOW, void="the generator was late", remedy="lower the rate", least=0.0, most=13.0)
    other = replace(LATENCY, finding="a.y", title="Slowest")
    fast = replace(late, name="a.z", value=2.0, low=1.0, high=3.0, most=3.0)
    rows = [
        (LATENCY, late, Verdict.VOID),
        (other, replace(late, name="a.y"), Verdict.VOID),
        (replace(LATENCY, finding="a.z"), fast, Verdict.PASS),
    ]
    said = verdicts_table(rows).splitlines()[3:]
    assert said == [
        "VOID: the generator was late; lower the rate",
        "1 more keep their verdict, as this cannot have changed it",
    ]
    assert str(verdicts_style(rows).caption).startswith("VOID: the generator was late; lower the rate; 1 more keep")
    apart = [rows[0], (other, replace(late, name="a.y", void="a clock was off", remedy=""), Verdict.VOID)]
    assert verdicts_table(apart).splitlines()[2:] == [
        "VOID (Latency): the generator was late; lower the rate",
        "VOID (Slowest): a clock was off",
    ]
    assert verdicts_table(rows[2:]).splitlines()[1:] == [
        "1 keep their verdict, as this cannot have changed it: the generator was late"
    ]


def test_every_operation_has_a_row() -> None:
    style = operations_style(read_database_findings(RECORDED / "database"))
    table = style.data
    assert list(table.index) == ["SELECT", "INSERT", "UPDATE", "DELETE", "all operations"]
    assert list(table.columns) == ["p50, ms", "p95, ms", "p99, ms", "longest, ms", "succeeded, %"]
    assert style.to_html().count('class="number" href="#database.') == table.size


def test_an_operation_of_somebody_elses_name_is_escaped() -> None:
    named = [Finding(f"a.<b>.{each}", 1.0, "ms", 1.0, 1.0, 9, title="<b>, x") for each in tables.RESPONSES.values()]
    page = tables.operations_style(named).to_html()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_the_execution_log_says_what_became_of_each_part() -> None:
    log = execution_log(RECORDED)
    page = tables.execution_style(log, [(LATENCY, SLOW, Verdict.FAIL)]).to_html()
    assert "database" in page
    assert "no promises" in page
    own = Objective("queue.x", "<", 10.0, "ms", "Latency", "report")
    assert "0 of 1 hold, 1 broken" in tables.execution_style(log, [(own, SLOW, Verdict.FAIL)]).to_html()


def test_a_part_that_was_killed_and_measured_again_has_its_promises_with_the_last(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "manifest.json").write_text('{"state": "recording"}', encoding="utf-8")
    shutil.copytree(RECORDED / "queue", tmp_path / "queue-2")
    own = Objective("queue.x", "<", 10.0, "ms", "Latency", "report")
    found = replace(SLOW, recording="queue-2")
    style = tables.execution_style(execution_log(tmp_path), [(own, found, Verdict.FAIL)])
    shown = style.data.set_index("part")
    assert shown["result"].to_dict() == {"queue-2": "0 of 1 hold, 1 broken", "queue": "no promises"}
    assert shown["state"].to_dict() == {"queue-2": "complete", "queue": "broken off, measured again"}
    assert "unknown" in style.to_html()


def test_what_is_the_same_in_every_row_stands_once_above_the_table() -> None:
    other = replace(SLOW, name="a.y")
    style = verdicts_style([(LATENCY, SLOW, Verdict.FAIL), (replace(LATENCY, finding="a.y"), other, Verdict.PASS)])
    assert list(style.columns) == ["verdict", "found"]
    assert style.caption == "in every row: section a, promise Latency, limit &lt; 10 ms, source report"
    alone = verdicts_style([(LATENCY, SLOW, Verdict.FAIL)])
    assert list(alone.columns) == ["verdict", "section", "promise", "limit", "found", "source"]


def test_where_all_hold_their_verdict_stands_once_too() -> None:
    style = verdicts_style([(LOST, NONE_LOST, Verdict.PASS), (replace(LOST, title="No loss"), NONE_LOST, Verdict.PASS)])
    assert "verdict" not in style.columns
    assert str(style.caption).startswith("in every row: verdict PASS")


def test_an_interval_does_not_break_at_the_end_of_a_line() -> None:
    assert tables.unbroken("12.0 ms (11.0 to 13.0)") == '12.0 ms <span class="interval">(11.0 to 13.0)</span>'
    assert tables.unbroken("from one to the other (as it is) < 1") == "from one to the other (as it is) &lt; 1"


def test_what_failed_is_shown_with_how_many_of_how_many_and_the_rest_is_counted() -> None:
    failed = [
        Finding(
            f"gateway.a.failures.{n}", float(n), count=200, title=f"GET /a: {n}", note="from 0.1 to 2.0 s of the load"
        )
        for n in (404, 500, 503)
    ]
    half = replace(failed[1], value=100.0)
    said = failures_text([SLOW, half], 2)
    assert said == "GET /a: 500: 100 of 200 (50 %)\n    from 0.1 to 2.0 s of the load"
    assert failures_text([*failed, half], 2).endswith("and 2 more reasons")
    assert failures_text([SLOW]) == "no operation failed"
