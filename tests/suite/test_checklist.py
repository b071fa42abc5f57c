"""A point is met where all that it rests on is, and never by hand."""

from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, Verdict
from capacity.suite.checklist import checked, not_asked_text, read_checklist

PROJECT = Path(__file__).parents[2]
FAST = Finding("a.x", 8.0, "ms", 7.0, 9.0, 500, "r", "latency")
SLOW = Finding("a.y", 12.0, "ms", 11.0, 13.0, 500, "r", "latency")
JUDGED = [
    (Objective("a.x", "<", 10.0, "ms", "Fast"), FAST, Verdict.PASS),
    (Objective("a.y", "<", 10.0, "ms", "Slow"), SLOW, Verdict.FAIL),
    (Objective("a.z", "<", 10.0, "ms", "Absent"), None, Verdict.NO_DATA),
]


def verdict_of(needs: str, folder: Path) -> tuple[Verdict, str]:
    path = folder / "checklist.yaml"
    path.write_text(f"- {{section: s, title: t, {needs}}}", encoding="utf-8")
    (row,) = checked(read_checklist(path), [FAST, SLOW], JUDGED).itertuples()
    return row.verdict, row.why


@pytest.mark.parametrize(
    ("needs", "verdict", "why"),
    [
        ("needs: [a.x]", "PASS", "Fast: 8.0 ms (7.0 to 9.0)"),
        ("needs: [a.x, a.y]", "FAIL", "Slow: 12.0 ms (11.0 to 13.0)"),
        ('needs: ["a.*"]', "FAIL", "Slow: 12.0 ms (11.0 to 13.0)"),
        ("needs: [a.x, a.z]", "NO_DATA", "Absent: not measured"),
        ('needs: [a.x, "b.*"]', "PASS", "Fast: 8.0 ms (7.0 to 9.0)"),
        ('needs: [{finding: a.x, limit: "< 8.5 ms"}]', "INCONCLUSIVE", "a.x: 8.0 ms (7.0 to 9.0)"),
        ('needs: [a.x, {finding: a.w, limit: "< 1 ms"}]', "NO_DATA", "a.w: not measured"),
        ("outside: nobody can see it", "NO_DATA", "nobody can see it"),
    ],
)
def test_the_worst_need_decides_a_point(needs: str, verdict: str, why: str, tmp_path: Path) -> None:
    assert verdict_of(needs, tmp_path) == (Verdict(verdict), why)


def test_what_was_found_and_is_promised_by_nobody_does_not_count_as_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "checklist.yaml"
    path.write_text('- {section: s, title: t, needs: ["plan.*"]}', encoding="utf-8")
    (row,) = checked(read_checklist(path), [Finding("plan.first_limit", 2.8, "months")], JUDGED).itertuples()
    assert (row.verdict, row.why) == (Verdict.NO_DATA, "plan.* has no promise")


@pytest.mark.parametrize("needs", ['["b.*"]', '["b.*", {finding: c.w, limit: "< 1 ms"}]'])
def test_a_point_of_what_was_not_measured_is_not_asked_for_and_stands_apart(needs: str, tmp_path: Path) -> None:
    path = tmp_path / "checklist.yaml"
    path.write_text(f"- {{section: s, title: t, needs: {needs}}}\n- {{section: s, title: u, needs: [a.x]}}")
    points = read_checklist(path)
    shown = checked(points, [FAST, SLOW], JUDGED)
    assert shown["title"].tolist() == ["u"]
    assert not_asked_text(points, shown) == "not asked for, since it was not measured: t"
    assert not_asked_text(points[1:], shown) == ""


@pytest.mark.parametrize("needs", ["ticked: true", "needs: []", "needs: [a.x], outside: x"])
def test_a_point_that_rests_on_nothing_is_one_sentence(needs: str, tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"either `needs` or `outside`|ticked: there is no such key"):
        verdict_of(needs, tmp_path)


def test_the_committed_checklist_is_read() -> None:
    points = read_checklist(PROJECT / "data" / "checklist.yaml")
    assert {each.section for each in points} == {"Load", "Deployment"}
