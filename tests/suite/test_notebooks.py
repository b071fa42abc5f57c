"""Which notebooks there are, and which of them a run of somebody's own project leaves out."""

import json
import shutil
from pathlib import Path

import pytest

from capacity.places import NOTEBOOKS, OBJECTIVES, PLAN, SEARCHES, WORKLOADS, defaults_folder
from capacity.suite.new_project.files import make_project
from capacity.suite.notebooks import left_out, left_out_text, notebook_name, notebooks_in
from capacity.suite.run import RunPlan, run_suite
from capacity.system.addresses import System

RECORDED = defaults_folder() / "data" / "recorded"
THEIRS = System(gateway_url="http://127.0.0.1:8000")
ALL = ["database", "redis", "queue", "gateway", "failover", "breaking_point", "capacity_plan", "readiness_report"]


def test_the_notebooks_come_with_the_package_and_a_project_s_own_ones_win(tmp_path: Path) -> None:
    assert list(notebooks_in(tmp_path)) == list(notebooks_in(defaults_folder())) == ALL
    (tmp_path / NOTEBOOKS).mkdir()
    for name in ("20_redis.ipynb", "65_search.ipynb"):
        (tmp_path / NOTEBOOKS / name).touch()
    found = notebooks_in(tmp_path)
    assert list(found) == [*ALL[:6], "search", *ALL[6:]]
    assert [name for name, path in found.items() if path.is_relative_to(tmp_path)] == ["redis", "search"]
    assert all(notebook_name(path) == name for name, path in found.items())


def test_nothing_is_left_out_in_the_repository_and_where_there_is_no_project(tmp_path: Path) -> None:
    assert left_out(defaults_folder(), THEIRS) == left_out(tmp_path, THEIRS) == []


def test_a_project_leaves_out_what_it_has_no_workload_of_and_the_faults_on_servers_of_its_own(tmp_path: Path) -> None:
    make_project(tmp_path, ["queue", "gateway"])
    assert left_out(tmp_path, THEIRS) == ["database", "redis", "failover"]
    assert left_out(tmp_path, System()) == left_out(tmp_path, System(embedded=True)) == ["database", "redis"]
    (tmp_path / SEARCHES).unlink()
    assert left_out(tmp_path, System()) == ["database", "redis", "breaking_point"]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            ["database", "redis", "failover"],
            "left out: database, redis, which data/workloads has no file of; failover, since few of its faults leave "
            "servers of your own in place. --only database,redis,failover runs them",
        ),
        (["redis"], "left out: redis, which data/workloads has no file of. --only redis runs it"),
    ],
)
def test_what_is_left_out_is_one_line_with_the_reason_and_the_remedy(names: list[str], line: str) -> None:
    assert left_out_text(names) == line


@pytest.mark.thorough
def test_a_run_in_which_nothing_can_be_planned_has_its_report_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, ["redis"])  # whose plan knows nothing of the API that is measured
    shutil.copy(defaults_folder() / WORKLOADS / "gateway.yaml", tmp_path / WORKLOADS)
    for path in (tmp_path / WORKLOADS / "redis.yaml", tmp_path / SEARCHES):
        path.unlink()
    plan = tmp_path / PLAN
    plan.write_text(plan.read_text().replace("example: true\n", ""))
    (tmp_path / OBJECTIVES).write_text("- {finding: gateway.success_rate, limit: '> 99 %', title: answers, source: us}")
    monkeypatch.setenv("CAPACITY_GATEWAY_URL", THEIRS.gateway_url)  # nobody is there: it was measured before
    run = tmp_path / "runs" / "one"
    shutil.copytree(RECORDED / "gateway", run / "recordings" / "gateway")
    (run / "findings").mkdir()
    shutil.copy(RECORDED / "findings" / "gateway.json", run / "findings")
    (run / "notebooks").mkdir()
    shutil.copy(defaults_folder() / NOTEBOOKS / "40_gateway.ipynb", run / "notebooks")
    facts = {"profile": "smoke", "started_at": "2026-11-25T09:00:00+00:00", "finished": ["gateway"]}
    (run / "manifest.json").write_text(json.dumps(facts))
    said: list[str] = []
    made = run_suite(RunPlan(tmp_path, "smoke"), run, said.append)
    assert said[0] == left_out_text(["database", "redis", "queue", "breaking_point", "failover"])
    assert said[1] == "gateway: finished in this run before, not repeated"
    assert said[3].startswith("capacity_plan: ")
    assert "so nothing can be planned" in (run / "report.html").read_text(encoding="utf-8")
    assert made.manifest.finished == ("gateway", "capacity_plan")
    assert [str(verdict) for _, _, verdict in made.judged] == ["PASS"]
