"""The database probe through a real PgBouncer in transaction mode, which is how Supabase's pooler works."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.probes.database import measure_database, read_database_findings
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, prepare_database
from capacity.workload import Workload, parse_workload, read_workload

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
WORKLOADS = Path(__file__).parents[2] / "data" / "workloads"
SERVER_CONNECTIONS = 10
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
"""

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed (Debian: apt install pgbouncer)")


@pytest.fixture(scope="module")
def pooled(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system with the load going through the pooler; its administrator goes to the server itself."""
    assert PROGRAM
    prepare_database(system.postgres_admin_url, DATASETS["smoke"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own_port = taken.getsockname()[1]
    info = psycopg.conninfo.conninfo_to_dict(system.postgres_url)
    values = {"own_port": own_port, "size": SERVER_CONNECTIONS}
    file = tmp_path_factory.mktemp("pooler") / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(host=info["host"], port=info["port"], user=info["user"], **values))
    pooler = subprocess.Popen([PROGRAM, "-q", "-u", "nobody", str(file)], stderr=subprocess.PIPE, text=True)
    url = f"postgresql://{info['user']}@127.0.0.1:{own_port}/{info['dbname']}"
    try:
        deadline = time.monotonic() + 20
        while not answers(url):
            assert pooler.poll() is None, pooler.stderr and pooler.stderr.read()
            assert time.monotonic() < deadline, "PgBouncer did not answer"
            time.sleep(0.05)
        yield replace(system, postgres_url=url)
    finally:
        pooler.terminate()
        pooler.wait()


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


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
    folder = measure_database(pooled, workloads, "smoke", tmp_path / "database", prepared=False)
    samples = open_recording(folder).samples
    assert len(samples) > 1000
    assert set(samples["outcome"]) == {"ok"}
    found = {each.name: each.value for each in read_database_findings(folder)}
    assert found["database.success_rate"] == 100
    assert found["database.rollbacks"] == 0
    opened = found["database.connections_open"]
    assert opened is not None
    assert 1 < opened <= SERVER_CONNECTIONS
    assert found["database.row_security_cost"] is not None


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
