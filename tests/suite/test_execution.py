"""The log of a run is read from its manifests, and its hashes tell when anything was changed."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from capacity.errors import CapacityError
from capacity.suite.execution import execution_log

RECORDED = Path(__file__).parents[2] / "data" / "recorded"


def test_each_part_has_a_row_in_the_order_of_its_begin() -> None:
    log = execution_log(RECORDED)
    assert log["started"].is_monotonic_increasing
    row = log[log["part"] == "redis"].iloc[0]
    manifest = json.loads((RECORDED / "redis" / "manifest.json").read_text(encoding="utf-8"))
    assert row["started"].isoformat() == manifest["started_at"]
    assert row["recordings"] == 2
    assert row["operations"] > manifest["parts"][0]["rows"]
    assert row["complete"]


def test_a_changed_manifest_changes_the_hash_and_a_broken_off_recording_is_said(tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "redis", tmp_path / "redis")
    before = execution_log(tmp_path)
    path = tmp_path / "redis" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"complete"', '"interrupted"'), encoding="utf-8")
    after = execution_log(tmp_path)
    assert before["digest"].tolist() != after["digest"].tolist()
    assert (before["complete"].tolist(), after["complete"].tolist()) == ([True], [False])


def test_what_was_measured_again_is_told_from_what_was_only_broken_off(tmp_path: Path) -> None:
    for part in ("redis", "redis-2", "queue"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "manifest.json").write_text('{"state": "recording"}', encoding="utf-8")
    shutil.copytree(RECORDED / "redis", tmp_path / "redis-10")
    log = execution_log(tmp_path).set_index("part")
    assert log["repeated"].to_dict() == {"redis": True, "redis-2": True, "redis-10": False, "queue": False}
    assert log["started"].isna().to_dict() == {"redis": True, "redis-2": True, "redis-10": False, "queue": True}


@pytest.mark.parametrize("trials", [False, True])
def test_no_recordings_are_an_empty_log_of_times(tmp_path: Path, trials: bool) -> None:
    if trials:  # as where a crowd of connections is the only fault that a server of one's own is given
        (tmp_path / "failover" / "direct_connections").mkdir(parents=True)
        (tmp_path / "failover" / "direct_connections" / "trial.json").write_text("{}", encoding="utf-8")
    log = execution_log(tmp_path)
    assert log.empty
    assert (log["ended"] - log["started"]).dt.total_seconds().empty
    assert pd.isna(log["ended"].max())


def test_a_manifest_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(CapacityError, match=r"^cannot read .*manifest.json: .*; restore it, or measure again$"):
        execution_log(tmp_path)
