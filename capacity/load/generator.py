"""One generator process: opens its share of the connections, and drives its share of the schedule."""

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from capacity.load.arguments import Draw
from capacity.load.arrivals import arrivals_of
from capacity.load.bullmq import BullmqConnection, Queue, packed_jobs
from capacity.load.child import end_with_parent, read_line, run_child, say
from capacity.load.connection import Connection
from capacity.load.engine import Engine
from capacity.load.http import HttpConnection, packed_requests
from capacity.load.postgres import PostgresConnection, PostgresStatements
from capacity.load.redis import RedisConnection, packed_commands
from capacity.load.schedule import Schedule
from capacity.streams import GaugeWriter, SampleWriter
from capacity.workload import Workload, parse_workload

URL = "CAPACITY_LOAD_URL"


def main(task: dict[str, Any]) -> None:
    """Run the share `index` of `shards` of the task's workload."""
    workload = parse_workload(task["workload"])
    index, shards, folder = task["index"], task["shards"], Path(task["folder"])
    timeout_s = workload.timeout_ms / 1000
    schedule = Schedule(workload, workload.shape(task["profile"])).shard(index, shards)
    samples, gauges = SampleWriter(folder, index), GaugeWriter(folder, f"generator-{index}")
    count = len(range(index, workload.connections, shards))
    opened = _connections(workload, task, samples.error_code, count, timeout_s)
    arrivals = arrivals_of(schedule)
    engine = Engine(arrivals, opened, samples, gauges, timeout_s)
    say({"connections": engine.connect(), "refused": Counter(engine.refused)})
    origin_ns = int(read_line())
    end_with_parent(lambda told: arrivals.end_at(origin_ns + int(told["end_s"] * 1e9)))
    engine.run(origin_ns)
    samples.close()
    gauges.close()
    say({"rows": samples.rows})


def _connections(
    workload: Workload, task: dict[str, Any], error_code: Callable[[str], int], count: int, timeout_s: float
) -> list[Connection]:
    url, draw = os.environ[URL], Draw(workload.seed, task["index"], task["shards"])
    connection: Callable[..., Connection]
    if workload.target == "http":
        connection = partial(HttpConnection, url, [packed_requests(each, url, draw) for each in workload.operations])
    elif workload.target == "bullmq":
        queue, series = Queue(**task["queue"]), f"{task['token']}-{draw.shard}"
        operations = enumerate(workload.operations)
        jobs = [packed_jobs(each, queue, f"{series}-{code}", draw) for code, each in operations]
        connection = partial(BullmqConnection, url, jobs)
    elif workload.target == "redis":
        connection = partial(RedisConnection, url, [packed_commands(each, draw) for each in workload.operations])
    else:
        connection = partial(PostgresConnection, url, PostgresStatements(workload, draw, task["prepared"]))
    return [connection(error_code, timeout_s) for _ in range(count)]


if __name__ == "__main__":
    run_child(main)
