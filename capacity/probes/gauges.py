"""A process that reads a server's own figures a few times a second, beside the load and not within it."""

import contextlib
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
from psycopg.rows import dict_row

from capacity.errors import CapacityError
from capacity.load.child import read_line, run_child, say
from capacity.load.engine import clock
from capacity.streams import GaugeWriter
from capacity.system.clients import redis_client

URL = "CAPACITY_GAUGES_URL"
INTERVAL_S = 0.2
SETTLE_S = 0.5  # PostgreSQL's backends add their counts when they end
TIMEOUT_S = 5

Reader = Callable[[], dict[str, float]]

ACTIVITY = """
SELECT count(*) AS connections, count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waiting
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
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


def main(task: dict[str, Any]) -> None:
    """Read the gauges of the task's server until stdin ends, and once more when the load is gone."""
    url = os.environ[URL]
    read, system = postgres_reader(url) if task["target"] == "postgres" else redis_reader(url)
    writer = GaugeWriter(Path(task["folder"]), task["target"])
    say({"system": system})
    origin_ns = int(read_line())
    psutil.cpu_percent()
    while not select.select([0], [], [], INTERVAL_S)[0]:
        with contextlib.suppress(psycopg.Error, redis.RedisError):  # a server that is down has no figures
            writer.write(clock() - origin_ns, {**read(), "machine.cpu_share": psutil.cpu_percent() / 100})
    select.select([], [], [], SETTLE_S)
    with contextlib.suppress(psycopg.Error, redis.RedisError):
        writer.write(clock() - origin_ns, read())
    writer.close()


def postgres_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads PostgreSQL's gauges, and the facts of the server; CapacityError where it is down."""
    try:
        connection = psycopg.connect(
            url, autocommit=True, prepare_threshold=None, connect_timeout=TIMEOUT_S, row_factory=dict_row
        )
    except psycopg.Error as error:
        raise CapacityError(f"PostgreSQL does not answer: {' '.join(str(error).split())}") from None
    version = connection.info.server_version // 10_000
    found = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(SETTINGS)])
    facts = {"server": f"PostgreSQL {connection.info.parameter_status('server_version')}"}
    facts |= {row["name"]: row["setting"] for row in found}
    moved = ("read_bytes", "write_bytes") if version >= 18 else ("reads * op_bytes", "writes * op_bytes")
    queries = [ACTIVITY, DATABASE, *([IO.format(read=moved[0], write=moved[1])] if version >= 16 else [])]

    def read() -> dict[str, float]:
        rows = [connection.execute(query.encode()).fetchone() or {} for query in queries]
        return {f"postgres.{name}": float(value or 0) for row in rows for name, value in row.items()}

    return read, facts


def redis_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads Redis's gauges, and the facts of the server; CapacityError where it is down."""
    client = redis_client(url, TIMEOUT_S)
    try:
        info: dict[str, Any] = client.info("everything")
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {error}") from None
    facts = {"server": f"Redis {info['redis_version']}", "allocator": info.get("mem_allocator", "")}
    facts |= {name: info.get(name) for name in ("maxmemory", "maxmemory_policy", "maxclients")}

    def read() -> dict[str, float]:
        info: dict[str, Any] = client.info("everything")
        refused = info.get("errorstat_OOM", {}).get("count", 0)
        return {
            "redis.memory_bytes": info["used_memory"],
            "redis.memory_limit_bytes": info["maxmemory"],
            "redis.fragmentation": info["mem_fragmentation_ratio"],
            "redis.cpu_s": info["used_cpu_sys"] + info["used_cpu_user"],
            "redis.evictions": info["evicted_keys"],
            "redis.out_of_memory": refused,
            "redis.connections": info["connected_clients"] - 1,
            "redis.refused": info["rejected_connections"],
            "redis.commands": info["total_commands_processed"],
        }

    return read, facts


if __name__ == "__main__":
    run_child(main)
