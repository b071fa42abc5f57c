"""PostgreSQL's own figures, from its statistics views."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from capacity.probes.readers import LOOKER, Reader
from capacity.system.application.database import connect_as_administrator
from capacity.system.rights.needs import unseen_activity

ACTIVITY = """
SELECT count(*) AS connections, count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiting
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
     AND application_name IS DISTINCT FROM '{looker}'
"""
OF_ACTIVITY = ("connections", "active", "idle", "lock_waiting")
DATABASE = """
SELECT xact_commit AS commits, xact_rollback AS rollbacks, blks_read AS blocks_read, blks_hit AS blocks_hit, deadlocks,
       pg_database_size(datid) AS size_bytes
FROM pg_stat_database WHERE datname = current_database()
"""
# Up to version 17 every operation moved `op_bytes`; from 18 on the bytes are counted, and the log is among them.
IO = """
SELECT coalesce(sum(reads), 0)::float8 AS reads, coalesce(sum(read_time), 0) AS read_ms,
       coalesce(sum({read}), 0)::float8 AS read_bytes, coalesce(sum(writes), 0)::float8 AS writes,
       coalesce(sum(write_time), 0) AS write_ms, coalesce(sum({write}), 0)::float8 AS write_bytes,
       coalesce(sum(fsyncs) FILTER (WHERE object = 'wal'), 0)::float8 AS log_syncs,
       coalesce(sum(fsync_time) FILTER (WHERE object = 'wal'), 0) AS log_sync_ms
FROM pg_stat_io
"""
# Up to 17 the log is not in pg_stat_io.
LOG = "SELECT wal_sync::float8 AS log_syncs, wal_sync_time AS log_sync_ms FROM pg_stat_wal"
VIEWS = {ACTIVITY: "pg_stat_activity", DATABASE: "pg_stat_database", IO: "pg_stat_io", LOG: "pg_stat_wal"}
GAUGES = {
    ACTIVITY: ("connections", "active", "idle", "lock_waiting"),
    DATABASE: ("commits", "rollbacks", "blocks_read", "blocks_hit", "deadlocks", "size_bytes"),
    IO: ("reads", "read_ms", "read_bytes", "writes", "write_ms", "write_bytes", "log_syncs", "log_sync_ms"),
    LOG: ("log_syncs", "log_sync_ms"),
}
TIMED = {"read_ms": "track_io_timing", "write_ms": "track_io_timing", "log_sync_ms": "track_wal_io_timing"}
IO_SINCE, LOG_IN_IO = 16, 18
SETTINGS = ("max_connections", "superuser_reserved_connections", "reserved_connections", "shared_buffers")
DOWN = psycopg.Error


def postgres_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads PostgreSQL's gauges, and the facts of the server; CapacityError where it is down.

    What this version does not have, the role may not read, or a setting leaves untimed is not read; the fact
    `not_given` says why.
    """
    connection = connect_as_administrator(url)
    version, cursor = connection.info.server_version // 10_000, connection.cursor(row_factory=dict_row)
    asked = [*SETTINGS, *TIMED.values()]
    found = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [asked])
    settings = dict(found.fetchall())
    missing = {name: f"{each} is off" for name, each in TIMED.items() if settings.get(each) == "off"}
    queries = []
    for query in (ACTIVITY, DATABASE, IO, LOG):
        if query == IO and version < IO_SINCE:
            why = f"PostgreSQL {version} has no pg_stat_io ({IO_SINCE} has)"
            missing |= {name: why for name in GAUGES[IO] if name not in GAUGES[LOG]}
        elif query != LOG or version < LOG_IN_IO:
            try:
                cursor.execute(_for_version(query, version).encode())
                queries.append(_for_version(query, version))
            except psycopg.ProgrammingError as error:
                denied = isinstance(error, psycopg.errors.InsufficientPrivilege)
                why = f"the role may not read {VIEWS[query]}" if denied else f"this server has no such {VIEWS[query]}"
                missing |= dict.fromkeys(GAUGES[query], why)

    if why := unseen_activity(connection):  # a part of it would be told as the whole
        missing |= dict.fromkeys(GAUGES[ACTIVITY], why)

    def read() -> dict[str, float]:
        rows = [cursor.execute(query.encode()).fetchone() or {} for query in queries]
        values = {name: float(value or 0) for row in rows for name, value in row.items()}
        return {f"postgres.{name}": value for name, value in values.items() if name not in missing}

    facts: dict[str, Any] = {"server": f"PostgreSQL {connection.info.parameter_status('server_version')}"}
    facts |= {name: settings[name] for name in SETTINGS if name in settings}
    return read, {**facts, "not_given": {f"postgres.{name}": why for name, why in missing.items()}}


def _for_version(query: str, version: int) -> str:
    """The query as this version of PostgreSQL understands it."""
    read, write = ("read_bytes", "write_bytes") if version >= LOG_IN_IO else ("reads * op_bytes", "writes * op_bytes")
    return query.format(looker=LOOKER, read=read, write=write)
