"""A project that `capacity init` makes is valid, is about the parts that were named alone, and overwrites nothing."""

import itertools
import json
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from capacity.analysis.planning.plan_file import read_plan
from capacity.cli import main
from capacity.exports.monitoring import read_monitoring
from capacity.objectives import read_objectives
from capacity.operation import operation_slug
from capacity.places import OBJECTIVES, SEARCHES, WORKLOADS, defaults_folder
from capacity.probes.parts import PARTS
from capacity.probes.searches import read_searches
from capacity.shape import Shape
from capacity.suite.new_project.files import make_project
from capacity.workload import read_workload

DATA = Path("data")
CHOICES = [
    pytest.param(list(some), id="+".join(some), marks=[pytest.mark.thorough] if count in (2, 3) else [])
    for count in range(1, len(PARTS) + 1)
    for some in itertools.combinations(PARTS, count)
]


def init(*words: str) -> Result:
    return CliRunner().invoke(main, ["init", *words])


@pytest.mark.parametrize("parts", CHOICES)
def test_its_files_are_valid_and_about_the_named_parts_alone(parts: list[str], tmp_path: Path) -> None:
    make_project(tmp_path, parts)
    searches = read_searches(tmp_path / SEARCHES)
    assert list(searches) == parts
    assert {path.stem for path in (tmp_path / WORKLOADS).iterdir()} == {*parts, SEARCHES.stem}
    assert {search.workload for search in searches.values()} == {*parts}
    for name in parts:
        workload = read_workload(tmp_path / WORKLOADS / f"{name}.yaml")
        assert [*workload.shapes] == ["smoke", "standard", "full"]
        assert searches[name].connections == workload.connections
    promised = read_objectives(tmp_path / OBJECTIVES)
    assert {each.section for each in promised} == {*parts, *(f"level_{name}" for name in parts)}
    assert all(each.title and each.source for each in promised)
    plan = read_plan(tmp_path / DATA / "plan.yaml")
    assert {each.of for each in plan.resources} == {*parts}
    named = [name for each in (*plan.resources, *plan.parts, *plan.waits) for name in each.findings if name]
    named += [each.finding for each in (*plan.signals, *plan.margins) if each.finding]
    assert {name.removeprefix("breaking_point.").partition(".")[0] for name in named} == {*parts}
    monitoring = read_monitoring(tmp_path / DATA / "monitoring.yaml")
    seen = {each.finding: [name for name in monitoring.metrics if fnmatch(name, each.finding)] for each in promised}
    assert all(seen.values()) and {*monitoring.metrics} == {name for names in seen.values() for name in names}
    used = {metric.prometheus.exporter for metric in monitoring.metrics.values() if metric.prometheus}
    assert used == {*monitoring.exporters}


def test_what_the_plan_says_was_tested_is_what_the_workloads_load(tmp_path: Path) -> None:
    make_project(tmp_path, [*PARTS])
    plan = read_plan(tmp_path / DATA / "plan.yaml")
    users = {stage.to for shape in shapes_of(tmp_path, "database") for stage in shape.stages if stage.sustained}
    assert users == {plan.loads["users"].tested}
    measured = {each.of: plan.loads[term.load] for each in plan.resources for term in each.use if term.load}
    for name, load in measured.items():
        assert {shape.kind for shape in shapes_of(tmp_path, name)} == {load.kind}
        assert load.measured == ("" if load.tested else f"{name}.throughput")


def shapes_of(folder: Path, name: str) -> list[Shape]:
    return [*read_workload(folder / WORKLOADS / f"{name}.yaml").shapes.values()]


def test_nothing_in_it_needs_the_reference_application(tmp_path: Path) -> None:
    make_project(tmp_path, [*PARTS])
    for name in PARTS:
        text = (tmp_path / WORKLOADS / f"{name}.yaml").read_text(encoding="utf-8")
        said = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        assert "capacity" not in said and "act_as" not in said and "/api/" not in said


def test_promises_on_an_operation_name_one_of_the_workload(tmp_path: Path) -> None:
    make_project(tmp_path, [*PARTS])
    for each in read_objectives(tmp_path / OBJECTIVES):
        section, *operation, _ = each.finding.split(".")
        if operation:
            operations = read_workload(tmp_path / WORKLOADS / f"{section}.yaml").operations
            assert [each for each in operations if fnmatch(operation_slug(each.name), operation[0])]


def test_a_metric_that_the_package_knows_is_seen_in_the_same_way(tmp_path: Path) -> None:
    make_project(tmp_path, [*PARTS])
    known = read_monitoring(defaults_folder() / DATA / "monitoring.yaml").metrics
    for name, metric in read_monitoring(tmp_path / DATA / "monitoring.yaml").metrics.items():
        if name in known:
            assert (metric.prometheus, metric.unseen) == (known[name].prometheus, known[name].unseen)


def test_addresses_are_not_kept_by_git_and_for_their_owner_alone(tmp_path: Path) -> None:
    make_project(tmp_path, [*PARTS])
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one").touch()
    seen = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "README.md" in seen and str(OBJECTIVES) in seen
    assert ".env" not in seen and not [path for path in seen if path.startswith("runs")]
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_address_file_names_the_variables_of_the_named_parts(tmp_path: Path) -> None:
    make_project(tmp_path, ["redis"])
    lines = (tmp_path / ".env").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and line[0] != "#"] == ["CAPACITY_REDIS_URL=", "CAPACITY_ALLOW_HOSTS="]


@pytest.mark.parametrize("there", ["README.md", ".env", "data/plan.yaml"])
def test_a_folder_that_has_one_of_the_files_is_refused_and_left_as_it_is(there: str, tmp_path: Path) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    refused = init(str(tmp_path))
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"capacity: {tmp_path / there} is there already, and nothing was written; name a new folder\n"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / there]
    assert (tmp_path / there).read_text() == "mine"


def test_the_command_says_what_it_made_and_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = init("ours", "--gateway", "--redis")
    assert made.exit_code == 0, made.output
    assert "data/workloads/gateway.yaml " in made.output and "database" not in made.output
    commands = [line.split("#")[0].strip() for line in made.output.splitlines() if line.startswith("  capacity ")]
    assert commands == [f"capacity {name} --project ours" for name in ("check", "doctor", "run")]
    assert sorted(yaml.safe_load((tmp_path / "ours" / SEARCHES).read_text())) == ["gateway", "redis"]


def test_notebooks_are_copied_for_the_parts_that_there_are_and_without_results(tmp_path: Path) -> None:
    assert init(str(tmp_path), "--queue", "--notebooks").exit_code == 0
    copied = sorted((tmp_path / "notebooks").iterdir())
    assert [path.stem.partition("_")[2] for path in copied] == [
        "start_here", "queue", "failover", "breaking_point", "capacity_plan", "readiness_report"
    ]  # fmt: skip
    for path in copied:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert cells and not any(cell["outputs"] or cell["execution_count"] for cell in cells)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = init(str(tmp_path / "file" / "ours"), "--redis")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("capacity: cannot write ") and refused.stderr.count("\n") == 1
