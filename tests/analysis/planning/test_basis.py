"""A run says when and on what it was measured."""

import json
from datetime import date
from pathlib import Path

import pytest

from capacity.analysis.planning.basis import read_basis
from capacity.errors import CapacityError
from capacity.findings import Finding


def test_a_run_begins_on_the_day_of_its_last_recording_and_knows_the_cores(tmp_path: Path) -> None:
    for name, day, cpus in (("database", "2026-03-31", 2), ("redis", "2026-04-01", 4)):
        place = tmp_path / "recordings" / name
        place.mkdir(parents=True)
        facts = {"started_at": f"{day}T23:00:00+00:00", "machine": {"cpus": cpus}}
        (place / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    found = [
        Finding("database.throughput", 1.0, recording="database"),
        Finding("redis.throughput", 1.0, recording="redis"),
        Finding("redis.memory", 1.0, recording="redis", void="the generator was the limit"),
        Finding("plan.first_limit", 1.0),
    ]
    run = read_basis(tmp_path / "findings", found)
    assert run.day == date(2026, 4, 1)
    assert run.cores == {"database": 2, "redis": 4}
    assert set(run.findings) == {"database.throughput", "redis.throughput", "redis.memory"}


def test_findings_without_their_recordings_have_no_day(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"so the day of the run is unknown$"):
        read_basis(tmp_path / "findings", [Finding("a.b", 1.0, recording="a")])
