"""Trials come one after the other, each is kept whatever the next does, and servers that are not ours are spared."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.findings import Objective, Verdict, judge_all
from capacity.objectives import read_expectations, write_objectives
from capacity.scenarios.matrix import MATRIX, Kind, Row, chosen_rows
from capacity.scenarios.trial import Observed, Proof, Ready, counted
from capacity.scenarios.trials import (
    FAILURE,
    StoredTrial,
    failover_expectations,
    failover_findings,
    not_run,
    read_course,
    read_trials,
    run_failover,
    run_rows,
    scenario_label,
    trials_of,
)
from capacity.system.addresses import System
from capacity.system.embedded import open_system, postgres_url, run_postgres
from capacity.system.server_directory import open_server_directory

OWN = System(postgres_url="postgresql://a@127.0.0.1:1/x")


@dataclass
class Pretended:
    """A scenario that only says what it is told to say."""

    name: str
    raises: Exception | None = None
    applied: bool = True
    destructive: bool = False

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        yield Ready(
            (Objective(f"failover.{self.name}.lost", "==", 3, source="settings", why="5 jobs − 2 kept"),), self._see
        )

    def _see(self, folder: Path) -> Observed:
        if self.raises:
            raise self.raises
        return Observed(Proof(self.applied, "12 is gone"), (counted(self.name, "lost", 3, title="jobs lost", count=5),))


def rows(*scenarios: Pretended) -> list[Row]:
    return [Row(Kind.WORKER, each) for each in scenarios]


def verdicts(trials: Sequence[StoredTrial]) -> dict[str, Verdict]:
    return {stored.trial.scenario: stored.trial.verdict for stored in trials}


def test_one_that_breaks_is_void_with_its_reason_and_the_others_are_kept(tmp_path: Path) -> None:
    broken = Pretended("second", raises=CapacityError("Redis did not start: port taken"))
    defect = Pretended("third", raises=ZeroDivisionError("division by zero"))
    mine = rows(Pretended("first"), broken, defect, Pretended("fourth"))
    run_rows(mine, OWN, tmp_path)
    trials = read_trials(tmp_path)
    assert verdicts(trials) == {
        "first": Verdict.PASS,
        "second": Verdict.VOID,
        "third": Verdict.VOID,
        "fourth": Verdict.PASS,
    }
    assert trials[1].trial.proof.said == "it did not come to its end: Redis did not start: port taken"
    assert trials[2].trial.proof.said == "it did not come to its end: ZeroDivisionError: division by zero"
    assert {verdict for _, _, verdict in trials[1].trial.verdicts} == {Verdict.VOID}
    assert "ZeroDivisionError" in (tmp_path / "third" / FAILURE).read_text()
    assert [stored.trial.scenario for stored in trials_of(trials, "worker")] == ["first", "second", "third", "fourth"]
    assert trials_of(trials, "pool") == []


def test_what_finished_is_there_where_the_run_was_interrupted(tmp_path: Path) -> None:
    interrupting = Pretended("second")
    interrupting.raises = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        run_rows(rows(Pretended("first"), interrupting, Pretended("third")), OWN, tmp_path)
    assert verdicts(read_trials(tmp_path)) == {"first": Verdict.PASS}


def test_expectations_and_findings_reach_the_judge_by_files_as_the_trials_had_them(tmp_path: Path) -> None:
    run_rows(rows(Pretended("first"), Pretended("second", applied=False)), OWN, tmp_path / "trials")
    trials = read_trials(tmp_path / "trials")
    write_objectives(tmp_path / "failover.yaml", failover_expectations(trials))
    expected = read_expectations(tmp_path)
    findings = failover_findings(trials)
    assert [verdict for _, _, verdict in judge_all(findings, expected)] == [Verdict.PASS, Verdict.VOID]
    assert (expected[0].title, expected[0].grounds) == ("first: jobs lost", "5 jobs − 2 kept (settings)")
    assert {each.recording for each in findings} == {"trials/first", "trials/second"}


def test_on_servers_of_somebody_else_only_those_run_that_leave_them_in_place(tmp_path: Path) -> None:
    run_rows(rows(Pretended("kill", destructive=True), Pretended("crowd")), OWN, tmp_path)
    assert verdicts(read_trials(tmp_path)) == {"crowd": Verdict.PASS}
    assert not_run(tmp_path) == (
        "kill would take servers away, which is done only to those that the suite started itself; "
        "on servers of your own these can run: "
        + ", ".join(row.scenario.name for row in MATRIX if not row.scenario.destructive)
    )
    said = re.escape(f"no fault is left to apply: {not_run(tmp_path)}")
    with pytest.raises(CapacityError, match=f"^{said}$"):
        run_rows(rows(Pretended("kill", destructive=True)), OWN, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_users_own_postgresql_is_crowded_and_nothing_else_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_server_directory() as directory:
        port = run_postgres(directory, max_connections="30").port
        with psycopg.connect(postgres_url("postgres", port), autocommit=True) as connection:
            connection.execute("CREATE ROLE plain LOGIN")
        monkeypatch.setenv("CAPACITY_POSTGRES_URL", postgres_url("plain", port))
        monkeypatch.setenv("CAPACITY_POSTGRES_ADMIN_URL", postgres_url("postgres", port))
        names = "direct_connections,redis_aof_kill,database_kill"
        trials = read_trials(run_failover(True, "smoke", tmp_path / "trials", scenarios=names))
    assert verdicts(trials) == {"direct_connections": Verdict.PASS}
    why = "150 clients come, and 27 find a connection: 30 max_connections − 3 reserved − 0 in use"
    assert trials[0].trial.expected[0].why == why
    assert not_run(tmp_path / "trials").startswith("redis_aof_kill, database_kill would take servers away")


def test_on_servers_of_ours_an_empty_database_will_do(tmp_path: Path) -> None:
    with open_system({}) as system:
        run_rows(chosen_rows("smoke", "", "direct_connections"), system, tmp_path)
    assert verdicts(read_trials(tmp_path)) == {"direct_connections": Verdict.PASS}
    assert read_course(read_trials(tmp_path)[0]) is None  # it has no load over time


def test_a_folder_without_trials_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^cannot read the trials in .*; run the scenarios into it first$"):
        read_trials(tmp_path)


def test_names_are_words() -> None:
    assert scenario_label("redis_aof_kill") == "Redis AOF kill"
