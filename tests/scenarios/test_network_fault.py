"""The way to a server is cut or slow: each request has its answer in time, and what was acknowledged is done."""

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis

from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.recording import open_recording
from capacity.scenarios.network_fault import NetworkFault
from capacity.scenarios.trial import Trial, read_trial, run_scenario
from capacity.scenarios.writes import OWNERS, prepare_tables
from capacity.system.addresses import System
from capacity.system.application.database import Dataset, prepare_database
from capacity.system.application.job_queue import LIMIT_S
from capacity.system.application.pool import ANSWER_S
from capacity.system.network import Fault

BLACK_HOLE, DELAY, REFUSE, RESET = Fault.BLACK_HOLE, Fault.DELAY, Fault.REFUSE, Fault.RESET
SHORT_S = 1.0


def values(trial: Trial) -> dict[str, float]:
    return {each.name.rpartition(".")[2]: each.value for each in trial.findings if each.value is not None}


def limits(scenario: NetworkFault) -> dict[str, tuple[str, float, str]]:
    given = scenario.expectations()
    return {f"{each.finding.rpartition('.')[2]} {each.relation}": (each.limit, each.why) for each in given}


def check(trial: Trial, folder: Path) -> dict[str, float]:
    """What all have in common, some of it counted again from the recording."""
    assert trial.verdict is Verdict.PASS, expectations_text([trial])
    assert read_trial(folder) == trial
    found, recording = values(trial), open_recording(folder)
    samples, ledger = recording.samples, recording.ledger
    assert ledger is not None
    writes = samples[samples["operation"].str.startswith("POST ")]
    acknowledged = int((writes["outcome"] == "ok").sum())
    assert found["requests_acknowledged"] == acknowledged > 0.3 * len(writes)
    assert set(samples["error"].dropna()) <= {"503"}
    assert found["failed_in_all"] == (samples["outcome"] == "error").sum()
    done = ledger.loc[ledger["event"] == "completed", "job"].nunique()
    assert done == found["jobs_ok"] + 1 == acknowledged + found["requests_recovered"] + 1  # one write was made before
    assert found["began"] == pytest.approx(1.0, abs=0.5)
    return found


@pytest.mark.thorough
def test_a_postgres_that_refuses_is_503_and_is_found_again_by_the_next_try(system: System, tmp_path: Path) -> None:
    trial = run_scenario(NetworkFault("postgres", REFUSE, down_s=SHORT_S), system, tmp_path)
    found = check(trial, tmp_path)
    assert found["failed"] > 20
    assert re.fullmatch(r"a new connection through the proxy was refused after [\d.]+ ms", trial.proof.said)


@pytest.mark.thorough
def test_a_redis_that_swallows_costs_no_write_and_its_jobs_are_done_later(system: System, tmp_path: Path) -> None:
    trial = run_scenario(NetworkFault("redis", BLACK_HOLE, down_s=SHORT_S), system, tmp_path)
    found = check(trial, tmp_path)
    assert found["failed_in_all"] == 0
    assert found["slowest"] > 1000 * LIMIT_S
    assert 0 < found["caught_up"] <= 2.75
    assert re.fullmatch(r"a new connection through the proxy was silent after [\d.]+ ms", trial.proof.said)
    with redis.Redis.from_url(system.redis_url) as client:
        assert list(client.scan_iter("trial-*")) == []


@pytest.mark.thorough
def test_a_delay_is_felt_as_often_as_a_write_goes_to_postgres_and_may_be_made_for_somebody_else(
    system: System, tmp_path: Path
) -> None:
    scenario = NetworkFault("postgres", DELAY, down_s=SHORT_S)
    trial = run_scenario(scenario, replace(system, embedded=False), tmp_path)
    found = check(trial, tmp_path)
    assert found["failed_in_all"] == 0
    assert 60 <= found["delay_felt"] <= 100
    said = (
        r"a new connection through the proxy was answered after ([\d.]+) ms, and an exchange was held for ([\d.]+) ms"
    )
    measured = re.fullmatch(said, trial.proof.said)
    assert measured
    assert min(map(float, measured.groups())) >= 80


@pytest.mark.thorough
def test_a_network_that_nobody_disturbs_makes_it_void(system: System, tmp_path: Path) -> None:
    trial = run_scenario(NetworkFault("redis", None, down_s=0.1), system, tmp_path)
    assert values(trial)["failed_in_all"] == values(trial)["jobs_lost"] == 0
    assert trial.verdict is Verdict.VOID
    assert {verdict for _, _, verdict in trial.verdicts} == {Verdict.VOID}
    assert re.fullmatch(r"a new connection through the proxy was answered after [\d.]+ ms", trial.proof.said)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres", "redis"])
@pytest.mark.parametrize("fault", [BLACK_HOLE, DELAY, REFUSE, RESET])
def test_every_fault_before_every_server_is_as_expected(
    system: System, tmp_path: Path, server: str, fault: Fault
) -> None:
    scenario = NetworkFault(server, fault)  # type: ignore[arg-type]
    found = check(run_scenario(scenario, system, tmp_path), tmp_path)
    waits = {("postgres", BLACK_HOLE): ANSWER_S, ("redis", BLACK_HOLE): LIMIT_S}
    assert found["slowest"] > 1000 * waits.get((server, fault), 0.0)
    assert (found["failed"] > 50) == (server == "postgres" and scenario.destructive)


def test_what_is_expected_is_the_sum_of_the_gateways_time_limits() -> None:
    busy = "+ 500 ms for a busy machine"
    assert limits(NetworkFault("postgres", BLACK_HOLE, wait_s=0.5))["slowest <="] == (
        3000,
        f"0.5 s for a connection + 2 s for its answer {busy}",
    )
    for fault in (REFUSE, RESET):
        found = limits(NetworkFault("postgres", fault))
        assert found["slowest <="] == (700, f"0.2 s for a connection {busy}")
        assert found["restored <="] == (1500, f"1 s between two tries {busy}")
        assert "failed_in_all ==" not in found
        found = limits(NetworkFault("redis", fault))
        assert found["slowest <="] == (750, f"0.25 s for an exchange with Redis {busy}")
        assert found["caught_up <="] == (2.75, f"1 s of age + 1 s between looks + 0.25 s for one {busy}")
        assert found["failed_in_all =="][0] == 0
    found = limits(NetworkFault("redis", DELAY))
    assert found["delay_felt >="] == (60, "1 exchange × 80 ms − 25%")
    assert found["delay_felt <="] == (100, "1 exchange × 80 ms + 25%")
    assert found["slowest <="] == (580, f"1 exchange × 0.08 s {busy}")


def test_only_a_delay_is_harmless() -> None:
    assert [NetworkFault("redis", each).destructive for each in (None, DELAY)] == [False, False]
    assert [NetworkFault("redis", each).destructive for each in (BLACK_HOLE, REFUSE, RESET)] == [True] * 3


def test_the_way_to_somebody_elses_server_is_not_cut(system: System, tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^the scenario network_redis_refuse takes its servers away"):
        run_scenario(NetworkFault("redis", REFUSE), replace(system, embedded=False), tmp_path)


def test_a_gateway_of_ones_own_cannot_be_led_through_the_proxy(system: System, tmp_path: Path) -> None:
    said = (
        "the gateway of CAPACITY_GATEWAY_URL finds its servers by itself, so no proxy can be put between them; "
        "unset it, and a gateway of the suite's own is started"
    )
    own = replace(system, gateway_url="http://127.0.0.1:8000", embedded=False)
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        run_scenario(NetworkFault("postgres", DELAY), own, tmp_path)


def test_a_black_hole_that_ends_too_soon_and_a_delay_that_is_an_outage_are_refused() -> None:
    said = "a black hole of 2 s is over before the gateway gives up, which it does after 2.2 s; let it last longer"
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        NetworkFault("postgres", BLACK_HOLE, down_s=2.0)
    said = "a delay of 250 ms is an outage to a gateway that waits 0.25 s for Redis; give a shorter one"
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        NetworkFault("redis", DELAY, delay_ms=250)
    said = "a delay of 2000 ms is an outage to a gateway that waits 2 s for PostgreSQL; give a shorter one"
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        NetworkFault("postgres", DELAY, delay_ms=2000)


def test_tables_that_are_there_are_kept_as_they_are_filled(system: System) -> None:
    prepare_database(system.postgres_admin_url, Dataset(OWNERS, 3))
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        prepare_tables(system)
        assert connection.execute("SELECT count(*) FROM capacity.posts").fetchone() == (3 * OWNERS,)
        connection.execute("DROP SCHEMA capacity CASCADE")
        prepare_tables(system)
        assert connection.execute("SELECT count(*) FROM capacity.posts").fetchone() == (OWNERS,)
