"""The progress of a run knows how long its parts take, and what their promises came to."""

import os
from pathlib import Path

import pytest

from capacity.findings import Finding, Objective, write_findings
from capacity.objectives import write_objectives
from capacity.suite.notebooks import PROFILES, REPORT, notebooks_in
from capacity.suite.progress import expected_seconds, promises_kept

PROJECT = Path(__file__).parents[2]
MEASURED = Finding("database.response_p99", 5.5, "ms", 4.4, 9.3, 1000, "database")


@pytest.mark.parametrize("name", [name for name in notebooks_in(PROJECT) if name != REPORT])
def test_every_notebook_states_its_minutes_with_each_profile(name: str) -> None:
    seconds = [expected_seconds(notebooks_in(PROJECT)[name], profile) for profile in PROFILES]
    assert None not in seconds
    assert seconds == sorted(seconds)
    assert expected_seconds(notebooks_in(PROJECT)[name], "own") == (0.0 if name == "capacity_plan" else None)


def test_a_part_is_judged_by_what_it_wrote_itself(tmp_path: Path) -> None:
    write_findings(tmp_path / "redis.json", [Finding("redis.response_p99", 900.0, "ms", 800.0, 1000.0, 1000, "redis")])
    os.utime(tmp_path / "redis.json", (1, 1))
    kept = promises_kept(PROJECT, tmp_path)
    assert kept() == ("✓", "no promises")
    write_findings(tmp_path / "database.json", [MEASURED])
    mark, said = kept()
    assert mark == "?"  # the project promises more of the database than this one finding
    assert said.startswith("1 of ")
    assert said.endswith(" undecided")
    expected = Objective("database.response_p99", "<", 4.0, "ms", "what the notebook expected")
    write_objectives(tmp_path / "database.yaml", [expected])
    assert kept()[0] == "✗"
    assert ", 1 broken, " in kept()[1]
