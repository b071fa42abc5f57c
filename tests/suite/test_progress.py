"""The progress is that of the measurement that is under way."""

from pathlib import Path

from capacity.recording import create_recording, finish_recording
from capacity.suite.progress import measurement_under_way


def test_it_follows_one_measurement_after_the_other(tmp_path: Path) -> None:
    assert measurement_under_way(tmp_path / "redis") == ("preparing", 0.0, None)
    facts = {"operations": ["GET"], "planned_seconds": 60.0}
    create_recording(tmp_path / "redis", {**facts, "name": "redis"})
    what, done, planned = measurement_under_way(tmp_path / "redis")
    assert (what, planned) == ("redis", 60.0)
    assert 0 <= done < 60
    finish_recording(tmp_path / "redis", {})
    assert measurement_under_way(tmp_path / "redis")[0] == "preparing"
    create_recording(tmp_path / "redis" / "reconnection", {**facts, "name": "redis_reconnection"})
    assert measurement_under_way(tmp_path / "redis")[0] == "reconnection"


def test_a_manifest_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    assert measurement_under_way(tmp_path) == ("preparing", 0.0, None)
