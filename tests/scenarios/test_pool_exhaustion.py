"""As many clients are refused as the settings say, directly and through a pool; without exhaustion it is void."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from capacity.clock import wait_until
from capacity.display.tables_trials import expectations_text
from capacity.errors import CapacityError
from capacity.findings import Finding, Verdict
from capacity.scenarios.pool_exhaustion import DirectExhaustion, PoolExhaustion
from capacity.scenarios.trial import Trial, read_trial, run_scenario
from capacity.system.addresses import System
from capacity.system.connection_slots import LEAVE, ConnectionSlots, read_connection_slots
from capacity.system.embedded import postgres_url, run_postgres
from capacity.system.server_directory import open_server_directory

REPETITIONS = 5


def told(url: str, statement: LiteralString) -> None:
    """Run a statement, and wait until the server has given its slot back: a trial would find one less."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
        with suppress(psycopg.OperationalError):
            connection.execute(LEAVE)


@pytest.fixture(scope="module")
def served() -> Iterator[System]:
    """A PostgreSQL of its own with 100 connections, of which 3 are for superusers, and an ordinary role."""
    with open_server_directory() as directory:
        port = run_postgres(directory).port
        admin, ordinary = postgres_url("postgres", port), postgres_url("authenticator", port)
        told(admin, "CREATE ROLE authenticator LOGIN")
        yield System(postgres_url=ordinary, postgres_admin_url=admin)


def found(trial: Trial) -> dict[str, Finding]:
    return {each.name.rpartition(".")[2]: each for each in trial.findings}


def values(trial: Trial) -> dict[str, float | None]:
    return {name: each.value for name, each in found(trial).items()}


@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_of_150_clients_of_an_ordinary_role_53_are_refused(served: System, tmp_path: Path, repetition: int) -> None:
    trial = run_scenario(DirectExhaustion(), served, tmp_path)
    (expected,) = trial.expected
    assert (expected.relation, expected.limit) == ("==", 53)
    assert expected.why == "150 clients come, and 97 find a connection: 100 max_connections − 3 reserved − 0 in use"
    assert (values(trial)["refused"], values(trial)["admitted"], values(trial)["other_failures"]) == (53, 97, 0)
    assert trial.verdict is Verdict.PASS, expectations_text([trial])
    assert trial.proof.said == "one more client was told: sorry, too many clients already" or (
        "remaining connection slots are reserved" in trial.proof.said
    )
    readmitted = values(trial)["readmitted"]
    assert readmitted is not None
    assert 0 < readmitted < 5000


def test_a_superuser_may_have_the_reserved_ones_too(served: System, tmp_path: Path) -> None:
    as_superuser = replace(served, postgres_url=served.postgres_admin_url)
    trial = run_scenario(DirectExhaustion(clients=110), as_superuser, tmp_path)
    assert (values(trial)["refused"], trial.verdict) == (10, Verdict.PASS)


def test_what_others_use_is_not_left_for_the_clients(served: System, tmp_path: Path) -> None:
    assert wait_until(lambda: read_connection_slots(served).used == 0, 10)  # the clients of the trials before
    with psycopg.connect(served.postgres_url), psycopg.connect(served.postgres_admin_url):
        assert read_connection_slots(served) == ConnectionSlots(limit=100, reserved=3, used=2)
        trial = run_scenario(DirectExhaustion(clients=100), served, tmp_path)
    assert (values(trial)["refused"], trial.verdict) == (5, Verdict.PASS)


def test_reserved_connections_count_for_those_who_may_not_use_them(tmp_path: Path) -> None:
    with open_server_directory() as directory:
        port = run_postgres(directory, max_connections="20", reserved_connections="4").port
        admin, ordinary = postgres_url("postgres", port), postgres_url("plain", port)
        told(admin, "CREATE ROLE plain LOGIN")
        system = System(postgres_url=ordinary, postgres_admin_url=admin)
        trial = run_scenario(DirectExhaustion(clients=30), system, tmp_path / "plain")
        assert (values(trial)["refused"], trial.verdict) == (17, Verdict.PASS)
        told(admin, "GRANT pg_use_reserved_connections TO plain")
        trial = run_scenario(DirectExhaustion(clients=30), system, tmp_path / "member")
        assert (values(trial)["refused"], trial.verdict) == (13, Verdict.PASS)


def test_clients_that_all_find_a_connection_are_no_exhaustion(served: System, tmp_path: Path) -> None:
    trial = run_scenario(DirectExhaustion(clients=60), served, tmp_path)
    assert values(trial)["refused"] == trial.expected[0].limit == 0
    assert trial.verdict is Verdict.VOID
    assert trial.proof.said == "one more client was let in, so there were connections left"
    assert found(trial)["refused"].void == f"the fault was not applied: {trial.proof.said}"


def test_nothing_is_left_connected(served: System, tmp_path: Path) -> None:
    run_scenario(DirectExhaustion(), served, tmp_path / "direct")
    run_scenario(PoolExhaustion(hold_s=0.2, wait_s=0.05), served, tmp_path / "pool")
    assert read_connection_slots(served).used == 0


@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_a_pool_larger_than_the_server_serves_97_and_hides_the_refusals(
    served: System, tmp_path: Path, repetition: int
) -> None:
    trial = run_scenario(PoolExhaustion(), served, tmp_path)
    refused, hidden = trial.expected
    assert (refused.limit, hidden.limit) == (53, 3)
    assert refused.why == (
        "150 clients come, and 97 connections serve 1 each before the others give up: the pool has 100, "
        "and the server lets in 100 max_connections − 3 reserved − 0 in use"
    )
    assert values(trial)["refused"] == 53
    assert trial.verdict is Verdict.PASS, expectations_text([trial])
    assert trial.proof.said == "53 of 150 clients found none of 97 connections free"


def test_a_pool_within_the_servers_limit_refuses_by_its_own_size_and_hides_nothing(
    served: System, tmp_path: Path
) -> None:
    trial = run_scenario(PoolExhaustion(size=90), served, tmp_path)
    assert (values(trial)["refused"], values(trial)["hidden_refusals"]) == (60, 0)
    assert trial.verdict is Verdict.PASS, expectations_text([trial])


def test_with_patience_every_client_is_served_after_one_turn(served: System, tmp_path: Path) -> None:
    trial = run_scenario(PoolExhaustion(size=90, hold_s=0.5, wait_s=3.2), served, tmp_path)
    waited = values(trial)["longest_wait"]
    assert values(trial)["refused"] == 0
    assert waited is not None
    assert 450 < waited < 2000
    assert trial.verdict is Verdict.PASS, expectations_text([trial])


def test_a_pool_that_nobody_has_to_wait_for_is_no_exhaustion(served: System, tmp_path: Path) -> None:
    trial = run_scenario(PoolExhaustion(clients=20, size=40, hold_s=0.1, wait_s=0.05), served, tmp_path)
    assert trial.verdict is Verdict.VOID
    assert trial.proof.said == "0 of 20 clients found none of 40 connections free"


def test_a_wait_of_just_a_turn_is_refused_because_chance_decides() -> None:
    said = (
        "clients that hold for 0.5 s and wait for 1 s are served or not by chance; "
        "give a wait that is clearly off a multiple of the hold"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(said)}$"):
        PoolExhaustion(hold_s=0.5, wait_s=1.0)


def test_a_trial_is_kept_and_read_again(served: System, tmp_path: Path) -> None:
    trial = run_scenario(DirectExhaustion(), served, tmp_path)
    assert read_trial(tmp_path) == trial
    with pytest.raises(CapacityError, match=r"^cannot read the trial in .*; run the scenario into it first$"):
        read_trial(tmp_path / "nowhere")


def test_a_server_that_is_down_is_one_sentence(tmp_path: Path) -> None:
    nowhere = System(postgres_url="postgresql://a@127.0.0.1:1/x")
    with pytest.raises(CapacityError, match=r"^PostgreSQL does not answer: "):
        run_scenario(DirectExhaustion(), nowhere, tmp_path)
