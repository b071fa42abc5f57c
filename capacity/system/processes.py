"""The reference application's processes: a gateway and workers, started beside the servers, ended with their home."""

import contextlib
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.embedded import POLL_SECONDS, START_SECONDS, free_port, last_line
from capacity.system.home import Home, open_home

QUEUE = "capacity"
WORKERS = 4  # processes, as the report has them
CONCURRENCY = 50  # jobs at a time of each
READY = b"ready"


@dataclass(frozen=True, slots=True)
class Application:
    """A system with its gateway and queue, and the processes that were started for it, by role."""

    system: System
    pids: dict[str, list[int]] = field(default_factory=dict)

    @property
    def processes(self) -> str:
        """The processes as the reader of gauges takes them, as `workers=12,13 gateway=14`."""
        return " ".join(f"{role}={','.join(map(str, pids))}" for role, pids in self.pids.items())


@contextlib.contextmanager
def open_application(
    system: System, jobs: Path, *options: str, workers: int = WORKERS, gateway: bool = True
) -> Iterator[Application]:
    """The system with its application: what it does not name is started, and stopped at the end.

    `jobs` is the workload file that says what the workers do with each type of job, and `options` are of the workers'
    command line. Where the system names a queue, its own workers serve it and none are started; where it names a
    gateway, that is the one. The tables must be there.
    Raises CapacityError where a process cannot be started.
    """
    starts_workers, starts_gateway = workers and not system.queue, gateway and not system.gateway_url
    if not (starts_workers or starts_gateway):
        yield Application(system)
        return
    with open_home() as home:
        running = Application(system)
        if starts_workers:
            running = start_workers(home, running, jobs, workers, *options)
        if starts_gateway:
            running = start_gateway(home, running)
        yield running


def start_workers(
    home: Home, before: Application, jobs: Path, count: int, *options: str, first: int = 0
) -> Application:
    """Start worker processes on the queue `capacity`, numbered from `first`, and wait until all of them take jobs."""
    ledger = home.folder / "ledger"
    ledger.mkdir(exist_ok=True)
    system = replace(before.system, queue=QUEUE, ledger=str(ledger))
    words = [*_python("worker"), "--home", home.folder, "--ledger", ledger, "--jobs", jobs, *options]
    logs = {number: home.folder / f"worker-{number}.log" for number in range(first, first + count)}
    pids = [
        home.start([*words, "--number", str(number)], signal.SIGTERM, log, env=_environment(system))
        for number, log in logs.items()
    ]
    _wait(home, "the workers", [*logs.values()], lambda: all(READY in log.read_bytes() for log in logs.values()))
    return Application(system, {**before.pids, "workers": pids})


def start_gateway(home: Home, before: Application, *options: str) -> Application:
    """Start a gateway on a free port, and wait until it answers."""
    port, log = free_port(), home.folder / "gateway.log"
    system = replace(before.system, gateway_url=f"http://127.0.0.1:{port}", queue=before.system.queue or QUEUE)
    words = [*_python("gateway"), "--home", home.folder, "--port", str(port), *options]
    pid = home.start(words, signal.SIGTERM, log, env=_environment(system))

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{system.gateway_url}/api/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    _wait(home, "the gateway", [log], answers)
    return Application(system, {**before.pids, "gateway": [pid]})


def _python(module: str) -> list[str | Path]:
    return [sys.executable, "-m", f"capacity.system.application.{module}"]


def _environment(system: System) -> dict[str, str]:
    """This environment with the addresses of the system; an address that it has and the system has not is left out."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    return {**others, **system.as_environment()}


def _wait(home: Home, name: str, logs: list[Path], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while home.running and time.monotonic() < deadline:
        if ready():
            return
        time.sleep(POLL_SECONDS)
    said = "; ".join({last_line(log.read_bytes()) for log in logs})
    raise CapacityError(f"{name} did not start: {said}")
