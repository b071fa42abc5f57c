"""The database probe through a real PgBouncer in transaction mode, which is how Supabase's pooler works."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.display.text import load_text
from capacity.errors import CapacityError
from capacity.probes.database import measure_database, read_database_findings
from capacity.probes.levels import open_load_test
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.searches import read_searches
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, prepare_database
from capacity.workload import Workload, parse_workload, read_workload

StartPooler = Callable[..., AbstractContextManager[str]]

WORKLOADS = Path(__file__).parents[2] / "data" / "workloads"
SERVER_CONNECTIONS = 10


@pytest.fixture(scope="module")
def pooled(system: System, start_pooler: StartPooler) -> Iterator[System]:
    """The system with the load going through the pooler; its administrator goes to the server itself."""
    prepare_database(system.postgres_admin_url, DATASETS["smoke"])
    with start_pooler(system.postgres_url, mode="transaction", size=SERVER_CONNECTIONS) as url:
        yield replace(system, postgres_url=url)


def short(name: str) -> Workload:
    workload = read_workload(WORKLOADS / f"{name}.yaml")
    shape = {"kind": "users", "think_ms": 20, "stages": [{"name": "sustain", "seconds": 3.0, "to": 40}]}
    pairs = {"kind": "users", "stages": [{"name": "sustain", "seconds": 1.5, "to": 1}]}
    return parse_workload({**workload.model_dump(), "shapes": {"smoke": pairs if name == "row_security" else shape}})


def test_the_probe_runs_through_it_without_an_error(
    pooled: System, write_workloads: Callable[..., Path], tmp_path: Path
) -> None:
    """90 connections of the load share 10 of the server."""
    workloads = write_workloads(tmp_path, short("database"), short("row_security"))
    folder = measure_database(pooled, workloads, "smoke", tmp_path / "database")
    recording = open_recording(folder)
    samples, facts = recording.samples, recording.facts
    assert (facts.prepared, facts.pooler.partition(" ")[0]) == (False, "PgBouncer")
    assert f"through a transaction pooler ({facts.pooler})\nwithout prepared statements" in load_text(facts)
    assert len(samples) > 1000
    assert set(samples["outcome"]) == {"ok"}
    found = {each.name: each.value for each in read_database_findings(folder)}
    assert found["database.success_rate"] == 100
    assert found["database.rollbacks"] == 0
    opened = found["database.connections_open"]
    assert opened is not None
    assert 1 < opened <= SERVER_CONNECTIONS
    assert found["database.row_security_cost"] is not None


def test_a_level_of_a_search_through_it_is_without_an_error_too(pooled: System, tmp_path: Path) -> None:
    search = read_searches(WORKLOADS / "breaking_point.yaml")["database"]
    with open_load_test("database", search, pooled) as test:
        recording = open_recording(test.measure(200, 1.0, 0.2, tmp_path / "level"))
    assert (recording.facts.prepared, recording.facts.pooler != "") == (False, True)
    assert set(recording.samples["outcome"]) == {"ok"}


@pytest.mark.thorough
def test_prepared_statements_through_it_are_not_a_success(pooled: System, tmp_path: Path) -> None:
    """The reason for measuring without them: a statement is prepared on one server connection and used on another."""
    measurement = Measurement(short("database"), "smoke", prepared=True)
    try:
        measure(
            measurement, pooled.postgres_url, [gauges_of(postgres=pooled.postgres_admin_url)], tmp_path / "prepared"
        )
    except CapacityError as error:
        assert "prepared statement" in str(error)
        return
    recording = open_recording(tmp_path / "prepared")
    assert recording.manifest["refused"] or (recording.samples["outcome"] == "error").any()
