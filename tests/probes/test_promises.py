"""The doctor and the notebooks say what a profile cannot decide, and a load goes on for what is undecided alone."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from capacity.cli import main
from capacity.findings import Finding
from capacity.places import project_folder
from capacity.probes.parts import PARTS
from capacity.probes.promises import beforehand, enough_time, for_what_is_undecided


def test_a_line_names_each_promise_and_the_seconds_that_it_needs() -> None:
    assert beforehand("smoke", "gateway") == (
        "smoke has at most 10 s at a constant load, and may leave undecided what needs more: GET /api/connectors p99 "
        "(33 s), POST /api/oauth/… p99 (46 s), GET /api/posts p99 (28 s), POST /api/publish p99 (55 s), "
        "GET /api/health p99 (17 s)"
    )
    assert (
        beforehand("smoke", "database") == "smoke has at most 10 s at a constant load: enough to decide every promise"
    )
    assert (
        beforehand("standard", "database")
        == "standard has at most 360 s at a constant load: enough to decide every promise"
    )


def test_the_doctor_says_it_of_every_profile() -> None:
    said = CliRunner().invoke(main, ["doctor"]).output.splitlines()
    of = {each.split()[2]: each.split()[0] for each in said if each[11:].startswith("profile ")}
    assert of == {"smoke": "note", "standard": "ok", "full": "ok"}


def test_where_promises_cannot_be_read_the_doctor_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "objectives.yaml").write_text("- finding: redis.response_p99\n")
    monkeypatch.chdir(tmp_path)
    (check,) = enough_time(PARTS)
    assert (check.name, check.fine, check.needed) == ("promises", False, False)
    assert "objectives.yaml" in check.said


def test_a_load_goes_on_for_promises_that_the_time_left_would_decide(tmp_path: Path) -> None:
    """Of three undecided ones the third is so near to its limit that no time that is left would do."""
    ends = {"response_p99": (8.0, 6.0, 12.0), "response_max": (9.9, 9.0, 20.0), "reconnection_p95": (50.0, 40.0, 120.0)}

    def read(folder: Path) -> list[Finding]:
        assert folder == tmp_path
        return [Finding(f"redis.{name}", value, "ms", low, high, 500) for name, (value, low, high) in ends.items()]

    assert (project_folder() / "data" / "objectives.yaml").exists()
    goes_on_for = for_what_is_undecided("redis", read)
    assert goes_on_for(tmp_path, 60, 300) == ["redis.response_p99", "redis.reconnection_p95"]
    assert goes_on_for(tmp_path, 60, 200) == ["redis.reconnection_p95"]
