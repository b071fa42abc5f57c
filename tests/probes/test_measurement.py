"""A measurement runs in processes of its own and leaves a recording that says what happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from capacity.analysis.measured.validity.honesty import PlannedLoad, schedule_problem
from capacity.analysis.measured.validity.neighbours import neighbours_problem
from capacity.analysis.measured.validity.quality import accounting
from capacity.errors import CapacityError
from capacity.probes.database import postgres_processes
from capacity.probes.measurement import UNDER_WAY_S, Measurement, Watcher, gauges_of, measure
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.application.database import Dataset, prepare_database
from capacity.workload import Workload, parse_workload, read_workload

WORKLOADS = Path(__file__).parents[2] / "data" / "workloads"


def short(name: str, seconds: float = 1.0, users: int = 8, connections: int = 4) -> Workload:
    values = read_workload(WORKLOADS / f"{name}.yaml").model_dump()
    stages = [{"name": "all", "seconds": seconds, "to": users}]
    values |= {"connections": connections, "shapes": {"test": {"kind": "users", "think_ms": 5, "stages": stages}}}
    return parse_workload(values)


def watched(system: System) -> list[Watcher]:
    return [gauges_of(postgres=system.postgres_admin_url)]


@pytest.fixture(scope="module")
def prepared(system: System) -> System:
    prepare_database(system.postgres_admin_url, Dataset(1000, 5))
    return system


@pytest.mark.parametrize("generators", [1, 2])
def test_the_reports_mix_runs_without_an_error(prepared: System, tmp_path: Path, generators: int) -> None:
    measurement = Measurement(short("database"), "test", generators=generators)
    seen: list[float] = []
    path = measure(
        measurement,
        prepared.postgres_url,
        watched(prepared),
        tmp_path / "recording",
        under_way=seen.append,
    )
    recording = open_recording(path)
    assert recording.manifest["state"] == "complete"
    assert recording.manifest["connections"] == 4
    assert recording.manifest["system"]["server"].startswith("PostgreSQL 18")
    assert set(recording.samples["outcome"]) == {"ok"}
    assert set(recording.samples["operation"]) == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert set(recording.samples["worker"]) == set(range(generators))
    read = {"postgres.commits", "postgres.log_syncs", "generator.cpu_share", "machine.cpu_s", "gauges.cpu_s"}
    assert read <= set(recording.gauges["gauge"])
    commits = recording.gauges.loc[recording.gauges["gauge"] == "postgres.commits", "value"]
    assert commits.max() - commits.min() >= 0.5 * len(recording.samples)
    assert seen[-1] == measurement.shape.seconds


@pytest.mark.thorough
def test_what_others_take_of_the_machine_beside_a_load_is_seen(prepared: System, tmp_path: Path) -> None:
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    postgres = prepared.postgres_admin_url
    watchers = [gauges_of(postgres=postgres, processes=postgres_processes(postgres))]
    try:
        path = measure(Measurement(short("database", 2.0), "test"), prepared.postgres_url, watchers, tmp_path / "r")
    finally:
        for each in burning:
            each.kill()
            each.wait()
    recording = open_recording(path)
    found = neighbours_problem(recording.samples, recording.gauges, recording.facts)
    assert found is not None and found.void, found


@pytest.mark.thorough
def test_it_runs_without_prepared_statements(prepared: System, tmp_path: Path) -> None:
    measurement = Measurement(short("database"), "test", prepared=False)
    path = measure(measurement, prepared.postgres_url, watched(prepared), tmp_path / "recording")
    assert set(open_recording(path).samples["outcome"]) == {"ok"}


def test_a_server_that_is_down_is_one_sentence_and_an_interrupted_recording(tmp_path: Path) -> None:
    nowhere = "postgresql://postgres@127.0.0.1:1/postgres"
    with pytest.raises(CapacityError, match="PostgreSQL does not answer"):
        measure(Measurement(short("database"), "test"), nowhere, [gauges_of(postgres=nowhere)], tmp_path / "recording")
    assert open_recording(tmp_path / "recording").manifest["state"] == "interrupted"


def test_refused_connections_are_counted_with_their_reason(prepared: System, tmp_path: Path) -> None:
    measurement = Measurement(short("database", connections=120), "test")
    path = measure(measurement, prepared.postgres_url, watched(prepared), tmp_path / "recording")
    manifest = open_recording(path).manifest
    assert manifest["connections"] + sum(manifest["refused"].values()) == 120
    assert any("remaining connection slots" in reason for reason in manifest["refused"])


def test_a_reader_of_gauges_that_ends_early_interrupts_the_recording(prepared: System, tmp_path: Path) -> None:
    def kill_reader(done_s: float) -> None:
        for child in psutil.Process().children():
            if "capacity.probes.gauges" in child.cmdline():
                child.kill()

    folder = tmp_path / "recording"
    with pytest.raises(CapacityError, match=r"^the gauges process ended early: exit status -9$"):
        measure(
            Measurement(short("database", seconds=60), "test"),
            prepared.postgres_url,
            watched(prepared),
            folder,
            under_way=kill_reader,
        )
    recording = open_recording(folder)
    assert recording.manifest["state"] == "interrupted"
    assert len(recording.samples) > 0


def test_no_load_outlives_a_parent_that_was_killed(prepared: System, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from test_measurement import *\n"
        "measure(Measurement(short('database', seconds=60), 'test'), sys.argv[2],\n"
        "        [gauges_of(postgres=sys.argv[3])], Path(sys.argv[4]))"
    )
    folder = tmp_path / "recording"
    words = [str(Path(__file__).parent), prepared.postgres_url, prepared.postgres_admin_url, str(folder)]
    parent = subprocess.Popen([sys.executable, "-c", script, *words], start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        (folder / "manifest.json").exists() and len(open_recording(folder).samples) > 100
    ):
        time.sleep(0.05)
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    recording = open_recording(folder)
    assert recording.manifest["state"] == "interrupted"
    assert recording.manifest["started_at"]
    assert len(recording.samples) > 100


USERS = {"kind": "users", "think_ms": 5, "to": 8}
RATE = {"kind": "rate", "to": 400}


def with_look(kind: dict[str, Any], look_s: float = 5.0) -> Measurement:
    level = {"to": kind["to"]}
    stages = [
        {"name": "ramp up", "seconds": 0.5, "ramp": True, **level},
        {"name": "sustain", "seconds": 1, **level},
        {"name": "look", "seconds": look_s, "look": True, **level},
        {"name": "sustain, on", "seconds": 1, **level},
        {"name": "ramp down", "seconds": 0.5, "to": 0, "ramp": True},
    ]
    shape = {key: value for key, value in kind.items() if key != "to"} | {"stages": stages}
    values = read_workload(WORKLOADS / "database.yaml").model_dump() | {"connections": 4, "shapes": {"test": shape}}
    return Measurement(parse_workload(values), "test")


@pytest.mark.parametrize(
    ("kind", "promises"),
    [
        (USERS, []),
        (RATE, ["database.response_p99"]),
        pytest.param(USERS, ["database.response_p99"], marks=pytest.mark.thorough),
        pytest.param(RATE, [], marks=pytest.mark.thorough),
    ],
)
def test_a_load_goes_on_after_its_look_only_for_promises_that_are_undecided(
    prepared: System, tmp_path: Path, kind: dict[str, Any], promises: list[str]
) -> None:
    asked: list[tuple[float, float, int]] = []

    def goes_on_for(folder: Path, seconds: float, at_most: float) -> list[str]:
        asked.append((seconds, at_most, open_recording(folder).samples["step"].max()))
        return promises

    measurement = with_look(kind)
    folder, url = tmp_path / "recording", prepared.postgres_url
    recording = open_recording(measure(measurement, url, watched(prepared), folder, goes_on_for=goes_on_for))
    assert asked == [(1.0, 2.0, 2)]
    steps = 5 if promises else 3
    assert [stage["step"] for stage in recording.manifest["stages"]] == list(range(steps))
    assert recording.manifest["sustained_steps"] == ([1, 3] if promises else [1])
    assert recording.manifest.get("went_on_for") == (promises or None)
    assert recording.samples["step"].max() == steps - 1
    assert recording.samples["scheduled_ns"].max() < recording.manifest["planned_seconds"] * 1e9
    counts = accounting(recording.samples, PlannedLoad(recording.facts).count)
    assert counts.residue == 0
    assert schedule_problem(recording.samples, PlannedLoad(recording.facts)) is None


def test_a_load_whose_judgement_takes_as_long_as_its_look_goes_on(prepared: System, tmp_path: Path) -> None:
    def slowly(folder: Path, seconds: float, at_most: float) -> list[str]:
        time.sleep(0.5)
        return []

    measurement = with_look(RATE, look_s=UNDER_WAY_S + 0.6)
    path = measure(measurement, prepared.postgres_url, watched(prepared), tmp_path / "recording", goes_on_for=slowly)
    manifest = open_recording(path).manifest
    assert manifest["went_on_for"] == []
    assert manifest["sustained_steps"] == [1, 3]
