"""Where a project's files are, and what comes with the package in their place."""

import os
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.places import (
    OBJECTIVES,
    PROJECT,
    RECORDED,
    SEARCHES,
    WORKLOADS,
    defaults_folder,
    environment,
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


def a_run(folder: Path, *recordings: str) -> Path:
    for name in recordings:
        (folder / "recordings" / name).mkdir(parents=True)
    (folder / "findings").mkdir(parents=True)
    (folder.parent / "latest").unlink(missing_ok=True)
    (folder.parent / "latest").symlink_to(folder.name)
    return folder


def test_what_was_measured_elsewhere_is_never_taken_for_a_project_s_own(own: Path):
    sentence = f"^nothing was measured in {own} yet; measure with `capacity run` in that folder$"
    for what in ("findings", "database", ""):
        with pytest.raises(CapacityError, match=sentence):
            in_project(RECORDED / what)


def test_a_project_opens_on_its_last_run(own: Path):
    a_run(own / "runs" / "one", "database", "redis")
    a_run(own / "runs" / "two", "database", "database-2", "database-10", "breaking_point")
    latest = own / "runs" / "latest"
    assert in_project("data/recorded") == latest / "recordings"
    assert in_project("data/recorded/findings") == latest / "findings"
    assert in_project("data/recorded/database") == latest / "recordings" / "database-10"  # measured once more
    assert in_project("data/recorded/breaking_point/redis") == latest / "recordings" / "breaking_point" / "redis"
    sentence = f"^the last run of {own} has no recording of redis; measure it with `capacity run --only redis`$"
    with pytest.raises(CapacityError, match=sentence):
        in_project("data/recorded/redis")


def test_recordings_that_a_project_keeps_itself_come_first(own: Path):
    a_run(own / "runs" / "one", "database")
    (own / "data" / "recorded" / "database").mkdir(parents=True)
    assert in_project("data/recorded/database") == own / "data" / "recorded" / "database"


def test_the_repository_opens_on_its_committed_recordings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(defaults_folder())
    assert in_project("data/recorded/database") == defaults_folder() / "data" / "recorded" / "database"


def test_values_are_in_the_environment_for_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CAPACITY_QUEUE", "before")
    monkeypatch.delenv("CAPACITY_LEDGER", raising=False)
    with environment({"CAPACITY_QUEUE": "meanwhile", "CAPACITY_LEDGER": "new"}):
        assert (os.environ["CAPACITY_QUEUE"], os.environ["CAPACITY_LEDGER"]) == ("meanwhile", "new")
    assert (os.environ["CAPACITY_QUEUE"], os.environ.get("CAPACITY_LEDGER")) == ("before", None)
