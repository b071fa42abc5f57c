"""Files of objectives are read as they are written, and what is no objective is one sentence."""

from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, Verdict, judge_all, read_findings, write_findings
from capacity.objectives import (
    asked_for,
    fitted,
    on_sections,
    project_objectives,
    read_expectations,
    read_objectives,
    write_objectives,
)
from capacity.run import Run

FINDING = Finding("a.x", 5.0, "ms", 4.0, 6.0, 100, "r", "latency")


@pytest.mark.parametrize(
    ("limit", "read", "promise"),
    [
        ("< 500 ms", ("<", 500, "ms"), "< 500 ms"),
        (">= 99.5 %", (">=", 99.5, "%"), "≥ 99.5 %"),
        ("== 0", ("==", 0, ""), "= 0"),
    ],
)
def test_limits_are_read_as_they_are_written(
    tmp_path: Path, limit: str, read: tuple[str, float, str], promise: str
) -> None:
    path = tmp_path / "objectives.yaml"
    path.write_text(f'- {{finding: a.x, limit: "{limit}", title: T, source: S}}\n- {{finding: b.y, limit: "< 1"}}\n')
    (objective,) = read_objectives(path, "a")
    assert (objective.relation, objective.limit, objective.unit) == read
    assert objective.promise == promise


@pytest.mark.parametrize("text", ["[{finding: a.x}]", "[{finding: a.x, limit: about 5}]", "a: b", "[{limit: '< 1'}]"])
def test_wrong_objectives_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "o.yaml").write_text(text)
    with pytest.raises(CapacityError) as refused:
        read_objectives(tmp_path / "o.yaml")
    assert "\n" not in str(refused.value)


def test_objectives_are_read_as_they_were_written(tmp_path: Path) -> None:
    objectives = [
        Objective("failover.a.refused", "==", 53.0, "", '150 − (100 − 3): it\'s "so"', "the server's settings"),
        Objective("failover.a.back", "<=", 3100.25, "ms", "between two tries", ""),
        Objective("failover.a.small", "<", 1e-07, "jobs/s", "", "λ × μ"),
        Objective("failover.a.below", ">=", -2.0, "%", "t", "s"),
    ]
    write_objectives(tmp_path / "failover.yaml", objectives)
    write_findings(tmp_path / "failover.json", [FINDING])
    assert read_objectives(tmp_path / "failover.yaml") == objectives
    assert read_expectations(tmp_path) == objectives
    assert read_findings(tmp_path) == [FINDING]
    assert read_expectations(tmp_path / "nowhere") == []


FAST = Finding("api.get.p99", 5.0, "ms", 4.0, 6.0)
SLOW = Finding("api.put.p99", 5.0, "ms", 4.0, 6.0)
MANY = Finding("api.get.rate", 5.0, "/s", 4.0, 6.0)


def test_a_pattern_is_an_objective_on_each_finding_that_it_fits_in_name_and_unit() -> None:
    (get, put) = fitted([Objective("api.*", "<", 9, "ms", "Endpoint")], [FAST, SLOW, MANY])
    assert (get.finding, get.title, put.finding) == ("api.get.p99", "Endpoint: api.get.p99", "api.put.p99")
    assert (get.relation, get.limit, get.unit) == ("<", 9, "ms")


def test_what_an_objective_names_itself_is_left_to_that_one() -> None:
    slow = Objective("api.put.p99", "<", 900, "ms")
    assert fitted([Objective("api.*.p99", "<", 9, "ms"), slow], [FAST, SLOW])[1:] == [slow]
    assert fitted([Objective("api.put.*", "<", 9, "ms"), slow], [SLOW]) == [slow]


def test_a_pattern_that_nothing_fits_is_no_data_and_says_why() -> None:
    ((objective, found, verdict),) = judge_all(
        [FAST], fitted([Objective("api.*.p95", "<", 9, "ms", "Endpoint")], [FAST])
    )
    assert (objective.title, found) == ("Endpoint: nothing that was measured fits api.*.p95 in ms", None)
    assert verdict is Verdict.NO_DATA


def test_a_pattern_of_sections_is_on_any_of_them() -> None:
    any_part, other = Objective("*.p99", "<", 9, "ms"), Objective("db.p99", "<", 9, "ms")
    assert on_sections([any_part, other], ["api"]) == [any_part]
    assert on_sections([any_part, other], []) == [any_part, other]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Promises in both places, and in a folder of workloads beside them."""
    for folder, limit in (("data/workloads", 7), ("other", 8)):
        (tmp_path / folder).mkdir(parents=True)
        text = f"name: api\nobjectives: [{{finding: api.put.p99, limit: '< {limit} ms'}}]\n"
        (tmp_path / folder / "api.yaml").write_text(text)
    (tmp_path / "data" / "workloads" / "breaking_point.yaml").write_text("objectives: {}")
    (tmp_path / "data" / "objectives.yaml").write_text(
        "[{finding: 'api.*.p99', limit: < 5 ms}, {finding: db.x, limit: < 1}]"
    )
    return tmp_path


def test_what_is_promised_is_in_the_file_of_objectives_and_beside_the_load(project: Path) -> None:
    assert [each.finding for each in project_objectives(folder=project)] == ["api.*.p99", "db.x", "api.put.p99"]
    promised = project_objectives("api", findings=[FAST, SLOW, MANY], folder=project)
    assert [(each.finding, each.limit) for each in promised] == [("api.get.p99", 5), ("api.put.p99", 7)]
    (other,) = project_objectives("api", findings=[SLOW], workloads="other", folder=project)
    assert other.limit == 8


def test_a_run_is_judged_by_the_workloads_that_it_was_given(project: Path) -> None:
    run = project / "runs" / "one"
    write_findings(run / "findings" / "api.json", [FAST, SLOW])
    (run / "manifest.json").write_text("{}")
    assert [str(verdict) for _, _, verdict in Run.at(run, project).promised] == ["INCONCLUSIVE", "PASS"]
    (run / "manifest.json").write_text('{"workloads": "other"}')
    assert [each.limit for each, _, _ in Run.at(run, project).promised] == [5, 8]


def test_the_package_s_own_project_promises_what_its_file_of_objectives_has() -> None:
    package = Path(__file__).parents[1]
    assert project_objectives(folder=package) == read_objectives(package / "data" / "objectives.yaml")


FOUND = [Finding(name, 1.0) for name in ("database.throughput", "gateway.get_orders.volume", "gateway.throughput")]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("database.throughput", True),
        ("database.response_p99", True),  # it was to be found, and is not
        ("redis.response_p99", False),
        ("gateway.get_orders.response_p99", True),
        ("gateway.get_api_connectors.response_p99", False),
        ("gateway.*.volume", True),
        ("database.row_security_cost", False),
        ("gateway.pool_utilisation", False),
        ("gateway.status_5xx_rate", True),
        ("failover.database_kill.restored", False),
    ],
)
def test_only_what_was_measured_is_judged(name: str, asked: bool) -> None:
    assert bool(asked_for([Objective(name, "<", 1.0)], FOUND)) is asked
