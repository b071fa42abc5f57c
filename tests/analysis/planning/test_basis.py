"""A run says when and on what it was measured."""

import json
from datetime import date
from pathlib import Path

import pytest

from capacity.analysis.planning.basis import LoadHeld, read_basis
from capacity.errors import CapacityError
from capacity.findings import Finding


def test_a_run_begins_on_the_day_of_its_last_recording_and_knows_the_loads_that_were_held(tmp_path: Path) -> None:
    stage = {"name": "", "start_s": 0, "end_s": 9}
    stages = [stage | {"step": 0, "to": 20, "ramp": True}, stage | {"step": 1, "to": 20}]
    held = {"kind": "users", "stages": stages, "sustained_steps": [1]}
    for name, day, load in (("database", "2026-03-31", held), ("redis", "2026-04-01", {})):
        place = tmp_path / "recordings" / name
        place.mkdir(parents=True)
        facts = {"started_at": f"{day}T23:00:00+00:00", **load}
        (place / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    found = [
        Finding("database.throughput", 1.0, recording="database"),
        Finding("redis.throughput", 1.0, recording="redis"),
        Finding("redis.memory", 1.0, recording="redis", void="the generator was the limit"),
        Finding("plan.first_limit", 1.0),
    ]
    run = read_basis(tmp_path / "findings", found)
    assert run.day == date(2026, 4, 1)
    assert run.tested == {"database": LoadHeld("users", [20.0])}
    assert set(run.findings) == {"database.throughput", "redis.throughput", "redis.memory"}


def test_findings_without_their_recordings_have_no_day(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"so the day of the run is unknown$"):
        read_basis(tmp_path / "findings", [Finding("a.b", 1.0, recording="a")])


def test_a_load_is_that_of_a_recording_by_its_kind_and_by_a_level_of_it() -> None:
    levels = LoadHeld("rate", [100.0, 200.0])
    assert [levels.is_of("rate", each) for each in (100.0, 200.0, 150.0)] == [True, True, False]
    assert not levels.is_of("users", 100.0)
    assert (str(levels), str(LoadHeld("users", [100.0, 100.0]))) == ("100 and 200/s", "100 users")
