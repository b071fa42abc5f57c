"""What docs/what_is_given.md says of PostgreSQL and PgBouncer, cell by cell, on servers of these versions."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from capacity.analysis.measured.database import database_findings
from capacity.findings import Finding
from capacity.load.fork_server import ForkServer
from capacity.probes.measurement import GAUGES, GENERATOR, Measurement, gauges_of, measure
from capacity.recording import open_recording
from capacity.system.embedded import RunningServer, run_postgres
from capacity.system.postmaster import find_postmaster
from capacity.system.programs import POSTGRES_BIN
from capacity.system.server_directory import open_server_directory
from capacity.workload import parse_workload
from tests.stock import TABLES, selling, tell

PAGE = Path(__file__).parents[2] / "docs" / "what_is_given.md"
LACKS = {  # of each letter: what is said where it is missing
    "A": "it may not see others' activity: GRANT pg_read_all_stats",
    "B": "track_counts is off",
    "C": "track_io_timing is off",
    "D": "track_wal_io_timing is off",
    "E": "not measured: the server's processes are elsewhere",
    "F": "the server's processes are elsewhere",
    "G": "the server's processes are elsewhere",
}
OFF = {"track_io_timing": "off", "track_wal_io_timing": "off", "track_counts": "off"}
IDLE = ("nothing was read from the device", "other programs moved most of what the device did")
Measured = Callable[..., dict[str, Finding]]
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Measures that load at an address, read at another one; gives the findings by their whole names."""
    children = ForkServer(GENERATOR, GAUGES)

    def made(url: str, admin_url: str, pid: int | None = None) -> dict[str, Finding]:
        processes = {} if pid is None else dict.fromkeys(("server", "device"), f"postgres={pid}")
        watchers = [gauges_of(postgres=admin_url, **processes, locks=admin_url)]
        load = Measurement(parse_workload(selling(5)), "test", prepared=False)
        folder = tmp_path_factory.mktemp("own") / "r"
        main = open_recording(measure(load, url, watchers, folder, start=children.start))
        return {each.name: each for each in database_findings("r", main.samples, main.gauges, main.facts)}

    yield made
    children.close()


@pytest.fixture(params=["14", "15", "16", "17", "18"])
def start(request: pytest.FixtureRequest, postgres_of: Callable[[str], Path]) -> Iterator[Callable[..., RunningServer]]:
    """Starts a PostgreSQL of a version with these settings and a table."""
    with pytest.MonkeyPatch.context() as patch, open_server_directory() as directory:
        if request.param != "18":
            patch.setenv(POSTGRES_BIN, str(postgres_of(request.param)))

        def started(**settings: str) -> RunningServer:
            server = run_postgres(directory, shared_buffers="128kB", **settings)
            tell(server, "CREATE ROLE admin LOGIN", *TABLES)
            return server

        yield started


def cells(version: int) -> dict[str, str]:
    """What the page says of each finding in a version."""
    section = PAGE.read_text(encoding="utf-8").partition("## PostgreSQL\n")[2].partition("\n### ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    (column,) = [place for place, head in enumerate(rows[0]) if str(version) in head.split(", ")]
    return {row[0].strip("`"): row[column] for row in rows[2:]}


def as_role(server: RunningServer, role: str) -> str:
    return server.url.replace("postgres@", f"{role}@")


def version_of(server: RunningServer) -> int:
    with psycopg.connect(server.url) as connection:
        return connection.info.server_version // 10_000


def test_what_a_server_lacks_is_not_given_with_its_name_and_all_else_is_given(
    start: Callable[..., RunningServer], measured: Measured
) -> None:
    """With everything off and elsewhere, as a role without rights."""
    server = start(**OFF)
    found = measured(as_role(server, "app"), as_role(server, "admin"))
    for name, cell in cells(version_of(server)).items():
        if cell == "given":
            assert found[name].value is not None, found[name]
        else:
            lacks = "has no pg_stat_io" if cell == "not given" else LACKS[cell.strip("*")]
            assert found[name].value is None and lacks in found[name].note, (cell, found[name])


def test_with_all_that_it_wants_each_finding_is_given_but_what_the_version_has_not(
    start: Callable[..., RunningServer], measured: Measured
) -> None:
    server = start()
    tell(server, "GRANT pg_read_all_stats TO admin")
    found = measured(as_role(server, "app"), as_role(server, "admin"), find_postmaster(server.url))
    for name, cell in cells(version_of(server)).items():
        told, one = re.fullmatch(r"given|\*\*[A-G]\*\*", cell), found[name]
        assert (one.value is not None) == bool(told) or one.note.startswith(IDLE), (cell, one)
    asked, done = (found[f"database.{each}_throughput"].value or 0 for each in ("log", "device"))
    assert asked > 0 and done > 0


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("through", [True, False])
def test_through_pgbouncer_all_is_given_that_the_server_gives(
    measured: Measured, start_pooler: Callable[..., AbstractContextManager[str]], mode: str, through: bool
) -> None:
    with open_server_directory() as directory:
        server = run_postgres(directory, shared_buffers="128kB")
        tell(server, "CREATE ROLE admin LOGIN", *TABLES)
        with start_pooler(server.url, mode) as pooled:
            found = measured(pooled, pooled if through else server.url)
    for name, cell in cells(18).items():
        assert (found[name].value is not None) == (cell.strip("*") not in "EFG"), found[name]
    assert found["database.pool_utilisation"].value is not None
    assert found["database.success_rate"].value == 100
