"""Every notebook answers on its committed recording as it did when it was written, and is built as the house asks."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
LITERALS = (bool, int, float, str)


def checked_by_nbval(path: Path) -> "subprocess.CompletedProcess[str]":
    """nbval compares the checked cells; no server may be reachable by the environment."""
    words = ["-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=120", "-q", "-p", "no:cacheprovider", str(path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    return subprocess.run(
        [sys.executable, *words], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_answers_as_it_did_on_its_recording(path: Path) -> None:
    ran = checked_by_nbval(path)
    assert ran.returncode == 0, ran.stdout[-3000:]


def test_there_are_notebooks_and_each_has_checked_cells() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        checked = [cell for cell in cells if "nbval-check-output" in cell.metadata.get("tags", [])]
        assert len(checked) >= 2
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
            assert {"live", "profile", "recording", "results"} <= set(values)
            assert values["live"] is False
            assert all(isinstance(value, LITERALS) for value in values.values())


def test_an_edited_number_in_a_checked_cell_is_noticed(tmp_path: Path) -> None:
    """The check itself can fail."""
    path = NOTEBOOKS[0]
    notebook = nbformat.read(path, 4)
    checked = [cell for cell in notebook.cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    checked[-1].outputs[0].text = checked[-1].outputs[0].text.replace("PASS", "FAIL")
    recording = str(PROJECT / "data")
    for cell in notebook.cells:
        cell.source = cell.source.replace("../data", recording)
    nbformat.write(notebook, tmp_path / path.name)
    assert checked_by_nbval(tmp_path / path.name).returncode == 1
