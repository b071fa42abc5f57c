"""Redis ends behind an outbox: no job is lost, and one that is done twice takes effect once.

With CAPACITY_TESTS=full every way of ending is tried with every persistence, which the benchmarks do too.
"""

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.scenarios import trial_application
from capacity.scenarios.outbox_restart import OutboxRestart
from capacity.scenarios.redis_restart import Persistence
from capacity.scenarios.trial import Trial, run_scenario
from capacity.scenarios.trial_application import HELD
from capacity.system.addresses import System
from capacity.system.application.database import Dataset, connect_as_administrator, prepare_database
from capacity.system.application.outbox import OLDER_THAN_S
from capacity.system.embedded import start_postgres
from capacity.system.server_directory import open_server_directory

OURS = System(embedded=True)
NONE, RDB, AOF = Persistence
STOP, KILL = signal.SIGTERM, signal.SIGKILL
SHORT = {"seconds": 2.5, "at_s": 1.2}
CASES = [(NONE, KILL, 100), (RDB, STOP, 0), (RDB, KILL, 100), (AOF, KILL, 0), (NONE, STOP, 100), (AOF, STOP, 0)]
FEW = [pytest.param(*each, marks=pytest.mark.thorough) for each in CASES[:2]]  # one that forgets, and one that keeps
RUN = CASES if os.environ.get("CAPACITY_TESTS") == "full" else FEW
# What is written now is older than a second in an hour, so that the reconciler passes over it until then.
NEVER_OLD = "ALTER TABLE capacity.outbox ALTER created_at SET DEFAULT now() + interval '1 hour';"


def values(trial: Trial) -> dict[str, float]:
    return {each.name.rpartition(".")[2]: each.value for each in trial.findings if each.value is not None}


@pytest.mark.parametrize(("persistence", "how", "forgotten"), RUN)
def test_nothing_is_lost_and_what_redis_forgot_is_enqueued_again_and_takes_effect_once(
    tmp_path: Path, persistence: Persistence, how: signal.Signals, forgotten: int
) -> None:
    trial = run_scenario(OutboxRestart(how, persistence, **SHORT), OURS, tmp_path)
    assert trial.verdict is Verdict.PASS, expectations_text([trial])
    assert "is gone, and the run_id is" in trial.proof.said
    found = values(trial)
    assert found["jobs_acknowledged"] == found["effects_ok"] == HELD + 250
    assert found["jobs_lost"] == found["effects_lost"] == found["effects_duplicated"] == found["writes_refused"] == 0
    assert found["jobs_duplicated"] == HELD * forgotten / 100
    assert found["jobs_reenqueued_of_pending"] == forgotten
    assert found["jobs_pending"] > 50
    assert found["jobs_away"] > 0
    unsure = found["jobs_between"]
    certain = found["jobs_away"] + found["jobs_pending"] * forgotten / 100
    assert certain <= found["jobs_reenqueued"] <= certain + unsure
    # It does not count a batch whose answer came too late.
    assert 0 < found["reenqueued_by_gateway"] <= found["jobs_reenqueued"]
    assert found["jobs_restored"] > 0
    assert found["down"] > 300
    assert found["began"] >= 1.2


@pytest.mark.thorough
def test_a_redis_that_nobody_stops_makes_it_void_and_nothing_is_left(tmp_path: Path) -> None:
    trial = run_scenario(OutboxRestart(None, NONE, seconds=1.4, at_s=1.0), OURS, tmp_path)
    found = values(trial)
    assert trial.verdict is Verdict.VOID
    assert {verdict for _, _, verdict in trial.verdicts} == {Verdict.VOID}
    assert found["jobs_lost"] == found["jobs_reenqueued"] == found["jobs_duplicated"] == 0
    assert found["jobs_acknowledged"] == HELD + 140
    (pid,) = re.findall(r"^process (\d+) still serves, and the run_id is ", trial.proof.said)
    assert not psutil.pid_exists(int(pid))


@pytest.mark.thorough
def test_without_its_reconciler_an_outbox_loses_what_redis_forgot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_application, "EFFECTS", trial_application.EFFECTS + NEVER_OLD)
    monkeypatch.setattr(trial_application, "SETTLE_SECONDS", OLDER_THAN_S + 2)
    trial = run_scenario(OutboxRestart(KILL, NONE, seconds=1.6, at_s=1.0), OURS, tmp_path)
    found = values(trial)
    assert trial.verdict is Verdict.FAIL
    lost = found["jobs_pending"] - HELD + found["jobs_away"]  # those under way were in the worker's hands
    assert lost <= found["jobs_lost"] <= lost + found["jobs_between"]
    assert found["effects_lost"] == found["jobs_lost"]
    assert "jobs_restored" not in found


def test_an_effect_that_is_taken_again_is_seen(tmp_path: Path) -> None:
    with open_server_directory() as directory:
        admin, ordinary = start_postgres(directory)
        prepare_database(admin, Dataset(2, 1))
        with connect_as_administrator(admin) as connection:
            connection.execute(trial_application.EFFECTS.encode())
            for number in (1, 2):
                connection.execute(
                    "INSERT INTO capacity.outbox (id, owner, kind, data) OVERRIDING SYSTEM VALUE "
                    "VALUES (%s, capacity.owner_id(1), 'PostPublication', '{}')",
                    [number],
                )
            for number in (1, 2, 1):
                connection.execute("UPDATE capacity.outbox SET finished_at = now() WHERE id = %s", [number])
        system = System(postgres_url=ordinary, postgres_admin_url=admin)
        assert trial_application.effects(system) == ["outbox-1", "outbox-2", "outbox-1"]


def test_it_is_refused_where_the_servers_are_somebodys_own(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^the scenario outbox_aof_kill takes its servers away"):
        run_scenario(OutboxRestart(KILL, AOF), System(redis_url="redis://127.0.0.1:6379"), tmp_path)
