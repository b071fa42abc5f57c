"""A project of somebody's own that has all files, to be spoilt."""

import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "data"
NOT_READ = shutil.ignore_patterns("recorded", "reference", "imported", "schemas")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("projects") / "own"
    shutil.copytree(DATA, project / "data", ignore=NOT_READ)
    return project


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "own"))
