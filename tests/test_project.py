"""Where a project's files are, and what comes with the package in their place."""

from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.project import (
    OBJECTIVES,
    PROJECT,
    SEARCHES,
    WORKLOADS,
    defaults_folder,
    in_project,
    is_own,
    project_folder,
    workloads_of,
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of somebody's own with objectives and one workload, which is the current folder."""
    (tmp_path / WORKLOADS).mkdir(parents=True)
    (tmp_path / OBJECTIVES).write_text("[]")
    (tmp_path / WORKLOADS / "database.yaml").write_text("name: database")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_is_found_from_a_folder_within_it(own: Path, monkeypatch: pytest.MonkeyPatch):
    (own / "runs" / "one").mkdir(parents=True)
    monkeypatch.chdir(own / "runs" / "one")
    assert project_folder() == own
    assert is_own(own) and not is_own(defaults_folder())


def test_a_folder_without_a_project_has_everything_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert project_folder() == tmp_path and not is_own(tmp_path)
    assert in_project(OBJECTIVES) == defaults_folder() / OBJECTIVES
    assert in_project("runs/latest") == tmp_path / "runs" / "latest"


def test_the_environment_names_a_project_from_elsewhere(own: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv(PROJECT, str(own))
    assert project_folder() == own and in_project(OBJECTIVES) == own / OBJECTIVES


def test_a_project_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PROJECT, str(tmp_path / "nowhere"))
    with pytest.raises(CapacityError, match=r"there is no folder .*nowhere.*capacity init"):
        project_folder()


def test_files_of_a_workload_come_from_one_folder(own: Path):
    assert workloads_of("database") == own / WORKLOADS
    assert workloads_of("redis") == defaults_folder() / WORKLOADS
    assert in_project(SEARCHES) == defaults_folder() / SEARCHES


def test_what_was_measured_elsewhere_is_never_taken_for_a_project_s_own(own: Path):
    assert in_project("data/recorded/database") == own / "data" / "recorded" / "database"
