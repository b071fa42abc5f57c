"""The tables of trials put what was seen beside what was expected, and say what each fault cost."""

import re
from pathlib import Path

import pytest

from capacity.display.tables_trials import (
    costs_style,
    expectation_text,
    expectation_title,
    expectations_style,
    expectations_text,
    outcomes_text,
    scenarios_style,
    scenarios_text,
    trial_heading,
)
from capacity.findings import Finding, Objective, Verdict, judge_all, read_findings
from capacity.objectives import read_expectations
from capacity.scenarios.matrix import Kind
from capacity.scenarios.trial import Proof, Trial, counted
from capacity.scenarios.trials import StoredTrial, read_trials

RESTORED = "time from the fault's end until all is within its limit for good"
RECORDED = Path(__file__).parents[2] / "data" / "recorded"
LOST = Objective("failover.redis_aof_kill.lost", "==", 3, source="settings", why="5 jobs − 2 kept")
BACK = Objective("failover.redis_aof_kill.first_success", "<=", 100, "ms", source="settings", why="one try")
SEEN = (
    counted("redis_aof_kill", "lost", 4, title="jobs lost", count=5),
    counted("redis_aof_kill", "first_success", 12.5, unit="ms", title="first good answer", count=5),
)
TRIAL = Trial("redis_aof_kill", (LOST, BACK), Proof(True, "process 12 is gone"), SEEN)
KEPT = StoredTrial(Kind.REDIS, TRIAL, Path("nowhere"))


def test_an_expectation_stands_beside_what_was_seen() -> None:
    lines = expectations_text([KEPT.trial]).splitlines()
    assert [line.split() for line in lines] == [
        ["FAIL", "redis_aof_kill", "jobs", "lost", "=", "3", "4"],
        ["PASS", "redis_aof_kill", "first", "good", "answer", "≤", "100", "ms", "12.50", "ms"],
    ]
    page = expectations_style(TRIAL).to_html()
    assert page.index("exactly 3 jobs lost") < page.index("5 jobs − 2 kept") < page.index("FAIL")
    assert page.index("FAIL") < page.index("one try") < page.index("PASS")


def test_what_was_not_seen_is_named_by_its_finding() -> None:
    trial = Trial("a", (Objective("failover.a.jobs_lost", "==", 0, "", "", ""),), Proof(True, "x"), ())
    said = expectations_text([trial])
    assert " ".join(said.split()) == "NO_DATA a jobs lost = 0 not measured"


def test_the_heading_says_verdict_and_proof() -> None:
    assert trial_heading(TRIAL) == "#### Redis AOF kill: FAIL\n\nApplied: process 12 is gone."
    not_so = Trial("a", (), Proof(False, "process 12 still serves"), ())
    assert trial_heading(not_so) == "#### A: VOID\n\nNot applied: process 12 still serves."
    assert outcomes_text([KEPT]) == "redis_aof_kill FAIL"
    assert outcomes_text([]) == ""


def test_costs_are_of_those_with_load_and_rows_that_nobody_has_are_left_out() -> None:
    pool = StoredTrial(
        Kind.POOL, Trial("connection_pool", (), Proof(True, ""), (counted("connection_pool", "refused", 3),)), Path()
    )
    never = Finding("failover.database_kill.restored", None, "ms", note="it did not come within the recording")
    database = StoredTrial(Kind.DATABASE, Trial("database_kill", (), Proof(True, ""), (never,)), Path())
    style = costs_style([pool, KEPT, database])
    table = style.data
    assert list(table.columns) == ["Redis AOF kill", "database kill"]
    assert table.loc["first good answer, ms"].tolist() == [SEEN[1], None]
    assert table.loc["within the limit again, ms"].tolist() == [None, never]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", style.to_html())
    linked = '<a class="number" href="#failover.redis_aof_kill.first_success">12.50</a>'
    assert cells[:4] == [linked, "–", "–", "not seen"]
    assert list(table.index) == ["first good answer, ms", "within the limit again, ms", "never answered"]


def test_a_scenario_is_as_good_as_its_worst_expectation() -> None:
    judged = judge_all(SEEN, [LOST, BACK])
    assert scenarios_text(judged) == "FAIL  failover  Redis AOF kill  1 of 2"
    assert "1 of 2" in scenarios_style(judged).to_html()
    assert scenarios_text([]) == "no fault was applied"


def test_the_committed_trials_came_as_they_were_expected() -> None:
    expected = judge_all(read_findings(RECORDED / "findings"), read_expectations(RECORDED / "findings"))
    assert {verdict for _, _, verdict in expected} == {Verdict.PASS}
    applied = [line for line in scenarios_text(expected).splitlines() if line.split()[1] == "failover"]
    assert len(applied) == len(read_trials(RECORDED / "failover"))


@pytest.mark.parametrize(
    ("name", "relation", "limit", "unit", "said"),
    [
        ("failover.worker_kill.jobs_lost", "==", 0.0, "", "no jobs lost"),
        ("failover.worker_kill.jobs_reprocessed", "<=", 20.0, "", "at most 20 jobs begun more than once"),
        ("breaking_point.with_breaker.shed", ">=", 222.0, "", "at least 222 writes refused with a 503"),
        ("failover.direct_connections.refused", "==", 53.0, "", "exactly 53 clients refused"),
        ("failover.x.restored", "<=", 750.0, "ms", f"{RESTORED}: at most 750 ms"),
    ],
)
def test_an_expectation_is_a_clause_that_needs_no_code(
    name: str, relation: str, limit: float, unit: str, said: str
) -> None:
    found = Finding(name, 1.0, unit, 1.0, 1.0, 1, title="clients refused")
    expected = Objective(name, relation, limit, unit, "720 come − 360 served − 138 in the queue")
    assert expectation_text(expected, found) == said
    assert expectation_title(expected, found).endswith(f": {said}")
