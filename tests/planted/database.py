"""Situations of PostgreSQL, 14 to 18, and of PgBouncer before it."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql

from capacity.clock import wait_until
from capacity.findings import Finding
from capacity.probes.database import measure_database, read_database_findings
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.embedded import RunningServer
from tests.planted.stand import REFUSED, Situation, Stand, refusal_of, tell

TABLES = (
    "CREATE ROLE app LOGIN",
    "CREATE ROLE admin LOGIN",
    "GRANT pg_read_all_stats TO admin",
    "CREATE TABLE stock AS SELECT n AS id, 0 AS sold FROM generate_series(1, 1000) AS n",
    "CREATE UNIQUE INDEX ON stock (id)",
    "CREATE TABLE theirs AS SELECT n AS id, 'theirs' AS text FROM generate_series(1, 500) AS n",
    "GRANT SELECT, UPDATE, INSERT ON stock TO app",
)
READ = {"name": "look", "statements": [{"sql": "SELECT sold FROM stock WHERE id = 1 + (random() * 999)::int"}]}
SELL = {"name": "sell", "statements": [{"sql": "UPDATE stock SET sold = sold + 1 WHERE id = 1"}]}
MANY = {
    "name": "sell",
    "statements": [{"sql": "UPDATE stock SET sold = sold + 1 WHERE id = 1 + (random() * 998)::int"}],
}


def measured(stand: Stand, url: str, admin: str, *operations: object, **more: object) -> Mapping[str, Finding]:
    """The findings by their names without `database.`; `url` is the load's."""
    workloads = stand.workloads("database", "postgres", [dict(each) for each in operations], **more)
    system = System(postgres_url=url, postgres_admin_url=admin)
    made = measure_database(system, workloads, "smoke", stand.folder / "recording")
    return {each.name.removeprefix("database."): each for each in read_database_findings(made)}


def shop(stand: Stand, version: str, **settings: str) -> RunningServer:
    server = stand.postgres(version, **settings)
    tell(server.url, *TABLES)
    stand.keeps_rows(server.url)
    return server


def as_role(server: RunningServer, role: str) -> str:
    return server.url.replace("postgres@", f"{role}@")


def uncounted_in_mid_run(stand: Stand) -> Mapping[str, Finding]:
    server = shop(stand, "18")
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
    with stand.meanwhile(lambda: tell(server.url, "ALTER ROLE app SET track_counts = off", ends)):
        return measured(stand, as_role(server, "app"), as_role(server, "admin"), READ)


@contextmanager
def standby(stand: Stand, version: str) -> Iterator[tuple[RunningServer, str]]:
    """A primary, and the address of a hot standby that follows it."""
    primary, copy = shop(stand, version), stand.postgres(version)
    data, other = (Path(each.directory.folder) / "postgres" for each in (primary, copy))
    for each in (primary, copy):
        each.end(signal.SIGINT)
    shutil.copytree(data, other, dirs_exist_ok=True)
    (other / "standby.signal").touch()
    conninfo = psycopg.conninfo.make_conninfo(primary.url, application_name="copy").replace("'", "''")
    (other / "postgresql.auto.conf").write_text(f"primary_conninfo = '{conninfo}'\n")
    if "user" in copy.options:
        for each in (other, *other.rglob("*")):
            os.chown(each, copy.options["user"], copy.options["group"])
    primary.start_again()
    copy.start_again()
    assert wait_until(lambda: followed(primary.url), 20)
    yield primary, copy.url


def followed(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM pg_stat_replication").fetchone() == (1,)


def reads_of_a_standby(stand: Stand) -> Mapping[str, Finding]:
    """Its primary is written all the while, 8 kB of which come over with each change."""
    with standby(stand, "18") as (primary, copy):
        ended = threading.Event()
        tell(primary.url, "CREATE TABLE busy (text text)")

        def write() -> None:
            with psycopg.connect(primary.url, autocommit=True) as connection:
                while not ended.wait(0.01):
                    connection.execute(
                        "INSERT INTO busy SELECT repeat(md5(random()::text), 200) FROM generate_series(1, 9)"
                    )

        thread = threading.Thread(target=write)
        thread.start()
        try:
            return measured(stand, copy.replace("postgres@", "app@"), copy.replace("postgres@", "admin@"), READ)
        finally:
            ended.set()
            thread.join()
            tell(primary.url, "DROP TABLE busy")


def writes_to_a_standby(stand: Stand) -> Mapping[str, Finding]:
    with standby(stand, "17") as (_, copy):
        return refusal_of(lambda: measured(stand, copy.replace("postgres@", "app@"), copy, MANY))


def lock_timeout(stand: Stand) -> Mapping[str, Finding]:
    server = shop(stand, "16")
    tell(server.url, "ALTER ROLE app SET lock_timeout = '30ms'")
    with psycopg.connect(server.url) as holder:
        holder.execute("UPDATE stock SET sold = 7 WHERE id = 1")
        found = measured(stand, as_role(server, "app"), as_role(server, "admin"), SELL, READ, rate=100)
        holder.rollback()
    samples = open_recording(stand.folder / "recording").samples
    failed = int((samples["operation"] == "sell").sum())
    stand.counted |= {"sell.failures.lock_not_available_55p03": failed, "rollbacks": failed}
    return found


def unlogged(stand: Stand) -> Mapping[str, Finding]:
    server = shop(stand, "15")
    tell(server.url, "ALTER TABLE stock SET UNLOGGED", "CHECKPOINT")
    return measured(stand, as_role(server, "app"), as_role(server, "admin"), MANY)


def busy_beside(stand: Stand) -> Mapping[str, Finding]:
    """In another database transactions are rolled back and deadlock while nothing of it happens in ours."""
    server = shop(stand, "14")
    tell(server.url, "CREATE DATABASE other")
    other = psycopg.conninfo.make_conninfo(server.url, dbname="other")
    tell(other, "CREATE TABLE two AS SELECT n AS id FROM generate_series(1, 2) AS n")
    stand.keeps_rows(other)
    ended = threading.Event()

    def work(first: int, second: int) -> None:
        with psycopg.connect(other) as connection:
            while not ended.is_set():
                with suppress(psycopg.Error):
                    connection.execute(f"UPDATE two SET id = id WHERE id = {first}".encode())
                    ended.wait(0.02)
                    connection.execute(f"UPDATE two SET id = id WHERE id = {second}".encode())
                connection.rollback()

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for each in threads:
        each.start()
    try:
        found = measured(stand, as_role(server, "app"), as_role(server, "admin"), MANY)
    finally:
        ended.set()
        for each in threads:
            each.join()
    with psycopg.connect(server.url) as connection:
        asked = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = 'other'").fetchone()
    assert asked and asked[0] > 0, "nothing deadlocked beside it"
    return found


def held_by_nobody(stand: Stand) -> Mapping[str, Finding]:
    """A row that a prepared transaction holds, which has no session."""
    server = shop(stand, "18", max_prepared_transactions="5")
    tell(server.url, "BEGIN; UPDATE stock SET sold = 7 WHERE id = 1; PREPARE TRANSACTION 'theirs'")
    prepared = "SELECT gid FROM pg_prepared_xacts"
    stand.keeps(lambda: psycopg.connect(server.url).execute(prepared).fetchall())
    admin = as_role(server, "admin")
    return measured(stand, as_role(server, "app"), admin, SELL, READ, rate=40, timeout_ms=200, connections=12)


def deadlocks(stand: Stand) -> Mapping[str, Finding]:
    server = shop(stand, "16")
    operations = []
    for name, rows in (("up", (1, 2)), ("down", (2, 1))):
        statement = "UPDATE stock SET sold = sold + 1 WHERE id = {}"
        parts = [{"sql": statement.format(row)} for row in rows]
        operations.append({"name": name, "statements": [parts[0], {"sql": "SELECT pg_sleep(0.06)"}, parts[1]]})
    found = measured(stand, as_role(server, "app"), as_role(server, "admin"), *operations, rate=20)
    samples = open_recording(stand.folder / "recording").samples
    failed = int(samples["error"].astype(str).str.contains("40P01").sum())
    assert failed > 0, "nothing deadlocked"
    # One that waited for too long is rolled back too.
    stand.counted |= {"deadlocks": failed, "rollbacks": float(samples["outcome"].isin(["error", "timeout"]).sum())}
    return found


def a_column_more(stand: Stand) -> Mapping[str, Finding]:
    """Under a statement whose result it changes, which PostgreSQL then refuses on connections that prepared it."""
    server = shop(stand, "17")
    read = {"name": "look", "statements": [{"sql": "SELECT * FROM stock WHERE id = 1 + (random() * 998)::int"}]}
    with stand.meanwhile(lambda: tell(server.url, "ALTER TABLE stock ADD COLUMN colour text")):
        found = measured(stand, as_role(server, "app"), as_role(server, "admin"), read)
    samples = open_recording(stand.folder / "recording").samples
    stand.counted["rollbacks"] = float((samples["outcome"] != "ok").sum())
    return found


def odd_names(stand: Stand) -> Mapping[str, Finding]:
    server = stand.postgres("15")
    name, role = 'Läden "2"', "o'Brien %s"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        connection.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(role)))
    whole = psycopg.conninfo.make_conninfo(server.url, dbname=name)
    tell(
        whole,
        'CREATE SCHEMA "Wäre"',
        'CREATE TABLE "Wäre"."Stück" AS SELECT n AS id FROM generate_series(1, 100) AS n',
        'GRANT USAGE ON SCHEMA "Wäre" TO PUBLIC',
        'GRANT SELECT ON "Wäre"."Stück" TO PUBLIC',
    )
    stand.keeps_rows(whole)
    url = psycopg.conninfo.make_conninfo(server.url, dbname=name, user=role)
    read = {"name": "lesen", "statements": [{"sql": 'SELECT id FROM "Wäre"."Stück" WHERE id = 7'}]}
    return measured(stand, url, url, read)


def hurried_administrator(stand: Stand) -> Mapping[str, Finding]:
    """Sessions of the role that reads statistics end when they are idle for as long as it takes until the next one."""
    server = shop(stand, "18")
    tell(server.url, "ALTER ROLE admin SET idle_session_timeout = '100ms'")
    return measured(stand, as_role(server, "app"), as_role(server, "admin"), MANY)


def paused_pooler(stand: Stand) -> Mapping[str, Finding]:
    """PgBouncer is paused for 0.7 s in the middle, as for a failover behind it: all wait, and none fails."""
    server = shop(stand, "15")
    with stand.fixture("start_pooler")(as_role(server, "app"), mode="transaction") as url:
        console = psycopg.conninfo.make_conninfo(url, dbname="pgbouncer", user="console")

        def pause() -> None:
            with psycopg.connect(console, autocommit=True, prepare_threshold=None) as connection:
                connection.execute("PAUSE")
                threading.Event().wait(0.7)
                connection.execute("RESUME")

        with stand.meanwhile(pause):
            return measured(stand, url, as_role(server, "admin"), READ, connections=20)


SITUATIONS = [
    Situation(
        "a role's statistics are switched off in mid-run, and its sessions end",
        {"deadlocks": "track_counts", "cache_hit_rate": "track_counts", "temporary_files": "track_counts"},
        uncounted_in_mid_run,
    ),
    Situation(
        "a hot standby is read while its primary is written",
        {
            "success_rate": 100,
            "rollbacks": 0,
            "deadlocks": 0,
            "log_throughput": "standby",
            "kernel_operations": "standby",
        },
        reads_of_a_standby,
    ),
    Situation(
        "a standby is to be written", {REFUSED: "the server is a replica; name its primary"}, writes_to_a_standby
    ),
    Situation(
        "a role has a lock_timeout, and somebody holds the row",
        {"sell.success_rate": 0, "look.success_rate": 100, "deadlocks": 0, "sell.response_p50": "failed"},
        lock_timeout,
    ),
    Situation("the table is unlogged", {"success_rate": 100, "log_throughput": (0, 0.05), "rollbacks": 0}, unlogged),
    Situation(
        "another database deadlocks and rolls back",
        {"success_rate": 100, "deadlocks": 0, "rollbacks": 0, "lock_wait_share": (0, 2)},
        busy_beside,
    ),
    Situation(
        "a prepared transaction without a session holds the row",
        {"sell.success_rate": 0, "look.success_rate": 100, "lock_wait_share": (20, 100), "deadlocks": 0},
        held_by_nobody,
    ),
    Situation("transactions deadlock", {"deadlocks": (1, 100)}, deadlocks),
    Situation(
        "a column is added under SELECT * in mid-run",
        {"success_rate": (25, 99.9), "deadlocks": 0},
        a_column_more,
    ),
    Situation(
        "database, role, schema and table have odd names",
        {"success_rate": 100, "rollbacks": 0, "deadlocks": 0, "size": (1, 100), "connections_open": 4},
        odd_names,
    ),
    Situation(
        "the administrator's sessions end when they are idle",
        {"success_rate": 100, "deadlocks": 0, "log_throughput": (0.001, 10), "rollbacks": 0},
        hurried_administrator,
    ),
    Situation(
        "PgBouncer is paused in mid-run",
        {"success_rate": 100, "response_max": (500, 1500), "rollbacks": 0},
        paused_pooler,
    ),
]
