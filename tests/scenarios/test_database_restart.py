"""PostgreSQL ends under writes: what it acknowledged is there afterwards, or as many are lost as its settings allow."""

import re
import signal
from pathlib import Path

import psutil
import pytest

from capacity.analysis.faults.recovery import FaultSpan, recovery
from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.recording import open_recording
from capacity.scenarios.database_restart import CONNECTIONS, DatabaseRestart
from capacity.scenarios.trial import Trial, run_scenario
from capacity.system.addresses import System

OURS = System(embedded=True)
SHORT = {"seconds": 4.5, "at_s": 1.5}


def values(trial: Trial) -> dict[str, float]:
    return {each.name.rpartition(".")[2]: each.value for each in trial.findings if each.value is not None}


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.thorough)])
def test_no_acknowledged_write_is_lost(tmp_path: Path, how: signal.Signals) -> None:
    trial = run_scenario(DatabaseRestart(how, **SHORT), OURS, tmp_path)
    assert trial.verdict is Verdict.PASS, expectations_text([trial])
    found = values(trial)
    recording = open_recording(tmp_path)
    began, down = round(found["began"] * 1e9), round(found["down"] * 1e6)
    again = recovery(recording.samples, FaultSpan(began, began + down, 100.0))
    assert found["began"] == pytest.approx(1.5, abs=0.5)
    assert (again.during["late"], again.during["failed"], again.detected_ms) == (
        found["late"],
        found["failed"],
        pytest.approx(found["detected"], abs=0.001),
    )
    assert found["lost_writes"] == found["unexpected_writes"] == 0
    assert found["acknowledged_writes"] > 800
    assert found["failed"] <= CONNECTIONS
    assert found["late"] >= 0.25 * 200
    assert found["down"] > 300
    assert "is gone, and the server started at" in trial.proof.said
    assert len(recording.samples) == 900


@pytest.mark.thorough
def test_with_asynchronous_commits_a_kill_may_lose_as_many_as_the_log_writer_leaves(tmp_path: Path) -> None:
    trial = run_scenario(DatabaseRestart(signal.SIGKILL, synchronous_commit="off", **SHORT), OURS, tmp_path)
    lost = next(each for each in trial.expected if each.finding.endswith(".lost_writes"))
    assert (lost.relation, lost.limit) == ("<=", pytest.approx(200 * 3 * 0.2))
    assert lost.why == "synchronous_commit off, fsync on: 200/s × 3 × wal_writer_delay 0.2 s"
    assert values(trial)["lost_writes"] <= 120
    assert trial.verdict is Verdict.PASS, expectations_text([trial])


@pytest.mark.thorough
def test_a_server_that_nobody_stops_makes_it_void(tmp_path: Path) -> None:
    trial = run_scenario(DatabaseRestart(None, seconds=2.0, at_s=1.0), OURS, tmp_path)
    assert values(trial)["lost_writes"] == 0
    assert trial.verdict is Verdict.VOID
    (pid,) = re.findall(r"^process (\d+) still serves, and the server started at ", trial.proof.said)
    assert not psutil.pid_exists(int(pid))


def test_it_is_refused_where_the_servers_are_somebodys_own(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^the scenario database_kill takes its servers away"):
        run_scenario(DatabaseRestart(signal.SIGKILL), System(postgres_url="postgresql://a@127.0.0.1/x"), tmp_path)


def test_a_fault_outside_of_the_load_is_one_sentence(tmp_path: Path) -> None:
    said = (
        "a fault after 9 s cannot be told from the load's begin or end; give 1 s or more, and less than the load's 6 s"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        run_scenario(DatabaseRestart(signal.SIGKILL, at_s=9.0), OURS, tmp_path)
