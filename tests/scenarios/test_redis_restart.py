"""Redis ends under a queue: what its persistence keeps is done afterwards, and what it does not keep is lost."""

import re
import signal
from pathlib import Path

import psutil
import pytest

from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.scenarios.redis_restart import Persistence, RedisRestart, keeps
from capacity.scenarios.trial import Trial, run_scenario
from capacity.system.addresses import System

OURS = System(embedded=True)
NONE, RDB, AOF = Persistence
STOP, KILL = signal.SIGTERM, signal.SIGKILL
RULES = "3600 1 300 100 60 10000"


def values(trial: Trial) -> dict[str, float]:
    return {each.name.rpartition(".")[2]: each.value for each in trial.findings if each.value is not None}


@pytest.mark.parametrize(
    ("persistence", "how", "lost"),
    [
        (NONE, KILL, 100),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in ((NONE, STOP, 100), (RDB, STOP, 0), (RDB, KILL, 100), (AOF, STOP, 0), (AOF, KILL, 0))
        ),
    ],
)
def test_as_much_is_lost_as_the_settings_say(
    tmp_path: Path, persistence: Persistence, how: signal.Signals, lost: int
) -> None:
    trial = run_scenario(RedisRestart(how, persistence, seconds=2.5, at_s=1.2), OURS, tmp_path)
    found = values(trial)
    assert trial.expected[0].limit == lost
    assert found["jobs_lost_of_pending"] == lost
    assert found["jobs_lost"] == found["jobs_pending"] * lost / 100
    assert 50 < found["jobs_pending"] < found["jobs_acknowledged"] <= 250
    assert found["jobs_ok"] == found["jobs_acknowledged"] - found["jobs_lost"] + found["jobs_recovered"]
    assert "is gone, and the run_id is" in trial.proof.said
    assert trial.verdict is Verdict.PASS, expectations_text([trial])


@pytest.mark.thorough
def test_a_redis_that_nobody_stops_makes_it_void_and_nothing_is_left(tmp_path: Path) -> None:
    trial = run_scenario(RedisRestart(None, NONE, seconds=1.5, at_s=1.0), OURS, tmp_path)
    assert values(trial)["jobs_lost"] == 0
    assert trial.verdict is Verdict.VOID
    (pid,) = re.findall(r"^process (\d+) still serves, and the run_id is ", trial.proof.said)
    assert not psutil.pid_exists(int(pid))


def test_it_is_refused_where_the_servers_are_somebodys_own(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^the scenario redis_aof_kill takes its servers away"):
        run_scenario(RedisRestart(KILL, AOF), System(redis_url="redis://127.0.0.1:6379"), tmp_path)


@pytest.mark.parametrize(
    ("save", "appendonly", "how", "kept"),
    [
        ("", "no", STOP, False),
        ("", "no", KILL, False),
        (RULES, "no", STOP, True),
        (RULES, "no", KILL, False),
        ("", "yes", KILL, True),
        (RULES, "yes", KILL, True),
        ("", "no", None, True),
    ],
)
def test_what_redis_keeps_follows_from_its_settings(
    save: str, appendonly: str, how: signal.Signals | None, kept: bool
) -> None:
    found, why = keeps({"save": save, "appendonly": appendonly}, how, 5.0)
    assert found is kept
    assert why == "it does not end" or why.startswith(f"save '{save}', appendonly {appendonly}: ")


def test_a_kill_after_a_snapshot_may_have_been_written_is_refused() -> None:
    said = (
        f"a snapshot may be written within 60 s by the rules '{RULES}', so what a kill loses is not known before; "
        "let the fault begin before 60 s"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        keeps({"save": RULES, "appendonly": "no"}, KILL, 60.0)
