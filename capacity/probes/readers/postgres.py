"""PostgreSQL's own figures, from its statistics views."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from capacity.probes.readers import LOOKER, Reader
from capacity.system.application.database import connect_as_administrator

ACTIVITY = """
SELECT count(*) AS connections, count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiting
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
     AND application_name IS DISTINCT FROM '{looker}'
"""
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
SETTINGS = ("max_connections", "superuser_reserved_connections", "reserved_connections", "shared_buffers")
DOWN = psycopg.Error


def postgres_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads PostgreSQL's gauges, and the facts of the server; CapacityError where it is down."""
    connection = connect_as_administrator(url)
    version, cursor = connection.info.server_version // 10_000, connection.cursor(row_factory=dict_row)
    found = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(SETTINGS)])
    facts = {"server": f"PostgreSQL {connection.info.parameter_status('server_version')}"}
    facts |= dict(found.fetchall())
    moved = ("read_bytes", "write_bytes") if version >= 18 else ("reads * op_bytes", "writes * op_bytes")
    queries = [ACTIVITY.format(looker=LOOKER), DATABASE]
    if version >= 16:
        queries.append(IO.format(read=moved[0], write=moved[1]))

    def read() -> dict[str, float]:
        rows = [cursor.execute(query.encode()).fetchone() or {} for query in queries]
        return {f"postgres.{name}": float(value or 0) for row in rows for name, value in row.items()}

    return read, facts
