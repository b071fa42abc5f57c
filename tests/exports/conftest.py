"""A run folder with the committed findings, as of somebody's own system, and what is exported from it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.exports import Source, export_run, read_source
from capacity.exports.watches import Watch
from capacity.manifest import write_facts
from capacity.run import Run

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"
FACTS = {
    "profile": "standard",
    "finished": [],
    "embedded": False,
    "hosts": {"postgres": "db.shop.internal", "redis": "cache.shop.internal", "gateway": "api.shop.example"},
    "database": "shop",
}
QUEUE = {"name": "posts", "prefix": "bull"}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "2026-11-25T010000Z"
    shutil.copytree(RECORDED / "findings", folder / "findings")
    write_facts(folder, FACTS)
    for part in ("database", "redis", "queue", "gateway"):
        facts = json.loads((RECORDED / part / "manifest.json").read_text(encoding="utf-8"))
        (folder / "recordings" / part).mkdir(parents=True)
        write_facts(folder / "recordings" / part, {**facts, "queue": QUEUE if part == "queue" else None})
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
    watch = next(each for each in source.watches if each.name == "QueueDepthPeak")
    text = (
        "Depth {{ $value }} ${Queue} ${x} $datasource <script>alert(\"1\")</script> '%s' – ∞\n"
        "next: [a](https://b.example) <!channel> *x* www.b.example"
    )
    levels = tuple(replace(each, holds=replace(each.holds, source=text)) for each in watch.levels)
    metric = watch.metric.model_copy(update={"action": text, "note": text})
    return replace(watch, title=text, measured=text, levels=levels, metric=metric)
