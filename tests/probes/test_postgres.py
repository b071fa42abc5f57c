"""PostgreSQL's figures on a real server whose settings, rights and life are not what the figures need."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from capacity.analysis.measured.database import database_findings
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.load.fork_server import ForkServer
from capacity.probes.database import BUSY, wait_until_idle
from capacity.probes.measurement import GAUGES, GENERATOR, Measurement, gauges_of, measure
from capacity.probes.readers.postgres import postgres_reader
from capacity.recording import open_recording
from capacity.system import embedded
from capacity.system.embedded import RunningServer, run_postgres
from capacity.system.server_directory import open_server_directory
from capacity.workload import parse_workload
from tests.stock import TABLES, selling, tell

# In a file, so that they can be changed while it runs.
SETTINGS = {"track_io_timing": "on", "track_wal_io_timing": "on"}
Told = Callable[..., None]
Measured = Callable[..., dict[str, Finding]]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A PostgreSQL with the least buffers, whose tracking settings can be changed."""
    fewer = {name: value for name, value in embedded.POSTGRES_SETTINGS.items() if name not in SETTINGS}
    with pytest.MonkeyPatch.context() as patch, open_server_directory() as directory:
        patch.setattr(embedded, "POSTGRES_SETTINGS", fewer)
        started = run_postgres(directory, shared_buffers="128kB")
        tell(started, "CREATE ROLE watched LOGIN", *TABLES)
        yield started


@pytest.fixture
def told(server: RunningServer) -> Iterator[Told]:
    """Executes statements as the superuser, with all tracking on before and afterwards."""
    on = [f"ALTER SYSTEM SET {name} = {value}" for name, value in SETTINGS.items()] + ["SELECT pg_reload_conf()"]
    tell(server, *on)
    until_read(server, "postgres.io_timed", 1.0)
    yield lambda *statements: tell(server, *statements)
    tell(server, "ALTER SYSTEM RESET ALL", "ALTER ROLE app RESET ALL", "ALTER DATABASE postgres RESET ALL", *on)


def until_read(server: RunningServer, gauge: str, value: float) -> None:
    """Wait until new sessions see a setting: the postmaster reads its file a moment after it is told to."""
    for _ in range(200):
        if postgres_reader(server.url)[0]()[gauge] == value:
            return
    raise AssertionError(f"{gauge} was never {value}")


@pytest.fixture(scope="module")
def measured(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Measures the table's load, and what is done meanwhile; gives the findings without their section."""
    children = ForkServer(GENERATOR, GAUGES)

    def made(*meanwhile: Callable[[], None]) -> dict[str, Finding]:
        due = list(meanwhile)

        def under_way(seconds: float) -> None:
            if seconds > 1.5 and due:
                due.pop()()

        folder = tmp_path_factory.mktemp("own") / "r"
        load = Measurement(parse_workload(selling(3)), "test", prepared=False)
        url, watchers = server.url.replace("postgres@", "app@"), [gauges_of(postgres=server.url)]
        main = open_recording(measure(load, url, watchers, folder, start=children.start, under_way=under_way))
        found = database_findings("r", main.samples, main.gauges, main.facts)
        return {each.name.removeprefix("database."): each for each in found}

    yield made
    children.close()


TIMED = {"read_wait": "track_io_timing", "write_wait": "track_io_timing", "log_sync": "track_wal_io_timing"}
COUNTED = dict.fromkeys(("deadlocks", "cache_hit_rate", "temporary_files"), "track_counts")


@pytest.mark.thorough
def test_with_all_that_they_want_on_they_are_given(told: Told, measured: Measured) -> None:
    found = measured()
    for name in (*TIMED, *COUNTED, "kernel_operations", "kernel_throughput", "log_throughput"):
        assert found[name].value is not None, found[name]
    assert (found["deadlocks"].value, found["temporary_files"].value) == (0, 0)
    asked, synced = found["kernel_operations"].value or 0, found["log_sync"].value or 0
    assert asked > 100 and synced > 0
    assert 0 < (found["cache_hit_rate"].value or 0) <= (found["cache_hit_rate"].high or 0) <= 100


@pytest.mark.parametrize(
    ("meanwhile", "names", "why"),
    [
        pytest.param(
            ["SELECT pg_stat_reset()", "SELECT pg_stat_reset_shared('io')"],
            (*TIMED, *COUNTED, "rollbacks", "kernel_operations"),
            "the server's statistics were reset",
            id="reset",
        ),
        pytest.param(
            [
                "ALTER SYSTEM SET track_counts = off",
                "ALTER SYSTEM SET track_io_timing = off",
                "SELECT pg_reload_conf()",
            ],
            ("deadlocks", "cache_hit_rate", "temporary_files", "read_wait", "write_wait"),
            "was changed",
            id="switched off",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_what_changes_while_it_is_measured_leaves_no_figure_that_is_wrong(
    told: Told, measured: Measured, meanwhile: list[str], names: tuple[str, ...], why: str
) -> None:
    found = measured(lambda: told(*meanwhile))
    notes = {name: (found[name].value, found[name].note) for name in names}
    assert all(value is None and why in note and note.endswith("s into the load") for value, note in notes.values())
    assert found["response_p50"].value is not None and found["success_rate"].value == 100


@pytest.mark.thorough
def test_a_server_that_is_started_anew_has_no_counters_of_the_whole_load(
    server: RunningServer, told: Told, measured: Measured
) -> None:
    """No deadlock was seen before it is none that there was."""

    def again() -> None:
        server.end(server.stop)
        server.start_again()

    found = measured(again)
    for name in (*TIMED, *COUNTED, "rollbacks", "kernel_operations"):
        assert found[name].value is None
        assert "gave no reading of it from " in found[name].note or "read too seldom" in found[name].note, found[name]
    assert "gave no reading of it from " in found["deadlocks"].note


APART = [
    ("ALTER ROLE app SET track_io_timing = off", "is off for the role app", "read_ms data_write_ms"),
    (
        "ALTER DATABASE postgres SET track_counts = off",
        "is off for the database postgres",
        "blocks_read blocks_hit deadlocks temp_bytes",
    ),
    (
        "ALTER ROLE app IN DATABASE postgres SET track_wal_io_timing = 'false'",
        "is off for the role app in the database postgres",
        "log_sync_ms",
    ),
    ("ALTER DATABASE template1 SET track_counts = off", "", ""),
    ("ALTER ROLE ALL SET track_activities = off", "is off for all roles", "active idle"),
]


@pytest.mark.parametrize(("statement", "why", "names"), APART)
def test_a_setting_that_some_have_otherwise_than_the_server_is_not_on_for_all(
    server: RunningServer, told: Told, statement: str, why: str, names: str
) -> None:
    told(statement)
    try:
        read, facts = postgres_reader(server.url)
        setting = statement.partition(" SET ")[2].partition(" = ")[0]
        assert facts["not_given"] == {f"postgres.{name}": f"{setting} {why}" for name in names.split()}
        assert not set(facts["not_given"]) & set(read())
    finally:
        told(f"{statement.partition(' SET ')[0]} RESET ALL")


def test_a_setting_of_the_readers_own_session_says_nothing_of_the_others(server: RunningServer, told: Told) -> None:
    not_given = postgres_reader(f"{server.url}?options=-ctrack_io_timing%3Don")[1]["not_given"]
    said = "track_io_timing is on for this role or database alone, as far as can be seen"
    assert not_given == {"postgres.read_ms": said, "postgres.data_write_ms": said}
    off = postgres_reader(f"{server.url}?options=-ctrack_counts%3Doff")[1]["not_given"]
    assert off["postgres.deadlocks"] == "track_counts is off"


@pytest.mark.parametrize("consistency", ["none", "cache", "snapshot"])
def test_each_reading_is_of_now(server: RunningServer, told: Told, consistency: str) -> None:
    read, _ = postgres_reader(f"{server.url}?options=-cstats_fetch_consistency%3D{consistency}")
    before = read()["postgres.commits"]
    for _ in range(500):
        told("SELECT 1")
        if read()["postgres.commits"] > before + 1:
            return
    raise AssertionError("it reads what it read before")


def test_a_log_that_is_not_synced_on_its_own_says_so(server: RunningServer, told: Told) -> None:
    for setting, value, why in (
        ("fsync", "off", "fsync is off: the log is not synced"),
        (
            "wal_sync_method",
            "open_datasync",
            "wal_sync_method is open_datasync: each write of the log is synced at once, and no sync is counted",
        ),
    ):
        told(f"ALTER SYSTEM SET {setting} = {value}", "SELECT pg_reload_conf()")
        for _ in range(200):
            if not_given := postgres_reader(server.url)[1]["not_given"]:
                break
        assert not_given == {"postgres.log_sync_ms": why}
        told(f"ALTER SYSTEM RESET {setting}", "SELECT pg_reload_conf()")


@pytest.mark.parametrize("settings", ["", "SET track_activities = off"])
@pytest.mark.parametrize("role", ["postgres", "watched"])
def test_a_statement_is_waited_for_whoever_looks_and_whatever_is_noted(
    server: RunningServer, told: Told, role: str, settings: str
) -> None:
    """A role without pg_read_all_stats sees no state of others; where track_activities is off nobody does."""
    url = server.url.replace("postgres@", f"{role}@")
    with ExitStack() as opened, psycopg.connect(server.url) as holder, psycopg.connect(url, autocommit=True) as looker:
        busy = opened.enter_context(psycopg.connect(server.url, autocommit=True))
        busy.execute((settings or "SELECT 1").encode())
        holder.execute("SELECT pg_advisory_lock(7)")
        holder.commit()
        assert wait_until_idle(url)
        waiting = threading.Thread(target=busy.execute, args=("SELECT pg_advisory_lock(7)",))
        waiting.start()
        while looker.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            pass
        assert looker.execute(BUSY.encode()).fetchone() == (1,)
        assert not wait_until_idle(url, 0.1)
        holder.execute("SELECT pg_advisory_unlock(7)")
        holder.commit()
        waiting.join()
        assert wait_until_idle(url)


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["sync", "worker", "io_uring"])
def test_how_reads_are_made_is_told_beside_how_long_they_were_waited_for(method: str) -> None:
    with open_server_directory() as directory:
        try:
            started = run_postgres(directory, shared_buffers="128kB", io_method=method, track_io_timing="on")
        except CapacityError as error:
            pytest.skip(f"this PostgreSQL was built without {method}: {error}")
        tell(started, "CREATE ROLE watched LOGIN", *TABLES)
        read, facts = postgres_reader(started.url)
        before = read()
        tell(started, "SELECT sum(length(text)) FROM stock")
        rose = {name: value - before[name] for name, value in read().items()}
    assert facts["io_method"] == method
    assert rose["postgres.reads"] > 0 < rose["postgres.read_ms"]
    assert rose["postgres.read_bytes"] >= 4000 * 500
