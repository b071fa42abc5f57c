"""Transactions go out in a pipeline, prepared or not, and a failure has PostgreSQL's own name."""

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from capacity.load.arguments import Draw
from capacity.load.arrivals import arrivals_of
from capacity.load.connection import ConnectionLostError
from capacity.load.engine import Engine
from capacity.load.postgres import PostgresConnection, PostgresStatements, _lost
from capacity.load.schedule import Schedule
from capacity.recording import Recording, create_recording, finish_recording, open_recording
from capacity.streams import GaugeWriter, SampleWriter
from capacity.workload import parse_workload

IDENTITY = {"id": {"kind": "uniform", "low": 1, "high": 1000}}
TWO_STATEMENTS = {
    "name": "PAIR",
    "weight": 50,
    "statements": [
        {"sql": "insert into pairs (id) values ($1::int)", "parameters": ["id"]},
        {"sql": "insert into pairs (id) values (-$1::int)", "parameters": ["id"]},
    ],
    "parameters": IDENTITY,
}
FAILING = {
    "name": "FAIL",
    "weight": 50,
    "statements": [
        {"sql": "insert into halves (id) values ($1::int)", "parameters": ["id"]},
        {"sql": "select 1 / ($1::int - $1::int)", "parameters": ["id"]},
    ],
    "parameters": IDENTITY,
}


def drive(url: str, path: Path, prepared: bool, *operations: dict[str, Any]) -> Recording:
    values: dict[str, Any] = {
        "name": "w",
        "target": "postgres",
        "connections": 5,
        "operations": operations,
        "shapes": {"smoke": {"kind": "rate", "stages": [{"name": "sustain", "seconds": 1, "to": 300}]}},
    }
    workload = parse_workload(values)
    create_recording(path, {"operations": [each["name"] for each in operations]})
    samples, gauges = SampleWriter(path, 0), GaugeWriter(path, "generator")
    statements = PostgresStatements(workload, Draw(workload.seed), prepared)
    pool = [PostgresConnection(url, statements, samples.error_code, 5.0) for _ in range(workload.connections)]
    engine = Engine(arrivals_of(Schedule(workload, workload.shape("smoke"))), pool, samples, gauges, 5.0)
    assert engine.connect() == workload.connections, engine.refused
    engine.run(time.monotonic_ns())
    samples.close()
    gauges.close()
    finish_recording(path, {})
    return open_recording(path)


@pytest.mark.parametrize("prepared", [True, False])
def test_an_operation_is_one_transaction(postgres_url: str, tmp_path: Path, prepared: bool) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create table pairs (id int)")
        admin.execute("create table halves (id int)")
        samples = drive(postgres_url, tmp_path / "r", prepared, TWO_STATEMENTS, FAILING).samples
        pairs = admin.execute("select count(*), coalesce(sum(id), 0) from pairs").fetchone()
        halves = admin.execute("select count(*) from halves").fetchone()
        admin.execute("drop table pairs, halves")
    done = samples[samples["operation"] == "PAIR"]
    assert set(done["outcome"]) == {"ok"}
    assert pairs == (2 * len(done), 0)
    assert halves == (0,)
    failed = samples[samples["operation"] == "FAIL"]
    assert len(failed) > 50
    assert set(failed["error"]) == {"DivisionByZero (22012)"}


def test_the_text_of_a_failure_makes_no_class(postgres_url: str, tmp_path: Path) -> None:
    """Each says another text, of the same SQLSTATE or as the reason for which a connection ends."""
    texts = """create or replace function fails(id int) returns int language plpgsql as
    $$begin raise exception 'no account % of %', id, random() using errcode = 'P0002'; end$$"""
    calls = {"name": "FAILS", "weight": 100, "statements": [{"sql": "select fails($1::int)", "parameters": ["id"]}]}
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(texts)
        samples = drive(postgres_url, tmp_path / "r", True, {**calls, "parameters": IDENTITY}).samples
    assert len(samples) > 200
    assert set(samples["error"]) == {"NoDataFound (P0002)"}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "server closed the connection unexpectedly\n\tThis probably means",
            "server closed the connection unexpectedly",
        ),
        ('lost synchronization: got message type "x", length 17', "lost synchronization: got message type …, length …"),
        ("", "connection lost"),
    ],
)
def test_a_lost_connection_is_named_without_numbers_and_names(said: str, kind: str) -> None:
    assert _lost(psycopg.OperationalError(said)) == kind


def test_a_server_that_is_down_is_one_sentence() -> None:
    statements = PostgresStatements.__new__(PostgresStatements)
    statements.prepared, statements.pipelined, statements.sql, statements.streams = True, False, {}, []
    connection = PostgresConnection("postgresql://127.0.0.1:1/x", statements, lambda name: 1, 2.0)
    with pytest.raises(ConnectionLostError, match=r"connection to server at .127\.0\.0\.1., port 1 failed") as refused:
        connection.open()
    assert "\n" not in str(refused.value)
