"""Workers are taken away while jobs wait: none is lost, few are done again, and each has its effect once."""

import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.recording import open_recording
from capacity.scenarios.trial import Trial, read_trial, run_scenario
from capacity.scenarios.worker_crash import WorkerCrash
from capacity.scenarios.worker_pool import seen_stopped
from capacity.system.addresses import System

OURS = System(embedded=True)
KILL, STOP = signal.SIGKILL, signal.SIGSTOP
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def values(trial: Trial) -> dict[str, float]:
    return {each.name.rpartition(".")[2]: each.value for each in trial.findings if each.value is not None}


def limits(scenario: WorkerCrash) -> dict[str, tuple[str, float, str]]:
    given = scenario.expectations()
    return {each.finding.rpartition(".")[2]: (each.relation, each.limit, each.why) for each in given}


def check_account(trial: Trial, folder: Path, scenario: WorkerCrash) -> dict[str, float]:
    """What both ways to take workers away have in common, counted again from the recording's ledger."""
    assert trial.verdict is Verdict.PASS, expectations_text([trial])
    assert read_trial(folder) == trial
    found, recording = values(trial), open_recording(folder)
    ledger = recording.ledger
    assert ledger is not None
    begun = Counter(ledger.loc[ledger["event"] == "started", "job"])
    done = Counter(ledger.loc[ledger["event"] == "completed", "job"])
    again, slots = sum(count > 1 for count in begun.values()), scenario.crashed * scenario.concurrency
    assert found["jobs_reprocessed"] == again
    assert slots / 2 <= again <= slots
    assert found["jobs_duplicated"] == done.total() - len(done)
    assert found["jobs_acknowledged"] == found["jobs_ok"] == len(done) == len(recording.samples) + scenario.pending
    assert found["effects"] == scenario.pending
    assert found["effects_duplicated"] == found["jobs_lost"] == found["jobs_given_up"] == 0
    # A lock has at least half of its time left: it is renewed when half of it is over.
    assert 0.4 * scenario.lock_s < found["first_retaken"] <= found["retaken"] <= scenario.retaken_s
    assert slots / 2 <= found["jobs_under_way"] <= slots
    assert found["backlog_peak"] >= found["backlog"] > 0.7 * scenario.pending
    assert 0.5 < found["drained"] / found["drained_in_theory"] < 2
    assert found["down"] > 1000 * scenario.down_s
    return found


@pytest.mark.thorough
def test_what_killed_workers_had_under_way_is_done_by_the_others(tmp_path: Path) -> None:
    scenario = WorkerCrash(KILL, crashed=2)
    trial = run_scenario(scenario, OURS, tmp_path)
    check_account(trial, tmp_path, scenario)
    ledger = open_recording(tmp_path).ledger
    assert ledger is not None
    names = {each.rpartition("-")[0] for each in ledger["worker"].unique()}
    assert {"worker-0", "worker-1", "worker-2"} < names <= {f"worker-{number}" for number in range(5)}
    pids = re.fullmatch(r"the processes (\d+), (\d+) are gone", trial.proof.said)
    assert pids
    assert not any(psutil.pid_exists(int(each)) for each in pids.groups())


@pytest.mark.thorough
def test_what_a_stopped_worker_does_late_has_no_second_effect(tmp_path: Path) -> None:
    scenario = WorkerCrash(STOP)
    trial = run_scenario(scenario, OURS, tmp_path)
    found = check_account(trial, tmp_path, scenario)
    assert found["jobs_duplicated"] > 0
    said = r"the processes (\d+) were seen stopped for [\d.]+ s, with a lock of 1 s"
    (pid,) = re.findall(f"^{said}$", trial.proof.said)
    assert not psutil.pid_exists(int(pid))


@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(3))
@pytest.mark.parametrize("how", [KILL, STOP])
def test_it_is_so_each_time(tmp_path: Path, how: signal.Signals, repetition: int) -> None:
    scenario = WorkerCrash(how)
    check_account(run_scenario(scenario, OURS, tmp_path), tmp_path, scenario)


@pytest.mark.thorough
def test_workers_that_nobody_takes_away_make_it_void(tmp_path: Path) -> None:
    scenario = WorkerCrash(None, workers=2, pending=50, lock_s=0.3, stalled_s=0.1, down_s=0.6)
    trial = run_scenario(scenario, OURS, tmp_path)
    assert values(trial)["jobs_reprocessed"] == values(trial)["jobs_lost"] == 0
    assert trial.verdict is Verdict.VOID
    (pid,) = re.findall(r"^the workers (\d+) were left alone$", trial.proof.said)
    assert not psutil.pid_exists(int(pid))


def test_what_is_expected_is_the_arithmetic_of_the_settings() -> None:
    as_bullmq = WorkerCrash(KILL, workers=4, crashed=3, concurrency=50, lock_s=30, stalled_s=30, down_s=95)
    found = limits(as_bullmq)
    assert as_bullmq.name == "worker_kill_3"
    assert found["retaken"] == ("<=", 90, "30 s lock + 2 × 30 s between checks for stalled jobs")
    assert found["jobs_reprocessed"] == ("<=", 150, "3 workers × 50 jobs at a time")
    assert found["effects"] == ("==", 500, "each job that waits is marked in the database")
    assert limits(WorkerCrash(STOP))["jobs_duplicated"] == ("<=", 20, "1 worker × 20 jobs at a time")
    for name in ("jobs_lost", "jobs_unexpected", "jobs_given_up", "effects_duplicated"):
        assert found[name][:2] == ("==", 0)


def test_one_worker_at_least_goes_on() -> None:
    said = "3 of 3 workers cannot crash and leave others that go on; let 1 to 2 of them crash"
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        WorkerCrash(KILL, crashed=3)


def test_workers_that_come_back_too_soon_are_refused() -> None:
    said = (
        "workers that are away for 2 s may be back before others take up their jobs, which may take 2 s; "
        "let them be away for longer"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        WorkerCrash(STOP, down_s=2.0)


def test_it_is_refused_where_the_servers_are_somebodys_own(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^the scenario worker_stop takes its servers away"):
        run_scenario(WorkerCrash(STOP), System(redis_url="redis://127.0.0.1:6379"), tmp_path)


@pytest.fixture
def sleeping() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def test_only_the_time_for_which_all_are_stopped_counts(sleeping: "subprocess.Popen[bytes]") -> None:
    assert seen_stopped([sleeping.pid], 0.1) == 0.0
    sleeping.send_signal(STOP)
    assert 0.1 < seen_stopped([sleeping.pid], 0.3) <= 0.3
    assert seen_stopped([sleeping.pid, psutil.Process().pid], 0.1) == 0.0
    continued = threading.Timer(0.2, sleeping.send_signal, [signal.SIGCONT])
    continued.start()
    assert seen_stopped([sleeping.pid], 0.8) < 0.6
