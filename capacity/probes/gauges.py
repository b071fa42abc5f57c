"""A process that reads the servers' own figures a few times a second, beside the load and not within it."""

import contextlib
import http.client
import json
import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from capacity.load.child import read_line, run_child, say
from capacity.load.engine import clock
from capacity.probes.readers import Reader
from capacity.probes.readers.metrics import metrics_reader
from capacity.probes.readers.postgres import postgres_reader
from capacity.probes.readers.processes import processes_reader
from capacity.probes.readers.redis import redis_reader
from capacity.probes.readers.server import server_reader
from capacity.streams import GaugeWriter

SOURCES = "CAPACITY_GAUGES_SOURCES"
INTERVAL_S = 0.2
SETTLE_S = 0.5  # PostgreSQL's backends add their counts when they end; a task that needs none may say so
READERS: Mapping[str, Callable[[str], tuple[Reader, dict[str, Any]]]] = {
    "postgres": postgres_reader,
    "redis": redis_reader,
    "gateway": metrics_reader,
    "processes": processes_reader,
    "server": server_reader,
}
# A server that is down has no figures.
DOWN = (psycopg.Error, redis.RedisError, OSError, http.client.HTTPException)


def main(task: dict[str, Any]) -> None:
    """Read the gauges of all sources until stdin ends, and once more when the load is gone."""
    opened = {name: READERS[name](where) for name, where in json.loads(os.environ[SOURCES]).items()}
    writers = {name: GaugeWriter(Path(task["folder"]), name) for name in opened}
    facts = [facts for _, facts in opened.values()]
    servers = [each["server"] for each in facts if "server" in each]
    say({"system": {name: value for each in reversed(facts) for name, value in each.items()} | {"servers": servers}})
    origin_ns = int(read_line())
    psutil.cpu_percent()

    def read_all() -> None:
        for name, (read, _) in opened.items():
            with contextlib.suppress(*DOWN):
                writers[name].write(clock() - origin_ns, read())

    while not select.select([0], [], [], INTERVAL_S)[0]:
        read_all()
        machine = {"machine.cpu_share": psutil.cpu_percent() / 100}
        next(iter(writers.values())).write(clock() - origin_ns, machine)
    select.select([], [], [], task.get("settle_s", SETTLE_S))
    read_all()
    for writer in writers.values():
        writer.close()


if __name__ == "__main__":
    run_child(main)
