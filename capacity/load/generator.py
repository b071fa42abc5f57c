"""One generator process: opens its share of the connections, and drives its share of the schedule."""

import os
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from capacity.load.arguments import Draw
from capacity.load.arrivals import arrivals_of
from capacity.load.child import end_with_parent, read_line, run_child, say
from capacity.load.engine import Engine
from capacity.load.schedule import Schedule
from capacity.streams import GaugeWriter, SampleWriter
from capacity.workload import parse_workload

URL = "CAPACITY_LOAD_URL"


def main(task: dict[str, Any]) -> None:
    """Run the share `index` of `shards` of the task's workload."""
    workload = parse_workload(task["workload"])
    index, shards, folder = task["index"], task["shards"], Path(task["folder"])
    timeout_s = workload.timeout_ms / 1000
    schedule = Schedule(workload, workload.shape(task["profile"])).shard(index, shards)
    samples, gauges = SampleWriter(folder, index), GaugeWriter(folder, f"generator-{index}")
    count = len(range(index, workload.connections, shards))
    draw = Draw(workload.seed, index, shards)
    connection = import_module(f"capacity.load.{workload.target}").connection_of(workload, os.environ[URL], draw, task)
    opened = [connection(samples.error_code, timeout_s) for _ in range(count)]
    arrivals = arrivals_of(schedule)
    engine = Engine(arrivals, opened, samples, gauges, timeout_s)
    say({"connections": engine.connect(), "refused": Counter(engine.refused)})
    origin_ns = int(read_line())

    def stop() -> None:
        arrivals.end_at(0)
        engine.stop()

    end_with_parent(lambda told: arrivals.end_at(origin_ns + int(told["end_s"] * 1e9)), stop)
    engine.run(origin_ns)
    samples.close()
    gauges.close()
    said = samples.messages_by_name([each.name for each in workload.operations])
    say({"rows": samples.rows, "messages": said, "redirected": sum(each.redirected for each in opened)})


if __name__ == "__main__":
    run_child(main)
