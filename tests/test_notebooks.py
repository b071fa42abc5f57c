"""Every notebook answers on its committed recording as it did when it was written, and is built as the house asks."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from capacity.findings import Finding, read_findings
from capacity.objectives import read_expectations
from capacity.recording import open_recording
from capacity.scenarios.matrix import chosen_rows
from capacity.scenarios.overload import BREAKER, read_overload
from capacity.scenarios.trial import settings_of
from capacity.scenarios.trials import failover_expectations, read_trials, trial_expectations
from capacity.suite.notebooks import notebooks_in
from capacity.workload import Workload, parse_workload, read_workload

PROJECT = Path(__file__).parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


READERS = (NOTEBOOKS[0], NOTEBOOKS[-1])  # 00 and the report measure nothing
RECORDINGS = ("database", "database/row_security", "redis", "redis/reconnection", "queue", "gateway")
LITERALS = (bool, int, float, str, list)


AT_ONCE = 2


def checked_by_nbval(*paths: Path) -> "subprocess.CompletedProcess[str]":
    """nbval compares the checked cells; no server may be reachable by the environment."""
    words = ["-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=120", "-q", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    command = [sys.executable, *words, *map(str, paths)]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def test_the_notebooks_answer_as_they_did_on_their_recordings() -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for ran in threads.map(lambda first: checked_by_nbval(*NOTEBOOKS[first::AT_ONCE]), range(AT_ONCE)):
            assert ran.returncode == 0, ran.stdout[-3000:]


def test_there_are_notebooks_and_each_has_checked_cells() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        checked = [cell for cell in cells if "nbval-check-output" in cell.metadata.get("tags", [])]
        assert checked
        assert all(cell.outputs and "keep_output" in cell.metadata.tags for cell in checked)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_logic_and_its_parameters_are_literals(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type != "code":
            assert "http" not in cell.source
            continue
        assert len(cell.source.splitlines()) <= 12
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        if "parameters" in cell.metadata.get("tags", []):
            values = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body}  # type: ignore[attr-defined]
            assert path in READERS or {"live", "profile", "recording", "results"} <= set(values)
            assert values.get("live", False) is False
            assert all(isinstance(value, LITERALS) for value in values.values())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_its_answer_before_its_imports_which_are_folded(path: Path) -> None:
    title, parameters, answer, imports, *rest = nbformat.read(path, 4).cells
    assert title.source.splitlines()[0].startswith("# ") and title.source.splitlines()[0].endswith("?")
    assert parameters.metadata.tags == ["parameters"]
    assert {"nbval-check-output", "keep_output"} <= set(answer.metadata.tags)
    assert "promises hold" in "".join(each.text for each in answer.outputs)
    assert imports.metadata.jupyter.source_hidden
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(imports.source).body)
    assert not [cell for cell in rest if cell.cell_type == "code" and "import " in cell.source]


def test_the_answer_of_a_part_is_read_at_a_glance() -> None:
    for path in NOTEBOOKS[1:7]:
        lines = "".join(each.text for each in nbformat.read(path, 4).cells[2].outputs).strip().splitlines()
        assert len(lines) <= 7
        assert max(map(len, lines)) <= 110


def test_no_limit_is_typed_into_a_notebook_beside_the_objectives() -> None:
    drawn = ("latency_over_time", "latency_distribution", "paired_differences")
    cells = [cell for path in NOTEBOOKS for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    calls = [node for cell in cells for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    pictures = [each for each in calls if ast.unparse(each.func) in {f"charts.{name}" for name in drawn}]
    assert len(pictures) == 9
    for call in pictures:
        assert "objectives" in [ast.unparse(each) for each in call.args]
        assert not [each for each in call.args if isinstance(each, ast.Constant)]


def test_the_notebook_to_start_with_is_for_people_and_no_part_of_a_run() -> None:
    assert NOTEBOOKS[0].stem == "00_start_here"
    assert list(notebooks_in(PROJECT).values()) == NOTEBOOKS[1:]


def test_the_notebook_to_start_with_leads_to_all_others() -> None:
    said = "".join(cell.source for cell in nbformat.read(NOTEBOOKS[0], 4).cells if cell.cell_type == "markdown")
    assert all(f"[{path.stem}]({path.name})" in said for path in NOTEBOOKS[1:])


@pytest.mark.thorough
def test_an_edited_number_in_a_checked_cell_is_noticed(tmp_path: Path) -> None:
    """The check itself can fail."""
    path = NOTEBOOKS[1]
    notebook = nbformat.read(path, 4)
    checked = [cell for cell in notebook.cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    checked[-1].outputs[0].text = checked[-1].outputs[0].text.replace("PASS", "FAIL")
    data = str(PROJECT / "data")
    for cell in notebook.cells:
        cell.source = cell.source.replace('recording = ""', f'recording = "{data}/recorded/database"')
        cell.source = cell.source.replace('"data/objectives', f'"{data}/objectives')
    nbformat.write(notebook, tmp_path / path.name)
    assert checked_by_nbval(tmp_path / path.name).returncode == 1


@pytest.mark.thorough
@pytest.mark.parametrize("part", ["database", "redis", "queue", "gateway"])
def test_plan_and_report_are_executed_on_the_findings_of_one_part(part: str, tmp_path: Path) -> None:
    """What is not measured is said once: no table has a row of another part."""
    (tmp_path / "findings").mkdir()
    recorded = PROJECT / "data" / "recorded"
    (tmp_path / "findings" / f"{part}.json").write_text((recorded / "findings" / f"{part}.json").read_text())
    (tmp_path / "recordings").symlink_to(recorded)
    found = str(tmp_path / "findings")
    given = {"live": True, "results": found}, {"findings": found, "recordings": str(recorded)}
    for path, parameters in zip(NOTEBOOKS[-2:], given, strict=True):
        words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(path), str(tmp_path / path.name), *words]
        ran = subprocess.run(command, cwd=PROJECT / "notebooks", capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
        shown = "".join(str(cell.get("outputs", "")) for cell in nbformat.read(tmp_path / path.name, 4).cells)
        assert "NO_DATA" not in shown.replace("outside", "") or path is NOTEBOOKS[-1]
        assert shown.count("not measured, and so not planned") <= 1


def test_the_committed_findings_are_those_of_the_recordings(
    readers: dict[str, Callable[[Path], list[Finding]]],
) -> None:
    """Notebook 80 opens on them."""
    recorded = PROJECT / "data" / "recorded"
    for name, read in readers.items():
        assert read(recorded / name) == read_findings(recorded / "findings" / f"{name}.json")


def without_look(workload: Workload) -> Workload:
    """The workload as it was before a load could go on."""
    shape = workload.shape("standard")
    stages = [stage for stage in shape.stages if not stage.look and not stage.name.endswith(", on")]
    shapes = workload.shapes | {"standard": shape.model_copy(update={"stages": stages})}
    return workload.model_copy(update={"shapes": shapes})


def test_the_recordings_are_whole_of_this_code_and_small() -> None:
    recorded = PROJECT / "data" / "recorded"
    for name in RECORDINGS:
        facts = open_recording(recorded / name).facts
        assert (facts.state, facts.profile) == ("complete", "standard")
        workload = read_workload(PROJECT / "data" / "workloads" / f"{facts.name}.yaml")
        recorded_one = parse_workload(facts.workload | {"dataset": workload.dataset})  # made before there was this key
        assert recorded_one == without_look(workload)
    assert sum(file.stat().st_size for file in recorded.rglob("*") if file.is_file()) < 15_000_000


def test_the_trials_are_those_of_this_code_and_small() -> None:
    recorded = PROJECT / "data" / "recorded"
    trials = read_trials(recorded / "failover")
    assert {stored.trial.scenario: stored.trial.settings for stored in trials} == {
        row.scenario.name: settings_of(row.scenario) for row in chosen_rows("smoke")
    }
    overload = read_overload(recorded / "breaking_point" / BREAKER).trial
    assert read_expectations(recorded / "findings") == [*trial_expectations(overload), *failover_expectations(trials)]
    assert sum(file.stat().st_size for file in (recorded / "failover").rglob("*") if file.is_file()) < 1_500_000
