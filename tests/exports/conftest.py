"""A run folder with the committed findings, and what is exported from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.exports import Source, export_run, read_source
from capacity.exports.watches import Watch
from capacity.findings import Objective
from capacity.run import Run

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "2026-11-25T010000Z"
    shutil.copytree(PROJECT / "data" / "recorded" / "findings", folder / "findings")
    (folder / "manifest.json").write_text('{"profile": "standard", "finished": []}', encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def source(run: Path) -> Source:
    return read_source(Run.at(run, PROJECT))


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "made" / "on demand"
    export_run(Run.at(run, PROJECT), folder)
    return folder


@pytest.fixture
def hostile(source: Source) -> Watch:
    """A watch whose texts mean something to every format that they stand in."""
    watch = next(each for each in source.watches if each.name == "QueueDepthPeakPage")
    title = "Depth {{ $value }} ${Queue} ${x} <script>alert(\"1\")</script> '%s' – ∞\nnext: [a](b)"
    return replace(watch, objective=Objective("queue.depth_peak", "<=", 10000, "jobs", title, title))
