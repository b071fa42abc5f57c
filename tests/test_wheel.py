"""The wheel of the package works in any folder, with its notebooks and defaults, and writes nothing beside it."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest

PROJECT = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
CACHES = {".cache", ".config", ".ipython", ".local", ".jupyter"}  # what Jupyter and Matplotlib keep for each user
Capacity = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(PROJECT)]
    subprocess.run([*PIP, *words], check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel alone is installed in; what it depends on is where the tests have it."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(folder), str(wheel)], check=True)
    return folder


@pytest.fixture
def capacity(installed: Path, tmp_path: Path) -> Capacity:
    """The command of the wheel, in an empty folder of a user who has nothing yet."""
    (tmp_path / "home").mkdir()
    (tmp_path / "place").mkdir()
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("CAPACITY_", "JUPYTER_"))}
    environment = bare | {"PYTHONPATH": str(installed), "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"MPLCONFIGDIR": mpl.get_configdir()}  # to look for all fonts anew takes seconds

    def run(*words: str, place: Path = tmp_path / "place") -> subprocess.CompletedProcess[str]:
        command = [installed / "bin" / "capacity", *words]
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)

    return run


def kept_by_git(*folders: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", *folders], cwd=PROJECT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if not name.startswith("data/recorded/")}


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_a_wheel_holds_the_notebooks_and_defaults_and_nothing_that_was_measured(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    defaults = {name.removeprefix("capacity/defaults/") for name in names if name.startswith("capacity/defaults/")}
    assert defaults == kept_by_git("notebooks", "data")
    assert {name for name in names if not name.startswith("capacity/defaults/")} == kept_by_git("capacity")


def test_the_installed_command_knows_its_version_s_own_files_in_an_empty_folder(
    capacity: Capacity, tmp_path: Path
) -> None:
    assert "Commands:" in capacity("--help").stdout
    audited = capacity("audit")
    assert audited.returncode == 1 and "does not follow" in audited.stdout, audited.stderr
    assert files_in(tmp_path / "place") == set()


def test_a_project_is_made_and_named_from_elsewhere(capacity: Capacity, tmp_path: Path) -> None:
    made = capacity("init", "ours", "--queue", "--notebooks")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "place" / "ours" / "notebooks" / "30_queue.ipynb").exists()
    (tmp_path / "place" / "ours" / ".env").write_text("CAPACITY_QUEUE_NAME=mails")
    refused = capacity("run", "--project", "ours")
    assert refused.returncode == 2
    assert ".env: nothing reads CAPACITY_QUEUE_NAME; accepted are CAPACITY_POSTGRES_URL, " in refused.stderr


@pytest.mark.thorough
def test_a_run_in_an_empty_folder_writes_nothing_beside_it(capacity: Capacity, installed: Path, tmp_path: Path) -> None:
    before = files_in(installed)
    ran = capacity("run", "--only", "redis")
    assert (tmp_path / "place" / "runs" / "latest" / "report.html").exists(), ran.stderr
    assert files_in(installed) == before
    assert {path.parts[0] for path in files_in(tmp_path / "place")} == {"runs"}
    assert {path.parts[0] for path in files_in(tmp_path / "home")} <= CACHES
    again = capacity("report", "runs/latest")
    assert again.returncode == 0, again.stderr


@pytest.mark.thorough
def test_a_project_is_measured_by_its_own_workload_and_its_notebooks_open_on_the_run(
    capacity: Capacity, installed: Path, tmp_path: Path
) -> None:
    before, ours = files_in(installed), tmp_path / "place" / "ours"
    capacity("init", "ours", "--queue")
    ran = capacity("run", "--project", "ours", "--only", "queue")
    run = ours / "runs" / "latest"
    assert (run / "report.html").exists(), ran.stderr
    assert {path.name for path in (run / "findings").glob("*.json")} >= {"queue.json"}
    opened = ["-m", "papermill", installed / "capacity/defaults/notebooks/30_queue.ipynb", tmp_path / "opened.ipynb"]
    environment = os.environ | {"PYTHONPATH": str(installed), "CAPACITY_PROJECT": str(ours)}
    subprocess.run([sys.executable, *opened, "--cwd", ours], env=environment, check=True, capture_output=True)
    assert "sendMail" in (tmp_path / "opened.ipynb").read_text(encoding="utf-8")
    assert files_in(installed) == before
    assert {path.name for path in (tmp_path / "place").iterdir()} == {"ours"}
