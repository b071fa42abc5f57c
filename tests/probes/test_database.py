"""The database probe end to end on a real PostgreSQL: from workloads to verdicts."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import papermill
import psutil
import psycopg
import pytest

from capacity.analysis.measured.database import NOT_HERE
from capacity.analysis.measured.failures import ELSEWHERE
from capacity.display.charts import paired_differences
from capacity.errors import CapacityError
from capacity.findings import Finding, Verdict, judge_all
from capacity.objectives import read_objectives
from capacity.probes.database import measure_database, read_database_findings, row_security_measured
from capacity.recording import note_facts, open_recording
from capacity.system import postmaster
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, Dataset
from capacity.workload import Workload, parse_workload, read_workload

DATA = Path(__file__).parents[2] / "data"


def short(name: str, users: int, seconds: float) -> Workload:
    values = read_workload(DATA / "workloads" / f"{name}.yaml").model_dump()
    stages = [
        {"name": "ramp", "seconds": 0.5, "to": users, "ramp": True},
        {"name": "all", "seconds": seconds, "to": users},
    ]
    return parse_workload(values | {"shapes": {"test": {"kind": "users", "think_ms": 2, "stages": stages}}})


@pytest.fixture(scope="module")
def folder(system: System, write_workloads: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "test", Dataset(1000, 5))
        into = tmp_path_factory.mktemp("run")
        write_workloads(into, short("database", 8, 4.0), short("row_security", 1, 3.0))
        return measure_database(system, into, "test", into / "database")


@pytest.fixture(scope="module")
def findings(folder: Path) -> dict[str, Finding]:
    return {each.name: each for each in read_database_findings(folder)}


def test_every_objective_of_the_section_has_a_finding_in_its_unit(findings: dict[str, Finding]) -> None:
    objectives = [each for each in read_objectives(DATA / "objectives.yaml") if each.finding.startswith("database.")]
    judged = judge_all(findings.values(), objectives)
    missing = [objective.finding for objective, finding, _ in judged if finding is None]
    assert not missing
    assert len(judged) == 12


def test_what_was_counted_passes_or_fails_and_is_never_left_open(findings: dict[str, Finding]) -> None:
    counted = [replace(each, void=None) for each in findings.values()]  # a busy machine starves the generator
    judged = {
        each.finding: verdict for each, _, verdict in judge_all(counted, read_objectives(DATA / "objectives.yaml"))
    }
    for name in ("deadlocks", "rollbacks", "pool_exhaustions", "connections_refused"):
        assert judged[f"database.{name}"] in (Verdict.PASS, Verdict.FAIL)
    recorded = read_database_findings(DATA / "recorded" / "database")
    judged = {
        each.finding: verdict for each, _, verdict in judge_all(recorded, read_objectives(DATA / "objectives.yaml"))
    }
    for name in ("deadlocks", "rollbacks", "pool_exhaustions", "connections_refused"):
        assert judged[f"database.{name}"] in (Verdict.PASS, Verdict.FAIL)


def test_the_mix_is_reported_per_operation_and_overall(findings: dict[str, Finding]) -> None:
    parts = ("", "select.", "insert.", "update.", "delete.")
    counts = {part: findings[f"database.{part}response_p50"].count for part in parts}
    assert counts[""] == sum(counts[part] for part in parts[1:]) > 500
    assert counts["select."] / counts[""] == pytest.approx(0.40, abs=0.08)


def test_row_security_costs_something_and_less_than_the_query_itself(findings: dict[str, Finding]) -> None:
    cost = findings["database.row_security_cost"]
    assert cost.count > 100
    assert cost.low is not None
    assert cost.high is not None
    assert cost.low <= (cost.value or 0.0) <= cost.high
    assert abs(cost.value or 0.0) < (findings["database.select.response_p50"].value or 0.0)


def test_throughput_is_that_of_a_closed_loop(findings: dict[str, Finding]) -> None:
    throughput, response = findings["database.throughput"].value, findings["database.response_p50"].value
    assert throughput is not None
    assert response is not None
    assert 100 < throughput < 8 / 0.002


def test_the_cpu_and_memory_of_the_servers_processes_are_read(folder: Path, findings: dict[str, Finding]) -> None:
    """All of its CPU that was used while the mix ran is no more than all cores had."""
    cpu, memory, used = (findings[f"database.{name}"] for name in ("cpu_share", "memory", "memory_utilisation"))
    cores = open_recording(folder).manifest["machine"]["cpus"]
    assert cpu.low is not None and cpu.value is not None
    assert 0 <= cpu.low < cpu.value < 100 * cores
    assert memory.value is not None and used.value is not None
    assert used.value == pytest.approx(100 * memory.value * 1e6 / psutil.virtual_memory().total)
    assert 0 < used.value < 100
    told = open_recording(folder).manifest["system"]
    assert told["server"].startswith("PostgreSQL")
    assert told["memory_by"] in ("PSS", "RSS")
    assert not set(open_recording(folder / "row_security").gauges["gauge"]) & {
        "postgres.cpu_s",
        "postgres.memory_bytes",
        "postgres.sent_bytes",
    }
    moved = findings["database.device_throughput"]
    assert (moved.value or 0) > 0, moved


@pytest.mark.thorough
def test_of_a_server_on_another_machine_they_are_not_measured(
    system: System, write_workloads: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It numbers its processes as it likes."""
    monkeypatch.setattr(postmaster, "BACKEND", f"SELECT {os.getpid()}, '[local]'")
    monkeypatch.setitem(DATASETS, "test", Dataset(1000, 5))
    workloads = write_workloads(tmp_path, short("database", 2, 0.5), short("row_security", 1, 0.5))
    folder = measure_database(system, workloads, "test", tmp_path / "database")
    found = {each.name: each for each in read_database_findings(folder)}
    assert found["database.success_rate"].count > 0
    for name in ("cpu_share", "memory", "memory_utilisation"):
        assert found[f"database.{name}"].value is None
        assert found[f"database.{name}"].note == NOT_HERE
    for name in ("device_read", "device_write", "device_operations", "device_throughput"):
        assert (found[f"database.{name}"].value, found[f"database.{name}"].note) == (None, ELSEWHERE)


def test_an_unknown_profile_is_one_sentence(system: System, tmp_path: Path) -> None:
    with pytest.raises(
        CapacityError, match="database has no shape for the profile 'enormous'; it has smoke, standard, full"
    ):
        measure_database(system, DATA / "workloads", "enormous", tmp_path / "database")


OWN = {
    "name": "database",
    "target": "postgres",
    "connections": 2,
    "operations": [{"name": "read", "weight": 100, "statements": [{"sql": "SELECT n FROM stock.items LIMIT 1"}]}],
    "shapes": {"smoke": {"kind": "rate", "stages": [{"name": "sustain", "seconds": 2, "to": 100}]}},
}
ITEMS = """
CREATE SCHEMA stock;
CREATE TABLE stock.items AS SELECT 1 AS n;
GRANT USAGE ON SCHEMA stock TO stockkeeper;
"""
MADE = "SELECT nspname FROM pg_namespace WHERE nspname IN ('capacity', 'auth')"


@pytest.fixture(scope="module")
def stock(system: System) -> Iterator[System]:
    """A database of somebody's own, whose only role has no right but to use a schema."""
    admin = system.postgres_admin_url
    within = f"{admin.rpartition('/')[0]}/stock"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE stock")
        connection.execute("CREATE ROLE stockkeeper LOGIN")
        with psycopg.connect(within, autocommit=True) as there:
            there.execute(ITEMS)
        own = within.replace("postgres@", "stockkeeper@")
        yield System(postgres_url=own, postgres_admin_url=own)
        connection.execute("DROP DATABASE stock WITH (FORCE)")
        connection.execute("DROP ROLE stockkeeper")


@pytest.fixture(scope="module")
def of_stock(stock: System, write_workloads: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of it, once the one right is given without which nothing is measured."""
    folder = tmp_path_factory.mktemp("stock")
    workloads, into = write_workloads(folder, parse_workload(OWN)), folder / "database"
    with pytest.raises(CapacityError, match="refuses the operation 'read': permission denied for table items"):
        measure_database(stock, workloads, "smoke", into)
    assert not into.exists()
    with psycopg.connect(stock.postgres_url.replace("stockkeeper@", "postgres@"), autocommit=True) as connection:
        connection.execute("GRANT SELECT ON stock.items TO stockkeeper")
        measure_database(stock, workloads, "smoke", into)
        assert connection.execute(MADE).fetchall() == []
    return into


def test_a_workload_of_ones_own_needs_no_right_but_that_of_its_statements(of_stock: Path) -> None:
    """Nothing is made for it in the database, the pairs are left out, and what its role may not see is not given."""
    found = {each.name: each for each in read_database_findings(of_stock)}
    assert found["database.success_rate"].value == 100
    assert (found["database.size"].value or 0) > 1
    assert found["database.connections_open"].value is None
    not_given = open_recording(of_stock).manifest["not_given"]
    assert 'GRANT pg_read_all_stats TO "stockkeeper"' in not_given["postgres.connections"]
    assert "database.row_security_cost" not in found
    assert row_security_measured(of_stock, found.values()) == []


@pytest.mark.thorough
def test_the_notebook_runs_through_without_the_pairs(of_stock: Path, tmp_path: Path) -> None:
    notebook = Path(__file__).parents[2] / "notebooks" / "10_database.ipynb"
    given = {"recording": str(of_stock)}
    papermill.execute_notebook(notebook, tmp_path / "out.ipynb", given, cwd=notebook.parent, progress_bar=False)


def test_pairs_that_a_right_is_missing_for_are_not_given_with_the_statement(tmp_path: Path) -> None:
    folder, why = tmp_path / "database", "not given: service_role has no BYPASSRLS: ALTER ROLE service_role BYPASSRLS"
    shutil.copytree(DATA / "recorded" / "database", folder, ignore=shutil.ignore_patterns("row_security"))
    note_facts(folder, {"left_out": {"row_security": why}})
    ((pairs, cost),) = row_security_measured(folder, read_database_findings(folder))
    assert (cost.value, cost.unit, cost.note) == (None, "ms", why)
    assert [each.get_text() for each in paired_differences(pairs, cost).texts] == [why]
