"""What a PostgreSQL says of itself: each line that can be wrong, on a real server with other settings and roles."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from capacity.system.addresses import System
from capacity.system.embedded import RunningServer, run_postgres
from capacity.system.preflight.check import Check
from capacity.system.preflight.postgres import postgres_checks
from capacity.system.server_directory import open_server_directory
from capacity.workload import Workload, parse_workload

StartPooler = Callable[..., AbstractContextManager[str]]
OLDER = Path("/usr/lib/postgresql/15/bin")
SETTINGS = {"track_io_timing": "off", "track_wal_io_timing": "off", "max_connections": "40"}
ROLES = """
CREATE ROLE ordinary LOGIN;
CREATE ROLE few LOGIN CONNECTION LIMIT 7;
CREATE ROLE hasty LOGIN;
ALTER ROLE hasty SET statement_timeout = '2s';
ALTER ROLE hasty SET lock_timeout = '300ms';
ALTER ROLE hasty SET transaction_timeout = '3s';
ALTER ROLE hasty SET idle_session_timeout = '30s';
CREATE ROLE reader LOGIN;
ALTER ROLE reader SET default_transaction_read_only = on;
CREATE ROLE skipping LOGIN BYPASSRLS;
CREATE ROLE owning LOGIN;
CREATE ROLE rdsadmin;
CREATE TABLE guarded (id int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded OWNER TO owning;
CREATE DATABASE narrow CONNECTION LIMIT 5
"""


def workload(sql: str = "SELECT 1", connections: int = 10, row_security: bool = False) -> Workload:
    operation = {"name": "pay", "weight": 100, "statements": [{"sql": sql}], "row_security": row_security}
    shape = {"kind": "rate", "stages": [{"name": "hold", "seconds": 1, "to": 1}]}
    values = {"name": "orders", "target": "postgres", "connections": connections, "timeout_ms": 5000}
    return parse_workload({**values, "operations": [operation], "shapes": {"smoke": shape}})


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with open_server_directory() as directory:
        started = run_postgres(directory, **SETTINGS)
        with psycopg.connect(started.url, autocommit=True) as connection:
            for statement in ROLES.split(";"):
                connection.execute(statement.encode())
        yield started


def looked(
    server: RunningServer, role: str, *workloads: Workload, database: str = "postgres"
) -> dict[str, list[Check]]:
    """The checks by name, as that role."""
    url = server.url.replace("postgres@", f"{role}@").replace("/postgres", f"/{database}")
    found: dict[str, list[Check]] = {}
    for each in postgres_checks(System(postgres_url=url, postgres_admin_url=server.url), workloads or [workload()]):
        found.setdefault(each.name, []).append(each)
    return found


def test_an_ordinary_role_on_a_server_with_room_is_told_what_is_not_measured(server: RunningServer) -> None:
    found = looked(server, "ordinary")
    (reachable,) = found["reachable"]
    assert reachable.said.startswith("PostgreSQL 18")
    assert reachable.said.endswith(" (Amazon RDS), as ordinary in postgres")
    assert [(each.said, each.means) for each in found["timings"]] == [
        ("track_io_timing is off", "not given: times of reads and writes (read_wait, write_wait)"),
        ("track_wal_io_timing is off", "not given: the time of a sync of the log (log_sync)"),
    ]
    assert found["timings"][0].to_do.startswith("a superuser: ALTER SYSTEM SET track_io_timing = on;")
    assert {name for name, checks in found.items() if not all(each.fine for each in checks)} == {"timings"}
    assert found["pooler"][0].said == "none that shares connections: each connection keeps its backend"
    assert found["writes"][0].said == "allowed"
    assert "this machine's" in found["clock"][0].said


def test_connections_wanted_stand_beside_those_that_the_server_the_role_and_the_database_leave(
    server: RunningServer,
) -> None:
    (check,) = looked(server, "ordinary", workload(connections=90))["connections"]
    assert (check.fine, check.needed) == (False, False)
    assert check.said == ("90 wanted by orders and 4 beside it, 37 free: 40 max_connections − 3 reserved − 0 in use")
    assert check.means.startswith("those beyond it are refused")
    assert check.to_do == "lower `connections` in orders.yaml, or raise the limit"
    (check,) = looked(server, "few")["connections"]
    assert check.said.endswith("7 free: 7 CONNECTION LIMIT of the role few − 0 in use")
    (check,) = looked(server, "ordinary", database="narrow")["connections"]
    assert check.said.endswith("5 free: 5 CONNECTION LIMIT of the database narrow − 0 in use")
    with psycopg.connect(server.url.replace("postgres@", "few@")):
        (check,) = looked(server, "few")["connections"]
        assert check.said.endswith("6 free: 7 CONNECTION LIMIT of the role few − 1 in use")


def test_time_limits_of_the_role_that_are_met_before_the_loads_own_are_named(server: RunningServer) -> None:
    found = looked(server, "hasty")["time limit"]
    assert [each.said for each in found] == [
        "statement_timeout is 2 s, and the timeout of orders is 5 s",
        "lock_timeout is 300 ms, and the timeout of orders is 5 s",
        "transaction_timeout is 3 s, and the timeout of orders is 5 s",
        "idle_session_timeout is 30 s",
    ]
    assert found[0].means == "a statement that takes longer ends as an error: no response time above it is seen"
    assert found[0].to_do == "ALTER ROLE hasty SET statement_timeout = '5s', or lower timeout_ms"


def test_what_a_role_that_may_not_write_fails_at_is_named(server: RunningServer) -> None:
    (check,) = looked(server, "reader", workload("INSERT INTO t VALUES (1)"))["writes"]
    assert check.said == "default_transaction_read_only is on for this role"
    assert (check.means, check.to_do) == (
        "every pay fails", "ALTER ROLE reader SET default_transaction_read_only = off"
    )  # fmt: skip
    assert looked(server, "reader")["writes"][0].fine


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("postgres", "postgres is a superuser"),
        ("skipping", "skipping has BYPASSRLS"),
        ("owning", "owning owns tables (1) whose policies do not hold for their owner"),
    ],
)
def test_a_role_that_skips_policies_is_named_where_the_workload_is_about_them(
    server: RunningServer, role: str, said: str
) -> None:
    (check,) = looked(server, role, workload(row_security=True))["row security"]
    assert (check.fine, check.said) == (False, said)
    assert check.means.startswith("policies are skipped, and what row-level security costs is measured as nothing")
    assert "row security" not in looked(server, role)


def test_a_transaction_pooler_is_named_with_what_its_console_tells(
    server: RunningServer, start_pooler: StartPooler
) -> None:
    ordinary = server.url.replace("postgres@", "ordinary@")
    with start_pooler(ordinary, mode="transaction", size=5, clients=50) as url:
        system = System(postgres_url=url, postgres_admin_url=server.url)
        found = {each.name: each for each in postgres_checks(system, [workload(connections=90)])}
        assert found["pooler"].said.startswith("a transaction pooler is between: PgBouncer ")
        assert found["pooler"].means.startswith("it keeps no prepared statements, so the load uses none: ")
        assert found["connections"].said == "90 wanted by orders; the pooler lets in at most 50 clients"
        assert not found["connections"].fine


def test_an_administrator_who_is_not_let_in_is_missing(server: RunningServer) -> None:
    ordinary, nobody = (server.url.replace("postgres@", f"{name}@") for name in ("ordinary", "nobody"))
    system = System(postgres_url=ordinary, postgres_admin_url=nobody)
    found = {each.name: each for each in postgres_checks(system, [workload()])}
    assert found["administrator"].needed
    assert 'role "nobody" does not exist' in found["administrator"].said


@pytest.mark.thorough
def test_a_standby_says_that_it_takes_no_writes() -> None:
    with open_server_directory() as directory:
        server = run_postgres(directory)
        server.end(signal.SIGINT)
        (Path(directory.folder) / "postgres" / "standby.signal").touch()
        server.start_again()
        (check,) = looked(server, "postgres", workload("UPDATE t SET a = 1"))["writes"]
        assert (check.said, check.to_do) == ("a standby, which takes no writes", "name the primary's address")


@pytest.mark.thorough
@pytest.mark.skipif(not OLDER.exists(), reason="PostgreSQL 15 is not installed (Debian 12: apt install postgresql)")
def test_an_older_server_says_what_it_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPACITY_POSTGRES_BIN", str(OLDER))
    with open_server_directory() as directory:
        found = looked(run_postgres(directory), "postgres")
        assert found["reachable"][0].said.startswith("PostgreSQL 15")
        assert [each.said for each in found["timings"]] == [
            "PostgreSQL 15 has no pg_stat_io",
            "track_wal_io_timing and track_counts are on",
        ]
        assert all(each.fine for name, checks in found.items() for each in checks if name != "timings")
