"""A run is read once: its manifest, findings, expectations, verdicts and the recordings that they come from."""

import json
import shutil
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.findings import Verdict, write_findings
from capacity.run import Run, write_verdicts

PROJECT = Path(__file__).parents[1]
RECORDED = PROJECT / "data" / "recorded"
FACTS = {"profile": "standard", "started_at": "2026-11-25T09:50:00+00:00", "finished": ["redis"], "colour": "blue"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "findings").mkdir()
    for name in ("redis.json", "failover.json", "failover.yaml"):
        shutil.copy(RECORDED / "findings" / name, tmp_path / "findings" / name)
    for name in ("redis", "redis/reconnection"):
        (tmp_path / "recordings" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(RECORDED / name / "manifest.json", tmp_path / "recordings" / name / "manifest.json")
    (tmp_path / "manifest.json").write_text(json.dumps(FACTS), encoding="utf-8")
    return Run.at(tmp_path, PROJECT)


def test_each_part_is_read_once(run: Run) -> None:
    first = (run.manifest, run.findings, run.expected, run.promised, run.recordings)
    shutil.rmtree(run.path)
    again = (run.manifest, run.findings, run.expected, run.promised, run.recordings)
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_it_knows_its_profile_its_sections_and_where_its_findings_come_from(run: Run) -> None:
    assert (run.manifest.profile, run.manifest.finished, run.manifest.embedded) == ("standard", ("redis",), None)
    assert run.manifest.model_extra == {"colour": "blue"}
    assert {each.section for each, _, _ in run.promised} == {"redis", "failover"}
    assert set(run.recordings) == {"redis", "redis/reconnection"}
    assert run.judged == [*run.promised, *run.expected]
    assert {each.section for each, _, _ in run.expected} == {"failover"}


def test_reading_and_judging_write_nothing_and_verdicts_are_written_by_name(run: Run) -> None:
    before = sorted(run.path.rglob("*"))
    assert {verdict for _, _, verdict in run.judged} <= set(Verdict)
    assert sorted(run.path.rglob("*")) == before
    write_verdicts(run)
    entries = json.loads((run.path / "findings.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in entries] == [each.name for each in run.findings]
    assert {each["verdict"] for each in entries if each["name"] == "redis.response_p99"} == {"PASS"}


def test_a_folder_that_is_no_run_is_not_written_to(run: Run) -> None:
    (run.path / "manifest.json").unlink()
    with pytest.raises(CapacityError, match=r"^there is no run in .*: manifest\.json is missing$"):
        write_verdicts(Run.at(run.path, PROJECT))
    assert not (run.path / "findings.json").exists()


def retold(run: Run, **facts: object) -> None:
    """Its recording of Redis with another workload in its manifest."""
    path = run.recordings_folder / "redis" / "manifest.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(kept | {"workload": kept["workload"] | facts}), encoding="utf-8")


def test_a_run_under_the_packages_own_load_is_told_from_another(run: Run) -> None:
    assert run.is_reference
    assert list(run.loads) == ["redis"]
    assert Run(RECORDED / "findings", RECORDED, PROJECT).is_reference
    retold(run, operations=[{"name": "read", "weight": 100.0}])
    assert not Run.at(run.path, PROJECT).is_reference


def test_a_load_of_another_name_is_not_the_packages(run: Run) -> None:
    path = run.recordings_folder / "redis" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"name": "sessions"}), encoding="utf-8")
    assert not run.is_reference


def test_promises_on_what_the_measured_parts_lack_stand_apart(run: Run) -> None:
    assert run.not_asked == []
    kept = [each for each in run.findings if "reconnection" not in each.name]
    write_findings(run.findings_folder / "redis.json", [each for each in kept if each.section == "redis"])
    again = Run.at(run.path, PROJECT)
    assert [each.finding for each in again.not_asked] == ["redis.reconnection_p95"]
    assert "redis.reconnection_p95" not in {each.finding for each, _, _ in again.promised}
