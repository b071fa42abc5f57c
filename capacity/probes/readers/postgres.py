"""PostgreSQL's own figures, from its statistics views."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from capacity.probes.readers import LOOKER, Reader
from capacity.system.application.database import connect_as_administrator
from capacity.system.preflight.tracking import ACTIVITY, COUNTS, TIMES_IO, TIMES_LOG, on_for_all, untracked
from capacity.system.rights.needs import unseen_activity

CONNECTIONS = """
SELECT count(*) AS connections, count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiting
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
     AND application_name IS DISTINCT FROM '{looker}'
"""
# Of the address's database, and beside it the transactions of all of the server's.
DATABASE = """
SELECT own.xact_commit AS commits, own.xact_rollback AS rollbacks, own.blks_read AS blocks_read,
       own.blks_hit AS blocks_hit, own.deadlocks, own.temp_bytes, pg_database_size(own.datid) AS size_bytes,
       (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database)::float8 AS all_transactions
FROM pg_stat_database AS own WHERE own.datname = current_database()
"""
# Up to version 17 blocks of `op_bytes` are counted, of which a call may move several; from 18 on it is calls and their
# bytes, and the log is among them.
IO = """
SELECT coalesce(sum(reads) FILTER (WHERE {data}), 0)::float8 AS reads,
       coalesce(sum(read_time) FILTER (WHERE {data}), 0) AS read_ms,
       coalesce(sum({read_bytes}) FILTER (WHERE {data}), 0)::float8 AS read_bytes,
       coalesce(sum(writes) FILTER (WHERE {data}), 0)::float8 AS data_writes,
       coalesce(sum(write_time) FILTER (WHERE {data}), 0) AS data_write_ms,
       coalesce(sum(extends) FILTER (WHERE {data}), 0)::float8 AS extends,
       coalesce(sum(coalesce({write_bytes}, 0) + coalesce({extend_bytes}, 0)) FILTER (WHERE {data}), 0)::float8
           AS data_write_bytes
FROM pg_stat_io
"""
LOG_IN_IO = """
SELECT sum(fsyncs)::float8 AS log_syncs, sum(fsync_time) AS log_sync_ms, sum(writes)::float8 AS log_writes,
       sum(write_bytes)::float8 AS log_write_bytes, (SELECT wal_bytes FROM pg_stat_wal)::float8 AS log_bytes
FROM pg_stat_io WHERE object = 'wal'
"""
LOG = """
SELECT wal_sync::float8 AS log_syncs, wal_sync_time AS log_sync_ms, wal_write::float8 AS log_writes,
       wal_bytes::float8 AS log_write_bytes, wal_bytes::float8 AS log_bytes
FROM pg_stat_wal
"""
# What makes counters one series: since when they count, and whether all that they want was on at each reading.
STANDING = f"""
SELECT extract(epoch FROM pg_postmaster_start_time())::float8 AS started_s,
       extract(epoch FROM greatest(NULL::timestamptz, {{resets}}))::float8 AS reset_s,
       {on_for_all(TIMES_IO)} AS io_timed, {on_for_all(TIMES_LOG)} AS log_timed, {on_for_all(COUNTS)} AS counted
"""
RESETS = {
    DATABASE: "(SELECT stats_reset FROM pg_stat_database WHERE datname = current_database())",
    IO: "(SELECT max(stats_reset) FROM pg_stat_io)",
    LOG: "(SELECT stats_reset FROM pg_stat_wal)",
}
VIEWS = {CONNECTIONS: "pg_stat_activity", DATABASE: "pg_stat_database", IO: "pg_stat_io", LOG: "pg_stat_wal"}
GAUGES = {
    CONNECTIONS: ("connections", "active", "idle", "lock_waiting"),
    DATABASE: (
        *("commits", "rollbacks", "all_transactions", "deadlocks"),
        *("blocks_read", "blocks_hit", "temp_bytes", "size_bytes"),
    ),
    IO: ("reads", "read_ms", "read_bytes", "data_writes", "data_write_ms", "extends", "data_write_bytes"),
    LOG: ("log_syncs", "log_sync_ms", "log_writes", "log_write_bytes", "log_bytes"),
}
NEEDS = {
    TIMES_IO: ("read_ms", "data_write_ms"),
    TIMES_LOG: ("log_sync_ms",),
    COUNTS: ("blocks_read", "blocks_hit", "deadlocks", "temp_bytes"),
    ACTIVITY: ("active", "idle"),
}
MOVES = ("read", "write", "extend")
IO_SINCE, LOG_IN_IO_SINCE = 16, 18
SETTINGS = ("max_connections", "superuser_reserved_connections", "reserved_connections", "shared_buffers", "io_method")
SYNCING = ("fsync", "wal_sync_method")
# Of the reader's own session, which waits for the load to begin; behind a pooler it would be left to the next client.
STAYS = "SELECT set_config('idle_session_timeout', '0', false) WHERE pg_backend_pid() = %s"
STANDBY = "the server is a standby: what it writes of its primary's log is not counted"
DOWN = psycopg.Error


def postgres_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads PostgreSQL's gauges, and the facts of the server; CapacityError where it is down.

    What this version does not have, the role may not read, or a setting leaves uncounted or untimed is not read; the
    fact `not_given` says why.
    """
    connection = connect_as_administrator(url)
    connection.execute(STAYS, [connection.info.backend_pid])
    cursor = connection.cursor(row_factory=dict_row)
    found = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [[*SETTINGS, *SYNCING]])
    settings = dict(found.fetchall())
    version = connection.info.server_version // 10_000
    queries, missing = _answered(cursor, version)
    queries[STANDING] = STANDING.format(
        resets=", ".join(["NULL", *(reset for each, reset in RESETS.items() if each in queries)])
    )
    unset = {name: why for each, why in untracked(connection).items() for name in NEEDS[each]}
    if why := _unsynced(settings):
        unset["log_sync_ms"] = why
    missing = unset | missing  # what is not there at all no setting makes
    if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        missing |= dict.fromkeys(GAUGES[LOG], STANDBY)
    if why := unseen_activity(connection):  # a part of it would be told as the whole
        missing |= dict.fromkeys(GAUGES[CONNECTIONS], why)

    def read() -> dict[str, float]:
        rows = [cursor.execute(query.encode()).fetchone() or {} for query in queries.values()]
        values = {name: float(value or 0) for row in rows for name, value in row.items()}
        return {f"postgres.{name}": value for name, value in values.items() if name not in missing}

    facts: dict[str, Any] = {"server": f"PostgreSQL {connection.info.parameter_status('server_version')}"}
    facts |= {name: settings[name] for name in SETTINGS if name in settings}
    facts["io_counted"] = "calls" if version >= LOG_IN_IO_SINCE else "blocks"
    return read, {**facts, "not_given": {f"postgres.{name}": why for name, why in missing.items()}}


def _answered(cursor: "psycopg.Cursor[Any]", version: int) -> tuple[dict[str, str], dict[str, str]]:
    """The queries that a server of this version answers, each by the general one, and why it lacks other gauges."""
    queries, missing = dict[str, str](), dict[str, str]()
    for query, view in VIEWS.items():
        if query == IO and version < IO_SINCE:
            why = f"PostgreSQL {version} has no {view} ({IO_SINCE} has)"
        else:
            said = _for_version(query, version)
            why = _refused(cursor, said, view)
        if why:
            missing |= dict.fromkeys(GAUGES[query], why)
        else:
            queries[query] = said
    return queries, missing


def _for_version(query: str, version: int) -> str:
    """The query as this version of PostgreSQL understands it."""
    if query == LOG:
        return LOG_IN_IO if version >= LOG_IN_IO_SINCE else LOG
    counted = ("{}_bytes" if version >= LOG_IN_IO_SINCE else "{}s * op_bytes").format
    return query.format(looker=LOOKER, data="object <> 'wal'", **{f"{each}_bytes": counted(each) for each in MOVES})


def _refused(cursor: "psycopg.Cursor[Any]", query: str, view: str) -> str:
    """Why the server does not answer a query on one of its views; empty where it does."""
    try:
        cursor.execute(query.encode())
    except psycopg.errors.InsufficientPrivilege:
        return f"the role may not read {view}"
    except psycopg.ProgrammingError:
        return f"this server has no such {view}"
    return ""


def _unsynced(settings: Mapping[str, str]) -> str:
    """Why no sync of the log is counted; empty where they are."""
    method = settings.get("wal_sync_method", "")
    if settings.get("fsync") == "off":
        return "fsync is off: the log is not synced"
    said = f"wal_sync_method is {method}: each write of the log is synced at once, and no sync is counted"
    return said if method.startswith("open_") else ""
