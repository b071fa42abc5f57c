"""A process that starts harnesses for a test that kills them: told a kind and a folder, it says the process's number.

What a harness imports is there when it begins, so that a moment of its life is one of its work.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from capacity.probes.measurement import Measurement
from capacity.scenarios.database_restart import DatabaseRestart
from capacity.scenarios.fault_injection import measure_with_fault
from capacity.scenarios.outbox_restart import OutboxRestart
from capacity.scenarios.redis_restart import Persistence, RedisRestart
from capacity.scenarios.trial import Scenario, run_scenario
from capacity.system.addresses import System
from capacity.system.embedded import run_postgres, run_redis
from capacity.system.network import Fault
from capacity.system.processes import Application, start_workers
from capacity.system.proxy import open_proxy
from capacity.system.server_directory import open_server_directory
from capacity.workload import parse_workload

JOBS = Path(__file__).parents[2] / "data" / "workloads" / "queue.yaml"
READ = {"name": "GET", "weight": 100, "command": ["GET", "a"]}
SHAPES = {"trial": {"kind": "rate", "stages": [{"name": "sustain", "seconds": 30, "to": 100}]}}
READS = {"name": "reads", "target": "redis", "connections": 4, "operations": [READ], "shapes": SHAPES}


def stopped_worker(folder: Path) -> None:
    """A worker that is stopped, and its Redis."""
    with open_server_directory() as directory:
        running = start_workers(directory, Application(System(redis_url=run_redis(directory).url)), JOBS, 1)
        os.kill(running.pids["workers"][0], signal.SIGSTOP)
        signal.pause()


def stopped_database(folder: Path) -> None:
    """A PostgreSQL of which every process is stopped."""
    with open_server_directory() as directory:
        server = psutil.Process(run_postgres(directory).pid)
        for process in (server, *server.children()):
            process.suspend()
        signal.pause()


def proxy(folder: Path) -> None:
    """A proxy that keeps back everything between a load and its Redis."""
    with open_server_directory() as directory:
        url = run_redis(directory).url
        with open_proxy(url) as between:
            reads = Measurement(parse_workload(READS), "trial")
            measure_with_fault(reads, between.before(url), folder, (1.0, lambda: between.apply(Fault.BLACK_HOLE)))


def trial(scenario: Scenario) -> Callable[[Path], object]:
    """A trial of a scenario, as it is."""
    return lambda folder: run_scenario(scenario, System(embedded=True), folder)


KINDS: dict[str, Callable[[Path], object]] = {
    "stopped_database": stopped_database,
    "proxy": proxy,
    "stopped_worker": stopped_worker,
    "redis_restart": trial(RedisRestart(signal.SIGKILL, Persistence.AOF, seconds=3.0, at_s=1.0)),
    "database_restart": trial(DatabaseRestart(signal.SIGKILL, seconds=3.0, at_s=1.0)),
    "outbox_restart": trial(OutboxRestart(signal.SIGTERM, Persistence.RDB, seconds=3.0, at_s=1.0)),
}


def main() -> None:
    """Start what is asked for, until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none of them is waited for
    for line in sys.stdin:
        kind, folder = line.split()
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            try:
                KINDS[kind](Path(folder))
            finally:
                os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
